package ledger

import (
	"cmp"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// IncrementAuthorization asks to raise a hold. It is checked as the authorization was. One that has expired is opened again: what expired counts again.
type IncrementAuthorization struct {
	// AccountID, TransactionID and IncrementID name the account, the transaction and this command.
	AccountID, TransactionID, IncrementID string
	// CardID is the card that was named; where none was, the transaction's is checked.
	CardID string
	// Amount is the difference, in minor units of Currency.
	Amount   int64
	Currency string
	// Network is the network's message, where there was one.
	Network *typev1.NetworkMessage
}

// Account is the id of the account.
func (c *IncrementAuthorization) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_INCREMENT_AUTHORIZATION.
func (c *IncrementAuthorization) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_INCREMENT_AUTHORIZATION
}

// ID is the increment's.
func (c *IncrementAuthorization) ID() string { return c.IncrementID }

// Digest of all fields.
func (c *IncrementAuthorization) Digest() []byte {
	return digestNetwork(c.content(command.NewDigest()).Text(c.TransactionID, c.CardID), c.Network).Sum()
}

// Message is what the network's message is known by, and the digest of what it asks.
func (c *IncrementAuthorization) Message() (key, digest []byte) {
	if key = c.messageKey(); key == nil {
		return nil, nil
	}
	return key, c.content(command.NewDigest()).Number(int64(c.Kind())).Sum()
}

func (c *IncrementAuthorization) messageKey() []byte { return keyOf(requestMessage, c.Network) }

func (c *IncrementAuthorization) content(d command.Digest) command.Digest {
	return d.Number(c.Amount).Text(c.Currency)
}

func (c *IncrementAuthorization) about() string { return c.TransactionID }

func (c *IncrementAuthorization) decide(a *Account, before *Transaction, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if before == nil {
		return nil, a.transactionNotFound(c.TransactionID)
	}
	if !before.granted() || before.FinalPresented || before.ReversedInFull {
		return rejected(before, typev1.RejectionReason_REJECTION_REASON_AUTHORIZATION_NOT_OPEN, c.Amount), nil
	}
	after := *before
	if !after.increment(c.Amount) {
		return nil, errOverflow
	}
	profile, _ := rules.profile(a.profile)
	decision := answerTo(a.checks(&request{
		card: cmp.Or(c.CardID, before.CardID), network: c.Network, currency: c.Currency, profile: profile, now: at.Time,
		before: *before, after: after, amount: after.Authorized - after.Reversed, asked: c.Amount, increment: true,
	}))
	asked := &eventsv1.IncrementRequest{Amount: c.Amount, CurrencyCode: c.Currency, Network: c.Network}
	if decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED {
		decision.HeldAmount = before.Held
		return &eventsv1.LedgerEvent{Transaction: before.record(), Decision: decision,
			Fact: &eventsv1.LedgerEvent_IncrementDeclined{IncrementDeclined: &eventsv1.IncrementDeclined{Request: asked}}}, nil
	}
	decision.ApprovedAmount, decision.HeldAmount, decision.ApprovalCode = c.Amount, after.Held, approvalCode(a.id, c.TransactionID, at)
	if after.Held > 0 {
		decision.HoldExpiryRule = after.expireBy(profile, after.Authorized, at.Time)
	}
	return &eventsv1.LedgerEvent{Transaction: after.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_AuthorizationIncremented{AuthorizationIncremented: &eventsv1.AuthorizationIncremented{
			Request: asked, AddedAmount: after.Held - before.Held, Reopened: before.Expired > 0,
		}}}, nil
}

// increment raises what is authorized and held. What was presented beyond the authorization before is not held again, and what expired counts again as far as it was not
// presented since. It returns whether the sums are within the bounds.
func (t *Transaction) increment(amount int64) (ok bool) {
	early := t.overCapture()
	reopened := min(t.Expired, max(0, t.Authorized+t.HoldSurplus-t.Reversed-t.Cleared))
	t.Held, ok = add(t.Held, reopened+max(0, amount-early))
	if !ok {
		return false
	}
	t.Expired = 0
	t.Authorized, ok = add(t.Authorized, amount)
	return ok
}
