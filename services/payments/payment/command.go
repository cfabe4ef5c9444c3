package payment

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

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
	// Content is the digest of what the caller sent, without what the service added.
	Content []byte
}

// Account is the id of the account.
func (h Header) Account() string { return h.AccountID }

// ID is the idempotency key.
func (h Header) ID() string { return h.RequestID }

// Digest of the content.
func (h Header) Digest() []byte { return h.Content }

func (h Header) header() Header { return h }

// Command is one of *Submit, *Release, *Cancel and *Return.
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
	// decide answers the command with an event whose fact, payment and assessment are set.
	decide(a *Account, rules *Rules, at command.Position) (*eventsv1.PaymentEvent, error)
}

// Decide answers a command with exactly one event, or with a *failure.Error when nothing is to be stored. It changes nothing.
func (a *Account) Decide(c Command, rules *Rules, at command.Position) (*eventsv1.PaymentEvent, error) {
	header := c.header()
	if header.ExpectedSequence != 0 && header.ExpectedSequence != a.sequence {
		return nil, failure.New(failure.Precondition, "SEQUENCE_MISMATCH",
			"the payments of account %s are at sequence %d, not %d; read them again and repeat the change if it still holds", a.id, a.sequence, header.ExpectedSequence)
	}
	event, err := c.decide(a, rules, at)
	if err != nil {
		return nil, err
	}
	now := timestamppb.New(at.Time)
	event.Payment.UpdatedAt = now
	event.PreviousMovementSequence = a.movement
	event.Envelope = &eventsv1.Envelope{AccountId: a.id, PreviousSequence: a.sequence, DecidedAt: now,
		CommandKind: c.Kind(), CommandId: c.ID(), CommandDigest: c.Digest(), Actor: header.Actor}
	return event, nil
}
