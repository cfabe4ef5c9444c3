package telemetry

import (
	"testing"
	"time"
)

// TestAQuantileIsRightToAFifth holds the fine buckets against what they promise.
func TestAQuantileIsRightToAFifth(t *testing.T) {
	t.Parallel()
	all := NewLatencies("took_seconds", "How long it took.", Fine, nil).Counts()
	for i, bucket := range all[1:] {
		if before := all[i].UpTo; float64(bucket.UpTo) > 1.2*float64(before) {
			t.Errorf("the bucket after %v goes up to %v: that is no fifth", before, bucket.UpTo)
		}
	}
	if first, last := all[0].UpTo, all[len(all)-1].UpTo; first != shortestLatency || last < time.Minute {
		t.Errorf("the buckets go from %v to %v", first, last)
	}
}

func TestLatenciesCountAll(t *testing.T) {
	t.Parallel()
	l := NewLatencies("took_seconds", "How long it took.", Coarse, nil)
	for _, took := range []time.Duration{0, time.Microsecond, time.Millisecond, 3 * time.Millisecond, time.Hour} {
		l.Observe(took)
	}
	counts := l.Counts()
	var all uint64
	for _, bucket := range counts {
		all += bucket.Count
	}
	if first, last := counts[0].Count, counts[len(counts)-1].Count; all != 5 || first != 2 || last != 1 {
		t.Errorf("of 5 answers %d are counted, %d of them in the first bucket and %d in the last", all, first, last)
	}
}
