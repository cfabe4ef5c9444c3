package ledger

import (
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// Authorize asks whether a purchase may go ahead, or, with Refund, whether a merchant may give money back. Amount 0 verifies the card.
type Authorize struct {
	// AccountID and TransactionID name the account and the new transaction.
	AccountID, TransactionID string
	// CardID is the card that was used; empty where the account was named without one: then no card is checked.
	CardID string
	// Amount in minor units of Currency.
	Amount   int64
	Currency string
	// Merchant and Network are as the message told.
	Merchant *typev1.Merchant
	Network  *typev1.NetworkMessage
	// PartialApprovalAllowed says that the terminal can take an approval of a part.
	PartialApprovalAllowed bool
	// EntryMode is how the card was read.
	EntryMode typev1.EntryMode
	// PreAuthorization says that the amount is an estimate, before the purchase.
	PreAuthorization bool
	// Refund says that it is a merchant credit.
	Refund bool
}

// Account is the id of the account.
func (c *Authorize) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_AUTHORIZE.
func (c *Authorize) Kind() eventsv1.CommandKind { return eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE }

// ID is the transaction's.
func (c *Authorize) ID() string { return c.TransactionID }

// Digest of all fields.
func (c *Authorize) Digest() []byte { return c.content(command.NewDigest()).Sum() }

// Message is what the network's message is known by, and the digest of all fields but the id.
func (c *Authorize) Message() (key, digest []byte) {
	if key = c.messageKey(); key == nil {
		return nil, nil
	}
	return key, c.content(command.NewDigest()).Number(int64(c.Kind())).Sum()
}

func (c *Authorize) messageKey() []byte { return keyOf(requestMessage, c.Network) }

func (c *Authorize) content(d command.Digest) command.Digest {
	d = d.Text(c.CardID).Number(c.Amount).Text(c.Currency)
	d = digestNetwork(digestMerchant(d, c.Merchant), c.Network)
	d = d.Flag(c.PartialApprovalAllowed).Number(int64(c.EntryMode))
	if c.PreAuthorization || c.Refund { // stored digests of others are without
		d = d.Flag(c.PreAuthorization).Flag(c.Refund)
	}
	return d
}

func digestMerchant(d command.Digest, m *typev1.Merchant) command.Digest {
	return d.Text(m.GetName(), m.GetMerchantId(), m.GetMcc(), m.GetCountryCode(), m.GetPostalCode())
}

func (c *Authorize) about() string { return c.TransactionID }

func (c *Authorize) decide(a *Account, before *Transaction, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if c.Refund && c.Amount > AmountBound {
		return nil, errOverflow
	}
	profile, _ := rules.profile(a.profile)
	t := before.copy()
	if t == nil { // else a presentment, or an advice, came before its authorization
		t = &Transaction{ID: c.TransactionID, OpenedAt: at.Time}
	}
	if t.CardID == "" {
		t.CardID = c.CardID
	}
	if c.Merchant != nil || t.Merchant == nil {
		t.Merchant = c.Merchant
	}
	t.PreAuthorization = t.PreAuthorization || c.PreAuthorization
	heldBefore := t.Held
	var decision *eventsv1.DecisionRecord
	if c.Refund {
		decision = c.decideCredit(a, t, profile, at.Time)
	} else {
		decision = c.decidePurchase(a, t, profile, at.Time)
	}
	request := &eventsv1.AuthorizationRequest{Amount: c.Amount, CurrencyCode: c.Currency, Network: c.Network,
		PartialApprovalAllowed: c.PartialApprovalAllowed, EntryMode: c.EntryMode, PreAuthorization: c.PreAuthorization, Refund: c.Refund}
	decision.HeldAmount = t.Held
	if decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED {
		return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
			Fact: &eventsv1.LedgerEvent_AuthorizationDeclined{AuthorizationDeclined: &eventsv1.AuthorizationDeclined{Request: request}}}, nil
	}
	decision.ApprovalCode = approvalCode(a.id, t.ID, at)
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_AuthorizationApproved{AuthorizationApproved: &eventsv1.AuthorizationApproved{Request: request, AlreadyHeld: heldBefore}}}, nil
}

// decidePurchase decides about a purchase, and leaves the transaction as the decision does.
func (c *Authorize) decidePurchase(a *Account, t *Transaction, profile *Profile, now time.Time) *eventsv1.DecisionRecord {
	before := *t
	surplus, surplusRule := profile.holdSurplus(t.Merchant.GetMcc(), t.PreAuthorization, c.Amount)
	if c.Amount == 0 || before.granted() {
		surplus, surplusRule = 0, "" // the network has told what to hold
	}
	granted := before
	granted.grant(c.Amount, surplus)
	decision := answerTo(a.checks(&request{
		card: c.CardID, entryMode: c.EntryMode, network: c.Network, currency: c.Currency, profile: profile, now: now,
		before: before, after: granted, amount: c.Amount, asked: c.Amount,
	}))
	room := a.room(profile)
	switch {
	case decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED && c.partly(&before, decision, room):
		decision.Outcome, decision.DeclineReason, decision.ResponseCode = typev1.Outcome_OUTCOME_APPROVED, 0, responseApproved
		approved := min(c.Amount, room)
		granted = before
		granted.grant(approved, room-approved)
		if approved < c.Amount {
			decision.Outcome, decision.ResponseCode = typev1.Outcome_OUTCOME_PARTIALLY_APPROVED, responsePartiallyApproved
		}
		decision.ApprovedAmount = approved
	case decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED:
		if !before.granted() {
			t.Authorization, t.MerchantCredit = decision.GetOutcome(), false
		}
		return decision
	case c.Amount == 0:
		decision.Outcome, decision.ResponseCode = typev1.Outcome_OUTCOME_VERIFIED, responseVerified
	default:
		decision.ApprovedAmount = c.Amount
	}
	*t = granted
	if !before.granted() {
		t.Authorization = decision.GetOutcome()
	}
	if t.Held > before.Held {
		decision.HoldExpiryRule = t.expireBy(profile, decision.GetApprovedAmount(), now)
	}
	if t.HoldSurplus > 0 {
		decision.HoldAmountRule = surplusRule
	}
	return decision
}

// grant holds what was asked and the surplus on it, less what has cleared or is held already: a presentment or an advice that came before. What is complete, or
// presented for good, holds nothing more.
func (t *Transaction) grant(amount, surplus int64) {
	t.MerchantCredit = false
	if amount == 0 {
		return
	}
	if !t.granted() {
		t.Authorization = typev1.Outcome_OUTCOME_APPROVED
	}
	if t.Completed {
		return
	}
	t.Authorized = max(t.Authorized, amount)
	if t.FinalPresented {
		return
	}
	if hold := amount + surplus - t.Cleared - t.Held; hold > 0 {
		t.Held += hold
		t.HoldSurplus, t.Expired, t.ReversedInFull = surplus, 0, false
	}
}

// partly says whether a purchase that was declined for want of credit alone can be approved for what there is.
func (c *Authorize) partly(before *Transaction, declined *eventsv1.DecisionRecord, room int64) bool {
	failed := slices.IndexFunc(declined.GetChecks(), func(check *eventsv1.CheckRecord) bool { return check.GetFailed() })
	return c.PartialApprovalAllowed && room > 0 && before.Cleared == 0 && before.Held == 0 &&
		declined.GetChecks()[failed].GetKind() == typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT
}

// decideCredit decides about a merchant credit. It moves nothing; the refund will.
func (c *Authorize) decideCredit(a *Account, t *Transaction, profile *Profile, now time.Time) *eventsv1.DecisionRecord {
	decision := answerTo(a.checks(&request{
		card: c.CardID, entryMode: c.EntryMode, network: c.Network, currency: c.Currency, profile: profile, now: now,
		before: *t, after: *t, credit: true, asked: c.Amount,
	}))
	switch {
	case decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED:
	case c.Amount == 0:
		decision.Outcome, decision.ResponseCode = typev1.Outcome_OUTCOME_VERIFIED, responseVerified
	default:
		decision.ApprovedAmount = c.Amount
		t.RefundAuthorized += c.Amount
	}
	if !t.authorized() {
		t.Authorization, t.MerchantCredit = decision.GetOutcome(), true
	}
	return decision
}

// answerTo makes the decision from the checks: the first that failed declines.
func answerTo(checks []*eventsv1.CheckRecord) *eventsv1.DecisionRecord {
	decision := &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_APPROVED, ResponseCode: responseApproved, Checks: checks}
	if failed := slices.IndexFunc(checks, func(check *eventsv1.CheckRecord) bool { return check.GetFailed() }); failed >= 0 {
		reason := checks[failed].GetDeclineReason()
		decision.Outcome, decision.DeclineReason, decision.ResponseCode = typev1.Outcome_OUTCOME_DECLINED, reason, ResponseCode(reason)
	}
	return decision
}

// approvalCode makes the six characters of DE38. They follow from where and when the decision was made, so no randomness is needed.
func approvalCode(accountID, transactionID string, at command.Position) string {
	sum := fnv.New64a()
	sum.Write([]byte(accountID + "/" + transactionID + "/" + strconv.FormatInt(at.Time.UnixMicro(), 10)))
	const symbols = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ" // no I, no O: codes are read aloud
	var code [6]byte
	rest := sum.Sum64()
	for i := range code {
		code[i] = symbols[rest%uint64(len(symbols))]
		rest /= uint64(len(symbols))
	}
	return string(code[:])
}
