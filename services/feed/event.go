// Package feed makes the stored facts public, as CloudEvents in JSON.
package feed

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// Event is a public event.
type Event struct {
	// Subject is events.<service>.<event>.<account_id>.
	Subject string
	// Header has the CloudEvents attributes.
	Header eventlog.HeaderLines
	// Data is compact JSON.
	Data []byte
	// Cause is the event of another stream that this one follows from, which is public before it.
	Cause Cause
}

// Cause names a stored event by its stream and its sequence there; the zero value names none.
type Cause struct {
	Stream   string
	Sequence uint64
}

// ErrUnreadable means that a stored event cannot be made public: it does not decode, or is none that this version knows.
var ErrUnreadable = errors.New("the stored event cannot be read")

// Translate makes the public event of a stored one. Every stored event has exactly one, else the error is an ErrUnreadable.
func Translate(stream string, m eventlog.Message) (Event, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	event, err := e.translate(stream, m)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %s:%d: %w", ErrUnreadable, stream, m.Sequence, err)
	}
	return event, nil
}

func (e *encoder) translate(stream string, m eventlog.Message) (Event, error) {
	public, envelope, body, err := e.read(stream, m)
	if err != nil {
		return Event{}, err
	}
	if err := checkEnvelope(envelope, m.Subject); err != nil {
		return Event{}, err
	}
	data, err := e.encode(body)
	if err != nil {
		return Event{}, err
	}
	event := Event{Subject: public.subject + envelope.GetAccountId(), Header: public.header(stream, m.Sequence, envelope), Data: data}
	if followed, ok := body.(*ledgerData); ok {
		event.Cause = followed.cause()
	}
	return event, nil
}

// read decodes a stored event and makes the body of the public one, which is good until the next is read.
func (e *encoder) read(stream string, m eventlog.Message) (*kind, *eventsv1.Envelope, any, error) {
	switch {
	case stream == accountsStream:
		stored, err := eventlog.Fact[eventsv1.AccountEvent](m)
		if err != nil {
			return nil, nil, nil, err
		}
		public, err := accountFacts.kindOf(stored)
		return public, stored.GetEnvelope(), accountDataOf(stored, m.Sequence), err
	case stream == paymentsStream:
		stored, err := eventlog.Fact[eventsv1.PaymentEvent](m)
		if err != nil {
			return nil, nil, nil, err
		}
		public, err := paymentFacts.kindOf(stored)
		return public, stored.GetEnvelope(), paymentDataOf(stored, m.Sequence), err
	case isLedgerStream(stream):
		stored, err := eventlog.Fact[eventsv1.LedgerEvent](m)
		if err != nil {
			return nil, nil, nil, err
		}
		public, err := ledgerFacts.kindOf(stored)
		e.ledger.fill(stored, m.Sequence)
		return public, stored.GetEnvelope(), &e.ledger, err
	default:
		return nil, nil, nil, errors.New("no stream of facts has this name")
	}
}

// checkEnvelope returns an error when an event does not belong where it is stored, or has nothing to be addressed by.
func checkEnvelope(envelope *eventsv1.Envelope, subject string) error {
	id := envelope.GetAccountId()
	if last := subject[strings.LastIndexByte(subject, '.')+1:]; id != last {
		return fmt.Errorf("it is account %q's and stored under %q", id, subject)
	}
	if !isToken(id) {
		return fmt.Errorf("%q cannot be an account id", id)
	}
	if err := envelope.GetDecidedAt().CheckValid(); err != nil {
		return fmt.Errorf("when it was decided is not told: %w", err)
	}
	return nil
}

// isToken says whether an id can be a subject's token, as the contracts demand of account ids.
func isToken(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return id != ""
}

// kind is what all public events of one name have in common.
type kind struct {
	subject string // up to the account id
	source  string
	name    string
}

// headerRoom is how many bytes most headers take.
const headerRoom = 320

// header returns the CloudEvents attributes, in lower case as nats.go compares them by case.
func (k *kind) header(stream string, sequence uint64, envelope *eventsv1.Envelope) eventlog.HeaderLines {
	lines := eventlog.CloudEvent{
		Stream: stream, Sequence: sequence, Source: k.source, Type: k.name, Time: envelope.GetDecidedAt().AsTime(),
	}.AppendTo(make(eventlog.HeaderLines, 0, headerRoom))
	return lines.Add("ce-subject", envelope.GetAccountId()).Add("ce-datacontenttype", "application/json")
}

// facts are what one stream's events can hold, and what each is called in public.
type facts struct {
	service string
	oneof   protoreflect.OneofDescriptor
	kinds   map[protoreflect.FieldNumber]*kind
	events  []string
}

// factsOf takes the facts from a stored event's type. A fact has its own name in public, unless it is renamed.
func factsOf(service string, stored proto.Message, renamed map[protoreflect.Name]string) *facts {
	oneof := stored.ProtoReflect().Descriptor().Oneofs().ByName("fact")
	f := &facts{service: service, oneof: oneof, kinds: map[protoreflect.FieldNumber]*kind{}}
	for i := range oneof.Fields().Len() {
		fact := oneof.Fields().Get(i)
		name, other := renamed[fact.Name()]
		if !other {
			name = string(fact.Name())
		}
		f.events = append(f.events, name)
		f.kinds[fact.Number()] = &kind{
			subject: Subject(service, name, ""), source: "/cardlog/" + service, name: "cardlog." + service + "." + name,
		}
	}
	return f
}

// kindOf says what a stored event is in public.
func (f *facts) kindOf(stored proto.Message) (*kind, error) {
	fact := stored.ProtoReflect().WhichOneof(f.oneof)
	if fact == nil {
		return nil, errors.New("it has no fact that this version knows")
	}
	return f.kinds[fact.Number()], nil
}

// Streams of facts. Services do not know each other's code, so their names are said here again.
const (
	accountsStream = "ACCOUNTS"
	paymentsStream = "PAYMENTS"
)

// isLedgerStream says whether a stream is LEDGER_<nn>.
func isLedgerStream(name string) bool {
	shard, is := strings.CutPrefix(name, "LEDGER_")
	return is && len(shard) == 2 && isDigit(shard[0]) && isDigit(shard[1])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

var (
	accountFacts = factsOf("accounts", &eventsv1.AccountEvent{}, map[protoreflect.Name]string{
		"account_opened": "opened", "credit_limit_changed": "limit_changed", "account_state_changed": "state_changed",
	})
	paymentFacts = factsOf("payments", &eventsv1.PaymentEvent{}, nil)
	ledgerFacts  = factsOf("transactions", &eventsv1.LedgerEvent{}, map[protoreflect.Name]string{
		"ledger_opened": "account_opened", "command_rejected": "rejected",
	})
	allFacts = []*facts{accountFacts, paymentFacts, ledgerFacts}
)

// Services returns the services that events come from.
func Services() []string {
	var names []string
	for _, f := range allFacts {
		names = append(names, f.service)
	}
	return names
}

// EventNames returns the names of a service's events; nil when there is no such service.
func EventNames(service string) []string {
	for _, f := range allFacts {
		if f.service == service {
			return append([]string(nil), f.events...)
		}
	}
	return nil
}

// Subject returns the subject of an event.
func Subject(service, event, accountID string) string {
	return "events." + service + "." + event + "." + accountID
}
