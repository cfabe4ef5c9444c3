package ledger

import (
	"slices"
	"time"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// scopedControls are the spending controls of an account or of a card, and the cards whose purchases count: all where it is the account.
type scopedControls struct {
	*typev1.SpendingControls
	scope typev1.CheckScope
	cards []string
}

// controlsFor returns the controls that a purchase with a card is within: the account's, then the card's.
func (a *Account) controlsFor(cardID string) []scopedControls {
	var scoped []scopedControls
	if a.controls != nil {
		scoped = append(scoped, scopedControls{SpendingControls: a.controls, scope: typev1.CheckScope_CHECK_SCOPE_ACCOUNT})
	}
	if known := a.card(cardID); known != nil && known.controls != nil {
		scoped = append(scoped, scopedControls{SpendingControls: known.controls, scope: typev1.CheckScope_CHECK_SCOPE_CARD, cards: a.lineage(cardID)})
	}
	return scoped
}

// lineage returns a card and those that it replaced, the newest first: what was spent with them was spent with it.
func (a *Account) lineage(cardID string) []string {
	var cards []string
	for known := a.card(cardID); known != nil && len(cards) < len(a.cards); known = a.card(known.replaces) {
		cards = append(cards, known.id)
	}
	return cards
}

// adds returns what the request adds to the purchases that began at or after a moment: the purchase itself may have begun before it.
func (r *request) adds(from int64) tally {
	if r.after.OpenedAt.UnixMicro() < from {
		return tally{}
	}
	return r.after.spent().less(r.before.spent())
}

// checkSingleUse checks that a single-use card had no other purchase.
func (a *Account) checkSingleUse(list *checkList, r *request, controls []scopedControls) {
	for _, c := range controls {
		if !c.GetSingleUse() {
			continue
		}
		others := a.spending.since(beginning, c.cards).count - a.countedFor(r.before.Key(), c.cards)
		list.number(typev1.CheckKind_CHECK_KIND_SINGLE_USE, others, 0, others > 0, typev1.DeclineReason_DECLINE_REASON_SINGLE_USE_CARD_USED).Scope = c.scope
	}
}

// countedFor returns how often a transaction is counted among the purchases with some cards, or with all where cards is nil: 1, or 0 where it was begun with another card,
// or with none.
func (a *Account) countedFor(key string, cards []string) int64 {
	t := a.transaction(key)
	if t == nil || (cards != nil && !slices.Contains(cards, t.CardID)) {
		return 0
	}
	return t.spent().count
}

// checkMerchantLock checks that the merchant is the one that the account, or the card, is locked to.
func (a *Account) checkMerchantLock(list *checkList, r *request, controls []scopedControls) {
	id := r.after.Merchant.GetMerchantId()
	for _, c := range controls {
		allowed := c.GetLockedMerchantId()
		if allowed == "" && c.GetLockToFirstMerchant() {
			allowed = a.spending.merchant(c.cards)
		}
		if allowed == "" && !c.GetLockToFirstMerchant() {
			continue
		}
		failed := allowed != "" && id != allowed
		list.code(typev1.CheckKind_CHECK_KIND_MERCHANT_LOCK, id, allowed, failed, typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED).Scope = c.scope
	}
}

// checkMaxAmount checks what the purchase comes to.
func checkMaxAmount(list *checkList, r *request, controls []scopedControls) {
	for _, c := range controls {
		if c.GetMaxAmount() == nil {
			continue
		}
		bound := c.GetMaxAmount().GetMinorUnits()
		failed := r.asked > 0 && r.amount > bound
		list.number(typev1.CheckKind_CHECK_KIND_MAX_AMOUNT, r.amount, bound, failed, typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED).Scope = c.scope
	}
}

// checkWindows checks what would be spent in each window, then how many purchases there would be in each. A request that adds nothing passes.
func (a *Account) checkWindows(list *checkList, r *request, controls []scopedControls, amounts bool) {
	window := func(c scopedControls, limit *typev1.SpendingLimit, kind typev1.CheckKind, spent, added, bound int64, reason typev1.DeclineReason) {
		would, ok := add(spent, added)
		if !ok {
			would = AmountBound
		}
		check := list.number(kind, would, bound, added > 0 && would > bound, reason)
		check.Scope, check.Window, check.TrailingHours = c.scope, limit.GetWindow(), limit.GetTrailingHours()
	}
	for _, c := range controls {
		for _, limit := range c.GetLimits() {
			if limit.GetMaxAmount() != nil && amounts {
				from := windowStart(limit, r.now)
				window(c, limit, typev1.CheckKind_CHECK_KIND_WINDOW_AMOUNT, a.spending.since(from, c.cards).amount, r.adds(from).amount,
					limit.GetMaxAmount().GetMinorUnits(), typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED)
			}
		}
	}
	for _, c := range controls {
		for _, limit := range c.GetLimits() {
			if limit.GetMaxCount() > 0 {
				from := windowStart(limit, r.now)
				window(c, limit, typev1.CheckKind_CHECK_KIND_WINDOW_COUNT, a.spending.since(from, c.cards).count, r.adds(from).count,
					int64(limit.GetMaxCount()), typev1.DeclineReason_DECLINE_REASON_COUNT_LIMIT_EXCEEDED)
			}
		}
	}
}

// windowStart returns the first microsecond of a limit's window, by the Unix epoch.
func windowStart(limit *typev1.SpendingLimit, now time.Time) int64 {
	now = now.UTC()
	if hours := limit.GetTrailingHours(); hours > 0 {
		return now.Add(-time.Duration(hours)*time.Hour).UnixMicro() + 1
	}
	year, month, dayOfMonth := now.Date()
	switch limit.GetWindow() {
	case typev1.Window_WINDOW_DAY:
	case typev1.Window_WINDOW_WEEK:
		dayOfMonth -= (int(now.Weekday()) + 6) % 7 // since Monday
	case typev1.Window_WINDOW_MONTH:
		dayOfMonth = 1
	case typev1.Window_WINDOW_YEAR:
		month, dayOfMonth = time.January, 1
	default:
		return beginning
	}
	return time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC).UnixMicro()
}
