package payments

import (
	"context"
	"errors"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/codec"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/payments/payment"
)

// followerName is the name of this service's durable consumers.
const followerName = "payments"

// inFlightBound is how many events a consumer may hand out beyond the last one acknowledged.
const inFlightBound = 1024

// catchUpBound is how long a call waits for what was stored before it came.
const catchUpBound = 500 * time.Millisecond

// table is what is known of accounts from one stream: the newest fact of each, by account id. Many may read it, one goroutine writes it.
type table[T row] struct{ rows *checkpoint.Table }

// row can be written and read by a codec.
type row interface {
	accountRow | ledgerRow
}

// tableVersion numbers what is in the rows of all tables. It must grow whenever that changes.
const tableVersion = 1

func newTable[T row]() *table[T] { return &table[T]{rows: checkpoint.NewTable()} }

// openTable returns the table that an earlier process left of a stream, else an empty one.
func openTable[T row](s *Service, stream string) *table[T] {
	return &table[T]{rows: s.options.Checkpoints.Table("payments-"+stream, tableVersion, s.options.Logger)}
}

func (t *table[T]) get(accountID string) (row T, known bool) {
	encoded, known := t.rows.Get(accountID)
	if known && codec.Read([]byte(encoded), func(c *codec.Coder) { codeRow(c, &row) }) != nil {
		panic("a row of what is known of accounts cannot be read") // it was written by this version
	}
	return row, known
}

func (t *table[T]) set(accountID string, row T) {
	t.rows.Set(accountID, string(codec.Write(nil, func(c *codec.Coder) { codeRow(c, &row) })))
}

func codeRow[T row](c *codec.Coder, r *T) {
	switch r := any(r).(type) {
	case *accountRow:
		c.Unsigned(&r.sequence)
		codec.Small(c, &r.state)
		c.Word(&r.currency)
		c.Word(&r.profile)
	case *ledgerRow:
		c.Unsigned(&r.sequence)
		c.Number(&r.owed)
		c.Unsigned(&r.posted)
	}
}

// accountRow is an account as ACCOUNTS tells it.
type accountRow struct {
	sequence          uint64
	state             typev1.AccountState
	currency, profile string
}

// ledgerRow is what is owed on an account as the ledger tells it.
type ledgerRow struct {
	sequence uint64
	owed     int64  // posted + pending
	posted   uint64 // the newest movement of PAYMENTS that is in it
}

type (
	accountsFollower = follower.Follower[*table[accountRow]]
	ledgerFollower   = follower.Follower[*table[ledgerRow]]
)

var errUndecodable = errors.New("it cannot be decoded")

func (s *Service) followAccounts() *accountsFollower {
	return follower.New(follower.Options[*table[accountRow]]{
		Name: followerName, Upstream: s.options.Accounts, InFlight: inFlightBound, Logger: s.options.Logger, Tracer: s.options.Tracer,
		NewView: newTable[accountRow], OpenView: func() *table[accountRow] { return openTable[accountRow](s, s.options.Accounts.Name) },
		Kept: func(known *table[accountRow]) *checkpoint.Table { return known.rows },
		Fold: func(known *table[accountRow], m eventlog.Message) error {
			event, err := eventlog.Fact[eventsv1.AccountEvent](m)
			if err != nil {
				return errUndecodable
			}
			account := event.GetAccount()
			known.set(event.GetEnvelope().GetAccountId(), accountRow{sequence: m.Sequence, state: account.GetState(),
				currency: account.GetCreditLimit().GetCurrencyCode(), profile: account.GetRulesProfile()})
			return nil
		},
		OnServing: s.parts.Add(),
	})
}

// openLedger makes the followers of the ledger.
func (s *Service) openLedger(shards []follower.Upstream) []*ledgerFollower {
	followers := make([]*ledgerFollower, len(shards))
	for i, shard := range shards {
		followers[i] = follower.New(follower.Options[*table[ledgerRow]]{
			Name: followerName, Upstream: shard, InFlight: inFlightBound, Logger: s.options.Logger, Tracer: s.options.Tracer,
			NewView: newTable[ledgerRow], OpenView: func() *table[ledgerRow] { return openTable[ledgerRow](s, shard.Name) },
			Kept: func(known *table[ledgerRow]) *checkpoint.Table { return known.rows },
			Fold: foldLedger, OnServing: s.parts.Add(),
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger = followers
	return followers
}

// foldLedger takes a ledger event in.
func foldLedger(known *table[ledgerRow], m eventlog.Message) error {
	event, err := eventlog.Fact[eventsv1.LedgerEvent](m)
	if err != nil {
		return errUndecodable
	}
	account := event.GetEnvelope().GetAccountId()
	row, _ := known.get(account)
	row.sequence, row.owed = m.Sequence, event.GetBalances().GetPosted()+event.GetBalances().GetPending()
	row.posted = max(row.posted, event.GetPaymentPosted().GetPaymentsSequence(), event.GetPaymentReturned().GetPaymentsSequence(),
		event.GetWithholdingEnded().GetPaymentsSequence())
	known.set(account, row)
	return nil
}

// ledgerOf returns the follower of the shard of an account; nil while there is no ledger.
func (s *Service) ledgerOf(accountID string) *ledgerFollower {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ledger) == 0 {
		return nil
	}
	return s.ledger[s.options.ShardOf(accountID, len(s.ledger))]
}

// standing returns what is known of an account. Where accounts and transactions run in this process, that is at least what was durable when the call came.
func (s *Service) standing(ctx context.Context, accountID string) (payment.Standing, error) {
	if err := s.serving(); err != nil {
		return payment.Standing{}, err
	}
	account, err := s.account(ctx, accountID)
	if err != nil {
		return payment.Standing{}, err
	}
	standing := payment.Standing{Currency: account.currency, State: account.state, Profile: account.profile}
	ledger := s.ledgerOf(accountID)
	if ledger == nil {
		return standing, nil
	}
	row, err := newest(ctx, ledger, accountID, func(row ledgerRow) uint64 { return row.sequence })
	if err != nil {
		return payment.Standing{}, err
	}
	standing.Owed, standing.LedgerSequence, standing.PostedSequence = row.owed, row.sequence, row.posted
	return standing, nil
}

// account returns an account as ACCOUNTS tells it. One that is not known is waited for until everything is followed that was stored when the call came.
func (s *Service) account(ctx context.Context, accountID string) (accountRow, error) {
	row, err := newest(ctx, s.accounts, accountID, func(row accountRow) uint64 { return row.sequence })
	if err != nil || row.sequence != 0 {
		return row, err
	}
	caughtUp, err := s.accounts.AwaitEnd(ctx, catchUpBound, func() bool {
		row, _ = s.accounts.View().get(accountID)
		return row.sequence != 0
	})
	if err == nil && !caughtUp {
		err = errBehind
	}
	if err != nil {
		return row, err
	}
	if row.sequence == 0 {
		return row, failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", accountID)
	}
	return row, nil
}

// newest returns an account's row in a follower's table, waiting for the account's newest event where its sequence is known.
func newest[T row](ctx context.Context, f *follower.Follower[*table[T]], accountID string, sequence func(T) uint64) (row T, err error) {
	wanted := f.Newest(accountID)
	err = catchUp(ctx, f, func() bool {
		row, _ = f.View().get(accountID)
		return sequence(row) >= wanted
	})
	return row, err
}

var errBehind = failure.New(failure.Unavailable, "CATCHING_UP", "the service has not caught up with the account yet; try again with the same id")

// catchUp waits a bounded time until a follower is there.
func catchUp[V any](ctx context.Context, f *follower.Follower[V], there func() bool) error {
	caughtUp, err := f.CatchUp(ctx, catchUpBound, there)
	if err == nil && !caughtUp {
		err = errBehind
	}
	return err
}

// Followers returns how far the service has followed what others write.
func (s *Service) Followers(ctx context.Context) []follower.Status {
	statuses := []follower.Status{s.accounts.Status(ctx)}
	for _, shard := range s.ledgerFollowers() {
		statuses = append(statuses, shard.Status(ctx))
	}
	return statuses
}

func (s *Service) ledgerFollowers() []*ledgerFollower {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger
}

// RebuildOwed makes the view of accounts, and of what is owed on them, again from the log, and returns how many events it is made of.
func (s *Service) RebuildOwed(ctx context.Context) (events uint64, err error) {
	if events, err = s.accounts.Rebuild(ctx); err != nil {
		return 0, err
	}
	for _, shard := range s.ledgerFollowers() {
		read, err := shard.Rebuild(ctx)
		if err != nil {
			return 0, err
		}
		events += read
	}
	return events, nil
}
