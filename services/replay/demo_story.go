package replay

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
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
	sonsCard      = "demo-alice-son-card"
	aliceLimit    = 500_00
	aliceNewLimit = 800_00
	alicePayment  = 120_00
	sonsDay       = 30_00
)

// PlayDemo plays the demo's month as Run does with these options and, beside it, what else happens at a card issuer: now and then
// a cardholder pays what is owed, and a customer, alice, gives a tip, has a payment returned and the next one held for review, and
// is declined. say is told of each step in a line, one at a time, and of an error, which ends alice's story but not the rest. All ids
// are the same each time: after a restart both go on where they were, and what was told before is not told again. The report's control
// totals know nothing of the payments beside the month. Where the server's clock is moved by hand, alice's story moves it by a week.
func PlayDemo(ctx context.Context, conn grpc.ClientConnInterface, options Options, say func(line string)) (*Report, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &demo{
		accounts:     accountsv1.NewAccountsServiceClient(conn),
		payments:     paymentsv1.NewPaymentsServiceClient(conn),
		transactions: transactionsv1.NewTransactionsServiceClient(conn),
		clock:        adminv1.NewClockServiceClient(conn),
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
	clock        adminv1.ClockServiceClient

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

// tellOfAlice tells a small story of one account: a tip, an order of which less is charged than was held, a returned payment, the review after it, a new limit, a
// purchase beyond it, a second card that may spend little, and a hold that nobody charges.
func (d *demo) tellOfAlice(ctx context.Context) {
	told := false
	lamp := purchase{"alice's card", aliceCard, "lamp", "5719", 60_00}
	for _, step := range []func(context.Context) (string, error){
		d.openAlice,
		d.buys(purchase{"alice's card", aliceCard, "groceries", "5411", 120_00}),
		d.dinesOut(purchase{"alice's card", aliceCard, "dinner", "5812", 45_00}, 10_00),
		d.ordersInPart(purchase{"alice's card", aliceCard, "shirts", "5651", 60_00}, 20_00),
		d.alicePays("payment-1"),
		d.bankReturns("payment-1"),
		d.alicePays("payment-2"),
		d.reviewReleases("payment-2"),
		d.raiseLimit,
		d.buys(purchase{"alice's card", aliceCard, "sofa", "5712", 750_00}),
		d.giveSonACard,
		d.buys(purchase{"alice's son's card", sonsCard, "cinema", "7832", 22_00}),
		d.buys(purchase{"alice's son's card", sonsCard, "arcade", "7994", 12_00}),
		d.ifClockMoves(d.orders(lamp)),
		d.ifClockMoves(d.waitsInVain(lamp)),
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

// purchase is one of the story's. What is bought is in its id, too.
type purchase struct {
	who, card string
	what, mcc string
	amount    int64
}

func (p purchase) id() string { return aliceAccount + "-" + p.what }

func (p purchase) price() string { return FormatMinor(p.amount, demoCurrency) }

// authorized asks for a purchase, and goes on with it when it is approved.
func (d *demo) authorized(p purchase, then func(context.Context, *transactionsv1.Decision) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		authorized, err := keepAsking(ctx, "Authorize", d.transactions.Authorize, &transactionsv1.AuthorizeRequest{
			Account:       &transactionsv1.AuthorizeRequest_CardId{CardId: p.card},
			TransactionId: p.id(),
			Amount:        money(p.amount, demoCurrency),
			Merchant:      &typev1.Merchant{Name: "Demo " + p.what, MerchantId: "demo-" + p.what, Mcc: p.mcc, CountryCode: "GB"},
		})
		decision := authorized.GetDecision()
		switch {
		case err != nil:
			return "", err
		case decision.GetOutcome() == typev1.Outcome_OUTCOME_APPROVED:
			return then(ctx, decision)
		case decision.GetDuplicate():
			return "", nil
		}
		declined, err := d.transaction(ctx, p)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s is declined for %s, %s: %s", p.who, p.price(), p.what, why(declined)), nil
	}
}

// transaction reads a purchase as it is now.
func (d *demo) transaction(ctx context.Context, p purchase) (*transactionsv1.Transaction, error) {
	found, err := keepAsking(ctx, "GetTransaction", d.transactions.GetTransaction, &transactionsv1.GetTransactionRequest{
		Account: &transactionsv1.GetTransactionRequest_CardId{CardId: p.card}, TransactionId: p.id(),
	})
	return found.GetTransaction(), err
}

// why says in words for which check a purchase was declined, the first that failed.
func why(declined *transactionsv1.Transaction) string {
	reason := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(declined.GetDecision().GetDeclineReason().String(), "DECLINE_REASON_"), "_", " "))
	for _, check := range declined.GetChecks() {
		if check.GetPassed() {
			continue
		}
		seen, seenErr := strconv.ParseInt(check.GetSeen(), 10, 64)
		bound, boundErr := strconv.ParseInt(check.GetBound(), 10, 64)
		switch kind := check.GetCheck(); {
		case seenErr != nil || boundErr != nil:
			return reason
		case kind == typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT:
			return fmt.Sprintf("it would take the account %s over its limit of %s", FormatMinor(seen-bound, demoCurrency), FormatMinor(bound, demoCurrency))
		case kind == typev1.CheckKind_CHECK_KIND_WINDOW_AMOUNT:
			return fmt.Sprintf("that would be %s in a %s, and %s is allowed", FormatMinor(seen, demoCurrency), strings.ToLower(check.GetWindow()), FormatMinor(bound, demoCurrency))
		default:
			return reason
		}
	}
	return reason
}

// present charges what is left to charge of a purchase. It returns the line, unless it was charged before.
func (d *demo) present(ctx context.Context, p purchase, amount int64, line string) (string, error) {
	presented, err := keepAsking(ctx, "Present", d.transactions.Present, &transactionsv1.PresentRequest{
		Account:       &transactionsv1.PresentRequest_CardId{CardId: p.card},
		PresentmentId: p.id() + "-presentment",
		TransactionId: p.id(),
		Amount:        money(amount, demoCurrency),
	})
	if err != nil || presented.GetDecision().GetDuplicate() {
		return "", err
	}
	return line, nil
}

// buys has a purchase charged as it was authorized.
func (d *demo) buys(p purchase) func(context.Context) (string, error) {
	return d.authorized(p, func(ctx context.Context, _ *transactionsv1.Decision) (string, error) {
		return d.present(ctx, p, p.amount, fmt.Sprintf("%s is charged %s, %s", p.who, p.price(), p.what))
	})
}

// dinesOut has more charged than was authorized.
func (d *demo) dinesOut(p purchase, tip int64) func(context.Context) (string, error) {
	return d.authorized(p, func(ctx context.Context, _ *transactionsv1.Decision) (string, error) {
		return d.present(ctx, p, p.amount+tip, fmt.Sprintf("%s is charged %s, %s: %s was authorized, and the tip is %s",
			p.who, FormatMinor(p.amount+tip, demoCurrency), p.what, p.price(), FormatMinor(tip, demoCurrency)))
	})
}

// ordersInPart has a part of the hold released, and the rest charged.
func (d *demo) ordersInPart(p purchase, missing int64) func(context.Context) (string, error) {
	return d.authorized(p, func(ctx context.Context, _ *transactionsv1.Decision) (string, error) {
		_, err := keepAsking(ctx, "ReverseAuthorization", d.transactions.ReverseAuthorization, &transactionsv1.ReverseAuthorizationRequest{
			Account:       &transactionsv1.ReverseAuthorizationRequest_CardId{CardId: p.card},
			TransactionId: p.id(),
			ReversalId:    p.id() + "-reversal",
			Amount:        money(missing, demoCurrency),
		})
		if err != nil {
			return "", err
		}
		return d.present(ctx, p, p.amount-missing, fmt.Sprintf("%s is charged %s, %s: of %s that was held, %s is released for one that is sold out",
			p.who, FormatMinor(p.amount-missing, demoCurrency), p.what, p.price(), FormatMinor(missing, demoCurrency)))
	})
}

// ifClockMoves takes a step where the server's clock is moved by hand, and none elsewhere.
func (d *demo) ifClockMoves(step func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		_, err := keepAsking(ctx, "Advance", d.clock.Advance, &adminv1.AdvanceRequest{Duration: durationpb.New(0)}) // reads it
		switch status.Code(err) {
		case codes.OK:
			return step(ctx)
		case codes.Unimplemented:
			return "", nil
		default:
			return "", err
		}
	}
}

// orders has a purchase held, and nobody charges it.
func (d *demo) orders(p purchase) func(context.Context) (string, error) {
	return d.authorized(p, func(ctx context.Context, decision *transactionsv1.Decision) (string, error) {
		held, err := d.transaction(ctx, p)
		if err != nil || decision.GetDuplicate() {
			return "", err
		}
		return fmt.Sprintf("%s is authorized for %s, %s, which is held until %s", p.who, p.price(), p.what, day(held.GetExpiresAt())), nil
	})
}

// waitsInVain moves the clock to when a hold comes due.
func (d *demo) waitsInVain(p purchase) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		held, err := d.transaction(ctx, p)
		if err != nil || held.GetStatus() != transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING {
			return "", err
		}
		if _, err := keepAsking(ctx, "Set", d.clock.Set, &adminv1.SetRequest{Time: held.GetExpiresAt()}); err != nil {
			return "", err
		}
		due, err := d.transaction(ctx, p)
		if err != nil {
			return "", err
		}
		became := strings.ToLower(strings.TrimPrefix(due.GetStatus().String(), "TRANSACTION_STATUS_"))
		return fmt.Sprintf("alice's %s is never charged: the clock is moved to %s, and the hold of %s is %s", p.what, day(held.GetExpiresAt()), p.price(), became), nil
	}
}

// day is a time's date in words, UTC.
func day(at *timestamppb.Timestamp) string { return at.AsTime().Format("2 January 2006") }

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

// giveSonACard issues a second card, which may spend little in a day.
func (d *demo) giveSonACard(ctx context.Context) (string, error) {
	_, err := keepAsking(ctx, "IssueCard", d.accounts.IssueCard, &accountsv1.IssueCardRequest{AccountId: aliceAccount, CardId: sonsCard, Activate: true})
	if err != nil {
		return "", err
	}
	daily := &typev1.SpendingLimit{Period: &typev1.SpendingLimit_Window{Window: typev1.Window_WINDOW_DAY}, MaxAmount: money(sonsDay, demoCurrency)}
	answer, err := keepAsking(ctx, "SetSpendingControls", d.accounts.SetSpendingControls, &accountsv1.SetSpendingControlsRequest{
		AccountId: aliceAccount, CardId: sonsCard, Controls: &typev1.SpendingControls{Limits: []*typev1.SpendingLimit{daily}}, RequestId: sonsCard + "-controls-1",
	})
	if err != nil || answer.GetDuplicate() {
		return "", err
	}
	return fmt.Sprintf("alice's son gets a card for at most %s a day", FormatMinor(sonsDay, demoCurrency)), nil
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
