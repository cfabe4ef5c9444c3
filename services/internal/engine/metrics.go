package engine

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// meter is what Prometheus is told of an engine beside what it can see by itself.
type meter struct{ stepDowns *prometheus.CounterVec }

// Why an engine stepped down.
const (
	causeFenced = "fenced" // another writer has the stream
	causeLog    = "log"    // an append failed, or the log could not be read
)

func newMeter(stream string) meter {
	stepDowns := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cardlog_engine_step_downs_total", ConstLabels: prometheus.Labels{"stream": stream},
		Help: "Number of times the stream's writer stepped down and recovered, by cause: fenced (another writer has appended) or log (NATS failed)."}, []string{"cause"})
	for _, cause := range []string{causeFenced, causeLog} {
		stepDowns.WithLabelValues(cause)
	}
	return meter{stepDowns: stepDowns}
}

func (m *meter) steppedDown(cause error) {
	if errors.Is(cause, eventlog.ErrFenced) {
		m.stepDowns.WithLabelValues(causeFenced).Inc()
	} else {
		m.stepDowns.WithLabelValues(causeLog).Inc()
	}
}

var (
	streamLabel    = []string{"stream"}
	engineQueue    = prometheus.NewDesc("cardlog_engine_queued_commands", "Number of commands and questions that wait to be taken.", streamLabel, nil)
	engineUnderway = prometheus.NewDesc("cardlog_engine_underway_commands", "Number of commands and questions that came and are not answered yet, those that wait included.", streamLabel, nil)
	engineAccounts = prometheus.NewDesc("cardlog_engine_accounts", "Number of accounts, in memory or not.", streamLabel, nil)
	engineInMemory = prometheus.NewDesc("cardlog_engine_accounts_in_memory", "Number of accounts in memory.", streamLabel, nil)
	checkpointLag  = prometheus.NewDesc("cardlog_checkpoint_lag_events", "Number of durable events that are not in the checkpoints: a start reads them.", streamLabel, nil)
	checkpointTime = prometheus.NewDesc("cardlog_checkpoint_timestamp_seconds", "When the checkpoints came to where they are, in seconds of the Unix epoch; 0 where there are none.", streamLabel, nil)
)

// Collect tells Prometheus how the engine is.
func (e *Engine[S, C, E, V]) Collect(to chan<- prometheus.Metric) {
	durable, _ := e.stream.Durable()
	is := e.Residence()
	written := 0.0
	if is.Checkpoint > 0 {
		written = float64(is.CheckpointAt.UnixMilli()) / 1000
	}
	for what, value := range map[*prometheus.Desc]float64{
		engineQueue: float64(len(e.queue)), engineUnderway: float64(e.underway.Load()), engineAccounts: float64(is.Accounts), engineInMemory: float64(is.InMemory),
		checkpointLag: float64(durable - min(is.Checkpoint, durable)), checkpointTime: written,
	} {
		to <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, value, e.stream.Name())
	}
	e.meter.stepDowns.Collect(to)
}
