package main

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/accounts"
	"github.com/cardlog/cardlog/services/accounts/account"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/payments"
	"github.com/cardlog/cardlog/services/payments/payment"
	"github.com/cardlog/cardlog/services/transactions"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// upstreams is what the ledger is held against: what ACCOUNTS and PAYMENTS hold.
type upstreams struct {
	accounts  *accounts.Fold
	movements map[uint64]movement // by their sequences in PAYMENTS

	brokenAccounts, brokenPayments map[string]bool
}

// movement is an event of PAYMENTS that the ledger follows.
type movement struct {
	account  string
	previous uint64 // movement of the account
	moves    int64  // by how much the posted balance rises, in minor units
}

// addPayment takes an event of PAYMENTS in.
func (u *upstreams) addPayment(m eventlog.Message) {
	event := &eventsv1.PaymentEvent{}
	if proto.Unmarshal(m.Data, event) != nil || !payment.Movement(event) {
		return // what cannot be decoded was found by the fold
	}
	moved := movement{account: event.GetEnvelope().GetAccountId(), previous: event.GetPreviousMovementSequence()}
	switch amount := event.GetPayment().GetAmount().GetMinorUnits(); event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted, *eventsv1.PaymentEvent_Released:
		moved.moves = -amount
	case *eventsv1.PaymentEvent_Returned:
		moved.moves = amount
	}
	u.movements[m.Sequence] = moved
}

// verifyLedger folds one shard, and holds what it has seen of ACCOUNTS and PAYMENTS against what they hold.
func verifyLedger(ctx context.Context, stream *examined, known *upstreams, found *verification) error {
	shards, err := transactions.Shards(stream.Stream)
	if err != nil {
		return err
	}
	fold, links := transactions.NewFold(), &paymentLinks{upstreams: known, stream: stream.Name(), found: found, followed: map[string]uint64{}}
	broken, err := verifyStream(ctx, stream, fold, found, func(account string) string { return transactions.Subject(account, shards) }, links.check)
	if err != nil {
		return err
	}
	last := map[string]uint64{}
	known.accounts.Each(func(id string, account *account.Account) { last[id] = account.View().Sequence })
	fold.Each(func(id string, folded *ledger.Account) {
		if view := folded.View(); view.AccountsSequence > last[id] && !known.brokenAccounts[id] && !broken[id] {
			found.add(problem{Stream: accounts.StreamName, From: last[id] + 1, To: view.AccountsSequence, Account: id, Problem: "the ledger has seen events that are missing here"})
		}
	})
	return nil
}

// paymentLinks holds the payments of a shard against PAYMENTS.
type paymentLinks struct {
	*upstreams
	stream   string
	found    *verification
	followed map[string]uint64 // the newest movement that each account's ledger has seen
}

// followedFacts are the facts of the ledger, by their header ce-type, that can follow from PAYMENTS.
var followedFacts = map[string]bool{
	"cardlog.transactions.payment_posted": true, "cardlog.transactions.payment_returned": true, "cardlog.transactions.withholding_ended": true,
}

// check holds a ledger event against the movement that it follows from.
func (l *paymentLinks) check(m eventlog.Message) {
	if !followedFacts[m.Header.Get("ce-type")] { // which the fold has held against the fact
		return
	}
	event := &eventsv1.LedgerEvent{}
	if proto.Unmarshal(m.Data, event) != nil {
		return // the fold has found it
	}
	var sequence uint64
	var moves int64
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_PaymentPosted:
		sequence, moves = fact.PaymentPosted.GetPaymentsSequence(), -fact.PaymentPosted.GetAmount()
	case *eventsv1.LedgerEvent_PaymentReturned:
		sequence, moves = fact.PaymentReturned.GetPaymentsSequence(), fact.PaymentReturned.GetAmount()
	case *eventsv1.LedgerEvent_WithholdingEnded:
		sequence = fact.WithholdingEnded.GetPaymentsSequence()
	}
	id := event.GetEnvelope().GetAccountId()
	if sequence == 0 || l.brokenPayments[id] { // a withholding that ended by time follows from nothing
		return
	}
	told, there := l.movements[sequence]
	before := l.followed[id]
	l.followed[id] = sequence
	switch {
	case !there:
		l.found.add(problem{Stream: payments.StreamName, From: sequence, To: sequence, Account: id, Problem: "the ledger has seen a movement that is missing here"})
	case told.account != id || told.moves != moves:
		l.wrong(m, id, "it moves %d by event %d of PAYMENTS, which moves account %s by %d", moves, sequence, told.account, told.moves)
	case told.previous != before:
		l.wrong(m, id, "it follows event %d of PAYMENTS, which comes after %d; the ledger had seen %d", sequence, told.previous, before)
	}
}

func (l *paymentLinks) wrong(m eventlog.Message, account, format string, args ...any) {
	l.found.add(problem{Stream: l.stream, From: m.Sequence, To: m.Sequence, Account: account, Problem: fmt.Sprintf(format, args...)})
}
