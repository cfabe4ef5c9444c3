package transactions

import (
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// Engine is the one writer of a LEDGER stream.
type Engine = engine.Engine[*ledger.Account, ledger.Command, *eventsv1.LedgerEvent, ledger.View]

// Fold is the state of all accounts of a shard, made from its stream alone.
type Fold = engine.Fold[*ledger.Account, ledger.Command, *eventsv1.LedgerEvent, ledger.View]

// NewFold makes an empty Fold.
func NewFold() *Fold {
	return engine.NewFold[*ledger.Account, ledger.Command, *eventsv1.LedgerEvent, ledger.View](domain{})
}

// domain fits the pure package ledger to the engine.
type domain struct {
	// rules returns those in force. Each decision asks once.
	rules func() *ledger.Rules
}

func (domain) Empty() *eventsv1.LedgerEvent { return &eventsv1.LedgerEvent{} }

func (domain) EventType(event *eventsv1.LedgerEvent) string {
	return "cardlog.transactions." + engine.FactName(event)
}

func (domain) New(accountID string) *ledger.Account { return ledger.New(accountID) }

func (domain) Lookup(a *ledger.Account, c ledger.Command) command.Lookup { return a.Lookup(c) }

func (domain) Recall(a *ledger.Account, event *eventsv1.LedgerEvent, sequence uint64) {
	a.Recall(event, sequence)
}

func (d domain) Decide(a *ledger.Account, c ledger.Command, at command.Position) (*eventsv1.LedgerEvent, error) {
	return a.Decide(c, d.rules(), at)
}

func (domain) Expire(a *ledger.Account, at command.Position) (*eventsv1.LedgerEvent, bool) {
	return a.Expire(at)
}

func (domain) NextDue(a *ledger.Account) (time.Time, bool) { return a.NextDue() }

func (domain) Apply(a *ledger.Account, event *eventsv1.LedgerEvent, sequence uint64) {
	a.Apply(event, sequence)
}

func (domain) Answered(a *ledger.Account, kind eventsv1.CommandKind, id string) uint64 {
	return a.Answered(kind, id)
}

func (domain) View(a *ledger.Account) ledger.View { return a.View() }
