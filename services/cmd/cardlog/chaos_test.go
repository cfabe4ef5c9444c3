package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// line is the way to a service whose process dies and comes back at another address.
type line struct {
	to atomic.Pointer[grpc.ClientConn]
}

// Invoke makes a call.
func (l *line) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	return l.to.Load().Invoke(ctx, method, args, reply, options...)
}

// NewStream begins a stream.
func (l *line) NewStream(ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return l.to.Load().NewStream(ctx, description, method, options...)
}

// town is services that run each in a process of its own, over one NATS.
type town struct {
	t         *testing.T
	url       string // of NATS
	flags     []string
	processes map[serviceName]*exec.Cmd
	endpoints map[serviceName]endpoints
	lines     map[serviceName]*line
}

// startTown starts the services in an order, and a bank that reaches them wherever they are.
func startTown(t *testing.T, url string, order []serviceName, flags ...string) (*town, *bank) {
	t.Helper()
	town := &town{t: t, url: url, flags: append([]string{"--nats", url, "--dir", t.TempDir(), "--account-cache", "2", "--checkpoint-every", "50"}, flags...),
		processes: map[serviceName]*exec.Cmd{}, endpoints: map[serviceName]endpoints{}, lines: map[serviceName]*line{}}
	for _, service := range serviceNames {
		town.lines[service] = &line{}
	}
	for _, service := range order {
		town.start(service)
	}
	return town, &bank{t: t, AccountsServiceClient: accountsv1.NewAccountsServiceClient(town.lines[accountsName]),
		PaymentsServiceClient:     paymentsv1.NewPaymentsServiceClient(town.lines[paymentsName]),
		TransactionsServiceClient: transactionsv1.NewTransactionsServiceClient(town.lines[transactionsName])}
}

// start starts a service and returns when it serves.
func (w *town) start(service serviceName) {
	w.t.Helper()
	process, e := runCardlog(w.t, append([]string{"serve", string(service)}, w.flags...)...)
	connection, err := dial(e.GRPC)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = connection.Close() })
	w.processes[service], w.endpoints[service] = process, e
	w.lines[service].to.Store(connection)
}

// stop ends a service with kill -9.
func (w *town) stop(service serviceName) { kill(w.processes[service]) }

// audit verifies the logs, and that the feed has all of them.
func (w *town) audit() *feedAudit {
	w.t.Helper()
	log, disconnect, err := eventlog.Connect(w.url, eventlog.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer disconnect()
	wantSound(w.t, &logSource{log: log})
	return wantFeedComplete(w.t, log, log)
}

// untilDecided repeats a call with the same ids until it is answered, as a client does whose server may die.
func untilDecided[Q, A any](ctx context.Context, call func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	for {
		answer, err := call(ctx, request)
		if status.Code(err) != codes.Unavailable {
			return answer, err
		}
		select {
		case <-time.After(20 * time.Millisecond): // what a client's back-off is
		case <-ctx.Done():
			return answer, err
		}
	}
}

// TestWhoeverIsKilledTheBooksAgree gives 10,000 commands to four processes, each of which is killed and comes back twenty times meanwhile.
func TestWhoeverIsKilledTheBooksAgree(t *testing.T) {
	t.Parallel()
	const accounts, commands, kills, atOnce = 200, 10_000, 20, 32
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	order := slices.Clone(serviceNames)
	chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	town, b := startTown(t, startOutsideNATS(t), order, "--shards", "2", "--rules", withRules(t, "version: chaos\nprofiles: {default: {payments: {review_daily_count: 0, review_daily_amount: 0}}}\n"))
	customers := make([]*customer, accounts)
	for i := range customers {
		customers[i] = &customer{bank: b, account: fmt.Sprint("customer-", i), chance: rand.New(rand.NewPCG(seed, uint64(i+1)))}
	}
	perKill := commands / (kills * len(order))
	for kill := range kills * len(order) {
		turn, moment := chance.Perm(accounts)[:perKill], make(chan struct{})
		var done atomic.Int64
		var atWork sync.WaitGroup
		strikeAfter := 1 + chance.Int64N(int64(perKill/2))
		atWork.Go(func() {
			inParallel(atOnce, perKill, func(i int) {
				customers[turn[i]].doSomething(t.Context())
				if done.Add(1) == strikeAfter {
					close(moment)
				}
			})
		})
		<-moment
		town.stop(order[kill%len(order)])
		town.start(order[kill%len(order)])
		atWork.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}

	for _, c := range customers {
		c.check()
	}
	audit := town.audit()
	for _, c := range customers {
		if got := audit.posted[c.account]; got != c.posted {
			t.Errorf("%s: by the feed %d is posted, by the answers %d", c.account, got, c.posted)
		}
		if got := audit.paid[c.account]; got != c.paid() {
			t.Errorf("%s: by the feed %d was paid, by the answers %d", c.account, got, c.paid())
		}
	}
}

// customer does one thing after the other with an account, and keeps books of what was answered.
type customer struct {
	*bank
	account string
	chance  *rand.Rand
	step    int

	posted    int64
	purchases []*purchase
	payments  []*paymentsv1.Payment
	ledger    uint64 // sequence of the last answer of transactions
	paying    uint64 // and of payments
}

// purchase is a purchase as the customer knows it.
type purchase struct {
	id                string
	held              int64
	cleared, refunded int64
}

// paid is what was paid and did not come back.
func (c *customer) paid() (sum int64) {
	for _, p := range c.payments {
		if p.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED {
			sum += p.GetAmount().GetMinorUnits()
		}
	}
	return sum
}

// doSomething sends the next command until it is answered.
func (c *customer) doSomething(ctx context.Context) {
	c.step++
	id := fmt.Sprint("step-", c.step)
	var err error
	switch what := c.chance.IntN(100); {
	case c.step == 1:
		holder := &accountsv1.Holder{FullName: "Holder of " + c.account, Address: &accountsv1.Address{CountryCode: "GB"}}
		_, err = untilDecided(ctx, c.OpenAccount, &accountsv1.OpenAccountRequest{AccountId: c.account, Holder: holder, CreditLimit: pounds(50_000)})
	case c.step == 2:
		_, err = untilDecided(ctx, c.IssueCard, &accountsv1.IssueCardRequest{AccountId: c.account, CardId: c.account + "-card", Activate: true})
	case what < 30:
		err = c.buy(ctx, id)
	case what < 50:
		err = c.claim(ctx, id)
	case what < 58:
		err = c.giveBack(ctx, id)
	case what < 66:
		err = c.leaveEarly(ctx, id)
	case what < 82:
		err = c.payOff(ctx, id)
	case what < 93:
		err = c.reconsider(ctx, id)
	case what < 97:
		_, err = untilDecided(ctx, c.UpdateCreditLimit, &accountsv1.UpdateCreditLimitRequest{AccountId: c.account, RequestId: id, CreditLimit: pounds(50_000 + c.chance.Int64N(10_000))})
	default:
		state := []typev1.CardState{typev1.CardState_CARD_STATE_PAUSED, typev1.CardState_CARD_STATE_ACTIVE}[c.chance.IntN(2)]
		_, err = untilDecided(ctx, c.SetCardState, &accountsv1.SetCardStateRequest{AccountId: c.account, CardId: c.account + "-card", RequestId: id, State: state})
	}
	if err != nil {
		c.t.Errorf("%s, %s: %v", c.account, id, err)
	}
}

// heard notes the sequence of an answer: an account's answers come in the order of its events.
func (c *customer) heard(last *uint64, sequence uint64) {
	if sequence <= *last {
		c.t.Errorf("%s: event %d was answered after event %d", c.account, sequence, *last)
	}
	*last = sequence
}

// buy asks for a purchase.
func (c *customer) buy(ctx context.Context, id string) error {
	answer, err := untilDecided(ctx, c.Authorize, &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: c.account + "-card"},
		TransactionId: id, Amount: pounds(1 + c.chance.Int64N(5_000)), Merchant: shop()})
	if err != nil {
		return err
	}
	c.heard(&c.ledger, answer.GetDecision().GetSequence())
	if held := answer.GetDecision().GetHeldAmount().GetMinorUnits(); held > 0 {
		c.purchases = append(c.purchases, &purchase{id: id, held: held})
	}
	return nil
}

// which returns a purchase that something can be done with; a new one where there is none.
func (c *customer) which(can func(*purchase) bool) *purchase {
	for _, i := range c.chance.Perm(len(c.purchases)) {
		if can(c.purchases[i]) {
			return c.purchases[i]
		}
	}
	return nil
}

// claim has a shop present a purchase that is held; one that nobody asked for where there is none.
func (c *customer) claim(ctx context.Context, id string) error {
	p := c.which(func(p *purchase) bool { return p.held > 0 })
	if p == nil {
		p = &purchase{id: "forced-" + id}
		c.purchases = append(c.purchases, p)
	}
	answer, err := untilDecided(ctx, c.Present, &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardId{CardId: c.account + "-card"},
		PresentmentId: id, TransactionId: p.id, Amount: pounds(max(p.held, 1) + c.chance.Int64N(100))})
	if err == nil {
		c.heard(&c.ledger, answer.GetDecision().GetSequence())
		p.held, p.cleared = 0, answer.GetDecision().GetApprovedAmount().GetMinorUnits()
		c.posted += p.cleared
	}
	return err
}

// giveBack has a shop refund a part of a purchase; else the customer buys.
func (c *customer) giveBack(ctx context.Context, id string) error {
	p := c.which(func(p *purchase) bool { return p.cleared > p.refunded })
	if p == nil {
		return c.buy(ctx, id)
	}
	answer, err := untilDecided(ctx, c.Refund, &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_CardId{CardId: c.account + "-card"},
		TransactionId: p.id, RefundId: id, Amount: pounds(1 + c.chance.Int64N(p.cleared-p.refunded))})
	if err == nil {
		c.heard(&c.ledger, answer.GetDecision().GetSequence())
		moved := answer.GetDecision().GetApprovedAmount().GetMinorUnits()
		p.refunded += moved
		c.posted -= moved
	}
	return err
}

// leaveEarly has a shop release a part of what it holds; else the customer buys.
func (c *customer) leaveEarly(ctx context.Context, id string) error {
	p := c.which(func(p *purchase) bool { return p.held > 1 })
	if p == nil {
		return c.buy(ctx, id)
	}
	answer, err := untilDecided(ctx, c.ReverseAuthorization, &transactionsv1.ReverseAuthorizationRequest{
		Account: &transactionsv1.ReverseAuthorizationRequest_CardId{CardId: c.account + "-card"}, TransactionId: p.id, ReversalId: id, Amount: pounds(1 + c.chance.Int64N(p.held-1))})
	if err == nil {
		c.heard(&c.ledger, answer.GetDecision().GetSequence())
		p.held = answer.GetDecision().GetHeldAmount().GetMinorUnits()
	}
	return err
}

// payOff pays a part of what is posted; sometimes more.
func (c *customer) payOff(ctx context.Context, id string) error {
	answer, err := untilDecided(ctx, c.SubmitPayment, &paymentsv1.SubmitPaymentRequest{AccountId: c.account, PaymentId: id, Amount: pounds(1 + c.chance.Int64N(max(c.posted, 1_000))),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: c.account + "-bank"}})
	if err == nil {
		c.settle(nil, answer.GetPayment(), answer.GetSequence())
	}
	return err
}

// settle takes note of how a payment is now, and of what that moves.
func (c *customer) settle(was, is *paymentsv1.Payment, sequence uint64) {
	c.heard(&c.paying, sequence)
	before := c.paid()
	if was == nil {
		c.payments = append(c.payments, is)
	} else {
		c.payments[slices.Index(c.payments, was)] = is
	}
	c.posted -= c.paid() - before
}

// reconsider returns a payment that was taken, or releases or cancels one that is held; else the customer pays.
func (c *customer) reconsider(ctx context.Context, id string) error {
	for _, i := range c.chance.Perm(len(c.payments)) {
		p := c.payments[i]
		switch {
		case p.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
			answer, err := untilDecided(ctx, c.ReturnPayment, &paymentsv1.ReturnPaymentRequest{AccountId: c.account, PaymentId: p.GetPaymentId(), RequestId: id, ReturnCode: "R01"})
			if err == nil {
				c.settle(p, answer.GetPayment(), answer.GetSequence())
			}
			return err
		case p.GetStatus() != typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		case c.chance.IntN(2) == 0:
			answer, err := untilDecided(ctx, c.ReleasePayment, &paymentsv1.ReleasePaymentRequest{AccountId: c.account, PaymentId: p.GetPaymentId(), RequestId: id})
			if err == nil {
				c.settle(p, answer.GetPayment(), answer.GetSequence())
			}
			return err
		default:
			answer, err := untilDecided(ctx, c.CancelPayment, &paymentsv1.CancelPaymentRequest{AccountId: c.account, PaymentId: p.GetPaymentId(), RequestId: id})
			if err == nil {
				c.settle(p, answer.GetPayment(), answer.GetSequence())
			}
			return err
		}
	}
	return c.payOff(ctx, id)
}

// check waits until the ledger has every payment, and compares what the services say with the books.
func (c *customer) check() {
	c.t.Helper()
	var held int64
	for _, p := range c.purchases {
		held += p.held
	}
	eventually(c.t, c.account+" is as the books say", func() error {
		answer, err := c.GetBalance(c.t.Context(), &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: c.account}})
		if err != nil {
			return err
		}
		now := answer.GetBalances()
		if got, want := fmt.Sprint(now.GetPosted().GetMinorUnits(), now.GetPending().GetMinorUnits()), fmt.Sprint(c.posted, held); got != want {
			return errors.New("posted, pending are " + got + ", by the books " + want)
		}
		return nil
	})
	listed := map[string]typev1.PaymentStatus{}
	for token, more := "", true; more; more = token != "" {
		page := must(c.ListPayments(c.t.Context(), &paymentsv1.ListPaymentsRequest{AccountId: c.account, PageToken: token}))(c.t)
		for _, p := range page.GetPayments() {
			listed[p.GetPaymentId()] = p.GetStatus()
		}
		token = page.GetNextPageToken()
	}
	if len(listed) != len(c.payments) {
		c.t.Errorf("%s: %d payments are listed, %d were answered", c.account, len(listed), len(c.payments))
	}
	for _, p := range c.payments {
		if listed[p.GetPaymentId()] != p.GetStatus() {
			c.t.Errorf("%s: payment %s is listed as %v, answered was %v", c.account, p.GetPaymentId(), listed[p.GetPaymentId()], p.GetStatus())
		}
	}
}
