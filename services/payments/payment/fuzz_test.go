package payment

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// past is the log that the fuzzed event comes after: a payment in each status.
const past = `
	rule review_after_return_days 0
	rule withhold_days 3
	spend 100000.00
	submit p1 10.00
	submit p2 6000.00
	submit p3 6000.00
	cancel p3
	submit p4 10.00
	return p4 R01
	submit p5 200000.00`

// FuzzApplyStoredEvent applies any bytes that decode as an event. It must be folded in so that the account adds up, or stop the fold with a sentence.
func FuzzApplyStoredEvent(f *testing.F) {
	b := newBook(f).run(past)
	for _, e := range b.log {
		f.Add(e.data)
	}
	for _, step := range []string{"submit p6 1.00 from bank-2", "submit p6 7000.00", "submit p6 1000000.00 savings", "release p1", "release p2", "cancel p2 why", "return p1 R02 why"} {
		next := newBook(f).run(past)
		next.perform(strings.Fields(step))
		f.Add(next.log[len(next.log)-1].data)
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		event := &eventsv1.PaymentEvent{}
		if proto.Unmarshal(data, event) != nil {
			t.Skip("not an event")
		}
		b := newBook(t).run(past)
		before := dump(b.account)
		if b.applyOrPanic(event, b.next().Sequence) != "" {
			if after := dump(b.account); after != before {
				t.Errorf("the event is refused and changes the account:\n%s\nwas\n%s", after, before)
			}
			return
		}
		checkAccount(t, b.account)
	})
}

// applyOrPanic applies an event, or returns the sentence that the account panics with.
func (b *book) applyOrPanic(event *eventsv1.PaymentEvent, sequence uint64) (problem string) {
	b.Helper()
	defer func() {
		switch broken := recover().(type) {
		case nil:
		case string:
			problem = broken
		default:
			b.Fatalf("panics with %T: %v", broken, broken)
		}
	}()
	b.account.Apply(event, sequence)
	return ""
}

// checkAccount checks that an account adds up.
func checkAccount(t tb, a *Account) {
	t.Helper()
	var total int64
	var last uint64
	for _, p := range a.order {
		s := p.Snapshot
		if a.payments[s.GetPaymentId()] != p || p.First <= last || p.Last < p.First || p.Last > a.sequence {
			t.Fatalf("payment %s is from %d to %d, after %d", s.GetPaymentId(), p.First, p.Last, last)
		}
		last = p.First
		submitted := s.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED
		if submitted {
			total += s.GetAmount().GetMinorUnits()
		}
		if s.GetAmount().GetMinorUnits() <= 0 || s.GetWithheld() < 0 || s.GetWithheld() > s.GetAmount().GetMinorUnits() || (s.GetWithheld() > 0 && !submitted) {
			t.Fatalf("payment %s is %s", s.GetPaymentId(), paymentWords(s))
		}
	}
	if len(a.order) != len(a.payments) || a.total() != total || total < 0 || total > PaidBound || a.movement > a.sequence {
		t.Fatalf("%d payments of %d, paid %d, they add up to %d; movement %d of %d", len(a.order), len(a.payments), a.total(), total, a.movement, a.sequence)
	}
}
