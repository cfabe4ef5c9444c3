package payment

import (
	"fmt"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// checks runs all rules in the order of their kinds. Not run, and so not recorded, are a review that the profile has at 0, the recent return where none came
// back, and the new source where the source is known.
func (c *Submit) checks(a *Account, profile *Profile, owed int64, now time.Time) ([]*eventsv1.PaymentCheck, error) {
	const closed = typev1.AccountState_ACCOUNT_STATE_CLOSED
	checks := make([]*eventsv1.PaymentCheck, 0, 8)
	check := func(kind typev1.PaymentCheckKind, seen, bound int64, fired bool) {
		checks = append(checks, &eventsv1.PaymentCheck{Kind: kind, Fired: fired, Seen: seen, Bound: bound})
	}
	check(typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_ACCOUNT_STATE, int64(c.Standing.State), int64(closed), c.Standing.State == closed)
	check(typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_OWED, c.Amount, owed, c.Amount > owed && !profile.AllowOverpayment)
	if bound := profile.ReviewAmount; bound > 0 {
		check(typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_AMOUNT, c.Amount, bound, c.Amount >= bound)
	}
	if bound := int64(profile.ReviewAfterReturnDays); bound > 0 && !a.lastReturn.IsZero() {
		days := int64(now.Sub(a.lastReturn) / day)
		check(typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_RECENT_RETURN, days, bound, days < bound)
	}
	if bound := profile.ReviewNewSourceAmount; bound > 0 && !a.sources[c.SourceID].taken {
		check(typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_NEW_SOURCE, c.Amount, bound, c.Amount > bound)
	}
	daily, err := c.dailyChecks(a, profile, now)
	if err != nil {
		return nil, err
	}
	checks = append(checks, daily...)
	failures := a.sources[c.SourceID].failures
	check(typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_SOURCE_FAILED, failures, 0, failures > 0)
	return checks, nil
}

// dailyChecks holds the payments of 24 hours, this one included, against their bounds.
func (c *Submit) dailyChecks(a *Account, profile *Profile, now time.Time) (checks []*eventsv1.PaymentCheck, err error) {
	if profile.ReviewDailyCount <= 0 && profile.ReviewDailyAmount <= 0 {
		return nil, nil
	}
	count, sum, err := a.within(now)
	if err != nil {
		return nil, err
	}
	sum, ok := add(sum, c.Amount)
	if !ok {
		return nil, errOverflow
	}
	count++
	if bound := int64(profile.ReviewDailyCount); bound > 0 {
		checks = append(checks, &eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_COUNT, Fired: count > bound, Seen: count, Bound: bound})
	}
	if bound := profile.ReviewDailyAmount; bound > 0 {
		checks = append(checks, &eventsv1.PaymentCheck{Kind: typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_AMOUNT, Fired: sum > bound, Seen: sum, Bound: bound})
	}
	return checks, nil
}

// conclude makes the decision from the checks: the first that rejects does, whatever would hold the payment; else all that fired hold it.
func conclude(checks []*eventsv1.PaymentCheck) (reject typev1.PaymentRejectReason, holds []typev1.HoldReason) {
	for _, check := range checks {
		if !check.GetFired() {
			continue
		}
		rejects, hold := meaning(check.GetKind())
		if rejects != typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_UNSPECIFIED {
			return rejects, nil // those that reject come first
		}
		holds = append(holds, hold)
	}
	return reject, holds
}

// meaning returns for what a payment is rejected, or held, when a rule fires.
func meaning(kind typev1.PaymentCheckKind) (reject typev1.PaymentRejectReason, hold typev1.HoldReason) {
	switch kind {
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_ACCOUNT_STATE:
		return typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_ACCOUNT_CLOSED, 0
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_OWED:
		return typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_MORE_THAN_OWED, 0
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_AMOUNT:
		return 0, typev1.HoldReason_HOLD_REASON_LARGE_AMOUNT
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_RECENT_RETURN:
		return 0, typev1.HoldReason_HOLD_REASON_RECENT_RETURN
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_NEW_SOURCE:
		return 0, typev1.HoldReason_HOLD_REASON_NEW_SOURCE
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_COUNT:
		return 0, typev1.HoldReason_HOLD_REASON_DAILY_COUNT
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_AMOUNT:
		return 0, typev1.HoldReason_HOLD_REASON_DAILY_AMOUNT
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_SOURCE_FAILED:
		return 0, typev1.HoldReason_HOLD_REASON_SOURCE_FAILED
	default:
		panic(fmt.Sprintf("there is no rule %v", kind))
	}
}
