package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// grpcurlCall is a line of the README that calls a method: the body, the method, and what the line says is refused.
var grpcurlCall = regexp.MustCompile(`^grpcurl -plaintext -d '([^']+)' 127\.0\.0\.1:7070 (\S+)(?:\s+# refused: (\w+))?`)

// TestTheReadmesCallsWork makes each grpcurl call of the README, in order, against a new cardlog.
func TestTheReadmesCallsWork(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := startBank(t, testConfig(t))
	calls := 0
	for line := range strings.Lines(string(readme)) {
		call := grpcurlCall.FindStringSubmatch(line)
		if call == nil {
			continue
		}
		calls++
		err := b.call(call[2], call[1])
		wanted := "OK"
		if call[3] != "" {
			wanted = call[3]
		}
		if got := codeName(status.Code(err)); got != wanted {
			t.Errorf("%s answered %s, not %s: %v", call[2], got, wanted, err)
		}
	}
	if calls < 8 {
		t.Errorf("only %d calls were found in the README", calls)
	}
}

// codeName is a code in the words of the gRPC documentation.
func codeName(code codes.Code) string {
	if code == codes.InvalidArgument {
		return "INVALID_ARGUMENT"
	}
	return code.String()
}

// call makes a call as grpcurl does: by the name of a method, with a body in JSON.
func (b *bank) call(method, body string) error {
	service, name, _ := strings.Cut(method, "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	if err != nil {
		return err
	}
	described, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return fmt.Errorf("%s is not a method", method)
	}
	request, err := newMessage(described.Input())
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal([]byte(body), request); err != nil {
		return err
	}
	response, err := newMessage(described.Output())
	if err != nil {
		return err
	}
	if !described.IsStreamingServer() {
		return b.connection.Invoke(b.t.Context(), "/"+method, request, response)
	}
	stream, err := b.connection.NewStream(b.t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/"+method)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(request), stream.CloseSend()); err != nil {
		return err
	}
	for {
		if err := stream.RecvMsg(response); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func newMessage(described protoreflect.MessageDescriptor) (proto.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(described.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New().Interface(), nil
}
