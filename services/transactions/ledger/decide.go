package ledger

import (
	"cmp"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// Command is one of *Authorize, *IncrementAuthorization, *AdviseAuthorization, *ReverseAuthorization, *Present, *ReversePresentment, *Refund, *ReverseRefund,
// *CreditDispute, *ReverseDisputeCredit, *FollowAccounts and *FollowPayments.
type Command interface {
	// Account is the id of the account.
	Account() string
	// Kind is what the id is scoped to.
	Kind() eventsv1.CommandKind
	// ID is the idempotency key.
	ID() string
	// Digest of the content.
	Digest() []byte

	// about is the key of the transaction that the command is about; empty when it is about none.
	about() string
	// decide answers the command with an event whose fact, transaction and decision are set. Before is the transaction that it is about, which must not be changed;
	// nil when there is none.
	decide(a *Account, before *Transaction, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error)
}

// Decide answers a command with exactly one event, or with a *failure.Error when nothing is to be stored. It changes nothing.
// What the command needs to see and is not in memory must have been recalled: see Lookup.
func (a *Account) Decide(c Command, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if _, opening := c.(*FollowAccounts); !opening && !a.known() {
		return nil, failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", a.id)
	}
	about := c.about()
	var before *Transaction
	if about != "" {
		mark := fingerprintOf(transactionID, about)
		if before = a.transactionBy(mark, about); before == nil && a.lastEventBy(mark) != 0 {
			return nil, errCollision
		}
	}
	event, err := c.decide(a, before, rules, at)
	if err != nil {
		return nil, err
	}
	if err := a.balances.fits(effectOf(event)); err != nil {
		return nil, err
	}
	if decision := event.GetDecision(); decision != nil {
		_, decision.RulesProfile = rules.profile(a.profile)
		decision.RulesVersion = rules.Version
	}
	event.Spending = a.spendingChanges(event.GetTransaction(), about, before)
	a.address(event, c.Kind(), c.ID(), at)
	event.Envelope.CommandDigest = c.Digest()
	if carrier, carries := c.(messenger); carries {
		event.Envelope.MessageKey, event.Envelope.MessageDigest = carrier.Message()
	}
	return event, nil
}

var errCollision = failure.New(failure.AlreadyExists, "ID_COLLISION", "the id cannot be told apart from another one on this account; use another id")

// address gives an event its balances and its envelope.
func (a *Account) address(event *eventsv1.LedgerEvent, kind eventsv1.CommandKind, id string, at command.Position) {
	event.Balances = a.balances.plus(effectOf(event)).record()
	event.Envelope = &eventsv1.Envelope{
		AccountId: a.id, PreviousSequence: a.sequence, DecidedAt: timestamppb.New(at.Time), CommandKind: kind, CommandId: id,
	}
}

// Lookup says whether the command's id, or its network message, was answered before, or a stored event must be recalled first. It may have to be asked several times:
// a reversal names what it takes back, and only that says which transaction it belongs to.
func (a *Account) Lookup(c Command) command.Lookup {
	if answered := cmp.Or(a.Answered(c.Kind(), c.ID()), a.answeredMessage(c)); answered != 0 {
		return command.Lookup{Answer: answered}
	}
	key := c.about()
	if reversal, reverses := c.(takeBack); reverses {
		original := a.Answered(reversal.original())
		for _, sequence := range []uint64{original, a.takenBackAt(reversal)} {
			if sequence != 0 && a.recall(sequence) == nil {
				return command.Lookup{Needs: sequence}
			}
		}
		key = a.recall(original).GetTransaction().GetTransactionId()
	}
	if key == "" {
		return command.Lookup{}
	}
	mark := fingerprintOf(transactionID, key)
	if last := a.lastEventBy(mark); a.transactionBy(mark, key) == nil && a.recall(last) == nil { // else that event is another transaction's: see Decide
		return command.Lookup{Needs: last}
	}
	return command.Lookup{}
}

// Answered returns the sequence of the event that answered a command; 0 when none did.
func (a *Account) Answered(kind eventsv1.CommandKind, id string) uint64 {
	if !fromCallers(kind) {
		return 0
	}
	mark := fingerprintOf(transactionID, id)
	if sequence := a.ids.at(mark.of(kind)); sequence != 0 || kind != eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE {
		return sequence
	}
	if place := a.ids.at(mark); place != 0 && a.order[place-1].start&authorizedFirst != 0 {
		return a.order[place-1].first()
	}
	return 0
}

// mostRecalled is how many events a command can need to see: what it takes back, who took it back before, and the last event of the transaction.
const mostRecalled = 3

// Recall takes a stored event back into memory, for the command that needs to see it. The account forgets it with its next event.
func (a *Account) Recall(event *eventsv1.LedgerEvent, sequence uint64) {
	if len(a.recalled) == mostRecalled {
		a.recalled = a.recalled[1:]
	}
	a.recalled = append(a.recalled, recalledEvent{sequence, event})
}

// inCurrency returns an error when a fact is in another currency than the account.
func (a *Account) inCurrency(currency string) error {
	if currency != a.balances.Currency {
		return failure.InvalidField("amount.currency_code", "the account is kept in %s", a.balances.Currency)
	}
	return nil
}

// recorded is the answer to a fact.
func recorded(amount int64) *eventsv1.DecisionRecord {
	return &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_RECORDED, ResponseCode: responseApproved, ApprovedAmount: amount}
}

// rejected is the event of a command that moves nothing.
func rejected(t *Transaction, reason typev1.RejectionReason, requested int64) *eventsv1.LedgerEvent {
	return &eventsv1.LedgerEvent{
		Transaction: t.record(),
		Decision: &eventsv1.DecisionRecord{
			Outcome: typev1.Outcome_OUTCOME_REJECTED, RejectionReason: reason, ResponseCode: responseNoActionTaken, HeldAmount: t.Held,
		},
		Fact: &eventsv1.LedgerEvent_CommandRejected{CommandRejected: &eventsv1.CommandRejected{RequestedAmount: requested}},
	}
}

// transactionNotFound is the error of a command that is about no transaction.
func (a *Account) transactionNotFound(id string) error {
	return failure.New(failure.NotFound, "TRANSACTION_NOT_FOUND", "account %s has no transaction %s", a.id, id)
}
