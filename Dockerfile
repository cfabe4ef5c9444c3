# One small image: the static binary, certificates and time zones, and a user that may do nothing.
#
#   docker build -t cardlog .
#   docker run -p 127.0.0.1:7070:7070 -p 127.0.0.1:9000:9000 -v cardlog:/data cardlog

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY gen gen
COPY services services
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /image/cardlog ./services/cmd/cardlog \
 && mkdir -p /image/etc/ssl/certs /own/data /own/keys \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && cp "$(go env GOROOT)/lib/time/zoneinfo.zip" /image/

FROM scratch
COPY --from=build /image /
COPY --from=build --chown=65532:65532 /own /
ENV ZONEINFO=/zoneinfo.zip
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 7070 9000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["/cardlog", "status"]
ENTRYPOINT ["/cardlog"]
# What is published is for docker run to say; within the container all addresses are its own.
CMD ["up", "--dir", "/data", "--listen", "0.0.0.0:7070", "--console-listen", "0.0.0.0:9000", "--nats-listen", "off"]
