package ledger

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// AdviseAuthorization tells what the network decided in our place, or what a purchase came to. It is a fact: whatever the line, it is recorded.
type AdviseAuthorization struct {
	// AccountID, TransactionID and AdviceID name the account, the transaction and this command.
	AccountID, TransactionID, AdviceID string
	// CardID is the card that was named, if any.
	CardID string
	// Advice is what it tells.
	Advice typev1.AdviceKind
	// Amount is the new total, in minor units of Currency; 0 of a stand-in says that the network declined.
	Amount   int64
	Currency string
	// Merchant, for an advice whose authorization is not known.
	Merchant *typev1.Merchant
	// Network is the network's message, where there was one.
	Network *typev1.NetworkMessage
}

// Account is the id of the account.
func (c *AdviseAuthorization) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_ADVISE_AUTHORIZATION.
func (c *AdviseAuthorization) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_ADVISE_AUTHORIZATION
}

// ID is the advice's.
func (c *AdviseAuthorization) ID() string { return c.AdviceID }

// Digest of all fields.
func (c *AdviseAuthorization) Digest() []byte {
	return digestNetwork(c.content(command.NewDigest()).Text(c.TransactionID, c.CardID), c.Network).Sum()
}

// Message is what the network's message is known by, and the digest of what it tells.
func (c *AdviseAuthorization) Message() (key, digest []byte) {
	if key = c.messageKey(); key == nil {
		return nil, nil
	}
	return key, c.content(command.NewDigest()).Number(int64(c.Kind())).Sum()
}

func (c *AdviseAuthorization) messageKey() []byte { return keyOf(adviceMessage, c.Network) }

func (c *AdviseAuthorization) content(d command.Digest) command.Digest {
	return digestMerchant(d.Number(int64(c.Advice)).Number(c.Amount).Text(c.Currency), c.Merchant)
}

func (c *AdviseAuthorization) about() string { return c.TransactionID }

func (c *AdviseAuthorization) decide(a *Account, before *Transaction, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if err := a.inCurrency(c.Currency); err != nil {
		return nil, err
	}
	if c.Amount > AmountBound {
		return nil, errOverflow
	}
	t := before.copy()
	if t == nil {
		t = unmatched(c.TransactionID, "", c.CardID, c.Merchant, at)
	}
	if t.Completed && c.Advice == typev1.AdviceKind_ADVICE_KIND_COMPLETION {
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_COMPLETION_ALREADY_RECEIVED, c.Amount), nil
	}
	if t.Merchant == nil {
		t.Merchant = c.Merchant
	}
	decision := recorded(c.Amount)
	heldBefore := t.Held
	if !t.Completed { // a completion is the last word on what a purchase came to
		t.advise(c.Advice, c.Amount)
		if t.Held > 0 {
			profile, _ := rules.profile(a.profile)
			decision.HoldExpiryRule = t.expireBy(profile, c.Amount, at.Time)
		}
	}
	decision.HeldAmount = t.Held
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_AuthorizationAdvised{AuthorizationAdvised: &eventsv1.AuthorizationAdvised{
			Kind: c.Advice, Amount: c.Amount, HeldChange: t.Held - heldBefore, Network: c.Network,
		}}}, nil
}

// advise makes an amount the total that is authorized, whatever was held, reversed or expired before. What was presented is not held again.
func (t *Transaction) advise(kind typev1.AdviceKind, total int64) {
	granted := t.granted()
	t.Authorized, t.HoldSurplus, t.Reversed, t.Expired = total, 0, 0, 0
	t.MerchantCredit, t.ReversedInFull = false, false
	t.Completed = kind == typev1.AdviceKind_ADVICE_KIND_COMPLETION
	switch {
	case total == 0 && !t.Completed:
		t.Authorization = typev1.Outcome_OUTCOME_DECLINED
	case !granted:
		t.Authorization = typev1.Outcome_OUTCOME_APPROVED
	}
	t.Held = max(0, total-t.Cleared)
	if t.FinalPresented {
		t.Held = 0
	}
}
