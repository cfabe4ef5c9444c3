package engine

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// dueLoadBound is how many accounts may be loaded at once because something of them is due.
const dueLoadBound = 256

// retryDue is when an account that could not be loaded is looked at again, because something of it is due.
const retryDue = time.Second

// arrival is an account that was loaded.
type arrival[S any] struct {
	waiting *account[S] // stands for it in memory, and becomes it
	account *account[S] // nil when the log has no event of it
	epoch   int
	err     error
}

// find returns the account of a request; nil where there is none. One that is not in memory is loaded, and the request waits for that while others go on: then absent
// is true.
func (e *Engine[S, C, E, V]) find(r *request) (a *account[S], absent bool) {
	a = e.fold.accounts[r.account]
	if a == nil {
		if e.fold.memory == nil || r.account == "" {
			return nil, false
		}
		entry, stored := e.store.Entry(r.account)
		if !stored {
			return nil, false
		}
		a = e.load(r.account, entry.Planned)
	}
	a.used = true
	if a.absent {
		a.parked = append(a.parked, r)
	}
	return a, a.absent
}

// load begins to load an account that is in the store, and returns what stands for it meanwhile.
func (e *Engine[S, C, E, V]) load(accountID string, planned int64) *account[S] {
	waiting := newAccount[S](e.options.Subject(accountID))
	waiting.due, waiting.absent = planned, true
	e.fold.keep(waiting)
	epoch := e.epoch
	go func() {
		e.recalls <- struct{}{}
		defer func() { <-e.recalls }()
		loaded, err := e.stored(context.Background(), accountID)
		select {
		case e.arrivals <- arrival[S]{waiting: waiting, account: loaded, epoch: epoch, err: err}:
		case <-e.ended:
		}
	}()
	return waiting
}

// stored reads an account that is in the store and not in memory: nothing of it is under way. What an earlier process kept and no mark proves is held against the log;
// where the log does not agree, the log wins.
func (e *Engine[S, C, E, V]) stored(ctx context.Context, accountID string) (*account[S], error) {
	subject := e.options.Subject(accountID)
	a, entry := readKept(e.store, e.codec, subject)
	if a != nil && entry.Trusted {
		return a, nil
	}
	if a != nil {
		agrees, err := e.agrees(ctx, a)
		if err != nil {
			return nil, err
		}
		if agrees {
			e.store.Trust(accountID, a.sequence)
			return a, nil
		}
	}
	durable, _ := e.stream.Durable()
	return e.remake(ctx, accountID, subject, durable)
}

// agrees says whether an account's state is that after its last event in the log.
func (e *Engine[S, C, E, V]) agrees(ctx context.Context, a *account[S]) (bool, error) {
	m, err := e.stream.LastOf(ctx, a.subject)
	if errors.Is(err, eventlog.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	event, err := e.Decode(m)
	if err != nil {
		return false, err
	}
	return m.Sequence == a.sequence && hashOf(m) == a.hash && e.codec.Agrees(a.state, event), nil
}

// hashOf returns the chain hash at the end of a stored event.
func hashOf(m eventlog.Message) (hash Hash) {
	if len(m.Data) >= len(hash) {
		hash = Hash(m.Data[len(m.Data)-len(hash):])
	}
	return hash
}

// remake makes an account from its events in the log alone; it returns nil when it has none.
func (e *Engine[S, C, E, V]) remake(ctx context.Context, accountID, subject string, through uint64) (*account[S], error) {
	fold := NewFold(e.options.Domain())
	err := e.stream.Read(ctx, eventlog.Range{Subject: subject, Through: through}, func(m eventlog.Message) error { return fold.Add(e.stream.Name(), m) })
	return fold.accounts[accountID], err
}

// arrive goes on with an account that was loaded.
func (e *Engine[S, C, E, V]) arrive(l arrival[S]) {
	if l.epoch != e.epoch {
		return // its callers were told, or wait for it again
	}
	a := l.waiting
	if a.wanted {
		e.wanted--
	}
	parked := a.parked
	switch {
	case l.err != nil:
		e.fold.forget(a)
		e.loadFailed(l)
		return
	case l.account == nil:
		e.fold.forget(a)
		e.store.Drop(a.id) // the log has never heard of it
	default:
		a.absent, a.parked = false, nil
		a.state, a.sequence, a.hash, a.saved = l.account.state, l.account.sequence, l.account.hash, l.account.saved
		e.list(a)
		e.show(a)
		if a.wanted { // at once, before it can leave memory again
			e.guard(a.id, func() { e.expire(a, e.now()) })
			a.wanted = false
		}
		e.planDue(a)
	}
	for _, r := range parked {
		e.take(r)
	}
	e.shrink(evictBound)
}

// loadFailed tells who waited that the log could not be read; the next one tries again.
func (e *Engine[S, C, E, V]) loadFailed(l arrival[S]) {
	if damaged(l.err) {
		e.broken = fmt.Errorf("account %s: %w", l.waiting.id, l.err)
	}
	for _, r := range l.waiting.parked {
		e.answer(r, answer{err: ReadFailure(l.err)})
	}
	if l.waiting.wanted || l.waiting.due == 0 { // what was planned for it may have come up meanwhile
		e.planStored(l.waiting.id, micros(e.now().Add(retryDue)))
	}
}

// planStored plans when to look at an account that is not in memory.
func (e *Engine[S, C, E, V]) planStored(accountID string, at int64) {
	e.store.Plan(accountID, at)
	heap.Push(&e.plan, dueEntry{due: at, account: accountID})
}

// absentDue deals with an entry of the plan whose account is not in memory: it has it loaded if something of it is due.
func (e *Engine[S, C, E, V]) absentDue(planned dueEntry, waiting *account[S]) {
	if waiting != nil {
		if waiting.due == planned.due {
			waiting.due = 0 // planned anew when it is there
		}
		return
	}
	entry, stored := e.store.Entry(planned.account)
	switch {
	case !stored || entry.Planned != planned.due: // planned anew since
	case entry.Due == 0:
		e.store.Plan(planned.account, 0)
	case entry.Due > entry.Planned:
		e.planStored(planned.account, entry.Due)
	default:
		e.load(planned.account, 0).wanted = true
		e.wanted++
	}
}

// evictBound is how many accounts leave memory at once beyond those of a round.
const evictBound = 64

// shrink drops accounts from memory that were not used for long, as long as there are too many: at most some, so that nobody waits for it. It counts those in memory.
func (e *Engine[S, C, E, V]) shrink(most int) {
	defer func() { e.inMemory.Store(int64(len(e.fold.accounts))) }()
	m := e.fold.memory
	if m == nil {
		return
	}
	for ; most > 0 && len(e.fold.accounts) > m.bound; most-- {
		a := m.leaving(func(a *account[S]) bool { return a.absent || a.loading || len(a.parked) > 0 || a.sequence > e.durable })
		if a == nil {
			continue
		}
		if !e.fold.save(a, a.due) {
			return
		}
		e.views.drop(a.id) // from now on readers look into the store
		e.fold.forget(a)
	}
}
