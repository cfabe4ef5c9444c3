package transactions

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// balanceAfter returns the balances on the account's last event at or before a sequence.
func (s *Service) balanceAfter(ctx context.Context, accountID string, sequence uint64) (*transactionsv1.GetBalanceResponse, error) {
	shard := s.shard(accountID)
	durable, _ := shard.Stream().Durable()
	m, err := shard.Stream().LastAtOrBefore(ctx, s.subject(accountID), min(sequence, durable))
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil, failure.New(failure.NotFound, "NO_EVENTS_YET", "account %s had no events at sequence %d", accountID, sequence)
	}
	if err != nil {
		return nil, engine.ReadFailure(err)
	}
	event, err := shard.Decode(m)
	if err != nil {
		return nil, err
	}
	return balanceResponse(accountID, ledger.BalancesOf(event), m.Sequence, event.GetEnvelope().GetDecidedAt().AsTime()), nil
}

// errEnough ends a read that has what it wants.
var errEnough = errors.New("enough")

// balanceAt folds the account's events up to a time.
func (s *Service) balanceAt(ctx context.Context, accountID string, at, now time.Time) (*transactionsv1.GetBalanceResponse, error) {
	if at.After(now) {
		return nil, failure.InvalidField("as_of_time", "is in the future")
	}
	folded := ledger.New(accountID)
	var sequence uint64
	err := s.eachEvent(ctx, accountID, 0, func(event *eventsv1.LedgerEvent, next uint64) error {
		if event.GetEnvelope().GetDecidedAt().AsTime().After(at) {
			return errEnough
		}
		folded.Apply(event, next)
		sequence = next
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if sequence == 0 {
		return nil, failure.New(failure.NotFound, "NO_EVENTS_YET", "account %s had no events at that time", accountID)
	}
	return balanceResponse(accountID, folded.BalancesAt(at), sequence, at), nil
}

// eachEvent calls each with an account's durable events after a sequence, in order.
func (s *Service) eachEvent(ctx context.Context, accountID string, after uint64, each func(event *eventsv1.LedgerEvent, sequence uint64) error) error {
	shard := s.shard(accountID)
	through, last := s.lastSequence(accountID), after
	err := shard.Stream().Read(ctx, eventlog.Range{Subject: s.subject(accountID), After: after, Through: through}, func(m eventlog.Message) error {
		event, err := shard.Decode(m)
		if err != nil {
			return err
		}
		last = m.Sequence
		return each(event, m.Sequence)
	})
	if err == nil && last < through {
		err = fmt.Errorf("%w: read the events of account %s up to %d of %d", eventlog.ErrUnreachable, accountID, last, through)
	}
	if err == nil || errors.Is(err, errEnough) || ctx.Err() != nil {
		return err
	}
	return engine.ReadFailure(err)
}

// ListEvents sends an account's stored events, the oldest first.
func (s *Service) ListEvents(r *transactionsv1.ListEventsRequest, stream grpc.ServerStreamingServer[transactionsv1.ListEventsResponse]) error {
	ref, err := s.resolveRead(stream.Context(), r)
	if err != nil {
		return err
	}
	return s.eachEvent(stream.Context(), ref.account, r.GetAfterSequence(), func(event *eventsv1.LedgerEvent, sequence uint64) error {
		return stream.Send(&transactionsv1.ListEventsResponse{Sequence: sequence, Event: event})
	})
}

// WatchAccount sends an account's events as they become durable.
func (s *Service) WatchAccount(r *transactionsv1.WatchAccountRequest, stream grpc.ServerStreamingServer[transactionsv1.WatchAccountResponse]) error {
	ctx := stream.Context()
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return err
	}
	seen := s.lastSequence(ref.account)
	if r.AfterSequence != nil {
		seen = r.GetAfterSequence()
	}
	shard := s.shard(ref.account)
	for {
		changed := shard.Changed()
		err := s.eachEvent(ctx, ref.account, seen, func(event *eventsv1.LedgerEvent, sequence uint64) error {
			seen = sequence
			return stream.Send(&transactionsv1.WatchAccountResponse{Sequence: sequence, Event: event, Balances: balancesMessage(ledger.BalancesOf(event))})
		})
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readsAtOnce bounds how many events one call reads at the same time.
const readsAtOnce = 16

// readEvents reads events by their sequences.
func (s *Service) readEvents(ctx context.Context, accountID string, sequences []uint64) ([]*eventsv1.LedgerEvent, error) {
	events := make([]*eventsv1.LedgerEvent, len(sequences))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, sequence := range sequences {
		group.Go(func() (err error) {
			events[i], err = s.shard(accountID).ReadEvent(ctx, sequence)
			return err
		})
	}
	return events, group.Wait()
}

// pageStart reads a page token: the sequence at which the page before ended.
func pageStart(token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	before, err := strconv.ParseUint(token, 10, 64)
	if err != nil {
		return 0, failure.InvalidField("page_token", "is not a token that this service gave")
	}
	return before, nil
}

func pageToken(sequence uint64) string { return strconv.FormatUint(sequence, 10) }

func transactionNotFound(accountID, transactionID string) error {
	return failure.New(failure.NotFound, "TRANSACTION_NOT_FOUND", "account %s has no transaction %s", accountID, transactionID)
}
