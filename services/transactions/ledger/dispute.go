package ledger

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// CreditDispute credits what was cleared while it is disputed: at most what was not given back or credited yet.
type CreditDispute struct {
	// AccountID, TransactionID and DisputeID name the account, the purchase and this command.
	AccountID, TransactionID, DisputeID string
	// Amount in minor units of Currency.
	Amount   int64
	Currency string
}

// Account is the id of the account.
func (c *CreditDispute) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_CREDIT_DISPUTE.
func (c *CreditDispute) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_CREDIT_DISPUTE
}

// ID is the dispute's.
func (c *CreditDispute) ID() string { return c.DisputeID }

// Digest of all fields.
func (c *CreditDispute) Digest() []byte {
	return command.NewDigest().Text(c.TransactionID).Number(c.Amount).Text(c.Currency).Sum()
}

func (c *CreditDispute) about() string { return c.TransactionID }

func (c *CreditDispute) decide(a *Account, before *Transaction, _ *Rules, _ command.Position) (*eventsv1.LedgerEvent, error) {
	if err := a.inCurrency(c.Currency); err != nil {
		return nil, err
	}
	t := before.copy()
	if t == nil {
		return nil, a.transactionNotFound(c.TransactionID)
	}
	if c.Amount > t.Cleared-t.Refunded-t.Disputed {
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_AMOUNT_EXCEEDS_CLEARED, c.Amount), nil
	}
	t.Disputed += c.Amount
	decision := recorded(c.Amount)
	decision.HeldAmount = t.Held
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_DisputeCredited{DisputeCredited: &eventsv1.DisputeCredited{DisputeId: c.DisputeID, Amount: c.Amount}}}, nil
}

// ReverseDisputeCredit takes a dispute credit back, once.
type ReverseDisputeCredit struct {
	// AccountID and DisputeID name the account and the dispute; the dispute's id is this command's too.
	AccountID, DisputeID string
	// TransactionID is the purchase that was disputed; empty where it was not told.
	TransactionID string
	// Amount in minor units of Currency; 0 takes back all that was credited.
	Amount   int64
	Currency string
}

// Account is the id of the account.
func (c *ReverseDisputeCredit) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_REVERSE_DISPUTE_CREDIT.
func (c *ReverseDisputeCredit) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_REVERSE_DISPUTE_CREDIT
}

// ID is the dispute's.
func (c *ReverseDisputeCredit) ID() string { return c.DisputeID }

// Digest of all fields.
func (c *ReverseDisputeCredit) Digest() []byte {
	return command.NewDigest().Text(c.TransactionID).Number(c.Amount).Text(c.Currency).Sum()
}

func (c *ReverseDisputeCredit) about() string { return "" }

func (c *ReverseDisputeCredit) original() (eventsv1.CommandKind, string) {
	return eventsv1.CommandKind_COMMAND_KIND_CREDIT_DISPUTE, c.DisputeID
}

func (c *ReverseDisputeCredit) decide(a *Account, _ *Transaction, _ *Rules, _ command.Position) (*eventsv1.LedgerEvent, error) {
	if c.Amount != 0 {
		if err := a.inCurrency(c.Currency); err != nil {
			return nil, err
		}
	}
	u, err := a.undo(c, "DISPUTE")
	if err != nil {
		return nil, err
	}
	t, credited := u.transaction, u.event.GetDisputeCredited().GetAmount()
	if c.TransactionID != "" && c.TransactionID != t.ID {
		return nil, failure.InvalidField("transaction_id", "dispute %s is about transaction %s", c.DisputeID, t.ID)
	}
	if credited == 0 { // it was rejected
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE, c.Amount), nil
	}
	amount := credited
	if c.Amount != 0 {
		amount = min(c.Amount, credited)
	}
	t.Disputed -= amount
	decision := recorded(amount)
	decision.HeldAmount, decision.ReversalCapped = t.Held, amount < c.Amount
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_DisputeCreditReversed{DisputeCreditReversed: &eventsv1.DisputeCreditReversed{
			DisputeId: c.DisputeID, CreditSequence: u.sequence, Amount: amount,
		}}}, nil
}
