package engine

import (
	"context"
	"fmt"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// rebuilding is a state that was made from the log beside the engine, on its way to take the old one's place.
type rebuilding[S any, C Command, E Event, V any] struct {
	fold *Fold[S, C, E, V]
	done chan rebuilt
}

// rebuilt is how a rebuilding ended, and how many events the new state was made of.
type rebuilt struct {
	events uint64
	err    error
}

// Rebuild throws the state in memory away and makes it again from the log, while commands go on; they wait only for the last few events.
// It returns how many events the state is made of. An error leaves the old state in place; if it is an *EventError, the log is damaged.
func (e *Engine[S, C, E, V]) Rebuild(ctx context.Context) (events uint64, err error) {
	if !e.health.serving.Load() {
		return 0, e.health.refusal()
	}
	through, _ := e.stream.Durable()
	r := rebuilding[S, C, E, V]{fold: NewFold(e.options.Domain()), done: make(chan rebuilt, 1)}
	if err := e.foldThrough(ctx, r.fold, through); err != nil {
		return 0, err
	}
	select {
	case e.rebuilds <- r:
	case <-e.ended:
		return 0, errStopped
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case end := <-r.done:
		return end.events, end.err
	case <-e.ended:
		return 0, errStopped
	}
}

// readAhead is how many events are read and decoded while others are folded.
const readAhead = 1024

// foldThrough takes the events of the log up to a sequence into a fold that has those before.
func (e *Engine[S, C, E, V]) foldThrough(ctx context.Context, fold *Fold[S, C, E, V], through uint64) error {
	after := fold.last.Sequence
	reading, stop := context.WithCancel(ctx)
	defer stop()
	ahead, ended := make(chan decoded[E], readAhead), make(chan error, 1)
	go func() {
		defer close(ahead)
		ended <- e.stream.Read(reading, eventlog.Range{After: after, Through: through}, func(m eventlog.Message) error {
			select {
			case ahead <- fold.decode(m):
				return nil
			case <-reading.Done():
				return reading.Err()
			}
		})
	}()
	for m := range ahead {
		if err := fold.add(e.stream.Name(), m); err != nil {
			return err
		}
	}
	err := <-ended
	if err == nil && fold.last.Sequence < through {
		err = fmt.Errorf("%w: read %s up to %d of %d", eventlog.ErrUnreachable, e.stream.Name(), fold.last.Sequence, through)
	}
	return err
}

// rebuild puts a new state in the place of the old one. What is decided is stored first; what waits for a recalled event is taken up again with the new state.
// Its error is that of an append, and means the same.
func (e *Engine[S, C, E, V]) rebuild(ctx context.Context, r rebuilding[S, C, E, V]) error {
	for e.inFlight != nil || len(e.current.items) > 0 {
		if e.inFlight == nil {
			e.send(ctx)
		}
		if a := <-e.appended; a.err != nil {
			r.done <- rebuilt{err: errSteppedOut.Because(a.err)}
			return e.giveUpRound(a.err)
		}
		e.settle()
	}
	if err := e.foldThrough(ctx, r.fold, e.fold.last.Sequence); err != nil {
		r.done <- rebuilt{err: err}
		return nil //nolint:nilerr // who asked is told, and the old state goes on
	}
	for _, old := range e.fold.accounts {
		e.deferred = append(e.deferred, old.parked...)
	}
	e.epoch++ // what is being recalled is recalled for the old state
	e.adopt(r.fold)
	e.showAll()
	if e.store != nil { // only now: until they are shown, readers find the accounts there that were not in memory
		e.store.Reset()
		e.marked = 0
	}
	r.done <- rebuilt{events: e.fold.last.Sequence}
	return nil
}

// adopt takes a fold that was made from the log alone in the place of the old one.
func (e *Engine[S, C, E, V]) adopt(fold *Fold[S, C, E, V]) {
	if e.fold.memory != nil {
		renewed := *e.fold.memory
		renewed.newest, renewed.oldest = nil, nil
		fold.memory = &renewed
		for _, a := range fold.accounts {
			renewed.add(a)
		}
	}
	e.fold = fold
}
