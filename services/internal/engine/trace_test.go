package engine_test

import (
	"context"
	"sync"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TestATraceShowsTheWayOfACommand traces a command, its repeat, and one that is refused.
func TestATraceShowsTheWayOfACommand(t *testing.T) {
	t.Parallel()
	ended := make(spans, 16)
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(ended)).Tracer("test")
	p := startTracedPlant(t, tracer)
	for _, row := range []struct {
		what    string
		command *add
		steps   []string
	}{
		{"a command", &add{account: "gas", id: "1", content: "a"}, []string{"queue", "decide", "append", "sync"}},
		{"its repeat, which is answered from the log", &add{account: "gas", id: "1", content: "a"}, []string{"queue"}},
		{"one that is refused", &add{account: "gas", id: "2", refuse: true}, []string{"queue", "decide"}},
		{"another command", &add{account: "gas", id: "3"}, []string{"queue", "decide", "append", "sync"}},
	} {
		ctx, call := tracer.Start(t.Context(), "call")
		_, _ = p.Submit(ctx, row.command)
		began := call.(sdktrace.ReadOnlySpan).StartTime()
		for _, step := range row.steps {
			span := <-ended // the call itself has not ended
			if span.Name() != step || span.Parent().SpanID() != call.SpanContext().SpanID() {
				t.Errorf("%s: %s within %v, want %s within its call", row.what, span.Name(), span.Parent().SpanID(), step)
			}
			if span.StartTime().Before(began) || span.EndTime().Before(span.StartTime()) {
				t.Errorf("%s: %s from %v to %v, after %v", row.what, step, span.StartTime(), span.EndTime(), began)
			}
			began = span.StartTime()
		}
	}
	if _, err := p.Submit(t.Context(), &add{account: "gas", id: "4"}); err != nil || len(ended) > 0 {
		t.Errorf("a command of a call that is not traced: %v, with %d spans", err, len(ended))
	}
}

// BenchmarkCommand compares a command without tracing, with tracing where the call is not sampled, and with its spans recorded.
func BenchmarkCommand(b *testing.B) {
	sampled := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans(nil)))
	unsampled := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	for _, row := range []struct {
		name     string
		provider *sdktrace.TracerProvider
	}{{"off", nil}, {"unsampled", unsampled}, {"traced", sampled}} {
		b.Run(row.name, func(b *testing.B) {
			ctx, tracer := context.Background(), trace.Tracer(nil)
			if row.provider != nil {
				tracer = row.provider.Tracer("test")
				ctx, _ = tracer.Start(ctx, "call")
			}
			p := startTracedPlant(b, tracer)
			b.ReportAllocs()
			b.ResetTimer()
			const callers = 64
			var calling sync.WaitGroup
			for caller := range callers {
				calling.Go(func() {
					for i := caller; i < b.N; i += callers {
						if _, err := p.Submit(ctx, &add{account: number(caller), id: number(i)}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			calling.Wait()
		})
	}
}

// spans takes those that ended; a nil one throws them away.
type spans chan sdktrace.ReadOnlySpan

func (s spans) OnEnd(span sdktrace.ReadOnlySpan) {
	if s != nil {
		s <- span
	}
}
func (s spans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (s spans) Shutdown(context.Context) error                  { return nil }
func (s spans) ForceFlush(context.Context) error                { return nil }
