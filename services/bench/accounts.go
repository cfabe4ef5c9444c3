package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

const (
	// creditLimit of every account, in minor units: nothing is declined.
	creditLimit = 1_000_000_000_000
	// settingUp is how many calls are under way while accounts are opened and read.
	settingUp = 512
	// followBound is how long the ledger, and the feed, may take to catch up.
	followBound = 10 * time.Minute
	// followLook is how often that is looked at.
	followLook = 50 * time.Millisecond
)

// openAccounts opens the first accounts with a card each, as far as they are not there, and waits until the ledger knows them.
func (r *run) openAccounts(ctx context.Context, t *target, accounts int) error {
	err := r.eachAccount(ctx, t, accounts, "opening accounts", func(ctx context.Context, connection *grpc.ClientConn, number int) error {
		service := accountsv1.NewAccountsServiceClient(connection)
		holder := &accountsv1.Holder{FullName: "Benchmark", Address: &accountsv1.Address{CountryCode: "GB"}}
		limit := &typev1.Money{CurrencyCode: currency, MinorUnits: creditLimit}
		if _, err := service.OpenAccount(ctx, &accountsv1.OpenAccountRequest{AccountId: accountID(number), Holder: holder, CreditLimit: limit}); err != nil {
			return err
		}
		_, err := service.IssueCard(ctx, &accountsv1.IssueCardRequest{AccountId: accountID(number), CardId: cardID(number), Activate: true})
		return err
	})
	if err != nil {
		return fmt.Errorf("open the accounts: %w", err)
	}
	return r.awaitFollowers(ctx, t)
}

// eachAccount does something for each of the first accounts, many at a time.
func (r *run) eachAccount(ctx context.Context, t *target, accounts int, what string, do func(context.Context, *grpc.ClientConn, int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for worker := range min(settingUp, accounts) {
		connection := t.connections[worker%len(t.connections)]
		workers.Go(func() {
			for number := next.Add(1) - 1; number < int64(accounts) && ctx.Err() == nil; number = next.Add(1) - 1 {
				if err := insist(ctx, func(ctx context.Context) error { return do(ctx, connection, int(number)) }); err != nil {
					stop(err)
					return
				}
				done.Add(1)
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		workers.Wait()
		close(ended)
	}()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			r.tell(false, "%s: %d of %d", what, done.Load(), accounts)
		case <-ended:
			return context.Cause(ctx)
		}
	}
}

// awaitFollowers returns when the server's services have followed one another's logs to the end.
func (r *run) awaitFollowers(ctx context.Context, t *target) error {
	ctx, cancel := context.WithTimeout(ctx, followBound)
	defer cancel()
	for looks := 0; ; looks++ {
		status, err := t.status(ctx)
		if err != nil {
			return err
		}
		var behind uint64
		for _, follower := range status.GetFollowers() {
			behind = max(behind, follower.GetLag())
		}
		if behind == 0 {
			return nil
		}
		if looks%20 == 0 {
			r.tell(false, "waiting until all is followed: %d events behind", behind)
		}
		select {
		case <-time.After(followLook):
		case <-ctx.Done():
			return fmt.Errorf("a follower is %d events behind: %w", behind, ctx.Err())
		}
	}
}

func (t *target) status(ctx context.Context) (*adminv1.GetStatusResponse, error) {
	var answer *adminv1.GetStatusResponse
	err := insist(ctx, func(ctx context.Context) (err error) {
		answer, err = adminv1.NewOperationsServiceClient(t.connections[0]).GetStatus(ctx, &adminv1.GetStatusRequest{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ask the server how far it is: %w", err)
	}
	return answer, nil
}

// extent is how much the ledger holds.
type extent struct{ events, bytes uint64 }

func (r *run) ledgerExtent(ctx context.Context, t *target) (e extent, err error) {
	status, err := t.status(ctx)
	if err != nil {
		return e, err
	}
	for _, stream := range status.GetStreams() {
		if stream.GetWriter() == "transactions" {
			e.events += stream.GetLastSequence()
			e.bytes += stream.GetBytes()
		}
	}
	if e.events == 0 {
		return e, errors.New("the server does not write the ledger: name the one that runs all services, or transactions")
	}
	return e, nil
}

// checkBalances holds what the accounts hold in the end against what was answered. It is left out for a server that others use too.
func (r *run) checkBalances(ctx context.Context) error {
	if r.quiet == nil || !r.quiet.opened || r.report.Given {
		return nil
	}
	var found atomic.Int64
	err := r.eachAccount(ctx, r.quiet, r.Accounts, "checking balances", func(ctx context.Context, connection *grpc.ClientConn, number int) error {
		answer, err := transactionsv1.NewTransactionsServiceClient(connection).GetBalance(ctx, &transactionsv1.GetBalanceRequest{
			Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: accountID(number)}})
		found.Add(answer.GetBalances().GetPosted().GetMinorUnits() + answer.GetBalances().GetPending().GetMinorUnits())
		return err
	})
	if err != nil {
		return fmt.Errorf("check the balances: %w", err)
	}
	check := &Check{Acknowledged: r.quiet.tally.acknowledged.Load(), Found: found.Load(), Unknown: r.quiet.tally.unknown.Load()}
	r.report.Check = check
	if check.Found < check.Acknowledged || check.Found > check.Acknowledged+check.Unknown {
		return fmt.Errorf("the accounts hold %d minor units, answered were %d (and %d in calls that failed): cardlog lost or made money", check.Found, check.Acknowledged, check.Unknown)
	}
	return nil
}
