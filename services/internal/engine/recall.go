package engine

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// loaded is a stored event that was read for an account.
type loaded[S any] struct {
	account  *account[S]
	epoch    int
	sequence uint64
	event    any
	err      error
}

// repeat answers a command whose id was answered before, from the stored event. It runs beside the engine.
func (e *Engine[S, C, E, V]) repeat(r *request, sequence uint64) {
	e.recalls <- struct{}{}
	defer func() { <-e.recalls }()
	event, err := e.ReadEvent(r.ctx, sequence)
	if err != nil {
		e.answer(r, answer{err: err})
		return
	}
	e.answer(r, confirm(event, sequence, r.command.(C)))
}

// recall parks an account until an event that its command needs is back in memory; other accounts go on.
func (e *Engine[S, C, E, V]) recall(a *account[S], r *request, sequence uint64) {
	for _, round := range []*round{e.inFlight, e.current} {
		if event, found := round.find(sequence); found {
			e.fold.domain.Recall(a.state, event.(E), sequence)
			e.takeCommand(a, r)
			return
		}
	}
	a.loading = true
	a.parked = append(a.parked, r)
	epoch := e.epoch
	go func() {
		e.recalls <- struct{}{}
		defer func() { <-e.recalls }()
		event, err := e.ReadEvent(context.WithoutCancel(r.ctx), sequence)
		select {
		case e.loaded <- loaded[S]{account: a, epoch: epoch, sequence: sequence, event: event, err: err}:
		case <-e.ended:
		}
	}()
}

// resume goes on with an account whose event is there.
func (e *Engine[S, C, E, V]) resume(l loaded[S]) {
	if l.epoch != e.epoch {
		return // the account was dropped meanwhile, and its callers were told
	}
	parked := l.account.parked
	l.account.parked, l.account.loading = nil, false
	if l.err != nil {
		e.answer(parked[0], answer{err: l.err})
		parked = parked[1:]
	} else if !e.guard(l.account.id, func() { e.fold.domain.Recall(l.account.state, l.event.(E), l.sequence) }) {
		e.deferred = append(e.deferred, parked...) // they are told with everybody else
		return
	}
	for _, r := range parked {
		e.take(r)
	}
}

// ReadEvent reads one stored event. Its error is a *failure.Error.
func (e *Engine[S, C, E, V]) ReadEvent(ctx context.Context, sequence uint64) (E, error) {
	var none E
	m, err := e.stream.Get(ctx, sequence)
	if err != nil {
		return none, ReadFailure(err)
	}
	return e.Decode(m)
}

// Decode decodes a stored message. Its error is a *failure.Error.
func (e *Engine[S, C, E, V]) Decode(m eventlog.Message) (E, error) {
	event := e.empty()
	if err := proto.Unmarshal(m.Data, event); err != nil {
		return event, failure.New(failure.Internal, "EVENT_UNREADABLE", "stored event %s:%d cannot be decoded; run cardlog verify", e.stream.Name(), m.Sequence)
	}
	return event, nil
}

// ReadFailure says in a *failure.Error why the log could not be read.
func ReadFailure(err error) error {
	var known *failure.Error
	var lost *eventlog.LostError
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &lost), errors.Is(err, eventlog.ErrNotFound):
		return failure.New(failure.Internal, "EVENT_MISSING", "a stored event is missing; run cardlog verify").Because(err)
	default:
		return failure.New(failure.Unavailable, "LOG_UNAVAILABLE", "the event log cannot be read just now; try again").Because(err)
	}
}
