package ledger

import (
	"container/heap"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// Expire returns the event of the next hold or withholding that is due at a time; ok is false when none is.
func (a *Account) Expire(at command.Position) (event *eventsv1.LedgerEvent, ok bool) {
	next := a.nextDue()
	if next == nil || !next.dueBy(at.Time) {
		return nil, false
	}
	t := *next
	if t.payment() {
		event = t.endWithholding(0)
		a.address(event, eventsv1.CommandKind_COMMAND_KIND_END_WITHHOLDING, "release-"+t.ID, at)
		return event, true
	}
	fact := &eventsv1.AuthorizationExpired{ReleasedAmount: t.Held, DueAt: timestamppb.New(t.ExpiresAt)}
	t.comeDue()
	event = &eventsv1.LedgerEvent{Transaction: t.record(), Fact: &eventsv1.LedgerEvent_AuthorizationExpired{AuthorizationExpired: fact}}
	a.address(event, eventsv1.CommandKind_COMMAND_KIND_EXPIRE, fmt.Sprintf("expire-%s-%d", t.ID, t.Expiries), at)
	return event, true
}

// NextDue returns when the next hold or withholding is due.
func (a *Account) NextDue() (time.Time, bool) {
	if next := a.nextDue(); next != nil {
		return next.ExpiresAt, true
	}
	return time.Time{}, false
}

// nextDue returns the open transaction that is due first, or nil.
func (a *Account) nextDue() *Transaction {
	for len(a.due) > 0 {
		planned := a.due[0]
		if t := a.open[planned.transaction]; t != nil && t.ExpiresAt.Equal(planned.at) {
			return t
		}
		heap.Pop(&a.due) // closed, or planned anew
	}
	return nil
}

// planDue notes when an open transaction is due. Entries of what ended early are thrown out when they outnumber the open ones.
func (a *Account) planDue(t *Transaction) {
	heap.Push(&a.due, dueHold{at: t.ExpiresAt, transaction: t.Key()})
	if len(a.due) > 2*len(a.open)+16 {
		a.due = a.due[:0]
		for key, held := range a.open {
			a.due = append(a.due, dueHold{at: held.ExpiresAt, transaction: key})
		}
		heap.Init(&a.due)
	}
}

// dueHolds orders holds and withholdings by when they are due. Entries that are no longer true are dropped when they come up.
type dueHolds []dueHold

type dueHold struct {
	at          time.Time
	transaction string // its key
}

func (h dueHolds) Len() int           { return len(h) }
func (h dueHolds) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHolds) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *dueHolds) Push(hold any) { *h = append(*h, hold.(dueHold)) }

// Pop is for package heap.
func (h *dueHolds) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
