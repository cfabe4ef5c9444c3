package transactions

import (
	"context"
	"time"

	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/vault"
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
// in ACCOUNTS when the call came: whoever set a card to stolen can rely on it at once. Where accounts runs in another process, that is not known; then only what is
// unknown here is waited for.
func (s *Service) resolve(ctx context.Context, r accountRequest) (cardRef, error) {
	select {
	case <-s.ready:
	default:
		return cardRef{}, errStarting
	}
	ref, err := s.find(ctx, r)
	if err != nil || ref.card != "" && s.accounts.Current() {
		return ref, err // a card has an account
	}
	if newest := s.options.Accounts.LastSequence; newest != nil {
		wanted := newest(ref.account)
		if wanted == 0 {
			return ref, accountNotFound(ref.account)
		}
		return ref, catchUp(ctx, s.accounts, func() bool {
			f, known := s.followed(ctx, ref.account)
			return known && f.accounts >= wanted
		})
	}
	known := false
	look := func() bool {
		_, known = s.followed(ctx, ref.account)
		return known
	}
	if !look() {
		if err := s.awaitEnd(ctx, look); err != nil {
			return ref, err
		}
		if !known {
			return ref, accountNotFound(ref.account)
		}
	}
	return ref, nil
}

// resolveRead is resolve for what shows payments: it also waits for those that were taken before the call came.
func (s *Service) resolveRead(ctx context.Context, r accountRequest) (cardRef, error) {
	ref, err := s.resolve(ctx, r)
	newest := s.options.Payments.LastSequence
	if err != nil || newest == nil || s.payments.Current() {
		return ref, err
	}
	wanted := newest(ref.account)
	if wanted == 0 {
		return ref, nil
	}
	return ref, catchUp(ctx, s.payments, func() bool {
		f, _ := s.followed(ctx, ref.account)
		return f.payments >= wanted
	})
}

func accountNotFound(accountID string) error {
	return failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", accountID)
}

// catchUp waits a bounded time until a follower is there.
func catchUp[V any](ctx context.Context, f *follower.Follower[V], there func() bool) error {
	caughtUp, err := f.CatchUp(ctx, catchUpBound, there)
	if err == nil && !caughtUp {
		err = errBehind
	}
	return err
}

// awaitEnd waits until found, or until everything is followed that ACCOUNTS held when the call came.
func (s *Service) awaitEnd(ctx context.Context, found func() bool) error {
	caughtUp, err := s.accounts.AwaitEnd(ctx, catchUpBound, found)
	if err == nil && !caughtUp {
		err = errBehind
	}
	return err
}

// find returns the account and card that a request names. A card that is not in the index is looked for again when the index has caught up.
func (s *Service) find(ctx context.Context, r accountRequest) (ref cardRef, err error) {
	if r.GetAccountId() != "" {
		return cardRef{account: r.GetAccountId()}, nil
	}
	lookup := func() (cardRef, bool) { return s.accounts.View().findID(r.GetCardId()) }
	if r.GetCardNumber() != "" {
		if !vault.LuhnValid(r.GetCardNumber()) {
			return cardRef{}, errUnknownCard // no card can have it: nothing to wait for
		}
		fingerprint := s.options.Key.Fingerprint(r.GetCardNumber())
		lookup = func() (cardRef, bool) { return s.accounts.View().findNumber(fingerprint) }
	}
	known := false
	look := func() bool {
		ref, known = lookup()
		return known
	}
	if look() {
		return ref, nil
	}
	if err := s.awaitEnd(ctx, look); err != nil {
		return cardRef{}, err
	}
	if !known {
		return cardRef{}, errUnknownCard
	}
	return ref, nil
}
