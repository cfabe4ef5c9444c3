package replay

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// aliceStory is what is told of alice by a server with the built-in rules.
var aliceStory = []string{
	"alice opens account demo-alice with a limit of GBP 500.00 and gets a card",
	"alice's card is charged GBP 120.00, groceries",
	"alice's card is charged GBP 55.00, dinner: GBP 45.00 was authorized, and the tip is GBP 10.00",
	"alice's card is charged GBP 40.00, shirts: of GBP 60.00 that was held, GBP 20.00 is released for one that is sold out",
	"alice pays GBP 120.00",
	"alice's bank returns the payment (R01, insufficient funds): she owes it again",
	"alice pays GBP 120.00; it is held for review (RECENT_RETURN)",
	"alice's payment is looked at and released",
	"alice's limit is raised to GBP 800.00",
	"alice's card is declined for GBP 750.00, sofa: it would take the account GBP 45.00 over its limit of GBP 800.00",
	"alice's son gets a card for at most GBP 30.00 a day",
	"alice's son's card is charged GBP 22.00, cinema",
	"alice's son's card is declined for GBP 12.00, arcade: that would be GBP 34.00 in a day, and GBP 30.00 is allowed",
}

// aliceWaits is what is told in the end where the clock is moved by hand.
var aliceWaits = []string{
	"alice's card is authorized for GBP 60.00, lamp, which is held until 8 May 2026",
	"alice's lamp is never charged: the clock is moved to 8 May 2026, and the hold of GBP 60.00 is expired",
}

// over is the line of the sofa where the account would be so much over its limit.
func over(amount string) []string {
	return []string{strings.Replace(aliceStory[9], "GBP 45.00", amount, 1)}
}

// newDemoCardlog reviews payments after a return where the account's profile is not replay.
func newDemoCardlog() *fakeCardlog {
	cardlog := newFakeCardlog()
	cardlog.review = func(r *paymentsv1.SubmitPaymentRequest) typev1.PaymentStatus {
		if cardlog.accounts[r.GetAccountId()].GetRulesProfile() == "replay" {
			return submitted
		}
		for _, payment := range cardlog.payments {
			if payment.GetAccountId() == r.GetAccountId() && payment.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_RETURNED {
				return typev1.PaymentStatus_PAYMENT_STATUS_HELD
			}
		}
		return submitted
	}
	return cardlog
}

// playDemo plays the demo and returns what it told of alice and of the others, each with when.
func playDemo(ctx context.Context, cardlog *fakeCardlog) (alice, others []string, at []time.Duration, err error) {
	began := time.Now()
	_, err = PlayDemo(ctx, cardlog, Options{Pace: 10, Concurrency: 8}, func(line string) {
		if strings.HasPrefix(line, "alice") {
			alice, at = append(alice, line), append(at, time.Since(began))
		} else {
			others = append(others, line)
		}
	})
	return alice, others, at, err
}

func TestPlayDemo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newDemoCardlog()
		alice, others, at, err := playDemo(t.Context(), cardlog)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(alice, aliceStory) {
			t.Errorf("told\n%s\nwant\n%s", strings.Join(alice, "\n"), strings.Join(aliceStory, "\n"))
		}
		for i := 1; i < len(at); i++ {
			if pause := at[i] - at[i-1]; pause < demoStep || pause > 2*demoStep {
				t.Errorf("told %q after %v", alice[i], pause)
			}
		}
		if posted := cardlog.posted["demo-alice"]; posted != 117_00 {
			t.Errorf("alice owes %d, want 117.00", posted)
		}
		if len(others) < 20 || len(others) > 31 {
			t.Errorf("told %d lines of the others, want about 30:\n%s", len(others), strings.Join(others, "\n"))
		}
		half, all := 0, 0
		for _, line := range others {
			switch {
			case strings.HasSuffix(line, ", half of what it owes") && strings.Contains(line, " pays GBP "):
				half++
			case strings.HasSuffix(line, ", all that it owes") && strings.Contains(line, " pays GBP "):
				all++
			default:
				t.Errorf("told %q", line)
			}
		}
		if half < 10 || all < 10 {
			t.Errorf("%d paid half, %d all", half, all)
		}
	})
}

func TestTheDemosCardholdersPayWhatTheyOwe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		owed int64
		line int
		want string
	}{
		"all":           {10_01, 50, "acct-1111 pays GBP 10.01, all that it owes"},
		"half":          {10_01, 200, "acct-1111 pays GBP 5.00, half of what it owes"},
		"a penny":       {1, 200, "acct-1111 pays GBP 0.01, all that it owes"},
		"nothing":       {0, 50, ""},
		"less":          {-5_00, 200, ""},
		"held":          {5_000_00, 50, "acct-1111 pays GBP 5,000.00, all that it owes; it is held for review (RECENT_RETURN)"},
		"paid the same": {7_00, 50, ""},
	} {
		cardlog := newFakeCardlog()
		cardlog.posted["acct-1111"] = test.owed
		cardlog.review = func(r *paymentsv1.SubmitPaymentRequest) typev1.PaymentStatus {
			if r.GetAmount().GetMinorUnits() == 5_000_00 {
				return typev1.PaymentStatus_PAYMENT_STATUS_HELD
			}
			return submitted
		}
		d := &demo{payments: paymentsv1.NewPaymentsServiceClient(cardlog), transactions: transactionsv1.NewTransactionsServiceClient(cardlog)}
		turn := turn{accountID: "acct-1111", row: Row{Line: test.line, Currency: "GBP"}}
		if test.owed == 7_00 {
			d.payOwed(t.Context(), turn)
			cardlog.posted["acct-1111"] = test.owed
		}
		if got := d.payOwed(t.Context(), turn); got != test.want {
			t.Errorf("%s: told %q, want %q", name, got, test.want)
		}
	}
}

func TestPlayDemoAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newDemoCardlog()
		if _, _, _, err := playDemo(t.Context(), cardlog); err != nil {
			t.Fatal(err)
		}
		alice, others, _, err := playDemo(t.Context(), cardlog)
		if err != nil {
			t.Fatal(err)
		}
		if len(alice) != 1 || !strings.Contains(alice[0], "was told before") {
			t.Errorf("told %q again", alice)
		}
		for _, line := range others {
			if !strings.Contains(line, " pays GBP ") {
				t.Errorf("told %q", line)
			}
		}
	})
}

// clockOfMay is a clock that is moved by hand, in the demo with the longest story.
var clockOfMay = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

// TestPlayDemoContinues stops the demo after each step of alice's story: the next run goes on there.
func TestPlayDemoContinues(t *testing.T) {
	t.Parallel()
	story := slices.Concat(aliceStory, aliceWaits)
	for steps := 1; steps < len(story); steps++ {
		synctest.Test(t, func(t *testing.T) {
			cardlog := newDemoCardlog()
			cardlog.clock = clockOfMay
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(steps)*demoStep-demoStep/2)
			defer cancel()
			first, _, _, err := playDemo(ctx, cardlog)
			if err == nil {
				t.Error("the demo did not end with its context")
			}
			second, _, _, err := playDemo(t.Context(), cardlog)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(first, story[:steps]) || !slices.Equal(second, story[steps:]) {
				t.Errorf("told\n%s\nand then\n%s", strings.Join(first, "\n"), strings.Join(second, "\n"))
			}
		})
	}
}

func TestPlayDemoMovesTheClockOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newDemoCardlog()
		cardlog.clock = clockOfMay
		for _, want := range []string{aliceWaits[1], "alice's story was told before in this directory; account demo-alice has it"} {
			told, _, _, err := playDemo(t.Context(), cardlog)
			if err != nil || told[len(told)-1] != want {
				t.Errorf("told %q, %v; want in the end %q", told, err, want)
			}
			if due := clockOfMay.AddDate(0, 0, 7); !cardlog.clock.Equal(due) {
				t.Errorf("the clock is at %v, want %v", cardlog.clock, due)
			}
		}
	})
}

func TestPlayDemoGoesOnAfterErrors(t *testing.T) {
	t.Parallel()
	refusing := func(code codes.Code) func(context.Context, proto.Message) error {
		return func(_ context.Context, request proto.Message) error {
			switch request.(type) {
			case *paymentsv1.SubmitPaymentRequest, *paymentsv1.ReturnPaymentRequest, *paymentsv1.GetPaymentRequest, *paymentsv1.ReleasePaymentRequest:
				return status.Error(code, "no payments here")
			}
			return nil
		}
	}
	told := slices.Concat(aliceStory[:4], aliceStory[8:9], over("GBP 165.00"), aliceStory[10:])
	for code, want := range map[codes.Code][]string{
		codes.Unimplemented:      append(aliceStory[:4:4], "alice's story ends here: SubmitPayment: UNIMPLEMENTED: no payments here"),
		codes.FailedPrecondition: told,
		codes.AlreadyExists:      told,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cardlog := newDemoCardlog()
				cardlog.refuse = refusing(code)
				alice, others, _, err := playDemo(t.Context(), cardlog)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(alice, want) {
					t.Errorf("told\n%s\nwant\n%s", strings.Join(alice, "\n"), strings.Join(want, "\n"))
				}
				if code != codes.Unimplemented {
					if len(others) != 0 {
						t.Errorf("told %q, want nothing of what was told before", others)
					}
					return
				}
				if len(others) < 20 || !strings.HasSuffix(others[0], " cannot pay: SubmitPayment: UNIMPLEMENTED: no payments here") {
					t.Errorf("told %q of the others", others)
				}
			})
		})
	}
}

// TestPlayDemoUnderOtherRules has a default profile that holds, rejects or declines otherwise.
func TestPlayDemoUnderOtherRules(t *testing.T) {
	t.Parallel()
	for decided, want := range map[typev1.PaymentStatus]string{
		submitted: "alice pays GBP 120.00",
		typev1.PaymentStatus_PAYMENT_STATUS_REJECTED: "alice pays GBP 120.00; it is rejected (MORE_THAN_OWED)",
	} {
		synctest.Test(t, func(t *testing.T) {
			cardlog := newFakeCardlog()
			cardlog.review = func(*paymentsv1.SubmitPaymentRequest) typev1.PaymentStatus { return decided }
			cardlog.refuse = func(_ context.Context, request proto.Message) error {
				if r, ok := request.(*transactionsv1.AuthorizeRequest); ok && r.GetTransactionId() == "demo-alice-shirts" {
					return status.Error(codes.FailedPrecondition, "told before")
				}
				if _, ok := request.(*paymentsv1.ReturnPaymentRequest); ok && decided != submitted {
					return status.Error(codes.FailedPrecondition, "never taken")
				}
				return nil
			}
			alice, _, _, err := playDemo(t.Context(), cardlog)
			if err != nil {
				t.Fatal(err)
			}
			story := slices.Concat(aliceStory[:3], []string{want}, aliceStory[5:6], []string{want}, aliceStory[8:9], over("GBP 5.00"), aliceStory[10:])
			if decided != submitted {
				story = slices.Concat(aliceStory[:3], []string{want, want}, aliceStory[8:9], over("GBP 125.00"), aliceStory[10:])
			}
			if !slices.Equal(alice, story) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(alice, "\n"), strings.Join(story, "\n"))
			}
		})
	}
}

func TestPlayDemoEndsWhenTheMonthCannotBePlayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cardlog := newDemoCardlog()
		cardlog.refuse = func(_ context.Context, request proto.Message) error {
			if _, ok := request.(*accountsv1.OpenAccountRequest); ok {
				return status.Error(codes.Unavailable, "gone")
			}
			return nil
		}
		if _, _, _, err := playDemo(t.Context(), cardlog); status.Code(err) != codes.Unavailable {
			t.Errorf("said %v, want that the server is gone", err)
		}
	})
}
