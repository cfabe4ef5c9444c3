package ledger

import (
	"cmp"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// Refund posts money that a merchant gives back, with or without a purchase. It is a fact and always posts.
type Refund struct {
	// AccountID and RefundID name the account and this command.
	AccountID, RefundID string
	// TransactionID is the purchase, or the merchant credit that was authorized, that it belongs to. Empty: the merchant credit that has the refund's id, where one
	// is open. Else, and where it is unknown, the refund becomes a transaction of its own.
	TransactionID string
	// NewTransactionID names that transaction when TransactionID is empty.
	NewTransactionID string
	// CardID is the card that was named, if any.
	CardID string
	// Amount in minor units of Currency.
	Amount   int64
	Currency string
	// Merchant, for a refund whose purchase is not known.
	Merchant *typev1.Merchant
}

// Account is the id of the account.
func (c *Refund) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_REFUND.
func (c *Refund) Kind() eventsv1.CommandKind { return eventsv1.CommandKind_COMMAND_KIND_REFUND }

// ID is the refund's.
func (c *Refund) ID() string { return c.RefundID }

// Digest of all fields that the caller gave.
func (c *Refund) Digest() []byte {
	return digestMerchant(command.NewDigest().Text(c.TransactionID, c.CardID).Number(c.Amount).Text(c.Currency), c.Merchant).Sum()
}

func (c *Refund) about() string { return cmp.Or(c.TransactionID, c.RefundID) }

// settles says whether the refund belongs to a transaction; else it is one of its own.
func (c *Refund) settles(t *Transaction) bool {
	return t != nil && (c.TransactionID != "" || t.PendingCredit() != 0)
}

func (c *Refund) decide(a *Account, before *Transaction, _ *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if err := a.inCurrency(c.Currency); err != nil {
		return nil, err
	}
	decision := recorded(c.Amount)
	t := before.copy()
	if !c.settles(t) {
		t = unmatched(c.TransactionID, c.NewTransactionID, c.CardID, c.Merchant, at)
		decision.Unmatched = true
	}
	var ok bool
	if t.Refunded, ok = add(t.Refunded, c.Amount); !ok {
		return nil, errOverflow
	}
	decision.HeldAmount = t.Held
	return &eventsv1.LedgerEvent{
		Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_RefundPosted{RefundPosted: &eventsv1.RefundPosted{Amount: c.Amount}},
	}, nil
}
