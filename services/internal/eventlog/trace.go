package eventlog

import (
	"context"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// AddTrace returns an event's headers with the trace that ctx belongs to, as traceparent, where it is recorded.
func AddTrace(ctx context.Context, lines HeaderLines) HeaderLines {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return lines
	}
	header := Header{}
	telemetry.Propagation.Inject(ctx, traceHeader(header))
	return append(lines, Lines(header)...)
}

// WithTrace returns a context that belongs to the trace in an event's headers, and whether one is recorded there.
func WithTrace(ctx context.Context, header Header) (traced context.Context, recorded bool) {
	if header["traceparent"] == nil {
		return ctx, false
	}
	traced = telemetry.Propagation.Extract(ctx, traceHeader(header))
	return traced, trace.SpanContextFromContext(traced).IsSampled()
}

// traceHeader is Header for package propagation, which writes names in lower case like the attributes of CloudEvents.
type traceHeader Header

// Get returns a value.
func (h traceHeader) Get(name string) string { return Header(h).Get(name) }

// Set sets a value.
func (h traceHeader) Set(name, value string) { h[name] = []string{value} }

// Keys returns all names.
func (h traceHeader) Keys() []string { return slices.Collect(maps.Keys(h)) }
