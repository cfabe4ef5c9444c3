package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// serve decides commands until an append fails or ctx ends. A command that waits alone goes at once; those that come while a round is in flight share the next.
func (e *Engine[S, C, E, V]) serve(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		e.takeDeferred()
		if e.broken != nil {
			return e.broken // before anything that follows from it is sent
		}
		if len(e.current.items) > 0 && e.inFlight == nil {
			e.send(ctx)
		}
		e.keepUp()
		timer.Reset(e.untilDue())
		queue, loaded, arrivals := e.queue, e.loaded, e.arrivals
		if e.full() {
			queue, loaded, arrivals = nil, nil, nil
		}
		select {
		case r := <-queue:
			e.take(r)
			e.takeWaiting()
		case l := <-loaded:
			e.resume(l)
		case r := <-e.reached:
			e.reach(r)
		case l := <-arrivals:
			e.arrive(l)
		case a := <-e.appended:
			if a.err != nil {
				return e.giveUpRound(a.err)
			}
			e.settle()
		case r := <-e.rebuilds:
			if err := e.rebuild(ctx, r); err != nil {
				return err
			}
		case <-timer.C:
			e.expireDue()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// giveUpRound tells the callers of the round in flight that its append failed, and returns why.
func (e *Engine[S, C, E, V]) giveUpRound(cause error) error {
	e.refuse(e.inFlight, errSteppedOut.Because(cause))
	e.inFlight = nil
	return cause
}

// takeWaiting takes every command that waits, up to the round's bound.
func (e *Engine[S, C, E, V]) takeWaiting() {
	for !e.full() && e.broken == nil {
		select {
		case r := <-e.queue:
			e.take(r)
		default:
			return
		}
	}
}

// full says whether the round has as many events as one append takes.
func (e *Engine[S, C, E, V]) full() bool { return len(e.current.items) >= eventlog.RoundBound }

// takeDeferred takes up again what did not fit into the round before.
func (e *Engine[S, C, E, V]) takeDeferred() {
	deferred := e.deferred
	e.deferred = nil
	for i, r := range deferred {
		if e.broken != nil {
			e.deferred = append(e.deferred, deferred[i:]...)
			return
		}
		e.take(r)
	}
}

// take decides one request, or parks it behind what it needs.
func (e *Engine[S, C, E, V]) take(r *request) {
	a, absent := e.find(r)
	if absent {
		return
	}
	sound := e.guard(r.account, func() {
		switch {
		case r.ctx.Err() != nil:
			e.answer(r, answer{err: gaveUp(r.ctx)})
		case r.ask != nil:
			e.takeQuestion(a, r)
		case r.expire:
			e.takeExpiry(r)
		default:
			e.takeCommand(a, r)
		}
	})
	if !sound {
		e.answer(r, answer{err: errInconsistent.Because(e.broken)})
	}
}

func (e *Engine[S, C, E, V]) takeQuestion(a *account[S], r *request) {
	r.ask()
	var seen uint64
	if a != nil {
		seen = a.sequence
	}
	e.answerWhenDurable(r, seen, answer{})
}

// takeCommand decides a command about an account; nil: it has none yet.
func (e *Engine[S, C, E, V]) takeCommand(a *account[S], r *request) {
	command := r.command.(C)
	if a == nil {
		a = e.fold.begin(e.options.Subject(r.account))
	}
	if a.loading {
		a.parked = append(a.parked, r)
		return
	}
	now := e.now() // one time for all that this command sees
	if !e.expire(a, now) {
		e.deferred = append(e.deferred, r)
		return
	}
	lookup := e.fold.domain.Lookup(a.state, command) // after what is due: an expiry may have closed what the command is about
	switch {
	case lookup.Answer > e.durable:
		e.waiters[lookup.Answer] = append(e.waiters[lookup.Answer], waiter{request: r, repeat: true})
	case lookup.Answer != 0:
		go e.repeat(r, lookup.Answer)
	case lookup.Needs != 0:
		e.recall(a, r, lookup.Needs)
	default:
		e.decide(a, r, command, now)
	}
}

// decide puts the command's event into the round.
func (e *Engine[S, C, E, V]) decide(a *account[S], r *request, command C, now time.Time) {
	r.way.take()
	event, err := e.fold.domain.Decide(a.state, command, e.next(now))
	if err != nil {
		r.way.decide()
		// It may depend on what was decided just before: whoever hears it must be able to rely on that.
		e.answerWhenDurable(r, e.fold.last.Sequence, answer{err: err})
		return
	}
	e.add(a, event, r, now)
	r.way.decide()
}

// expire puts the account's events that are due into the round. It reports whether all of them fitted, with room for one more.
func (e *Engine[S, C, E, V]) expire(a *account[S], now time.Time) bool {
	for !e.full() {
		event, ok := e.fold.domain.Expire(a.state, e.next(now))
		if !ok {
			return true
		}
		e.add(a, event, nil, now)
	}
	return false
}

// add applies an event and puts it into the round.
func (e *Engine[S, C, E, V]) add(a *account[S], event E, r *request, now time.Time) {
	at := e.next(now)
	first := a.sequence == 0
	event.GetEnvelope().PreviousSequence = a.sequence
	data, hash, err := seal(&e.space, a.hash, event)
	if err == nil {
		err = e.fold.apply(a, event, at, hash)
	}
	if err != nil {
		panic(err)
	}
	if first {
		e.fold.keep(a)
	}
	e.list(a)
	if a.cell == nil {
		a.cell = e.views.cell(a.id)
	}
	header := e.header(event, at)
	if r != nil {
		header = r.way.join(e.current, header)
	}
	view := e.fold.domain.View(a.state)
	e.current.items = append(e.current.items, item{event: event, sequence: at.Sequence, request: r, cell: a.cell, view: &view})
	e.current.records = append(e.current.records, eventlog.Record{Subject: a.subject, Header: header, Data: data, Event: event})
	e.planDue(a)
}

// headerBound is how much room an event's header may need beside the names in it.
const headerBound = 160

// header returns the event's CloudEvents attributes.
func (e *Engine[S, C, E, V]) header(event E, at command.Position) eventlog.HeaderLines {
	attributes := eventlog.CloudEvent{
		Stream: e.stream.Name(), Sequence: at.Sequence, Source: e.options.Source, Type: e.fold.domain.EventType(event), Time: at.Time,
	}
	room := e.space.room(headerBound + len(attributes.Stream) + len(attributes.Source) + len(attributes.Type))
	return e.space.keep(attributes.AppendTo(room))
}

// next returns where the next event will be, if it is decided at a time.
func (e *Engine[S, C, E, V]) next(now time.Time) command.Position {
	return command.Position{Sequence: e.fold.last.Sequence + 1, Time: now}
}

// now is the later of the clock and the time of the stream's last event, in whole microseconds.
func (e *Engine[S, C, E, V]) now() time.Time {
	now := e.options.Clock().UTC().Truncate(time.Microsecond)
	if now.Before(e.fold.last.Time) {
		return e.fold.last.Time
	}
	return now
}

// answerWhenDurable answers at once when the sequence is durable, else when it is.
func (e *Engine[S, C, E, V]) answerWhenDurable(r *request, sequence uint64, a answer) {
	if sequence <= e.durable {
		e.answer(r, a)
		return
	}
	e.waiters[sequence] = append(e.waiters[sequence], waiter{request: r, answer: a})
}

// settle takes note that the round in flight is durable, and answers who waited for that.
func (e *Engine[S, C, E, V]) settle() {
	done := e.inFlight
	e.inFlight = nil
	e.durable = done.last()
	e.saveSettled()
	e.shrink(evictBound + len(done.items))
	if len(e.waiters) == 0 {
		return
	}
	for _, item := range done.items {
		for _, w := range e.waiters[item.sequence] {
			if w.repeat {
				e.answer(w.request, confirm(item.event.(E), item.sequence, w.request.command.(C)))
			} else {
				e.answer(w.request, w.answer)
			}
		}
		delete(e.waiters, item.sequence)
	}
}

// guard calls work of the domain. A panic is a broken invariant, and the end of this stream's service: then sound is false.
func (e *Engine[S, C, E, V]) guard(accountID string, work func()) (sound bool) {
	defer func() {
		if problem := recover(); problem != nil {
			e.options.Logger.LogAttrs(context.Background(), slog.LevelError, "broken invariant; this stream is not served any more",
				slog.String("stream", e.stream.Name()), slog.String("account", accountID), slog.String("problem", fmt.Sprint(problem)))
			e.broken = fmt.Errorf("%w: account %s", errBroken, accountID)
		}
	}()
	work()
	return true
}

var errInconsistent = failure.New(failure.Internal, "INTERNAL", "the account's state is inconsistent; nothing was stored; tell the operators")

// errBroken means that a decision broke an invariant of the domain.
var errBroken = errors.New("broken invariant")

// confirm answers a repeat with the stored event, if it is the same command's, or the same message's.
func confirm[E Event, C Command](event E, sequence uint64, repeated C) answer {
	envelope := event.GetEnvelope()
	if envelope.GetCommandKind() == repeated.Kind() && envelope.GetCommandId() == repeated.ID() {
		if !bytes.Equal(envelope.GetCommandDigest(), repeated.Digest()) {
			return answer{err: failure.New(failure.AlreadyExists, "ID_REUSED", "the id %s was used before with other content; nothing was changed; use a new id for a new command", repeated.ID())}
		}
		return answer{event: event, sequence: sequence, duplicate: true}
	}
	if carrier, carries := any(repeated).(Messenger); carries {
		if key, digest := carrier.Message(); len(key) > 0 && bytes.Equal(envelope.GetMessageKey(), key) {
			if !bytes.Equal(envelope.GetMessageDigest(), digest) {
				return answer{err: failure.New(failure.AlreadyExists, "MESSAGE_REUSED",
					"a message with this network, acquirer, STAN, time and RRN was answered before, under the id %s, and asked for something else; nothing was changed", envelope.GetCommandId())}
			}
			return answer{event: event, sequence: sequence, duplicate: true}
		}
	}
	return answer{err: failure.New(failure.AlreadyExists, "ID_COLLISION", "the id cannot be told apart from another one on this account; use another id")}
}
