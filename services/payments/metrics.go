package payments

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
)

func newDecisions() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "cardlog_payment_decisions_total",
		Help: "Number of decisions about payments, by event and by the reasons of a hold or rejection; a repeat that got the first answer again is the event duplicate."},
		[]string{"event", "reason"})
}

// count counts a decision that was answered.
func (s *Service) count(stored result) {
	if stored.Duplicate {
		s.decisions.WithLabelValues("duplicate", "").Inc()
		return
	}
	event, reason := stored.Event, ""
	switch rejected := event.GetPayment().GetRejectReason(); {
	case rejected != typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_UNSPECIFIED:
		reason = strings.TrimPrefix(rejected.String(), "PAYMENT_REJECT_REASON_")
	case event.GetHeld() != nil:
		var why []string
		for _, held := range event.GetPayment().GetHoldReasons() {
			why = append(why, strings.TrimPrefix(held.String(), "HOLD_REASON_"))
		}
		reason = strings.Join(why, ",")
	}
	s.decisions.WithLabelValues(engine.FactName(event), reason).Inc()
}

// Collect tells Prometheus how the service is.
func (s *Service) Collect(to chan<- prometheus.Metric) {
	s.decisions.Collect(to)
	s.engine.Collect(to)
}
