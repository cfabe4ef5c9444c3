package payment

import (
	"errors"
	"strings"
	"testing"

	"github.com/cardlog/cardlog/services/internal/failure"
)

func TestRelease(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{"takes a held payment", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount                  | owed 100.00
			wait 1d
			release p1                  | released                            | owed 50.00
			show p1                     | submitted 50.00 from checking bank-1 by default v2 made 02 12:00 taken 03 12:00 held for large amount
			release p1                  | precondition: NOTHING_WITHHELD      | owed 50.00`},
		{"withholds by the rules that are in force then", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount
			rule withhold_days 2
			wait 1d
			release p1                  | released, withheld 50.00            | owed 50.00 withheld 50.00
			show p1                     | submitted 50.00 from checking bank-1 by default v2 made 02 12:00 taken 03 12:00 withheld 50.00 until 05 12:00 held for large amount`},
		{"ends a withholding, once, before its time", `
			rule withhold_days 3
			spend 100.00
			submit p1 60.00             | submitted, withheld 60.00           | owed 40.00 withheld 60.00
			wait 1d
			release p1                  | withholding ended 60.00             | owed 40.00
			show p1                     | submitted 60.00 from checking bank-1 by default v2 made 02 12:00 taken 02 12:00 withheld 0.00 until 05 12:00
			release p1                  | precondition: NOTHING_WITHHELD
			post                        | posted 2                            | owed 40.00`},
		{"has nothing to end when the time has come", `
			rule withhold_days 3
			spend 100.00
			submit p1 60.00
			wait 2d23h59m59s
			submit p2 1.00
			wait 1s
			release p1                  | precondition: NOTHING_WITHHELD
			wait -1s
			release p1                  | withholding ended 60.00`},
		{"does nothing with what is over or is not there", `
			rule review_amount 50.00
			spend 100.00
			release p1                  | not found: PAYMENT_NOT_FOUND
			submit p1 200.00            | rejected: more than owed
			release p1                  | precondition: PAYMENT_REJECTED
			submit p2 50.00             | held: large amount
			cancel p2                   | cancelled
			release p2                  | precondition: PAYMENT_CANCELLED
			submit p3 1.00              | submitted
			return p3 R01               | returned R01
			release p3                  | precondition: PAYMENT_ALREADY_RETURNED | owed 100.00`},
		{"takes a held payment on an account that was closed meanwhile", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount
			state closed
			release p1                  | released                            | owed 50.00`},
		{"answers a repeat as before", `
			rule review_amount 50.00
			rule withhold_days 3
			spend 100.00
			submit p1 50.00             | held: large amount
			submit p2 50.00             | held: large amount
			release p1 key k1           | released, withheld 50.00
			release p1 key k1           | released, withheld 50.00, duplicate
			release p2 key k1           | already exists: ID_REUSED
			release p1 key k2           | withholding ended 50.00
			release p1 key k2           | withholding ended 50.00, duplicate
			release p1 key k1           | released, withheld 50.00, duplicate
			cancel p2 key k1            | cancelled                           | owed 50.00`},
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{"gives a held payment up", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount                  | owed 100.00
			wait 1h
			cancel p1 not me            | cancelled                           | owed 100.00
			show p1                     | cancelled 50.00 from checking bank-1 by default v2 made 02 12:00 held for large amount not me
			cancel p1                   | precondition: PAYMENT_CANCELLED
			submit p1 50.00             | held: large amount, duplicate
			post                        | posted 0`},
		{"leaves alone what was taken, what is over and what is not there", `
			spend 100.00
			cancel p1                   | not found: PAYMENT_NOT_FOUND
			submit p1 1.00              | submitted
			cancel p1                   | precondition: PAYMENT_SUBMITTED     | owed 99.00
			return p1 R01               | returned R01
			cancel p1                   | precondition: PAYMENT_ALREADY_RETURNED
			submit p2 200.00            | rejected: more than owed
			cancel p2                   | precondition: PAYMENT_REJECTED      | owed 100.00`},
		{"answers a repeat as before", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount
			cancel p1 because key k1    | cancelled
			cancel p1 because key k1    | cancelled, duplicate
			cancel p1 why key k1        | already exists: ID_REUSED`},
	})
}

func TestReturn(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{"takes a payment back: what is owed rises again", `
			rule withhold_days 3
			spend 100.00
			submit p1 80.00             | submitted, withheld 80.00           | owed 20.00 withheld 80.00
			wait 1d
			return p1 R01 nothing there | returned R01                        | owed 100.00
			show p1                     | returned 80.00 from checking bank-1 by default v2 made 02 12:00 taken 02 12:00 withheld 0.00 until 05 12:00 R01 nothing there
			post                        | posted 2                            | owed 100.00
			return p1 R01               | precondition: PAYMENT_ALREADY_RETURNED`},
		{"takes back what was released", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount
			return p1 R01               | precondition: PAYMENT_NEVER_SUBMITTED
			release p1                  | released                            | owed 50.00
			return p1 R01               | returned R01                        | owed 100.00`},
		{"refuses what was never taken or is not there", `
			rule review_amount 50.00
			spend 100.00
			return p1 R01               | not found: PAYMENT_NOT_FOUND
			submit p1 200.00            | rejected: more than owed
			return p1 R01               | precondition: PAYMENT_NEVER_SUBMITTED
			submit p2 50.00             | held: large amount
			cancel p2                   | cancelled
			return p2 R01               | precondition: PAYMENT_NEVER_SUBMITTED | owed 100.00`},
		{"refuses a code that is none", `
			spend 100.00
			return p1 R99               | invalid: INVALID_FIELD return_code
			submit p1 1.00
			return p1 R06               | invalid: INVALID_FIELD return_code
			return p1 R00               | invalid: INVALID_FIELD return_code | owed 99.00`},
		{"takes returns on a closed account, and where the balance is a credit", `
			rule allow_overpayment true
			submit p1 10.00             | submitted                           | owed -10.00
			state closed
			return p1 R16               | returned R16                        | owed 0.00`},
		{"is in time to the end of the second banking day after settlement", `
			spend 100.00
			date 2026-03-02T23:59
			submit p1 1.00
			submit p2 1.00
			date 2026-03-05T23:59
			return p1 R01               | returned R01
			date 2026-03-06T00:00
			return p2 R01               | precondition: RETURN_TOO_LATE
			return p2 R10               | returned R10`},
		{"does not count the weekend as banking days", `
			spend 100.00
			date 2026-03-06T09:00
			submit p1 1.00
			submit p2 1.00
			date 2026-03-11T23:59
			return p1 R29               | returned R29
			date 2026-03-12T00:00
			return p2 R29               | precondition: RETURN_TOO_LATE       | owed 99.00`},
		{"counts from when a held payment was taken", `
			rule review_amount 50.00
			spend 100.00
			submit p1 50.00             | held: large amount
			date 2026-04-01T12:00
			release p1                  | released
			date 2026-04-06T23:59
			return p1 R01               | returned R01`},
		{"counts the days of the calendar for what was not authorized", `
			spend 100.00
			submit p1 1.00
			submit p2 1.00
			date 2026-05-02T23:59
			return p1 R07               | returned R07
			date 2026-05-03T00:00
			return p2 R07               | precondition: RETURN_TOO_LATE
			return p2 R31               | returned R31                        | owed 100.00`},
		{"answers a repeat as before, also when it would be too late by now", `
			spend 100.00
			submit p1 1.00
			return p1 R01 key k1        | returned R01
			wait 90d
			return p1 R01 key k1        | returned R01, duplicate
			return p1 R02 key k1        | already exists: ID_REUSED           | owed 100.00`},
	})
}

// The codes with which a source fails are these; the others say nothing of the next payment.
func TestCodesThatFailTheSource(t *testing.T) {
	t.Parallel()
	for _, code := range returnCodes {
		want := "submitted"
		switch code.code {
		case "R02", "R03", "R04", "R20":
			want = "held: source failed"
		}
		tell(t, []story{{code.code, `
			rule review_after_return_days 0
			spend 100.00
			submit p1 1.00
			return p1 ` + code.code + `
			submit p2 1.00 | ` + want + `
			submit p3 1.00 from bank-2 | submitted`}})
	}
}

// A refusal says what to do.
func TestRefusalsInWords(t *testing.T) {
	t.Parallel()
	const past = `
		rule review_amount 50.00
		spend 1000.00
		submit taken 1.00
		submit waiting 50.00
		submit given-up 50.00
		cancel given-up
		submit back 1.00
		return back R03
		submit refused 5000.00
		wait 30d`
	for step, want := range map[string]string{
		"submit p 1.00 at 1":  "the payments of account acct-1 are at sequence 21, not 1; read them again and repeat the change if it still holds",
		"submit p 1.00 EUR":   "the account is kept in GBP",
		"release none":        "account acct-1 has no payment none",
		"release taken":       "payment taken was taken on 2026-03-02 and nothing of it is withheld; there is nothing to release",
		"release given-up":    "payment given-up was cancelled on 2026-03-02 and stays so; submit another one",
		"release back":        "payment back came back with R03 on 2026-03-02 and stays so; submit another one",
		"release refused":     "payment refused was rejected on 2026-03-02 and stays so; submit another one",
		"cancel taken":        "payment taken was taken on 2026-03-02; only its bank can return it: use ReturnPayment",
		"return waiting R01":  "payment waiting is held and was never taken, so it cannot come back; check its id",
		"return refused R01":  "payment refused is rejected and was never taken, so it cannot come back; check its id",
		"return given-up R01": "payment given-up is cancelled and was never taken, so it cannot come back; check its id",
		"return taken R01": "a return with R01 (not enough funds) of payment taken could come until the end of 2026-03-05, UTC; the payment stands: " +
			"dishonour the return, or use R31 if you agreed to take it late",
		"return taken R77": "R77 is not a code that a payment comes back with; the codes are R01, R02, R03, R04, R05, R07, R08, R09, R10, R11, R16, R20, R29, R31",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			b := newBook(t).run(past)
			var f *failure.Error
			if a := b.do(b.command(strings.Fields(step))); !errors.As(a.err, &f) || f.Message != want {
				t.Errorf("got: %v\nwant: %s", a.err, want)
			}
		})
	}
}
