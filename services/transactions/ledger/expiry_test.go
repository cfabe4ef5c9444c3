package ledger

import (
	"slices"
	"testing"
	"time"
)

func TestHoldsExpire(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"at seven days exactly, and not a second before", `
			authorize t1 45.00
			wait 6d23h59m59s
			due                        | nothing                                      | posted 0.00 pending 45.00 available 955.00
			show t1                    | authorized 45.00, held 45.00
			wait 1s
			show t1                    | authorized 45.00, expired 45.00
			due                        | expired t1 45.00                             | posted 0.00 pending 0.00 available 1000.00
			due                        | nothing
			show t1                    | authorized 45.00, expired 45.00`},
		{"before the next decision, which can use what they held", `
			authorize t1 1000.00
			authorize t2 1000.00       | 51 declined, insufficient credit
			wait 7d
			authorize t3 1000.00       | expired t1 1000.00; 00 approved 1000.00, held 1000.00 | posted 0.00 pending 1000.00 available 0.00`},
		{"and a balance inquiry leaves them out when they are due", `
			authorize t1 45.00
			wait 1d
			authorize t2 10.00
			wait 6d
			balance                    |                                              | posted 0.00 pending 10.00 available 990.00
			wait 1d
			balance                    |                                              | posted 0.00 pending 0.00 available 1000.00`},
		{"but not what was presented, nor what was reversed", `
			authorize t1 100.00
			authorize t2 100.00
			authorize t3 100.00
			present p1 40.00 of t1 more-to-come
			present p2 40.00 of t2
			reverse r1 of t3 30.00
			wait 7d
			due                        | expired t1 60.00; expired t3 70.00           | posted 80.00 pending 0.00 available 920.00`},
		{"seven days after the authorization, whatever came between", `
			authorize t1 100.00
			wait 6d
			present p1 40.00 of t1 more-to-come
			reverse r1 of t1 10.00
			refund f1 5.00 of t1
			wait 1d
			due                        | expired t1 50.00                             | posted 35.00 pending 0.00 available 965.00`},
		{"seven days after an authorization that came after its presentment", `
			present p1 40.00 of t1 more-to-come
			wait 6d
			authorize t1 100.00        | 00 approved 100.00, held 60.00
			wait 6d23h59m59s
			due                        | nothing                                      | posted 40.00 pending 60.00 available 900.00
			wait 1s
			due                        | expired t1 60.00`},
		{"in a closed account", `
			authorize t1 45.00
			state closed
			wait 7d
			due                        | expired t1 45.00                             | posted 0.00 pending 0.00 available 1000.00`},
		{"and a repeat is answered without them", `
			authorize t1 45.00
			wait 7d
			authorize t1 45.00         | 00 approved 45.00, held 45.00, duplicate     | posted 0.00 pending 45.00 available 955.00`},
	})
}

func TestExpiriesComeInOrderWithTheirIDs(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`
		authorize late 1.00
		reverse r1 of late
		authorize b 1.00
		wait 1h
		authorize c 1.00
		wait -2h
		authorize d 1.00
		wait 8d`)
	if due, ok := b.account.NextDue(); !ok || !due.Equal(noon.Add(holdLife)) {
		t.Errorf("next due is %v, %v", due, ok)
	}
	var ids []string
	for _, event := range b.expire() {
		ids = append(ids, event.GetEnvelope().GetCommandId())
		fact, id := event.GetAuthorizationExpired(), event.GetTransaction().GetTransactionId()
		if want := map[string]time.Time{"b": noon, "c": noon.Add(time.Hour), "d": noon.Add(time.Hour)}[id].Add(holdLife); !fact.GetDueAt().AsTime().Equal(want) || fact.GetReleasedAmount() != 100 {
			t.Errorf("%s: %v, want due at %v", id, fact, want)
		}
		if event.GetDecision() != nil || event.GetTransaction().GetExpiries() != 1 {
			t.Errorf("%s: %v", id, event)
		}
	}
	slices.Sort(ids[1:]) // due at the same moment
	if want := []string{"expire-b-1", "expire-c-1", "expire-d-1"}; !slices.Equal(ids, want) {
		t.Errorf("expiries %v, want %v", ids, want)
	}
	if due, ok := b.account.NextDue(); ok || !due.IsZero() {
		t.Errorf("something is due at %v after all expired", due)
	}
	if !b.account.View().NextDue.IsZero() {
		t.Error("the view has a hold that is due")
	}
	b.checkReplay()
}

// Expiry ids are the engine's own: a caller's command with such an id is one like any other.
func TestExpiryIDsAreNotCallersIDs(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{{"taken", `
		present expire-t1-1 5.00       | 00 recorded 5.00, unmatched
		authorize t1 45.00
		wait 7d
		due                            | expired t1 45.00                             | posted 5.00 pending 0.00 available 995.00
		reverse expire-t1-1 of t1      | 21 rejected, nothing to reverse`}})
}

// Holds that end early leave nothing behind: neither the transaction nor its place among the due ones.
func TestClosedTransactionsLeaveMemory(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`authorize stays 1.00`)
	for range 500 {
		b.clock = b.clock.Add(time.Second)
		b.names++
		id := b.newName()
		b.run("authorize " + id + " 10.00")
		b.run("present p" + id + " 10.00 of " + id)
	}
	if b.account.open.Len() != 1 {
		t.Errorf("%d transactions in memory, want 1", b.account.open.Len())
	}
	b.clock = noon.Add(holdLife)
	b.run(`
		due       | expired stays 1.00
		authorize new-777 1.00`)
	b.checkReplay()
}
