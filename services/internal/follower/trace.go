package follower

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// trace begins the span of an event, in the trace of the call that the event came from. The span is nil where that is not recorded.
func (f *Follower[V]) trace(ctx context.Context, m eventlog.Message) (context.Context, trace.Span) {
	if f.options.Tracer == nil {
		return ctx, nil
	}
	traced, recorded := eventlog.WithTrace(ctx, m.Header)
	if !recorded {
		return ctx, nil
	}
	return f.options.Tracer.Start(traced, f.options.Name+" follows "+f.options.Upstream.Name, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("cardlog.stream", f.options.Upstream.Name), attribute.Int64("cardlog.sequence", int64(m.Sequence))))
}

// endSpan ends the span of an event that is applied, or could not be.
func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
