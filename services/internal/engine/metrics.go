package engine

import (
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// meter is what Prometheus is told of an engine beside what it can see by itself.
type meter struct {
	accounts  atomic.Int64 // in memory
	stepDowns *prometheus.CounterVec
}

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
	engineAccounts = prometheus.NewDesc("cardlog_engine_accounts", "Number of accounts in memory.", streamLabel, nil)
)

// Collect tells Prometheus how the engine is.
func (e *Engine[S, C, E, V]) Collect(to chan<- prometheus.Metric) {
	stream := e.stream.Name()
	to <- prometheus.MustNewConstMetric(engineQueue, prometheus.GaugeValue, float64(len(e.queue)), stream)
	to <- prometheus.MustNewConstMetric(engineUnderway, prometheus.GaugeValue, float64(e.underway.Load()), stream)
	to <- prometheus.MustNewConstMetric(engineAccounts, prometheus.GaugeValue, float64(e.meter.accounts.Load()), stream)
	e.meter.stepDowns.Collect(to)
}
