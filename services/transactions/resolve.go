package transactions

import (
	"context"
	"time"

	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/vault"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// catchUpBound is how long a call waits for what was stored before it came.
const catchUpBound = 500 * time.Millisecond

// accountRequest is what every request has that names an account.
type accountRequest interface {
	GetAccountId() string
	GetCardId() string
	GetCardNumber() string
}

var (
	errUnknownCard = failure.New(failure.NotFound, "CARD_NOT_FOUND", "there is no such card")
	errStarting    = failure.New(failure.Unavailable, "STARTING", "the service is recovering from its log; try again with the same id")
	errBehind      = failure.New(failure.Unavailable, "CATCHING_UP", "the ledger has not caught up with the account yet; try again with the same id")
)

// resolve finds the account that a request names, and the card where it names one, and waits until the ledger has seen everything about the account that was durable
// in ACCOUNTS when the call came: whoever set a card to stolen can rely on it at once.
func (s *Service) resolve(ctx context.Context, r accountRequest) (cardRef, ledger.View, error) {
	select {
	case <-s.ready:
	default:
		return cardRef{}, ledger.View{}, errStarting
	}
	ref, err := s.find(ctx, r)
	if err != nil {
		return ref, ledger.View{}, err
	}
	wanted := s.options.Accounts.LastSequence(ref.account)
	if wanted == 0 {
		return ref, ledger.View{}, failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", ref.account)
	}
	var view ledger.View
	caughtUp := func() bool {
		view, _ = s.shard(ref.account).View(ref.account)
		return view.AccountsSequence >= wanted
	}
	err = s.catchUp(ctx, caughtUp)
	return ref, view, err
}

// catchUp waits a bounded time until the follower is there.
func (s *Service) catchUp(ctx context.Context, there func() bool) error {
	if there() {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, catchUpBound)
	defer cancel()
	if s.follower.await(waiting, there) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errBehind
}

// find returns the account and card that a request names. A card that is not in the index is looked for again when the index has caught up.
func (s *Service) find(ctx context.Context, r accountRequest) (cardRef, error) {
	if r.GetAccountId() != "" {
		return cardRef{account: r.GetAccountId()}, nil
	}
	lookup := func() (cardRef, bool) { return s.follower.cards.findID(r.GetCardId()) }
	if r.GetCardNumber() != "" {
		if !vault.LuhnValid(r.GetCardNumber()) {
			return cardRef{}, errUnknownCard // no card can have it: nothing to wait for
		}
		fingerprint := s.options.Key.Fingerprint(r.GetCardNumber())
		lookup = func() (cardRef, bool) { return s.follower.cards.findNumber(fingerprint) }
	}
	if ref, known := lookup(); known {
		return ref, nil
	}
	end, _ := s.options.Accounts.Stream().Durable()
	indexed := func() bool { _, indexed := s.follower.positions(); return indexed >= end }
	if err := s.catchUp(ctx, indexed); err != nil {
		return cardRef{}, err
	}
	if ref, known := lookup(); known {
		return ref, nil
	}
	return cardRef{}, errUnknownCard
}
