package account

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// ReasonNumberTaken is the reason with which a new card is refused whose number another card has: make another number and try again.
const ReasonNumberTaken = "CARD_NUMBER_TAKEN"

// NewCard is a card to issue, with all that was made for it.
type NewCard struct {
	// CardID of the new card.
	CardID string
	// Fingerprint and LastFour of its number; the number itself is not kept.
	Fingerprint []byte
	LastFour    string
	// ExpiryMonth (1 to 12) and ExpiryYear are the last month in which it is valid.
	ExpiryMonth, ExpiryYear int32
}

// snapshot returns the new card in a state.
func (n NewCard) snapshot(state typev1.CardState, replaces string) *eventsv1.CardSnapshot {
	return &eventsv1.CardSnapshot{CardId: n.CardID, LastFour: n.LastFour, NumberFingerprint: n.Fingerprint, State: state,
		ExpiryMonth: n.ExpiryMonth, ExpiryYear: n.ExpiryYear, ReplacesCardId: replaces}
}

// issue checks that a new card can be added to an account.
func (n NewCard) issue(next *eventsv1.AccountSnapshot, register *Register, event *eventsv1.AccountEvent) error {
	if err := notClosed(next, event); err != nil {
		return err
	}
	if len(next.GetCards()) >= CardBound {
		return failure.New(failure.Precondition, "TOO_MANY_CARDS", "account %s has had %d cards, which is the most; open another account", event.GetEnvelope().GetAccountId(), CardBound)
	}
	if register.has(idMark(n.CardID)) {
		return failure.New(failure.AlreadyExists, "CARD_EXISTS", "card %s exists already; card ids are unique in the whole system", n.CardID)
	}
	if register.has(numberMark(n.Fingerprint)) {
		return failure.New(failure.AlreadyExists, ReasonNumberTaken, "the number made for the card is taken; try again")
	}
	return nil
}

// IssueCard issues a card.
type IssueCard struct {
	Header
	NewCard
	// Activate issues it active.
	Activate bool
}

// Kind is COMMAND_KIND_ISSUE_CARD.
func (c *IssueCard) Kind() eventsv1.CommandKind { return eventsv1.CommandKind_COMMAND_KIND_ISSUE_CARD }

// ID is the card's.
func (c *IssueCard) ID() string { return c.CardID }

func (c *IssueCard) decide(next *eventsv1.AccountSnapshot, register *Register, event *eventsv1.AccountEvent) error {
	if err := c.issue(next, register, event); err != nil {
		return err
	}
	state := typev1.CardState_CARD_STATE_INACTIVE
	if c.Activate {
		state = typev1.CardState_CARD_STATE_ACTIVE
	}
	next.Cards = append(next.Cards, c.snapshot(state, ""))
	event.Fact = &eventsv1.AccountEvent_CardIssued{CardIssued: &eventsv1.CardIssued{CardId: c.CardID}}
	return nil
}

// SetCardState sets a card's state. A closed card stays closed; a lost or stolen one may be found again, as long as it was not replaced.
type SetCardState struct {
	Header
	// CardID of the card, the State to set, and why.
	CardID string
	State  typev1.CardState
	Reason string
}

// Kind is COMMAND_KIND_SET_CARD_STATE.
func (c *SetCardState) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_SET_CARD_STATE
}

func (c *SetCardState) decide(next *eventsv1.AccountSnapshot, _ *Register, event *eventsv1.AccountEvent) error {
	changed, err := usableCard(next, c.CardID, event)
	if err != nil {
		return err
	}
	if by := replacedBy(next, c.CardID); by != "" && c.State != typev1.CardState_CARD_STATE_CLOSED {
		return failure.New(failure.Precondition, "CARD_REPLACED", "card %s was replaced by card %s; it can only be closed", c.CardID, by)
	}
	event.Fact = &eventsv1.AccountEvent_CardStateChanged{CardStateChanged: &eventsv1.CardStateChanged{
		CardId: c.CardID, PreviousState: changed.GetState(), Reason: c.Reason}}
	changed.State = c.State
	return nil
}

// usableCard returns a card that is not closed.
func usableCard(next *eventsv1.AccountSnapshot, id string, event *eventsv1.AccountEvent) (*eventsv1.CardSnapshot, error) {
	found := card(next, id)
	if found == nil {
		return nil, failure.New(failure.NotFound, "CARD_NOT_FOUND", "account %s has no card %s", event.GetEnvelope().GetAccountId(), id)
	}
	if found.GetState() == typev1.CardState_CARD_STATE_CLOSED {
		return nil, failure.New(failure.Precondition, "CARD_CLOSED", "card %s is closed and stays so", id)
	}
	return found, nil
}

// replacedBy returns the card that was issued in another's place; empty where none was.
func replacedBy(next *eventsv1.AccountSnapshot, cardID string) string {
	for _, c := range next.GetCards() {
		if c.GetReplacesCardId() == cardID {
			return c.GetCardId()
		}
	}
	return ""
}

// ReplaceCard closes a card, unless it is lost or stolen, and issues an active one in its place, with the same spending controls.
type ReplaceCard struct {
	Header
	NewCard
	// ReplacedID is the card to replace, and why.
	ReplacedID string
	Reason     string
}

// Kind is COMMAND_KIND_REPLACE_CARD.
func (c *ReplaceCard) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_REPLACE_CARD
}

// ID is the new card's.
func (c *ReplaceCard) ID() string { return c.CardID }

func (c *ReplaceCard) decide(next *eventsv1.AccountSnapshot, register *Register, event *eventsv1.AccountEvent) error {
	if err := c.issue(next, register, event); err != nil {
		return err
	}
	replaced, err := usableCard(next, c.ReplacedID, event)
	if err != nil {
		return err
	}
	if by := replacedBy(next, c.ReplacedID); by != "" {
		return failure.New(failure.Precondition, "CARD_REPLACED", "card %s was replaced by card %s", c.ReplacedID, by)
	}
	if s := replaced.GetState(); s != typev1.CardState_CARD_STATE_LOST && s != typev1.CardState_CARD_STATE_STOLEN {
		replaced.State = typev1.CardState_CARD_STATE_CLOSED
	}
	successor := c.snapshot(typev1.CardState_CARD_STATE_ACTIVE, c.ReplacedID)
	successor.Controls = replaced.GetControls()
	next.Cards = append(next.Cards, successor)
	event.Fact = &eventsv1.AccountEvent_CardReplaced{CardReplaced: &eventsv1.CardReplaced{CardId: c.ReplacedID, NewCardId: c.CardID, Reason: c.Reason}}
	return nil
}
