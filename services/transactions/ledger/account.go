package ledger

import (
	"fmt"
	"sort"
	"time"

	"google.golang.org/protobuf/proto"

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

	open     openTransactions
	recalled []recalledEvent // stored events, taken back for one command
	decoded  *Transaction    // the open one that a command looked at last, as it was then

	// ids has, for every command id, every network message, and every presentment or refund that was taken back, the sequence of its (last) event; and for every
	// transaction's key its place in order, counted from 1. It is kept for the account's life.
	ids remembered
	// order are all transactions, as they began.
	order []began
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

// began says where a transaction began, and what came last of it.
type began struct {
	// start is the sequence of its first event, with authorizedFirst added where that is the answer to the command to authorize it: that id need not be remembered.
	start, last uint64
}

const authorizedFirst = 1 << 63

// first returns the sequence of its first event.
func (b began) first() uint64 { return b.start &^ authorizedFirst }

// New returns the state of an account without events.
func New(accountID string) *Account { return &Account{id: accountID} }

// known says whether the account was opened.
func (a *Account) known() bool { return a.accountsSequence != 0 }

// Balances returns the balances after the last event.
func (a *Account) Balances() Balances { return a.balances }

// BalancesAt returns the balances at a time not before the last event, without the holds and withholdings that are due by then.
func (a *Account) BalancesAt(at time.Time) Balances {
	balances := a.balances
	for i := range a.open.heap {
		if open := &a.open.heap[i]; !open.due().After(at) {
			balances = balances.plus(effect{pending: -open.held, withheld: -open.withheld})
		}
	}
	return balances
}

// Page returns the sequences of the last events of up to size transactions that began before a sequence (0: all), the newest first,
// and the sequence at which the last of them began; more says whether others began before it.
func (a *Account) Page(before uint64, size int) (last []uint64, from uint64, more bool) {
	end := len(a.order)
	if before != 0 {
		end = sort.Search(end, func(i int) bool { return a.order[i].first() >= before })
	}
	for i := end - 1; i >= 0; i-- {
		if len(last) == size {
			return last, from, true
		}
		last, from = append(last, a.order[i].last), a.order[i].first()
	}
	return last, from, false
}

// LastEventOf returns the sequence of a transaction's last event by its key: the id of a purchase, or the PaymentKey of a payment. It is 0 when there is none.
func (a *Account) LastEventOf(key string) uint64 {
	return a.lastEventBy(fingerprintOf(transactionID, key))
}

func (a *Account) lastEventBy(mark fingerprint) uint64 {
	if place := a.ids.at(mark); place != 0 {
		return a.order[place-1].last
	}
	return 0
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

// transaction returns a transaction that is in memory: an open one, or one whose last event was recalled. It must not be changed.
func (a *Account) transaction(key string) *Transaction {
	return a.transactionBy(fingerprintOf(transactionID, key), key)
}

func (a *Account) transactionBy(mark fingerprint, key string) *Transaction {
	if open := a.open.find(mark); open != nil {
		if a.decoded == nil || a.decoded.last != open.last {
			a.decoded = open.transaction()
		}
		if a.decoded.Key() == key {
			return a.decoded
		}
		return nil
	}
	if len(a.recalled) == 0 {
		return nil
	}
	last := a.lastEventBy(mark)
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

// own returns a card's id as the account has it already, so that it is in memory once: each object is work for the garbage collector.
func (a *Account) own(cardID string) string {
	if known := a.card(cardID); known != nil {
		return known.id
	}
	return cardID
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
	a.recalled, a.decoded = nil, nil
	envelope := event.GetEnvelope()
	a.sequence, a.decidedAt = sequence, envelope.GetDecidedAt().AsTime()
}

// applyTransaction installs a transaction as an event left it, and returns by how much that changed what it holds and withholds. A closed one leaves memory.
func (a *Account) applyTransaction(record *eventsv1.TransactionRecord, sequence uint64) (held, withheld int64) {
	t := transactionOf(record, sequence)
	t.check()
	mark := fingerprintOf(transactionID, t.Key())
	place := a.ids.at(mark)
	previous := uint64(0)
	if place != 0 {
		previous = a.order[place-1].last
	}
	if record.GetPreviousSequence() != previous || (record.GetFirstSequence() == 0) != (place == 0) {
		panic(fmt.Sprintf("transaction %s follows event %d, the event says %d", t.ID, previous, record.GetPreviousSequence()))
	}
	if place == 0 {
		a.order = appendTight(a.order, began{start: sequence})
		place = uint64(len(a.order))
		a.ids.set(mark, place)
	}
	a.order[place-1].last = sequence
	held, withheld = t.Held, t.Withheld
	if before := a.open.find(mark); before != nil {
		held, withheld = held-before.held, withheld-before.withheld
	}
	if !t.open() {
		a.open.drop(mark)
		return held, withheld
	}
	encoded, err := proto.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("transaction %s cannot be encoded: %v", t.ID, err))
	}
	a.open.set(openTransaction{mark: mark, last: sequence, held: t.Held, withheld: t.Withheld, dueAt: microsUp(t.ExpiresAt), record: encoded})
	return held, withheld
}

// remember notes what the event answers, and what it takes back.
func (a *Account) remember(event *eventsv1.LedgerEvent, sequence uint64) {
	envelope := event.GetEnvelope()
	switch kind, id := envelope.GetCommandKind(), envelope.GetCommandId(); {
	case !fromCallers(kind):
	case kind == eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE && id == event.GetTransaction().GetTransactionId() && event.GetTransaction().GetFirstSequence() == 0:
		a.order[len(a.order)-1].start |= authorizedFirst
	default:
		a.ids.set(fingerprintOf(kind, id), sequence)
	}
	if key := envelope.GetMessageKey(); len(key) > 0 {
		a.ids.set(fingerprintOf(messageID, string(key)), sequence)
	}
	if kind, id := takesBack(event); id != "" {
		a.ids.set(fingerprintOf(takenBack+kind, id), sequence)
	}
}

// fromCallers says whether commands of a kind come from callers, who may repeat them.
func fromCallers(kind eventsv1.CommandKind) bool {
	switch kind {
	case eventsv1.CommandKind_COMMAND_KIND_EXPIRE, eventsv1.CommandKind_COMMAND_KIND_END_WITHHOLDING,
		eventsv1.CommandKind_COMMAND_KIND_FOLLOW_ACCOUNTS, eventsv1.CommandKind_COMMAND_KIND_FOLLOW_PAYMENTS:
		return false
	default:
		return true
	}
}
