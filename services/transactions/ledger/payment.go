package ledger

import (
	"fmt"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// FollowPayments carries one movement of PAYMENTS into the account's ledger: a payment that was taken, one that came back, a withholding that ended before its time.
// They are facts and always post, whatever the state of the account. Every movement becomes one ledger event, so a missing one is noticed.
type FollowPayments struct {
	// Event as it is stored in PAYMENTS, and its sequence there.
	Event    *eventsv1.PaymentEvent
	Sequence uint64
}

// MovesMoney says whether an event of PAYMENTS is a movement, and so is followed: it moves money or ends a withholding. What this version does not know counts
// as one, so that it is refused and not passed over.
func MovesMoney(event *eventsv1.PaymentEvent) bool {
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Held, *eventsv1.PaymentEvent_Rejected, *eventsv1.PaymentEvent_Cancelled:
		return false
	default:
		return true
	}
}

// PaymentKey returns the key of a payment, for LastEventOf: no purchase has it, for no id has a slash.
func PaymentKey(paymentID string) string { return "payment/" + paymentID }

// Account is the id of the account.
func (c *FollowPayments) Account() string { return c.Event.GetEnvelope().GetAccountId() }

// Kind is COMMAND_KIND_FOLLOW_PAYMENTS.
func (c *FollowPayments) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_FOLLOW_PAYMENTS
}

// ID names the event followed.
func (c *FollowPayments) ID() string { return fmt.Sprintf("payments-%d", c.Sequence) }

// Digest is empty: the sequence says it all.
func (c *FollowPayments) Digest() []byte { return nil }

func (c *FollowPayments) about() string { return PaymentKey(c.Event.GetPayment().GetPaymentId()) }

func (c *FollowPayments) decide(a *Account, before *Transaction, _ *Rules, at command.Position) (*eventsv1.LedgerEvent, error) {
	if c.Sequence <= a.paymentsSequence {
		return nil, failure.New(failure.AlreadyExists, ReasonFollowed, "event %d of PAYMENTS was followed before", c.Sequence)
	}
	if previous := c.Event.GetPreviousMovementSequence(); previous != a.paymentsSequence {
		return nil, failure.New(failure.Precondition, ReasonOutOfOrder, "event %d of PAYMENTS comes after %d, the ledger has seen %d", c.Sequence, previous, a.paymentsSequence)
	}
	t := before.copy()
	switch c.Event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted, *eventsv1.PaymentEvent_Released:
		return c.post(a, t, at)
	case *eventsv1.PaymentEvent_Returned:
		return c.takeBack(t)
	case *eventsv1.PaymentEvent_WithholdingEnded:
		if t == nil {
			return nil, c.wrong("payment %s was never posted", c.Event.GetPayment().GetPaymentId())
		}
		return t.endWithholding(c.Sequence), nil
	default:
		return nil, failure.New(failure.Internal, "EVENT_UNKNOWN", "event %d of PAYMENTS has a fact that moves nothing, or that this version does not know", c.Sequence)
	}
}

// post takes a payment off what is owed, and withholds what it says, unless that time is over.
func (c *FollowPayments) post(a *Account, t *Transaction, at command.Position) (*eventsv1.LedgerEvent, error) {
	payment := c.Event.GetPayment()
	amount, withheld := payment.GetAmount().GetMinorUnits(), payment.GetWithheld()
	switch currency := payment.GetAmount().GetCurrencyCode(); {
	case t != nil:
		return nil, c.wrong("payment %s was posted before", t.ID)
	case currency != a.balances.Currency:
		return nil, c.wrong("payment %s is in %s, the account is kept in %s", payment.GetPaymentId(), currency, a.balances.Currency)
	case amount <= 0, withheld < 0, withheld > amount, withheld > 0 && payment.GetReleaseAt() == nil:
		return nil, c.wrong("payment %s of %d withholds %d", payment.GetPaymentId(), amount, withheld)
	}
	t = &Transaction{ID: payment.GetPaymentId(), OpenedAt: at.Time, Paid: amount}
	if until := payment.GetReleaseAt().AsTime(); withheld > 0 && until.After(at.Time) {
		t.Withheld, t.ExpiresAt = withheld, until
	}
	return &eventsv1.LedgerEvent{Transaction: t.record(), Fact: &eventsv1.LedgerEvent_PaymentPosted{PaymentPosted: &eventsv1.PaymentPosted{
		PaymentsSequence: c.Sequence, Amount: amount, WithheldAmount: t.Withheld,
	}}}, nil
}

// takeBack adds a payment to what is owed again. What is still withheld of it pays for that, so until then nothing changes what can be spent.
func (c *FollowPayments) takeBack(t *Transaction) (*eventsv1.LedgerEvent, error) {
	payment := c.Event.GetPayment()
	switch {
	case t == nil:
		return nil, c.wrong("payment %s was never posted", payment.GetPaymentId())
	case t.Returned != 0:
		return nil, c.wrong("payment %s came back before", t.ID)
	case payment.GetAmount().GetMinorUnits() != t.Paid:
		return nil, c.wrong("payment %s comes back with %d, it was posted with %d", t.ID, payment.GetAmount().GetMinorUnits(), t.Paid)
	}
	released := t.Withheld
	t.Returned, t.Withheld = t.Paid, 0
	return &eventsv1.LedgerEvent{Transaction: t.record(), Fact: &eventsv1.LedgerEvent_PaymentReturned{PaymentReturned: &eventsv1.PaymentReturnPosted{
		PaymentsSequence: c.Sequence, Amount: t.Returned, ReleasedAmount: released, ReturnCode: payment.GetReturnCode(),
	}}}, nil
}

// wrong is the error of an event that does not agree with the ledger. The payments service has checked what it could: one of the two logs is not what it was.
func (c *FollowPayments) wrong(format string, args ...any) error {
	return failure.New(failure.Internal, "PAYMENT_MISMATCH", "event %d of PAYMENTS does not agree with the ledger: %s", c.Sequence, fmt.Sprintf(format, args...))
}

// endWithholding makes the event after which nothing of the payment is withheld. The sequence is that of the event of PAYMENTS that told; 0 when it came due by time.
func (t *Transaction) endWithholding(sequence uint64) *eventsv1.LedgerEvent {
	released := t.Withheld
	t.Withheld = 0
	return &eventsv1.LedgerEvent{Transaction: t.record(), Fact: &eventsv1.LedgerEvent_WithholdingEnded{
		WithholdingEnded: &eventsv1.WithholdingEnded{PaymentsSequence: sequence, ReleasedAmount: released},
	}}
}

// applyPaymentFact folds what came from PAYMENTS, beside the money. It panics when the transaction beside it is not the payment that the fact tells of.
func (a *Account) applyPaymentFact(event *eventsv1.LedgerEvent) {
	var followed uint64
	agrees, record := false, event.GetTransaction()
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_PaymentPosted:
		followed = fact.PaymentPosted.GetPaymentsSequence()
		agrees = record.GetPaid() == fact.PaymentPosted.GetAmount() && record.GetReturned() == 0 && record.GetFirstSequence() == 0
	case *eventsv1.LedgerEvent_PaymentReturned:
		followed = fact.PaymentReturned.GetPaymentsSequence()
		agrees = record.GetPaid() == fact.PaymentReturned.GetAmount() && record.GetReturned() == record.GetPaid() && record.GetFirstSequence() != 0
	case *eventsv1.LedgerEvent_WithholdingEnded:
		followed = fact.WithholdingEnded.GetPaymentsSequence()
		agrees = record.GetWithheld() == 0 && record.GetFirstSequence() != 0
	default:
		if record.GetPaid() != 0 {
			panic(fmt.Sprintf("payment %s is in the event of a purchase", record.GetTransactionId()))
		}
		return
	}
	if !agrees || record.GetPaid() == 0 {
		panic(fmt.Sprintf("payment %s is not as the event tells", record.GetTransactionId()))
	}
	if followed == 0 && event.GetWithholdingEnded() != nil {
		return // it came due by time
	}
	if followed <= a.paymentsSequence {
		panic(fmt.Sprintf("event %d of PAYMENTS was followed after event %d", followed, a.paymentsSequence))
	}
	a.paymentsSequence = followed
}
