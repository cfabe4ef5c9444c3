package ledger

import "testing"

func TestPresentmentsAreTakenBack(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"with their amount, and the hold does not count again", `
			authorize t1 50.00
			present p1 40.00 of t1
			unpresent u1 of p1         | 00 recorded 40.00                            | posted 0.00 pending 0.00 available 1000.00
			show t1                    | authorized 50.00, taken back 40.00`},
		{"one of several", `
			authorize t1 50.00
			present p1 10.00 of t1 more-to-come
			present p2 15.00 of t1 more-to-come
			unpresent u1 of p1         | 00 recorded 10.00, held 25.00                | posted 15.00 pending 25.00 available 960.00
			present p3 25.00 of t1     | 00 recorded 25.00                            | posted 40.00 pending 0.00 available 960.00`},
		{"once", `
			present p1 10.00
			unpresent u1 of p1         | 00 recorded 10.00                            | posted 0.00 pending 0.00 available 1000.00
			unpresent u1 of p1         | 00 recorded 10.00, duplicate
			unpresent u2 of p1         | 21 rejected, nothing to reverse
			unpresent u2 of p1         | 21 rejected, nothing to reverse, duplicate   | posted 0.00 pending 0.00 available 1000.00`},
		{"and presented again are no over-capture", `
			authorize t1 50.00
			present p1 40.00 of t1
			unpresent u1 of p1
			present p2 45.00 of t1     | 00 recorded 45.00                            | posted 45.00 pending 0.00 available 955.00`},
		{"in whatever order, each of one transaction", `
			present p1 10.00 of t1 more-to-come
			present p2 20.00 of t1
			unpresent u2 of p2         | 00 recorded 20.00
			unpresent u1 of p1         | 00 recorded 10.00                            | posted 0.00 pending 0.00 available 1000.00
			unpresent u3 of p2         | 21 rejected, nothing to reverse`},
		{"in a closed account", `
			present p1 10.00
			state closed
			unpresent u1 of p1         | 00 recorded 10.00                            | posted 0.00 pending 0.00 available 1000.00`},
		{"by their own ids only", `
			unpresent u1 of p1         | not found: PRESENTMENT_NOT_FOUND
			authorize t1 5.00
			refund p1 5.00
			unpresent u1 of p1         | not found: PRESENTMENT_NOT_FOUND
			unpresent u1 of t1         | not found: PRESENTMENT_NOT_FOUND
			present p1 7.00
			unpresent u1 of p1         | 00 recorded 7.00                             | posted -5.00 pending 5.00 available 1000.00
			present p2 7.00
			unpresent u1 of p2         | already exists: ID_REUSED`},
	})
}

func TestRefundsAreTakenBack(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"with their amount", `
			present p1 50.00
			refund f1 20.00            | 00 recorded 20.00, unmatched                 | posted 30.00 pending 0.00 available 970.00
			unrefund u1 of f1          | 00 recorded 20.00                            | posted 50.00 pending 0.00 available 950.00
			show new-2                 | refund taken back 20.00`},
		{"of a purchase", `
			present p1 50.00 of t1
			refund f1 20.00 of t1
			refund f2 5.00 of t1
			unrefund u1 of f1          | 00 recorded 20.00                            | posted 45.00 pending 0.00 available 955.00
			show t1                    | cleared 50.00, refunded 5.00, refund taken back 20.00`},
		{"once", `
			refund f1 20.00
			unrefund u1 of f1
			unrefund u1 of f1          | 00 recorded 20.00, duplicate
			unrefund u2 of f1          | 21 rejected, nothing to reverse              | posted 0.00 pending 0.00 available 1000.00
			unrefund u3 of f9          | not found: REFUND_NOT_FOUND`},
	})
}

func TestMerchantCredits(t *testing.T) {
	t.Parallel()
	tell(t, strict(), []story{
		{"move nothing until they are refunded", `
			authorize t1 150.00
			present p1 150.00 of t1
			authorize r1 40.00 credit  | 00 approved 40.00                            | posted 150.00 pending 0.00 available 850.00
			show r1                    | credit 40.00
			refund f1 40.00 of r1      | 00 recorded 40.00                            | posted 110.00 pending 0.00 available 890.00
			show r1                    | credit 40.00, refunded 40.00`},
		{"need no credit", `
			limit 0.00
			authorize r1 40.00 credit  | 00 approved 40.00                            | posted 0.00 pending 0.00 available 0.00`},
		{"are checked like purchases otherwise", `
			authorize r1 1.00 credit country KP | 62 declined, country blocked
			authorize r2 1.00 credit EUR        | 57 declined, currency not supported
			state closed
			authorize r3 1.00 credit            | 46 declined, account closed
			refund f1 1.00 of r3                | 00 recorded 1.00                    | posted -1.00 pending 0.00 available 1001.00`},
		{"can come after their refund", `
			refund f1 40.00 of r1      | 00 recorded 40.00, unmatched
			authorize r1 40.00 credit  | 00 approved 40.00                            | posted -40.00 pending 0.00 available 1040.00`},
		{"hold nothing that could be reversed, raised or presented", `
			authorize r1 40.00 credit
			reverse v1 of r1           | 21 rejected, nothing to reverse
			increment i1 5.00 of r1    | 21 rejected, authorization not open
			present p1 5.00 of r1      | 00 recorded 5.00, unmatched                  | posted 5.00 pending 0.00 available 995.00`},
		{"are not turned into a purchase's authorization", `
			present p1 40.00 of r1
			authorize r1 40.00 credit  | 00 approved 40.00
			present p2 10.00 of r1     | 00 recorded 10.00, unmatched`},
		{"of nothing verify", `
			authorize r1 0.00 credit   | 85 verified                                  | posted 0.00 pending 0.00 available 1000.00`},
		{"beyond all bounds are refused", `
			authorize r1 92233720368547758.07 credit | precondition: BALANCE_OVERFLOW`},
	})
}

func TestDisputes(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"credit what was cleared, and the credit is taken back", `
			authorize t1 50.00
			present p1 50.00 of t1
			dispute d1 50.00 of t1     | 00 recorded 50.00                            | posted 0.00 pending 0.00 available 1000.00
			show t1                    | authorized 50.00, cleared 50.00, disputed 50.00
			undispute d1               | 00 recorded 50.00                            | posted 50.00 pending 0.00 available 950.00
			show t1                    | authorized 50.00, cleared 50.00`},
		{"credit no more than was cleared and not given back yet", `
			present p1 50.00 of t1
			refund f1 20.00 of t1
			dispute d1 30.01 of t1     | 21 rejected, amount exceeds cleared
			dispute d2 10.00 of t1     | 00 recorded 10.00
			dispute d3 20.01 of t1     | 21 rejected, amount exceeds cleared
			dispute d4 20.00 of t1     | 00 recorded 20.00                            | posted 0.00 pending 0.00 available 1000.00
			undispute d3               | 21 rejected, nothing to reverse`},
		{"of what was never presented credit nothing", `
			dispute d1 1.00 of t1      | not found: TRANSACTION_NOT_FOUND
			authorize t1 50.00
			dispute d1 1.00 of t1      | 21 rejected, amount exceeds cleared, held 50.00 | posted 0.00 pending 50.00 available 950.00
			dispute d1 1.00 of t1      | 21 rejected, amount exceeds cleared, held 50.00, duplicate`},
		{"are taken back in part, once, and never beyond", `
			present p1 50.00 of t1
			dispute d1 50.00 of t1
			undispute d1 20.00         | 00 recorded 20.00                            | posted 20.00 pending 0.00 available 980.00
			undispute d1 20.00         | 00 recorded 20.00, duplicate
			undispute d1               | already exists: ID_REUSED
			dispute d2 20.00 of t1     | 00 recorded 20.00
			undispute d2 99.00 of t1   | 00 recorded 20.00, capped                    | posted 20.00 pending 0.00 available 980.00`},
		{"are found by their own ids", `
			undispute d1               | not found: DISPUTE_NOT_FOUND
			present p1 50.00 of t1
			dispute d1 50.00 of t1
			undispute d1 of t2         | invalid: INVALID_FIELD transaction_id
			undispute d1 of t1         | 00 recorded 50.00`},
		{"are in the account's currency", `
			present p1 50.00 of t1
			dispute d1 5.00 of t1 EUR  | invalid: INVALID_FIELD amount.currency_code
			dispute d1 5.00 of t1
			undispute d1 5.00 EUR      | invalid: INVALID_FIELD amount.currency_code`},
	})
}

func TestNetworkMessagesComeAgain(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"and get the first answer under another id", `
			authorize t1 50.00 message m1 | 00 approved 50.00, held 50.00
			authorize t2 50.00 message m1 | 00 approved 50.00, held 50.00, duplicate  | posted 0.00 pending 50.00 available 950.00
			show t2                       | no such transaction
			authorize t1 50.00 message m1 | 00 approved 50.00, held 50.00, duplicate
			authorize t3 50.00 message m2 | 00 approved 50.00, held 50.00             | posted 0.00 pending 100.00 available 900.00`},
		{"and are refused where they ask for something else", `
			authorize t1 50.00 message m1
			authorize t2 51.00 message m1 | already exists: MESSAGE_REUSED
			increment i1 50.00 of t1 message m1 | already exists: MESSAGE_REUSED      | posted 0.00 pending 50.00 available 950.00
			authorize t1 51.00 message m1 | already exists: ID_REUSED`},
		{"as declines and rejections too", `
			authorize t1 5000.00 message m1 | 51 declined, insufficient credit
			limit 5000.00
			authorize t2 5000.00 message m1 | 51 declined, insufficient credit, duplicate
			increment i1 1.00 of t1 message m2 | 21 rejected, authorization not open
			increment i2 1.00 of t1 message m2 | 21 rejected, authorization not open, duplicate`},
		{"in classes of their own", `
			authorize t1 50.00 message m1
			advise a1 60.00 of t1 stand-in message m1 | 00 recorded 60.00, held 60.00
			reverse r1 of t1 10.00 message m1 | 00 recorded 10.00, held 50.00
			advise a2 60.00 of t1 stand-in message m1 | 00 recorded 60.00, held 60.00, duplicate
			reverse r2 of t1 10.00 message m1 | 00 recorded 10.00, held 50.00, duplicate
			increment i1 5.00 of t1 message m2 | 00 approved 5.00, held 55.00
			increment i2 5.00 of t1 message m2 | 00 approved 5.00, held 55.00, duplicate  | posted 0.00 pending 55.00 available 945.00`},
		{"and are not told apart by part of what they carry", `
			authorize t1 50.00 sent 1d    | 00 approved 50.00, held 50.00
			authorize t2 50.00 sent 1d    | 00 approved 50.00, held 50.00             | posted 0.00 pending 100.00 available 900.00`},
	})
}
