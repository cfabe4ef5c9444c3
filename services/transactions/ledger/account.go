package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// Account is the state of one account: the fold of its ledger events.
type Account struct {
	id          string
	balances    Balances
	state       typev1.AccountState
	homeCountry string
	profile     string
	controls    *typev1.SpendingControls // nil where there are none; never changed once set
	cards       []card
	spending    spending

	// accountsSequence is the newest event of ACCOUNTS that was carried in.
	accountsSequence uint64
	// paymentsSequence is the newest movement of PAYMENTS that was carried in.
	paymentsSequence uint64
	sequence         uint64
	decidedAt        time.Time

	open     map[string]*Transaction // by key: those with something held or withheld
	due      dueHolds
	recalled []recalledEvent // stored events, taken back for one command

	// answered has, for every command id, every network message, every transaction's key, and every presentment or refund that was taken back, the sequence of its
	// (last) event. It is kept for the account's life.
	answered map[fingerprint]uint64
	order    []opened
}

// card is what the ledger knows of a card.
type card struct {
	id                      string
	state                   typev1.CardState
	expiryYear, expiryMonth int32
	replaces                string                   // the card before it, if any
	controls                *typev1.SpendingControls // nil where there are none; never changed once set
}

// recalledEvent is a stored event that a command needs to see.
type recalledEvent struct {
	sequence uint64
	event    *eventsv1.LedgerEvent
}

// opened says where a transaction began.
type opened struct {
	sequence    uint64
	transaction fingerprint
}

// fingerprint stands for an id in memory: the first 64 bits of its SHA-256, with its kind. A hit is confirmed by reading the event, so a collision is noticed.
type fingerprint uint64

// Kinds of fingerprints that are not kinds of commands. A takenBack is added to the kind of the command that was taken back.
const (
	transactionID eventsv1.CommandKind = 0
	takenBack     eventsv1.CommandKind = 0x80
	messageID     eventsv1.CommandKind = 0xFF
)

func fingerprintOf(kind eventsv1.CommandKind, id string) fingerprint {
	sum := sha256.Sum256(append([]byte{byte(kind)}, id...))
	return fingerprint(binary.BigEndian.Uint64(sum[:]))
}

// New returns the state of an account without events.
func New(accountID string) *Account {
	return &Account{id: accountID, open: map[string]*Transaction{}, answered: map[fingerprint]uint64{}}
}

// known says whether the account was opened.
func (a *Account) known() bool { return a.accountsSequence != 0 }

// Balances returns the balances after the last event.
func (a *Account) Balances() Balances { return a.balances }

// BalancesAt returns the balances at a time not before the last event, without the holds and withholdings that are due by then.
func (a *Account) BalancesAt(at time.Time) Balances {
	balances := a.balances
	for _, t := range a.open {
		if t.dueBy(at) {
			balances = balances.plus(effect{pending: -t.Held, withheld: -t.Withheld})
		}
	}
	return balances
}

// Page returns the sequences of the last events of up to size transactions that began before a sequence (0: all), the newest first,
// and the sequence at which the last of them began; more says whether others began before it.
func (a *Account) Page(before uint64, size int) (last []uint64, from uint64, more bool) {
	end := len(a.order)
	if before != 0 {
		end = sort.Search(end, func(i int) bool { return a.order[i].sequence >= before })
	}
	for i := end - 1; i >= 0; i-- {
		began := a.order[i]
		if len(last) == size {
			return last, from, true
		}
		last, from = append(last, a.answered[began.transaction]), began.sequence
	}
	return last, from, false
}

// LastEventOf returns the sequence of a transaction's last event by its key: the id of a purchase, or the PaymentKey of a payment. It is 0 when there is none.
func (a *Account) LastEventOf(key string) uint64 {
	return a.answered[fingerprintOf(transactionID, key)]
}

// PartsNamed returns the sequences of the events of the presentment, the refund and the dispute with an id, as far as there are any.
func (a *Account) PartsNamed(id string) (sequences []uint64) {
	for _, kind := range []eventsv1.CommandKind{
		eventsv1.CommandKind_COMMAND_KIND_PRESENT, eventsv1.CommandKind_COMMAND_KIND_REFUND, eventsv1.CommandKind_COMMAND_KIND_CREDIT_DISPUTE,
	} {
		if sequence := a.Answered(kind, id); sequence != 0 {
			sequences = append(sequences, sequence)
		}
	}
	return sequences
}

// transaction returns a transaction that is in memory: an open one, or one whose last event was recalled.
func (a *Account) transaction(key string) *Transaction {
	if t := a.open[key]; t != nil {
		return t
	}
	if len(a.recalled) == 0 {
		return nil
	}
	last := a.LastEventOf(key)
	if t := TransactionOf(a.recall(last), last); t != nil && t.Key() == key {
		return t
	}
	return nil
}

// recall returns a stored event that was recalled, or nil.
func (a *Account) recall(sequence uint64) *eventsv1.LedgerEvent {
	for _, r := range a.recalled {
		if r.sequence == sequence {
			return r.event
		}
	}
	return nil
}

func (a *Account) card(id string) *card {
	for i := range a.cards {
		if a.cards[i].id == id {
			return &a.cards[i]
		}
	}
	return nil
}

// Apply folds an event in. It panics when the event does not agree with the state: when the balances it carries are not those that follow,
// when it moves pending or withheld by something else than its transaction, or when it comes before the newest event followed of ACCOUNTS or PAYMENTS.
func (a *Account) Apply(event *eventsv1.LedgerEvent, sequence uint64) {
	if sequence <= a.sequence {
		panic(fmt.Sprintf("event %d comes after event %d", sequence, a.sequence))
	}
	a.applyAccountFact(event)
	a.applyPaymentFact(event)
	moved := effectOf(event)
	balances := a.balances.plus(moved)
	if carried := balancesOf(event.GetBalances()); carried != balances || event.GetBalances().GetAvailable() != balances.Available() {
		panic(fmt.Sprintf("the event carries %v, the fold gives %+v", event.GetBalances(), balances))
	}
	a.balances = balances
	held, withheld := int64(0), int64(0)
	if event.GetTransaction() != nil {
		held, withheld = a.applyTransaction(event.GetTransaction(), sequence)
	}
	if held != moved.pending {
		panic(fmt.Sprintf("pending moves by %d, what the transaction holds by %d", moved.pending, held))
	}
	if withheld != moved.withheld {
		panic(fmt.Sprintf("withheld moves by %d, what the transaction withholds by %d", moved.withheld, withheld))
	}
	a.applySpending(event)
	a.remember(event, sequence)
	a.recalled = nil
	envelope := event.GetEnvelope()
	a.sequence, a.decidedAt = sequence, envelope.GetDecidedAt().AsTime()
}

// applyTransaction installs a transaction as an event left it, and returns by how much that changed what it holds and withholds. A closed one leaves memory.
func (a *Account) applyTransaction(record *eventsv1.TransactionRecord, sequence uint64) (held, withheld int64) {
	t := transactionOf(record, sequence)
	t.check()
	key, mark := t.Key(), fingerprintOf(transactionID, t.Key())
	if previous := a.answered[mark]; record.GetPreviousSequence() != previous || (record.GetFirstSequence() == 0) != (previous == 0) {
		panic(fmt.Sprintf("transaction %s follows event %d, the event says %d", t.ID, previous, record.GetPreviousSequence()))
	}
	if record.GetFirstSequence() == 0 {
		a.order = append(a.order, opened{sequence: sequence, transaction: mark})
	}
	a.answered[mark] = sequence
	before := a.open[key]
	if before == nil {
		before = &Transaction{}
	}
	held, withheld = t.Held-before.Held, t.Withheld-before.Withheld
	if !t.open() {
		delete(a.open, key)
		return held, withheld
	}
	a.open[key] = t
	if !before.ExpiresAt.Equal(t.ExpiresAt) {
		a.planDue(t)
	}
	return held, withheld
}

// remember notes what the event answers, and what it takes back.
func (a *Account) remember(event *eventsv1.LedgerEvent, sequence uint64) {
	envelope := event.GetEnvelope()
	if remembered(envelope.GetCommandKind()) {
		a.answered[fingerprintOf(envelope.GetCommandKind(), envelope.GetCommandId())] = sequence
	}
	if key := envelope.GetMessageKey(); len(key) > 0 {
		a.answered[fingerprintOf(messageID, string(key))] = sequence
	}
	if kind, id := takesBack(event); id != "" {
		a.answered[fingerprintOf(takenBack+kind, id)] = sequence
	}
}

// remembered says whether commands of a kind come from callers, who may repeat them.
func remembered(kind eventsv1.CommandKind) bool {
	switch kind {
	case eventsv1.CommandKind_COMMAND_KIND_EXPIRE, eventsv1.CommandKind_COMMAND_KIND_END_WITHHOLDING,
		eventsv1.CommandKind_COMMAND_KIND_FOLLOW_ACCOUNTS, eventsv1.CommandKind_COMMAND_KIND_FOLLOW_PAYMENTS:
		return false
	default:
		return true
	}
}
