package accounts

import (
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/accounts/account"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/engine"
)

// Engine is the one writer of ACCOUNTS.
type Engine = engine.Engine[*account.Account, account.Command, *eventsv1.AccountEvent, account.View]

// Fold is the state of all accounts, made from ACCOUNTS alone.
type Fold = engine.Fold[*account.Account, account.Command, *eventsv1.AccountEvent, account.View]

// NewFold makes an empty Fold.
func NewFold() *Fold { return engine.NewFold(newDomain()) }

// domain fits the pure package account to the engine. Its register of cards grows with the events applied.
type domain struct{ register *account.Register }

func newDomain() engine.Domain[*account.Account, account.Command, *eventsv1.AccountEvent, account.View] {
	return domain{account.NewRegister()}
}

func (domain) Empty() *eventsv1.AccountEvent { return &eventsv1.AccountEvent{} }

func (domain) EventType(event *eventsv1.AccountEvent) string {
	return "cardlog.accounts." + engine.FactName(event)
}

func (domain) New(accountID string) *account.Account { return account.New(accountID) }

func (domain) Lookup(a *account.Account, c account.Command) command.Lookup {
	if c.ID() == "" {
		return command.Lookup{}
	}
	return command.Lookup{Answer: a.Answered(c.Kind(), c.ID())}
}

func (domain) Recall(*account.Account, *eventsv1.AccountEvent, uint64) {}

func (d domain) Decide(a *account.Account, c account.Command, at command.Position) (*eventsv1.AccountEvent, error) {
	return a.Decide(c, d.register, at)
}

func (domain) Expire(*account.Account, command.Position) (*eventsv1.AccountEvent, bool) {
	return nil, false
}

func (domain) NextDue(*account.Account) (time.Time, bool) { return time.Time{}, false }

func (d domain) Apply(a *account.Account, event *eventsv1.AccountEvent, sequence uint64) {
	a.Apply(event, sequence)
	d.register.Apply(event)
}

func (domain) Answered(a *account.Account, kind eventsv1.CommandKind, id string) uint64 {
	if id == "" {
		return 0
	}
	return a.Answered(kind, id)
}

func (domain) View(a *account.Account) account.View { return a.View() }

func (domain) FoldVersion() int { return account.FoldVersion }

func (domain) Encode(a *account.Account, to []byte) []byte { return a.Encode(to) }

func (domain) Decode(encoded []byte) (*account.Account, error) { return account.Decode(encoded) }

func (domain) Agrees(a *account.Account, last *eventsv1.AccountEvent) bool {
	return proto.Equal(a.View().Snapshot, last.GetAccount())
}

func (domain) Summary(view account.View) string { return account.Cards(view.Snapshot) }

func (d domain) Restore(_ string, cards string) { d.register.Restore(cards) }
