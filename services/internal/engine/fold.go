package engine

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// Fold is the state of all accounts of a stream, made from its events alone. The engine starts with it; verify is nothing else.
type Fold[S any, C Command, E Event, V any] struct {
	domain   Domain[S, C, E, V]
	accounts map[string]*account[S] // in memory
	memory   *memory[S, E, V]       // nil: all are in memory
	last     command.Position
}

// account is one account's state with its place in the chain.
type account[S any] struct {
	id       string
	subject  string
	state    S
	sequence uint64
	hash     Hash
	due      int64      // what the engine has planned for it, in microseconds of the Unix epoch; 0 when nothing
	parked   []*request // waiting for an event that is being recalled, or for the state
	loading  bool       // an event is being recalled
	absent   bool       // the state is being loaded
	wanted   bool       // because something of it is due

	saved        uint64 // the sequence of its state in the store; 0 when there is none that is known to be right
	listed       bool   // among those to be saved
	unproven     bool   // from the store, and the log was not asked whether it agrees
	used         bool   // since it came to memory, or was about to leave it
	newer, older *account[S]
	cell         any // where the engine publishes its view; nil until there is one
}

// accountIn returns the id at the end of a subject.
func accountIn(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// newAccount returns an account by its subject, of which its id is a part.
func newAccount[S any](subject string) *account[S] {
	return &account[S]{id: accountIn(subject), subject: subject}
}

// begin returns an account without events.
func (f *Fold[S, C, E, V]) begin(subject string) *account[S] {
	a := newAccount[S](subject)
	a.state = f.domain.New(a.id)
	return a
}

// NewFold makes an empty Fold.
func NewFold[S any, C Command, E Event, V any](domain Domain[S, C, E, V]) *Fold[S, C, E, V] {
	return &Fold[S, C, E, V]{domain: domain, accounts: map[string]*account[S]{}}
}

// EventError says which stored event is wrong, and how.
type EventError struct {
	// Stream and Sequence are where it is stored.
	Stream   string
	Sequence uint64
	// Account that it belongs to, as far as known.
	Account string
	// Problem in a sentence.
	Problem string
	// Follows is the sequence of the event that this one follows, where that is not the account's previous one; else 0.
	Follows uint64
}

// Error names the event.
func (e *EventError) Error() string {
	return fmt.Sprintf("%s:%d (account %s): %s", e.Stream, e.Sequence, e.Account, e.Problem)
}

// Add folds one stored message in. It returns an *EventError when the message cannot be read, does not link to the account's previous event, answers a command
// that was answered before, or breaks an invariant; the account's state is then not to be relied on.
func (f *Fold[S, C, E, V]) Add(stream string, m eventlog.Message) error {
	return f.add(stream, f.decode(m))
}

// decoded is a stored message with its event, unless that cannot be read.
type decoded[E Event] struct {
	eventlog.Message
	event    E
	readable bool
}

// decode reads a message's event. It may be called by any goroutine.
func (f *Fold[S, C, E, V]) decode(m eventlog.Message) decoded[E] {
	event := f.domain.Empty()
	return decoded[E]{m, event, proto.Unmarshal(m.Data, event) == nil}
}

func (f *Fold[S, C, E, V]) add(stream string, m decoded[E]) error {
	id := accountIn(m.Subject)
	if !m.readable {
		return &EventError{Stream: stream, Sequence: m.Sequence, Account: id, Problem: "the event cannot be decoded"}
	}
	if f.memory != nil && f.memory.has(f.accounts[id], id, m.Message) {
		f.move(command.Position{Sequence: m.Sequence, Time: m.event.GetEnvelope().GetDecidedAt().AsTime()})
		return nil
	}
	a, err := f.account(id, m.Subject, m.Sequence)
	if err != nil {
		return err
	}
	err = f.fold(stream, a, m)
	if err != nil && a.unproven { // the checkpoint may be wrong, and not the log
		if a, err = f.remade(a, m.Sequence); err == nil {
			err = f.fold(stream, a, m)
		}
	}
	if err != nil {
		return err
	}
	a.unproven = false
	f.shrinkWhileReading()
	return nil
}

// remade takes an account, made from the log alone up to before an event, in the place of one that cannot be used.
func (f *Fold[S, C, E, V]) remade(a *account[S], before uint64) (*account[S], error) {
	made, err := f.memory.remake(a.id, a.subject, before-1)
	if err != nil {
		return nil, err
	}
	if made == nil {
		made = f.begin(a.subject)
	}
	f.forget(a)
	f.keep(made)
	return made, nil
}

// fold folds a stored event into its account's state, or returns an *EventError when it does not follow from that.
func (f *Fold[S, C, E, V]) fold(stream string, a *account[S], m decoded[E]) error {
	hash, err := f.follows(stream, a, m)
	if err != nil {
		return err
	}
	if err := f.apply(a, m.event, command.Position{Sequence: m.Sequence, Time: m.event.GetEnvelope().GetDecidedAt().AsTime()}, hash); err != nil {
		return &EventError{Stream: stream, Sequence: m.Sequence, Account: a.id, Problem: err.Error()}
	}
	return nil
}

// follows returns the chain hash of a stored event, or an *EventError when it does not follow from an account's state.
func (f *Fold[S, C, E, V]) follows(stream string, a *account[S], m decoded[E]) (Hash, error) {
	wrong := func(format string, args ...any) (Hash, error) {
		return Hash{}, &EventError{Stream: stream, Sequence: m.Sequence, Account: a.id, Problem: fmt.Sprintf(format, args...)}
	}
	envelope := m.event.GetEnvelope()
	if envelope.GetAccountId() != a.id {
		return wrong("the event belongs to another account")
	}
	if envelope.GetPreviousSequence() != a.sequence {
		return Hash{}, &EventError{Stream: stream, Sequence: m.Sequence, Account: a.id, Follows: envelope.GetPreviousSequence(),
			Problem: fmt.Sprintf("previous_sequence is %d, the account's previous event is %d", envelope.GetPreviousSequence(), a.sequence)}
	}
	stored, computed, err := unseal(a.hash, m.Data)
	if err != nil {
		return wrong("%v", err)
	}
	if stored != computed {
		return wrong("the chain hash does not match: this event, or one before it, was changed")
	}
	decidedAt := envelope.GetDecidedAt().AsTime()
	for _, attribute := range [...][2]string{
		{"ce-id", cloudEventID(stream, m.Sequence)}, {"ce-type", f.domain.EventType(m.event)}, {"ce-time", eventlog.FormatTime(decidedAt)},
	} {
		if stored := m.Header.Get(attribute[0]); stored != attribute[1] {
			return wrong("the header %s is %q, not %q", attribute[0], stored, attribute[1])
		}
	}
	if decidedAt.Before(f.last.Time) {
		return wrong("it was decided before the stream's previous event")
	}
	if first := f.domain.Answered(a.state, envelope.GetCommandKind(), envelope.GetCommandId()); first != 0 {
		return wrong("answers a command that event %d answered before", first)
	}
	return stored, nil
}

// apply folds an event and moves the account's place in the chain. A broken invariant is returned as an error.
func (f *Fold[S, C, E, V]) apply(a *account[S], event E, at command.Position, hash Hash) (err error) {
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("broken invariant: %v", broken)
		}
	}()
	f.domain.Apply(a.state, event, at.Sequence)
	a.sequence, a.hash = at.Sequence, hash
	f.move(at)
	return nil
}

// move notes that the fold has everything up to an event.
func (f *Fold[S, C, E, V]) move(at command.Position) {
	f.last.Sequence = at.Sequence
	if at.Time.After(f.last.Time) {
		f.last.Time = at.Time
	}
}

// Accounts returns the number of accounts.
func (f *Fold[S, C, E, V]) Accounts() int { return len(f.accounts) }

// Each calls visit with every account's state, in no order.
func (f *Fold[S, C, E, V]) Each(visit func(accountID string, state S)) {
	for id, a := range f.accounts {
		visit(id, a.state)
	}
}

func cloudEventID(stream string, sequence uint64) string {
	return fmt.Sprintf("%s:%d", stream, sequence)
}
