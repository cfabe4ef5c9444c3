package engine

import (
	"container/heap"
	"time"
)

// idleWait is how long the engine sleeps when nothing is due; it looks at the clock again then.
const idleWait = time.Minute

// duePlan orders accounts by when something of theirs is due. Entries that are no longer true are skipped when they come up.
type duePlan []dueEntry

type dueEntry struct {
	due     int64 // in microseconds of the Unix epoch
	account string
}

func (p duePlan) Len() int           { return len(p) }
func (p duePlan) Less(i, j int) bool { return p[i].due < p[j].due }
func (p duePlan) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// Push is for package heap.
func (p *duePlan) Push(entry any) { *p = append(*p, entry.(dueEntry)) }

// Pop is for package heap.
func (p *duePlan) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// planDue plans an account's next due time where it is earlier than what is planned.
func (e *Engine[S, C, E, V]) planDue(a *account[S]) {
	next, ok := e.fold.domain.NextDue(a.state)
	due := micros(next)
	if ok && (a.due == 0 || due < a.due) {
		a.due = due
		heap.Push(&e.plan, dueEntry{due: due, account: a.id})
	}
}

// untilDue returns how long nothing is due.
func (e *Engine[S, C, E, V]) untilDue() time.Duration {
	if e.pass != nil && e.inFlight == nil {
		return 0 // there are states to be written
	}
	if len(e.plan) == 0 || e.full() || e.wanted >= dueLoadBound {
		return idleWait
	}
	return min(max(time.UnixMicro(e.plan[0].due).Sub(e.now()), 0), idleWait)
}

// takeExpiry answers when all that is due is durable. What does not fit into the round is left for the next ones.
func (e *Engine[S, C, E, V]) takeExpiry(r *request) {
	e.expireDue()
	switch {
	case e.broken != nil:
		e.answer(r, answer{err: errInconsistent.Because(e.broken)})
	case e.somethingDue(), e.wanted > 0:
		e.deferred = append(e.deferred, r)
	default:
		e.answerWhenDurable(r, e.fold.last.Sequence, answer{})
	}
}

// somethingDue says whether the plan has something that is due.
func (e *Engine[S, C, E, V]) somethingDue() bool {
	return len(e.plan) > 0 && e.plan[0].due <= e.now().UnixMicro()
}

// expireDue appends what has come due without a command.
func (e *Engine[S, C, E, V]) expireDue() {
	for e.somethingDue() && !e.full() && e.broken == nil && e.wanted < dueLoadBound {
		entry := heap.Pop(&e.plan).(dueEntry)
		a := e.fold.accounts[entry.account]
		if a == nil || a.absent {
			e.absentDue(entry, a)
			continue
		}
		if a.due != entry.due {
			continue // planned anew since
		}
		a.due = 0
		e.guard(a.id, func() {
			e.expire(a, e.now())
			e.planDue(a)
		})
	}
}
