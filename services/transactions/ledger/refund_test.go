package ledger

import "testing"

func TestRefund(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"gives back a purchase in part and then the rest", `
			authorize t1 150.00
			present p1 150.00 of t1
			refund f1 40.00 of t1      | 00 recorded 40.00                            | posted 110.00 pending 0.00 available 890.00
			refund f2 110.00 of t1     | 00 recorded 110.00                           | posted 0.00 pending 0.00 available 1000.00
			show t1                    | authorized 150.00, cleared 150.00, refunded 150.00`},
		{"gives back without a purchase, in a transaction of its own", `
			refund f1 20.00            | 00 recorded 20.00, unmatched                 | posted -20.00 pending 0.00 available 1020.00
			show new-1                 | refunded 20.00`},
		{"gives back for a purchase that nobody knows, under its id", `
			refund f1 20.00 of t9      | 00 recorded 20.00, unmatched                 | posted -20.00 pending 0.00 available 1020.00
			show t9                    | refunded 20.00`},
		{"gives back more than was paid", `
			present p1 50.00 of t1
			refund f1 80.00 of t1      | 00 recorded 80.00                            | posted -30.00 pending 0.00 available 1030.00`},
		{"settles the merchant credit that was authorized under the refund's id, once", `
			authorize f1 20.00 credit  | 00 approved 20.00                            | posted 0.00 pending 0.00 available 1000.00
			refund f1 20.00            | 00 recorded 20.00                            | posted -20.00 pending 0.00 available 1020.00
			show f1                    | credit 20.00, refunded 20.00
			refund f1 20.00            | 00 recorded 20.00, duplicate`},
		{"is a transaction of its own beside a purchase that happens to have the refund's id", `
			authorize f1 20.00
			refund f1 5.00             | 00 recorded 5.00, unmatched                  | posted -5.00 pending 20.00 available 985.00
			show f1                    | authorized 20.00, held 20.00`},
		{"leaves a hold as it is", `
			authorize t1 100.00
			present p1 30.00 of t1 more-to-come
			refund f1 10.00 of t1      | 00 recorded 10.00, held 70.00                | posted 20.00 pending 70.00 available 910.00
			reverse r1 of t1           | 00 recorded 70.00                            | posted 20.00 pending 0.00 available 980.00`},
		{"comes before the presentment", `
			authorize t1 50.00
			refund f1 50.00 of t1      | 00 recorded 50.00, held 50.00                | posted -50.00 pending 50.00 available 1000.00
			present p1 50.00 of t1     | 00 recorded 50.00                            | posted 0.00 pending 0.00 available 1000.00`},
		{"comes before the authorization", `
			refund f1 50.00 of t1      | 00 recorded 50.00, unmatched
			authorize t1 50.00         | 00 approved 50.00, held 50.00                | posted -50.00 pending 50.00 available 1000.00
			show t1                    | authorized 50.00, refunded 50.00, held 50.00`},
		{"posts in a closed account", `
			present p1 50.00 of t1
			state closed
			refund f1 50.00 of t1      | 00 recorded 50.00                            | posted 0.00 pending 0.00 available 1000.00`},
		{"answers a repeat as before, and posts once", `
			present p1 50.00 of t1
			refund f1 20.00 of t1      | 00 recorded 20.00
			refund f1 20.00 of t1      | 00 recorded 20.00, duplicate                 | posted 30.00 pending 0.00 available 970.00
			refund f1 20.00            | already exists: ID_REUSED
			refund f1 20.01 of t1      | already exists: ID_REUSED                    | posted 30.00 pending 0.00 available 970.00`},
		{"refuses another currency", `
			refund f1 20.00 EUR        | invalid: INVALID_FIELD amount.currency_code  | posted 0.00 pending 0.00 available 1000.00`},
	})
}
