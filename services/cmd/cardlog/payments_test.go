package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// postedBound is how long a payment that was answered may take to show in the balance.
const postedBound = 100 * time.Millisecond

// wantSoon is wantBalances, with withheld, of an account that must have them within postedBound.
func (b *bank) wantSoon(account, what string, posted, withheld, available int64) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), postedBound)
	defer cancel()
	answer, err := b.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: account}})
	if err != nil {
		b.t.Fatalf("after %s: %v", what, err)
	}
	now := answer.GetBalances()
	got := fmt.Sprint(now.GetPosted().GetMinorUnits(), now.GetWithheld().GetMinorUnits(), now.GetAvailable().GetMinorUnits())
	if want := fmt.Sprint(posted, withheld, available); got != want {
		b.t.Errorf("after %s posted, withheld, available are %s, want %s", what, got, want)
	}
}

// paymentWords says where a payment stands and why.
func paymentWords(p *paymentsv1.Payment) string {
	words := []string{strings.TrimPrefix(p.GetStatus().String(), "PAYMENT_STATUS_")}
	for _, reason := range p.GetHoldReasons() {
		words = append(words, strings.TrimPrefix(reason.String(), "HOLD_REASON_"))
	}
	if reason := p.GetRejectReason(); reason != 0 {
		words = append(words, strings.TrimPrefix(reason.String(), "PAYMENT_REJECT_REASON_"))
	}
	if p.GetReturnCode() != "" {
		words = append(words, p.GetReturnCode())
	}
	return strings.Join(words, " ")
}

func (b *bank) wantPayment(p *paymentsv1.Payment, words string) {
	b.t.Helper()
	if got := paymentWords(p); got != words {
		b.t.Errorf("payment %s is %s, want %s", p.GetPaymentId(), got, words)
	}
}

func (b *bank) release(ctx context.Context, account, payment string) (*paymentsv1.Payment, error) {
	answer, err := b.ReleasePayment(ctx, &paymentsv1.ReleasePaymentRequest{AccountId: account, PaymentId: payment, RequestId: payment + "-release"})
	return answer.GetPayment(), err
}

func (b *bank) cancelPayment(ctx context.Context, account, payment string) (*paymentsv1.Payment, error) {
	answer, err := b.CancelPayment(ctx, &paymentsv1.CancelPaymentRequest{AccountId: account, PaymentId: payment, Reason: "changed her mind", RequestId: payment + "-cancel"})
	return answer.GetPayment(), err
}

// openOwing opens an account of a rules profile with a limit of 1,000.00, on which 300.00 are posted.
func (b *bank) openOwing(account, profile string) {
	b.t.Helper()
	holder := &accountsv1.Holder{FullName: "Holder of " + account, Address: &accountsv1.Address{CountryCode: "GB"}}
	must(b.OpenAccount(b.t.Context(), &accountsv1.OpenAccountRequest{AccountId: account, Holder: holder, CreditLimit: pounds(100_000), RulesProfile: profile}))(b.t)
	must(b.IssueCard(b.t.Context(), &accountsv1.IssueCardRequest{AccountId: account, CardId: account + "-card", Activate: true}))(b.t)
	must(b.present(b.t.Context(), account, "", "fridge", 30_000))(b.t)
}

// withRules writes a rules file and returns its path.
func withRules(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const cautiousRules = `
version: "test-1"
profiles:
  default: {}
  cautious: {payments: {withhold_days: 3}}
`

// TestLifeOfAPayment follows Alice, who owes 300.00: she pays, her bank returns it, the next payment is looked at, released and posted.
func TestLifeOfAPayment(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	b.openOwing("alice", "")
	b.wantSoon("alice", "the fridge", 30_000, 0, 70_000)

	b.wantPayment(must(b.pay(t.Context(), "alice", "january", 12_000))(t), "SUBMITTED")
	b.wantSoon("alice", "a payment of 120.00", 18_000, 0, 82_000)
	b.wantListed("alice", "january PAYMENT POSTED 12000", "fridge PURCHASE CLEARED")

	b.wantPayment(must(b.returnPayment(t.Context(), "alice", "january"))(t), "RETURNED R01")
	b.wantSoon("alice", "its return", 30_000, 0, 70_000)
	b.wantListed("alice", "january PAYMENT RETURNED 12000", "fridge PURCHASE CLEARED")
	_, err := b.ReturnPayment(t.Context(), &paymentsv1.ReturnPaymentRequest{AccountId: "alice", PaymentId: "january", ReturnCode: "R01", RequestId: "again"})
	wantError(t, err, codes.FailedPrecondition, "PAYMENT_ALREADY_RETURNED")

	b.wantPayment(must(b.pay(t.Context(), "alice", "february", 5_000))(t), "HELD RECENT_RETURN")
	b.wantSoon("alice", "a payment that is held", 30_000, 0, 70_000)
	_, err = b.returnPayment(t.Context(), "alice", "february")
	wantError(t, err, codes.FailedPrecondition, "PAYMENT_NEVER_SUBMITTED")
	b.wantPayment(must(b.release(t.Context(), "alice", "february"))(t), "SUBMITTED RECENT_RETURN")
	b.wantSoon("alice", "its release", 25_000, 0, 75_000)
	b.wantListed("alice", "february PAYMENT POSTED 5000", "january PAYMENT RETURNED 12000", "fridge PURCHASE CLEARED")

	b.wantPayment(must(b.pay(t.Context(), "alice", "march", 6_000))(t), "HELD RECENT_RETURN")
	b.wantPayment(must(b.cancelPayment(t.Context(), "alice", "march"))(t), "CANCELLED RECENT_RETURN")
	_, err = b.ReleasePayment(t.Context(), &paymentsv1.ReleasePaymentRequest{AccountId: "alice", PaymentId: "march"})
	wantError(t, err, codes.FailedPrecondition, "PAYMENT_CANCELLED")
	b.wantPayment(must(b.pay(t.Context(), "alice", "april", 25_001))(t), "REJECTED MORE_THAN_OWED")
	b.wantSoon("alice", "a payment that was cancelled and one that was rejected", 25_000, 0, 75_000)

	var paymentsListed []string
	for _, listed := range must(b.ListPayments(t.Context(), &paymentsv1.ListPaymentsRequest{AccountId: "alice"}))(t).GetPayments() {
		paymentsListed = append(paymentsListed, listed.GetPaymentId()+" "+paymentWords(listed))
	}
	if want := []string{"april REJECTED MORE_THAN_OWED", "march CANCELLED RECENT_RETURN", "february SUBMITTED RECENT_RETURN", "january RETURNED R01"}; !slices.Equal(paymentsListed, want) {
		t.Errorf("the payments are %q, want %q", paymentsListed, want)
	}
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
	p.wantFeedComplete(t)
}

// wantListed fails the test unless the newest transactions of an account are these.
func (b *bank) wantListed(account string, want ...string) {
	b.t.Helper()
	var got []string
	for _, listed := range b.allTransactions(account) {
		id := listed.GetTransactionId()
		words := strings.TrimPrefix(listed.GetType().String(), "TRANSACTION_TYPE_") + " " + statusWord(listed)
		if listed.GetType() == transactionsv1.TransactionType_TRANSACTION_TYPE_PAYMENT {
			words += fmt.Sprintf(" %d", listed.GetPaid().GetMinorUnits())
		} else {
			id = "fridge" // the one purchase, whose id was made
		}
		got = append(got, id+" "+words)
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("the transactions of %s are %q, want %q", account, got, want)
	}
}

// TestWhatIsWithheldPaysForAReturn has Bob pay under a profile that withholds payments for three days.
func TestWhatIsWithheldPaysForAReturn(t *testing.T) {
	t.Parallel()
	clock := newTestClock(time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC))
	c := testConfig(t)
	c.clock, c.rules = clock.Now, withRules(t, cautiousRules)
	b, p := startBank(t, c)
	b.openOwing("bob", "cautious")

	must(b.pay(t.Context(), "bob", "january", 12_000))(t)
	b.wantSoon("bob", "a payment of 120.00", 18_000, 12_000, 70_000)
	clock.advance(2 * 24 * time.Hour)
	must(b.returnPayment(t.Context(), "bob", "january"))(t)
	b.wantSoon("bob", "its return two days later", 30_000, 0, 70_000)

	must(b.pay(t.Context(), "bob", "february", 10_000))(t)
	b.wantSoon("bob", "a payment that is held", 30_000, 0, 70_000)
	must(b.release(t.Context(), "bob", "february"))(t)
	b.wantSoon("bob", "its release after the review", 20_000, 10_000, 70_000)
	ended := must(b.ReleasePayment(t.Context(), &paymentsv1.ReleasePaymentRequest{AccountId: "bob", PaymentId: "february", RequestId: "early"}))(t)
	if ended.GetPayment().GetWithheld().GetMinorUnits() != 0 {
		t.Errorf("after the withholding was ended by hand the payment is %v", ended.GetPayment())
	}
	b.wantSoon("bob", "the withholding was ended by hand", 20_000, 0, 80_000)
	_, err := b.ReleasePayment(t.Context(), &paymentsv1.ReleasePaymentRequest{AccountId: "bob", PaymentId: "february"})
	wantError(t, err, codes.FailedPrecondition, "NOTHING_WITHHELD")

	clock.advance(61 * 24 * time.Hour) // the return is forgotten
	must(b.pay(t.Context(), "bob", "march", 5_000))(t)
	b.wantSoon("bob", "one more payment", 15_000, 5_000, 80_000)
	clock.advance(3*24*time.Hour - time.Microsecond)
	b.wantSoon("bob", "nearly three days", 15_000, 5_000, 80_000)
	clock.advance(time.Microsecond)
	b.wantSoon("bob", "three days", 15_000, 0, 85_000)
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
	p.wantFeedComplete(t)
}

func TestARepeatedPaymentIsAnsweredAsTheFirstTime(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	b.openOwing("alice", "")
	submit := &paymentsv1.SubmitPaymentRequest{AccountId: "alice", PaymentId: "january", Amount: pounds(12_000),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_SAVINGS, SourceId: "savings"}}
	first := must(b.SubmitPayment(t.Context(), submit))(t)
	must(b.returnPayment(t.Context(), "alice", "january"))(t)
	p.stop()
	b, _ = startBank(t, c)
	again := must(b.SubmitPayment(t.Context(), submit))(t)
	if !again.GetDuplicate() || again.GetSequence() != first.GetSequence() || !proto.Equal(again.GetPayment(), first.GetPayment()) {
		t.Errorf("the repeat was answered with %v, the first time with %v", again, first)
	}
	other := proto.CloneOf(submit)
	other.Amount = pounds(12_001)
	_, err = b.SubmitPayment(t.Context(), other)
	wantError(t, err, codes.AlreadyExists, "ID_REUSED")
	b.wantSoon("alice", "the repeats", 30_000, 0, 70_000)
	if now := must(b.GetPayment(t.Context(), &paymentsv1.GetPaymentRequest{AccountId: "alice", PaymentId: "january"}))(t).GetPayment(); paymentWords(now) != "RETURNED R01" || len(now.GetChecks()) == 0 {
		t.Errorf("the payment is %v", now)
	}
	stale := &paymentsv1.ReleasePaymentRequest{AccountId: "alice", PaymentId: "january", ExpectedSequence: 1}
	_, err = b.ReleasePayment(t.Context(), stale)
	wantError(t, err, codes.FailedPrecondition, "SEQUENCE_MISMATCH")
}

// TestPaymentsSeeWhatWasDecidedBefore pays off what was just bought, again and again: what is owed is never older than the caller's last answer.
func TestPaymentsSeeWhatWasDecidedBefore(t *testing.T) {
	t.Parallel()
	const rounds = 100
	c := testConfig(t)
	c.rules = withRules(t, "version: v\nprofiles: {default: {payments: {review_daily_count: 0, review_daily_amount: 0}}}\n")
	b, _ := startBank(t, c)
	inParallel(4, 4, func(person int) {
		account := fmt.Sprint("person-", person)
		b.open(account, 100)
		for round := range rounds {
			must(b.authorize(t.Context(), account, fmt.Sprint("purchase-", round), 100))(t)
			paid := must(b.pay(t.Context(), account, fmt.Sprint("payment-", round), 100))(t)
			b.wantPayment(paid, "SUBMITTED")
			must(b.present(t.Context(), account, fmt.Sprint("purchase-", round), fmt.Sprint("claim-", round), 100))(t)
			b.wantBalances(account, 0, 0, 100)
		}
	})
}

func TestPaymentsThatCannotBe(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	b.openOwing("alice", "")
	b.openOwing("closed", "")
	must(b.pay(t.Context(), "closed", "all", 30_000))(t)
	b.wantSoon("closed", "all is paid", 0, 0, 100_000)
	must(b.SetAccountState(t.Context(), &accountsv1.SetAccountStateRequest{AccountId: "closed", State: typev1.AccountState_ACCOUNT_STATE_CLOSED}))(t)
	b.wantPayment(must(b.pay(t.Context(), "closed", "late", 100))(t), "REJECTED ACCOUNT_CLOSED")
	source := &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "bank"}
	for name, try := range map[string]struct {
		call   func() error
		code   codes.Code
		reason string
	}{
		"an account that is not there": {func() error { _, err := b.pay(t.Context(), "nobody", "p", 100); return err }, codes.NotFound, "ACCOUNT_NOT_FOUND"},
		"a payment that is not there":  {func() error { _, err := b.release(t.Context(), "alice", "none"); return err }, codes.NotFound, "PAYMENT_NOT_FOUND"},
		"the payments of nobody": {func() error {
			_, err := b.ListPayments(t.Context(), &paymentsv1.ListPaymentsRequest{AccountId: "nobody"})
			return err
		}, codes.NotFound, "ACCOUNT_NOT_FOUND"},
		"another currency": {func() error {
			_, err := b.SubmitPayment(t.Context(), &paymentsv1.SubmitPaymentRequest{AccountId: "alice", PaymentId: "p", Source: source, Amount: &typev1.Money{CurrencyCode: "EUR", MinorUnits: 100}})
			return err
		}, codes.InvalidArgument, "INVALID_FIELD"},
		"no source": {func() error {
			_, err := b.SubmitPayment(t.Context(), &paymentsv1.SubmitPaymentRequest{AccountId: "alice", PaymentId: "p", Amount: pounds(100)})
			return err
		}, codes.InvalidArgument, "INVALID_FIELD"},
		"a page that nobody gave": {func() error {
			_, err := b.ListPayments(t.Context(), &paymentsv1.ListPaymentsRequest{AccountId: "alice", PageToken: "x"})
			return err
		}, codes.InvalidArgument, "INVALID_FIELD"},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, try.call(), try.code, try.reason) })
	}
}
