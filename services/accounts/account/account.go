package account

import (
	"crypto/sha256"
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

// Register knows the id and the number of every card of the system, because they are unique in it.
type Register struct {
	taken map[cardMark]struct{}
}

// cardMark stands for a card's id or number in memory: 128 bits of a hash, so that no two are ever the same.
type cardMark [16]byte

func idMark(cardID string) cardMark {
	sum := sha256.Sum256([]byte(cardID))
	return cardMark(sum[:])
}

// numberMark is the first half of a number's fingerprint, which is a hash itself.
func numberMark(fingerprint []byte) (mark cardMark) {
	copy(mark[:], fingerprint)
	return mark
}

func marksOf(c *eventsv1.CardSnapshot) [2]cardMark {
	return [2]cardMark{idMark(c.GetCardId()), numberMark(c.GetNumberFingerprint())}
}

// NewRegister returns an empty register.
func NewRegister() *Register { return &Register{taken: map[cardMark]struct{}{}} }

// has says whether there is a card with an id or a number.
func (r *Register) has(mark cardMark) bool {
	_, taken := r.taken[mark]
	return taken
}

// Apply takes note of an event's cards. It panics when there is a card with the same id or number.
func (r *Register) Apply(event *eventsv1.AccountEvent) {
	for _, c := range issued(event) {
		marks := marksOf(c)
		if r.has(marks[0]) {
			panic(fmt.Sprintf("card %s of account %s exists", c.GetCardId(), event.GetEnvelope().GetAccountId()))
		}
		if r.has(marks[1]) {
			panic(fmt.Sprintf("card %s has the number of another card", c.GetCardId()))
		}
		for _, mark := range marks {
			r.taken[mark] = struct{}{}
		}
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
