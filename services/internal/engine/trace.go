package engine

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// way is the times at which a command was where on its way through the engine. It is kept where the trace of the command's call is recorded; a nil way keeps nothing.
// Its spans are made from the times when the caller has the answer.
type way struct {
	ctx            context.Context // has the span of the call
	taken, decided time.Time       // when its decision began, and was made
	round          *round          // with its event
}

// newWay returns nil where the trace of ctx is not recorded.
func newWay(ctx context.Context, tracer trace.Tracer) *way {
	if tracer == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return nil
	}
	return &way{ctx: ctx}
}

// take notes that the decision begins.
func (w *way) take() {
	if w != nil {
		w.taken = time.Now()
	}
}

// decide notes that the decision is made.
func (w *way) decide() {
	if w != nil {
		w.decided = time.Now()
	}
}

// join notes the round that the command's event is in, and returns the event's headers with the call's trace.
func (w *way) join(r *round, header eventlog.HeaderLines) eventlog.HeaderLines {
	if w == nil {
		return header
	}
	w.round = r
	return eventlog.AddTrace(w.ctx, header)
}

// trace makes the spans of a request that has its answer: queue (until its decision began), decide, append (until the round with its event was stored) and sync (until
// that was durable). What did not happen has none.
func (e *Engine[S, C, E, V]) trace(r *request, a answer) {
	w := r.way
	if w == nil {
		return
	}
	stream := attribute.String("cardlog.stream", e.stream.Name())
	span := func(name string, from, to time.Time, attributes ...attribute.KeyValue) {
		if from.IsZero() || to.IsZero() {
			return
		}
		_, span := e.options.Tracer.Start(w.ctx, name, trace.WithTimestamp(from), trace.WithAttributes(append(attributes, stream)...))
		if a.err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End(trace.WithTimestamp(to))
	}
	taken := w.taken
	if taken.IsZero() { // it was answered without a decision
		taken = time.Now()
	}
	span("queue", r.arrived, taken, attribute.Bool("cardlog.duplicate", a.duplicate))
	span("decide", w.taken, w.decided)
	if w.round == nil || a.err != nil {
		return
	}
	sequence := attribute.Int64("cardlog.sequence", int64(a.sequence))
	span("append", w.round.sent, w.round.stored, sequence, attribute.Int("cardlog.round_events", len(w.round.items)))
	span("sync", w.round.stored, w.round.durable, sequence)
}
