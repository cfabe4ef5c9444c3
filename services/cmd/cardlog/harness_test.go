package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// asCardlog makes the test binary be cardlog itself, for tests that need a process to kill.
const asCardlog = "CARDLOG_TEST_AS_CARDLOG"

func TestMain(m *testing.M) {
	if os.Getenv(asCardlog) != "" {
		main()
		return
	}
	if err := os.Setenv(asCardlog, "1"); err != nil { // for the processes that bench starts
		panic(err)
	}
	os.Exit(m.Run())
}

// waitBound is how long a test waits for something that should happen at once.
const waitBound = 30 * time.Second

// testClock is a clock that stands until it is moved.
type testClock struct{ now atomic.Int64 }

func newTestClock(at time.Time) *testClock {
	clock := &testClock{}
	clock.now.Store(at.UnixNano())
	return clock
}

func (c *testClock) Now() time.Time           { return time.Unix(0, c.now.Load()).UTC() }
func (c *testClock) advance(by time.Duration) { c.now.Add(int64(by)) }

// bank is a running cardlog as a bank's back office sees it.
type bank struct {
	accountsv1.AccountsServiceClient
	paymentsv1.PaymentsServiceClient
	transactionsv1.TransactionsServiceClient

	t          *testing.T
	connection *grpc.ClientConn
}

// connectBank connects to a running cardlog until the test ends.
func connectBank(t *testing.T, address string) *bank {
	t.Helper()
	connection, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return &bank{AccountsServiceClient: accountsv1.NewAccountsServiceClient(connection), PaymentsServiceClient: paymentsv1.NewPaymentsServiceClient(connection),
		TransactionsServiceClient: transactionsv1.NewTransactionsServiceClient(connection), t: t, connection: connection}
}

// in is the bank for a subtest.
func (b *bank) in(t *testing.T) *bank {
	same := *b
	same.t = t
	return &same
}

// must takes the answer of a call and fails the test when it has none: must(b.GetAccount(ctx, request))(t).
func must[T any](answer T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// reasonOf is an error's reason in google.rpc.ErrorInfo.
func reasonOf(err error) (reason string) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	return reason
}

// wantError fails the test unless an error has a code and, in google.rpc.ErrorInfo, a reason.
func wantError(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	got := reasonOf(err)
	if status.Code(err) != code || got != reason {
		t.Errorf("got %v with reason %q, want %v with reason %q", err, got, code, reason)
	}
}

// testConfig is a cardlog on free ports, with its log in a temporary directory.
func testConfig(t *testing.T) config {
	return config{dir: directory(t.TempDir()), listen: "127.0.0.1:0", natsListen: "off", bin: defaultBIN, logger: slog.New(slog.DiscardHandler)}
}

// startBank starts a cardlog in this process until the test ends.
func startBank(t *testing.T, c config) (*bank, *process) {
	t.Helper()
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return connectBank(t, p.endpoints().GRPC), p
}

// startProcess starts a cardlog in a process of its own and returns when it serves. It keeps few accounts in memory.
func startProcess(t *testing.T, dir string, flags ...string) (*exec.Cmd, endpoints) {
	t.Helper()
	return runCardlog(t, append([]string{"up", "--dir", dir, "--nats-listen", "127.0.0.1:0", "--console-listen", "off", "--account-cache", "7", "--checkpoint-every", "100"}, flags...)...)
}

// runCardlog runs a command that serves, in a process of its own and on a free port, and returns when it serves.
func runCardlog(t *testing.T, arguments ...string) (*exec.Cmd, endpoints) {
	t.Helper()
	return runCardlogWith(t, nil, arguments...)
}

// runCardlogWith is runCardlog with more in its environment.
func runCardlogWith(t *testing.T, environment []string, arguments ...string) (*exec.Cmd, endpoints) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	command := exec.Command(os.Args[0], append(arguments, "--listen", "127.0.0.1:0", "--log-level", "error", "--ready-file", ready)...)
	command.Env = append(append(os.Environ(), asCardlog+"=1"), environment...)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(command) })
	var e endpoints
	eventually(t, "cardlog serves", func() (err error) {
		e, err = readEndpoints(ready)
		return err
	})
	return command, e
}

// kill ends a process as a power switch would, and waits until it is gone.
func kill(command *exec.Cmd) {
	_ = command.Process.Kill()
	_ = command.Wait()
}

// eventually waits until a condition holds: until it returns nil.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitBound)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("%s: still %v", what, err)
		}
	}
}

// pounds is an amount in pence.
func pounds(pence int64) *typev1.Money { return &typev1.Money{CurrencyCode: "GBP", MinorUnits: pence} }

// shop is a merchant that nothing is held against.
func shop() *typev1.Merchant {
	return &typev1.Merchant{Name: "Corner shop", MerchantId: "shop-1", Mcc: "5411", CountryCode: "GB"}
}

// open opens an account with an active card <account>-card and returns the card's number.
func (b *bank) open(account string, limit int64) (cardNumber string) {
	b.t.Helper()
	ctx := b.t.Context()
	holder := &accountsv1.Holder{FullName: "Holder of " + account, Address: &accountsv1.Address{CountryCode: "GB"}}
	if _, err := b.OpenAccount(ctx, &accountsv1.OpenAccountRequest{AccountId: account, Holder: holder, CreditLimit: pounds(limit)}); err != nil {
		b.t.Fatal(err)
	}
	issued, err := b.IssueCard(ctx, &accountsv1.IssueCardRequest{AccountId: account, CardId: account + "-card", Activate: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.GetCardNumber()
}

// authorize asks for a purchase with an account's card.
func (b *bank) authorize(ctx context.Context, account, transaction string, pence int64) (*transactionsv1.Decision, error) {
	answer, err := b.Authorize(ctx, &transactionsv1.AuthorizeRequest{
		Account: &transactionsv1.AuthorizeRequest_CardId{CardId: account + "-card"}, TransactionId: transaction, Amount: pounds(pence), Merchant: shop()})
	return answer.GetDecision(), err
}

// balances returns an account's balances in pence: posted, pending, available.
func (b *bank) balances(account string) (posted, pending, available int64) {
	b.t.Helper()
	answer, err := b.GetBalance(b.t.Context(), &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: account}})
	if err != nil {
		b.t.Fatal(err)
	}
	now := answer.GetBalances()
	return now.GetPosted().GetMinorUnits(), now.GetPending().GetMinorUnits(), now.GetAvailable().GetMinorUnits()
}

// wantBalances fails the test when an account's balances are others.
func (b *bank) wantBalances(account string, posted, pending, available int64) {
	b.t.Helper()
	gotPosted, gotPending, gotAvailable := b.balances(account)
	got, want := fmt.Sprint(gotPosted, gotPending, gotAvailable), fmt.Sprint(posted, pending, available)
	if got != want {
		b.t.Errorf("%s: posted, pending, available are %s, want %s", account, got, want)
	}
}

// pay submits a payment from an account's usual bank.
func (b *bank) pay(ctx context.Context, account, payment string, pence int64) (*paymentsv1.Payment, error) {
	answer, err := b.SubmitPayment(ctx, &paymentsv1.SubmitPaymentRequest{AccountId: account, PaymentId: payment, Amount: pounds(pence),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: account + "-bank"}})
	return answer.GetPayment(), err
}

// returnPayment has the payer's bank return a payment.
func (b *bank) returnPayment(ctx context.Context, account, payment string) (*paymentsv1.Payment, error) {
	answer, err := b.ReturnPayment(ctx, &paymentsv1.ReturnPaymentRequest{AccountId: account, PaymentId: payment, ReturnCode: "R01", RequestId: payment + "-return"})
	return answer.GetPayment(), err
}
