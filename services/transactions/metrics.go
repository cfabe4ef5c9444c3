package transactions

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// meter measures what is decided.
type meter struct {
	decisions *prometheus.CounterVec
	took      telemetry.Latencies
}

func newMeter() *meter {
	return &meter{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cardlog_decisions_total",
			Help: "Number of decisions, by outcome and by the reason of a decline or rejection; a repeat that got the first answer again has the outcome DUPLICATE."}, []string{"outcome", "reason"}),
		took: telemetry.NewLatencies("cardlog_decision_seconds", "Time from a command's arrival until its decision was durable, repeats included.", telemetry.Fine, nil),
	}
}

// decided counts a decision that was answered.
func (m *meter) decided(decision *transactionsv1.Decision, took time.Duration) {
	m.took.Observe(took)
	m.count(decision)
}

func (m *meter) count(decision *transactionsv1.Decision) {
	if decision.GetDuplicate() {
		m.decisions.WithLabelValues("DUPLICATE", "").Inc()
		return
	}
	reason := ""
	if declined := decision.GetDeclineReason(); declined != typev1.DeclineReason_DECLINE_REASON_UNSPECIFIED {
		reason = strings.TrimPrefix(declined.String(), "DECLINE_REASON_")
	} else if rejected := decision.GetRejectionReason(); rejected != typev1.RejectionReason_REJECTION_REASON_UNSPECIFIED {
		reason = strings.TrimPrefix(rejected.String(), "REJECTION_REASON_")
	}
	m.decisions.WithLabelValues(strings.TrimPrefix(decision.GetOutcome().String(), "OUTCOME_"), reason).Inc()
}

// Decisions returns how long the decisions took that were answered.
func (s *Service) Decisions() []telemetry.Latency { return s.meter.took.Counts() }

// Collect tells Prometheus how the service is.
func (s *Service) Collect(to chan<- prometheus.Metric) {
	s.meter.decisions.Collect(to)
	s.meter.took.Collect(to)
	for _, shard := range s.shards {
		shard.Collect(to)
	}
}
