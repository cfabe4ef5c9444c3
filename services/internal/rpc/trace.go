package rpc

import (
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// TraceClient makes a span of each call that a client makes, and sends the trace along.
func TraceClient(to trace.TracerProvider) grpc.DialOption {
	return grpc.WithStatsHandler(otelgrpc.NewClientHandler(traced(to)...))
}

// traced says which calls are traced, and how: those of cardlog, but not the looks at its status, of which there are many and to which nothing happens.
func traced(to trace.TracerProvider) []otelgrpc.Option {
	return []otelgrpc.Option{otelgrpc.WithTracerProvider(to), otelgrpc.WithPropagators(telemetry.Propagation), otelgrpc.WithFilter(func(call *stats.RPCTagInfo) bool {
		return strings.HasPrefix(call.FullMethodName, "/cardlog.") && call.FullMethodName != adminv1.OperationsService_GetStatus_FullMethodName
	})}
}
