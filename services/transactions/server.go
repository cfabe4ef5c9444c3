package transactions

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// Authorize decides a purchase.
func (s *Service) Authorize(ctx context.Context, r *transactionsv1.AuthorizeRequest) (*transactionsv1.AuthorizeResponse, error) {
	if err := checkTime("network.transmitted_at", r.GetNetwork().GetTransmittedAt()); err != nil {
		return nil, err
	}
	ref, err := s.resolve(ctx, r)
	if errors.Is(err, errUnknownCard) {
		return s.unknownCard(ctx, r), nil
	}
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, authorizeCommand(r, ref))
	if err != nil {
		return nil, err
	}
	return authorizeResponse(r, decision), nil
}

func authorizeCommand(r *transactionsv1.AuthorizeRequest, ref cardRef) ledger.Command {
	return &ledger.Authorize{
		AccountID: ref.account, TransactionID: r.GetTransactionId(), CardID: ref.card,
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(),
		Merchant: r.GetMerchant(), Network: r.GetNetwork(),
		PartialApprovalAllowed: r.GetPartialApprovalAllowed(), EntryMode: r.GetEntryMode(), PreAuthorization: r.GetPreAuthorization(), Refund: r.GetRefund(),
	}
}

func authorizeResponse(r *transactionsv1.AuthorizeRequest, decision *transactionsv1.Decision) *transactionsv1.AuthorizeResponse {
	return &transactionsv1.AuthorizeResponse{TransactionId: r.GetTransactionId(), Result: &transactionsv1.AuthorizeResponse_Decision{Decision: decision}}
}

// unknownCard declines a purchase with a card that nobody has. There is no account to store it with.
func (s *Service) unknownCard(ctx context.Context, r *transactionsv1.AuthorizeRequest) *transactionsv1.AuthorizeResponse {
	s.options.Logger.InfoContext(ctx, "declined an unknown card", slog.String("transaction", r.GetTransactionId()))
	const reason = typev1.DeclineReason_DECLINE_REASON_UNKNOWN_CARD
	decision := &transactionsv1.Decision{TransactionId: r.GetTransactionId(), Outcome: typev1.Outcome_OUTCOME_DECLINED, DeclineReason: reason, ResponseCode: ledger.ResponseCode(reason)}
	s.meter.count(decision)
	return authorizeResponse(r, decision)
}

// IncrementAuthorization asks to raise a hold.
func (s *Service) IncrementAuthorization(ctx context.Context, r *transactionsv1.IncrementAuthorizationRequest) (*transactionsv1.IncrementAuthorizationResponse, error) {
	if err := checkTime("network.transmitted_at", r.GetNetwork().GetTransmittedAt()); err != nil {
		return nil, err
	}
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.IncrementAuthorization{
		AccountID: ref.account, TransactionID: r.GetTransactionId(), IncrementID: r.GetIncrementId(), CardID: ref.card,
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(), Network: r.GetNetwork(),
	})
	return &transactionsv1.IncrementAuthorizationResponse{Decision: decision}, err
}

// AdviseAuthorization records what the network decided in our place, or what a purchase came to.
func (s *Service) AdviseAuthorization(ctx context.Context, r *transactionsv1.AdviseAuthorizationRequest) (*transactionsv1.AdviseAuthorizationResponse, error) {
	if err := checkTime("network.transmitted_at", r.GetNetwork().GetTransmittedAt()); err != nil {
		return nil, err
	}
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.AdviseAuthorization{
		AccountID: ref.account, TransactionID: r.GetTransactionId(), AdviceID: r.GetAdviceId(), CardID: ref.card, Advice: r.GetKind(),
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(), Merchant: r.GetMerchant(), Network: r.GetNetwork(),
	})
	return &transactionsv1.AdviseAuthorizationResponse{Decision: decision}, err
}

// ReverseAuthorization releases all or part of a hold.
func (s *Service) ReverseAuthorization(ctx context.Context, r *transactionsv1.ReverseAuthorizationRequest) (*transactionsv1.ReverseAuthorizationResponse, error) {
	if err := checkTime("network.transmitted_at", r.GetNetwork().GetTransmittedAt()); err != nil {
		return nil, err
	}
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.ReverseAuthorization{
		AccountID: ref.account, TransactionID: r.GetTransactionId(), ReversalID: r.GetReversalId(),
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(), Network: r.GetNetwork(),
	})
	return &transactionsv1.ReverseAuthorizationResponse{Decision: decision}, err
}

// Present posts a merchant's claim.
func (s *Service) Present(ctx context.Context, r *transactionsv1.PresentRequest) (*transactionsv1.PresentResponse, error) {
	if err := checkTime("presented_at", r.GetPresentedAt()); err != nil {
		return nil, err
	}
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, presentCommand(r, ref))
	if err != nil {
		return nil, err
	}
	return presentResponse(r, decision), nil
}

func presentCommand(r *transactionsv1.PresentRequest, ref cardRef) ledger.Command {
	return &ledger.Present{
		AccountID: ref.account, PresentmentID: r.GetPresentmentId(), TransactionID: r.GetTransactionId(), NewTransactionID: newTransactionID(), CardID: ref.card,
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(), MoreToCome: r.GetMoreToCome(), PresentedAt: r.GetPresentedAt(), Merchant: r.GetMerchant(),
	}
}

func presentResponse(r *transactionsv1.PresentRequest, decision *transactionsv1.Decision) *transactionsv1.PresentResponse {
	return &transactionsv1.PresentResponse{PresentmentId: r.GetPresentmentId(), Result: &transactionsv1.PresentResponse_Decision{Decision: decision}}
}

// ReversePresentment takes a presentment back.
func (s *Service) ReversePresentment(ctx context.Context, r *transactionsv1.ReversePresentmentRequest) (*transactionsv1.ReversePresentmentResponse, error) {
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.ReversePresentment{AccountID: ref.account, PresentmentID: r.GetPresentmentId(), ReversalID: r.GetReversalId()})
	return &transactionsv1.ReversePresentmentResponse{Decision: decision}, err
}

// Refund posts money that a merchant gives back.
func (s *Service) Refund(ctx context.Context, r *transactionsv1.RefundRequest) (*transactionsv1.RefundResponse, error) {
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.Refund{
		AccountID: ref.account, RefundID: r.GetRefundId(), TransactionID: r.GetTransactionId(), NewTransactionID: newTransactionID(), CardID: ref.card,
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(), Merchant: r.GetMerchant(),
	})
	return &transactionsv1.RefundResponse{Decision: decision}, err
}

// ReverseRefund takes a refund back.
func (s *Service) ReverseRefund(ctx context.Context, r *transactionsv1.ReverseRefundRequest) (*transactionsv1.ReverseRefundResponse, error) {
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.ReverseRefund{AccountID: ref.account, RefundID: r.GetRefundId(), ReversalID: r.GetReversalId()})
	return &transactionsv1.ReverseRefundResponse{Decision: decision}, err
}

// CreditDispute credits what was cleared while it is disputed.
func (s *Service) CreditDispute(ctx context.Context, r *transactionsv1.CreditDisputeRequest) (*transactionsv1.CreditDisputeResponse, error) {
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.CreditDispute{
		AccountID: ref.account, TransactionID: r.GetTransactionId(), DisputeID: r.GetDisputeId(),
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(),
	})
	return &transactionsv1.CreditDisputeResponse{Decision: decision}, err
}

// ReverseDisputeCredit takes a dispute credit back.
func (s *Service) ReverseDisputeCredit(ctx context.Context, r *transactionsv1.ReverseDisputeCreditRequest) (*transactionsv1.ReverseDisputeCreditResponse, error) {
	ref, err := s.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	decision, err := s.decide(ctx, &ledger.ReverseDisputeCredit{
		AccountID: ref.account, TransactionID: r.GetTransactionId(), DisputeID: r.GetDisputeId(),
		Amount: r.GetAmount().GetMinorUnits(), Currency: r.GetAmount().GetCurrencyCode(),
	})
	return &transactionsv1.ReverseDisputeCreditResponse{Decision: decision}, err
}

// checkTime returns an error for a timestamp that is no time: validation rules cannot say that.
func checkTime(field string, t *timestamppb.Timestamp) error {
	if t == nil || t.IsValid() {
		return nil
	}
	return failure.InvalidField(field, "is not a time in the years 1 to 9999")
}

// newTransactionID names a transaction that no caller named. Chance keeps it apart from theirs.
func newTransactionID() string { return "txn-" + rand.Text() }

// decide has a command decided and returns the stored answer.
func (s *Service) decide(ctx context.Context, c ledger.Command) (*transactionsv1.Decision, error) {
	began := time.Now()
	stored, err := s.shard(c.Account()).Submit(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.decided(stored, began), nil
}

// decided makes the answer of what was decided and stored.
func (s *Service) decided(stored engine.Result[*eventsv1.LedgerEvent], began time.Time) *transactionsv1.Decision {
	decision := decisionOf(stored.Event, stored.Sequence)
	decision.Duplicate = stored.Duplicate
	s.meter.decided(decision, time.Since(began))
	return decision
}

// GetBalance returns the balances now, after an event, or at a time.
func (s *Service) GetBalance(ctx context.Context, r *transactionsv1.GetBalanceRequest) (*transactionsv1.GetBalanceResponse, error) {
	if err := checkTime("as_of_time", r.GetAsOfTime()); err != nil {
		return nil, err
	}
	ref, err := s.resolveRead(ctx, r)
	if err != nil {
		return nil, err
	}
	shard := s.shard(ref.account)
	view, known, err := shard.View(ctx, ref.account)
	if err == nil && !known {
		err = accountNotFound(ref.account)
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	if now.Before(view.DecidedAt) {
		now = view.DecidedAt
	}
	switch at := r.GetAsOf().(type) {
	case *transactionsv1.GetBalanceRequest_AsOfSequence:
		return s.balanceAfter(ctx, ref.account, at.AsOfSequence)
	case *transactionsv1.GetBalanceRequest_AsOfTime:
		return s.balanceAt(ctx, ref.account, at.AsOfTime.AsTime(), now)
	}
	if !view.NextDue.IsZero() && !view.NextDue.After(now) {
		// A hold or a withholding is due and its end not stored yet: they are with the engine.
		if _, err := shard.Ask(ctx, ref.account, func(a *ledger.Account, at time.Time) {
			view, now = a.View(), at
			view.Balances = a.BalancesAt(at)
		}); err != nil {
			return nil, err
		}
	}
	return balanceResponse(ref.account, view.Balances, view.Sequence, now), nil
}

func balanceResponse(accountID string, balances ledger.Balances, sequence uint64, asOf time.Time) *transactionsv1.GetBalanceResponse {
	return &transactionsv1.GetBalanceResponse{AccountId: accountID, Balances: balancesMessage(balances), Sequence: sequence, AsOf: timestamppb.New(asOf)}
}

const defaultPage = 50

// ListTransactions returns a page of transactions, the newest first.
func (s *Service) ListTransactions(ctx context.Context, r *transactionsv1.ListTransactionsRequest) (*transactionsv1.ListTransactionsResponse, error) {
	ref, err := s.resolveRead(ctx, r)
	if err != nil {
		return nil, err
	}
	before, err := pageStart(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(r.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	var last []uint64
	var from uint64
	var more bool
	var now time.Time
	if _, err := s.shard(ref.account).Ask(ctx, ref.account, func(a *ledger.Account, at time.Time) {
		last, from, more = a.Page(before, size)
		now = at
	}); err != nil {
		return nil, err
	}
	events, err := s.readEvents(ctx, ref.account, last)
	if err != nil {
		return nil, err
	}
	response := &transactionsv1.ListTransactionsResponse{}
	for i, event := range events {
		response.Transactions = append(response.Transactions, transactionMessage(event, last[i], now))
	}
	if more {
		response.NextPageToken = pageToken(from)
	}
	return response, nil
}

// entriesBound is how many of a transaction's entries are returned at most: the newest.
const entriesBound = 1000

// GetTransaction returns one transaction with its entries, and the checks that decided it.
func (s *Service) GetTransaction(ctx context.Context, r *transactionsv1.GetTransactionRequest) (*transactionsv1.GetTransactionResponse, error) {
	ref, err := s.resolveRead(ctx, r)
	if err != nil {
		return nil, err
	}
	key, last, now, err := s.findTransaction(ctx, ref.account, r.GetTransactionId())
	if err != nil {
		return nil, err
	}
	// Each event of a transaction names the one before it.
	var found *transactionsv1.Transaction
	var authorization uint64
	for sequence, entries := last, 0; sequence != 0 && entries < entriesBound; entries++ {
		event, err := s.shard(ref.account).ReadEvent(ctx, sequence)
		if err != nil {
			return nil, err
		}
		if found == nil {
			if ledger.TransactionOf(event, sequence).Key() != key {
				return nil, transactionNotFound(ref.account, r.GetTransactionId())
			}
			found, authorization = transactionMessage(event, sequence, now), event.GetTransaction().GetAuthorizationSequence()
		}
		addEntry(found, event, sequence)
		sequence = event.GetTransaction().GetPreviousSequence()
	}
	slices.Reverse(found.Entries)
	if err := s.addDecision(ctx, ref.account, found, authorization); err != nil {
		return nil, err
	}
	return &transactionsv1.GetTransactionResponse{Transaction: found}, nil
}

// findTransaction returns the key of the transaction that an id means, its last event, and the time of that: the transaction of that id, else the payment, else the one
// that the presentment, refund or dispute of that id belongs to.
func (s *Service) findTransaction(ctx context.Context, accountID, id string) (key string, last uint64, now time.Time, err error) {
	var parts []uint64
	_, err = s.shard(accountID).Ask(ctx, accountID, func(a *ledger.Account, at time.Time) {
		now = at
		for _, key = range []string{id, ledger.PaymentKey(id)} {
			if last = a.LastEventOf(key); last != 0 {
				return
			}
		}
		parts = a.PartsNamed(id)
	})
	if err != nil || last != 0 {
		return key, last, now, err
	}
	for _, sequence := range parts {
		event, err := s.shard(accountID).ReadEvent(ctx, sequence)
		if err != nil {
			return "", 0, now, err
		}
		if event.GetEnvelope().GetCommandId() != id {
			continue // it cannot be told apart in memory
		}
		key = event.GetTransaction().GetTransactionId()
		_, err = s.shard(accountID).Ask(ctx, accountID, func(a *ledger.Account, at time.Time) { last, now = a.LastEventOf(key), at })
		return key, last, now, err
	}
	return "", 0, now, transactionNotFound(accountID, id)
}

// addDecision adds the decision of a transaction whose authorization is older than the entries returned.
func (s *Service) addDecision(ctx context.Context, accountID string, found *transactionsv1.Transaction, authorization uint64) error {
	if found.GetDecision() != nil || authorization == 0 {
		return nil
	}
	event, err := s.shard(accountID).ReadEvent(ctx, authorization)
	if err == nil {
		addDecision(found, event, authorization)
	}
	return err
}
