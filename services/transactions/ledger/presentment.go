package ledger

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// Present posts a merchant's claim. It is a fact and always posts: above the hold, after expiry, reversal or decline, in any state of card or account.
type Present struct {
	// AccountID and PresentmentID name the account and this command.
	AccountID, PresentmentID string
	// TransactionID is the purchase that it clears. Empty or unknown: a force post, which becomes a transaction of its own.
	TransactionID string
	// NewTransactionID names that transaction when TransactionID is empty.
	NewTransactionID string
	// CardID is the card that was named, if any.
	CardID string
	// Amount in minor units of Currency.
	Amount   int64
	Currency string
	// MoreToCome keeps what is left of the hold for further presentments.
	MoreToCome bool
	// PresentedAt is when the merchant presented it; nil where not told.
	PresentedAt *timestamppb.Timestamp
	// Merchant, for a presentment whose authorization is not known.
	Merchant *typev1.Merchant
}

// Account is the id of the account.
func (c *Present) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_PRESENT.
func (c *Present) Kind() eventsv1.CommandKind { return eventsv1.CommandKind_COMMAND_KIND_PRESENT }

// ID is the presentment's.
func (c *Present) ID() string { return c.PresentmentID }

// Digest of all fields that the caller gave.
func (c *Present) Digest() []byte {
	d := command.NewDigest().Text(c.TransactionID, c.CardID).Number(c.Amount).Text(c.Currency).Flag(c.MoreToCome).Time(c.PresentedAt)
	return digestMerchant(d, c.Merchant).Sum()
}

func (c *Present) about() string { return c.TransactionID }

func (c *Present) decide(a *Account, before *Transaction, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if err := a.inCurrency(c.Currency); err != nil {
		return nil, err
	}
	t := before.copy()
	if t == nil {
		t = unmatched(c.TransactionID, c.NewTransactionID, c.CardID, c.Merchant, at)
	}
	decision := recorded(c.Amount)
	decision.Unmatched = !t.authorized()
	if t.Expired > 0 {
		decision.Late, decision.DaysLate = true, int32(at.Time.Sub(t.ExpiresAt)/day)
	}
	captured := t.overCapture()
	var ok bool
	if t.Cleared, ok = add(t.Cleared, c.Amount); !ok {
		return nil, errOverflow
	}
	if decision.OverCaptureAmount = t.overCapture() - captured; decision.GetOverCaptureAmount() > 0 {
		profile, _ := rules.profile(a.profile)
		decision.OverCaptureTolerated = profile.tolerates(t.overCapture(), max(0, t.Authorized-t.Reversed), t.Merchant.GetMcc(), t.PreAuthorization)
	}
	claimed := c.Amount
	if !c.MoreToCome {
		claimed = t.Held
		t.FinalPresented = true
	}
	fact := &eventsv1.PresentmentPosted{Amount: c.Amount, ReleasedAmount: t.release(claimed), MoreToCome: c.MoreToCome, PresentedAt: c.PresentedAt}
	decision.HeldAmount = t.Held
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision, Fact: &eventsv1.LedgerEvent_PresentmentPosted{PresentmentPosted: fact}}, nil
}

// unmatched makes the transaction of a fact that belongs to none.
func unmatched(id, newID, cardID string, merchant *typev1.Merchant, at command.Position) *Transaction {
	if id == "" {
		id = newID
	}
	return &Transaction{ID: id, CardID: cardID, Merchant: merchant, OpenedAt: at.Time}
}
