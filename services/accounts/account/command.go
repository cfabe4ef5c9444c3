package account

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// CardBound is the most cards that an account may ever have: every event carries them all.
const CardBound = 200

// Header is what every command carries.
type Header struct {
	// AccountID names the account.
	AccountID string
	// RequestID is the idempotency key of a command that makes nothing; empty where the caller gave none.
	RequestID string
	// ExpectedSequence is the account's sequence that the caller saw; 0 where it does not matter.
	ExpectedSequence uint64
	// Actor is who sent the command.
	Actor string
	// Content is the digest of what the caller sent.
	Content []byte
}

// Account is the id of the account.
func (h Header) Account() string { return h.AccountID }

// ID is the idempotency key.
func (h Header) ID() string { return h.RequestID }

// Digest of the content.
func (h Header) Digest() []byte { return h.Content }

func (h Header) header() Header { return h }

// Command is one of *Open, *SetCreditLimit, *UpdateHolder, *SetState, *IssueCard, *SetCardState, *ReplaceCard and *SetSpendingControls.
type Command interface {
	// Account is the id of the account.
	Account() string
	// Kind is what the id is scoped to.
	Kind() eventsv1.CommandKind
	// ID is the idempotency key.
	ID() string
	// Digest of the content.
	Digest() []byte

	header() Header
	// decide changes the next state of the account and sets the event's fact.
	decide(next *eventsv1.AccountSnapshot, register *Register, event *eventsv1.AccountEvent) error
}

// Decide answers a command with exactly one event, or with a *failure.Error when nothing is to be stored. It changes nothing.
func (a *Account) Decide(c Command, register *Register, at command.Position) (*eventsv1.AccountEvent, error) {
	header := c.header()
	_, opening := c.(*Open)
	switch {
	case opening && a.snapshot != nil:
		return nil, failure.New(failure.AlreadyExists, "ACCOUNT_EXISTS", "account %s exists already", a.id)
	case !opening && a.snapshot == nil:
		return nil, failure.New(failure.NotFound, "ACCOUNT_NOT_FOUND", "there is no account %s", a.id)
	case header.ExpectedSequence != 0 && header.ExpectedSequence != a.sequence:
		return nil, failure.New(failure.Precondition, "SEQUENCE_MISMATCH",
			"account %s is at sequence %d, not %d; read it again and repeat the change if it still holds", a.id, a.sequence, header.ExpectedSequence)
	}
	now := timestamppb.New(at.Time)
	next := &eventsv1.AccountSnapshot{State: typev1.AccountState_ACCOUNT_STATE_OPEN, OpenedAt: now}
	if !opening {
		next = a.next()
	}
	next.UpdatedAt = now
	event := &eventsv1.AccountEvent{
		Envelope: &eventsv1.Envelope{AccountId: a.id, PreviousSequence: a.sequence, DecidedAt: now,
			CommandKind: c.Kind(), CommandId: c.ID(), CommandDigest: c.Digest(), Actor: header.Actor},
		Account: next,
	}
	if err := c.decide(next, register, event); err != nil {
		return nil, err
	}
	return event, nil
}

// Open opens an account.
type Open struct {
	Header
	// CreditLimit is not below zero; its currency becomes the account's.
	CreditLimit *typev1.Money
	// RulesProfile that its purchases are decided by.
	RulesProfile string
	// SealedHolder is the encrypted holder, HomeCountry the country of its address.
	SealedHolder []byte
	HomeCountry  string
}

// Kind is COMMAND_KIND_OPEN_ACCOUNT.
func (c *Open) Kind() eventsv1.CommandKind { return eventsv1.CommandKind_COMMAND_KIND_OPEN_ACCOUNT }

// ID is the account's.
func (c *Open) ID() string { return c.AccountID }

func (c *Open) decide(next *eventsv1.AccountSnapshot, _ *Register, event *eventsv1.AccountEvent) error {
	next.CreditLimit, next.RulesProfile = c.CreditLimit, c.RulesProfile
	next.SealedHolder, next.HomeCountryCode = c.SealedHolder, c.HomeCountry
	event.Fact = &eventsv1.AccountEvent_AccountOpened{AccountOpened: &eventsv1.AccountOpened{}}
	return nil
}

// SetCreditLimit sets the credit limit, also below what is owed.
type SetCreditLimit struct {
	Header
	// CreditLimit is not below zero and in the account's currency.
	CreditLimit *typev1.Money
}

// Kind is COMMAND_KIND_UPDATE_CREDIT_LIMIT.
func (c *SetCreditLimit) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_UPDATE_CREDIT_LIMIT
}

func (c *SetCreditLimit) decide(next *eventsv1.AccountSnapshot, _ *Register, event *eventsv1.AccountEvent) error {
	if err := notClosed(next, event); err != nil {
		return err
	}
	if currency := next.GetCreditLimit().GetCurrencyCode(); c.CreditLimit.GetCurrencyCode() != currency {
		return failure.InvalidField("credit_limit.currency_code", "the account is kept in %s", currency)
	}
	event.Fact = &eventsv1.AccountEvent_CreditLimitChanged{CreditLimitChanged: &eventsv1.CreditLimitChanged{
		PreviousCreditLimit: next.GetCreditLimit().GetMinorUnits()}}
	next.CreditLimit = c.CreditLimit
	return nil
}

// UpdateHolder changes the holder's details.
type UpdateHolder struct {
	Header
	// SealedHolder is the whole holder after the change, encrypted; HomeCountry the country of its address.
	SealedHolder []byte
	HomeCountry  string
	// Paths of the fields that were given.
	Paths []string
}

// Kind is COMMAND_KIND_UPDATE_HOLDER.
func (c *UpdateHolder) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_UPDATE_HOLDER
}

func (c *UpdateHolder) decide(next *eventsv1.AccountSnapshot, _ *Register, event *eventsv1.AccountEvent) error {
	next.SealedHolder, next.HomeCountryCode = c.SealedHolder, c.HomeCountry
	event.Fact = &eventsv1.AccountEvent_HolderUpdated{HolderUpdated: &eventsv1.HolderUpdated{Paths: c.Paths}}
	return nil
}

// SetState sets the account's state. A closed account stays closed.
type SetState struct {
	Header
	// State to set, and why.
	State  typev1.AccountState
	Reason string
}

// Kind is COMMAND_KIND_SET_ACCOUNT_STATE.
func (c *SetState) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_SET_ACCOUNT_STATE
}

func (c *SetState) decide(next *eventsv1.AccountSnapshot, _ *Register, event *eventsv1.AccountEvent) error {
	if err := notClosed(next, event); err != nil {
		return err
	}
	event.Fact = &eventsv1.AccountEvent_AccountStateChanged{AccountStateChanged: &eventsv1.AccountStateChanged{
		PreviousState: next.GetState(), Reason: c.Reason}}
	next.State = c.State
	return nil
}

// notClosed returns an error for a closed account.
func notClosed(next *eventsv1.AccountSnapshot, event *eventsv1.AccountEvent) error {
	if next.GetState() == typev1.AccountState_ACCOUNT_STATE_CLOSED {
		return failure.New(failure.Precondition, "ACCOUNT_CLOSED", "account %s is closed and stays so", event.GetEnvelope().GetAccountId())
	}
	return nil
}
