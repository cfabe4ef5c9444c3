package payments

import (
	"time"

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
