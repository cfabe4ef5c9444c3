package ledger

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
)

// Expire returns the event of the next hold or withholding that is due at a time; ok is false when none is.
func (a *Account) Expire(at command.Position) (event *eventsv1.LedgerEvent, ok bool) {
	next := a.open.first()
	if next == nil || next.due().After(at.Time) {
		return nil, false
	}
	t := next.transaction()
	if t.payment() {
		event = t.endWithholding(0)
		a.address(event, eventsv1.CommandKind_COMMAND_KIND_END_WITHHOLDING, "release-"+t.ID, at)
		return event, true
	}
	fact := &eventsv1.AuthorizationExpired{ReleasedAmount: t.Held, DueAt: timestamppb.New(t.ExpiresAt)}
	before := t.copy()
	t.comeDue()
	event = &eventsv1.LedgerEvent{Transaction: t.record(), Fact: &eventsv1.LedgerEvent_AuthorizationExpired{AuthorizationExpired: fact}}
	event.Spending = a.spendingChanges(event.GetTransaction(), before.Key(), before)
	a.address(event, eventsv1.CommandKind_COMMAND_KIND_EXPIRE, fmt.Sprintf("expire-%s-%d", t.ID, t.Expiries), at)
	return event, true
}

// NextDue returns when the next hold or withholding is due.
func (a *Account) NextDue() (time.Time, bool) {
	if next := a.open.first(); next != nil {
		return next.due(), true
	}
	return time.Time{}, false
}
