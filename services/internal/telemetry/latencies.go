package telemetry

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Latencies is a Prometheus histogram of how long something takes, in seconds, from 64 µs to over a minute. Many may count at the same time.
type Latencies struct{ prometheus.Histogram }

// How wide the buckets are.
const (
	// Coarse makes each bucket twice as wide as the one before.
	Coarse = 1
	// Fine makes four buckets of a coarse one, so that a quantile is right to a fifth.
	Fine = 4
)

const (
	shortestLatency = 64 * time.Microsecond
	// latencyDoublings lead from the shortest to over a minute.
	latencyDoublings = 20
)

// NewLatencies makes a histogram with buckets that are Coarse or Fine. Labels may be nil.
func NewLatencies(name, help string, fineness int, labels prometheus.Labels) Latencies {
	return Latencies{prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: labels, Buckets: LatencyBuckets(fineness)})}
}

// LatencyBuckets are the upper bounds of the buckets, in seconds.
func LatencyBuckets(fineness int) []float64 {
	return prometheus.ExponentialBuckets(shortestLatency.Seconds(), math.Pow(2, 1/float64(fineness)), latencyDoublings*fineness+1)
}

// Latency is one bucket.
type Latency struct {
	// UpTo is the longest that counts here. What takes longer than the last bucket says counts there.
	UpTo time.Duration
	// Count is how many did.
	Count uint64
}

// Observe counts one.
func (l Latencies) Observe(took time.Duration) { l.Histogram.Observe(took.Seconds()) }

// Counts returns all buckets, from the shortest.
func (l Latencies) Counts() []Latency {
	var told dto.Metric
	if l.Write(&told) != nil {
		return nil // a histogram can always be written
	}
	buckets := told.GetHistogram().GetBucket()
	all := make([]Latency, len(buckets))
	var below uint64
	for i, bucket := range buckets {
		all[i] = Latency{UpTo: time.Duration(math.Round(bucket.GetUpperBound() * float64(time.Second))), Count: bucket.GetCumulativeCount() - below}
		below = bucket.GetCumulativeCount()
	}
	all[len(all)-1].Count += told.GetHistogram().GetSampleCount() - below
	return all
}
