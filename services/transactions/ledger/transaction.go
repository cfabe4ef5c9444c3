package ledger

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Transaction is the state of one purchase, of a refund without one, or of a payment. Amounts are in minor units.
type Transaction struct {
	// ID is the transaction's id, of a payment the payment's; CardID is the card that was used, if one was named.
	ID, CardID string
	// Merchant as far as a message told.
	Merchant *typev1.Merchant
	// OpenedAt is when its first event was decided.
	OpenedAt time.Time
	// Authorized is what was approved, after an advice what it told; Held what is held now, and HoldSurplus what the rules held beyond what was asked.
	Authorized, Held, HoldSurplus int64
	// Cleared, Refunded and Disputed are what was presented, given back and credited for disputes, less what of each was taken back.
	Cleared, Refunded, Disputed int64
	// Reversed is what reversals released since the last advice, Expired what expiries released and did not count again since.
	Reversed, Expired int64
	// ClearingReversed and RefundReversed are what of presentments and refunds was taken back.
	ClearingReversed, RefundReversed int64
	// RefundAuthorized is what was approved as a merchant credit. It moves nothing.
	RefundAuthorized int64
	// Paid is what was paid where it is a payment, else 0; Returned is what of it came back, Withheld what of it cannot be spent yet.
	Paid, Returned, Withheld int64
	// ExpiresAt is when the hold, or the withholding, comes due; zero when there never was one.
	ExpiresAt time.Time
	// Expiries counts how often a hold of it expired.
	Expiries int32
	// Authorization is the outcome of its authorization; unspecified when there is none. MerchantCredit says that it is that of a merchant credit, not of a purchase.
	Authorization  typev1.Outcome
	MerchantCredit bool
	// PreAuthorization says that the merchant asked for it as an estimate, before the purchase.
	PreAuthorization bool
	// Completed says that a completion advice was received, FinalPresented that a presentment was the last one, ReversedInFull that a reversal released all that was held.
	Completed, FinalPresented, ReversedInFull bool

	// Sequences of its first event, its last event and its authorization. They are 0 for what is not stored yet.
	first, last, authorization uint64
}

// TransactionOf returns the transaction that a stored event carries, or nil.
func TransactionOf(event *eventsv1.LedgerEvent, sequence uint64) *Transaction {
	if event.GetTransaction() == nil {
		return nil
	}
	t := transactionOf(event.GetTransaction(), sequence)
	return &t
}

func transactionOf(r *eventsv1.TransactionRecord, sequence uint64) Transaction {
	t := Transaction{
		ID: r.GetTransactionId(), CardID: r.GetCardId(), Merchant: r.GetMerchant(), OpenedAt: r.GetOpenedAt().AsTime(),
		Authorized: r.GetAuthorized(), Held: r.GetHeld(), Cleared: r.GetCleared(), Refunded: r.GetRefunded(),
		Reversed: r.GetReversed(), Expired: r.GetExpired(), Expiries: r.GetExpiries(),
		HoldSurplus: r.GetHoldSurplus(), Disputed: r.GetDisputed(), ClearingReversed: r.GetClearingReversed(), RefundReversed: r.GetRefundReversed(),
		Authorization: r.GetAuthorizationOutcome(), MerchantCredit: r.GetMerchantCredit(), RefundAuthorized: r.GetRefundAuthorized(),
		PreAuthorization: r.GetPreAuthorization(), Completed: r.GetCompleted(), FinalPresented: r.GetFinalPresented(), ReversedInFull: r.GetReversedInFull(),
		Paid: r.GetPaid(), Returned: r.GetReturned(), Withheld: r.GetWithheld(),
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
		HoldSurplus: t.HoldSurplus, Disputed: t.Disputed, ClearingReversed: t.ClearingReversed, RefundReversed: t.RefundReversed,
		Expiries: t.Expiries, AuthorizationOutcome: t.Authorization, MerchantCredit: t.MerchantCredit, RefundAuthorized: t.RefundAuthorized,
		PreAuthorization: t.PreAuthorization, Completed: t.Completed, FinalPresented: t.FinalPresented, ReversedInFull: t.ReversedInFull,
		Paid: t.Paid, Returned: t.Returned, Withheld: t.Withheld,
	}
	if !t.ExpiresAt.IsZero() {
		r.ExpiresAt = timestamppb.New(t.ExpiresAt)
	}
	return r
}

// copy returns a copy to work on; nil of nil.
func (t *Transaction) copy() *Transaction {
	if t == nil {
		return nil
	}
	work := *t
	return &work
}

// FirstSequence returns the sequence of its first event.
func (t *Transaction) FirstSequence() uint64 { return t.first }

// Key names the transaction among all of the account: payments have a space of names of their own.
func (t *Transaction) Key() string {
	if t.payment() {
		return PaymentKey(t.ID)
	}
	return t.ID
}

// payment says whether it is a payment.
func (t *Transaction) payment() bool { return t.Paid != 0 }

// open says whether something is held or withheld.
func (t *Transaction) open() bool { return t.Held > 0 || t.Withheld > 0 }

// check panics when the amounts contradict each other.
func (t *Transaction) check() {
	if t.Held < 0 || t.Withheld < 0 {
		panic(fmt.Sprintf("transaction %s holds %d, withholds %d", t.Key(), t.Held, t.Withheld))
	}
	if t.Paid < 0 || t.Returned < 0 || t.Withheld > t.Paid-t.Returned {
		panic(fmt.Sprintf("transaction %s withholds %d of %d paid, of which %d came back", t.Key(), t.Withheld, t.Paid, t.Returned))
	}
	if t.payment() && t.Held != 0 {
		panic(fmt.Sprintf("transaction %s holds %d, and is a payment", t.Key(), t.Held))
	}
	if least := min(t.Authorized, t.HoldSurplus, t.Cleared, t.Refunded, t.Disputed, t.Reversed, t.Expired, t.ClearingReversed, t.RefundReversed, t.RefundAuthorized); least < 0 {
		panic(fmt.Sprintf("transaction %s has a sum of %d", t.Key(), least))
	}
}

// authorized says whether it has an authorization of a purchase, whatever its outcome.
func (t *Transaction) authorized() bool {
	return t.Authorization != typev1.Outcome_OUTCOME_UNSPECIFIED && !t.MerchantCredit
}

// granted says whether it has an authorization of a purchase that was granted, by us or by the network in our place.
func (t *Transaction) granted() bool { return grantedOutcome(t.Authorization) && !t.MerchantCredit }

func grantedOutcome(outcome typev1.Outcome) bool {
	return outcome == typev1.Outcome_OUTCOME_APPROVED || outcome == typev1.Outcome_OUTCOME_PARTIALLY_APPROVED
}

// PendingCredit is what of an approved merchant credit was not refunded yet.
func (t *Transaction) PendingCredit() int64 {
	return max(0, t.RefundAuthorized-t.Refunded-t.RefundReversed)
}

// dueBy says whether its hold or withholding has come due at a time.
func (t *Transaction) dueBy(at time.Time) bool { return t.open() && !t.ExpiresAt.After(at) }

// At returns the transaction at a time not before its last event: a hold that is due by then has expired, a withholding has ended.
func (t *Transaction) At(at time.Time) *Transaction {
	then := *t
	if then.dueBy(at) {
		then.comeDue()
	}
	return &then
}

// comeDue ends its hold, or its withholding, as time does.
func (t *Transaction) comeDue() {
	if t.payment() {
		t.Withheld = 0
		return
	}
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

// expireBy says when what is held comes due by a row of the profile's table. A time that was set before and is later stays: then rule is empty.
func (t *Transaction) expireBy(profile *Profile, amount int64, at time.Time) (rule string) {
	row := profile.holdExpiry(t.Merchant.GetMcc(), t.PreAuthorization, amount)
	if due := at.Add(time.Duration(row.Days) * day); due.After(t.ExpiresAt) {
		t.ExpiresAt = due
		return row.String()
	}
	return ""
}

const day = 24 * time.Hour

// overCapture is by how much the presentments pass what was authorized or held and not reversed: all of them where it was declined, nothing where it was never asked.
func (t *Transaction) overCapture() int64 {
	if !t.authorized() {
		return 0
	}
	return max(0, t.Cleared-(t.Authorized+t.HoldSurplus-t.Reversed))
}
