package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// manualClock is a clock that stands until it is moved, in whole microseconds, as events have them. It may be read while it is moved.
type manualClock struct{ micros atomic.Int64 }

// newManualClock makes a clock that stands at a time, or in the microsecond after it.
func newManualClock(at time.Time) *manualClock {
	c := &manualClock{}
	c.micros.Store(at.Add(time.Microsecond - 1).UnixMicro())
	return c
}

// Now returns the time.
func (c *manualClock) Now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

// String is the time, to the second.
func (c *manualClock) String() string { return c.Now().Format(time.RFC3339) }

// clockEnd is the time that a manual clock cannot be moved beyond. Whatever is due years after it can still be counted in nanoseconds.
func clockEnd() time.Time { return time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC) }

// errClockBack means that a clock was to go back.
var errClockBack = errors.New("the clock never goes back")

// errClockEnd means that a clock was to go beyond its end.
var errClockEnd = errors.New("the clock ends before")

// set moves the clock to a time, in whole microseconds. Its error is errClockBack or errClockEnd; then it stands where it was.
func (c *manualClock) set(to time.Time) error {
	for {
		now := c.micros.Load()
		switch {
		case to.UnixMicro() < now:
			return errClockBack
		case to.After(clockEnd()):
			return errClockEnd
		case c.micros.CompareAndSwap(now, to.UnixMicro()):
			return nil
		}
	}
}

// errManualOutside refuses a manual clock where others may live by the same log.
var errManualOutside = errors.New("--manual-clock is for tests and demonstrations, and --nats names a server that others may rely on: " +
	"events from the future would stay in its streams for ever; leave one of them out, or add --manual-clock-outside-nats if that is what you want")

// stopTheClock makes the clock of the process a manual one. It stands at the later of the machine's time and the newest event in the log: time never goes back.
func (p *process) stopTheClock(ctx context.Context) error {
	newest, err := p.store.newestEvent(ctx)
	if err != nil {
		return err
	}
	now := p.config.clock()
	if now.Before(newest) {
		now = newest
	}
	p.clock = newManualClock(now)
	p.config.clock = p.clock.Now
	p.config.logger.WarnContext(ctx, "THE CLOCK IS MANUAL: time stands still until cardlog.admin.v1.ClockService moves it; for tests and demonstrations only, never for real accounts",
		slog.Time("clock", p.clock.Now()))
	return nil
}

// newestEvent returns the time of the newest fact in the log; zero where there is none.
func (s *store) newestEvent(ctx context.Context) (newest time.Time, err error) {
	names, err := s.log.StreamNames(ctx)
	if err != nil {
		return newest, err
	}
	for _, name := range names {
		if !slices.Contains(factStreams(), name) {
			continue
		}
		stream, err := s.log.ReadStream(ctx, name)
		if err != nil {
			return newest, err
		}
		decided, err := lastDecided(ctx, stream)
		if err != nil {
			return newest, err
		}
		if decided.After(newest) {
			newest = decided
		}
	}
	return newest, nil
}

// lastDecided returns the time of a stream's last event; zero where it has none.
func lastDecided(ctx context.Context, stream *eventlog.Stream) (decided time.Time, err error) {
	last, err := stream.Last(ctx)
	if err != nil || last == 0 {
		return decided, err
	}
	m, err := stream.Get(ctx, last)
	if errors.Is(err, eventlog.ErrNotFound) {
		return decided, nil // it is damaged: its service will refuse to serve, and say why
	}
	if err != nil {
		return decided, err
	}
	if decided, err = time.Parse(time.RFC3339Nano, m.Header.Get("ce-time")); err != nil {
		return decided, fmt.Errorf("%s:%d has no time: %w; run cardlog verify", stream.Name(), last, err)
	}
	return decided, nil
}

// moveBound is how long a move of the clock waits for what was stored before, and for what came due.
const moveBound = 30 * time.Second

// clockServer is the gRPC service that moves the clock.
type clockServer struct {
	adminv1.UnimplementedClockServiceServer
	process *process
	turn    chan struct{} // holds the one who moves the clock
}

// registerClock serves the clock where it can be moved.
func registerClock(p *process) {
	if p.clock != nil {
		adminv1.RegisterClockServiceServer(p.server, &clockServer{process: p, turn: make(chan struct{}, 1)})
	}
}

// Advance moves the clock forward.
func (s *clockServer) Advance(ctx context.Context, r *adminv1.AdvanceRequest) (*adminv1.AdvanceResponse, error) {
	if r.GetDuration().CheckValid() != nil {
		return nil, failure.InvalidField("duration", "must be a duration, its seconds and nanos of one sign")
	}
	now, err := s.move(ctx, "duration", func(now time.Time) time.Time { return now.Add(r.GetDuration().AsDuration()) })
	return &adminv1.AdvanceResponse{Time: now}, err
}

// Set moves the clock forward to a time.
func (s *clockServer) Set(ctx context.Context, r *adminv1.SetRequest) (*adminv1.SetResponse, error) {
	if r.GetTime().CheckValid() != nil {
		return nil, failure.InvalidField("time", "must be a time of the years 1 to 9999")
	}
	now, err := s.move(ctx, "time", func(time.Time) time.Time { return r.GetTime().AsTime() })
	return &adminv1.SetResponse{Time: now}, err
}

// move moves the clock to where a field of the request wants it, one move after another. What was stored before the call has reached the ledger before the clock
// moves, so that it counts from the time before.
func (s *clockServer) move(ctx context.Context, field string, to func(now time.Time) time.Time) (*timestamppb.Timestamp, error) {
	ctx, cancel := context.WithTimeout(ctx, moveBound)
	defer cancel()
	p := s.process
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, notMoved(ctx.Err())
	}
	select {
	case <-p.transactions.Ready():
	default:
		return nil, failure.New(failure.Unavailable, "STARTING", "the services are recovering from their logs, and the clock was not moved; try again")
	}
	if err := p.transactions.CatchUp(ctx); err != nil {
		return nil, notMoved(err)
	}
	now := p.clock.Now()
	switch err := p.clock.set(to(now)); {
	case errors.Is(err, errClockBack):
		return nil, failure.New(failure.Precondition, "TIME_NEVER_GOES_BACK", "the clock is at %s and never goes back; give that time or a later one", now.Format(time.RFC3339Nano))
	case errors.Is(err, errClockEnd):
		return nil, failure.InvalidField(field, "must not take the clock beyond %s; it is at %s", clockEnd().Format(time.RFC3339), now.Format(time.RFC3339Nano))
	}
	now = p.clock.Now()
	p.config.logger.InfoContext(ctx, "the clock was moved", slog.Time("clock", now))
	if err := p.transactions.ExpireDue(ctx); err != nil {
		return nil, failure.New(failure.Unavailable, "STILL_EXPIRING",
			"the clock was moved to %s, but not all that came due by then is known to be stored; advance it by 0 to wait for that", now.Format(time.RFC3339Nano)).Because(err)
	}
	return timestamppb.New(now), nil
}

func notMoved(cause error) error {
	return failure.New(failure.Unavailable, "CATCHING_UP", "the ledger has not caught up with accounts and payments, and the clock was not moved; try again").Because(cause)
}
