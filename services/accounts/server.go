package accounts

import (
	"container/heap"
	"context"
	"errors"
	"slices"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/accounts/account"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/rpc"
)

type accountEvent = eventsv1.AccountEvent

// result is the stored answer to a command.
type result = engine.Result[*eventsv1.AccountEvent]

// OpenAccount opens an account.
func (s *Service) OpenAccount(ctx context.Context, r *accountsv1.OpenAccountRequest) (*accountsv1.OpenAccountResponse, error) {
	if err := s.serving(); err != nil {
		return nil, err
	}
	accountID := s.nameFor(r.GetAccountId(), "acct-", r.GetRequestId())
	profile := r.GetRulesProfile()
	if profile == "" {
		profile = s.options.DefaultProfile
	}
	if _, exists, err := s.engine.View(ctx, accountID); err != nil || !exists && !s.options.KnownProfile(profile) {
		if err != nil {
			return nil, err
		}
		return nil, failure.InvalidField("rules_profile", "there is no such profile in the rules in force")
	}
	if err := checkCountry(r.GetHolder()); err != nil {
		return nil, err
	}
	key, err := s.keys.GetOrCreate(ctx, accountID)
	if err != nil {
		return nil, keysFailure(err)
	}
	sealed, err := sealHolder(key, r.GetHolder())
	if err != nil {
		return nil, err
	}
	digest, err := digestHolder(key, r.GetHolder())
	if err != nil {
		return nil, err
	}
	header := account.Header{AccountID: accountID, Actor: rpc.Actor(ctx),
		Content: digest.Number(r.GetCreditLimit().GetMinorUnits()).Text(r.GetCreditLimit().GetCurrencyCode(), profile).Sum()}
	stored, err := s.engine.Submit(ctx, &account.Open{Header: header, CreditLimit: r.GetCreditLimit(), RulesProfile: profile,
		SealedHolder: sealed, HomeCountry: r.GetHolder().GetAddress().GetCountryCode()})
	if err != nil {
		return nil, err
	}
	opened, err := s.answer(ctx, stored)
	return &accountsv1.OpenAccountResponse{Account: opened, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// GetAccount returns one account.
func (s *Service) GetAccount(ctx context.Context, r *accountsv1.GetAccountRequest) (*accountsv1.GetAccountResponse, error) {
	if err := s.serving(); err != nil {
		return nil, err
	}
	view, err := s.view(ctx, r.GetAccountId())
	if err != nil {
		return nil, err
	}
	found, err := s.account(ctx, r.GetAccountId(), view.Snapshot, view.Sequence)
	return &accountsv1.GetAccountResponse{Account: found}, err
}

// view returns an account as readers see it, or an error when there is none.
func (s *Service) view(ctx context.Context, accountID string) (account.View, error) {
	view, known, err := s.engine.View(ctx, accountID)
	if err == nil && !known {
		err = notFound(accountID)
	}
	return view, err
}

func notFound(accountID string) error {
	return failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", accountID)
}

const defaultPage = 50

// ListAccounts returns a page of accounts in ascending order of their ids.
func (s *Service) ListAccounts(ctx context.Context, r *accountsv1.ListAccountsRequest) (*accountsv1.ListAccountsResponse, error) {
	if err := s.serving(); err != nil {
		return nil, err
	}
	size := int(r.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	// The smallest size+1 ids after the token: a heap of that size over all accounts, so nothing need be kept in order.
	var page largestFirst
	s.engine.Each(func(id string, _ *account.View, _ string) bool {
		if id <= r.GetPageToken() {
			return true
		}
		if heap.Push(&page, id); len(page) > size+1 {
			heap.Pop(&page)
		}
		return true
	})
	slices.Sort(page)
	response := &accountsv1.ListAccountsResponse{}
	for i, id := range page {
		if i == size {
			response.NextPageToken = page[i-1]
			break
		}
		view, err := s.view(ctx, id)
		if err != nil {
			return nil, err
		}
		listed, err := s.account(ctx, id, view.Snapshot, view.Sequence)
		if err != nil {
			return nil, err
		}
		response.Accounts = append(response.Accounts, listed)
	}
	return response, nil
}

// largestFirst is a heap of ids with the largest on top.
type largestFirst []string

func (h largestFirst) Len() int           { return len(h) }
func (h largestFirst) Less(i, j int) bool { return h[i] > h[j] }
func (h largestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *largestFirst) Push(id any) { *h = append(*h, id.(string)) }

// Pop is for package heap.
func (h *largestFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// UpdateCreditLimit sets the credit limit.
func (s *Service) UpdateCreditLimit(ctx context.Context, r *accountsv1.UpdateCreditLimitRequest) (*accountsv1.UpdateCreditLimitResponse, error) {
	content := command.NewDigest().Number(r.GetCreditLimit().GetMinorUnits()).Text(r.GetCreditLimit().GetCurrencyCode())
	changed, stored, err := s.submit(ctx, &account.SetCreditLimit{Header: header(ctx, r, content), CreditLimit: r.GetCreditLimit()})
	return &accountsv1.UpdateCreditLimitResponse{Account: changed, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// holderUpdates is how often UpdateHolder starts again when somebody else changed the account meanwhile.
const holderUpdates = 10

// UpdateHolder changes the holder's details.
func (s *Service) UpdateHolder(ctx context.Context, r *accountsv1.UpdateHolderRequest) (*accountsv1.UpdateHolderResponse, error) {
	if err := s.serving(); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		update, err := s.holderUpdate(ctx, r)
		if err != nil {
			return nil, err
		}
		changed, stored, err := s.submit(ctx, update)
		var f *failure.Error
		if attempt < holderUpdates && r.GetExpectedSequence() == 0 && errors.As(err, &f) && f.Reason == "SEQUENCE_MISMATCH" {
			continue // the details were merged with ones that are no longer the newest
		}
		return &accountsv1.UpdateHolderResponse{Account: changed, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
	}
}

// holderUpdate merges an update with the holder as it is now.
func (s *Service) holderUpdate(ctx context.Context, r *accountsv1.UpdateHolderRequest) (*account.UpdateHolder, error) {
	view, err := s.view(ctx, r.GetAccountId())
	if err != nil {
		return nil, err
	}
	holder, err := s.holderOf(ctx, r.GetAccountId(), view.Snapshot)
	if err != nil {
		return nil, err
	}
	key, err := s.keys.GetOrCreate(ctx, r.GetAccountId())
	if err != nil {
		return nil, keysFailure(err)
	}
	merged, err := mergeHolder(holder, r.GetHolder(), r.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	if err := rpc.Validate(&accountsv1.OpenAccountRequest{Holder: merged, CreditLimit: view.Snapshot.GetCreditLimit()}); err != nil {
		return nil, err
	}
	if err := checkCountry(merged); err != nil {
		return nil, err
	}
	sealed, err := sealHolder(key, merged)
	if err != nil {
		return nil, err
	}
	content, err := digestHolder(key, r.GetHolder())
	if err != nil {
		return nil, err
	}
	h := header(ctx, r, content.Text(r.GetUpdateMask().GetPaths()...))
	if h.ExpectedSequence == 0 {
		h.ExpectedSequence = view.Sequence
	}
	return &account.UpdateHolder{Header: h, SealedHolder: sealed, HomeCountry: merged.GetAddress().GetCountryCode(), Paths: r.GetUpdateMask().GetPaths()}, nil
}

// SetAccountState sets the account's state.
func (s *Service) SetAccountState(ctx context.Context, r *accountsv1.SetAccountStateRequest) (*accountsv1.SetAccountStateResponse, error) {
	content := command.NewDigest().Number(int64(r.GetState())).Text(r.GetReason())
	changed, stored, err := s.submit(ctx, &account.SetState{Header: header(ctx, r, content), State: r.GetState(), Reason: r.GetReason()})
	return &accountsv1.SetAccountStateResponse{Account: changed, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// write is what the requests of all writes have in common.
type write interface {
	GetAccountId() string
	GetRequestId() string
	GetExpectedSequence() uint64
}

func header(ctx context.Context, r write, content command.Digest) account.Header {
	return account.Header{AccountID: r.GetAccountId(), RequestID: r.GetRequestId(), ExpectedSequence: r.GetExpectedSequence(), Actor: rpc.Actor(ctx), Content: content.Sum()}
}

// submit has a command decided and returns the account as its event left it.
func (s *Service) submit(ctx context.Context, c account.Command) (*accountsv1.Account, result, error) {
	stored, err := s.engine.Submit(ctx, c)
	if err != nil {
		return nil, stored, err
	}
	answered, err := s.answer(ctx, stored)
	return answered, stored, err
}

func (s *Service) answer(ctx context.Context, stored result) (*accountsv1.Account, error) {
	return s.account(ctx, stored.Event.GetEnvelope().GetAccountId(), stored.Event.GetAccount(), stored.Sequence)
}

// account makes the answer from a snapshot.
func (s *Service) account(ctx context.Context, accountID string, snapshot *eventsv1.AccountSnapshot, sequence uint64) (*accountsv1.Account, error) {
	holder, err := s.holderOf(ctx, accountID, snapshot)
	if err != nil {
		return nil, err
	}
	a := &accountsv1.Account{
		AccountId: accountID, Holder: holder, CreditLimit: snapshot.GetCreditLimit(), State: snapshot.GetState(), RulesProfile: snapshot.GetRulesProfile(),
		Controls: snapshot.GetControls(),
		OpenedAt: snapshot.GetOpenedAt(), UpdatedAt: snapshot.GetUpdatedAt(), Sequence: sequence,
	}
	for _, c := range snapshot.GetCards() {
		a.Cards = append(a.Cards, cardOf(c))
	}
	return a, nil
}
