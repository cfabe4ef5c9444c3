package payment

import (
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// Release approves a held payment, which is then taken; or it ends the withholding of one that was taken. What is owed is not looked at again: whoever approves
// has seen it.
type Release struct {
	Header
	// PaymentID names the payment.
	PaymentID string
}

// Kind is COMMAND_KIND_RELEASE_PAYMENT.
func (c *Release) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_RELEASE_PAYMENT
}

func (c *Release) decide(a *Account, rules *Rules, at command.Position) (*eventsv1.PaymentEvent, error) {
	p, err := a.find(c.PaymentID)
	if err != nil {
		return nil, err
	}
	switch p.Snapshot.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		if err := a.fits(p.Snapshot.GetAmount().GetMinorUnits()); err != nil {
			return nil, err
		}
		next := p.next()
		profile, _ := rules.profile(next.GetRulesProfile())
		take(next, profile, at)
		return &eventsv1.PaymentEvent{Payment: next, Fact: &eventsv1.PaymentEvent_Released{Released: &eventsv1.PaymentReleased{}}}, nil
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		withheld := WithheldAt(p.Snapshot, at.Time)
		if withheld == 0 {
			return nil, failure.New(failure.Precondition, "NOTHING_WITHHELD", "payment %s was taken on %s and nothing of it is withheld; there is nothing to release",
				c.PaymentID, takenOn(p.Snapshot))
		}
		next := p.next()
		next.Withheld = 0
		return &eventsv1.PaymentEvent{Payment: next, Fact: &eventsv1.PaymentEvent_WithholdingEnded{
			WithholdingEnded: &eventsv1.PaymentWithholdingEnded{Amount: withheld}}}, nil
	default:
		return nil, over(p.Snapshot)
	}
}

// Cancel gives a held payment up.
type Cancel struct {
	Header
	// PaymentID names the payment, and why.
	PaymentID string
	Reason    string
}

// Kind is COMMAND_KIND_CANCEL_PAYMENT.
func (c *Cancel) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_CANCEL_PAYMENT
}

func (c *Cancel) decide(a *Account, _ *Rules, _ command.Position) (*eventsv1.PaymentEvent, error) {
	p, err := a.find(c.PaymentID)
	if err != nil {
		return nil, err
	}
	switch p.Snapshot.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		next := p.next()
		next.Status, next.Reason = typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED, c.Reason
		return &eventsv1.PaymentEvent{Payment: next, Fact: &eventsv1.PaymentEvent_Cancelled{Cancelled: &eventsv1.PaymentCancelled{}}}, nil
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		return nil, failure.New(failure.Precondition, "PAYMENT_SUBMITTED", "payment %s was taken on %s; only its bank can return it: use ReturnPayment",
			c.PaymentID, takenOn(p.Snapshot))
	default:
		return nil, over(p.Snapshot)
	}
}

// Return takes back a payment that the payer's bank returned.
type Return struct {
	Header
	// PaymentID names the payment.
	PaymentID string
	// ReturnCode is the bank's code, such as R01, and Reason why, in the caller's words.
	ReturnCode, Reason string
}

// Kind is COMMAND_KIND_RETURN_PAYMENT.
func (c *Return) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_RETURN_PAYMENT
}

func (c *Return) decide(a *Account, _ *Rules, at command.Position) (*eventsv1.PaymentEvent, error) {
	code, known := codeOf(c.ReturnCode)
	if !known {
		return nil, failure.InvalidField("return_code", "%s is not a code that a payment comes back with; the codes are %s", c.ReturnCode, codeNames())
	}
	p, err := a.find(c.PaymentID)
	if err != nil {
		return nil, err
	}
	switch p.Snapshot.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
	case typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:
		return nil, over(p.Snapshot)
	default:
		return nil, failure.New(failure.Precondition, "PAYMENT_NEVER_SUBMITTED", "payment %s is %s and was never taken, so it cannot come back; check its id",
			c.PaymentID, statusWord(p.Snapshot.GetStatus()))
	}
	if last, limited := code.lastDay(p.Snapshot.GetSubmittedAt().AsTime()); limited && !at.Time.Before(last.AddDate(0, 0, 1)) {
		return nil, failure.New(failure.Precondition, "RETURN_TOO_LATE",
			"a return with %s (%s) of payment %s could come until the end of %s, UTC; the payment stands: dishonour the return, or use %s if you agreed to take it late",
			code.code, code.meaning, c.PaymentID, last.Format(time.DateOnly), agreedCode)
	}
	next := p.next()
	next.Status, next.Withheld = typev1.PaymentStatus_PAYMENT_STATUS_RETURNED, 0
	next.ReturnCode, next.Reason = c.ReturnCode, c.Reason
	return &eventsv1.PaymentEvent{Payment: next, Fact: &eventsv1.PaymentEvent_Returned{Returned: &eventsv1.PaymentReturned{}}}, nil
}

// over is the error for a payment that has come to its end: nothing can be done with it any more.
func over(p *eventsv1.PaymentSnapshot) error {
	on := p.GetUpdatedAt().AsTime().Format(time.DateOnly)
	switch p.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED:
		return failure.New(failure.Precondition, "PAYMENT_CANCELLED", "payment %s was cancelled on %s and stays so; submit another one", p.GetPaymentId(), on)
	case typev1.PaymentStatus_PAYMENT_STATUS_REJECTED:
		return failure.New(failure.Precondition, "PAYMENT_REJECTED", "payment %s was rejected on %s and stays so; submit another one", p.GetPaymentId(), on)
	case typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:
		return failure.New(failure.Precondition, "PAYMENT_ALREADY_RETURNED", "payment %s came back with %s on %s and stays so; submit another one",
			p.GetPaymentId(), p.GetReturnCode(), on)
	default:
		return failure.New(failure.Internal, "PAYMENT_NOT_OVER", "payment %s has not come to its end; tell the operators", p.GetPaymentId())
	}
}

func takenOn(p *eventsv1.PaymentSnapshot) string {
	return p.GetSubmittedAt().AsTime().Format(time.DateOnly)
}

func statusWord(status typev1.PaymentStatus) string {
	switch status {
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		return "held"
	case typev1.PaymentStatus_PAYMENT_STATUS_REJECTED:
		return "rejected"
	case typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED:
		return "cancelled"
	default:
		return "neither held nor taken"
	}
}
