package ledger

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// takeBack is a command that takes back what another one did. It names that command; the transaction is the one that the other one's event tells.
type takeBack interface {
	Command
	// original returns the kind and id of the command.
	original() (eventsv1.CommandKind, string)
}

// takesBack returns the kind and id of the command that an event takes back once and for all; the id is empty when it takes none back.
func takesBack(event *eventsv1.LedgerEvent) (kind eventsv1.CommandKind, id string) {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_PresentmentReversed:
		return eventsv1.CommandKind_COMMAND_KIND_PRESENT, fact.PresentmentReversed.GetPresentmentId()
	case *eventsv1.LedgerEvent_RefundReversed:
		return eventsv1.CommandKind_COMMAND_KIND_REFUND, fact.RefundReversed.GetRefundId()
	default:
		return 0, ""
	}
}

// takenBackAt returns the sequence of the event that took back what a command wants to take back; 0 when none did.
func (a *Account) takenBackAt(c takeBack) uint64 {
	kind, id := c.original()
	return a.ids.at(fingerprintOf(takenBack+kind, id))
}

// undone is what a command takes back, as the log has it.
type undone struct {
	event    *eventsv1.LedgerEvent
	sequence uint64
	// transaction is a copy of the transaction that it belongs to, to work on.
	transaction *Transaction
	// before says that it was taken back before.
	before bool
}

// undo finds what a command takes back, among the events that were recalled for it.
func (a *Account) undo(c takeBack, what string) (undone, error) {
	kind, id := c.original()
	sequence := a.Answered(kind, id)
	if sequence == 0 {
		return undone{}, failure.New(failure.NotFound, what+"_NOT_FOUND", "account %s has no such %s: %s", a.id, map[eventsv1.CommandKind]string{
			eventsv1.CommandKind_COMMAND_KIND_PRESENT: "presentment", eventsv1.CommandKind_COMMAND_KIND_REFUND: "refund", eventsv1.CommandKind_COMMAND_KIND_CREDIT_DISPUTE: "dispute",
		}[kind], id)
	}
	u := undone{event: a.recall(sequence), sequence: sequence}
	if envelope := u.event.GetEnvelope(); envelope.GetCommandKind() != kind || envelope.GetCommandId() != id {
		return undone{}, errCollision
	}
	if earlier := a.takenBackAt(c); earlier != 0 {
		if takenKind, taken := takesBack(a.recall(earlier)); takenKind != kind || taken != id {
			return undone{}, errCollision
		}
		u.before = true
	}
	if u.transaction = a.transaction(u.event.GetTransaction().GetTransactionId()).copy(); u.transaction == nil {
		return undone{}, errCollision
	}
	return u, nil
}

// ReversePresentment takes a presentment back. The hold that ended with it does not count again.
type ReversePresentment struct {
	// AccountID, PresentmentID and ReversalID name the account, what is taken back, and this command.
	AccountID, PresentmentID, ReversalID string
}

// Account is the id of the account.
func (c *ReversePresentment) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_REVERSE_PRESENTMENT.
func (c *ReversePresentment) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_REVERSE_PRESENTMENT
}

// ID is the reversal's.
func (c *ReversePresentment) ID() string { return c.ReversalID }

// Digest of all fields.
func (c *ReversePresentment) Digest() []byte { return command.NewDigest().Text(c.PresentmentID).Sum() }

func (c *ReversePresentment) about() string { return "" }

func (c *ReversePresentment) original() (eventsv1.CommandKind, string) {
	return eventsv1.CommandKind_COMMAND_KIND_PRESENT, c.PresentmentID
}

func (c *ReversePresentment) decide(a *Account, _ *Transaction, _ *Rules, _ command.Position) (*eventsv1.LedgerEvent, error) {
	u, err := a.undo(c, "PRESENTMENT")
	if err != nil {
		return nil, err
	}
	t, amount := u.transaction, u.event.GetPresentmentPosted().GetAmount()
	if u.before {
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE, amount), nil
	}
	var ok bool
	if t.ClearingReversed, ok = add(t.ClearingReversed, amount); !ok {
		return nil, errOverflow
	}
	t.Cleared -= amount
	decision := recorded(amount)
	decision.HeldAmount = t.Held
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_PresentmentReversed{PresentmentReversed: &eventsv1.PresentmentReversed{
			PresentmentId: c.PresentmentID, PresentmentSequence: u.sequence, Amount: amount,
		}}}, nil
}

// ReverseRefund takes a refund back.
type ReverseRefund struct {
	// AccountID, RefundID and ReversalID name the account, what is taken back, and this command.
	AccountID, RefundID, ReversalID string
}

// Account is the id of the account.
func (c *ReverseRefund) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_REVERSE_REFUND.
func (c *ReverseRefund) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_REVERSE_REFUND
}

// ID is the reversal's.
func (c *ReverseRefund) ID() string { return c.ReversalID }

// Digest of all fields.
func (c *ReverseRefund) Digest() []byte { return command.NewDigest().Text(c.RefundID).Sum() }

func (c *ReverseRefund) about() string { return "" }

func (c *ReverseRefund) original() (eventsv1.CommandKind, string) {
	return eventsv1.CommandKind_COMMAND_KIND_REFUND, c.RefundID
}

func (c *ReverseRefund) decide(a *Account, _ *Transaction, _ *Rules, _ command.Position) (*eventsv1.LedgerEvent, error) {
	u, err := a.undo(c, "REFUND")
	if err != nil {
		return nil, err
	}
	t, amount := u.transaction, u.event.GetRefundPosted().GetAmount()
	if u.before {
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE, amount), nil
	}
	var ok bool
	if t.RefundReversed, ok = add(t.RefundReversed, amount); !ok {
		return nil, errOverflow
	}
	t.Refunded -= amount
	decision := recorded(amount)
	decision.HeldAmount = t.Held
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_RefundReversed{RefundReversed: &eventsv1.RefundReversed{RefundId: c.RefundID, RefundSequence: u.sequence, Amount: amount}}}, nil
}
