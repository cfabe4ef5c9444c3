package checkpoint

import (
	"hash/maphash"
	"sync"
)

// rows are a short row for each of many keys, in memory. Its methods can be called by many goroutines.
type rows struct {
	seed   maphash.Seed
	shards [64]rowShard
}

type rowShard struct {
	mu   sync.RWMutex
	rows packed
}

func newRows() *rows { return &rows{seed: maphash.MakeSeed()} }

// shard returns the shard of a key, and the key's hash, of which the shards have the lower bits and the slots the upper ones.
func (r *rows) shard(key string) (_ *rowShard, hash uint64) {
	hash = maphash.String(r.seed, key)
	return &r.shards[hash%uint64(len(r.shards))], hash
}

// reserve makes room for so many keys where there are none yet, and bytes of records; trim gives back what was not needed. The shards are not all alike.
func (r *rows) reserve(count, bytes int64) {
	share := func(of int64) int { return int((of + of/32) / int64(len(r.shards))) }
	for i := range r.shards {
		r.shards[i].rows.reserve(share(count), share(bytes))
	}
}

func (r *rows) trim() {
	for i := range r.shards {
		r.shards[i].rows.trim()
	}
}

func (r *rows) set(key string, row []byte) {
	shard, hash := r.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.rows.set(hash, key, row)
}

func (r *rows) remove(key string) {
	shard, hash := r.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.rows.remove(hash, key)
}

func (r *rows) clear() {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.Lock()
		shard.rows = packed{}
		shard.mu.Unlock()
	}
}

func (r *rows) count() (count int) {
	for i := range r.shards {
		shard := &r.shards[i]
		shard.mu.RLock()
		count += shard.rows.count
		shard.mu.RUnlock()
	}
	return count
}

// each calls visit with every row of a shard until it returns false, and reports whether it never did. It must not call the rows, nor keep what it gets.
func (h *rowShard) each(visit func(key, row []byte) bool) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.rows.each(visit)
}
