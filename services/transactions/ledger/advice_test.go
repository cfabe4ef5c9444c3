package ledger

import "testing"

func TestAdviseAuthorization(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"holds what the network approved in our place, whatever the line", `
			limit 10.00
			advise a1 15.00 of t1 stand-in | 00 recorded 15.00, held 15.00            | posted 0.00 pending 15.00 available -5.00
			authorize t2 1.00          | 51 declined, insufficient credit
			present p1 15.00 of t1     | 00 recorded 15.00                            | posted 15.00 pending 0.00 available -5.00`},
		{"holds it in any state of account and card", `
			card c1 stolen
			state closed
			advise a1 15.00 of t1 stand-in card c1 | 00 recorded 15.00, held 15.00    | posted 0.00 pending 15.00 available 985.00`},
		{"takes back an approval that the network declined", `
			authorize t1 15.00
			advise a1 0.00 of t1 stand-in | 00 recorded                               | posted 0.00 pending 0.00 available 1000.00
			increment i1 1.00 of t1    | 21 rejected, authorization not open
			reverse r1 of t1           | 21 rejected, authorization not open
			present p1 15.00 of t1     | 00 recorded 15.00, over-capture 15.00`},
		{"replaces the hold by what a purchase came to", `
			authorize t1 125.00
			advise a1 35.50 of t1      | 00 recorded 35.50, held 35.50                | posted 0.00 pending 35.50 available 964.50
			show t1                    | authorized 35.50, held 35.50
			present p1 35.50 of t1     | 00 recorded 35.50                            | posted 35.50 pending 0.00 available 964.50`},
		{"raises the hold too, and what follows is no over-capture", `
			authorize t1 1.00
			advise a1 35.50 of t1      | 00 recorded 35.50, held 35.50                | posted 0.00 pending 35.50 available 964.50
			present p1 35.50 of t1     | 00 recorded 35.50
			present p2 1.00 of t1      | 00 recorded 1.00, over-capture 1.00`},
		{"is received once of a completion", `
			authorize t1 125.00
			advise a1 35.50 of t1
			advise a1 35.50 of t1      | 00 recorded 35.50, held 35.50, duplicate
			advise a2 36.00 of t1      | 21 rejected, completion already received, held 35.50 | posted 0.00 pending 35.50 available 964.50`},
		{"has its last word in a completion", `
			advise a1 35.50 of t1
			advise a2 99.00 of t1 stand-in | 00 recorded 99.00, held 35.50
			authorize t1 125.00        | 00 approved 125.00, held 35.50               | posted 0.00 pending 35.50 available 964.50
			show t1                    | authorized 35.50, held 35.50`},
		{"is repeated as often as the network decides", `
			advise a1 35.50 of t1 stand-in
			advise a2 99.00 of t1 stand-in | 00 recorded 99.00, held 99.00
			advise a3 10.00 of t1      | 00 recorded 10.00, held 10.00                | posted 0.00 pending 10.00 available 990.00`},
		{"holds nothing of what was presented before it", `
			present p1 30.00 of t1 more-to-come
			advise a1 50.00 of t1      | 00 recorded 50.00, held 20.00                | posted 30.00 pending 20.00 available 950.00
			present p2 20.00 of t1     | 00 recorded 20.00                            | posted 50.00 pending 0.00 available 950.00`},
		{"holds nothing after the last presentment", `
			present p1 30.00 of t1
			advise a1 50.00 of t1      | 00 recorded 50.00                            | posted 30.00 pending 0.00 available 970.00
			present p2 20.00 of t1     | 00 recorded 20.00`},
		{"forgets what was reversed before", `
			authorize t1 50.00
			reverse r1 of t1 20.00
			advise a1 40.00 of t1      | 00 recorded 40.00, held 40.00
			present p1 40.00 of t1     | 00 recorded 40.00`},
		{"opens what was reversed in full or had expired", `
			authorize t1 50.00
			reverse r1 of t1
			advise a1 40.00 of t1 stand-in | 00 recorded 40.00, held 40.00
			increment i1 5.00 of t1    | 00 approved 5.00, held 45.00
			wait 8d
			advise a2 45.00 of t1      | expired t1 45.00; 00 recorded 45.00, held 45.00
			present p1 45.00 of t1     | 00 recorded 45.00                            | posted 45.00 pending 0.00 available 955.00`},
		{"ends in nothing when the pump gave nothing", `
			authorize t1 1.00 mcc 5542
			advise a1 0.00 of t1       | 00 recorded                                  | posted 0.00 pending 0.00 available 1000.00
			reverse r1 of t1           | 21 rejected, nothing to reverse`},
		{"holds no more for an authorization that comes after it", `
			advise a1 50.00 of t1 stand-in
			authorize t1 45.00         | 00 approved 45.00, held 50.00                | posted 0.00 pending 50.00 available 950.00
			show t1                    | authorized 50.00, held 50.00`},
		{"stands where we decline after the network approved", `
			advise a1 50.00 of t1 stand-in
			authorize t1 2000.00       | 51 declined, insufficient credit, held 50.00
			increment i1 1.00 of t1    | 00 approved 1.00, held 51.00                 | posted 0.00 pending 51.00 available 949.00`},
		{"holds the difference where more is asked after it", `
			advise a1 50.00 of t1 stand-in
			authorize t1 60.00         | 00 approved 60.00, held 60.00                | posted 0.00 pending 60.00 available 940.00`},
		{"refuses another currency", `
			advise a1 50.00 of t1 EUR  | invalid: INVALID_FIELD amount.currency_code`},
		{"lets the hold live for as long as its amount says", `
			authorize t1 1.00 mcc 5542
			advise a1 30.00 of t1
			wait 6d23h59m59s
			due                        | nothing
			wait 1s
			due                        | expired t1 30.00`},
		{"counts as the first message of its transaction, with its merchant", `
			advise a1 30.00 of t1 mcc 7011 stand-in
			wait 29d23h59m59s
			due                        | nothing
			wait 1s
			due                        | expired t1 30.00`},
	})
}
