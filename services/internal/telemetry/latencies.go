package telemetry

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latencies counts how long something takes, in buckets of which each is a little wider than the one before: from 64 µs to over a minute, four to a doubling, so
// that a quantile is right to a fifth. The zero value is ready, and many may count at the same time.
type Latencies struct{ counts [latencyBuckets]atomic.Uint64 }

const (
	// latencyShift is the size of the smallest step: 2^14 ns are 16 µs, four of which are the first bound.
	latencyShift = 14
	// latencyBuckets is how many there are. What takes longer than the last one says counts there.
	latencyBuckets = 84
)

// Latency is one bucket.
type Latency struct {
	// UpTo is the longest that counts here.
	UpTo time.Duration
	// Count is how many did.
	Count uint64
}

// Observe counts one.
func (l *Latencies) Observe(took time.Duration) { l.counts[latencyBucket(took)].Add(1) }

// Counts returns all buckets, from the shortest.
func (l *Latencies) Counts() []Latency {
	all := make([]Latency, latencyBuckets)
	for i := range all {
		all[i] = Latency{UpTo: latencyBound(i), Count: l.counts[i].Load()}
	}
	return all
}

// latencyBucket finds the bucket: the two bits below the highest one tell the quarter of a doubling.
func latencyBucket(took time.Duration) int {
	steps := uint64(max(took-1, 0)) >> latencyShift // the bound itself is within
	if steps < 4 {
		return 0
	}
	doubling := bits.Len64(steps) - 3
	return min(4*doubling+int(steps>>doubling)-3, latencyBuckets-1)
}

// latencyBound is the longest that counts in a bucket.
func latencyBound(bucket int) time.Duration {
	if bucket == 0 {
		return 4 << latencyShift
	}
	doubling, quarter := (bucket-1)/4, (bucket-1)%4
	return time.Duration(5+quarter) << (doubling + latencyShift)
}
