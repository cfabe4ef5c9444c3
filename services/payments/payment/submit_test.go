package payment

import (
	"math"
	"strings"
	"testing"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// firings has, for every rule, a payment that it lets pass by a hair and one that it does not. The documentation lists them in this order.
var firings = []struct {
	rule, answer string
	script       string // the answer is that of the last step
}{
	{"account state", "rejected: account closed", `
		spend 100.00
		state suspended
		submit p1 1.00              | submitted
		state charged_off
		submit p2 1.00              | submitted
		state closed
		submit p3 1.00`},
	{"owed", "rejected: more than owed", `
		spend 100.00
		submit p1 50.00             | submitted                           | owed 50.00
		submit p2 50.00             | submitted                           | owed 0.00
		submit p3 0.01`},
	{"amount", "held: large amount", `
		spend 9000.00
		rule review_new_source_amount 0
		submit p1 4999.99           | submitted
		wait 1d
		submit p2 4000.00           | submitted                           | owed 0.01
		wait 1d
		spend 5000.00
		submit p3 5000.00`},
	{"recent return", "held: recent return", `
		spend 100.00
		submit p1 50.00             | submitted
		return p1 R01               | returned R01
		wait 60d
		submit p2 50.00             | submitted
		return p2 R01               | returned R01
		wait 59d23h59m59s
		submit p3 50.00`},
	{"new source", "held: new source", `
		spend 5000.00
		submit p1 1000.00           | submitted
		submit p2 1000.01           | submitted
		submit p3 1000.01 from bank-2`},
	{"daily count", "held: daily count", `
		spend 100.00
		submit p1 1.00              | submitted
		submit p2 1.00              | submitted
		submit p3 1.00              | submitted
		submit p4 1.00              | submitted
		submit p5 1.00              | submitted
		submit p6 1.00`},
	{"daily amount", "held: daily amount", `
		spend 20000.00
		submit p0 0.01              | submitted
		wait 1d
		submit p1 4999.99           | submitted
		submit p2 4999.99           | submitted
		submit p3 0.02              | submitted
		submit p4 0.01`},
	{"source failed", "held: source failed", `
		spend 100.00
		rule review_after_return_days 0
		submit p1 10.00             | submitted
		return p1 R01               | returned R01
		submit p2 10.00             | submitted
		return p2 R02               | returned R02
		submit p3 10.00 from bank-2 | submitted
		submit p4 10.00`},
}

func TestEveryRuleFires(t *testing.T) {
	t.Parallel()
	for _, f := range firings {
		tell(t, []story{{f.rule, f.script + " | " + f.answer}})
	}
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	tell(t, []story{
		{"takes a payment: what is owed falls", `
			spend 100.00                                                      || owed 100.00
			submit p1 80.00             | submitted                           | owed 20.00
			show p1                     | submitted 80.00 from checking bank-1 by default v1 made 02 12:00 taken 02 12:00
			post                        | posted 1                            | owed 20.00
			submit p2 20.00 savings     | submitted                           | owed 0.00
			show p2                     | submitted 20.00 from savings bank-1 by default v1 made 02 12:00 taken 02 12:00`},
		{"takes no more than what is owed, before the ledger has posted what was taken", `
			spend 100.00
			submit p1 80.00             | submitted                           | owed 20.00
			submit p2 80.00             | rejected: more than owed            | owed 20.00
			show p2                     | rejected 80.00 from checking bank-1 by default v1 made 02 12:00 for more than owed
			submit p3 20.00             | submitted                           | owed 0.00
			post 1                      | posted 1                            | owed 0.00
			submit p4 0.01              | rejected: more than owed
			post                        | posted 1                            | owed 0.00
			submit p5 0.01              | rejected: more than owed`},
		{"does not mind how old the ledger's word is", `
			spend 100.00
			know
			submit p1 60.00             | submitted                           | owed 40.00
			post                        | posted 1
			submit p2 10.00             | submitted                           | owed 30.00
			submit p3 40.00 as-known    | rejected: more than owed            | owed 30.00
			submit p4 30.00 as-known    | submitted                           | owed 0.00`},
		{"counts a return that the ledger has not posted", `
			rule review_after_return_days 0
			spend 100.00
			submit p1 100.00            | submitted                           | owed 0.00
			post                        | posted 1
			return p1 R01               | returned R01                        | owed 100.00
			submit p2 100.00            | submitted                           | owed 0.00`},
		{"counts what is held only when it is taken", `
			rule review_amount 50.00
			spend 100.00
			submit p1 80.00             | held: large amount                  | owed 100.00
			show p1                     | held 80.00 from checking bank-1 by default v2 made 02 12:00 held for large amount
			submit p2 40.00             | submitted                           | owed 60.00
			release p1                  | released                            | owed -20.00
			submit p3 0.01              | rejected: more than owed`},
		{"takes nothing where there is a credit balance", `
			spend -10.00                                                      || owed -10.00
			submit p1 0.01              | rejected: more than owed
			spend 10.01
			submit p2 0.01              | submitted                           | owed 0.00`},
		{"takes more than what is owed where the profile allows it", `
			rule allow_overpayment true
			spend 10.00
			submit p1 100.00            | submitted                           | owed -90.00
			checks p1                   | account state open/closed, owed 100.00/10.00, amount 100.00/5000.00, new source 100.00/1000.00, daily count 1/5, daily amount 100.00/10000.00, source failed 0/0`},
		{"withholds a payment for the days of the profile", `
			rule withhold_days 3
			spend 100.00
			submit p1 80.00             | submitted, withheld 80.00           | owed 20.00 withheld 80.00
			show p1                     | submitted 80.00 from checking bank-1 by default v2 made 02 12:00 taken 02 12:00 withheld 80.00 until 05 12:00
			wait 2d23h59m59s                                                 || owed 20.00 withheld 80.00
			wait 1s                                                          || owed 20.00`},

		{"runs all rules and says all reasons to hold", `
			spend 20000.00
			rule review_daily_count 1
			submit p1 900.00            | submitted
			return p1 R03               | returned R03
			submit p2 10000.00          | held: large amount, recent return, daily count, daily amount, source failed
			checks p2                   | account state open/closed, owed 10000.00/20000.00, amount 10000.00/5000.00!, recent return 0/60!, daily count 2/1!, daily amount 10900.00/10000.00!, source failed 1/0!
			submit p3 5000.00 from bank-2 | held: large amount, recent return, new source, daily count, daily amount
			checks p3                   | account state open/closed, owed 5000.00/20000.00, amount 5000.00/5000.00!, recent return 0/60!, new source 5000.00/1000.00!, daily count 3/1!, daily amount 15900.00/10000.00!, source failed 0/0`},
		{"rejects what it would also hold, and records both", `
			submit p1 5000.00           | rejected: more than owed            | owed 0.00
			show p1                     | rejected 5000.00 from checking bank-1 by default v1 made 02 12:00 for more than owed
			checks p1                   | account state open/closed, owed 5000.00/0.00!, amount 5000.00/5000.00!, new source 5000.00/1000.00!, daily count 1/5, daily amount 5000.00/10000.00, source failed 0/0
			state closed
			submit p2 1.00              | rejected: account closed
			checks p2                   | account state closed/closed!, owed 1.00/0.00!, amount 1.00/5000.00, new source 1.00/1000.00, daily count 1/5, daily amount 1.00/10000.00, source failed 0/0`},
		{"does not run what is off", `
			rule review_amount 0
			rule review_new_source_amount 0
			rule review_after_return_days 0
			rule review_daily_count 0
			rule review_daily_amount 0
			spend 100000.00
			submit p1 90000.00          | submitted
			return p1 R01               | returned R01
			submit p2 90000.00          | submitted
			checks p2                   | account state open/closed, owed 90000.00/100000.00, source failed 0/0`},
		{"is decided by the default profile where its own is gone from the file", `
			profile strict
			spend 100.00
			submit p1 1.00              | submitted
			show p1                     | submitted 1.00 from checking bank-1 by default v1 made 02 12:00 taken 02 12:00`},

		{"knows a source by a payment from it that was taken, also after a review, also when it came back", `
			rule review_after_return_days 0
			rule review_daily_amount 0
			spend 20000.00
			submit p1 2000.00           | held: new source
			submit p2 2000.00           | held: new source
			cancel p2                   | cancelled
			submit p3 2000.00           | held: new source
			release p1                  | released
			submit p4 2000.00           | submitted
			submit p5 2000.00 from bank-2 | held: new source
			release p5                  | released
			return p5 R01               | returned R01
			wait 2d
			submit p6 2000.00 from bank-2 | submitted`},
		{"does not know a source by a payment that was rejected", `
			submit p1 1.00              | rejected: more than owed
			spend 2000.00
			submit p2 1000.01           | held: new source`},
		{"counts for a day what was taken, held or returned, not what was rejected or cancelled", `
			rule review_daily_count 3
			rule review_after_return_days 0
			rule review_amount 50.00
			spend 1000.00
			submit p1 10.00             | submitted
			submit p2 2000.00           | rejected: more than owed
			submit p3 50.00             | held: large amount
			wait 12h
			submit p4 10.00             | submitted
			return p4 R01               | returned R01
			submit p5 10.00             | held: daily count
			cancel p3                   | cancelled
			submit p6 10.00             | held: daily count
			cancel p5                   | cancelled
			cancel p6                   | cancelled
			submit p7 10.00             | submitted
			wait 11h59m59s
			submit p8 10.00             | held: daily count
			wait 1s
			submit p9 10.00             | held: daily count
			cancel p8                   | cancelled
			submit p10 10.00            | held: daily count
			cancel p9                   | cancelled
			cancel p10                  | cancelled
			submit p11 10.00            | submitted`},
		{"holds for the last return only", `
			rule review_after_return_days 2
			spend 1000.00
			submit p1 1.00              | submitted
			submit p2 1.00              | submitted
			return p1 R01               | returned R01
			wait 1d
			return p2 R01               | returned R01
			wait 1d23h59m59s
			submit p3 1.00              | held: recent return
			checks p3                   | account state open/closed, owed 1.00/1000.00, amount 1.00/5000.00, recent return 1/2!, daily count 1/5, daily amount 1.00/10000.00, source failed 0/0
			wait 1s
			submit p4 1.00              | submitted`},

		{"refuses another currency", `
			spend 10.00
			submit p1 1.00 EUR          | invalid: INVALID_FIELD amount.currency_code | owed 10.00
			submit p1 1.00              | submitted`},
		{"refuses an amount of nothing, or below", `
			spend 10.00
			submit p1 0.00              | invalid: INVALID_FIELD amount.minor_units
			submit p1 -1.00             | invalid: INVALID_FIELD amount.minor_units | owed 10.00`},
		{"answers a repeat as before, whatever is known by now", `
			spend 100.00
			submit p1 80.00             | submitted                           | owed 20.00
			post                        | posted 1
			submit p1 80.00             | submitted, duplicate                | owed 20.00
			state closed
			submit p1 80.00             | submitted, duplicate
			submit p1 79.00             | already exists: ID_REUSED
			submit p2 1.00              | rejected: account closed
			state open
			submit p2 1.00              | rejected: account closed, duplicate | owed 20.00
			return p1 R01               | returned R01
			submit p1 80.00             | submitted, duplicate                | owed 100.00`},
		{"holds a command against the sequence that the caller saw", `
			spend 100.00
			submit p1 1.00 at 1         | precondition: SEQUENCE_MISMATCH
			submit p1 1.00              | submitted
			submit p2 1.00 at 2         | precondition: SEQUENCE_MISMATCH
			submit p2 1.00 at 3         | submitted
			submit p2 1.00 at 3         | submitted, duplicate
			return p2 R01 at 3          | precondition: SEQUENCE_MISMATCH
			return p2 R01 at 6          | returned R01                        | owed 99.00`},
		{"lists payments, the newest first, whatever became of them", `
			spend 100.00
			list 9                      |
			submit p1 1.00
			submit p2 1.00
			submit p3 1000.00
			return p1 R01
			list 9                      | p3 p2 p1
			list 3                      | p3 p2 p1
			list 2                      | p3 p2 and before 6
			list 2 before 6             | p1
			list 1 before 9             | p2 and before 6
			list 2 before 3             |
			return p2 R01
			list 2                      | p3 p2 and before 6`},
	})
}

// The money of a payment must fit into the ledger, whatever else it posts meanwhile.
func TestWhatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	bound := major(PaidBound)
	tell(t, []story{
		{"a payment beyond the bound", `
			rule allow_overpayment true
			rule review_amount 0
			rule review_new_source_amount 0
			rule review_daily_amount 0
			submit p1 ` + major(math.MaxInt64) + ` | precondition: BALANCE_OVERFLOW | owed 0.00
			submit p1 ` + major(PaidBound+1) + ` | precondition: BALANCE_OVERFLOW
			submit p1 ` + bound + ` | submitted | owed -` + bound + `
			submit p2 0.01 | precondition: BALANCE_OVERFLOW
			spend 0.01
			submit p2 0.01 | precondition: BALANCE_OVERFLOW
			return p1 R01 | returned R01 | owed 0.01`},
		{"held payments that add up to more, when one is released", `
			rule allow_overpayment true
			rule review_daily_count 0
			rule review_daily_amount 0
			submit p1 ` + bound + ` | held: large amount, new source
			submit p2 ` + bound + ` | held: large amount, new source
			release p1 | released | owed -` + bound + `
			release p2 | precondition: BALANCE_OVERFLOW
			return p1 R01
			release p2 | released`},
		{"held payments whose sum cannot be told", `
			rule allow_overpayment true
			submit p1 ` + bound + ` | held: large amount, new source, daily amount
			submit p2 ` + bound + ` | held: large amount, new source, daily amount
			submit p3 ` + bound + ` | held: large amount, new source, daily amount
			submit p4 ` + bound + ` | held: large amount, new source, daily amount
			submit p5 ` + bound + ` | precondition: BALANCE_OVERFLOW
			submit p5 0.01 | held: daily amount`},
		{"what is owed beyond all bounds", `
			spend 1.00
			submit p1 1.00 | submitted
			post
			return p1 R01 | returned R01 | owed 1.00
			spend ` + major(AmountBound) + ` || precondition: BALANCE_OVERFLOW
			submit p2 1.00 | precondition: BALANCE_OVERFLOW
			post || owed ` + major(AmountBound+100) + `
			submit p2 1.00 | held: recent return`},
	})
}

func TestTheAssessmentSaysWhatWasKnown(t *testing.T) {
	t.Parallel()
	b := newBook(t).run(`
		spend 100.00
		submit p1 30.00
		spend 10.00
		post 1
		submit p2 20.00
		spend 1.00
		state suspended
		submit p3 50.00`)
	p, _ := b.account.Payment("p3")
	event := b.read(p.First)
	got := event.GetAssessment()
	if got.GetOwed() != 61_00 || got.GetLedgerSequence() != 8 || got.GetPostedSequence() != 3 || got.GetAccountState() != typev1.AccountState_ACCOUNT_STATE_SUSPENDED {
		t.Errorf("assessed by %v", got)
	}
	b.run(`
		return p3 R01 insufficient
		show p3 | returned 50.00 from checking bank-1 by default v1 made 02 12:00 taken 02 12:00 R01 insufficient`)
	p, _ = b.account.Payment("p3")
	if later := b.read(p.Last); later.GetAssessment() != nil || later.GetPayment().GetFirstSequence() != p.First {
		t.Errorf("later %v", later)
	}
}

// The engine answers a repeat from the log; should it ever not, nothing is made twice.
func TestAPaymentIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := newBook(t).run("spend 100.00\nsubmit p1 1.00")
	_, err := b.account.Decide(b.command(strings.Fields("submit p1 1.00")), b.rules, b.next())
	if got := failureWords(err); got != "already exists: PAYMENT_EXISTS" {
		t.Errorf("the second one is answered %s", got)
	}
	b.run("show p2 | no such payment")
}

func TestKindsAndIDs(t *testing.T) {
	t.Parallel()
	h := Header{AccountID: "a", RequestID: "r", Content: []byte("content")}
	for _, test := range []struct {
		command Command
		kind    eventsv1.CommandKind
		id      string
	}{
		{&Submit{Header: h, PaymentID: "p"}, eventsv1.CommandKind_COMMAND_KIND_SUBMIT_PAYMENT, "p"},
		{&Release{Header: h, PaymentID: "p"}, eventsv1.CommandKind_COMMAND_KIND_RELEASE_PAYMENT, "r"},
		{&Cancel{Header: h, PaymentID: "p"}, eventsv1.CommandKind_COMMAND_KIND_CANCEL_PAYMENT, "r"},
		{&Return{Header: h, PaymentID: "p"}, eventsv1.CommandKind_COMMAND_KIND_RETURN_PAYMENT, "r"},
	} {
		if c := test.command; c.Kind() != test.kind || c.ID() != test.id || c.Account() != "a" || string(c.Digest()) != "content" {
			t.Errorf("%T is of kind %v, id %s, account %s, digest %s", c, c.Kind(), c.ID(), c.Account(), c.Digest())
		}
	}
}
