package ledger

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// HoldLife is how long a hold lives: the networks' window for most purchases (Visa and Mastercard final authorizations, 7 days).
const HoldLife = 7 * 24 * time.Hour

// MessageAgeBound is the age beyond which a network's message is declined as stale.
const MessageAgeBound = 45 * 24 * time.Hour

// Authorize asks whether a purchase may go ahead. Amount 0 verifies the card.
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
}

// Account is the id of the account.
func (c *Authorize) Account() string { return c.AccountID }

// Kind is COMMAND_KIND_AUTHORIZE.
func (c *Authorize) Kind() eventsv1.CommandKind { return eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE }

// ID is the transaction's.
func (c *Authorize) ID() string { return c.TransactionID }

// Digest of all fields.
func (c *Authorize) Digest() []byte {
	d := command.NewDigest().Text(c.CardID).Number(c.Amount).Text(c.Currency)
	d = digestMerchant(d, c.Merchant)
	d = d.Text(c.Network.GetNetwork(), c.Network.GetAcquirerId(), c.Network.GetStan(), c.Network.GetRrn())
	return d.Time(c.Network.GetTransmittedAt()).Flag(c.PartialApprovalAllowed).Number(int64(c.EntryMode)).Sum()
}

func digestMerchant(d command.Digest, m *typev1.Merchant) command.Digest {
	return d.Text(m.GetName(), m.GetMerchantId(), m.GetMcc(), m.GetCountryCode(), m.GetPostalCode())
}

func (c *Authorize) about() string { return c.TransactionID }

func (c *Authorize) decide(a *Account, rules *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	profile, name := rules.profile(a.profile)
	t := a.find(c.TransactionID) // a presentment can come before its authorization
	if t == nil {
		t = &Transaction{ID: c.TransactionID, OpenedAt: at.Time}
	}
	t.CardID, t.Merchant = c.CardID, c.Merchant
	toCover := c.Amount - min(c.Amount, t.Cleared) // what has cleared already is owed already
	if t.FinalPresented {
		toCover = 0 // nothing more will be held
	}
	decision := &eventsv1.DecisionRecord{RulesProfile: name, RulesVersion: rules.Version, Checks: c.checks(a, profile, toCover, at.Time)}
	c.conclude(a, t, decision, toCover)
	t.Authorization = decision.GetOutcome()
	request := &eventsv1.AuthorizationRequest{Amount: c.Amount, CurrencyCode: c.Currency, Network: c.Network,
		PartialApprovalAllowed: c.PartialApprovalAllowed, EntryMode: c.EntryMode}
	if decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED {
		return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
			Fact: &eventsv1.LedgerEvent_AuthorizationDeclined{AuthorizationDeclined: &eventsv1.AuthorizationDeclined{Request: request}}}, nil
	}
	decision.ApprovalCode = approvalCode(a.id, t.ID, at)
	t.Authorized += decision.GetApprovedAmount()
	t.Held = decision.GetHeldAmount()
	if t.Held > 0 {
		t.ExpiresAt = at.Time.Add(HoldLife)
	}
	return &eventsv1.LedgerEvent{Transaction: t.record(), Decision: decision,
		Fact: &eventsv1.LedgerEvent_AuthorizationApproved{AuthorizationApproved: &eventsv1.AuthorizationApproved{Request: request}}}, nil
}

// conclude makes the decision from the checks: the first that failed declines, save that a terminal which takes parts gets what is available.
func (c *Authorize) conclude(a *Account, t *Transaction, decision *eventsv1.DecisionRecord, toCover int64) {
	failed := slices.IndexFunc(decision.GetChecks(), func(check *eventsv1.CheckRecord) bool { return check.GetFailed() })
	approved := c.Amount
	decision.Outcome, decision.ResponseCode = typev1.Outcome_OUTCOME_APPROVED, responseApproved
	switch {
	case failed >= 0 && c.partly(a, t, decision.GetChecks()[failed]):
		approved = a.balances.Available() + (c.Amount - toCover)
		decision.Outcome, decision.ResponseCode = typev1.Outcome_OUTCOME_PARTIALLY_APPROVED, responsePartiallyApproved
	case failed >= 0:
		reason := decision.GetChecks()[failed].GetDeclineReason()
		decision.Outcome, decision.DeclineReason, decision.ResponseCode = typev1.Outcome_OUTCOME_DECLINED, reason, ResponseCode(reason)
		return
	case c.Amount == 0:
		decision.Outcome, decision.ResponseCode = typev1.Outcome_OUTCOME_VERIFIED, responseVerified
	}
	decision.ApprovedAmount = approved
	if !t.FinalPresented {
		decision.HeldAmount = approved - min(approved, t.Cleared)
	}
}

// partly says whether a purchase that fails for want of credit can be approved in part.
func (c *Authorize) partly(a *Account, t *Transaction, failed *eventsv1.CheckRecord) bool {
	return c.PartialApprovalAllowed && failed.GetKind() == typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT && a.balances.Available() > 0 && t.Cleared == 0
}

// checks runs all checks in the order of their kinds. The credit line is not checked for an amount in another currency, the card not where none was named.
func (c *Authorize) checks(a *Account, profile *Profile, toCover int64, now time.Time) []*eventsv1.CheckRecord {
	checks := make([]*eventsv1.CheckRecord, 0, 9)
	if sent := c.Network.GetTransmittedAt(); sent != nil {
		age, bound := now.Unix()-sent.GetSeconds(), int64(MessageAgeBound/time.Second)
		checks = append(checks, numberCheck(typev1.CheckKind_CHECK_KIND_MESSAGE_AGE, age, bound, age > bound, typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE))
	}
	checks = append(checks, checkAccountState(a.state))
	if c.CardID != "" {
		checks = append(checks, a.checkCard(c.CardID, now)...)
	}
	checks = append(checks,
		codeCheck(typev1.CheckKind_CHECK_KIND_CURRENCY, c.Currency, a.balances.Currency, c.Currency != a.balances.Currency, typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED),
		profile.checkCountry(c.Merchant.GetCountryCode(), a.homeCountry),
		profile.checkMCC(c.Merchant.GetMcc()),
		profile.checkMerchant(c.Merchant.GetMerchantId()))
	if c.Currency == a.balances.Currency {
		checks = append(checks, a.checkCreditLimit(toCover))
	}
	return checks
}

// checkCreditLimit holds posted + pending + withheld + amount against the credit limit. A verification (nothing to cover) passes on any balance.
func (a *Account) checkCreditLimit(toCover int64) *eventsv1.CheckRecord {
	owed, ok := add(a.balances.CreditLimit-a.balances.Available(), toCover)
	if !ok {
		owed = AmountBound
	}
	failed := toCover > 0 && owed > a.balances.CreditLimit
	return numberCheck(typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, owed, a.balances.CreditLimit, failed, typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT)
}

func checkAccountState(state typev1.AccountState) *eventsv1.CheckRecord {
	reason := map[typev1.AccountState]typev1.DeclineReason{
		typev1.AccountState_ACCOUNT_STATE_SUSPENDED:   typev1.DeclineReason_DECLINE_REASON_ACCOUNT_SUSPENDED,
		typev1.AccountState_ACCOUNT_STATE_CHARGED_OFF: typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CHARGED_OFF,
		typev1.AccountState_ACCOUNT_STATE_CLOSED:      typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CLOSED,
	}[state]
	const wanted = typev1.AccountState_ACCOUNT_STATE_OPEN
	return numberCheck(typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE, int64(state), int64(wanted), state != wanted, reason)
}

// checkCard checks a card's state and last valid month.
func (a *Account) checkCard(id string, now time.Time) []*eventsv1.CheckRecord {
	const wanted = typev1.CardState_CARD_STATE_ACTIVE
	known := a.card(id)
	if known == nil {
		return []*eventsv1.CheckRecord{numberCheck(typev1.CheckKind_CHECK_KIND_CARD_STATE, 0, int64(wanted), true, typev1.DeclineReason_DECLINE_REASON_UNKNOWN_CARD)}
	}
	reason := map[typev1.CardState]typev1.DeclineReason{
		typev1.CardState_CARD_STATE_INACTIVE: typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED,
		typev1.CardState_CARD_STATE_PAUSED:   typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED,
		typev1.CardState_CARD_STATE_LOST:     typev1.DeclineReason_DECLINE_REASON_CARD_LOST,
		typev1.CardState_CARD_STATE_STOLEN:   typev1.DeclineReason_DECLINE_REASON_CARD_STOLEN,
		typev1.CardState_CARD_STATE_CLOSED:   typev1.DeclineReason_DECLINE_REASON_CARD_CLOSED,
	}[known.state]
	month := int64(now.Year())*100 + int64(now.Month())
	last := int64(known.expiryYear)*100 + int64(known.expiryMonth)
	return []*eventsv1.CheckRecord{
		numberCheck(typev1.CheckKind_CHECK_KIND_CARD_STATE, int64(known.state), int64(wanted), known.state != wanted, reason),
		numberCheck(typev1.CheckKind_CHECK_KIND_CARD_EXPIRY, month, last, month > last, typev1.DeclineReason_DECLINE_REASON_CARD_EXPIRED),
	}
}

func numberCheck(kind typev1.CheckKind, seen, bound int64, failed bool, reason typev1.DeclineReason) *eventsv1.CheckRecord {
	check := &eventsv1.CheckRecord{Kind: kind, Seen: seen, Bound: bound, Failed: failed}
	if failed {
		check.DeclineReason = reason
	}
	return check
}

func codeCheck(kind typev1.CheckKind, seen, bound string, failed bool, reason typev1.DeclineReason) *eventsv1.CheckRecord {
	check := &eventsv1.CheckRecord{Kind: kind, SeenCode: seen, BoundCode: bound, Failed: failed}
	if failed {
		check.DeclineReason = reason
	}
	return check
}

// approvalCode makes the six characters of DE38. They follow from where and when the decision was made, so no randomness is needed.
func approvalCode(accountID, transactionID string, at command.Position) string {
	sum := fnv.New64a()
	_, _ = fmt.Fprintf(sum, "%s/%s/%d", accountID, transactionID, at.Time.UnixMicro())
	const symbols = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ" // no I, no O: codes are read aloud
	var code strings.Builder
	for rest := sum.Sum64(); code.Len() < 6; rest /= uint64(len(symbols)) {
		code.WriteByte(symbols[rest%uint64(len(symbols))])
	}
	return code.String()
}
