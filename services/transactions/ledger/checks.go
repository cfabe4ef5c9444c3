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
	var list checkList
	if sent := r.network.GetTransmittedAt(); sent != nil {
		age, bound := r.now.Unix()-sent.GetSeconds(), int64(MessageAgeBound/time.Second)
		list.number(typev1.CheckKind_CHECK_KIND_MESSAGE_AGE, age, bound, age > bound, typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE)
	}
	a.checkState(&list)
	if r.card != "" {
		a.checkCard(&list, r)
	}
	controls := a.controlsFor(r.card)
	if !r.credit {
		a.checkSingleUse(&list, r, controls)
	}
	inCurrency := r.currency == a.balances.Currency
	list.code(typev1.CheckKind_CHECK_KIND_CURRENCY, r.currency, a.balances.Currency, !inCurrency, typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED)
	a.checkLists(&list, r, controls)
	if r.credit {
		return list.checks
	}
	if inCurrency {
		checkMaxAmount(&list, r, controls)
	}
	a.checkWindows(&list, r, controls, inCurrency)
	if inCurrency {
		a.checkCreditLimit(&list, r)
	}
	return list.checks
}

// checkList makes checks, one after the other.
type checkList struct {
	checks []*eventsv1.CheckRecord
	spare  []eventsv1.CheckRecord
}

// usualChecks is how many checks a request without spending controls has.
const usualChecks = 9

// add makes a check. As many as are usual are allocated in one piece.
func (l *checkList) add(kind typev1.CheckKind, failed bool, reason typev1.DeclineReason) *eventsv1.CheckRecord {
	if len(l.spare) == 0 {
		l.spare, l.checks = make([]eventsv1.CheckRecord, usualChecks), slices.Grow(l.checks, usualChecks)
	}
	check := &l.spare[0]
	l.spare = l.spare[1:]
	l.checks = append(l.checks, check)
	check.Kind = kind
	if check.Failed = failed; failed {
		check.DeclineReason = reason
	}
	return check
}

// number makes a check of a number, an amount or a state.
func (l *checkList) number(kind typev1.CheckKind, seen, bound int64, failed bool, reason typev1.DeclineReason) *eventsv1.CheckRecord {
	check := l.add(kind, failed, reason)
	check.Seen, check.Bound = seen, bound
	return check
}

// code makes a check of a code or an id.
func (l *checkList) code(kind typev1.CheckKind, seen, bound string, failed bool, reason typev1.DeclineReason) *eventsv1.CheckRecord {
	check := l.add(kind, failed, reason)
	check.SeenCode, check.BoundCode = seen, bound
	return check
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
func (a *Account) checkCreditLimit(list *checkList, r *request) {
	toCover, bound := r.after.Held-r.before.Held, a.bound(r.profile)
	owed, ok := add(a.balances.CreditLimit-a.balances.Available(), toCover)
	if !ok {
		owed = AmountBound
	}
	failed := toCover > 0 && owed > bound
	list.number(typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, owed, bound, failed, typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT)
}

func (a *Account) checkState(list *checkList) {
	const wanted = typev1.AccountState_ACCOUNT_STATE_OPEN
	list.number(typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE, int64(a.state), int64(wanted), a.state != wanted, accountStateReasons[a.state])
}

var accountStateReasons = map[typev1.AccountState]typev1.DeclineReason{
	typev1.AccountState_ACCOUNT_STATE_SUSPENDED:   typev1.DeclineReason_DECLINE_REASON_ACCOUNT_SUSPENDED,
	typev1.AccountState_ACCOUNT_STATE_CHARGED_OFF: typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CHARGED_OFF,
	typev1.AccountState_ACCOUNT_STATE_CLOSED:      typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CLOSED,
}

// checkCard checks a card's state and last valid month.
func (a *Account) checkCard(list *checkList, r *request) {
	wanted := typev1.CardState_CARD_STATE_ACTIVE
	known := a.card(r.card)
	if known == nil {
		list.number(typev1.CheckKind_CHECK_KIND_CARD_STATE, 0, int64(wanted), true, typev1.DeclineReason_DECLINE_REASON_UNKNOWN_CARD)
		return
	}
	if known.state == typev1.CardState_CARD_STATE_INACTIVE && r.withoutTheCard() {
		wanted = typev1.CardState_CARD_STATE_INACTIVE
	}
	list.number(typev1.CheckKind_CHECK_KIND_CARD_STATE, int64(known.state), int64(wanted), known.state != wanted, cardStateReasons[known.state])
	month := int64(r.now.Year())*100 + int64(r.now.Month())
	last := int64(known.expiryYear)*100 + int64(known.expiryMonth)
	list.number(typev1.CheckKind_CHECK_KIND_CARD_EXPIRY, month, last, month > last, typev1.DeclineReason_DECLINE_REASON_CARD_EXPIRED)
}

var cardStateReasons = map[typev1.CardState]typev1.DeclineReason{
	typev1.CardState_CARD_STATE_INACTIVE: typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED,
	typev1.CardState_CARD_STATE_PAUSED:   typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED,
	typev1.CardState_CARD_STATE_LOST:     typev1.DeclineReason_DECLINE_REASON_CARD_LOST,
	typev1.CardState_CARD_STATE_STOLEN:   typev1.DeclineReason_DECLINE_REASON_CARD_STOLEN,
	typev1.CardState_CARD_STATE_CLOSED:   typev1.DeclineReason_DECLINE_REASON_CARD_CLOSED,
}

// withoutTheCard says whether the request needs the card's number only, so that a card that was not activated yet will do: it may be in the post.
// An increment is for a purchase that was granted.
func (r *request) withoutTheCard() bool {
	return r.increment || r.entryMode == typev1.EntryMode_ENTRY_MODE_ECOMMERCE || r.entryMode == typev1.EntryMode_ENTRY_MODE_CREDENTIAL_ON_FILE
}

// checkLists checks the merchant's country, its category and itself: by the profile, then the account, then the card.
func (a *Account) checkLists(list *checkList, r *request, controls []scopedControls) {
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
	check := func(kind typev1.CheckKind, scope typev1.CheckScope, seen, problem string, reason typev1.DeclineReason) {
		list.code(kind, seen, problem, problem != "", reason).Scope = scope
	}
	const none = typev1.CheckScope_CHECK_SCOPE_UNSPECIFIED
	check(typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY, none, country, listed(r.profile.AllowedCountries, r.profile.BlockedCountries, in),
		typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED)
	for _, c := range controls {
		if allowed, blocked := c.GetAllowedCountries(), c.GetBlockedCountries(); len(allowed)+len(blocked) > 0 {
			check(typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY, c.scope, country, listed(allowed, blocked, in), typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED)
		}
	}
	has := func(value string) func([]string) bool {
		return func(list []string) bool { return slices.Contains(list, value) }
	}
	check(typev1.CheckKind_CHECK_KIND_MCC, none, mcc, listed(nil, r.profile.BlockedMCCs, has(mcc)), typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED)
	for _, c := range controls {
		if allowed, blocked := c.GetAllowedMccs(), c.GetBlockedMccs(); len(allowed)+len(blocked) > 0 {
			check(typev1.CheckKind_CHECK_KIND_MCC, c.scope, mcc, listed(allowed, blocked, has(mcc)), typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED)
		}
	}
	check(typev1.CheckKind_CHECK_KIND_MERCHANT, none, id, listed(nil, r.profile.BlockedMerchants, has(id)), typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED)
	a.checkMerchantLock(list, r, controls)
}
