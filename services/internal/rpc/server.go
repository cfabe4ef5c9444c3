// Package rpc assembles gRPC servers: validation, the one error table, recovery from panics, health and reflection.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"runtime/debug"

	"buf.build/go/protovalidate"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/protobuf/proto"
)

// Bounds of every server.
const (
	// MessageBound is the size of the largest request, in bytes.
	MessageBound = 256 << 10
	// streamBound is how many calls one connection may have under way.
	streamBound = 4096
	// workers is how many goroutines stay to handle calls, with the stacks that calls have grown; more calls than that get a goroutine each, which grows its own anew.
	workers = 1024
)

// Transport are the settings of gRPC itself.
func Transport() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.MaxRecvMsgSize(MessageBound), grpc.MaxConcurrentStreams(streamBound), grpc.NumStreamWorkers(workers)}
}

// Server is a gRPC server with health and reflection.
type Server struct {
	*grpc.Server
	health *health.Server
	edge   *edge
}

// Options say who hears of a server's calls.
type Options struct {
	// Logger hears of failures.
	Logger *slog.Logger
	// Metrics is told of each call. Optional.
	Metrics prometheus.Registerer
	// Traces gets a span of each call. Optional.
	Traces trace.TracerProvider
}

// NewServer makes a server. Services register themselves with it; a service serves from SetServing on.
func NewServer(o Options) (*Server, error) {
	validator, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("prepare validation: %w", err)
	}
	mended := recovery.WithRecoveryHandlerContext(func(ctx context.Context, broken any) error {
		o.Logger.ErrorContext(ctx, "panic in a call", slog.String("problem", fmt.Sprint(broken)), slog.String("stack", string(debug.Stack())))
		return errInternal
	})
	stopping, stop := context.WithCancelCause(context.Background())
	edge := &edge{validator: validator, logger: o.Logger, stopping: stopping, stop: stop}
	settings := Transport()
	if o.Metrics != nil {
		measuring, err := measured(o.Metrics)
		if err != nil {
			return nil, err
		}
		settings = append(settings, measuring...) // outside all else: what counts is what the caller met
	}
	if o.Traces != nil {
		settings = append(settings, grpc.StatsHandler(otelgrpc.NewServerHandler(traced(o.Traces)...)))
	}
	settings = append(settings, grpc.ChainUnaryInterceptor(edge.unary, recovery.UnaryServerInterceptor(mended)),
		grpc.ChainStreamInterceptor(edge.stream, recovery.StreamServerInterceptor(mended)))
	s := &Server{Server: grpc.NewServer(settings...), health: health.NewServer(), edge: edge}
	healthv1.RegisterHealthServer(s.Server, s.health)
	reflection.Register(s.Server)
	return s, nil
}

// SetServing tells the health service whether a service serves; the empty name is all of them.
func (s *Server) SetServing(service string, serving bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(service, status)
}

// Shutdown makes every service NOT_SERVING, so that clients look elsewhere, ends streams with UNAVAILABLE, and lets other calls end until ctx does.
func (s *Server) Shutdown(ctx context.Context) {
	s.health.Shutdown()
	s.edge.stop(errStopping)
	ended := make(chan struct{})
	go func() {
		s.GracefulStop()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.Stop()
	}
}

// edge validates requests and turns errors into what callers meet.
type edge struct {
	validator protovalidate.Validator
	logger    *slog.Logger
	stopping  context.Context // ends when the server begins to stop
	stop      context.CancelCauseFunc
}

func (e *edge) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := e.validate(request); err != nil {
		return nil, err
	}
	response, err := handler(ctx, request)
	if err != nil {
		return nil, e.status(ctx, info.FullMethod, err)
	}
	return response, nil
}

func (e *edge) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(e.stopping, func() { cancel(errStopping) })()
	err := handler(server, &edgeStream{ServerStream: stream, ctx: ctx, edge: e, many: info.IsClientStream})
	if err != nil && errors.Is(context.Cause(ctx), errStopping) {
		err = errStopping
	}
	if err != nil {
		return e.status(ctx, info.FullMethod, err)
	}
	return nil
}

// edgeStream validates the request of a stream of answers; where the requests are a stream themselves, the handler does, which can answer a broken one in place. Its context ends when the server stops, so that a handler which waits for events does not hold that up.
type edgeStream struct {
	grpc.ServerStream
	ctx  context.Context // gRPC hands a stream its context so
	edge *edge
	many bool // the requests are a stream
}

// Context ends with the call, or when the server stops.
func (s *edgeStream) Context() context.Context { return s.ctx }

// RecvMsg receives a request, and validates it where it is the only one.
func (s *edgeStream) RecvMsg(request any) error {
	if err := s.ServerStream.RecvMsg(request); err != nil || s.many {
		return err
	}
	return s.edge.validate(request)
}

func (e *edge) validate(request any) error {
	message, ok := request.(proto.Message)
	if !ok {
		return errInternal
	}
	return badRequest(e.validator.Validate(message))
}

// ActorHeader is the request metadata in which a caller may say who acts.
const ActorHeader = "cardlog-actor"

var actorPattern = regexp.MustCompile(`^[A-Za-z0-9_.@:-]{1,64}$`)

// Actor returns who calls: what the metadata says, else the address called from.
func Actor(ctx context.Context) string {
	if said := metadata.ValueFromIncomingContext(ctx, ActorHeader); len(said) == 1 && actorPattern.MatchString(said[0]) {
		return said[0]
	}
	if caller, ok := peer.FromContext(ctx); ok {
		if host, _, err := net.SplitHostPort(caller.Addr.String()); err == nil {
			return host
		}
	}
	return "unknown"
}
