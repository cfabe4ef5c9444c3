// Package replay plays a purchase-card file against a running cardlog, as a gRPC client that knows nothing but the contract.
//
// Each card_last4 of the file is one account, acct-<last4>, with one card, card-<last4>. A row above zero is authorized and
// then presented; a row below zero is a payment where its merchant begins "direct debit payment", else it is refunded. Every
// command's id is derived from its row's content, so a file may be played again, also after rows were added to it, and nothing
// that was played before moves again. In the end every account's posted balance is held against the sum of its rows; a payment
// is in it a moment after its answer, and that is waited for.
//
// The sums hold for accounts that nothing but this file was played on.
package replay

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

const (
	// DefaultConcurrency is how many accounts are played at the same time where Options do not say.
	DefaultConcurrency = 64
	// MaxConcurrency bounds it.
	MaxConcurrency = 4096
	// MaxRows bounds the lines of a file, which is held in memory at about 200 bytes a row.
	MaxRows = 5_000_000
	// MaxListed bounds each list of lines in a Report. The counts beside the lists are always complete.
	MaxListed = 100

	// DefaultRulesProfile is the rules profile of the accounts where Options do not say. It takes payments of any amount and reviews none.
	DefaultRulesProfile = "replay"

	// leastCreditLimit is the least that the default credit limit is, in minor units.
	leastCreditLimit = 1000_00
	// progressInterval is the least time between two calls of Options.Progress.
	progressInterval = 100 * time.Millisecond
	// followBound bounds how long a posted balance may take to contain an account's payments.
	followBound = 10 * time.Second
	// followFirst is the first wait between two looks at such a balance; it doubles with each one.
	followFirst = 50 * time.Millisecond
)

// Options say how a file is played. The zero value works.
type Options struct {
	// Concurrency is how many accounts are played at the same time; 0 is DefaultConcurrency.
	Concurrency int
	// CreditLimit is every account's limit in minor units. 0 gives each account what lets all its rows through:
	// the sum of its rows above zero, at least 1,000.00.
	CreditLimit int64
	// RulesProfile is the rules profile that accounts are opened with; empty is DefaultRulesProfile. An account that is open already keeps its own.
	RulesProfile string
	// Pace is the most rows per second; 0 is full speed.
	Pace float64
	// Progress, if set, is told how many of the rows to be played are done: at most every 100 ms, and once when
	// playing has ended. It is never called twice at the same time.
	Progress func(done, total int)

	// presented, if set, is told of each row that was presented, by several workers at a time.
	presented func(a *account, row Row)
}

func (o Options) check() error {
	switch {
	case o.Concurrency < 0 || o.Concurrency > MaxConcurrency:
		return fmt.Errorf("concurrency is %d, must be 1 to %d, or 0 for %d", o.Concurrency, MaxConcurrency, DefaultConcurrency)
	case o.CreditLimit < 0 || o.CreditLimit > maxMinorUnits:
		return fmt.Errorf("credit limit is %d minor units, must be 0 to %d", o.CreditLimit, int64(maxMinorUnits))
	case !(o.Pace >= 0) || math.IsInf(o.Pace, 0):
		return fmt.Errorf("pace is %v rows per second, must be 0 or more", o.Pace)
	}
	return nil
}

// Run plays file against the cardlog behind conn: it reads the whole file, opens the accounts and issues their cards,
// plays the rows, and reads the balances.
//
// Rows of one account go one at a time and in file order; different accounts go in parallel, the earliest row first.
// UNAVAILABLE and RESOURCE_EXHAUSTED are retried for 30 s, waiting as long as the server asks for; a row that ends with
// any other error is counted in the report, and the rest goes on. So are broken rows.
//
// The error says that the file cannot be read, that the options are wrong, that the server does not know the rules profile,
// that ctx has ended, or that the server has stopped answering. In the last three cases the report comes with it and holds
// what was done until then, without control totals. Playing the same file again continues.
func Run(ctx context.Context, conn grpc.ClientConnInterface, file io.Reader, options Options) (*Report, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	if options.Concurrency == 0 {
		options.Concurrency = DefaultConcurrency
	}
	if options.RulesProfile == "" {
		options.RulesProfile = DefaultRulesProfile
	}
	started := time.Now()
	report := newReport()
	accounts, total, err := readAccounts(ctx, file, report, MaxRows)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p := &player{
		accounts:     accountsv1.NewAccountsServiceClient(conn),
		payments:     paymentsv1.NewPaymentsServiceClient(conn),
		transactions: transactionsv1.NewTransactionsServiceClient(conn),
		options:      options,
		stop:         stop,
		report:       report,
		latency:      make(map[string]*hdrhistogram.Histogram),
	}
	if options.Pace > 0 {
		p.pace = rate.NewLimiter(rate.Limit(options.Pace), 1)
	}
	p.each(ctx, accounts, p.open)
	p.play(ctx, accounts, total)
	p.each(ctx, accounts, p.checkBalance)
	err = context.Cause(ctx)
	p.finish(started, err == nil)
	if err != nil {
		return report, fmt.Errorf("replay stopped: %w", err)
	}
	return report, nil
}

// account is one card_last4 of the file. After the file is read, only the goroutine that was handed it touches it.
type account struct {
	id       string
	cardID   string
	lastFour string
	currency string
	// debits is the sum of its rows above zero.
	debits int64
	// rows are its rows in file order.
	rows []Row
	// next is the first row that is not played yet.
	next int
	// broken is why it could not be opened.
	broken error
	// posted is the sum of what was presented, refunded and paid: what its posted balance must be.
	posted int64
	// paid is how many of its payments were taken.
	paid int
	// failed is how many of its rows failed.
	failed int
}

// readAccounts reads the whole file, so that every account's limit is known before its first row is played.
// It also returns how many rows there are to be played.
func readAccounts(ctx context.Context, file io.Reader, report *Report, most int) ([]*account, int, error) {
	reader, err := NewReader(contextReader{ctx, file})
	if err != nil {
		return nil, 0, fmt.Errorf("purchase-card file: %w", err)
	}
	var accounts []*account
	byLastFour := make(map[string]*account)
	total := 0
	// Within this one bound on the whole file no sum over any of its rows can overflow.
	sum := int64(0)
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			report.Accounts = len(accounts)
			return accounts, total, nil
		}
		var broken *RowError
		if err != nil && !errors.As(err, &broken) {
			return nil, 0, fmt.Errorf("purchase-card file: %w", err)
		}
		if report.Rows++; report.Rows > most {
			return nil, 0, fmt.Errorf("purchase-card file: more than %d rows", most)
		}
		if broken != nil {
			report.addBroken(broken)
			continue
		}
		if row.Amount == 0 {
			report.addSkipped(&RowError{Line: row.Line, Reason: "amount is zero: nothing to post"})
			continue
		}
		magnitude := max(row.Amount, -row.Amount)
		if magnitude > math.MaxInt64-sum {
			return nil, 0, fmt.Errorf("purchase-card file: line %d: the amounts up to here sum to more than 64 bits hold", row.Line)
		}
		sum += magnitude
		a := byLastFour[row.CardLast4]
		if a == nil {
			a = &account{id: "acct-" + row.CardLast4, cardID: "card-" + row.CardLast4, lastFour: row.CardLast4, currency: row.Currency}
			byLastFour[row.CardLast4] = a
			accounts = append(accounts, a)
		}
		a.rows = append(a.rows, row)
		a.debits += max(row.Amount, 0)
		total++
	}
}

// contextReader fails when its context has ended, so that a file that never ends can be left.
type contextReader struct {
	ctx  context.Context
	file io.Reader
}

func (r contextReader) Read(buffer []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.file.Read(buffer)
}

// player is one run.
type player struct {
	accounts     accountsv1.AccountsServiceClient
	payments     paymentsv1.PaymentsServiceClient
	transactions transactionsv1.TransactionsServiceClient
	options      Options
	pace         *rate.Limiter
	// stop ends the run for a reason.
	stop context.CancelCauseFunc
	// silence counts the calls since the last one that was answered.
	silence atomic.Int64
	// done counts the rows that were played, whatever became of them.
	done atomic.Int64

	mu      sync.Mutex
	report  *Report
	latency map[string]*hdrhistogram.Histogram
}

// each does something for every account, Options.Concurrency of them at a time.
func (p *player) each(ctx context.Context, accounts []*account, do func(context.Context, *account)) {
	work := make(chan *account)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(work)
	for range min(p.options.Concurrency, len(accounts)) {
		workers.Go(func() {
			for a := range work {
				do(ctx, a)
			}
		})
	}
	for _, a := range accounts {
		select {
		case work <- a:
		case <-ctx.Done():
			return
		}
	}
}

// open opens the account, gives it its limit and issues its card, as far as an earlier run has not.
func (p *player) open(ctx context.Context, a *account) {
	limit := p.options.CreditLimit
	if limit == 0 {
		limit = min(max(a.debits, leastCreditLimit), maxMinorUnits)
	}
	opened, err := call(ctx, p, "OpenAccount", p.accounts.OpenAccount, &accountsv1.OpenAccountRequest{
		AccountId:   a.id,
		Holder:      &accountsv1.Holder{FullName: "Cardholder " + a.lastFour, Address: &accountsv1.Address{CountryCode: "GB"}},
		CreditLimit: money(limit, a.currency), RulesProfile: p.options.RulesProfile,
	})
	if blames(err, "rules_profile") {
		// It would be the same for every account.
		p.stop(fmt.Errorf("the server has no rules profile %q; name one that it has with --rules-profile, such as default (%w)", p.options.RulesProfile, err))
	}
	// A duplicate was opened with this limit, and may have been given another one since.
	if status.Code(err) == codes.AlreadyExists || opened.GetDuplicate() {
		err = p.setLimit(ctx, a, limit)
	}
	if err == nil {
		// The answer carries the card number, which nobody here needs: it is dropped.
		_, err = call(ctx, p, "IssueCard", p.accounts.IssueCard, &accountsv1.IssueCardRequest{
			AccountId: a.id, CardId: a.cardID, Activate: true,
		})
	}
	a.broken = err
}

// blames says that a request was refused for one of its fields.
func blames(err error, field string) bool {
	for _, detail := range status.Convert(err).Details() {
		request, _ := detail.(*errdetails.BadRequest)
		for _, violation := range request.GetFieldViolations() {
			if violation.GetField() == field {
				return true
			}
		}
	}
	return false
}

func (p *player) setLimit(ctx context.Context, a *account, limit int64) error {
	response, err := call(ctx, p, "GetAccount", p.accounts.GetAccount, &accountsv1.GetAccountRequest{AccountId: a.id})
	if err != nil {
		return err
	}
	found := response.GetAccount()
	if found.GetCreditLimit().GetMinorUnits() == limit && found.GetCreditLimit().GetCurrencyCode() == a.currency {
		return nil
	}
	_, err = call(ctx, p, "UpdateCreditLimit", p.accounts.UpdateCreditLimit, &accountsv1.UpdateCreditLimitRequest{
		AccountId:   a.id,
		CreditLimit: money(limit, a.currency),
		// With the limit alone, going back to an earlier limit would be taken for a repeat and do nothing.
		RequestId: fmt.Sprintf("limit-%s-%d-%d", a.lastFour, found.GetSequence(), limit),
	})
	return err
}

// play plays all rows. Of the accounts that no worker has, the one whose next row comes first in the file goes next:
// time runs about as it does in the file, and an account with many rows is never left for the end.
func (p *player) play(ctx context.Context, accounts []*account, total int) {
	started := time.Now()
	ended := p.watchProgress(total)
	work := make(chan *account)
	back := make(chan *account, p.options.Concurrency)
	var workers sync.WaitGroup
	for range min(p.options.Concurrency, len(accounts)) {
		workers.Go(func() { p.work(ctx, work, back) })
	}
	// In order of their first rows, accounts are a heap already.
	waiting := append(byNextLine(nil), accounts...)
	for out := 0; (out > 0 || len(waiting) > 0) && ctx.Err() == nil; {
		var hand chan<- *account
		var first *account
		if len(waiting) > 0 {
			hand, first = work, waiting[0]
		}
		select {
		case hand <- first:
			heap.Pop(&waiting)
			out++
		case a := <-back:
			out--
			if a.next < len(a.rows) {
				heap.Push(&waiting, a)
			}
		case <-ctx.Done():
		}
	}
	close(work)
	workers.Wait()
	ended()
	p.report.setSpeed(int(p.done.Load()), time.Since(started))
}

// work plays the next row of each account that it is handed, and hands the account back.
func (p *player) work(ctx context.Context, work <-chan *account, back chan<- *account) {
	for a := range work {
		if p.pace != nil {
			if err := p.pace.Wait(ctx); err != nil {
				p.stop(err)
				return
			}
		}
		row := a.rows[a.next]
		a.next++
		p.playRow(ctx, a, row)
		select {
		case back <- a:
		case <-ctx.Done():
			return
		}
	}
}

// byNextLine is a heap of accounts, the one whose next row is the earliest of the file on top.
type byNextLine []*account

func (h byNextLine) Len() int           { return len(h) }
func (h byNextLine) Less(i, j int) bool { return h[i].rows[h[i].next].Line < h[j].rows[h[j].next].Line }
func (h byNextLine) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byNextLine) Push(a any)        { *h = append(*h, a.(*account)) }
func (h *byNextLine) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// watchProgress calls Options.Progress until the function that it returns is called.
func (p *player) watchProgress(total int) (end func()) {
	if p.options.Progress == nil {
		return func() {}
	}
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.options.Progress(int(p.done.Load()), total)
			case <-ended:
				p.options.Progress(int(p.done.Load()), total)
				return
			}
		}
	})
	return func() {
		close(ended)
		watcher.Wait()
	}
}

func (p *player) playRow(ctx context.Context, a *account, row Row) {
	var err error
	switch {
	case a.broken != nil:
		err = a.broken
	case row.Amount > 0:
		err = p.purchase(ctx, a, row)
	case row.IsPayment():
		err = p.pay(ctx, a, row)
	default:
		err = p.refund(ctx, a, row)
	}
	var failure *callError
	if errors.As(err, &failure) {
		a.failed++
		p.update(func(r *Report) { r.addFailed(row.Line, failure) })
	} else if err != nil {
		return // The run has ended: nothing is known of this row.
	}
	p.done.Add(1)
}

// purchase authorizes a row and presents what was approved.
func (p *player) purchase(ctx context.Context, a *account, row Row) error {
	authorized, err := call(ctx, p, "Authorize", p.transactions.Authorize, &transactionsv1.AuthorizeRequest{
		Account:       &transactionsv1.AuthorizeRequest_CardId{CardId: a.cardID},
		TransactionId: row.ID(),
		Amount:        money(row.Amount, row.Currency),
		Merchant:      &typev1.Merchant{Name: row.Merchant},
		// No network.transmitted_at: the rows are years old, and a message that old is declined as stale.
	})
	if err != nil {
		return err
	}
	decision := authorized.GetDecision()
	amount := row.Amount
	switch decision.GetOutcome() {
	case typev1.Outcome_OUTCOME_APPROVED:
		p.update(func(r *Report) { r.Approved++ })
	case typev1.Outcome_OUTCOME_PARTIALLY_APPROVED:
		amount = decision.GetApprovedAmount().GetMinorUnits()
		p.update(func(r *Report) { r.PartiallyApproved++ })
	case typev1.Outcome_OUTCOME_DECLINED:
		p.update(func(r *Report) { r.addDeclined(decision) })
		return nil
	default:
		return unexpected("Authorize", decision)
	}
	presented, err := call(ctx, p, "Present", p.transactions.Present, &transactionsv1.PresentRequest{
		Account:       &transactionsv1.PresentRequest_CardId{CardId: a.cardID},
		PresentmentId: row.ID() + "-presentment",
		TransactionId: row.ID(),
		Amount:        money(amount, row.Currency),
		PresentedAt:   timestamppb.New(row.Date),
	})
	if err != nil {
		return err
	}
	if !hasPosted(presented.GetDecision()) {
		return unexpected("Present", presented.GetDecision())
	}
	a.posted += amount
	p.update(func(r *Report) { r.addPresented(amount, row.Currency, presented.GetDecision()) })
	if p.options.presented != nil {
		p.options.presented(a, row)
	}
	return nil
}

// refund posts a row below zero. The file does not say which purchase it belongs to.
func (p *player) refund(ctx context.Context, a *account, row Row) error {
	refunded, err := call(ctx, p, "Refund", p.transactions.Refund, &transactionsv1.RefundRequest{
		Account:  &transactionsv1.RefundRequest_CardId{CardId: a.cardID},
		RefundId: row.ID(),
		Amount:   money(-row.Amount, row.Currency),
		Merchant: &typev1.Merchant{Name: row.Merchant},
	})
	if err != nil {
		return err
	}
	if !hasPosted(refunded.GetDecision()) {
		return unexpected("Refund", refunded.GetDecision())
	}
	a.posted += row.Amount
	p.update(func(r *Report) { r.addRefunded(-row.Amount, row.Currency, refunded.GetDecision()) })
	return nil
}

// pay submits a row below zero as a payment of what is owed. One that is held or rejected moves nothing.
func (p *player) pay(ctx context.Context, a *account, row Row) error {
	answer, err := call(ctx, p, "SubmitPayment", p.payments.SubmitPayment, &paymentsv1.SubmitPaymentRequest{
		AccountId: a.id,
		PaymentId: row.ID(),
		Amount:    money(-row.Amount, row.Currency),
		Source:    &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "direct-debit"},
	})
	if err != nil {
		return err
	}
	if answer.GetPayment().GetStatus() != typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED {
		p.update(func(r *Report) { r.addUnpaid(answer) })
		return nil
	}
	a.posted += row.Amount
	a.paid++
	p.update(func(r *Report) { r.addPaid(-row.Amount, row.Currency, answer) })
	return nil
}

// checkBalance holds the account's posted balance against the sum of its rows. Payments reach it by following, so they are waited for.
func (p *player) checkBalance(ctx context.Context, a *account) {
	giveUp := time.Now()
	if a.paid > 0 {
		giveUp = giveUp.Add(followBound)
	}
	for wait := followFirst; ; wait *= 2 {
		response, err := call(ctx, p, "GetBalance", p.transactions.GetBalance, &transactionsv1.GetBalanceRequest{
			Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: a.id},
		})
		if ctx.Err() != nil {
			return
		}
		posted, left := response.GetBalances().GetPosted().GetMinorUnits(), time.Until(giveUp)
		if err != nil || posted == a.posted || left <= 0 {
			p.update(func(r *Report) { r.ControlTotals.add(a, posted, err) })
			return
		}
		// Its error is the context's end, which the next call finds too.
		_ = sleep(ctx, min(wait, left))
	}
}

// hasPosted says that a presentment or refund has entered the posted balance.
func hasPosted(decision *transactionsv1.Decision) bool {
	outcome := decision.GetOutcome()
	return outcome == typev1.Outcome_OUTCOME_RECORDED || outcome == typev1.Outcome_OUTCOME_APPROVED
}

// unexpected is an answer that the contract does not give to this call.
func unexpected(name string, decision *transactionsv1.Decision) error {
	return &callError{call: name, status: status.Newf(codes.Internal, "unexpected outcome %v", decision.GetOutcome())}
}

func money(minor int64, currency string) *typev1.Money {
	return &typev1.Money{MinorUnits: minor, CurrencyCode: currency}
}
