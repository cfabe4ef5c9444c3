package payment

import (
	"fmt"
	"math"
	"sort"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// AmountBound is the most that any sum of amounts may reach, either way, in minor units: what a balance of the ledger may reach.
const AmountBound = math.MaxInt64 / 16

// PaidBound is the most that all payments of an account may come to, less those that came back, and the largest credit balance that a payment may make, in minor
// units. It stays far below AmountBound, so that the ledger can post whatever was taken here, also when it has moved meanwhile.
const PaidBound = AmountBound / 4

// Account is what is known of the payments of one account: the fold of its events. All payments stay in memory; they are few.
type Account struct {
	id        string
	sequence  uint64    // of the last event
	movement  uint64    // of the last movement
	decidedAt time.Time // of the last event

	payments   map[string]*Payment
	order      []*Payment // as they began
	paid       []paid     // as money moved
	sources    map[string]source
	lastReturn time.Time // zero when none came back
	answered   map[commandID]uint64
}

// Payment is a payment as its last event left it.
type Payment struct {
	// Snapshot is as the last event carries it. It must not be changed.
	Snapshot *eventsv1.PaymentSnapshot
	// First and Last are the sequences of its first and of its last event.
	First, Last uint64
}

// paid is what was paid on an account and did not come back, after a movement.
type paid struct {
	sequence uint64
	total    int64
}

// source is what is known of a bank account that payments come from.
type source struct {
	taken    bool  // a payment from it was taken, whatever became of it
	failures int64 // how many came back with a code that says it cannot pay at all
}

// commandID is what a remembered command is known by.
type commandID struct {
	kind eventsv1.CommandKind
	id   string
}

// New returns the state of an account without events.
func New(accountID string) *Account {
	return &Account{id: accountID, payments: map[string]*Payment{}, sources: map[string]source{}, answered: map[commandID]uint64{}}
}

// View is what followers and readers see of an account without asking for a payment. It does not change once made.
type View struct {
	// Sequence of the last event.
	Sequence uint64
	// Movement is the sequence of the last movement; 0 when there is none.
	Movement uint64
}

// View returns what a reader sees now.
func (a *Account) View() View { return View{Sequence: a.sequence, Movement: a.movement} }

// Answered returns the sequence of the event that answered a command; 0 when none did.
func (a *Account) Answered(kind eventsv1.CommandKind, id string) uint64 {
	return a.answered[commandID{kind, id}]
}

// Payment returns a payment by its id; ok is false when there is none.
func (a *Account) Payment(id string) (p Payment, ok bool) {
	if found := a.payments[id]; found != nil {
		return *found, true
	}
	return Payment{}, false
}

// Page returns up to size payments that began before a sequence (0: all), the newest first, and the sequence at which the last of them began;
// more says whether others began before it. The order never changes, whatever becomes of the payments.
func (a *Account) Page(before uint64, size int) (page []Payment, from uint64, more bool) {
	end := len(a.order)
	if before != 0 {
		end = sort.Search(end, func(i int) bool { return a.order[i].First >= before })
	}
	for i := end - 1; i >= 0; i-- {
		if len(page) == size {
			return page, from, true
		}
		page, from = append(page, *a.order[i]), a.order[i].First
	}
	return page, from, false
}

// WithheldAt returns how much of a payment cannot be spent at a time, in minor units: nothing once its release_at has come.
func WithheldAt(snapshot *eventsv1.PaymentSnapshot, now time.Time) int64 {
	if !snapshot.GetReleaseAt().AsTime().After(now) {
		return 0
	}
	return snapshot.GetWithheld()
}

// find returns a payment to decide about.
func (a *Account) find(id string) (*Payment, error) {
	if found := a.payments[id]; found != nil {
		return found, nil
	}
	return nil, failure.New(failure.NotFound, "PAYMENT_NOT_FOUND", "account %s has no payment %s", a.id, id)
}

// next returns a copy of the payment to make its next state of.
func (p *Payment) next() *eventsv1.PaymentSnapshot {
	next := proto.CloneOf(p.Snapshot)
	next.FirstSequence = p.First
	return next
}

// total returns what was paid and did not come back.
func (a *Account) total() int64 { return a.totalAt(math.MaxUint64) }

// totalAt returns what was paid and had not come back after the movement with a sequence.
func (a *Account) totalAt(sequence uint64) int64 {
	after := sort.Search(len(a.paid), func(i int) bool { return a.paid[i].sequence > sequence })
	if after == 0 {
		return 0
	}
	return a.paid[after-1].total
}

// owed returns what is owed: what the ledger says, without the movements that it had not posted by then. It does not matter how old that knowledge is.
func (a *Account) owed(known Standing) (int64, error) {
	owed, ok := add(known.Owed, a.totalAt(known.PostedSequence)-a.total())
	if !ok {
		return 0, errOverflow
	}
	return owed, nil
}

// day is how far back the daily rules look.
const day = 24 * time.Hour

// within returns the number and the sum of the payments that were submitted less than 24 hours before a time: those that wait and those that were taken,
// also when they came back; not those that were rejected or cancelled.
func (a *Account) within(now time.Time) (count, sum int64, err error) {
	for i := len(a.order) - 1; i >= 0; i-- { // the newest began last
		snapshot, ok := a.order[i].Snapshot, true
		if now.Sub(snapshot.GetCreatedAt().AsTime()) >= day {
			break
		}
		switch snapshot.GetStatus() {
		case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED, typev1.PaymentStatus_PAYMENT_STATUS_HELD, typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:
			count++
			sum, ok = add(sum, snapshot.GetAmount().GetMinorUnits())
		default: // rejected or cancelled
		}
		if !ok {
			return 0, 0, errOverflow
		}
	}
	return count, sum, nil
}

// fits returns an error when one more payment would take the sum of all of them out of bounds.
func (a *Account) fits(amount int64) error {
	if total, ok := add(a.total(), amount); !ok || total > PaidBound {
		return errOverflow
	}
	return nil
}

var errOverflow = failure.New(failure.Precondition, "BALANCE_OVERFLOW",
	"the amount would take what was paid, or what is owed, beyond what can be kept; nothing was changed; check the amount")

// add returns a + b, and whether it is within AmountBound.
func add(a, b int64) (int64, bool) {
	if (b > 0 && a > AmountBound-b) || (b < 0 && a < -AmountBound-b) {
		return 0, false
	}
	return a + b, true
}

// invariant panics with a sentence when something that must hold does not: state that cannot be relied on must stop, not go on.
func invariant(holds bool, format string, args ...any) {
	if !holds {
		panic(fmt.Sprintf(format, args...))
	}
}
