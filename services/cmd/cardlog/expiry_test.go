package main

import (
	"testing"
	"time"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// The hold comes due with nobody having looked: the command that meets it first finds it expired, and its transaction still there.
func TestACommandThatMeetsADueHoldFindsItExpired(t *testing.T) {
	t.Parallel()
	clock := newTestClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	c := testConfig(t)
	c.clock = clock.Now
	b, _ := startBank(t, c)
	account := &transactionsv1.PresentRequest_AccountId{AccountId: "alice"}
	b.open("alice", 10_000)
	for _, purchase := range []string{"presented", "reversed"} {
		if _, err := b.authorize(t.Context(), "alice", purchase, 4500); err != nil {
			t.Fatal(err)
		}
	}
	b.wantBalances("alice", 0, 9000, 1000)
	clock.advance(7 * 24 * time.Hour)
	b.wantBalances("alice", 0, 0, 10_000)

	presented, err := b.Present(t.Context(), &transactionsv1.PresentRequest{Account: account, PresentmentId: "p1", TransactionId: "presented", Amount: pounds(4500)})
	if d := presented.GetDecision(); err != nil || !d.GetLate() || d.GetUnmatched() {
		t.Errorf("the presentment: %v, %v", d, err)
	}
	reversed, err := b.ReverseAuthorization(t.Context(), &transactionsv1.ReverseAuthorizationRequest{
		Account: &transactionsv1.ReverseAuthorizationRequest_AccountId{AccountId: "alice"}, TransactionId: "reversed", ReversalId: "r1"})
	if d := reversed.GetDecision(); err != nil || d.GetRejectionReason().String() != "REJECTION_REASON_NOTHING_TO_REVERSE" {
		t.Errorf("the reversal: %v, %v", d, err)
	}
	b.wantBalances("alice", 4500, 0, 5500)
}
