package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// callBound is how long one call may take.
const callBound = 30 * time.Second

// currency of everything.
const currency = "GBP"

// caller is a card network's connection to the issuer: it sends one request at a time. Its requests are made once and filled anew for each call.
type caller struct {
	number   int
	accounts int
	window   *window
	tally    *tally
	service  transactionsv1.TransactionsServiceClient
	chance   *rand.Rand
	prefix   string // of its ids
	next     uint64 // the number of its next transaction

	card      transactionsv1.AuthorizeRequest_CardId
	authorize transactionsv1.AuthorizeRequest
	presented transactionsv1.PresentRequest_CardId
	present   transactionsv1.PresentRequest
	asked     transactionsv1.GetBalanceRequest_CardId
	balance   transactionsv1.GetBalanceRequest
}

// tally is what the accounts of a target must hold in the end, in minor units.
type tally struct {
	acknowledged atomic.Int64 // of authorizations that were answered
	unknown      atomic.Int64 // of those that ended with an error
}

func newCaller(r *run, m *measurement, number int) *caller {
	c := &caller{
		number: number, accounts: r.Accounts, tally: m.target.tally,
		chance: rand.New(rand.NewPCG(uint64(number), uint64(time.Now().UnixNano()))),
		prefix: fmt.Sprintf("%s-%d-%d-", r.name, r.prepared, number),
	}
	if connections := m.target.connections; len(connections) > 0 {
		c.service = transactionsv1.NewTransactionsServiceClient(connections[number%len(connections)])
	}
	amount := &typev1.Money{CurrencyCode: currency}
	c.authorize = transactionsv1.AuthorizeRequest{
		Account: &c.card, Amount: amount,
		Merchant:  &typev1.Merchant{Name: "Corner shop", MerchantId: "shop-000001", Mcc: "5411", CountryCode: "GB", PostalCode: "B1 1BB"},
		Network:   &typev1.NetworkMessage{Network: "network", AcquirerId: "000000012345", TransmittedAt: &timestamppb.Timestamp{}},
		EntryMode: typev1.EntryMode_ENTRY_MODE_CONTACTLESS,
	}
	c.present = transactionsv1.PresentRequest{Account: &c.presented, Amount: amount, PresentedAt: &timestamppb.Timestamp{}}
	c.balance = transactionsv1.GetBalanceRequest{Account: &c.asked}
	return c
}

func accountID(number int) string { return fmt.Sprintf("bench-%07d", number) }

func cardID(number int) string { return accountID(number) + "-card" }

// fill makes the next authorization of the caller, on an account.
func (c *caller) fill(account int) *transactionsv1.AuthorizeRequest {
	c.next++
	now := time.Now()
	c.card.CardId = cardID(account)
	r := &c.authorize
	r.TransactionId = c.prefix + strconv.FormatUint(c.next, 10)
	r.Amount.MinorUnits = 1 + c.chance.Int64N(10_000)
	r.Merchant.MerchantId = fmt.Sprintf("shop-%06d", c.chance.IntN(1_000_000))
	r.Network.Stan = fmt.Sprintf("%06d", c.next%1_000_000)
	r.Network.Rrn = fmt.Sprintf("%04d%08d", c.number%10_000, c.next%100_000_000)
	r.Network.TransmittedAt.Seconds, r.Network.TransmittedAt.Nanos = now.Unix(), int32(now.Nanosecond())
	return r
}

// authorizeUniform authorizes a purchase on any account.
func authorizeUniform(ctx context.Context, c *caller) error {
	return c.send(ctx, c.fill(c.chance.IntN(c.accounts)))
}

// authorizeHot authorizes a purchase on the one account that everybody uses.
func authorizeHot(ctx context.Context, c *caller) error { return c.send(ctx, c.fill(0)) }

// send sends an authorization and wants it approved.
func (c *caller) send(ctx context.Context, request *transactionsv1.AuthorizeRequest) error {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	answer, err := c.service.Authorize(ctx, request)
	return c.note(request.GetAmount().GetMinorUnits(), answer, err)
}

// note keeps account of an authorization's answer, which must be an approval.
func (c *caller) note(amount int64, answer *transactionsv1.AuthorizeResponse, err error) error {
	if err != nil {
		c.tally.unknown.Add(amount)
		return plain("Authorize", err)
	}
	decision := answer.GetDecision()
	if decision.GetOutcome() != typev1.Outcome_OUTCOME_APPROVED {
		return fmt.Errorf("an authorization ended with %s %s", decision.GetOutcome(), decision.GetDeclineReason())
	}
	c.tally.acknowledged.Add(amount)
	return nil
}

// authorizeAndPresent authorizes a purchase on any account, and clears it when that is answered.
func authorizeAndPresent(ctx context.Context, c *caller) error {
	if err := authorizeUniform(ctx, c); err != nil {
		return err
	}
	c.presented.CardId = c.card.CardId
	c.present.TransactionId, c.present.PresentmentId = c.authorize.TransactionId, c.authorize.TransactionId+"-1"
	c.present.PresentedAt.Seconds = time.Now().Unix()
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	_, err := c.service.Present(ctx, &c.present)
	return plain("Present", err)
}

// getBalance asks for the balances of any account.
func getBalance(ctx context.Context, c *caller) error {
	c.asked.CardId = cardID(c.chance.IntN(c.accounts))
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	_, err := c.service.GetBalance(ctx, &c.balance)
	return plain("GetBalance", err)
}

// plain is an error of a call in one line; nil for none.
func plain(call string, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	return fmt.Errorf("%s: %s: %s", call, s.Code(), s.Message())
}

// dial opens a connection to a server.
func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// retryable says whether a call may get through when it is sent again.
func retryable(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.ResourceExhausted
}

// retryWait is how long a call that was refused waits, and retryBound how often it is tried.
const (
	retryWait  = 100 * time.Millisecond
	retryBound = 100
)

// insist makes a call until it gets through, for a bounded time.
func insist(ctx context.Context, call func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		bounded, cancel := context.WithTimeout(ctx, callBound)
		err := call(bounded)
		cancel()
		if err == nil || !retryable(err) || attempt == retryBound {
			return err
		}
		select {
		case <-time.After(retryWait):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}
