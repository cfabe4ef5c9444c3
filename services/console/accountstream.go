package console

import (
	"context"
	"net/http"
	"time"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

const (
	// freshEvery is how often an account's page is looked at for what its ledger does not tell: its holder, its payments that are held.
	freshEvery = 3 * time.Second
	// calmFor is how long a page rests between two changes, so that a busy account does not flicker.
	calmFor = 150 * time.Millisecond
)

// streamAccount keeps an account's page up to date: the balances, and what else the page has.
func (c *Console) streamAccount(ctx context.Context, r *http.Request, s *stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	accountID, whole := r.PathValue("account"), r.FormValue("whole") != ""
	sequence, err := c.refresh(ctx, accountID, whole, s)
	if err != nil {
		return err
	}
	happened := make(chan struct{}, 1)
	broken := make(chan error, 1)
	go func() { broken <- c.watch(ctx, accountID, sequence, happened) }()
	look, beat := time.NewTicker(freshEvery), time.NewTicker(beatEvery)
	defer look.Stop()
	defer beat.Stop()
	for {
		select {
		case <-happened:
		case <-look.C:
		case <-beat.C:
			if err := s.event("beat", ""); err != nil {
				return err
			}
			continue
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := c.refresh(ctx, accountID, whole, s); err != nil {
			return err
		}
		select {
		case <-time.After(calmFor):
		case <-ctx.Done():
		}
	}
}

// watch notes that something happened on an account, as often as it is asked for.
func (c *Console) watch(ctx context.Context, accountID string, after uint64, happened chan<- struct{}) error {
	events, err := c.transactions.WatchAccount(ctx, &transactionsv1.WatchAccountRequest{
		Account: &transactionsv1.WatchAccountRequest_AccountId{AccountId: accountID}, AfterSequence: &after})
	if err != nil {
		return err
	}
	for {
		if _, err := events.Recv(); err != nil {
			return err
		}
		select {
		case happened <- struct{}{}:
		default:
		}
	}
}

// refresh sends what changed of an account. The page's script hears of a new event and asks for the chart's new points.
func (c *Console) refresh(ctx context.Context, accountID string, whole bool, s *stream) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, pageBound)
	defer cancel()
	contents := map[string]any{}
	var balances *balancesView
	if whole {
		v, err := c.accountView(ctx, accountID, "")
		if err != nil {
			return 0, err
		}
		balances = v.Balances
		contents["standing"], contents["cards"], contents["transactions"], contents["payments"] = v.Account, v.Account, v.Transactions, v
	} else {
		var err error
		if balances, err = c.balance(ctx, accountID); err != nil {
			return 0, err
		}
	}
	contents["balances"] = balances
	if err := s.show(contents); err != nil {
		return 0, err
	}
	if s.moved(balances.Sequence) {
		return balances.Sequence, s.event("moved", "")
	}
	return balances.Sequence, nil
}

// moved says whether a sequence is another one than the page was told of.
func (s *stream) moved(sequence uint64) bool {
	before := s.last
	s.last = sequence
	return before != sequence
}
