package replay

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

const (
	// demoPaymentEvery is after how many rows of the month a cardholder pays, and demoPaymentFirst is the first such line.
	// Lines rather than times, so that a restart has the same cardholders pay under the same ids.
	demoPaymentEvery = 150
	demoPaymentFirst = 50
	// demoBacklog is more payments than the month has.
	demoBacklog = 64
	// demoStep is the pause after each step of alice's story.
	demoStep = 4 * time.Second

	demoCurrency  = "GBP"
	aliceAccount  = "demo-alice"
	aliceCard     = "demo-alice-card"
	aliceLimit    = 500_00
	aliceNewLimit = 800_00
	alicePayment  = 120_00
)

// PlayDemo plays the demo's month as Run does with these options and, beside it, what else happens at a card issuer: now and then
// a cardholder pays what is owed, and a customer, alice, has a payment returned and the next one held for review. say is told of
// each step in a line, one at a time, and of an error, which ends alice's story but not the rest. All ids are the same each time:
// after a restart both go on where they were, and what was told before is not told again. The report's control totals know nothing
// of the payments beside the month.
func PlayDemo(ctx context.Context, conn grpc.ClientConnInterface, options Options, say func(line string)) (*Report, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &demo{
		accounts:     accountsv1.NewAccountsServiceClient(conn),
		payments:     paymentsv1.NewPaymentsServiceClient(conn),
		transactions: transactionsv1.NewTransactionsServiceClient(conn),
		tell:         say,
	}
	turns := make(chan turn, demoBacklog)
	options.presented = func(a *account, row Row) {
		if row.Line%demoPaymentEvery != demoPaymentFirst {
			return
		}
		select {
		case turns <- turn{accountID: a.id, row: row}:
		default: // The payments are not answered. The purchases do not wait for them.
		}
	}
	var beside sync.WaitGroup
	beside.Go(func() { d.tellOfAlice(ctx) })
	beside.Go(func() {
		for t := range turns {
			d.say(ctx, d.payOwed(ctx, t))
		}
	})
	report, err := Run(ctx, conn, DemoMonth(), options)
	close(turns)
	if err != nil {
		stop()
	}
	beside.Wait()
	return report, err
}

// demo is what happens beside the month's purchases.
type demo struct {
	accounts     accountsv1.AccountsServiceClient
	payments     paymentsv1.PaymentsServiceClient
	transactions transactionsv1.TransactionsServiceClient

	mu   sync.Mutex
	tell func(line string)
}

// say tells a line. There is nothing to tell in an empty one, nor when the demo has ended.
func (d *demo) say(ctx context.Context, line string) {
	if line == "" || ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(line)
}

// turn is a cardholder's turn to pay, after a purchase.
type turn struct {
	accountID string
	row       Row
}

// payOwed pays what an account of the month owes, or half of it, turn about. It returns a line to tell.
func (d *demo) payOwed(ctx context.Context, t turn) string {
	balance, err := keepAsking(ctx, "GetBalance", d.transactions.GetBalance, &transactionsv1.GetBalanceRequest{
		Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: t.accountID},
	})
	if err != nil {
		return fmt.Sprintf("%s cannot pay: %v", t.accountID, err)
	}
	amount, share := balance.GetBalances().GetPosted().GetMinorUnits(), "all that it owes"
	if t.row.Line/demoPaymentEvery%2 == 1 && amount > 1 {
		amount, share = amount/2, "half of what it owes"
	}
	if amount <= 0 {
		return ""
	}
	answer, err := keepAsking(ctx, "SubmitPayment", d.payments.SubmitPayment, &paymentsv1.SubmitPaymentRequest{
		AccountId: t.accountID, PaymentId: "demo-" + t.row.ID(), Amount: money(amount, t.row.Currency), Source: demoBank(),
	})
	switch {
	case toldBefore(err) || answer.GetDuplicate():
		return ""
	case err != nil:
		return fmt.Sprintf("%s cannot pay: %v", t.accountID, err)
	}
	return fmt.Sprintf("%s pays %s, %s%s", t.accountID, FormatMinor(amount, t.row.Currency), share, whatBecame(answer.GetPayment()))
}

// tellOfAlice tells a small story of one account: a returned payment, the review after it, a new limit, a purchase beyond it.
func (d *demo) tellOfAlice(ctx context.Context) {
	told := false
	for _, step := range []func(context.Context) (string, error){
		d.openAlice,
		d.aliceBuys("groceries", "5411", 120_00),
		d.aliceBuys("train", "4112", 80_00),
		d.alicePays("payment-1"),
		d.bankReturns("payment-1"),
		d.alicePays("payment-2"),
		d.reviewReleases("payment-2"),
		d.raiseLimit,
		d.aliceBuys("sofa", "5712", 900_00),
	} {
		line, err := step(ctx)
		if err != nil && !toldBefore(err) {
			d.say(ctx, "alice's story ends here: "+err.Error())
			return
		}
		if line == "" {
			continue // Told before: no pause for nothing.
		}
		told = true
		d.say(ctx, line)
		if sleep(ctx, demoStep) != nil {
			return
		}
	}
	if !told {
		d.say(ctx, "alice's story was told before in this directory; account "+aliceAccount+" has it")
	}
}

// The steps of alice's story return a line to tell, empty when the server did the same before.

func (d *demo) openAlice(ctx context.Context) (string, error) {
	// No rules profile: it is the default one that reviews payments.
	_, err := keepAsking(ctx, "OpenAccount", d.accounts.OpenAccount, &accountsv1.OpenAccountRequest{
		AccountId:   aliceAccount,
		Holder:      &accountsv1.Holder{FullName: "Alice Example", Address: &accountsv1.Address{CountryCode: "GB"}},
		CreditLimit: money(aliceLimit, demoCurrency),
	})
	if err != nil && !toldBefore(err) {
		return "", err
	}
	issued, err := keepAsking(ctx, "IssueCard", d.accounts.IssueCard, &accountsv1.IssueCardRequest{
		AccountId: aliceAccount, CardId: aliceCard, Activate: true,
	})
	if err != nil || issued.GetDuplicate() {
		return "", err
	}
	return fmt.Sprintf("alice opens account %s with a limit of %s and gets a card", aliceAccount, FormatMinor(aliceLimit, demoCurrency)), nil
}

// aliceBuys authorizes and presents a purchase, whose name is its id, too.
func (d *demo) aliceBuys(what, mcc string, amount int64) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		id, price := aliceAccount+"-"+what, FormatMinor(amount, demoCurrency)
		authorized, err := keepAsking(ctx, "Authorize", d.transactions.Authorize, &transactionsv1.AuthorizeRequest{
			Account:       &transactionsv1.AuthorizeRequest_CardId{CardId: aliceCard},
			TransactionId: id,
			Amount:        money(amount, demoCurrency),
			Merchant:      &typev1.Merchant{Name: "Demo " + what, MerchantId: "demo-" + what, Mcc: mcc, CountryCode: "GB"},
		})
		if err != nil {
			return "", err
		}
		if decision := authorized.GetDecision(); decision.GetOutcome() != typev1.Outcome_OUTCOME_APPROVED {
			if decision.GetDuplicate() {
				return "", nil
			}
			reason := strings.TrimPrefix(decision.GetDeclineReason().String(), "DECLINE_REASON_")
			return fmt.Sprintf("alice's card is declined for %s, %s (%s)", price, what, reason), nil
		}
		presented, err := keepAsking(ctx, "Present", d.transactions.Present, &transactionsv1.PresentRequest{
			Account:       &transactionsv1.PresentRequest_CardId{CardId: aliceCard},
			PresentmentId: id + "-presentment",
			TransactionId: id,
			Amount:        money(amount, demoCurrency),
		})
		if err != nil || presented.GetDecision().GetDuplicate() {
			return "", err
		}
		return fmt.Sprintf("alice's card is charged %s, %s", price, what), nil
	}
}

func (d *demo) alicePays(id string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		answer, err := keepAsking(ctx, "SubmitPayment", d.payments.SubmitPayment, &paymentsv1.SubmitPaymentRequest{
			AccountId: aliceAccount, PaymentId: aliceAccount + "-" + id, Amount: money(alicePayment, demoCurrency), Source: demoBank(),
		})
		if err != nil || answer.GetDuplicate() {
			return "", err
		}
		return fmt.Sprintf("alice pays %s%s", FormatMinor(alicePayment, demoCurrency), whatBecame(answer.GetPayment())), nil
	}
}

func (d *demo) bankReturns(id string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		answer, err := keepAsking(ctx, "ReturnPayment", d.payments.ReturnPayment, &paymentsv1.ReturnPaymentRequest{
			AccountId: aliceAccount, PaymentId: aliceAccount + "-" + id, ReturnCode: "R01", Reason: "insufficient funds",
			RequestId: aliceAccount + "-" + id + "-return",
		})
		if err != nil || answer.GetDuplicate() {
			return "", err
		}
		return "alice's bank returns the payment (R01, insufficient funds): she owes it again", nil
	}
}

// reviewReleases releases a payment if it was held: whether it was is for the rules in force to say.
func (d *demo) reviewReleases(id string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		found, err := keepAsking(ctx, "GetPayment", d.payments.GetPayment, &paymentsv1.GetPaymentRequest{
			AccountId: aliceAccount, PaymentId: aliceAccount + "-" + id,
		})
		if err != nil || found.GetPayment().GetStatus() != typev1.PaymentStatus_PAYMENT_STATUS_HELD {
			return "", err
		}
		answer, err := keepAsking(ctx, "ReleasePayment", d.payments.ReleasePayment, &paymentsv1.ReleasePaymentRequest{
			AccountId: aliceAccount, PaymentId: aliceAccount + "-" + id, RequestId: aliceAccount + "-" + id + "-release",
		})
		if err != nil || answer.GetDuplicate() {
			return "", err
		}
		return "alice's payment is looked at and released", nil
	}
}

func (d *demo) raiseLimit(ctx context.Context) (string, error) {
	answer, err := keepAsking(ctx, "UpdateCreditLimit", d.accounts.UpdateCreditLimit, &accountsv1.UpdateCreditLimitRequest{
		AccountId: aliceAccount, CreditLimit: money(aliceNewLimit, demoCurrency), RequestId: aliceAccount + "-limit-1",
	})
	if err != nil || answer.GetDuplicate() {
		return "", err
	}
	return fmt.Sprintf("alice's limit is raised to %s", FormatMinor(aliceNewLimit, demoCurrency)), nil
}

// demoBank is the bank account that all payments of the demo come from.
func demoBank() *paymentsv1.Source {
	return &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "demo-bank"}
}

// whatBecame ends the line of a payment that was not taken at once.
func whatBecame(payment *paymentsv1.Payment) string {
	switch payment.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		var reasons []string
		for _, reason := range payment.GetHoldReasons() {
			reasons = append(reasons, strings.TrimPrefix(reason.String(), "HOLD_REASON_"))
		}
		return fmt.Sprintf("; it is held for review (%s)", strings.Join(reasons, ", "))
	case typev1.PaymentStatus_PAYMENT_STATUS_REJECTED:
		return fmt.Sprintf("; it is rejected (%s)", strings.TrimPrefix(payment.GetRejectReason().String(), "PAYMENT_REJECT_REASON_"))
	default:
		return ""
	}
}

// toldBefore says that a step was done by an earlier run, and the world has moved on since.
func toldBefore(err error) bool {
	code := status.Code(err)
	return code == codes.FailedPrecondition || code == codes.AlreadyExists
}
