package ledger

import (
	"slices"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// MessageAgeBound is the age beyond which a network's message is declined as stale.
const MessageAgeBound = 45 * day

// request is what the checks look at.
type request struct {
	// card is that which the message named, or the transaction's; empty: none, and then no card is checked.
	card      string
	entryMode typev1.EntryMode
	network   *typev1.NetworkMessage
	currency  string
	profile   *Profile
	now       time.Time
	// before and after are the transaction as it is, and as it will be when the request is granted in full.
	before, after Transaction
	// amount is what the purchase comes to; asked is what was asked for: 0 verifies.
	amount, asked int64
	// credit says that it is a merchant credit, increment that it raises an authorization.
	credit, increment bool
}

// checks runs all checks in their order. The card is not checked where none was named, what is spent not for an amount in another currency, and for a merchant credit
// only what it is not for.
func (a *Account) checks(r *request) []*eventsv1.CheckRecord {
	checks := make([]*eventsv1.CheckRecord, 0, 10)
	if sent := r.network.GetTransmittedAt(); sent != nil {
		age, bound := r.now.Unix()-sent.GetSeconds(), int64(MessageAgeBound/time.Second)
		checks = append(checks, numberCheck(typev1.CheckKind_CHECK_KIND_MESSAGE_AGE, age, bound, age > bound, typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE))
	}
	checks = append(checks, checkAccountState(a.state))
	if r.card != "" {
		checks = append(checks, a.checkCard(r)...)
	}
	controls := a.controlsFor(r.card)
	if !r.credit {
		checks = a.checkSingleUse(checks, r, controls)
	}
	checks = append(checks,
		codeCheck(typev1.CheckKind_CHECK_KIND_CURRENCY, r.currency, a.balances.Currency, r.currency != a.balances.Currency, typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED))
	checks = a.checkLists(checks, r, controls)
	if r.credit {
		return checks
	}
	inCurrency := r.currency == a.balances.Currency
	if inCurrency {
		checks = checkMaxAmount(checks, r, controls)
	}
	checks = a.checkWindows(checks, r, controls, inCurrency)
	if inCurrency {
		checks = append(checks, a.checkCreditLimit(r))
	}
	return checks
}

// bound is what may be owed: the credit limit and what the profile grants beyond it.
func (a *Account) bound(profile *Profile) int64 {
	return min(a.balances.CreditLimit+percentOf(a.balances.CreditLimit, profile.OverLimitPercent), AmountBound)
}

// room is what may still be held.
func (a *Account) room(profile *Profile) int64 {
	return a.bound(profile) - (a.balances.CreditLimit - a.balances.Available())
}

// checkCreditLimit holds posted + pending + withheld + what will be held against what may be owed. A request that holds nothing passes on any balance.
func (a *Account) checkCreditLimit(r *request) *eventsv1.CheckRecord {
	toCover, bound := r.after.Held-r.before.Held, a.bound(r.profile)
	owed, ok := add(a.balances.CreditLimit-a.balances.Available(), toCover)
	if !ok {
		owed = AmountBound
	}
	failed := toCover > 0 && owed > bound
	return numberCheck(typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, owed, bound, failed, typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT)
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
func (a *Account) checkCard(r *request) []*eventsv1.CheckRecord {
	wanted := typev1.CardState_CARD_STATE_ACTIVE
	known := a.card(r.card)
	if known == nil {
		return []*eventsv1.CheckRecord{numberCheck(typev1.CheckKind_CHECK_KIND_CARD_STATE, 0, int64(wanted), true, typev1.DeclineReason_DECLINE_REASON_UNKNOWN_CARD)}
	}
	if known.state == typev1.CardState_CARD_STATE_INACTIVE && r.withoutTheCard() {
		wanted = typev1.CardState_CARD_STATE_INACTIVE
	}
	reason := map[typev1.CardState]typev1.DeclineReason{
		typev1.CardState_CARD_STATE_INACTIVE: typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED,
		typev1.CardState_CARD_STATE_PAUSED:   typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED,
		typev1.CardState_CARD_STATE_LOST:     typev1.DeclineReason_DECLINE_REASON_CARD_LOST,
		typev1.CardState_CARD_STATE_STOLEN:   typev1.DeclineReason_DECLINE_REASON_CARD_STOLEN,
		typev1.CardState_CARD_STATE_CLOSED:   typev1.DeclineReason_DECLINE_REASON_CARD_CLOSED,
	}[known.state]
	month := int64(r.now.Year())*100 + int64(r.now.Month())
	last := int64(known.expiryYear)*100 + int64(known.expiryMonth)
	return []*eventsv1.CheckRecord{
		numberCheck(typev1.CheckKind_CHECK_KIND_CARD_STATE, int64(known.state), int64(wanted), known.state != wanted, reason),
		numberCheck(typev1.CheckKind_CHECK_KIND_CARD_EXPIRY, month, last, month > last, typev1.DeclineReason_DECLINE_REASON_CARD_EXPIRED),
	}
}

// withoutTheCard says whether the request needs the card's number only, so that a card that was not activated yet will do: it may be in the post.
// An increment is for a purchase that was granted.
func (r *request) withoutTheCard() bool {
	return r.increment || r.entryMode == typev1.EntryMode_ENTRY_MODE_ECOMMERCE || r.entryMode == typev1.EntryMode_ENTRY_MODE_CREDENTIAL_ON_FILE
}

// checkLists checks the merchant's country, its category and itself: by the profile, then the account, then the card.
func (a *Account) checkLists(checks []*eventsv1.CheckRecord, r *request, controls []scopedControls) []*eventsv1.CheckRecord {
	merchant := r.after.Merchant
	country, mcc, id := merchant.GetCountryCode(), merchant.GetMcc(), merchant.GetMerchantId()
	in := func(list []string) bool {
		return slices.Contains(list, country) || (country == a.homeCountry && country != "" && slices.Contains(list, HomeCountry))
	}
	listed := func(allowed, blocked []string, in func([]string) bool) string {
		switch {
		case in(blocked):
			return "blocked"
		case len(allowed) > 0 && !in(allowed):
			return "not allowed"
		}
		return ""
	}
	list := func(kind typev1.CheckKind, scope typev1.CheckScope, seen, problem string, reason typev1.DeclineReason) {
		check := codeCheck(kind, seen, problem, problem != "", reason)
		check.Scope = scope
		checks = append(checks, check)
	}
	const none = typev1.CheckScope_CHECK_SCOPE_UNSPECIFIED
	list(typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY, none, country, listed(r.profile.AllowedCountries, r.profile.BlockedCountries, in),
		typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED)
	for _, c := range controls {
		if allowed, blocked := c.GetAllowedCountries(), c.GetBlockedCountries(); len(allowed)+len(blocked) > 0 {
			list(typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY, c.scope, country, listed(allowed, blocked, in), typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED)
		}
	}
	has := func(value string) func([]string) bool {
		return func(list []string) bool { return slices.Contains(list, value) }
	}
	list(typev1.CheckKind_CHECK_KIND_MCC, none, mcc, listed(nil, r.profile.BlockedMCCs, has(mcc)), typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED)
	for _, c := range controls {
		if allowed, blocked := c.GetAllowedMccs(), c.GetBlockedMccs(); len(allowed)+len(blocked) > 0 {
			list(typev1.CheckKind_CHECK_KIND_MCC, c.scope, mcc, listed(allowed, blocked, has(mcc)), typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED)
		}
	}
	list(typev1.CheckKind_CHECK_KIND_MERCHANT, none, id, listed(nil, r.profile.BlockedMerchants, has(id)), typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED)
	return a.checkMerchantLock(checks, r, controls)
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
