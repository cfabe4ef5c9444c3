package transactions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// Bounds of the follower.
const (
	// inFlightBound is how many events of ACCOUNTS may be on their way into the ledger.
	inFlightBound = engine.ReservedBound - 16 // some more are between the queues
	// firstBackoff and lastBackoff bound the wait before the follower tries again.
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// follower carries the events of ACCOUNTS into the ledger and the card index: in order, at least once, and to one effect, because the ledger knows the newest event
// of ACCOUNTS that each account has seen, and refuses to leave one out.
type follower struct {
	service *Service
	cards   *cardIndex

	mu      sync.Mutex
	indexed uint64        // all cards up to this event of ACCOUNTS are in the index
	applied uint64        // all events up to this one are durable in the ledger
	moved   chan struct{} // closed when either grows
	stopped bool          // at an event that cannot be followed
}

func newFollower(s *Service) *follower {
	return &follower{service: s, cards: newCardIndex(), moved: make(chan struct{})}
}

// carried is an event on its way into the ledger.
type carried struct {
	sequence uint64
	ticket   *engine.Ticket[*eventsv1.LedgerEvent] // nil where the ledger has it already
}

// errUnreadable means that an event can never be followed.
var errUnreadable = errors.New("the event cannot be followed")

// run follows until ctx ends. What passes is tried again; an event that cannot be read stops it for good.
func (f *follower) run(ctx context.Context) error {
	logger := f.service.options.Logger
	if err := f.checkUpstream(); err != nil {
		logger.ErrorContext(ctx, "not following ACCOUNTS", slog.Any("error", err))
		return err
	}
	go f.announceReady(ctx)
	backoff := firstBackoff
	for {
		before, _ := f.positions()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end was asked for, and is no failure
		}
		if errors.Is(err, errUnreadable) {
			f.stop()
			logger.ErrorContext(ctx, "stopped following ACCOUNTS", slog.Any("error", err))
			return err
		}
		if after, _ := f.positions(); after > before {
			backoff = firstBackoff
		}
		logger.WarnContext(ctx, "following ACCOUNTS again", slog.Duration("after", backoff), slog.Any("error", err))
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// checkUpstream returns an error when the ledger has seen events that ACCOUNTS does not have: then ACCOUNTS has lost them, and what is decided there now would
// be taken for them.
func (f *follower) checkUpstream() (err error) {
	for _, shard := range f.service.shards {
		shard.EachView(func(accountID string, view ledger.View) bool {
			if last := f.service.options.Accounts.LastSequence(accountID); view.AccountsSequence > last {
				err = fmt.Errorf("%w: ACCOUNTS has lost acknowledged events: the ledger of account %s has seen sequences up to %d, ACCOUNTS ends at %d; restore it from a backup",
					errUnreadable, accountID, view.AccountsSequence, last)
			}
			return err == nil
		})
	}
	return err
}

// announceReady makes the service serve when everything that ACCOUNTS held at the start is in the ledger.
func (f *follower) announceReady(ctx context.Context) {
	end, _ := f.service.options.Accounts.Stream().Durable()
	if f.await(ctx, func() bool { applied, _ := f.positions(); return applied >= end }) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stopped {
		f.service.setServing(len(f.service.shards), true)
		close(f.service.ready)
	}
}

// stop makes the service not serve for good.
func (f *follower) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	f.service.setServing(len(f.service.shards), false)
}

// follow carries events on from the last one applied, several at a time, until something fails.
func (f *follower) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	underway := make(chan carried, inFlightBound)
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		for c := range underway {
			if err := f.settle(ctx, c); err != nil {
				cancel(err)
				break
			}
		}
		for c := range underway { // what is on its way must have ended before anything is sent again; it does not count as applied
			if c.ticket != nil {
				_, _ = c.ticket.Wait(context.WithoutCancel(ctx))
			}
		}
	}()
	applied, _ := f.positions()
	err := f.service.options.Accounts.Stream().Follow(ctx, applied, func(m eventlog.Message) error {
		c, err := f.carry(ctx, m)
		if err != nil {
			return err
		}
		select {
		case underway <- c:
			return nil
		case <-ctx.Done():
			if c.ticket != nil {
				_, _ = c.ticket.Wait(context.WithoutCancel(ctx))
			}
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

// carry puts one event of ACCOUNTS into the index and on its way into the ledger.
func (f *follower) carry(ctx context.Context, m eventlog.Message) (carried, error) {
	event := &eventsv1.AccountEvent{}
	if err := proto.Unmarshal(m.Data, event); err != nil {
		return carried{}, fmt.Errorf("%w: ACCOUNTS:%d cannot be decoded", errUnreadable, m.Sequence)
	}
	f.cards.add(event)
	f.move(0, m.Sequence)
	accountID := event.GetEnvelope().GetAccountId()
	shard := f.service.shard(accountID)
	if view, known := shard.View(accountID); known && view.AccountsSequence >= m.Sequence {
		return carried{sequence: m.Sequence}, nil
	}
	ticket := shard.EnqueueReserved(ctx, &ledger.FollowAccounts{Event: event, Sequence: m.Sequence})
	return carried{sequence: m.Sequence, ticket: &ticket}, nil
}

// settle waits until an event is durable in the ledger.
func (f *follower) settle(ctx context.Context, c carried) error {
	if c.ticket != nil {
		var refused *failure.Error
		_, err := c.ticket.Wait(ctx)
		switch {
		case errors.As(err, &refused) && refused.Reason == ledger.ReasonFollowed:
		case errors.As(err, &refused) && refused.Kind == failure.Internal:
			return fmt.Errorf("%w: ACCOUNTS:%d: %w", errUnreadable, c.sequence, err)
		case err != nil:
			return fmt.Errorf("ACCOUNTS:%d: %w", c.sequence, err)
		}
	}
	f.move(c.sequence, 0)
	return nil
}

func (f *follower) positions() (applied, indexed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied, f.indexed
}

// move notes progress and wakes who waits for it.
func (f *follower) move(applied, indexed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.indexed, f.applied = max(f.indexed, indexed), max(f.applied, applied)
	close(f.moved)
	f.moved = make(chan struct{})
}

// await returns nil when there, which is asked again after each progress, says so; else the error of ctx.
func (f *follower) await(ctx context.Context, there func() bool) error {
	for {
		f.mu.Lock()
		moved := f.moved
		f.mu.Unlock()
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
