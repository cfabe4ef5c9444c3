package ledger

import "testing"

func TestReverseAuthorization(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"releases all that is held", `
			authorize t1 45.00
			reverse r1 of t1           | 00 recorded 45.00                            | posted 0.00 pending 0.00 available 1000.00
			show t1                    | authorized 45.00, reversed 45.00`},
		{"releases a part, and another", `
			authorize t1 45.00
			reverse r1 of t1 20.00     | 00 recorded 20.00, held 25.00                | posted 0.00 pending 25.00 available 975.00
			reverse r2 of t1 5.00      | 00 recorded 5.00, held 20.00                 | posted 0.00 pending 20.00 available 980.00
			show t1                    | authorized 45.00, reversed 25.00, held 20.00`},
		{"releases no more than is held", `
			authorize t1 45.00
			reverse r1 of t1 20.00
			reverse r2 of t1 45.00     | 00 recorded 25.00, capped                    | posted 0.00 pending 0.00 available 1000.00
			show t1                    | authorized 45.00, reversed 45.00`},
		{"rejects a second full reversal", `
			authorize t1 45.00
			reverse r1 of t1           | 00 recorded 45.00
			reverse r2 of t1           | 21 rejected, nothing to reverse              | posted 0.00 pending 0.00 available 1000.00
			reverse r3 of t1 1.00      | 21 rejected, nothing to reverse`},
		{"stays rejected when repeated", `
			authorize t1 45.00
			reverse r1 of t1
			reverse r2 of t1           | 21 rejected, nothing to reverse
			reverse r2 of t1           | 21 rejected, nothing to reverse, duplicate`},
		{"releases what presentments left", `
			authorize t1 100.00
			present p1 30.00 of t1 more-to-come
			reverse r1 of t1           | 00 recorded 70.00                            | posted 30.00 pending 0.00 available 970.00
			show t1                    | authorized 100.00, reversed 70.00, cleared 30.00`},
		{"rejects after the last presentment", `
			authorize t1 45.00
			present p1 30.00 of t1
			reverse r1 of t1           | 21 rejected, nothing to reverse              | posted 30.00 pending 0.00 available 970.00`},
		{"rejects after expiry", `
			authorize t1 45.00
			wait 7d
			reverse r1 of t1           | expired t1 45.00; 21 rejected, nothing to reverse | posted 0.00 pending 0.00 available 1000.00`},
		{"rejects for a declined authorization", `
			authorize t1 1000.01       | 51 declined, insufficient credit
			reverse r1 of t1           | 21 rejected, authorization not open          | posted 0.00 pending 0.00 available 1000.00`},
		{"rejects for a verification", `
			authorize t1 0.00          | 85 verified
			reverse r1 of t1           | 21 rejected, authorization not open`},
		{"rejects for a purchase that was never authorized", `
			present p1 25.00 of t1
			reverse r1 of t1           | 21 rejected, authorization not open          | posted 25.00 pending 0.00 available 975.00`},
		{"does not find a transaction that nobody knows, and keeps nothing", `
			reverse r1 of t9           | not found: TRANSACTION_NOT_FOUND             | posted 0.00 pending 0.00 available 1000.00
			authorize t9 45.00
			reverse r1 of t9           | 00 recorded 45.00`},
		{"releases in a closed account", `
			authorize t1 45.00
			state closed
			reverse r1 of t1           | 00 recorded 45.00                            | posted 0.00 pending 0.00 available 1000.00`},
		{"answers a repeat as before, and releases once", `
			authorize t1 45.00
			reverse r1 of t1 20.00     | 00 recorded 20.00, held 25.00
			reverse r1 of t1 20.00     | 00 recorded 20.00, held 25.00, duplicate     | posted 0.00 pending 25.00 available 975.00
			reverse r1 of t1           | already exists: ID_REUSED
			reverse r1 of t2 20.00     | already exists: ID_REUSED                    | posted 0.00 pending 25.00 available 975.00`},
		{"refuses another currency", `
			authorize t1 45.00
			reverse r1 of t1 20.00 EUR | invalid: INVALID_FIELD amount.currency_code  | posted 0.00 pending 45.00 available 955.00`},
	})
}

func TestRejectionsAreStoredWithTheirTransaction(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`
		authorize t1 1000.01
		reverse r1 of t1 20.00 | 21 rejected, authorization not open`)
	event := b.last()
	if event.GetCommandRejected().GetRequestedAmount() != 2000 || event.GetTransaction().GetTransactionId() != "t1" {
		t.Errorf("event %v", event)
	}
	if b.account.LastEventOf("t1") != b.account.sequence {
		t.Error("the rejection is not the transaction's last event")
	}
}
