package engine

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// Checkpoints say how an engine keeps states in files, so that it starts fast and not every account need be in memory.
type Checkpoints struct {
	// Dir of the files; empty: there are none, and every account is in memory.
	Dir string
	// InMemory is how many accounts are in memory at most; a few more may be for a moment.
	InMemory int
	// Every is how many events are stored until the states are written again.
	Every uint64
	// Early has files that are being read already. Optional.
	Early *checkpoint.Early
}

// Part returns what of the checkpoints is for one of several streams.
func (c Checkpoints) Part(stream string, of int) Checkpoints {
	if c.Dir != "" {
		c.Dir = filepath.Join(c.Dir, stream)
	}
	c.InMemory = (c.InMemory + of - 1) / of
	c.Every = (c.Every + uint64(of) - 1) / uint64(of)
	return c
}

// Table opens a table of a name among the checkpoints, with rows of a version; where there are none to be, or another process has it, it is in memory only.
func (c Checkpoints) Table(name string, version int, logger *slog.Logger) *checkpoint.Table {
	if c.Dir == "" {
		return checkpoint.NewTable()
	}
	table, err := c.Early.OpenTable(filepath.Join(c.Dir, name), name, version)
	if err != nil {
		logger.Warn("a table is not kept: starting will take longer", slog.String("table", name), slog.Any("error", err))
		return checkpoint.NewTable()
	}
	return table
}

// Codec is a Domain whose accounts can be kept in files. Encode, Decode and Summary may be called by any goroutine.
type Codec[S any, E Event, V any] interface {
	// FoldVersion numbers what Apply and Encode make of events: what was kept under another one is not used.
	FoldVersion() int
	// Encode appends a state to bytes.
	Encode(state S, to []byte) []byte
	// Decode reads what Encode appended.
	Decode(encoded []byte) (S, error)
	// Agrees says whether a state can be the one after an event, by what the event carries.
	Agrees(state S, last E) bool
	// Summary returns what must be known of an account that is not in memory.
	Summary(view V) string
	// Restore is told, before any event is applied, the summary of each account that is not made of events again.
	Restore(accountID, summary string)
}

// memory bounds how many accounts of a fold are in memory. The others are in its store.
type memory[S any, E Event, V any] struct {
	store  *checkpoint.Store
	codec  Codec[S, E, V]
	bound  int
	remake func(accountID, subject string, through uint64) (*account[S], error) // makes an account from the log alone; nil when it has no events
	buffer []byte

	newest, oldest *account[S] // in the order in which they came
}

// add makes an account the newest, if it is not in the order.
func (m *memory[S, E, V]) add(a *account[S]) {
	if m.newest == a || a.newer != nil {
		return
	}
	if a.older = m.newest; a.older != nil {
		a.older.newer = a
	}
	if m.newest = a; m.oldest == nil {
		m.oldest = a
	}
}

// leaving returns the account that leaves memory next, or nil: the oldest becomes the newest if it was used since. Few need to be looked at for one that leaves, and
// none has to be moved when it is used.
func (m *memory[S, E, V]) leaving(inUse func(a *account[S]) bool) *account[S] {
	a := m.oldest
	if !a.used && !inUse(a) {
		return a
	}
	a.used = false
	m.unlink(a)
	m.add(a)
	return nil
}

// unlink takes an account out of the order, if it is in it.
func (m *memory[S, E, V]) unlink(a *account[S]) {
	switch {
	case a.newer != nil:
		a.newer.older = a.older
	case m.newest == a:
		m.newest = a.older
	}
	switch {
	case a.older != nil:
		a.older.newer = a.newer
	case m.oldest == a:
		m.oldest = a.newer
	}
	a.newer, a.older = nil, nil
}

// has says whether a fold has an event of an account, in memory or in its store. A state that was stored behind the newest mark is proven when its event comes.
func (m *memory[S, E, V]) has(a *account[S], accountID string, event eventlog.Message) bool {
	if a != nil {
		return event.Sequence <= a.sequence
	}
	entry, stored := m.store.Entry(accountID)
	if !stored || event.Sequence > entry.Sequence {
		return false
	}
	if event.Sequence == entry.Sequence && !entry.Trusted {
		if kept, _, err := m.store.Get(accountID); err == nil && kept.Hash == hashOf(event) {
			m.store.Trust(accountID, event.Sequence)
		}
	}
	return true
}

// stored returns an account from the store, or made again from the log where what is in the store cannot be used; nil when it is not in the store.
// It is not proven: the log was not asked whether it agrees.
func (m *memory[S, E, V]) stored(accountID, subject string, before uint64) (*account[S], error) {
	a, entry := readKept(m.store, m.codec, strings.Clone(subject))
	switch {
	case entry.Sequence == 0:
		return nil, nil
	case a == nil:
		return m.remake(accountID, subject, before-1)
	}
	a.unproven = true
	return a, nil
}

// readKept returns an account as a store has it, by its subject, and what is known of it without reading. It is nil where there is none that can be used.
func readKept[S any, E Event, V any](store *checkpoint.Store, codec Codec[S, E, V], subject string) (*account[S], checkpoint.Entry) {
	a := newAccount[S](subject)
	kept, entry, err := store.Get(a.id)
	if err != nil {
		return nil, entry
	}
	if a.state, err = codec.Decode(kept.Data); err != nil {
		return nil, entry
	}
	a.sequence, a.hash, a.saved = kept.Sequence, kept.Hash, kept.Sequence
	return a, entry
}

// checkpoint returns the state of an account as it is kept. Its bytes are overwritten by the next call.
func (f *Fold[S, C, E, V]) checkpoint(a *account[S]) checkpoint.State {
	m := f.memory
	m.buffer = m.codec.Encode(a.state, m.buffer[:0])
	state := checkpoint.State{Sequence: a.sequence, Hash: a.hash, Summary: m.codec.Summary(f.domain.View(a.state)), Data: m.buffer}
	if due, ok := f.domain.NextDue(a.state); ok {
		state.Due = micros(due)
	}
	return state
}

// save puts the state of an account into the store, unless it is there, with when somebody looks at it next. It reports whether the store has it.
func (f *Fold[S, C, E, V]) save(a *account[S], planned int64) bool {
	if a.saved == a.sequence {
		f.memory.store.Plan(a.id, planned)
		return true
	}
	if !f.memory.store.Put(a.id, f.checkpoint(a), planned) {
		return false
	}
	a.saved = a.sequence
	return true
}

// forget drops an account, which the store has, from memory. Lists of accounts may have it for a while; its state is gone.
func (f *Fold[S, C, E, V]) forget(a *account[S]) {
	f.memory.unlink(a)
	delete(f.accounts, a.id)
	var none S
	a.state = none
}

// shrinkWhileReading keeps the bound while the log is read: nothing is planned and nobody waits then.
func (f *Fold[S, C, E, V]) shrinkWhileReading() {
	for f.memory != nil && len(f.accounts) > f.memory.bound {
		a := f.memory.leaving(func(*account[S]) bool { return false })
		if a == nil {
			continue
		}
		due, _ := f.domain.NextDue(a.state)
		if !f.save(a, micros(due)) {
			return
		}
		f.forget(a)
	}
}

// micros returns a time in microseconds of the Unix epoch, rounded up; 0 for none.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Add(time.Microsecond - 1).UnixMicro()
}

// account returns an account to apply an event with a sequence to: in memory, from the store, or new.
func (f *Fold[S, C, E, V]) account(id, subject string, sequence uint64) (*account[S], error) {
	a := f.accounts[id]
	if a != nil {
		a.used = true
		return a, nil
	}
	if f.memory != nil {
		var err error
		if a, err = f.memory.stored(id, subject, sequence); err != nil {
			return nil, fmt.Errorf("account %s: %w", id, err)
		}
	}
	if a == nil {
		a = f.begin(strings.Clone(subject))
	}
	f.keep(a)
	return a, nil
}

// keep has an account in memory.
func (f *Fold[S, C, E, V]) keep(a *account[S]) {
	f.accounts[a.id] = a
	if f.memory != nil {
		f.memory.add(a)
	}
}
