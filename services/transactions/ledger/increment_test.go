package ledger

import (
	"testing"
	"time"
)

func TestIncrementAuthorization(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"raises what is held by the difference, as often as asked", `
			authorize t1 25.00
			increment i1 15.00 of t1   | 00 approved 15.00, held 40.00                | posted 0.00 pending 40.00 available 960.00
			increment i2 10.00 of t1   | 00 approved 10.00, held 50.00
			show t1                    | authorized 50.00, held 50.00
			present p1 50.00 of t1     | 00 recorded 50.00                            | posted 50.00 pending 0.00 available 950.00`},
		{"takes the line exactly to its limit and no further", `
			authorize t1 900.00
			increment i1 100.01 of t1  | 51 declined, insufficient credit, held 900.00 | posted 0.00 pending 900.00 available 100.00
			increment i2 100.00 of t1  | 00 approved 100.00, held 1000.00
			show t1                    | authorized 1000.00, held 1000.00`},
		{"is checked as the authorization was", `
			authorize t1 10.00
			increment i1 1.00 of t1 EUR      | 57 declined, currency not supported, held 10.00
			increment i2 1.00 of t1 sent 46d | 30 declined, stale message, held 10.00
			card c1 lost
			increment i3 1.00 of t1          | 41 declined, card lost, held 10.00
			card c1 active
			state suspended
			increment i4 1.00 of t1          | 62 declined, account suspended, held 10.00   | posted 0.00 pending 10.00 available 990.00`},
		{"needs an authorization that was granted", `
			increment i1 1.00 of t1    | not found: TRANSACTION_NOT_FOUND
			authorize t1 1000.01       | 51 declined, insufficient credit
			increment i2 1.00 of t1    | 21 rejected, authorization not open
			authorize t2 0.00          | 85 verified
			increment i3 1.00 of t2    | 21 rejected, authorization not open
			present p1 1.00 of t3
			increment i4 1.00 of t3    | 21 rejected, authorization not open          | posted 1.00 pending 0.00 available 999.00`},
		{"needs one that is not cleared for good or reversed in full", `
			authorize t1 10.00
			present p1 10.00 of t1
			increment i1 1.00 of t1    | 21 rejected, authorization not open
			authorize t2 10.00
			reverse r1 of t2
			increment i2 1.00 of t2    | 21 rejected, authorization not open
			authorize t3 10.00
			reverse r2 of t3 5.00
			increment i3 1.00 of t3    | 00 approved 1.00, held 6.00                  | posted 10.00 pending 6.00 available 984.00`},
		{"goes on after a part was presented, even when that was all there was", `
			authorize t1 30.00
			present p1 10.00 of t1 more-to-come
			increment i1 5.00 of t1    | 00 approved 5.00, held 25.00
			present p2 25.00 of t1 more-to-come
			increment i2 7.00 of t1    | 00 approved 7.00, held 7.00
			reverse r1 of t1           | 00 recorded 7.00
			increment i3 1.00 of t1    | 21 rejected, authorization not open`},
		{"does not hold again what was presented before it", `
			authorize t1 25.00
			present p1 35.00 of t1 more-to-come | 00 recorded 35.00, over-capture 10.00
			increment i1 15.00 of t1   | 00 approved 15.00, held 5.00                 | posted 35.00 pending 5.00 available 960.00
			present p2 5.00 of t1      | 00 recorded 5.00`},
		{"opens an expired authorization again: what expired counts again", `
			authorize t1 50.00
			wait 8d
			increment i1 10.00 of t1   | expired t1 50.00; 00 approved 10.00, held 60.00 | posted 0.00 pending 60.00 available 940.00
			show t1                    | authorized 60.00, held 60.00
			present p1 60.00 of t1     | 00 recorded 60.00                            | posted 60.00 pending 0.00 available 940.00`},
		{"opens it after a new check of the line for all of it", `
			authorize t1 50.00
			wait 8d
			authorize t2 945.00
			increment i1 10.00 of t1   | 51 declined, insufficient credit             | posted 0.00 pending 945.00 available 55.00
			reverse r1 of t2 5.00
			increment i2 10.00 of t1   | 00 approved 10.00, held 60.00                | posted 0.00 pending 1000.00 available 0.00`},
		{"opens it without what was presented since", `
			authorize t1 50.00
			wait 7d
			present p1 20.00 of t1 more-to-come | expired t1 50.00; 00 recorded 20.00, late
			increment i1 10.00 of t1   | 00 approved 10.00, held 40.00                | posted 20.00 pending 40.00 available 940.00
			present p2 40.00 of t1     | 00 recorded 40.00                            | posted 60.00 pending 0.00 available 940.00`},
		{"lets it live for as long as a new hold would", `
			authorize t1 50.00
			wait 6d
			increment i1 10.00 of t1
			wait 6d23h59m59s
			due                        | nothing
			wait 1s
			due                        | expired t1 60.00`},
		{"expires again, and is late again", `
			authorize t1 50.00
			wait 7d
			increment i1 10.00 of t1
			wait 7d
			present p1 60.00 of t1     | expired t1 60.00; 00 recorded 60.00, late    | posted 60.00 pending 0.00 available 940.00`},
		{"answers a repeat as before, and refuses an id used for something else", `
			authorize t1 50.00
			increment i1 10.00 of t1
			increment i1 10.00 of t1   | 00 approved 10.00, held 60.00, duplicate     | posted 0.00 pending 60.00 available 940.00
			increment i1 11.00 of t1   | already exists: ID_REUSED
			authorize t2 1.00
			increment i1 10.00 of t2   | already exists: ID_REUSED`},
		{"accepts a card that was not activated where its purchase was granted", `
			card c2 inactive
			authorize t1 10.00 card c2 entry ecommerce | 00 approved 10.00, held 10.00
			increment i1 5.00 of t1    | 00 approved 5.00, held 15.00`},
	})
}

// An increment never shortens what the profile gave before.
func TestIncrementKeepsTheLaterExpiry(t *testing.T) {
	t.Parallel()
	table := []HoldExpiryRow{{Match: Match{MaxAmount: 100_00}, Days: 30}, {Days: 7}}
	b := newBook(t, profileOf(Profile{HoldExpiry: table})).run(`
		open 1000.00 GBP profile special
		card c1 active
		authorize t1 50.00`)
	b.expect("rule", b.last().GetDecision().GetHoldExpiryRule(), "up to 10000: 30 days")
	b.run("wait 1d\nincrement i1 60.00 of t1 | 00 approved 60.00, held 110.00")
	if rule, until := b.last().GetDecision().GetHoldExpiryRule(), b.last().GetTransaction().GetExpiresAt().AsTime(); rule != "" || !until.Equal(noon.Add(30*day)) {
		t.Errorf("expires at %v by %q", until, rule)
	}
	b.run("wait 24d\nincrement i2 1.00 of t1 | 00 approved 1.00, held 111.00")
	if rule, until := b.last().GetDecision().GetHoldExpiryRule(), b.last().GetTransaction().GetExpiresAt().AsTime(); rule != "all: 7 days" || !until.Equal(noon.Add(32*day)) {
		t.Errorf("expires at %v by %q", until, rule)
	}
	if fact := b.last().GetAuthorizationIncremented(); fact.GetReopened() || fact.GetAddedAmount() != 100 || fact.GetRequest().GetAmount() != 100 {
		t.Errorf("%v", fact)
	}
	b.run("wait 8d\nincrement i3 9.00 of t1 | expired t1 111.00; 00 approved 9.00, held 120.00")
	if fact := b.last().GetAuthorizationIncremented(); !fact.GetReopened() || fact.GetAddedAmount() != 120_00 {
		t.Errorf("%v", fact)
	}
	if until := b.last().GetTransaction().GetExpiresAt().AsTime(); until.Sub(b.clock) != 7*24*time.Hour {
		t.Errorf("expires at %v", until)
	}
}
