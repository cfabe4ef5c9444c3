package main

import (
	"slices"
	"time"

	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// bookPayment is money from the cardholder.
type bookPayment struct {
	id, source       string
	amount, withheld int64
	status           typev1.PaymentStatus
	submitted        time.Time // when SubmitPayment was decided
	taken, until     time.Time // zero where it never was; until when it is withheld
	rejected         typev1.PaymentRejectReason
	held             []typev1.HoldReason
	code             string // with which it came back
}

// bookPaymentRules are the bounds of a profile's payments.
type bookPaymentRules struct {
	withholdDays                int
	overpayment                 bool
	reviewAmount, newSource     int64
	afterReturnDays, dailyCount int
	dailyAmount                 int64
}

// submit takes a payment, holds it or rejects it.
func (b *book) submit(r *paymentsv1.SubmitPaymentRequest) *bookPayment {
	p := &bookPayment{id: r.GetPaymentId(), source: r.GetSource().GetSourceId(), amount: r.GetAmount().GetMinorUnits(), submitted: b.now}
	p.rejected = b.rejection(p)
	if p.rejected == 0 {
		p.held = b.review(p)
	}
	b.payments = append(b.payments, p)
	switch {
	case p.rejected != 0:
		p.status = typev1.PaymentStatus_PAYMENT_STATUS_REJECTED
	case len(p.held) > 0:
		p.status = typev1.PaymentStatus_PAYMENT_STATUS_HELD
	default:
		b.take(p)
	}
	return p
}

func (b *book) rejection(p *bookPayment) typev1.PaymentRejectReason {
	switch {
	case b.state == typev1.AccountState_ACCOUNT_STATE_CLOSED:
		return typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_ACCOUNT_CLOSED
	case p.amount > b.posted()+b.pending() && !b.rules.payments.overpayment:
		return typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_MORE_THAN_OWED
	}
	return 0
}

// review is why a payment waits for a person.
func (b *book) review(p *bookPayment) (reasons []typev1.HoldReason) {
	rules, count, sum, known, failed := b.rules.payments, 1, p.amount, false, false
	for _, other := range b.payments {
		gone := other.status == typev1.PaymentStatus_PAYMENT_STATUS_REJECTED || other.status == typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED
		if !gone && b.now.Sub(other.submitted) < 24*time.Hour {
			count, sum = count+1, sum+other.amount
		}
		if other.source == p.source {
			known = known || !other.taken.IsZero()
			failed = failed || slices.Contains([]string{"R02", "R03", "R04", "R20"}, other.code)
		}
	}
	add := func(fires bool, reason typev1.HoldReason) {
		if fires {
			reasons = append(reasons, reason)
		}
	}
	add(p.amount >= rules.reviewAmount, typev1.HoldReason_HOLD_REASON_LARGE_AMOUNT)
	add(!b.lastReturn.IsZero() && b.now.Before(b.lastReturn.AddDate(0, 0, rules.afterReturnDays)), typev1.HoldReason_HOLD_REASON_RECENT_RETURN)
	add(!known && p.amount > rules.newSource, typev1.HoldReason_HOLD_REASON_NEW_SOURCE)
	add(count > rules.dailyCount, typev1.HoldReason_HOLD_REASON_DAILY_COUNT)
	add(sum > rules.dailyAmount, typev1.HoldReason_HOLD_REASON_DAILY_AMOUNT)
	add(failed, typev1.HoldReason_HOLD_REASON_SOURCE_FAILED)
	return reasons
}

// take has a payment taken: what is owed falls by it, and it may be spent when the days of withholding are over.
func (b *book) take(p *bookPayment) {
	b.order = append(b.order, func() string { return p.id })
	p.status, p.taken = typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED, b.now
	if b.rules.payments.withholdDays > 0 {
		p.withheld, p.until = p.amount, b.now.AddDate(0, 0, b.rules.payments.withholdDays)
	}
}

// over is the refusal of whoever would do something with a payment that has come to its end.
func (p *bookPayment) over() string {
	return map[typev1.PaymentStatus]string{
		typev1.PaymentStatus_PAYMENT_STATUS_REJECTED:  "FailedPrecondition PAYMENT_REJECTED",
		typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED: "FailedPrecondition PAYMENT_CANCELLED",
		typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:  "FailedPrecondition PAYMENT_ALREADY_RETURNED",
	}[p.status]
}

// release approves a held payment, or ends the withholding of one that was taken.
func (b *book) release(p *bookPayment) (err string) {
	switch {
	case p == nil:
		return "NotFound PAYMENT_NOT_FOUND"
	case p.status == typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		b.take(p)
	case p.status != typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		return p.over()
	case p.withheld == 0:
		return "FailedPrecondition NOTHING_WITHHELD"
	default:
		p.withheld = 0
	}
	return ""
}

// cancel gives a held payment up.
func (b *book) cancel(p *bookPayment) (err string) {
	switch {
	case p == nil:
		return "NotFound PAYMENT_NOT_FOUND"
	case p.status == typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		return "FailedPrecondition PAYMENT_SUBMITTED"
	case p.status != typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		return p.over()
	}
	p.status = typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED
	return ""
}

// sendBack takes back a payment that the payer's bank returned.
func (b *book) sendBack(p *bookPayment, code string) (err string) {
	switch {
	case p == nil:
		return "NotFound PAYMENT_NOT_FOUND"
	case p.status == typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:
		return p.over()
	case p.status != typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		return "FailedPrecondition PAYMENT_NEVER_SUBMITTED"
	case b.now.After(lastDayOf(p.taken, code)):
		return "FailedPrecondition RETURN_TOO_LATE"
	}
	p.status, p.code, p.withheld = typev1.PaymentStatus_PAYMENT_STATUS_RETURNED, code, 0
	b.lastReturn = b.now
	return ""
}

// lastDayOf is the end of the last day on which a payment may come back: the second banking day after its settlement, or the 60th day.
// Settlement is the first banking day after the day on which it was taken.
func lastDayOf(taken time.Time, code string) time.Time {
	day := nextBankingDay(time.Date(taken.Year(), taken.Month(), taken.Day(), 0, 0, 0, 0, time.UTC))
	switch code {
	case "R31":
		return day.AddDate(1000, 0, 0)
	case "R05", "R07", "R10", "R11":
		day = day.AddDate(0, 0, 60)
	default:
		day = nextBankingDay(nextBankingDay(day))
	}
	return day.Add(24*time.Hour - time.Nanosecond)
}

func nextBankingDay(day time.Time) time.Time {
	for day = day.AddDate(0, 0, 1); day.Weekday() == time.Saturday || day.Weekday() == time.Sunday; {
		day = day.AddDate(0, 0, 1)
	}
	return day
}
