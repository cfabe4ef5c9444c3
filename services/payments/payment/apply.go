package payment

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Movement says whether an event moves money or ends a withholding: what the ledger follows. An event that this version does not know counts as one, so that
// it is refused and not passed over.
func Movement(event *eventsv1.PaymentEvent) bool {
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Held, *eventsv1.PaymentEvent_Rejected, *eventsv1.PaymentEvent_Cancelled:
		return false
	default:
		return true
	}
}

// moved returns by how much an event changes what was paid. It is the one place where facts become money.
func moved(event *eventsv1.PaymentEvent) int64 {
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted, *eventsv1.PaymentEvent_Released:
		return event.GetPayment().GetAmount().GetMinorUnits()
	case *eventsv1.PaymentEvent_Returned:
		return -event.GetPayment().GetAmount().GetMinorUnits()
	default: // the others move nothing: see step
		return 0
	}
}

// Apply folds an event in. It panics when the event does not agree with the state: when it is out of order, takes a payment where it cannot go from where it
// stands, changes of it what cannot change, or does not link to the account's previous movement.
func (a *Account) Apply(event *eventsv1.PaymentEvent, sequence uint64) {
	envelope, after := event.GetEnvelope(), event.GetPayment()
	decidedAt := envelope.GetDecidedAt().AsTime()
	invariant(sequence > a.sequence, "event %d comes after event %d", sequence, a.sequence)
	invariant(!decidedAt.Before(a.decidedAt), "event %d was decided at %v, the one before it at %v", sequence, decidedAt, a.decidedAt)
	invariant(event.GetPreviousMovementSequence() == a.movement,
		"the previous movement is event %d, the event says %d", a.movement, event.GetPreviousMovementSequence())
	p := a.payments[after.GetPaymentId()]
	checkSnapshot(after)
	a.checkStep(event, p)
	total, ok := add(a.total(), moved(event))
	invariant(ok && total >= 0 && total <= PaidBound, "what was paid cannot come to %d", total)

	if p == nil {
		p = &Payment{First: sequence}
		a.payments[after.GetPaymentId()] = p
		a.order = append(a.order, p)
	}
	p.Snapshot, p.Last = after, sequence
	if moved(event) != 0 {
		a.paid = append(a.paid, paid{sequence: sequence, total: total})
	}
	a.applySource(event)
	if Movement(event) {
		a.movement = sequence
	}
	if id := envelope.GetCommandId(); id != "" {
		a.answered[commandID{envelope.GetCommandKind(), id}] = sequence
	}
	a.sequence, a.decidedAt = sequence, decidedAt
}

// applySource notes what an event tells of the bank account that the payment comes from, and when a payment came back.
func (a *Account) applySource(event *eventsv1.PaymentEvent) {
	after := event.GetPayment()
	from := a.sources[after.GetSourceId()]
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted, *eventsv1.PaymentEvent_Released:
		from.taken = true
	case *eventsv1.PaymentEvent_Returned:
		a.lastReturn = event.GetEnvelope().GetDecidedAt().AsTime()
		if failsSource(after.GetReturnCode()) {
			from.failures++
		}
	default:
		return
	}
	a.sources[after.GetSourceId()] = from
}

// checkSnapshot panics when a payment contradicts itself.
func checkSnapshot(p *eventsv1.PaymentSnapshot) {
	id, amount := p.GetPaymentId(), p.GetAmount().GetMinorUnits()
	invariant(id != "", "the event is without a payment")
	invariant(amount > 0 && amount <= PaidBound, "payment %s has the amount %d", id, amount)
	invariant(p.GetWithheld() >= 0 && p.GetWithheld() <= amount, "payment %s of %d withholds %d", id, amount, p.GetWithheld())
	submitted := p.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED
	invariant(p.GetWithheld() == 0 || (submitted && p.GetReleaseAt().IsValid()), "payment %s withholds %d without being taken, or for ever", id, p.GetWithheld())
	taken := submitted || p.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_RETURNED
	invariant(taken == p.GetSubmittedAt().IsValid(), "payment %s is %v, and the time at which it was taken is %v", id, p.GetStatus(), p.GetSubmittedAt())
}

// checkStep panics when an event does not lead from the payment as it was (nil: there was none) to the payment as it is.
func (a *Account) checkStep(event *eventsv1.PaymentEvent, was *Payment) {
	before, after := was.snapshot(), event.GetPayment()
	from, to := step(event)
	invariant(before.GetStatus() == from && after.GetStatus() == to, "payment %s goes from %v to %v by %T",
		after.GetPaymentId(), before.GetStatus(), after.GetStatus(), event.GetFact())
	if was == nil {
		invariant(after.GetFirstSequence() == 0, "payment %s begins with this event, the event says %d", after.GetPaymentId(), after.GetFirstSequence())
		invariant(after.GetCreatedAt().AsTime().Equal(event.GetEnvelope().GetDecidedAt().AsTime()), "payment %s was not made when it was decided", after.GetPaymentId())
		return
	}
	invariant(after.GetFirstSequence() == was.First, "payment %s began with event %d, the event says %d", after.GetPaymentId(), was.First, after.GetFirstSequence())
	invariant(proto.Equal(before.GetAmount(), after.GetAmount()) && before.GetSourceType() == after.GetSourceType() && before.GetSourceId() == after.GetSourceId() &&
		proto.Equal(before.GetCreatedAt(), after.GetCreatedAt()), "payment %s has another amount, source or beginning than before", after.GetPaymentId())
	if ended := event.GetWithholdingEnded(); ended != nil {
		invariant(ended.GetAmount() > 0 && ended.GetAmount() == before.GetWithheld() && after.GetWithheld() == 0,
			"payment %s withheld %d, the event ends %d and leaves %d", after.GetPaymentId(), before.GetWithheld(), ended.GetAmount(), after.GetWithheld())
	}
}

// snapshot returns the payment as it is; nil when there is none.
func (p *Payment) snapshot() *eventsv1.PaymentSnapshot {
	if p == nil {
		return nil
	}
	return p.Snapshot
}

// step returns between which statuses an event leads. A payment that there was not has none.
func step(event *eventsv1.PaymentEvent) (from, to typev1.PaymentStatus) {
	const (
		none      = typev1.PaymentStatus_PAYMENT_STATUS_UNSPECIFIED
		submitted = typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED
		held      = typev1.PaymentStatus_PAYMENT_STATUS_HELD
	)
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted:
		return none, submitted
	case *eventsv1.PaymentEvent_Held:
		return none, held
	case *eventsv1.PaymentEvent_Rejected:
		return none, typev1.PaymentStatus_PAYMENT_STATUS_REJECTED
	case *eventsv1.PaymentEvent_Released:
		return held, submitted
	case *eventsv1.PaymentEvent_Cancelled:
		return held, typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED
	case *eventsv1.PaymentEvent_Returned:
		return submitted, typev1.PaymentStatus_PAYMENT_STATUS_RETURNED
	case *eventsv1.PaymentEvent_WithholdingEnded:
		return submitted, submitted
	default:
		panic(fmt.Sprintf("unknown fact %T", event.GetFact()))
	}
}
