package payments

import (
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/payments/payment"
)

// paymentMessage makes a payment as it is at a time from the snapshot that its last event carries, without its checks.
func paymentMessage(accountID string, snapshot *eventsv1.PaymentSnapshot, sequence uint64, now time.Time) *paymentsv1.Payment {
	return &paymentsv1.Payment{
		PaymentId: snapshot.GetPaymentId(), AccountId: accountID, Amount: snapshot.GetAmount(),
		Source: &paymentsv1.Source{Type: snapshot.GetSourceType(), SourceId: snapshot.GetSourceId()},
		Status: snapshot.GetStatus(), HoldReasons: snapshot.GetHoldReasons(), RejectReason: snapshot.GetRejectReason(),
		Withheld:  &typev1.Money{MinorUnits: payment.WithheldAt(snapshot, now), CurrencyCode: snapshot.GetAmount().GetCurrencyCode()},
		ReleaseAt: snapshot.GetReleaseAt(), ReturnCode: snapshot.GetReturnCode(), Reason: snapshot.GetReason(),
		RulesProfile: snapshot.GetRulesProfile(), RuleVersion: snapshot.GetRulesVersion(),
		CreatedAt: snapshot.GetCreatedAt(), SubmittedAt: snapshot.GetSubmittedAt(), UpdatedAt: snapshot.GetUpdatedAt(), Sequence: sequence,
	}
}

// addChecks adds the rules that a payment was held against, from its first event.
func addChecks(message *paymentsv1.Payment, assessment *eventsv1.PaymentAssessment) {
	for _, check := range assessment.GetChecks() {
		message.Checks = append(message.Checks, &paymentsv1.Check{Check: check.GetKind(), Fired: check.GetFired(), Seen: check.GetSeen(), Bound: check.GetBound()})
	}
}
