// Package follower carries the events of a stream to where another service needs them: in order, at least once, several at a time, through a durable consumer
// that has the follower's name. What passes is tried again with growing waits; at an event that cannot be read it stops for good, loudly.
package follower

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// Waits before a follower tries again.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
	// absentWait is how often a follower looks for a stream that does not exist yet.
	absentWait = 250 * time.Millisecond
)

// acksApart is how many events may be applied between two acknowledgements while more are under way.
const acksApart = 64

// ErrUnreadable means that an event can never be followed.
var ErrUnreadable = errors.New("the event cannot be followed")

// Unreadable makes an error of an event that can never be followed.
func Unreadable(stream string, sequence uint64, problem error) error {
	return fmt.Errorf("%w: %s:%d: %w", ErrUnreadable, stream, sequence, problem)
}

// Settle returns when what was begun for an event is durable. Its error is passing, unless it is ErrUnreadable.
type Settle func(ctx context.Context) error

// Options say what a follower does. V is its view: local state that it makes from the stream alone.
type Options[V any] struct {
	// Name of the follower, and of its durable consumer.
	Name string
	// Upstream to follow.
	Upstream Upstream
	// InFlight bounds how many events may be begun and not settled.
	InFlight int
	// NewView makes an empty view. Optional: the zero value.
	NewView func() V
	// OpenView makes the view that the follower begins with, where that may be one that an earlier process left. Optional: NewView makes it.
	OpenView func() V
	// Kept returns the table that a view is kept in. What is in it is of no use when it does not belong to the stream. Optional: views are made from the stream.
	Kept func(view V) *checkpoint.Table
	// Fold takes an event into a view; events may come again. Optional.
	Fold func(view V, m eventlog.Message) error
	// Handle begins what is to be done for an event, in order. A nil Settle means that it is done. Optional.
	Handle func(ctx context.Context, m eventlog.Message) (Settle, error)
	// Resume says after which event to go on, at the start and after each fault, given the position of the durable consumer. Optional: the position itself.
	Resume func(ctx context.Context, position uint64) (uint64, error)
	// Check is called before the first event with the end of the stream: an error stops the follower for good. Optional.
	Check func(ctx context.Context, end uint64) error
	// Tracer makes a span of each event whose call is traced. Optional.
	Tracer trace.Tracer
	// Logger hears of faults.
	Logger *slog.Logger
	// OnServing hears whether the follower has caught up with what was there at the start, and goes on.
	OnServing func(serving bool)
}

// State says whether a follower goes on.
type State int

// The states of a follower.
const (
	// Starting waits for the stream to exist, or reads what was there before.
	Starting State = iota
	// Following goes on.
	Following
	// Retrying waits after a passing fault.
	Retrying
	// Stopped will not go on: an event cannot be followed.
	Stopped
)

// Follower follows one stream.
type Follower[V any] struct {
	options Options[V]
	view    atomic.Pointer[V]
	ready   chan struct{}

	opening sync.Once
	folding sync.Mutex       // held while an event is taken into the view
	newest  eventlog.Message // taken into the view
	marked  uint64           // up to where it was noted that the view on file reaches

	mu       sync.Mutex
	stream   *eventlog.Stream
	consumer *eventlog.Consumer
	folded   uint64        // the view has all events up to this one
	applied  uint64        // all events up to this one are settled
	moved    chan struct{} // closed when one of them grows, or the state changes; nil while nobody waits
	state    State
	problem  error
}

// New makes a follower. Run starts it.
func New[V any](options Options[V]) *Follower[V] {
	if options.NewView == nil {
		options.NewView = func() (none V) { return none }
	}
	f := &Follower[V]{options: options, ready: make(chan struct{})}
	view := options.NewView()
	f.view.Store(&view)
	return f
}

// View returns the local state.
func (f *Follower[V]) View() V { return *f.view.Load() }

// Ready is closed when everything that the stream held at the start is applied, or when the stream does not exist yet.
func (f *Follower[V]) Ready() <-chan struct{} { return f.ready }

// Stream returns the stream, or nil while it is not open.
func (f *Follower[V]) Stream() *eventlog.Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stream
}

// Run follows until ctx ends. It returns an error only when an event can never be followed.
func (f *Follower[V]) Run(ctx context.Context) error {
	f.Prepare()
	defer f.closeView(ctx)
	if ready := f.options.Upstream.Ready; ready != nil && !AwaitReady(ctx, ready) {
		return nil
	}
	wait := firstBackoff
	for {
		before := f.Position()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil // the end was asked for, and is no failure
		}
		if errors.Is(err, ErrUnreadable) {
			f.set(Stopped, err)
			f.options.Logger.ErrorContext(ctx, "a follower stopped for good", slog.String("follower", f.options.Name),
				slog.String("stream", f.options.Upstream.Name), slog.Uint64("after", f.Position()), slog.Any("error", err))
			return err
		}
		if f.Position() > before {
			wait = firstBackoff
		}
		pause := wait
		if errors.Is(err, eventlog.ErrNotFound) && f.Stream() == nil {
			pause = absentWait
			f.beReady() // nothing can have been missed
		} else {
			f.set(Retrying, err)
			f.options.Logger.WarnContext(ctx, "following again", slog.String("follower", f.options.Name), slog.String("stream", f.options.Upstream.Name),
				slog.Uint64("after", f.Position()), slog.Duration("wait", pause), slog.Any("error", err))
			wait = min(2*wait, lastBackoff)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow opens the stream and carries its events on until something fails.
func (f *Follower[V]) follow(ctx context.Context) error {
	after, end, err := f.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	underway := make(chan begun, f.options.InFlight)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		f.settleAll(ctx, cancel, underway)
	}()
	f.set(Following, nil)
	if after >= end {
		f.beReady()
	}
	err = f.consumer.Follow(ctx, after, func(m eventlog.Message) error {
		b, err := f.begin(ctx, m)
		if err != nil {
			return err
		}
		b.last = m.Sequence == end
		select {
		case underway <- b:
			return nil
		case <-ctx.Done():
			abandon(ctx, b)
			return ctx.Err()
		}
	})
	close(underway)
	<-settled
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// open opens the stream and the consumer and brings the view to where following goes on.
func (f *Follower[V]) open(ctx context.Context) (after, end uint64, err error) {
	stream := f.Stream()
	if stream == nil {
		if stream, err = f.options.Upstream.Open(ctx); err != nil {
			return 0, 0, err
		}
		f.mu.Lock()
		f.stream = stream
		f.mu.Unlock()
	}
	first := f.consumer == nil
	if first {
		consumer, err := stream.OpenConsumer(ctx, f.options.Name, f.options.InFlight)
		if err != nil {
			return 0, 0, err
		}
		if end, err = stream.End(ctx); err != nil {
			return 0, 0, err
		}
		if f.options.Check != nil {
			if err := f.options.Check(ctx, end); err != nil {
				return 0, 0, err
			}
		}
		f.consumer = consumer
	}
	position := f.Position()
	if first {
		if err := f.takeUpView(ctx, end); err != nil {
			f.consumer = nil
			return 0, 0, err
		}
		if position, err = f.consumer.Position(ctx); err != nil {
			f.consumer = nil
			return 0, 0, err
		}
		if position > end { // the stream was restored from a backup: what comes will be compared event by event
			position = 0
		}
	}
	if f.options.Resume != nil {
		if position, err = f.options.Resume(ctx, position); err != nil {
			return 0, 0, err
		}
	}
	if err := f.catchUpView(ctx, position); err != nil {
		return 0, 0, err
	}
	f.move(position)
	return position, end, nil
}

// begun is an event on its way.
type begun struct {
	sequence uint64
	settle   Settle
	last     bool       // of those that were there at the start
	span     trace.Span // nil where it is not traced
}

// begin takes one event into the view and begins what is to be done for it.
func (f *Follower[V]) begin(ctx context.Context, m eventlog.Message) (begun, error) {
	b := begun{sequence: m.Sequence}
	ctx, b.span = f.trace(ctx, m)
	err := f.fold(m)
	if err == nil && f.options.Handle != nil {
		b.settle, err = f.options.Handle(ctx, m)
	}
	if err != nil {
		endSpan(b.span, err)
	}
	return b, err
}

// settleAll waits for one event after the other, and acknowledges them. After a fault it only waits until what is under way has ended.
func (f *Follower[V]) settleAll(ctx context.Context, fail context.CancelCauseFunc, underway <-chan begun) {
	unacknowledged := 0
	for b := range underway {
		if err := b.end(ctx); err != nil {
			fail(err)
			break
		}
		f.move(b.sequence)
		if b.last {
			f.beReady()
		}
		if unacknowledged++; unacknowledged >= acksApart || len(underway) == 0 {
			unacknowledged = 0
			if err := f.consumer.Ack(b.sequence); err != nil {
				fail(err)
				break
			}
		}
	}
	for b := range underway {
		abandon(ctx, b)
	}
}

// abandon waits until what was begun has ended: it must have, before anything is begun again. It does not count as applied.
func abandon(ctx context.Context, b begun) { _ = b.end(context.WithoutCancel(ctx)) }

// end waits until what was begun has ended.
func (b begun) end(ctx context.Context) (err error) {
	if b.settle != nil {
		err = b.settle(ctx)
	}
	endSpan(b.span, err)
	return err
}

// Position returns the sequence up to which everything is applied.
func (f *Follower[V]) Position() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied
}

// Current says whether everything is applied that is durable in a stream of this process. That of another process is not known to be.
func (f *Follower[V]) Current() bool {
	f.mu.Lock()
	stream, applied := f.stream, f.applied
	f.mu.Unlock()
	if stream == nil || f.options.Upstream.LastSequence == nil {
		return false
	}
	durable, _ := stream.Durable()
	return applied >= durable
}

// Folded returns the sequence up to which the view has everything.
func (f *Follower[V]) Folded() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.folded
}

// move notes that everything up to a sequence is applied.
func (f *Follower[V]) move(applied uint64) {
	f.change(func() { f.applied = max(f.applied, applied) })
}

// set notes how the follower is, and tells.
func (f *Follower[V]) set(state State, problem error) {
	f.change(func() { f.state, f.problem = state, problem })
	select {
	case <-f.ready:
		if f.options.OnServing != nil {
			f.options.OnServing(state != Stopped)
		}
	default:
	}
}

// beReady makes the follower serve when everything is applied that was there at the start.
func (f *Follower[V]) beReady() {
	select {
	case <-f.ready:
		return
	default:
	}
	close(f.ready)
	if f.options.OnServing != nil {
		f.options.OnServing(true)
	}
}

// change changes what is under the lock, and wakes who waits for that.
func (f *Follower[V]) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}

// nextMove returns a channel that is closed at the next change.
func (f *Follower[V]) nextMove() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved == nil {
		f.moved = make(chan struct{})
	}
	return f.moved
}

// Await returns nil when there, which is asked again after each progress, says so; else the error of ctx.
func (f *Follower[V]) Await(ctx context.Context, there func() bool) error {
	for {
		moved := f.nextMove()
		if there() {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// CatchUp waits a bounded time until there says so, and reports whether it did. Its error is that of ctx.
func (f *Follower[V]) CatchUp(ctx context.Context, bound time.Duration, there func() bool) (bool, error) {
	if there() {
		return true, nil
	}
	waiting, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if f.Await(waiting, there) == nil {
		return true, nil
	}
	return false, ctx.Err()
}

// AwaitEnd waits a bounded time until there says so, or until everything is applied that the stream held when the call came, and reports whether it came to that.
// Where there is no stream, there is nothing to wait for. Its error is that of ctx.
func (f *Follower[V]) AwaitEnd(ctx context.Context, bound time.Duration, there func() bool) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	end, err := f.end(asking)
	if err != nil {
		return false, ctx.Err()
	}
	return f.CatchUp(ctx, bound, func() bool { return there() || f.Position() >= end })
}

// end returns the sequence of the last event of the stream, also when that was made a moment ago and is not open yet; 0 where there is none.
func (f *Follower[V]) end(ctx context.Context) (last uint64, err error) {
	stream := f.Stream()
	if stream == nil {
		if stream, err = f.options.Upstream.Open(ctx); err != nil {
			if errors.Is(err, eventlog.ErrNotFound) {
				err = nil
			}
			return 0, err
		}
	}
	return stream.End(ctx)
}

// AwaitAll returns when everything is applied that the stream held when it was called: nothing where there is no stream. Its error is that of ctx, or of the log.
func (f *Follower[V]) AwaitAll(ctx context.Context) error {
	end, err := f.end(ctx)
	if err != nil {
		return err
	}
	return f.Await(ctx, func() bool { return f.Position() >= end })
}

// Newest returns the sequence of an account's newest durable event that the follower must see; 0 where that is not known.
func (f *Follower[V]) Newest(accountID string) uint64 {
	if f.options.Upstream.LastSequence == nil {
		return 0
	}
	return f.options.Upstream.LastSequence(accountID)
}

// Status is how far a follower is.
type Status struct {
	// Follower and Stream name it.
	Follower, Stream string
	// Position is the sequence up to which everything is applied, Last that of the stream's last event; 0 where there is no stream yet.
	Position, Last uint64
	// State says whether it goes on, Problem why not.
	State   State
	Problem error
}

// Status returns how far the follower is.
func (f *Follower[V]) Status(ctx context.Context) Status {
	var last uint64
	if stream := f.Stream(); stream != nil {
		last, _ = stream.End(ctx) // else it shows as caught up, with the problem beside it
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return Status{Follower: f.options.Name, Stream: f.options.Upstream.Name, Position: f.applied, Last: max(last, f.applied), State: f.state, Problem: f.problem}
}

// Following says whether the follower goes on.
func (s Status) Following() bool { return s.State == Following }
