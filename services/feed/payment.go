package feed

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// paymentData is the body of an event of payments: the payment after it.
type paymentData struct {
	Sequence  uint64 `json:"sequence"`
	AccountID string `json:"account_id"`

	PaymentID      string   `json:"payment_id"`
	Status         string   `json:"status"`
	Amount         money    `json:"amount"`
	SourceType     string   `json:"source_type"`
	SourceID       string   `json:"source_id"`
	HoldReasons    []string `json:"hold_reasons,omitempty"`
	RejectReason   string   `json:"reject_reason,omitempty"`
	Withheld       money    `json:"withheld"`
	ReleasedAmount money    `json:"released_amount,omitzero"`
	ReleaseAt      string   `json:"release_at,omitempty"`
	ReturnCode     string   `json:"return_code,omitempty"`
	CreatedAt      string   `json:"created_at"`
	SubmittedAt    string   `json:"submitted_at,omitempty"`
	FiredChecks    []check  `json:"fired_checks,omitempty"`
	RulesProfile   string   `json:"rules_profile"`
	RulesVersion   string   `json:"rules_version"`
}

// paymentDataOf makes the body of an event of payments.
func paymentDataOf(event *eventsv1.PaymentEvent, sequence uint64) *paymentData {
	after := event.GetPayment()
	currency := after.GetAmount().GetCurrencyCode()
	data := &paymentData{
		Sequence: sequence, AccountID: event.GetEnvelope().GetAccountId(),
		PaymentID: after.GetPaymentId(), Status: enumName(after.GetStatus(), "PAYMENT_STATUS_"), Amount: moneyOf(after.GetAmount()),
		SourceType: enumName(after.GetSourceType(), "PAYMENT_SOURCE_TYPE_"), SourceID: after.GetSourceId(),
		RejectReason: enumName(after.GetRejectReason(), "PAYMENT_REJECT_REASON_"), Withheld: money{currency, after.GetWithheld()},
		ReleaseAt: timeOf(after.GetReleaseAt()), ReturnCode: after.GetReturnCode(), CreatedAt: timeOf(after.GetCreatedAt()), SubmittedAt: timeOf(after.GetSubmittedAt()),
		RulesProfile: after.GetRulesProfile(), RulesVersion: after.GetRulesVersion(),
	}
	for _, reason := range after.GetHoldReasons() {
		data.HoldReasons = append(data.HoldReasons, enumName(reason, "HOLD_REASON_"))
	}
	for _, c := range event.GetAssessment().GetChecks() {
		if c.GetFired() {
			data.FiredChecks = append(data.FiredChecks, paymentCheckOf(c))
		}
	}
	if ended, ok := event.GetFact().(*eventsv1.PaymentEvent_WithholdingEnded); ok {
		data.ReleasedAmount = money{currency, ended.WithholdingEnded.GetAmount()}
	}
	return data
}

// paymentCheckOf says in words what a check saw; amounts are in minor units.
func paymentCheckOf(c *eventsv1.PaymentCheck) check {
	fired := check{Check: enumName(c.GetKind(), "PAYMENT_CHECK_KIND_"), Seen: number(c.GetSeen()), Bound: number(c.GetBound())}
	if c.GetKind() == typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_ACCOUNT_STATE {
		fired.Seen, fired.Bound = accountState(typev1.AccountState(c.GetSeen())), accountState(typev1.AccountState(c.GetBound()))
	}
	return fired
}
