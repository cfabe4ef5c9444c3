package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// A long run: go test ./services/cmd/cardlog -run TestWorkload -workload.duration 10m -timeout 20m. The environment variable CARDLOG_WORKLOAD does the same.
var (
	workloadDuration = flag.Duration("workload.duration", defaultWorkload(), "how long TestWorkload sends commands")
	workloadSeed     = flag.Uint64("workload.seed", 0, "what TestWorkload rolls its dice with; 0: another one each time")
)

func defaultWorkload() time.Duration {
	if long, err := time.ParseDuration(os.Getenv("CARDLOG_WORKLOAD")); err == nil {
		return long
	}
	return 3 * time.Second
}

const (
	// workloadCustomers is how many accounts are busy at the same time.
	workloadCustomers = 24
	// workloadRound is how many commands each of them sends before the clock is moved.
	workloadRound = 10
	// shopperLife is how many commands an account gets before it is compared as a whole and another one takes its place.
	shopperLife = 200
)

// TestWorkload sends random commands to several accounts at once, moves the clock between them, and compares every answer with what an independent model of the
// documentation says it must be. In the end the whole histories are compared, folded again, and verified.
func TestWorkload(t *testing.T) {
	t.Parallel()
	seed := *workloadSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with: -workload.seed %d", seed)
	c := testConfig(t)
	c.checkpoints = checkpoints{inMemory: workloadCustomers / 2, every: 50} // most accounts are read from checkpoints all the time
	c.manualClock = true
	c.clock = func() time.Time { return time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC) }
	c.rules = writeWorkloadRules(t)
	b, p := startBank(t, c)
	w := &workload{bank: b, random: rand.New(rand.NewPCG(seed, 0)), seed: seed, clock: adminv1.NewClockServiceClient(b.connection)}
	w.run(time.Now().Add(*workloadDuration))
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
	t.Logf("%d commands on %d accounts until %s; %d answers: %s", w.commands, w.opened, w.now.Format(time.DateOnly), len(w.seen), w.seen)
	w.wantVariety()
}

// The profiles of the workload; workloadProfiles has them in the words of the model.
const workloadRules = `
version: workload
profiles:
  default: {}
  rich:
    over_limit_percent: 10
    blocked_mccs: ["7995"]
    blocked_merchants: ["bad-1"]
    blocked_countries: ["KP"]
    hold_expiry:
      - {mcc: "7011", days: 31}
      - {mcc: "5541-5542", max_amount: 100, days: 1}
      - {pre_authorization: true, days: 20}
      - {days: 5}
    hold_amount:
      - {mcc: "5542", fixed: 7500}
      - {mcc: "5812", percent: 20}
    over_capture_tolerance:
      - {mcc: "5812", percent: 20}
      - {mcc: "7011", percent: 15}
    payments:
      withhold_days: 3
      allow_overpayment: true
      review_amount: 50000
      review_new_source_amount: 30000
      review_after_return_days: 10
      review_daily_count: 3
      review_daily_amount: 80000
`

func writeWorkloadRules(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(workloadRules), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func workloadProfiles() []*bookRules {
	return []*bookRules{
		{
			name: "default",
			expiryDays: func(mcc string, estimate bool, amount int64) int {
				switch {
				case (mcc == "5541" || mcc == "5542") && amount <= 100:
					return 1
				case mcc == "7011" || estimate:
					return 30
				}
				return 7
			},
			held:      func(_ string, amount int64) int64 { return amount },
			tolerated: func(string, int64) int64 { return 0 },
			payments:  bookPaymentRules{reviewAmount: 500000, newSource: 100000, afterReturnDays: 60, dailyCount: 5, dailyAmount: 1000000},
		},
		{
			name: "rich", overLimitPercent: 10, blockedMCC: "7995", blockedMerchant: "bad-1", blockedCountry: "KP",
			expiryDays: func(mcc string, estimate bool, amount int64) int {
				switch {
				case mcc == "7011":
					return 31
				case (mcc == "5541" || mcc == "5542") && amount <= 100:
					return 1
				case estimate:
					return 20
				}
				return 5
			},
			held: func(mcc string, amount int64) int64 {
				switch mcc {
				case "5542":
					return max(amount, 7500)
				case "5812":
					return amount + amount*20/100
				}
				return amount
			},
			tolerated: func(mcc string, authorized int64) int64 {
				return authorized * map[string]int64{"5812": 20, "7011": 15}[mcc] / 100
			},
			payments: bookPaymentRules{withholdDays: 3, overpayment: true, reviewAmount: 50000, newSource: 30000, afterReturnDays: 10, dailyCount: 3,
				dailyAmount: 80000},
		},
	}
}

// workload is the accounts that are busy, and the clock.
type workload struct {
	*bank
	random    *rand.Rand
	seed      uint64
	clock     adminv1.ClockServiceClient
	now       time.Time
	customers []*shopper
	opened    int
	commands  int
	seen      tally
}

// tally counts answers by their words.
type tally map[string]int

func (c tally) String() string {
	var words []string
	for word, count := range c {
		words = append(words, fmt.Sprintf("%s %d", word, count))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// run lets the accounts be busy until an hour of the wall's clock, round by round.
func (w *workload) run(until time.Time) {
	w.t.Helper()
	w.seen = tally{}
	w.advance(0)
	for len(w.customers) < workloadCustomers {
		w.customers = append(w.customers, w.open())
	}
	for time.Now().Before(until) {
		w.round()
		for i, c := range w.customers {
			if c.count >= shopperLife {
				w.end(c)
				w.customers[i] = w.open()
			}
		}
		w.advance([]time.Duration{0, time.Second, time.Hour, 7 * time.Hour, 24 * time.Hour, 36 * time.Hour, 72 * time.Hour, 8 * 24 * time.Hour}[w.random.IntN(8)])
	}
	for _, c := range w.customers {
		w.end(c)
	}
}

// round has every account send its commands, all accounts at once, one account's in order.
func (w *workload) round() {
	w.t.Helper()
	var busy sync.WaitGroup
	failures := make([]error, len(w.customers))
	for i, c := range w.customers {
		busy.Go(func() { failures[i] = c.live(w.t.Context(), workloadRound) })
	}
	busy.Wait()
	for i, c := range w.customers {
		w.commands += workloadRound
		w.check(c, failures[i])
	}
}

// check fails the test when an account was answered otherwise than the model says, and tells how it came to that.
func (w *workload) check(c *shopper, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("-workload.seed %d, account %s of profile %s: %v\nbefore it:\n%s", w.seed, c.id, c.rules.name, err, strings.Join(c.history[max(0,
			len(c.history)-60):], "\n"))
	}
}

func (w *workload) end(c *shopper) {
	w.t.Helper()
	w.check(c, c.compareAll(w.t.Context()))
	for word, count := range c.seen {
		w.seen[word] += count
	}
}

// wantVariety fails the test when a run did not meet what it is made to meet.
func (w *workload) wantVariety() {
	w.t.Helper()
	if w.commands < 2000 {
		return // too short to say
	}
	for _, word := range []string{"APPROVED", "PARTIALLY_APPROVED", "DECLINED INSUFFICIENT_CREDIT", "VERIFIED", "RECORDED",
		"REJECTED NOTHING_TO_REVERSE", "late", "unmatched", "duplicate", "AlreadyExists ID_REUSED"} {
		if w.seen[word] == 0 {
			w.t.Errorf("%d commands, and none was answered %s", w.commands, word)
		}
	}
}

func (w *workload) advance(by time.Duration) {
	w.t.Helper()
	w.now = must(w.clock.Advance(w.t.Context(), &adminv1.AdvanceRequest{Duration: durationpb.New(by)}))(w.t).GetTime().AsTime()
	for _, c := range w.customers {
		c.wait(w.now)
	}
}

// open opens an account with two cards.
func (w *workload) open() *shopper {
	w.t.Helper()
	w.opened++
	id := fmt.Sprintf("busy-%03d", w.opened)
	profiles := workloadProfiles()
	rules := profiles[w.opened%len(profiles)]
	limit := []int64{0, 1000, 50_000, 100_000, 99_999}[w.random.IntN(5)]
	if w.opened%7 != 0 {
		limit = max(limit, 30_000)
	}
	must(w.OpenAccount(w.t.Context(), &accountsv1.OpenAccountRequest{AccountId: id, Holder: someHolder("Bea Busy"), CreditLimit: pounds(limit),
		RulesProfile: rules.name}))(w.t)
	c := &shopper{
		book: &book{id: id, rules: rules, now: w.now, limit: limit, state: typev1.AccountState_ACCOUNT_STATE_OPEN,
			presentments: map[string]*bookFact{}, refunds: map[string]*bookFact{}, disputes: map[string]*bookFact{},
			answered: map[string]bookAnswer{}, heard: map[string]bookAnswer{}},
		bank: w.bank, money: paymentsv1.NewPaymentsServiceClient(w.connection), random: rand.New(rand.NewPCG(w.seed,
			uint64(w.opened))), seen: tally{}, //nolint:gosec // dice
	}
	for range 2 {
		w.check(c, c.issueCard(w.t.Context()))
	}
	return c
}

// shopper is an account that is busy, and what must become of it.
type shopper struct {
	*book
	bank    *bank
	money   paymentsv1.PaymentsServiceClient
	random  *rand.Rand
	count   int // of commands
	names   int // given so far
	sent    []proto.Message
	history []string
	moments []moment
	seen    tally
}

func (c *shopper) live(ctx context.Context, commands int) error {
	for range commands {
		c.count++
		if err := c.act(ctx); err != nil {
			return err
		}
		if err := c.compareBalances(ctx); err != nil {
			return err
		}
	}
	return nil
}

// try sends a command on the ledger and compares the answer with the model's.
func (c *shopper) try(ctx context.Context, request proto.Message) error {
	c.note(request)
	want := c.predict(request)
	decision, err := c.send(ctx, request)
	got := prediction{err: refusalWords(err), duplicate: decision.GetDuplicate()}
	if err == nil {
		got.verdict = verdictOf(decision)
		if want.verdict.transaction == "" {
			c.named(request, decision.GetTransactionId())
			want.verdict.transaction = decision.GetTransactionId()
		}
	}
	c.history = append(c.history, "  "+got.words())
	if got != want {
		return fmt.Errorf("the answer is\n%s\nthe model has\n%s", got.words(), want.words())
	}
	if err == nil && !got.duplicate {
		c.sent = append(c.sent, request)
		c.moments = append(c.moments, moment{balances: &transactionsv1.GetBalanceResponse{Balances: decision.GetBalances(), Sequence: decision.GetSequence()}})
	}
	c.tally(got)
	return nil
}

// named takes the name that the server gave to a transaction that nobody named.
func (c *shopper) named(request proto.Message, id string) {
	c.transactions[len(c.transactions)-1].id = id
	kind, command, _ := identity(request)
	before := c.answered[kind+" "+command]
	before.answer.verdict.transaction = id
	c.answered[kind+" "+command] = before
}

// tally counts what an answer had in it.
func (c *shopper) tally(got prediction) {
	if got.err != "" {
		c.seen[got.err]++
		return
	}
	c.seen[got.verdict.word()]++
	for _, mark := range got.verdict.marks(got.duplicate) {
		c.seen[mark]++
	}
}

func (c *shopper) note(request proto.Message) {
	text := prototext.MarshalOptions{}.Format(request)
	c.history = append(c.history, fmt.Sprintf("%s %s {%s}", c.now.Format(time.RFC3339), request.ProtoReflect().Descriptor().Name(), text))
}

// refusalWords are the code and the reason of an error.
func refusalWords(err error) string {
	if err == nil {
		return ""
	}
	words := status.Code(err).String()
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return words + " " + info.GetReason()
		}
	}
	return words + ": " + status.Convert(err).Message()
}

// send sends a command on the ledger.
func (c *shopper) send(ctx context.Context, request proto.Message) (*transactionsv1.Decision, error) {
	switch r := request.(type) {
	case *transactionsv1.AuthorizeRequest:
		answer, err := c.bank.Authorize(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.IncrementAuthorizationRequest:
		answer, err := c.bank.IncrementAuthorization(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.AdviseAuthorizationRequest:
		answer, err := c.bank.AdviseAuthorization(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.ReverseAuthorizationRequest:
		answer, err := c.bank.ReverseAuthorization(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.PresentRequest:
		answer, err := c.bank.Present(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.ReversePresentmentRequest:
		answer, err := c.bank.ReversePresentment(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.RefundRequest:
		answer, err := c.bank.Refund(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.ReverseRefundRequest:
		answer, err := c.bank.ReverseRefund(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.CreditDisputeRequest:
		answer, err := c.bank.CreditDispute(ctx, r)
		return answer.GetDecision(), err
	case *transactionsv1.ReverseDisputeCreditRequest:
		answer, err := c.bank.ReverseDisputeCredit(ctx, r)
		return answer.GetDecision(), err
	}
	return nil, fmt.Errorf("nothing sends a %T", request)
}

// compareBalances compares what is seen now with the model.
func (c *shopper) compareBalances(ctx context.Context) error {
	answer, err := c.bank.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: c.id}})
	if err != nil {
		return err
	}
	now := answer.GetBalances()
	got := []int64{now.GetCreditLimit().GetMinorUnits(), now.GetPosted().GetMinorUnits(), now.GetPending().GetMinorUnits(),
		now.GetWithheld().GetMinorUnits(), now.GetAvailable().GetMinorUnits()}
	want := []int64{c.limit, c.posted(), c.pending(), c.withheld(), c.available()}
	if !slices.Equal(got, want) {
		return fmt.Errorf("limit, posted, pending, withheld, available are %d, the model has %d", got, want)
	}
	return nil
}

// compareAll compares the whole account: each transaction, the list of them, the past, the events folded again, each payment.
func (c *shopper) compareAll(ctx context.Context) error {
	return errors.Join(c.compareBalances(ctx), c.compareTransactions(ctx), c.compareList(ctx), c.comparePast(ctx), c.compareFold(ctx), c.comparePayments(ctx))
}

func (c *shopper) compareTransactions(ctx context.Context) error {
	for _, t := range c.transactions {
		answer, err := c.bank.GetTransaction(ctx,
			&transactionsv1.GetTransactionRequest{Account: &transactionsv1.GetTransactionRequest_AccountId{AccountId: c.id}, TransactionId: t.id})
		if err != nil {
			return fmt.Errorf("transaction %s: %w", t.id, err)
		}
		if got, want := seenWords(answer.GetTransaction()), t.words(); got != want {
			return fmt.Errorf("transaction %s is\n%s\nthe model has\n%s", t.id, got, want)
		}
	}
	for what, facts := range map[string]map[string]*bookFact{"presentment": c.presentments, "refund": c.refunds, "dispute": c.disputes} {
		for id, fact := range facts {
			answer, err := c.bank.GetTransaction(ctx,
				&transactionsv1.GetTransactionRequest{Account: &transactionsv1.GetTransactionRequest_AccountId{AccountId: c.id}, TransactionId: id})
			if err != nil || answer.GetTransaction().GetTransactionId() != fact.transaction.id {
				return fmt.Errorf("asked for by its %s %s, transaction %s is %v (%w)", what, id, fact.transaction.id, answer, err)
			}
		}
	}
	return nil
}

// seenWords are the sums and the status of a transaction as it is shown.
func seenWords(t *transactionsv1.Transaction) string {
	return fmt.Sprintf("%s authorized %d held %d cleared %d refunded %d pending credit %d disputed %d card %s", statusWord(t),
		t.GetAuthorized().GetMinorUnits(), t.GetHeld().GetMinorUnits(),
		t.GetCleared().GetMinorUnits(), t.GetRefunded().GetMinorUnits(), t.GetPendingCredit().GetMinorUnits(), t.GetDisputed().GetMinorUnits(), t.GetCardId())
}

// words are the same as the model has them.
func (t *bookTransaction) words() string {
	return fmt.Sprintf("%s authorized %d held %d cleared %d refunded %d pending credit %d disputed %d card %s",
		strings.TrimPrefix(t.status().String(), "TRANSACTION_STATUS_"),
		t.authorized, t.held, t.cleared, t.refunded, t.pendingCredit(), t.disputed, t.card)
}

// compareList turns the pages of the list.
func (c *shopper) compareList(ctx context.Context) error {
	var got []string
	for token := ""; ; {
		page, err := c.bank.ListTransactions(ctx, &transactionsv1.ListTransactionsRequest{
			Account: &transactionsv1.ListTransactionsRequest_AccountId{AccountId: c.id}, PageSize: 37, PageToken: token})
		if err != nil {
			return err
		}
		for _, t := range page.GetTransactions() {
			got = append(got, t.GetTransactionId())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	slices.Reverse(got)
	if want := c.firsts(); !slices.Equal(got, want) {
		return fmt.Errorf("the list is %v, the model has %v", got, want)
	}
	return nil
}

// comparePast asks for the balances after each tenth event that was answered.
func (c *shopper) comparePast(ctx context.Context) error {
	for i := 0; i < len(c.moments); i += 10 {
		then := c.moments[i].balances
		answer, err := c.bank.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: c.id},
			AsOf: &transactionsv1.GetBalanceRequest_AsOfSequence{AsOfSequence: then.GetSequence()}})
		if err != nil || !proto.Equal(answer.GetBalances(), then.GetBalances()) {
			return fmt.Errorf("after event %d the balances were %v, now they are said to have been %v (%w)", then.GetSequence(), then.GetBalances(),
				answer.GetBalances(), err)
		}
	}
	return nil
}

// compareFold folds the listed events through the pure domain.
func (c *shopper) compareFold(ctx context.Context) error {
	stream, err := c.bank.ListEvents(ctx, &transactionsv1.ListEventsRequest{Account: &transactionsv1.ListEventsRequest_AccountId{AccountId: c.id}})
	if err != nil {
		return err
	}
	folded, last := ledger.New(c.id), uint64(0)
	for {
		listed, err := stream.Recv()
		if err != nil {
			break // the number of events is what the balances below tell
		}
		if listed.GetSequence() <= last {
			return fmt.Errorf("event %d is listed after event %d", listed.GetSequence(), last)
		}
		last = listed.GetSequence()
		folded.Apply(listed.GetEvent(), last)
		after := listed.GetEvent().GetBalances()
		if got := folded.Balances(); got.Posted != after.GetPosted() || got.Pending != after.GetPending() || got.Withheld != after.GetWithheld() ||
			got.CreditLimit != after.GetCreditLimit() {
			return fmt.Errorf("after event %d the fold has %+v, the event says %v", last, got, after)
		}
	}
	if got := folded.BalancesAt(c.now); got.Posted != c.posted() || got.Pending != c.pending() || got.Withheld != c.withheld() || got.CreditLimit != c.limit {
		return fmt.Errorf("the fold ends with %+v, the model with limit %d posted %d pending %d withheld %d", got, c.limit, c.posted(), c.pending(), c.withheld())
	}
	return nil
}

func (c *shopper) comparePayments(ctx context.Context) error {
	for _, p := range c.payments {
		answer, err := c.money.GetPayment(ctx, &paymentsv1.GetPaymentRequest{AccountId: c.id, PaymentId: p.id})
		if err != nil {
			return err
		}
		if got, want := statusWords(answer.GetPayment()), p.words(); got != want {
			return fmt.Errorf("payment %s is %s, the model has %s", p.id, got, want)
		}
	}
	return nil
}

// statusWords are a payment as it is shown.
func statusWords(p *paymentsv1.Payment) string {
	return fmt.Sprint(p.GetStatus(), " ", p.GetAmount().GetMinorUnits(), " withheld ", p.GetWithheld().GetMinorUnits(), " ", p.GetHoldReasons(), " ",
		p.GetRejectReason(), " ", p.GetReturnCode())
}

func (p *bookPayment) words() string {
	return fmt.Sprint(p.status, " ", p.amount, " withheld ", p.withheld, " ", p.held, " ", p.rejected, " ", p.code)
}
