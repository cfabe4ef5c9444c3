package ledger

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// past is the log that the fuzzed event comes after.
const past = `
	authorize t1 45.00
	authorize t2 10.00
	present p1 5.00 of t1 more-to-come
	reverse r1 of t2
	controls c1 day=900.00/90 first-merchant
	refund f1 1.00
	dispute d1 1.00 of t1`

// FuzzApplyStoredEvent applies any bytes that decode as an event. It must be folded in to the balances that it carries, or stop the fold with a sentence.
func FuzzApplyStoredEvent(f *testing.F) {
	b := newBook(f, BuiltInRules()).run(past)
	for _, e := range b.log {
		f.Add(e.data)
	}
	for _, step := range []string{"authorize t3 1.00", "authorize t3 5000.00", "authorize t3 0.00", "present p2 40.00 of t1", "present p2 1.00", "reverse r2 of t1 1.00",
		"reverse r2 of t2", "refund f2 2.00 of t2", "limit 5.00",
		"increment i1 5.00 of t1", "increment i1 5000.00 of t1", "advise a1 40.00 of t1", "advise a1 0.00 of t1 stand-in", "advise a1 3.00 of t3", "unpresent u1 of p1",
		"unrefund u1 of f1", "dispute d2 2.00 of t1", "dispute d2 99.00 of t1", "undispute d1", "authorize t3 9.00 credit", "authorize t3 9.00 message m1",
		"controls account max=1.00 24h=5.00/3", "controls c1", "replace c1 by c2", "card c1 lost", "card c2 inactive", "state closed", "home FR"} {
		next := newBook(f, BuiltInRules()).run(past)
		next.perform(strings.Fields(step))
		f.Add(next.log[len(next.log)-1].data)
	}
	expired := newBook(f, BuiltInRules()).run(past + "\nwait 7d\ndue")
	f.Add(expired.log[len(expired.log)-1].data)

	f.Fuzz(func(t *testing.T, data []byte) {
		event := &eventsv1.LedgerEvent{}
		if proto.Unmarshal(data, event) != nil {
			t.Skip("not an event")
		}
		b := newBook(t, BuiltInRules()).run(past)
		if b.applyOrPanic(event, b.next().Sequence) != "" {
			return
		}
		if after := b.account.Balances(); after != BalancesOf(event) || after.Pending < 0 || after.Withheld < 0 {
			t.Errorf("the event carries %v, the account has %+v", event.GetBalances(), after)
		}
		for _, open := range b.account.open.heap {
			if open.held <= 0 && open.withheld <= 0 {
				t.Errorf("transaction %s is open and holds %d", open.transaction().ID, open.held)
			}
		}
	})
}

// applyOrPanic applies an event, or returns the sentence that the account panics with.
func (b *book) applyOrPanic(event *eventsv1.LedgerEvent, sequence uint64) (problem string) {
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
