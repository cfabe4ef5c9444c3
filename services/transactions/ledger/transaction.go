package ledger

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Transaction is the state of one purchase, or of a refund without one. Amounts are in minor units.
type Transaction struct {
	// ID is the transaction's id, CardID the card that was used, if one was named.
	ID, CardID string
	// Merchant as far as a message told.
	Merchant *typev1.Merchant
	// OpenedAt is when its first event was decided.
	OpenedAt time.Time
	// Authorized, Held, Cleared, Refunded, Reversed and Expired are sums; Held is what is held now.
	Authorized, Held, Cleared, Refunded, Reversed, Expired int64
	// ExpiresAt is when the hold comes due; zero when nothing was ever held.
	ExpiresAt time.Time
	// Expiries counts how often a hold of it expired.
	Expiries int32
	// Authorization is the outcome of its authorization; unspecified when there is none.
	Authorization typev1.Outcome
	// FinalPresented says that a presentment was the last one.
	FinalPresented bool

	// Sequences of its first event, its last event and its authorization. They are 0 for what is not stored yet.
	first, last, authorization uint64
}

// TransactionOf returns the transaction that a stored event carries, or nil.
func TransactionOf(event *eventsv1.LedgerEvent, sequence uint64) *Transaction {
	if event.GetTransaction() == nil {
		return nil
	}
	return transactionOf(event.GetTransaction(), sequence)
}

func transactionOf(r *eventsv1.TransactionRecord, sequence uint64) *Transaction {
	t := &Transaction{
		ID: r.GetTransactionId(), CardID: r.GetCardId(), Merchant: r.GetMerchant(), OpenedAt: r.GetOpenedAt().AsTime(),
		Authorized: r.GetAuthorized(), Held: r.GetHeld(), Cleared: r.GetCleared(), Refunded: r.GetRefunded(),
		Reversed: r.GetReversed(), Expired: r.GetExpired(), Expiries: r.GetExpiries(),
		Authorization: r.GetAuthorizationOutcome(), FinalPresented: r.GetFinalPresented(),
		first: r.GetFirstSequence(), last: sequence, authorization: r.GetAuthorizationSequence(),
	}
	if r.GetExpiresAt() != nil {
		t.ExpiresAt = r.GetExpiresAt().AsTime()
	}
	if t.first == 0 {
		t.first = sequence
	}
	if t.authorization == 0 && t.Authorization != typev1.Outcome_OUTCOME_UNSPECIFIED {
		t.authorization = sequence
	}
	return t
}

// record returns the transaction as its next event carries it.
func (t *Transaction) record() *eventsv1.TransactionRecord {
	r := &eventsv1.TransactionRecord{
		TransactionId: t.ID, CardId: t.CardID, Merchant: t.Merchant, OpenedAt: timestamppb.New(t.OpenedAt),
		FirstSequence: t.first, PreviousSequence: t.last, AuthorizationSequence: t.authorization,
		Authorized: t.Authorized, Held: t.Held, Cleared: t.Cleared, Refunded: t.Refunded, Reversed: t.Reversed, Expired: t.Expired,
		Expiries: t.Expiries, AuthorizationOutcome: t.Authorization, FinalPresented: t.FinalPresented,
	}
	if !t.ExpiresAt.IsZero() {
		r.ExpiresAt = timestamppb.New(t.ExpiresAt)
	}
	return r
}

// FirstSequence returns the sequence of its first event.
func (t *Transaction) FirstSequence() uint64 { return t.first }

// granted says whether it has an authorization that was granted.
func (t *Transaction) granted() bool {
	return t.Authorization == typev1.Outcome_OUTCOME_APPROVED || t.Authorization == typev1.Outcome_OUTCOME_PARTIALLY_APPROVED
}

// dueBy says whether its hold has come due at a time.
func (t *Transaction) dueBy(at time.Time) bool { return t.Held > 0 && !t.ExpiresAt.After(at) }

// At returns the transaction at a time not before its last event: a hold that is due by then has expired.
func (t *Transaction) At(at time.Time) *Transaction {
	then := *t
	if then.dueBy(at) {
		then.expire()
	}
	return &then
}

func (t *Transaction) expire() {
	t.Expired += t.Held
	t.Held = 0
	t.Expiries++
}

// release takes an amount off the hold, all of it when it is less, and returns what was released.
func (t *Transaction) release(amount int64) int64 {
	released := min(amount, t.Held)
	t.Held -= released
	return released
}

// overCapture is by how much the presentments pass what was authorized and not reversed: all of them where it was declined, nothing where it was never asked.
func (t *Transaction) overCapture() int64 {
	if t.Authorization == typev1.Outcome_OUTCOME_UNSPECIFIED {
		return 0
	}
	return max(0, t.Cleared-(t.Authorized-t.Reversed))
}
