package engine

import (
	"context"
	"time"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// round is a run of events that are appended together.
type round struct {
	items                 []item
	records               []eventlog.Record // of the items
	sent, stored, durable time.Time         // when
}

// item is one event of a round.
type item struct {
	event    any
	sequence uint64
	request  *request // who is answered with it; nil for an event of the engine's own
	cell     any      // where the account's view is published
	view     any      // the account's view after the event
}

// waiter is a request that is answered when a sequence is durable.
type waiter struct {
	request *request
	answer  answer
	repeat  bool // the answer is the event at that sequence, if it is the same command's
}

// roundEnd says how the append of the round in flight ended.
type roundEnd struct {
	err error
}

// first returns the sequence of the round's first event.
func (r *round) first() uint64 { return r.items[0].sequence }

// last returns the sequence of the round's last event.
func (r *round) last() uint64 { return r.items[len(r.items)-1].sequence }

// find returns the event with a sequence, if the round has it.
func (r *round) find(sequence uint64) (any, bool) {
	if r == nil || len(r.items) == 0 || sequence < r.first() || sequence > r.last() {
		return nil, false
	}
	return r.items[sequence-r.first()].event, true
}

// send hands the current round to the appender and begins the next.
func (e *Engine[S, C, E, V]) send(ctx context.Context) {
	size := len(e.current.items) // the next one will be much like it
	e.inFlight, e.current = e.current, &round{items: make([]item, 0, size), records: make([]eventlog.Record, 0, size)}
	e.savePart(partBound + 2*len(e.inFlight.items))
	go e.append(ctx, e.inFlight)
}

// append stores a round, and when it is durable publishes the views and answers the callers.
func (e *Engine[S, C, E, V]) append(ctx context.Context, r *round) {
	r.sent = time.Now()
	err := e.stream.Write(context.WithoutCancel(ctx), r.first()-1, r.records)
	r.stored = time.Now()
	if err == nil {
		err = e.stream.Commit(r.last())
	}
	r.durable = time.Now()
	if err == nil {
		for i := range r.items {
			r.items[i].cell.(*view[V]).Store(r.items[i].view.(*V))
		}
		e.announce()
		for i := range r.items {
			if item := &r.items[i]; item.request != nil {
				e.answer(item.request, answer{event: item.event, sequence: item.sequence})
			}
		}
		e.tell(r)
	}
	e.appended <- roundEnd{err: err}
}

// tell tells the journal of a round that is durable.
func (e *Engine[S, C, E, V]) tell(r *round) {
	if e.options.Journal == nil {
		return
	}
	now := time.Now()
	entries := make([]Entry[E], len(r.items))
	for i := range r.items {
		item := &r.items[i]
		entries[i] = Entry[E]{Event: item.event.(E), Sequence: item.sequence}
		if item.request != nil {
			entries[i].Took = now.Sub(item.request.arrived)
		}
	}
	e.options.Journal(entries)
}
