package ledger

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// ReverseAuthorization releases all or part of a hold.
type ReverseAuthorization struct {
	// AccountID, TransactionID and ReversalID name the account, the transaction and this command.
	AccountID, TransactionID, ReversalID string
	// Amount to release in minor units of Currency; 0 releases all that is held.
	Amount   int64
	Currency string
	// Network is the network's message, where there was one.
	Network *typev1.NetworkMessage
}

// Account is the id of the account.
func (c *ReverseAuthorization) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_REVERSE_AUTHORIZATION.
func (c *ReverseAuthorization) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_REVERSE_AUTHORIZATION
}

// ID is the reversal's.
func (c *ReverseAuthorization) ID() string { return c.ReversalID }

// Digest of all fields.
func (c *ReverseAuthorization) Digest() []byte {
	d := command.NewDigest().Text(c.TransactionID).Number(c.Amount).Text(c.Currency)
	if c.Network != nil { // stored digests of others are without
		d = digestNetwork(d, c.Network)
	}
	return d.Sum()
}

// Message is what the network's message is known by, and the digest of what it asks.
func (c *ReverseAuthorization) Message() (key, digest []byte) {
	if key = c.messageKey(); key == nil {
		return nil, nil
	}
	return key, c.content(command.NewDigest()).Number(int64(c.Kind())).Sum()
}

func (c *ReverseAuthorization) messageKey() []byte { return keyOf(reversalMessage, c.Network) }

func (c *ReverseAuthorization) content(d command.Digest) command.Digest {
	return d.Number(c.Amount).Text(c.Currency)
}

func (c *ReverseAuthorization) about() string { return c.TransactionID }

func (c *ReverseAuthorization) decide(a *Account, before *Transaction, _ *Rules, _ command.Position) (*eventsv1.LedgerEvent, error) {
	if c.Amount != 0 {
		if err := a.inCurrency(c.Currency); err != nil {
			return nil, err
		}
	}
	t := before.copy()
	if t == nil {
		return nil, a.transactionNotFound(c.TransactionID)
	}
	switch {
	case t.MerchantCredit: // nothing is held for it
	case !t.granted():
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_AUTHORIZATION_NOT_OPEN, c.Amount), nil
	}
	if t.Held == 0 {
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE, c.Amount), nil
	}
	wanted := c.Amount
	if wanted == 0 {
		wanted = t.Held
	}
	released := t.release(wanted)
	t.Reversed += released
	t.ReversedInFull = t.Held == 0
	decision := recorded(released)
	decision.HeldAmount, decision.ReversalCapped = t.Held, released < wanted
	return &eventsv1.LedgerEvent{
		Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_AuthorizationReversed{AuthorizationReversed: &eventsv1.AuthorizationReversed{
			RequestedAmount: c.Amount, ReleasedAmount: released, Network: c.Network,
		}},
	}, nil
}
