package transactions

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

// traceOne begins a trace of one request of a stream. A stream may last for days and bring millions, so each is a trace of its own, sampled by itself and linked to
// the stream's. The span is nil where nothing is traced.
func (s *Service) traceOne(ctx context.Context, name string) (context.Context, trace.Span) {
	if s.options.Tracer == nil {
		return ctx, nil
	}
	return s.options.Tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithLinks(trace.LinkFromContext(ctx)), trace.WithSpanKind(trace.SpanKindServer))
}
