package eventlog

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// meter measures the appends to one stream.
type meter struct {
	rounds           prometheus.Histogram
	appended, synced telemetry.Latencies
}

func newMeter(stream string) *meter {
	labels := prometheus.Labels{"stream": stream}
	return &meter{
		rounds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "cardlog_stream_round_events", ConstLabels: labels,
			Help: "Number of events that were appended together.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		appended: telemetry.NewLatencies("cardlog_stream_append_seconds", "Time until NATS said that a round of events is stored.", telemetry.Coarse, labels),
		synced:   telemetry.NewLatencies("cardlog_stream_sync_seconds", "Time that a stored round waited for its sync to disk; next to nothing where NATS syncs before it answers.", telemetry.Coarse, labels),
	}
}

var (
	streamLabel    = []string{"stream"}
	streamLast     = prometheus.NewDesc("cardlog_stream_last_sequence", "Sequence of the stream's last event, durable or not.", streamLabel, nil)
	streamDurable  = prometheus.NewDesc("cardlog_stream_durable_sequence", "Sequence up to which the stream is durable.", streamLabel, nil)
	streamSubjects = prometheus.NewDesc("cardlog_stream_subjects", "Number of subjects with events: of a stream of facts, its accounts.", streamLabel, nil)
	streamBytes    = prometheus.NewDesc("cardlog_stream_store_bytes", "Bytes that JetStream keeps of the stream, on each replica.", streamLabel, nil)
)

// Collect tells Prometheus of a stream that this process writes. What NATS would have to say is left out when it does not answer before ctx ends.
func (s *Stream) Collect(ctx context.Context, to chan<- prometheus.Metric) {
	gauge := func(what *prometheus.Desc, value uint64) {
		to <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, float64(value), s.name)
	}
	if extent, err := s.Extent(ctx); err == nil {
		gauge(streamLast, extent.Last)
		gauge(streamSubjects, extent.Subjects)
		gauge(streamBytes, extent.Bytes)
	}
	durable, _ := s.Durable()
	gauge(streamDurable, durable)
	s.meter.rounds.Collect(to)
	s.meter.appended.Collect(to)
	s.meter.synced.Collect(to)
}

// observe measures a step of an append that went well.
func observe(step telemetry.Latencies, began time.Time, err error) {
	if err == nil {
		step.Observe(time.Since(began))
	}
}
