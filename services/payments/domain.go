package payments

import (
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/payments/payment"
)

// Engine is the one writer of PAYMENTS.
type Engine = engine.Engine[*payment.Account, payment.Command, *eventsv1.PaymentEvent, payment.View]

// Fold is the state of all accounts' payments, made from PAYMENTS alone.
type Fold = engine.Fold[*payment.Account, payment.Command, *eventsv1.PaymentEvent, payment.View]

// NewFold makes an empty Fold.
func NewFold() *Fold {
	return engine.NewFold[*payment.Account, payment.Command, *eventsv1.PaymentEvent, payment.View](domain{})
}

// domain fits the pure package payment to the engine.
type domain struct{ rules func() *payment.Rules }

func (domain) Empty() *eventsv1.PaymentEvent { return &eventsv1.PaymentEvent{} }

func (domain) EventType(event *eventsv1.PaymentEvent) string {
	return "cardlog.payments." + engine.FactName(event)
}

func (domain) New(accountID string) *payment.Account { return payment.New(accountID) }

func (d domain) Lookup(a *payment.Account, c payment.Command) command.Lookup {
	return command.Lookup{Answer: d.Answered(a, c.Kind(), c.ID())}
}

func (domain) Recall(*payment.Account, *eventsv1.PaymentEvent, uint64) {}

func (d domain) Decide(a *payment.Account, c payment.Command, at command.Position) (*eventsv1.PaymentEvent, error) {
	return a.Decide(c, d.rules(), at)
}

func (domain) Expire(*payment.Account, command.Position) (*eventsv1.PaymentEvent, bool) {
	return nil, false
}

func (domain) NextDue(*payment.Account) (time.Time, bool) { return time.Time{}, false }

func (domain) Apply(a *payment.Account, event *eventsv1.PaymentEvent, sequence uint64) {
	a.Apply(event, sequence)
}

func (domain) Answered(a *payment.Account, kind eventsv1.CommandKind, id string) uint64 {
	if id == "" {
		return 0
	}
	return a.Answered(kind, id)
}

func (domain) View(a *payment.Account) payment.View { return a.View() }

func (domain) FoldVersion() int { return payment.FoldVersion }

func (domain) Encode(a *payment.Account, to []byte) []byte { return a.Encode(to) }

func (domain) Decode(encoded []byte) (*payment.Account, error) { return payment.Decode(encoded) }

func (domain) Agrees(a *payment.Account, last *eventsv1.PaymentEvent) bool {
	p, known := a.Payment(last.GetPayment().GetPaymentId())
	return known && proto.Equal(p.Snapshot, last.GetPayment())
}

// Summary tells the account's last movement.
func (domain) Summary(view payment.View) string {
	return string(binary.AppendUvarint(nil, view.Movement))
}

func (domain) Restore(string, string) {}

// lastMovement returns the sequence of an account's last movement, in memory or not; 0 when there is none.
func (s *Service) lastMovement(accountID string) uint64 {
	if view, there := s.engine.Published(accountID); there {
		return view.Movement
	}
	summary, _, _ := s.engine.Stored(accountID)
	movement, _ := binary.Uvarint([]byte(summary))
	return movement
}
