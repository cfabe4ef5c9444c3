package engine

import (
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// Event is a stored fact.
type Event interface {
	proto.Message
	GetEnvelope() *eventsv1.Envelope
}

// Command asks for one event on one account.
type Command interface {
	// Account is the id of the account.
	Account() string
	// Kind is what the command's id is scoped to, beside the account.
	Kind() eventsv1.CommandKind
	// ID is the command's idempotency key; empty where the caller gave none, and then no repeat can be recognised.
	ID() string
	// Digest of the content: the same id with another digest is refused.
	Digest() []byte
}

// Messenger is a Command that carries somebody's message, which can come again under another id.
type Messenger interface {
	// Message returns a digest of what tells the message from all others, nil where nothing does, and a digest of what it asks. Events carry both in their envelope.
	Message() (key, digest []byte)
}

// Domain is the pure rules of a stream. S is the state of one account (a pointer), C a command, E an event, V what readers see of an account.
// It does no I/O, reads no clock, and is called by one goroutine at a time.
type Domain[S any, C Command, E Event, V any] interface {
	// Empty returns an event to decode into. It may be called by any goroutine.
	Empty() E
	// EventType names the event's fact for the header ce-type.
	EventType(event E) string
	// New returns the state of an account without events.
	New(accountID string) S
	// Lookup says what must be read from the log before a command can be decided.
	Lookup(state S, command C) command.Lookup
	// Recall takes a stored event that Lookup asked for back into the state.
	Recall(state S, event E, sequence uint64)
	// Decide returns the one event that answers a command, or a *failure.Error when nothing is to be stored.
	Decide(state S, command C, at command.Position) (E, error)
	// Expire returns the next event that is due at a time without any command; ok is false when none is.
	Expire(state S, at command.Position) (event E, ok bool)
	// NextDue returns when Expire will next have an event.
	NextDue(state S) (due time.Time, ok bool)
	// Apply folds an event into the state. It panics when the event breaks an invariant: a corrupt balance must stop, not go on.
	Apply(state S, event E, sequence uint64)
	// Answered returns the sequence of the event that answered a command; 0 when none did.
	Answered(state S, kind eventsv1.CommandKind, id string) uint64
	// View returns what readers see of the state. It must not change afterwards.
	View(state S) V
}
