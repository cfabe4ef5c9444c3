package engine

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// checkpointAge is after what time the states are written although few events were stored.
const checkpointAge = time.Minute

// partBound is how many states are written at once beyond two for each event of a round.
const partBound = 64

// pass writes the state of every account that has events which are not in the checkpoints. Whatever becomes of these accounts meanwhile, the checkpoints then reach
// through what was durable when it began.
type pass[S any] struct {
	through uint64
	queue   []*account[S]
}

// saving is the state of an account after a round that is in flight.
type saving[S any] struct {
	account *account[S]
	state   checkpoint.State
}

// openStore opens the checkpoints, where there are to be any. An engine that cannot have them goes on without, and says so.
func (e *Engine[S, C, E, V]) openStore() {
	codec, coded := e.reader.(Codec[S, E, V])
	if !coded || e.options.Checkpoints.Dir == "" {
		return
	}
	store, err := e.options.Checkpoints.Early.Open(e.options.Checkpoints.Dir, e.stream.Name(), codec.FoldVersion())
	if err != nil {
		e.options.Logger.Warn("no checkpoints: starting will take longer, and every account stays in memory", slog.String("stream", e.stream.Name()), slog.Any("error", err))
		return
	}
	e.codec, e.store = codec, store
}

// startFromCheckpoints gives the fold what the store has of the log up to its last event. What does not belong to this log is thrown away.
func (e *Engine[S, C, E, V]) startFromCheckpoints(ctx context.Context, last uint64) error {
	if e.store == nil {
		return nil
	}
	f := e.fold
	f.memory = &memory[S, E, V]{store: e.store, codec: e.codec, bound: max(e.options.Checkpoints.InMemory, 1),
		remake: func(accountID, subject string, through uint64) (*account[S], error) {
			return e.remake(ctx, accountID, subject, through)
		}}
	mark := e.store.Mark()
	at, usable, err := e.markedAt(ctx, mark, last)
	if err != nil {
		return err
	}
	if !usable {
		if e.store.Len() > 0 {
			e.options.Logger.WarnContext(ctx, "the checkpoints are not of this log; they are made again from it", slog.String("stream", e.stream.Name()))
		}
		e.store.Reset()
		e.marked = 0
		return nil
	}
	e.store.Believe()
	f.last = command.Position{Sequence: mark.Through, Time: at}
	if recorded := e.stream.Recorded(); recorded > 0 { // whether the log has a gap behind what is known to be durable is known when it was read
		f.last.Sequence = min(f.last.Sequence, recorded)
	}
	e.marked = mark.Through
	return e.restore(mark.Through, last)
}

// markedAt holds a mark against the log, and returns the time of its event. Without a mark, what this process has put is of this log all the same: it stays, so that
// readers find it while the engine recovers.
func (e *Engine[S, C, E, V]) markedAt(ctx context.Context, mark checkpoint.Mark, last uint64) (at time.Time, usable bool, err error) {
	if mark.Through == 0 || mark.Through > last {
		return at, mark.Through == 0 && e.epoch > 0, nil
	}
	m, err := e.stream.Get(ctx, mark.Through)
	if errors.Is(err, eventlog.ErrNotFound) {
		return at, false, nil // the fold will come upon it and say what is missing
	}
	if err != nil {
		return at, false, err
	}
	event, err := e.Decode(m)
	if err != nil || hashOf(m) != mark.Hash {
		return at, false, nil //nolint:nilerr // the fold will come upon it and say what is wrong
	}
	return event.GetEnvelope().GetDecidedAt().AsTime(), true, nil
}

// restore tells the domain of the accounts in the store. One whose state is ahead of the log is made again from the log: the end of the log was lost, and never answered.
// No entry is dropped before its successor is there.
func (e *Engine[S, C, E, V]) restore(through, last uint64) error {
	restorer := e.fold.domain.(Codec[S, E, V])
	var ahead []string
	e.store.Each(func(accountID string, entry checkpoint.Entry) bool {
		if entry.Sequence > last {
			ahead = append(ahead, accountID)
		} else {
			restorer.Restore(accountID, entry.Summary)
		}
		return true
	})
	for _, id := range ahead {
		a, err := e.fold.memory.remake(id, e.options.Subject(id), through)
		if err != nil {
			return err
		}
		if a == nil {
			e.store.Drop(id)
			continue
		}
		// At once, in the place of the one that is thrown away: what is on file must have every account up to the mark at any time.
		due, _ := e.fold.domain.NextDue(a.state)
		e.fold.save(a, micros(due))
		restorer.Restore(id, e.codec.Summary(e.fold.domain.View(a.state)))
		e.fold.keep(a)
		e.fold.shrinkWhileReading()
	}
	if len(ahead) > 0 { // in the files before the log can have grown up to what was thrown away
		e.store.Reach(e.store.Mark())
	}
	return nil
}

// planAll plans what is due of the accounts in the store, and forgets what readers saw of them when they were in memory.
func (e *Engine[S, C, E, V]) planAll() {
	e.plan, e.wanted = duePlan{}, 0
	e.dirty, e.pass, e.saves, e.markedTime = nil, nil, nil, time.Now()
	if e.fold.memory == nil {
		return
	}
	e.store.Each(func(accountID string, entry checkpoint.Entry) bool {
		if e.fold.accounts[accountID] == nil && entry.Planned != 0 {
			e.plan = append(e.plan, dueEntry{due: entry.Planned, account: accountID})
		}
		return true
	})
	heap.Init(&e.plan)
	e.views.each(func(id string, _ V) bool {
		if e.fold.accounts[id] == nil {
			e.views.drop(id)
		}
		return true
	})
}

// list notes that the state of an account is to be written.
func (e *Engine[S, C, E, V]) list(a *account[S]) {
	if e.fold.memory != nil && !a.listed && a.saved != a.sequence {
		a.listed = true
		e.dirty = append(e.dirty, a)
	}
}

// keepUp begins a pass when it is time to, and writes some of its states when nothing is under way.
func (e *Engine[S, C, E, V]) keepUp() {
	e.beginPass()
	if e.inFlight == nil {
		e.savePart(partBound)
	}
}

// beginPass begins to write states when it is time to.
func (e *Engine[S, C, E, V]) beginPass() {
	due := e.durable >= e.marked+e.options.Checkpoints.Every || e.durable > e.marked && time.Since(e.markedTime) >= checkpointAge
	if e.fold.memory == nil || !due || e.pass != nil {
		return
	}
	if err := e.store.Err(); err != nil {
		e.options.Logger.Warn("checkpoints cannot be written; until the next start all accounts stay in memory", slog.String("stream", e.stream.Name()), slog.Any("error", err))
		e.marked, e.markedTime = e.durable, time.Now() // say so again when the next ones would be due
		return
	}
	e.pass = &pass[S]{through: e.durable, queue: e.dirty}
	e.dirty = nil
}

// savePart writes some of the states of the pass. It is called when no event is decided and not sent, so each state is durable, or will be when the round in flight is.
func (e *Engine[S, C, E, V]) savePart(most int) {
	if e.pass == nil {
		return
	}
	for ; most > 0 && len(e.pass.queue) > 0; most-- {
		a := e.pass.queue[0]
		e.pass.queue = e.pass.queue[1:]
		a.listed = false
		switch {
		case a.saved == a.sequence: // it has left memory, perhaps
		case a.sequence <= e.durable:
			if !e.fold.save(a, a.due) {
				e.pass = nil // the store is broken
				return
			}
		default:
			state := e.fold.checkpoint(a)
			state.Data = append([]byte(nil), state.Data...)
			e.saves = append(e.saves, saving[S]{a, state})
		}
	}
	e.endPass()
}

// saveSettled writes the states after the round that was in flight.
func (e *Engine[S, C, E, V]) saveSettled() {
	for _, s := range e.saves {
		// Planned as the state has it, not as the account has it by now: what was decided since may never be stored.
		if !e.store.Put(s.account.id, s.state, s.state.Due) {
			e.pass = nil
			break
		}
		s.account.saved = s.state.Sequence
	}
	e.saves = nil
	e.endPass()
}

// endPass notes how far the checkpoints reach when all states of the pass are written.
func (e *Engine[S, C, E, V]) endPass() {
	if e.pass == nil || len(e.pass.queue) > 0 || len(e.saves) > 0 {
		return
	}
	through := e.pass.through
	e.pass, e.marked, e.markedTime = nil, through, time.Now()
	epoch := e.epoch
	go func() {
		if mark, err := e.markOf(through); err == nil { // else the next mark is later
			select {
			case e.reached <- reached{mark, epoch}:
			case <-e.ended:
			}
		}
	}()
}

// reached is a mark that the checkpoints have come to.
type reached struct {
	mark  checkpoint.Mark
	epoch int
}

// reach notes a mark, unless the states before it were thrown away meanwhile, or a later mark was there first.
func (e *Engine[S, C, E, V]) reach(r reached) {
	if r.epoch != e.epoch || r.epoch == e.newest.epoch && r.mark.Through < e.newest.mark.Through {
		return
	}
	e.newest = r
	e.store.Reach(r.mark)
}

// markOf returns the mark at a sequence.
func (e *Engine[S, C, E, V]) markOf(through uint64) (checkpoint.Mark, error) {
	m, err := e.stream.Get(context.Background(), through)
	return checkpoint.Mark{Through: through, Hash: hashOf(m), At: time.Now()}, err
}

// saveAll writes what is not written when the engine ends, so that it starts at once. It has stepped down: what is not durable is not written.
func (e *Engine[S, C, E, V]) saveAll() {
	if e.fold == nil || e.fold.memory == nil || e.store.Err() != nil {
		return
	}
	for _, a := range e.fold.accounts {
		if a.sequence > e.durable {
			return
		}
		if !a.absent && !e.fold.save(a, a.due) {
			return
		}
	}
	if mark, err := e.markOf(e.durable); err == nil {
		e.store.Reach(mark)
	}
}

// Residence says where the accounts of an engine are.
type Residence struct {
	// Accounts is how many there are, InMemory how many of them are in memory.
	Accounts, InMemory int
	// Checkpoint is the sequence up to which a start need not read the log, and CheckpointAt when that was noted; 0 when there is none.
	Checkpoint   uint64
	CheckpointAt time.Time
}

// Residence returns where the accounts are.
func (e *Engine[S, C, E, V]) Residence() Residence {
	r := Residence{InMemory: int(e.inMemory.Load())}
	r.Accounts = r.InMemory
	if store := e.kept(); store != nil {
		mark := store.Mark()
		r.Accounts, r.Checkpoint, r.CheckpointAt = max(store.Len(), r.InMemory), mark.Through, mark.At
	}
	return r
}
