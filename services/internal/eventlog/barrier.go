package eventlog

import (
	"errors"
	"fmt"
	"maps"
	"sync"
)

// Barrier makes what was written durable, once for everyone who waits (group commit).
type Barrier struct {
	sync    func() error
	record  *durableFile
	onError func(error)

	mu      sync.Mutex
	durable map[string]uint64 // as recorded
	next    *barrierRound     // collects until the running sync ends
	running bool
	failed  error
}

// barrierRound is everyone who waits for the same sync.
type barrierRound struct {
	marks map[string]uint64
	done  chan struct{}
	err   error
}

// ErrSyncFailed means that the operating system could not make the store durable. It is final: what is on disk is not known any more.
var ErrSyncFailed = errors.New("the store could not be synced to disk")

// OpenBarrier makes a Barrier over a store directory. The record of what is durable is the file at recordPath.
// onError is called once, when a sync fails: the process must end, because a sync that is tried again can succeed without having saved anything.
func OpenBarrier(storeDir, recordPath string, onError func(error)) (*Barrier, error) {
	syncStore, err := openStoreSync(storeDir)
	if err != nil {
		return nil, err
	}
	record, durable, err := openDurableFile(recordPath)
	if err != nil {
		return nil, err
	}
	return &Barrier{sync: syncStore, record: record, onError: onError, durable: durable}, nil
}

// Sync returns when everything that was written before the call is on disk. The stream's sequence is recorded as durable.
func (b *Barrier) Sync(stream string, sequence uint64) error {
	b.mu.Lock()
	if b.failed != nil {
		defer b.mu.Unlock()
		return b.failed
	}
	if b.next == nil {
		b.next = &barrierRound{marks: map[string]uint64{}, done: make(chan struct{})}
	}
	round := b.next
	if stream != "" {
		round.marks[stream] = max(round.marks[stream], sequence)
	}
	if !b.running {
		b.running = true
		go b.run()
	}
	b.mu.Unlock()
	<-round.done
	return round.err
}

// SyncAll is Sync for what belongs to no stream of facts.
func (b *Barrier) SyncAll() error { return b.Sync("", 0) }

// Recorded returns what the record says is durable, by stream.
func (b *Barrier) Recorded() map[string]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.durable)
}

func (b *Barrier) recorded(stream string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.durable[stream]
}

// Close gives the record back. Nobody may wait any more.
func (b *Barrier) Close() error { return b.record.close() }

// run syncs round after round until nobody waits.
func (b *Barrier) run() {
	for {
		b.mu.Lock()
		round := b.next
		if round == nil {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.next = nil // who comes from now on was perhaps not written when the sync began
		b.mu.Unlock()
		b.syncRound(round)
	}
}

func (b *Barrier) syncRound(round *barrierRound) {
	err := b.sync()
	b.mu.Lock()
	defer b.mu.Unlock()
	defer close(round.done)
	if err == nil {
		for stream, sequence := range round.marks {
			b.durable[stream] = max(b.durable[stream], sequence)
		}
		// The next sync makes this record durable, so it is never ahead of the store.
		err = b.record.write(b.durable)
	}
	if err != nil && b.failed == nil {
		b.failed = fmt.Errorf("%w: %w", ErrSyncFailed, err)
		b.onError(b.failed)
	}
	round.err = b.failed
}
