package account

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// Account is the state of one account: the fold of its events, each of which carries all of it.
type Account struct {
	id       string
	snapshot *eventsv1.AccountSnapshot // nil before the account is opened; never changed once set
	sequence uint64
	answered map[commandID]uint64
}

// commandID is what a remembered command is known by.
type commandID struct {
	kind eventsv1.CommandKind
	id   string
}

// New returns the state of an account without events.
func New(accountID string) *Account {
	return &Account{id: accountID, answered: map[commandID]uint64{}}
}

// View is what a reader sees of an account. It does not change once made.
type View struct {
	// Snapshot of the account after the event with the Sequence.
	Snapshot *eventsv1.AccountSnapshot
	Sequence uint64
}

// View returns what a reader sees now.
func (a *Account) View() View { return View{Snapshot: a.snapshot, Sequence: a.sequence} }

// Answered returns the sequence of the event that answered a command; 0 when none did.
func (a *Account) Answered(kind eventsv1.CommandKind, id string) uint64 {
	return a.answered[commandID{kind, id}]
}

// Apply folds an event in. It panics when the event does not agree with the state.
func (a *Account) Apply(event *eventsv1.AccountEvent, sequence uint64) {
	_, opening := event.GetFact().(*eventsv1.AccountEvent_AccountOpened)
	if opening != (a.snapshot == nil) {
		panic("an account is opened once, and first")
	}
	if event.GetAccount() == nil || sequence <= a.sequence {
		panic(fmt.Sprintf("event %d after %d, or without the account", sequence, a.sequence))
	}
	a.snapshot, a.sequence = event.GetAccount(), sequence
	if id := event.GetEnvelope().GetCommandId(); id != "" {
		a.answered[commandID{event.GetEnvelope().GetCommandKind(), id}] = sequence
	}
}

// next returns a copy of the account to make the next state of.
func (a *Account) next() *eventsv1.AccountSnapshot { return proto.CloneOf(a.snapshot) }

// card returns a card of a snapshot, or nil.
func card(snapshot *eventsv1.AccountSnapshot, id string) *eventsv1.CardSnapshot {
	for _, c := range snapshot.GetCards() {
		if c.GetCardId() == id {
			return c
		}
	}
	return nil
}

// Register knows all cards of the system, because their ids and numbers are unique in it.
type Register struct {
	byID     map[string]string // card id → account id
	byNumber map[string]string // fingerprint → card id
}

// NewRegister returns an empty register.
func NewRegister() *Register {
	return &Register{byID: map[string]string{}, byNumber: map[string]string{}}
}

// Apply takes note of an event's cards. It panics when a card of another account has the same id or number.
func (r *Register) Apply(event *eventsv1.AccountEvent) {
	account := event.GetEnvelope().GetAccountId()
	for _, c := range issued(event) {
		if other, taken := r.byID[c.GetCardId()]; taken {
			panic(fmt.Sprintf("card %s of account %s exists on account %s", c.GetCardId(), account, other))
		}
		if other, taken := r.byNumber[string(c.GetNumberFingerprint())]; taken {
			panic(fmt.Sprintf("card %s has the number of card %s", c.GetCardId(), other))
		}
		r.byID[c.GetCardId()] = account
		r.byNumber[string(c.GetNumberFingerprint())] = c.GetCardId()
	}
}

// issued returns the card that an event issued, if it did.
func issued(event *eventsv1.AccountEvent) []*eventsv1.CardSnapshot {
	id := ""
	switch fact := event.GetFact().(type) {
	case *eventsv1.AccountEvent_CardIssued:
		id = fact.CardIssued.GetCardId()
	case *eventsv1.AccountEvent_CardReplaced:
		id = fact.CardReplaced.GetNewCardId()
	default:
		return nil
	}
	return []*eventsv1.CardSnapshot{card(event.GetAccount(), id)}
}
