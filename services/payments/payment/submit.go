package payment

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// Standing is what is known of an account from the events of others. It may be older than the account's payments: what the ledger had not posted is made up for.
type Standing struct {
	// Currency that the account is kept in, an ISO 4217 code.
	Currency string
	// State of the account.
	State typev1.AccountState
	// Profile is the name of its rules profile.
	Profile string
	// Owed is posted + pending by the ledger, in minor units; below zero is a credit balance.
	Owed int64
	// LedgerSequence is the account's newest ledger event that is known; 0 when there is none.
	LedgerSequence uint64
	// PostedSequence is the account's newest movement of PAYMENTS that is in Owed; 0 when there is none.
	PostedSequence uint64
}

// Submit asks to take a payment. Its answer is a payment that is taken, held for review, or rejected.
type Submit struct {
	Header
	// PaymentID names the new payment, and is the idempotency key.
	PaymentID string
	// Amount in minor units of Currency, above zero.
	Amount   int64
	Currency string
	// SourceType and SourceID are the bank account that it comes from.
	SourceType typev1.PaymentSourceType
	SourceID   string
	// Standing of the account. The digest leaves it out: a repeat comes with another one.
	Standing Standing
}

// Kind is COMMAND_KIND_SUBMIT_PAYMENT.
func (c *Submit) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_SUBMIT_PAYMENT
}

// ID is the payment's.
func (c *Submit) ID() string { return c.PaymentID }

func (c *Submit) decide(a *Account, rules *Rules, at command.Position) (*eventsv1.PaymentEvent, error) {
	owed, err := c.possible(a)
	if err != nil {
		return nil, err
	}
	profile, name := rules.profile(c.Standing.Profile)
	checks, err := c.checks(a, profile, owed, at.Time)
	if err != nil {
		return nil, err
	}
	next := &eventsv1.PaymentSnapshot{
		PaymentId: c.PaymentID, Amount: &typev1.Money{MinorUnits: c.Amount, CurrencyCode: c.Currency}, SourceType: c.SourceType, SourceId: c.SourceID,
		RulesProfile: name, RulesVersion: rules.Version, CreatedAt: timestamppb.New(at.Time),
	}
	event := &eventsv1.PaymentEvent{Payment: next, Assessment: &eventsv1.PaymentAssessment{
		Owed: owed, LedgerSequence: c.Standing.LedgerSequence, PostedSequence: c.Standing.PostedSequence, AccountState: c.Standing.State, Checks: checks,
	}}
	switch reject, holds := conclude(checks); {
	case reject != typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_UNSPECIFIED:
		next.Status, next.RejectReason = typev1.PaymentStatus_PAYMENT_STATUS_REJECTED, reject
		event.Fact = &eventsv1.PaymentEvent_Rejected{Rejected: &eventsv1.PaymentRejected{}}
	case len(holds) > 0:
		next.Status, next.HoldReasons = typev1.PaymentStatus_PAYMENT_STATUS_HELD, holds
		event.Fact = &eventsv1.PaymentEvent_Held{Held: &eventsv1.PaymentHeld{}}
	default:
		take(next, profile, at)
		event.Fact = &eventsv1.PaymentEvent_Submitted{Submitted: &eventsv1.PaymentSubmitted{}}
	}
	return event, nil
}

// possible returns what is owed, or an error when nothing can be stored for the command.
func (c *Submit) possible(a *Account) (owed int64, err error) {
	switch {
	case a.payments[c.PaymentID] != nil:
		return 0, failure.New(failure.AlreadyExists, "PAYMENT_EXISTS", "account %s has a payment %s already; use another id", a.id, c.PaymentID)
	case c.Currency != c.Standing.Currency:
		return 0, failure.InvalidField("amount.currency_code", "the account is kept in %s", c.Standing.Currency)
	case c.Amount <= 0:
		return 0, failure.InvalidField("amount.minor_units", "must be above zero")
	case c.Amount > PaidBound:
		return 0, errOverflow
	}
	if owed, err = a.owed(c.Standing); err != nil {
		return 0, err
	}
	if after, ok := add(owed, -c.Amount); !ok || after < -PaidBound {
		return 0, errOverflow
	}
	return owed, a.fits(c.Amount)
}

// take makes a payment one that is taken. What it withholds follows from the profile in force.
func take(next *eventsv1.PaymentSnapshot, profile *Profile, at command.Position) {
	next.Status, next.SubmittedAt = typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED, timestamppb.New(at.Time)
	if profile.WithholdDays > 0 {
		next.Withheld, next.ReleaseAt = next.GetAmount().GetMinorUnits(), timestamppb.New(at.Time.AddDate(0, 0, profile.WithholdDays))
	}
}
