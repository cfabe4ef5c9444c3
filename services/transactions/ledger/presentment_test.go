package ledger

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestPresent(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"posts exactly what was held", `
			authorize t1 45.00
			present p1 45.00 of t1     | 00 recorded 45.00                            | posted 45.00 pending 0.00 available 955.00
			show t1                    | authorized 45.00, cleared 45.00`},
		{"posts less, and releases the rest of the hold", `
			authorize t1 45.00
			present p1 30.00 of t1     | 00 recorded 30.00                            | posted 30.00 pending 0.00 available 970.00
			show t1                    | authorized 45.00, cleared 30.00`},
		{"posts more than was held, and says by how much", `
			authorize t1 45.00
			present p1 55.00 of t1     | 00 recorded 55.00, over-capture 10.00        | posted 55.00 pending 0.00 available 945.00`},
		{"posts beyond the line", `
			authorize t1 1000.00
			present p1 1200.00 of t1   | 00 recorded 1200.00, over-capture 200.00     | posted 1200.00 pending 0.00 available -200.00`},
		{"posts a partial approval", `
			authorize t1 1500.00 partial | 10 partially approved 1000.00, held 1000.00
			present p1 1000.00 of t1   | 00 recorded 1000.00                          | posted 1000.00 pending 0.00 available 0.00`},

		{"keeps the rest of the hold while more is to come", `
			authorize t1 100.00
			present p1 30.00 of t1 more-to-come | 00 recorded 30.00, held 70.00       | posted 30.00 pending 70.00 available 900.00
			present p2 30.00 of t1 more-to-come | 00 recorded 30.00, held 40.00       | posted 60.00 pending 40.00 available 900.00
			present p3 30.00 of t1     | 00 recorded 30.00                            | posted 90.00 pending 0.00 available 910.00
			show t1                    | authorized 100.00, cleared 90.00`},
		{"has nothing left to hold when parts reach the whole", `
			authorize t1 100.00
			present p1 60.00 of t1 more-to-come | 00 recorded 60.00, held 40.00
			present p2 40.00 of t1 more-to-come | 00 recorded 40.00                   | posted 100.00 pending 0.00 available 900.00
			present p3 5.00 of t1      | 00 recorded 5.00, over-capture 5.00          | posted 105.00 pending 0.00 available 895.00`},
		{"says of each part how much over it goes", `
			authorize t1 100.00
			present p1 90.00 of t1 more-to-come  | 00 recorded 90.00, held 10.00
			present p2 30.00 of t1 more-to-come  | 00 recorded 30.00, over-capture 20.00 | posted 120.00 pending 0.00 available 880.00
			present p3 5.00 of t1                | 00 recorded 5.00, over-capture 5.00   | posted 125.00 pending 0.00 available 875.00`},
		{"posts another part after the last one", `
			authorize t1 100.00
			present p1 60.00 of t1     |                                              | posted 60.00 pending 0.00 available 940.00
			present p2 40.00 of t1     | 00 recorded 40.00                            | posted 100.00 pending 0.00 available 900.00`},

		{"posts with no transaction named: a force post", `
			present p1 25.00           | 00 recorded 25.00, unmatched                 | posted 25.00 pending 0.00 available 975.00
			show new-1                 | cleared 25.00`},
		{"posts for a transaction that nobody knows: a force post under its id", `
			present p1 25.00 of t9     | 00 recorded 25.00, unmatched                 | posted 25.00 pending 0.00 available 975.00
			show t9                    | cleared 25.00`},
		{"posts two parts of a purchase that nobody knows to one transaction", `
			present p1 25.00 of t9 more-to-come | 00 recorded 25.00, unmatched
			present p2 5.00 of t9      | 00 recorded 5.00, unmatched                  | posted 30.00 pending 0.00 available 970.00
			show t9                    | cleared 30.00`},

		{"posts late, after the hold expired", `
			authorize t1 35.00
			wait 7d
			due                        | expired t1 35.00                             | posted 0.00 pending 0.00 available 1000.00
			wait 3d
			present p1 35.00 of t1     | 00 recorded 35.00, late by 3d                | posted 35.00 pending 0.00 available 965.00
			show t1                    | authorized 35.00, expired 35.00, cleared 35.00`},
		{"posts late when it comes just as the hold expires", `
			authorize t1 35.00
			wait 7d
			present p1 35.00 of t1     | expired t1 35.00; 00 recorded 35.00, late    | posted 35.00 pending 0.00 available 965.00`},
		{"posts on time a second before", `
			authorize t1 35.00
			wait 6d23h59m59s
			present p1 35.00 of t1     | 00 recorded 35.00                            | posted 35.00 pending 0.00 available 965.00`},
		{"posts the second part late", `
			authorize t1 100.00
			present p1 40.00 of t1 more-to-come | 00 recorded 40.00, held 60.00
			wait 7d
			present p2 60.00 of t1     | expired t1 60.00; 00 recorded 60.00, late    | posted 100.00 pending 0.00 available 900.00`},
		{"posts after a full reversal, all of it over", `
			authorize t1 45.00
			reverse r1 of t1
			present p1 45.00 of t1     | 00 recorded 45.00, over-capture 45.00        | posted 45.00 pending 0.00 available 955.00`},
		{"posts what a partial reversal left", `
			authorize t1 30.00
			reverse r1 of t1 20.00
			present p1 10.00 of t1     | 00 recorded 10.00                            | posted 10.00 pending 0.00 available 990.00`},
		{"posts more than a partial reversal left", `
			authorize t1 250.00
			reverse r1 of t1 50.00
			present p1 202.00 of t1    | 00 recorded 202.00, over-capture 2.00        | posted 202.00 pending 0.00 available 798.00`},
		{"posts after a decline", `
			authorize t1 1000.01       | 51 declined, insufficient credit
			present p1 1000.01 of t1   | 00 recorded 1000.01, over-capture 1000.01    | posted 1000.01 pending 0.00 available -0.01
			show t1                    | cleared 1000.01`},
		{"posts after a verification", `
			authorize t1 0.00          | 85 verified
			present p1 5.00 of t1      |                                              | posted 5.00 pending 0.00 available 995.00`},
		{"posts in a closed account, on a stolen card", `
			authorize t1 45.00
			state closed
			card c1 stolen
			present p1 45.00 of t1     | 00 recorded 45.00                            | posted 45.00 pending 0.00 available 955.00
			present p2 5.00 card c1    | 00 recorded 5.00, unmatched                  | posted 50.00 pending 0.00 available 950.00`},

		{"posts before its authorization, which then holds nothing", `
			present p1 45.00 of t1     | 00 recorded 45.00, unmatched                 | posted 45.00 pending 0.00 available 955.00
			authorize t1 45.00         | 00 approved 45.00                            | posted 45.00 pending 0.00 available 955.00
			show t1                    | authorized 45.00, cleared 45.00`},
		{"posts a part before its authorization, which then holds the rest", `
			present p1 30.00 of t1 more-to-come | 00 recorded 30.00, unmatched
			authorize t1 45.00         | 00 approved 45.00, held 15.00                | posted 30.00 pending 15.00 available 955.00
			present p2 15.00 of t1     | 00 recorded 15.00                            | posted 45.00 pending 0.00 available 955.00`},
		{"needs no room for what was posted before its authorization", `
			present p1 1000.00 of t1   |                                              | posted 1000.00 pending 0.00 available 0.00
			authorize t1 1000.00       | 00 approved 1000.00                          | posted 1000.00 pending 0.00 available 0.00`},
		{"declines an authorization that comes after its presentment when the account is suspended", `
			present p1 45.00 of t1
			state suspended
			authorize t1 45.00         | 62 declined, account suspended               | posted 45.00 pending 0.00 available 955.00`},

		{"answers a repeat as before, and posts once", `
			authorize t1 45.00
			present p1 45.00 of t1     | 00 recorded 45.00
			present p1 45.00 of t1     | 00 recorded 45.00, duplicate                 | posted 45.00 pending 0.00 available 955.00
			present p1 45.01 of t1     | already exists: ID_REUSED
			present p1 45.00           | already exists: ID_REUSED                    | posted 45.00 pending 0.00 available 955.00
			present p2 45.00 of t1     | 00 recorded 45.00, over-capture 45.00        | posted 90.00 pending 0.00 available 910.00`},
		{"answers a repeated force post as before, whatever its transaction was called", `
			present p1 25.00           | 00 recorded 25.00, unmatched
			present p1 25.00           | 00 recorded 25.00, unmatched, duplicate      | posted 25.00 pending 0.00 available 975.00
			show new-1                 | cleared 25.00
			show new-2                 | no such transaction`},
		{"refuses another currency", `
			present p1 45.00 EUR       | invalid: INVALID_FIELD amount.currency_code  | posted 0.00 pending 0.00 available 1000.00
			present p1 45.00           | 00 recorded 45.00, unmatched                 | posted 45.00 pending 0.00 available 955.00`},
	})
}

// The bound is a sixteenth of what int64 holds, 5764607523034234.87.
func TestBalancesDoNotOverflow(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"posted", `
			present p1 5764607523034234.86 | 00 recorded 5764607523034234.86, unmatched
			present p2 0.02            | precondition: BALANCE_OVERFLOW               | posted 5764607523034234.86 pending 0.00 available -5764607523033234.86
			present p3 92233720368547758.07 | precondition: BALANCE_OVERFLOW
			present p2 0.01            | 00 recorded 0.01, unmatched                  | posted 5764607523034234.87 pending 0.00 available -5764607523033234.87`},
		{"credit balance", `
			refund f1 5764607523034234.87 | 00 recorded 5764607523034234.87, unmatched
			refund f2 0.01             | precondition: BALANCE_OVERFLOW               | posted -5764607523034234.87 pending 0.00 available 5764607523035234.87
			authorize t1 5764607523034234.88 | precondition: BALANCE_OVERFLOW         | posted -5764607523034234.87 pending 0.00 available 5764607523035234.87`},
	})
}

func TestPresentRecordsWhatWasClaimed(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`authorize t1 45.00`)
	presented := noon.Add(-time.Hour)
	got := b.do(&Present{AccountID: testAccount, PresentmentID: "p1", TransactionID: "t1", Amount: 3000, Currency: "GBP", MoreToCome: true, PresentedAt: timestamppb.New(presented)})
	if fact := got.event.GetPresentmentPosted(); fact.GetAmount() != 3000 || fact.GetReleasedAmount() != 3000 || !fact.GetMoreToCome() || !fact.GetPresentedAt().AsTime().Equal(presented) {
		t.Errorf("fact %v", fact)
	}
	if record := got.event.GetTransaction(); record.GetFirstSequence() == 0 || record.GetPreviousSequence() != record.GetFirstSequence() || record.GetAuthorizationSequence() != record.GetFirstSequence() || record.GetCardId() != "c1" {
		t.Errorf("transaction %v", record)
	}
	if purchase := b.transaction("t1"); purchase.FirstSequence() != got.event.GetTransaction().GetFirstSequence() || purchase.last != b.account.sequence {
		t.Errorf("transaction %+v", purchase)
	}
	if none := TransactionOf(b.read(b.log[0].sequence), b.log[0].sequence); none != nil { // the ledger was opened
		t.Errorf("transaction %+v", none)
	}
}

// Ids are remembered by 64 bits of a hash. Two that share them are told apart by the event, and the newcomer is refused.
func TestTransactionIDsThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`present p1 5.00 of t1`)
	b.account.ids.set(fingerprintOf(transactionID, "twin"), b.account.ids.at(fingerprintOf(transactionID, "t1")))
	b.run(`
		present p2 5.00 of twin        | already exists: ID_COLLISION                 | posted 5.00 pending 0.00 available 995.00
		authorize twin 5.00            | already exists: ID_COLLISION
		reverse r1 of twin             | already exists: ID_COLLISION
		refund f1 5.00 of twin         | already exists: ID_COLLISION                 | posted 5.00 pending 0.00 available 995.00
		refund f1 5.00 of t1           | 00 recorded 5.00                             | posted 0.00 pending 0.00 available 1000.00`)
}
