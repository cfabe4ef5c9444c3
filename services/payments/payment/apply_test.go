package payment

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Each is an event that answers a step after the past, and was changed so that it does not agree with the state.
func TestABrokenEventStopsTheFold(t *testing.T) {
	t.Parallel()
	type change func(e *eventsv1.PaymentEvent, sequence *uint64)
	for name, test := range map[string]struct {
		step    string
		change  change
		problem string // in the sentence
	}{
		"out of order":           {"submit p6 1.00", func(_ *eventsv1.PaymentEvent, sequence *uint64) { *sequence = 18 }, "comes after event"},
		"the same again":         {"submit p6 1.00", func(_ *eventsv1.PaymentEvent, sequence *uint64) { *sequence = 21 }, "comes after event"},
		"back in time":           {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Envelope.DecidedAt = timestamppb.New(noon.Add(-1)) }, "was decided at"},
		"without a time":         {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Envelope.DecidedAt = nil }, "was decided at"},
		"without envelope":       {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Envelope = nil }, "was decided at"},
		"a movement is left out": {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.PreviousMovementSequence = 12 }, "the previous movement is event"},
		"no movement is named":   {"cancel p2", func(e *eventsv1.PaymentEvent, _ *uint64) { e.PreviousMovementSequence = 0 }, "the previous movement is event"},
		"without a payment":      {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment = nil }, "without a payment"},
		"without a fact":         {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Fact = nil }, "unknown fact"},

		"made twice":              {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p1" }, "payment p1 goes from PAYMENT_STATUS_SUBMITTED"},
		"released before it was":  {"release p2", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p6" }, "payment p6 goes from PAYMENT_STATUS_UNSPECIFIED"},
		"released without review": {"release p2", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p1" }, "payment p1 goes from PAYMENT_STATUS_SUBMITTED"},
		"released after all":      {"release p2", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p3" }, "payment p3 goes from PAYMENT_STATUS_CANCELLED"},
		"cancelled when taken":    {"cancel p2", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p1" }, "payment p1 goes from PAYMENT_STATUS_SUBMITTED"},
		"returned twice":          {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p4" }, "payment p4 goes from PAYMENT_STATUS_RETURNED"},
		"returned when rejected":  {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.PaymentId = "p5" }, "payment p5 goes from PAYMENT_STATUS_REJECTED"},
		"returned and still taken": {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) {
			e.Payment.Status = typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED
		}, "to PAYMENT_STATUS_SUBMITTED"},

		"begins elsewhere":    {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.FirstSequence = 6 }, "began with event 3"},
		"begins before":       {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.FirstSequence = 3 }, "begins with this event"},
		"made before":         {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.CreatedAt = nil }, "was not made when it was decided"},
		"of another amount":   {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Amount.MinorUnits++ }, "has another amount"},
		"in another currency": {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Amount.CurrencyCode = "EUR" }, "has another amount"},
		"from another source": {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.SourceId = "bank-2" }, "has another amount"},
		"from savings": {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) {
			e.Payment.SourceType = typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_SAVINGS
		}, "has another amount"},
		"made at another time": {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) {
			e.Payment.CreatedAt = timestamppb.New(noon.Add(time.Second))
		}, "has another amount"},

		"of nothing":        {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Amount = nil }, "has the amount 0"},
		"below zero":        {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Amount.MinorUnits = -1 }, "has the amount -1"},
		"beyond all bounds": {"submit p6 7000.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Amount.MinorUnits = PaidBound + 1 }, "has the amount"},
		"beyond the bound": {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) {
			e.Payment.Amount.MinorUnits, e.Payment.Withheld = PaidBound, 0
		}, "what was paid cannot come to"},
		"withholds too much":  {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Withheld = 101 }, "withholds 101"},
		"withholds less":      {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Withheld = -1 }, "withholds -1"},
		"withholds for ever":  {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.ReleaseAt = nil }, "for ever"},
		"withholds when back": {"return p1 R01", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Withheld = 1 }, "without being taken"},
		"taken at no time":    {"submit p6 1.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.SubmittedAt = nil }, "the time at which it was taken"},
		"held and taken":      {"submit p6 7000.00", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.SubmittedAt = e.Envelope.DecidedAt }, "the time at which it was taken"},
		"ends a part":         {"release p1", func(e *eventsv1.PaymentEvent, _ *uint64) { e.GetWithholdingEnded().Amount = 1 }, "the event ends 1"},
		"leaves a part":       {"release p1", func(e *eventsv1.PaymentEvent, _ *uint64) { e.Payment.Withheld = 1 }, "leaves 1"},
		"ends nothing":        {"release p1", func(e *eventsv1.PaymentEvent, _ *uint64) { e.GetWithholdingEnded().Amount = 0 }, "the event ends 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := newBook(t).run(past)
			a := made.do(made.command(strings.Fields(test.step)))
			if a.err != nil {
				t.Fatal(a.err)
			}
			last := made.log[len(made.log)-1]
			event, sequence := made.decode(last.data), last.sequence
			test.change(event, &sequence)
			b := newBook(t).run(past)
			before := dump(b.account)
			if problem := b.applyOrPanic(event, sequence); !strings.Contains(problem, test.problem) {
				t.Errorf("it was applied, or panics with something else: %q", problem)
			}
			if after := dump(b.account); after != before {
				t.Errorf("the account changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// A follower must not pass over a fact that it does not know.
func TestMovement(t *testing.T) {
	t.Parallel()
	b := newBook(t).run(past + `
		release p2
		release p1
		return p1 R01
		submit p6 7000.00`)
	moved := map[string]bool{"submitted": true, "released": true, "returned": true, "withholding": true, "held:": false, "rejected:": false, "cancelled": false}
	for _, e := range b.log {
		event := b.decode(e.data)
		fact, _, _ := strings.Cut(answer{event: event}.String(), " ")
		fact = strings.TrimSuffix(fact, ",")
		if want, known := moved[fact]; !known || Movement(event) != want {
			t.Errorf("event %d, %s: movement %v", e.sequence, fact, Movement(event))
		}
	}
	if !Movement(&eventsv1.PaymentEvent{}) {
		t.Error("an event without a known fact is passed over")
	}
	b.checkReplay()
}
