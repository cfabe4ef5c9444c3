package telemetry

import (
	"testing"
	"time"
)

// TestLatenciesCountWithinTheirBounds holds every bucket's bound, and what is just above it, against where they count.
func TestLatenciesCountWithinTheirBounds(t *testing.T) {
	t.Parallel()
	for bucket := range latencyBuckets - 1 {
		bound := latencyBound(bucket)
		if got := latencyBucket(bound); got != bucket {
			t.Errorf("%v counts in bucket %d, not in %d whose bound it is", bound, got, bucket)
		}
		if got := latencyBucket(bound + 1); got != bucket+1 {
			t.Errorf("%v counts in bucket %d, not in %d", bound+1, got, bucket+1)
		}
		if next := latencyBound(bucket + 1); float64(next) > 1.26*float64(bound) {
			t.Errorf("the bucket after %v goes up to %v: that is no fifth", bound, next)
		}
	}
	if last := latencyBound(latencyBuckets - 1); last < time.Minute {
		t.Errorf("the last bucket ends at %v", last)
	}
}

func TestLatenciesCountAll(t *testing.T) {
	t.Parallel()
	var l Latencies
	for _, took := range []time.Duration{0, time.Microsecond, time.Millisecond, 3 * time.Millisecond, time.Hour} {
		l.Observe(took)
	}
	var all uint64
	for _, bucket := range l.Counts() {
		all += bucket.Count
	}
	if first, last := l.Counts()[0].Count, l.Counts()[latencyBuckets-1].Count; all != 5 || first != 2 || last != 1 {
		t.Errorf("of 5 answers %d are counted, %d of them in the first bucket and %d in the last", all, first, last)
	}
}
