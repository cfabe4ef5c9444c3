package payments

import (
	"context"
	"strconv"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/payments/payment"
)

// result is the stored answer to a command.
type result = engine.Result[*eventsv1.PaymentEvent]

// SubmitPayment takes a payment, holds it for review, or rejects it.
func (s *Service) SubmitPayment(ctx context.Context, r *paymentsv1.SubmitPaymentRequest) (*paymentsv1.SubmitPaymentResponse, error) {
	standing, err := s.standing(ctx, r.GetAccountId())
	if err != nil {
		return nil, err
	}
	amount, source := r.GetAmount(), r.GetSource()
	content := command.NewDigest().Number(amount.GetMinorUnits()).Text(amount.GetCurrencyCode()).Number(int64(source.GetType())).Text(source.GetSourceId())
	taken, stored, err := s.submit(ctx, &payment.Submit{
		Header:    payment.Header{AccountID: r.GetAccountId(), ExpectedSequence: r.GetExpectedSequence(), Actor: rpc.Actor(ctx), Content: content.Sum()},
		PaymentID: r.GetPaymentId(), Amount: amount.GetMinorUnits(), Currency: amount.GetCurrencyCode(),
		SourceType: source.GetType(), SourceID: source.GetSourceId(), Standing: standing,
	})
	return &paymentsv1.SubmitPaymentResponse{Payment: taken, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// ReleasePayment approves a held payment, or ends the withholding of one that was taken.
func (s *Service) ReleasePayment(ctx context.Context, r *paymentsv1.ReleasePaymentRequest) (*paymentsv1.ReleasePaymentResponse, error) {
	content := command.NewDigest().Text(r.GetPaymentId())
	released, stored, err := s.submit(ctx, &payment.Release{Header: header(ctx, r, content), PaymentID: r.GetPaymentId()})
	return &paymentsv1.ReleasePaymentResponse{Payment: released, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// CancelPayment gives a held payment up.
func (s *Service) CancelPayment(ctx context.Context, r *paymentsv1.CancelPaymentRequest) (*paymentsv1.CancelPaymentResponse, error) {
	content := command.NewDigest().Text(r.GetPaymentId(), r.GetReason())
	cancelled, stored, err := s.submit(ctx, &payment.Cancel{Header: header(ctx, r, content), PaymentID: r.GetPaymentId(), Reason: r.GetReason()})
	return &paymentsv1.CancelPaymentResponse{Payment: cancelled, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// ReturnPayment takes back a payment that the payer's bank returned.
func (s *Service) ReturnPayment(ctx context.Context, r *paymentsv1.ReturnPaymentRequest) (*paymentsv1.ReturnPaymentResponse, error) {
	content := command.NewDigest().Text(r.GetPaymentId(), r.GetReturnCode(), r.GetReason())
	returned, stored, err := s.submit(ctx, &payment.Return{Header: header(ctx, r, content),
		PaymentID: r.GetPaymentId(), ReturnCode: r.GetReturnCode(), Reason: r.GetReason()})
	return &paymentsv1.ReturnPaymentResponse{Payment: returned, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// write is what the requests of the writes with a request_id have in common.
type write interface {
	GetAccountId() string
	GetRequestId() string
	GetExpectedSequence() uint64
}

func header(ctx context.Context, r write, content command.Digest) payment.Header {
	return payment.Header{AccountID: r.GetAccountId(), RequestID: r.GetRequestId(), ExpectedSequence: r.GetExpectedSequence(),
		Actor: rpc.Actor(ctx), Content: content.Sum()}
}

// submit has a command decided and returns the payment as its event left it, so that a repeat gets the same.
func (s *Service) submit(ctx context.Context, c payment.Command) (*paymentsv1.Payment, result, error) {
	if err := s.serving(); err != nil {
		return nil, result{}, err
	}
	stored, err := s.engine.Submit(ctx, c)
	if err != nil {
		return nil, stored, err
	}
	s.count(stored)
	left := paymentMessage(c.Account(), stored.Event.GetPayment(), stored.Sequence, stored.Event.GetEnvelope().GetDecidedAt().AsTime())
	addChecks(left, stored.Event.GetAssessment())
	return left, stored, nil
}

// GetPayment returns one payment with its checks.
func (s *Service) GetPayment(ctx context.Context, r *paymentsv1.GetPaymentRequest) (*paymentsv1.GetPaymentResponse, error) {
	if err := s.serving(); err != nil {
		return nil, err
	}
	var found payment.Payment
	var known bool
	var now time.Time
	if _, err := s.engine.Ask(ctx, r.GetAccountId(), func(a *payment.Account, at time.Time) {
		found, known = a.Payment(r.GetPaymentId())
		now = at
	}); err != nil {
		return nil, err
	}
	if !known {
		if _, err := s.standing(ctx, r.GetAccountId()); err != nil {
			return nil, err
		}
		return nil, failure.New(failure.NotFound, "PAYMENT_NOT_FOUND", "account %s has no payment %s", r.GetAccountId(), r.GetPaymentId())
	}
	first, err := s.engine.ReadEvent(ctx, found.First)
	if err != nil {
		return nil, err
	}
	message := paymentMessage(r.GetAccountId(), found.Snapshot, found.Last, now)
	addChecks(message, first.GetAssessment())
	return &paymentsv1.GetPaymentResponse{Payment: message}, nil
}

const defaultPage = 50

// ListPayments returns a page of an account's payments, the newest first.
func (s *Service) ListPayments(ctx context.Context, r *paymentsv1.ListPaymentsRequest) (*paymentsv1.ListPaymentsResponse, error) {
	if err := s.serving(); err != nil {
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
	var page []payment.Payment
	var from uint64
	var more bool
	var now time.Time
	known, err := s.engine.Ask(ctx, r.GetAccountId(), func(a *payment.Account, at time.Time) {
		page, from, more = a.Page(before, size)
		now = at
	})
	if err == nil && !known {
		_, err = s.standing(ctx, r.GetAccountId())
	}
	if err != nil {
		return nil, err
	}
	response := &paymentsv1.ListPaymentsResponse{}
	for _, listed := range page {
		response.Payments = append(response.Payments, paymentMessage(r.GetAccountId(), listed.Snapshot, listed.Last, now))
	}
	if more {
		response.NextPageToken = strconv.FormatUint(from, 10)
	}
	return response, nil
}

// pageStart reads a page token: the sequence at which the page before ended.
func pageStart(token string) (uint64, error) {
	if token == "" {
		return 0, nil
	}
	before, err := strconv.ParseUint(token, 10, 64)
	if err != nil {
		return 0, failure.InvalidField("page_token", "is not a token that this service gave")
	}
	return before, nil
}
