package transactions

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// followerName is the name of this service's durable consumers.
const followerName = "transactions"

// inFlightBound is how many events of one stream may be on their way into the ledger. Two streams are followed, and some more events are between the queues.
const inFlightBound = engine.ReservedBound/2 - 16

// accountsFollower carries the events of ACCOUNTS into the card index and the ledger.
type accountsFollower = follower.Follower[*cardIndex]

// paymentsFollower carries the movements of PAYMENTS into the ledger.
type paymentsFollower = follower.Follower[struct{}]

// carrier carries the events of one stream into the ledger: in order, at least once, and to one effect, because the ledger knows the newest event of the stream that
// each account has seen, and refuses to leave one out.
type carrier struct {
	service  *Service
	upstream follower.Upstream
	// seen returns the newest event of the stream that an account's ledger has seen.
	seen func(followed) uint64
	// broken is the sequence of an event that did not follow from what the ledger has seen; 0 when there is none.
	broken atomic.Uint64
	// seenThrough is the sequence up to which the ledger has seen everything for certain, at the start.
	seenThrough uint64
}

func newAccountsFollower(s *Service) *accountsFollower {
	c := &carrier{service: s, upstream: s.options.Accounts, seen: func(f followed) uint64 { return f.accounts }}
	return follower.New(follower.Options[*cardIndex]{
		Name: followerName, Upstream: c.upstream, InFlight: inFlightBound, Logger: s.options.Logger, Tracer: s.options.Tracer,
		NewView: newCardIndex, OpenView: s.openCardIndex, Kept: func(cards *cardIndex) *checkpoint.Table { return cards.rows },
		Fold: func(cards *cardIndex, m eventlog.Message) error {
			event, err := accountEvent(m)
			if err == nil {
				cards.add(event)
			}
			return err
		},
		Handle: func(ctx context.Context, m eventlog.Message) (follower.Settle, error) {
			event, err := accountEvent(m)
			if err != nil {
				return nil, follower.Unreadable(c.upstream.Name, m.Sequence, err)
			}
			return c.carry(ctx, m.Sequence, &ledger.FollowAccounts{Event: event, Sequence: m.Sequence}), nil
		},
		Resume: c.resume, Check: c.check, OnServing: s.parts.Add(),
	})
}

// openCardIndex returns the index that an earlier process left, else an empty one.
func (s *Service) openCardIndex() *cardIndex {
	return &cardIndex{rows: s.options.Checkpoints.Table("transactions-"+s.options.Accounts.Name, cardIndexVersion, s.options.Logger)}
}

func newPaymentsFollower(s *Service) *paymentsFollower {
	c := &carrier{service: s, upstream: s.options.Payments, seen: func(f followed) uint64 { return f.payments }}
	return follower.New(follower.Options[struct{}]{
		Name: followerName, Upstream: c.upstream, InFlight: inFlightBound, Logger: s.options.Logger, Tracer: s.options.Tracer,
		Handle: func(ctx context.Context, m eventlog.Message) (follower.Settle, error) {
			event, err := eventlog.Fact[eventsv1.PaymentEvent](m)
			if err != nil {
				return nil, follower.Unreadable(c.upstream.Name, m.Sequence, errUndecodable)
			}
			if !ledger.MovesMoney(event) {
				return nil, nil
			}
			if err := s.awaitAccount(ctx, event.GetEnvelope().GetAccountId()); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", c.upstream.Name, m.Sequence, err)
			}
			return c.carry(ctx, m.Sequence, &ledger.FollowPayments{Event: event, Sequence: m.Sequence}), nil
		},
		Resume: c.resume, Check: c.check, OnServing: s.parts.Add(),
	})
}

// awaitAccount waits a bounded time until the ledger knows an account: a payment can be here before the event that opened its account.
func (s *Service) awaitAccount(ctx context.Context, accountID string) error {
	return catchUp(ctx, s.accounts, func() bool {
		_, known := s.followed(ctx, accountID)
		return known
	})
}

var errUndecodable = errors.New("it cannot be decoded")

func accountEvent(m eventlog.Message) (*eventsv1.AccountEvent, error) {
	event, err := eventlog.Fact[eventsv1.AccountEvent](m)
	if err != nil {
		return nil, errUndecodable
	}
	return event, nil
}

// carry puts an event on its way into the ledger, unless it is there.
func (c *carrier) carry(ctx context.Context, sequence uint64, command ledger.Command) follower.Settle {
	if f, known := c.service.followed(ctx, command.Account()); known && c.seen(f) >= sequence {
		return nil
	}
	ticket := c.service.shard(command.Account()).EnqueueReserved(ctx, command)
	return func(ctx context.Context) error {
		_, err := ticket.Wait(ctx)
		return c.outcome(sequence, err)
	}
}

// outcome says what it means that the ledger did not take an event.
func (c *carrier) outcome(sequence uint64, err error) error {
	var refused *failure.Error
	if err == nil || !errors.As(err, &refused) {
		return err
	}
	switch {
	case refused.Reason == ledger.ReasonFollowed:
		return nil
	case refused.Reason == ledger.ReasonOutOfOrder && c.broken.Swap(sequence) != sequence:
		return fmt.Errorf("%s:%d: %w", c.upstream.Name, sequence, err) // the first time
	case refused.Kind == failure.Internal, refused.Kind == failure.Precondition:
		return follower.Unreadable(c.upstream.Name, sequence, err)
	default:
		return fmt.Errorf("%s:%d: %w", c.upstream.Name, sequence, err)
	}
}

// resume goes back to what the ledger has seen for certain at the start, and to the beginning after an event that did not follow: the consumer may be ahead of a ledger
// that was restored from a backup.
func (c *carrier) resume(_ context.Context, position uint64) (uint64, error) {
	if c.broken.Load() > position {
		return 0, nil
	}
	position = min(position, c.seenThrough)
	c.seenThrough = math.MaxUint64 // from here on the position counts what was carried
	return position, nil
}

// check returns an error when the ledger has seen events that the stream does not have: then it has lost them, and what is decided there now would be taken for them.
// It also notes up to where each shard has seen everything: an event is carried when all those were settled that are further back than can be under way.
func (c *carrier) check(_ context.Context, end uint64) (err error) {
	c.seenThrough = math.MaxUint64
	for _, shard := range c.service.shards {
		newest := uint64(0)
		shard.Each(func(accountID string, view *ledger.View, summary string) bool {
			f := followedBy(summary)
			if view != nil {
				f = followedIn(*view)
			}
			last := end
			if c.upstream.LastSequence != nil {
				last = c.upstream.LastSequence(accountID)
			}
			seen := c.seen(f)
			if seen > last {
				err = fmt.Errorf("%w: %s has lost acknowledged events: the ledger of account %s has seen sequences up to %d, %s ends at %d; restore it from a backup",
					follower.ErrUnreadable, c.upstream.Name, accountID, seen, c.upstream.Name, last)
			}
			newest = max(newest, seen)
			return err == nil
		})
		c.seenThrough = min(c.seenThrough, newest-min(newest, inFlightBound))
	}
	return err
}

// Followers returns how far the service has followed what others write.
func (s *Service) Followers(ctx context.Context) []follower.Status {
	return []follower.Status{s.accounts.Status(ctx), s.payments.Status(ctx)}
}
