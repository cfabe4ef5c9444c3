package bench

import (
	"context"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Echo answers every authorization at once, with a decision as large as a real one: what gRPC itself can do. It has a process of its own, so that a server that is
// measured needs no code for it, and that the processor time of each can be told.
type Echo struct {
	transactionsv1.UnimplementedTransactionsServiceServer
}

// Authorize decides nothing.
func (Echo) Authorize(_ context.Context, r *transactionsv1.AuthorizeRequest) (*transactionsv1.AuthorizeResponse, error) {
	money := func(minor int64) *typev1.Money { return &typev1.Money{CurrencyCode: currency, MinorUnits: minor} }
	amount := r.GetAmount().GetMinorUnits()
	return &transactionsv1.AuthorizeResponse{TransactionId: r.GetTransactionId(), Result: &transactionsv1.AuthorizeResponse_Decision{Decision: &transactionsv1.Decision{
		TransactionId: r.GetTransactionId(), Outcome: typev1.Outcome_OUTCOME_APPROVED, ResponseCode: "00", ApprovalCode: "123456",
		ApprovedAmount: money(amount), HeldAmount: money(amount), Sequence: 1_000_000,
		Balances: &transactionsv1.Balances{CreditLimit: money(creditLimit), Posted: money(0), Pending: money(50 * amount), Withheld: money(0), Available: money(creditLimit - 50*amount)},
	}}}, nil
}
