package transactions

import (
	"context"
	"encoding/binary"
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

func (domain) FoldVersion() int { return ledger.FoldVersion }

func (domain) Encode(a *ledger.Account, to []byte) []byte { return a.Encode(to) }

func (domain) Decode(encoded []byte) (*ledger.Account, error) { return ledger.Decode(encoded) }

func (domain) Agrees(a *ledger.Account, last *eventsv1.LedgerEvent) bool {
	return a.Balances() == ledger.BalancesOf(last)
}

func (domain) Restore(string, string) {}

// Summary tells what the account has seen of other streams.
func (domain) Summary(view ledger.View) string {
	return string(binary.AppendUvarint(binary.AppendUvarint(nil, view.AccountsSequence), view.PaymentsSequence))
}

// followed is what of the streams that it follows an account's ledger has seen: the newest event of ACCOUNTS, and the newest movement of PAYMENTS.
type followed struct{ accounts, payments uint64 }

func followedIn(view ledger.View) followed {
	return followed{view.AccountsSequence, view.PaymentsSequence}
}

// followedBy reads a summary.
func followedBy(summary string) followed {
	accounts, size := binary.Uvarint([]byte(summary))
	payments, _ := binary.Uvarint([]byte(summary)[max(size, 0):])
	return followed{accounts, payments}
}

// followed returns what an account's ledger has seen, in memory or not; known is false when there is no such account in the ledger, or that cannot be told just now.
func (s *Service) followed(ctx context.Context, accountID string) (f followed, known bool) {
	shard := s.shard(accountID)
	if view, there := shard.Published(accountID); there {
		return followedIn(view), true
	}
	if summary, trusted := shard.Trusted(accountID); trusted {
		return followedBy(summary), true
	}
	view, known, err := shard.View(ctx, accountID) // holds what an earlier process left against the log
	return followedIn(view), known && err == nil
}

// lastSequence returns the sequence of an account's last event; 0 when it has none.
func (s *Service) lastSequence(accountID string) uint64 {
	shard := s.shard(accountID)
	if view, there := shard.Published(accountID); there {
		return view.Sequence
	}
	_, sequence, _ := shard.Stored(accountID)
	return sequence
}
