package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// Bounds and times of an engine.
const (
	// queueBound is how many commands may be under way at once: deciding, waiting for a recalled event, or waiting for the disk.
	queueBound = 8192
	// ReservedBound is how many more a follower may have under way.
	ReservedBound = 256
	// recallBound is how many stored events may be read at once for the commands that need them.
	recallBound = 64
	// recoverDelay is how long an engine waits before it tries to recover again.
	recoverDelay = 500 * time.Millisecond
)

// Engine is the one writer of a stream.
type Engine[S any, C Command, E Event, V any] struct {
	stream  *eventlog.Stream
	options Options[S, C, E, V]
	empty   func() E           // an event to decode into
	reader  Domain[S, C, E, V] // for what changes nothing; any goroutine may use it
	codec   Codec[S, E, V]
	store   *checkpoint.Store // nil where every account is in memory

	queue    chan *request
	loaded   chan loaded[S]
	arrivals chan arrival[S]
	reached  chan reached
	appended chan roundEnd
	ended    chan struct{} // closed when the engine has ended for good
	rebuilds chan rebuilding[S, C, E, V]
	recalls  chan struct{} // room for reads of stored events

	underway atomic.Int64
	views    views[V]
	inMemory atomic.Int64
	changed  atomic.Pointer[chan struct{}]
	health   health
	meter    meter

	// What follows belongs to the engine's goroutine. It is speculative: it holds what is decided and perhaps not yet durable.
	fold     *Fold[S, C, E, V]
	durable  uint64
	epoch    int // grows when speculative state is dropped
	current  *round
	inFlight *round
	waiters  map[uint64][]waiter // by the sequence that must be durable first
	deferred []*request          // did not fit into the round
	plan     duePlan
	space    space
	wanted   int   // accounts that are being loaded because something of them is due
	broken   error // a decision broke an invariant: the end of this engine

	marked     uint64 // how far the checkpoints reach, and when that was noted
	markedTime time.Time
	newest     reached       // of the marks that the store was told
	dirty      []*account[S] // whose states are to be written by the next pass
	pass       *pass[S]      // under way
	saves      []saving[S]   // states after the round in flight
}

// Options say what an engine runs.
type Options[S any, C Command, E Event, V any] struct {
	// Domain makes the rules. It is called for a new one each time the engine recovers.
	Domain func() Domain[S, C, E, V]
	// Subject of an account's events.
	Subject func(accountID string) string
	// Source is the CloudEvents source of the events.
	Source string
	// Clock tells the time.
	Clock func() time.Time
	// Logger hears of recoveries and failures.
	Logger *slog.Logger
	// OnHealth hears whether the engine serves.
	OnHealth func(serving bool)
	// Admit returns nil, or a *failure.Error that commands are refused with, such as that the disk is almost full. Reads go on. Optional.
	Admit func() error
	// Journal hears of every event that became durable. Optional.
	Journal Journal[E]
	// Tracer makes the spans of commands whose call is traced. Optional.
	Tracer trace.Tracer
	// Checkpoints keep states in files, where the Domain is a Codec. Optional.
	Checkpoints Checkpoints
}

// Journal hears of events that became durable, in order. It must not wait: the next round does until it returns.
type Journal[E Event] func(entries []Entry[E])

// Entry is an event that became durable.
type Entry[E Event] struct {
	// Event as it is stored, without its chain hash, and its sequence.
	Event    E
	Sequence uint64
	// Took is the time from the command's arrival until its event was durable; 0 for an event without a command.
	Took time.Duration
}

// New makes an engine for a stream. Run starts it.
func New[S any, C Command, E Event, V any](stream *eventlog.Stream, options Options[S, C, E, V]) *Engine[S, C, E, V] {
	e := &Engine[S, C, E, V]{
		stream: stream, options: options, empty: options.Domain().Empty, reader: options.Domain(),
		queue:    make(chan *request, queueBound+ReservedBound),
		loaded:   make(chan loaded[S], recallBound),
		arrivals: make(chan arrival[S], recallBound),
		reached:  make(chan reached),
		appended: make(chan roundEnd, 1),
		ended:    make(chan struct{}),
		rebuilds: make(chan rebuilding[S, C, E, V]),
		recalls:  make(chan struct{}, recallBound),
		health:   health{ready: make(chan struct{}), onChange: options.OnHealth},
		meter:    newMeter(stream.Name()),
	}
	e.announce()
	return e
}

// Submit decides a command and returns when its event is durable, or with a *failure.Error.
func (e *Engine[S, C, E, V]) Submit(ctx context.Context, command C) (Result[E], error) {
	return e.Enqueue(ctx, command).Wait(ctx)
}

// Enqueue puts a command behind those enqueued before it. Its ticket gives the answer.
func (e *Engine[S, C, E, V]) Enqueue(ctx context.Context, command C) Ticket[E] {
	return Ticket[E]{e.enqueue(e.newRequest(ctx, command), queueBound)}
}

// EnqueueIfRoom is Enqueue for who can wait: it leaves half of the room to those who cannot. ok is false, and the command is not under way, when the other half is taken.
func (e *Engine[S, C, E, V]) EnqueueIfRoom(ctx context.Context, command C) (ticket Ticket[E], ok bool) {
	if e.underway.Load() >= queueBound/2 {
		return ticket, false
	}
	return e.Enqueue(ctx, command), true
}

// EnqueueReserved is Enqueue for a follower, which finds room where callers are refused: else they could keep out what they wait for. One follower may have
// ReservedBound commands under way.
func (e *Engine[S, C, E, V]) EnqueueReserved(ctx context.Context, command C) Ticket[E] {
	return Ticket[E]{e.enqueue(e.newRequest(ctx, command), queueBound+ReservedBound)}
}

func (e *Engine[S, C, E, V]) newRequest(ctx context.Context, command C) *request {
	return &request{ctx: ctx, account: command.Account(), command: command, arrived: time.Now(), way: newWay(ctx, e.options.Tracer), done: make(chan answer, 1)}
}

// Ask calls question with the state of an account as all commands enqueued before have left it, on the engine's goroutine, and returns when that state is durable.
// The question must not keep or change the state. It is not called for an account without events: then known is false.
func (e *Engine[S, C, E, V]) Ask(ctx context.Context, accountID string, question func(state S, now time.Time)) (known bool, err error) {
	r := &request{ctx: ctx, account: accountID, done: make(chan answer, 1)}
	asked := false
	r.ask = func() {
		if a := e.fold.accounts[accountID]; a != nil {
			asked = true
			question(a.state, e.now())
		}
	}
	if a := e.enqueue(r, queueBound).wait(ctx); a.err != nil {
		return false, a.err // the question may be being asked just now
	}
	return asked, nil
}

// ExpireDue makes the engine look at the clock again, for one that was moved by hand, and returns when everything that is due by then is durable.
func (e *Engine[S, C, E, V]) ExpireDue(ctx context.Context) error {
	return e.enqueue(&request{ctx: ctx, expire: true, done: make(chan answer, 1)}, queueBound).wait(ctx).err
}

func (e *Engine[S, C, E, V]) enqueue(r *request, bound int64) *request {
	if !e.health.serving.Load() {
		r.done <- answer{err: e.health.refusal()}
		return r
	}
	if e.options.Admit != nil && r.command != nil {
		if err := e.options.Admit(); err != nil {
			r.done <- answer{err: err}
			return r
		}
	}
	if e.underway.Add(1) > bound {
		e.underway.Add(-1)
		r.done <- answer{err: errOverloaded}
		return r
	}
	e.queue <- r // has room for all that may be under way
	if !e.health.serving.Load() {
		e.drain(e.health.refusal()) // it may have come just after the engine stopped looking
	}
	return r
}

// answer ends a request.
func (e *Engine[S, C, E, V]) answer(r *request, a answer) {
	e.underway.Add(-1)
	r.done <- a
	e.trace(r, a)
}

// Changed returns a channel that is closed when more views are published. Take it before reading a view that may be waited for.
func (e *Engine[S, C, E, V]) Changed() <-chan struct{} { return *e.changed.Load() }

// announce wakes whoever waits for views.
func (e *Engine[S, C, E, V]) announce() {
	next := make(chan struct{})
	if last := e.changed.Swap(&next); last != nil {
		close(*last)
	}
}

// Stream returns the stream that the engine writes.
func (e *Engine[S, C, E, V]) Stream() *eventlog.Stream { return e.stream }

// Ready is closed when the engine has recovered for the first time.
func (e *Engine[S, C, E, V]) Ready() <-chan struct{} { return e.health.ready }

// Run recovers from the log and serves until ctx ends; whoever still waits is then answered UNAVAILABLE, and what was appended is stored. When the engine loses
// its stream to another writer, or cannot know what it stored, it steps down, recovers and goes on. It returns an error only when the log itself is damaged.
func (e *Engine[S, C, E, V]) Run(ctx context.Context) error {
	e.openStore()
	defer e.stop()
	for {
		err := e.recover(ctx)
		if err == nil {
			e.health.set(true, nil)
			err = e.serve(ctx)
			e.stepDown(err)
			if ctx.Err() == nil {
				e.meter.steppedDown(err)
			} else {
				e.saveAll()
			}
		}
		if damaged(err) {
			e.options.Logger.ErrorContext(ctx, "this stream is not served", slog.String("stream", e.stream.Name()), slog.Any("error", err))
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		e.options.Logger.WarnContext(ctx, "stepped down; recovering from the log", slog.String("stream", e.stream.Name()), slog.Any("error", err))
		select {
		case <-time.After(recoverDelay):
		case <-ctx.Done():
			return nil
		}
	}
}

// damaged says whether an error is one that trying again cannot mend.
func damaged(err error) bool {
	var lost *eventlog.LostError
	var gap *eventlog.GapError
	var event *EventError
	return errors.As(err, &lost) || errors.As(err, &gap) || errors.As(err, &event) ||
		errors.Is(err, eventlog.ErrSyncFailed) || errors.Is(err, errBroken)
}

// recover makes the state from the log and publishes it. It ends with a barrier, so nothing that was merely written is shown.
func (e *Engine[S, C, E, V]) recover(ctx context.Context) error {
	if err := e.stream.Drain(ctx); err != nil {
		return err
	}
	last, err := e.stream.Check(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	e.fold = NewFold(e.options.Domain())
	if err := e.startFromCheckpoints(ctx, last); err != nil {
		return err
	}
	from := e.fold.last.Sequence
	if err := e.foldThrough(ctx, e.fold, last); err != nil {
		return err
	}
	if err := e.stream.Settle(last); err != nil {
		return err
	}
	e.epoch++
	e.durable = last
	e.current, e.inFlight, e.deferred = &round{}, nil, nil
	e.waiters = map[uint64][]waiter{}
	e.showAll()
	e.options.Logger.InfoContext(ctx, "recovered", slog.String("stream", e.stream.Name()), slog.Uint64("events", last), slog.Uint64("checkpoint", from),
		slog.Int("accounts", e.accounts()), slog.Duration("took", time.Since(began)))
	return nil
}

// showAll plans what is due and publishes the views, from a state that was made anew and is durable.
func (e *Engine[S, C, E, V]) showAll() {
	e.planAll()
	for _, a := range e.fold.accounts {
		e.planDue(a)
		e.show(a)
		e.list(a)
	}
	e.inMemory.Store(int64(len(e.fold.accounts)))
	e.announce()
}

// accounts returns how many accounts there are, about: those that are new since the last checkpoint and not in memory any more are in the store too.
func (e *Engine[S, C, E, V]) accounts() int {
	if e.store == nil {
		return len(e.fold.accounts)
	}
	return max(e.store.Len(), len(e.fold.accounts))
}

// show publishes the view of an account whose state is durable.
func (e *Engine[S, C, E, V]) show(a *account[S]) {
	view := e.fold.domain.View(a.state)
	cell := e.views.cell(a.id)
	cell.Store(&view)
	a.cell = cell
}

// stepDown drops everything that is decided and not stored, and tells the callers to try again.
func (e *Engine[S, C, E, V]) stepDown(cause error) {
	refusal := errSteppedOut.Because(cause)
	e.health.set(false, refusal)
	if e.inFlight != nil {
		if a := <-e.appended; a.err != nil { // else its callers have their answers
			e.refuse(e.inFlight, refusal)
		} else {
			e.durable = e.inFlight.last()
		}
	}
	e.refuse(e.current, refusal)
	for _, waiting := range e.waiters {
		for _, w := range waiting {
			e.answer(w.request, answer{err: refusal})
		}
	}
	for _, r := range e.deferred {
		e.answer(r, answer{err: refusal})
	}
	for _, a := range e.fold.accounts {
		for _, r := range a.parked {
			e.answer(r, answer{err: refusal})
		}
	}
	e.inFlight, e.current, e.waiters, e.deferred = nil, nil, nil, nil
	e.drain(refusal)
}

// refuse answers everyone whose event is in a round.
func (e *Engine[S, C, E, V]) refuse(r *round, refusal *failure.Error) {
	for _, item := range r.items {
		if item.request != nil {
			e.answer(item.request, answer{err: refusal})
		}
	}
}

// drain answers everyone in the queue.
func (e *Engine[S, C, E, V]) drain(refusal error) {
	for {
		select {
		case r := <-e.queue:
			e.answer(r, answer{err: refusal})
		default:
			return
		}
	}
}

// stop refuses whoever comes after the end.
func (e *Engine[S, C, E, V]) stop() {
	e.health.set(false, errStopped)
	e.drain(errStopped)
	close(e.ended)
	if e.store != nil {
		if err := e.store.Close(); err != nil {
			e.options.Logger.Warn("the checkpoints could not be written", slog.String("stream", e.stream.Name()), slog.Any("error", err))
		}
	}
}
