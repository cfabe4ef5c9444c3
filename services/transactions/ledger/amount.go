package ledger

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// AmountOf returns the amount that an event is about: of what was approved, posted or released that, of what was declined or rejected what was asked.
func AmountOf(event *eventsv1.LedgerEvent) int64 {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_AuthorizationApproved, *eventsv1.LedgerEvent_AuthorizationIncremented:
		return event.GetDecision().GetApprovedAmount()
	case *eventsv1.LedgerEvent_AuthorizationDeclined:
		return fact.AuthorizationDeclined.GetRequest().GetAmount()
	case *eventsv1.LedgerEvent_IncrementDeclined:
		return fact.IncrementDeclined.GetRequest().GetAmount()
	case *eventsv1.LedgerEvent_AuthorizationAdvised:
		return fact.AuthorizationAdvised.GetAmount()
	case *eventsv1.LedgerEvent_AuthorizationReversed:
		return fact.AuthorizationReversed.GetReleasedAmount()
	case *eventsv1.LedgerEvent_AuthorizationExpired:
		return fact.AuthorizationExpired.GetReleasedAmount()
	case *eventsv1.LedgerEvent_PresentmentPosted:
		return fact.PresentmentPosted.GetAmount()
	case *eventsv1.LedgerEvent_PresentmentReversed:
		return fact.PresentmentReversed.GetAmount()
	case *eventsv1.LedgerEvent_RefundPosted:
		return fact.RefundPosted.GetAmount()
	case *eventsv1.LedgerEvent_RefundReversed:
		return fact.RefundReversed.GetAmount()
	case *eventsv1.LedgerEvent_DisputeCredited:
		return fact.DisputeCredited.GetAmount()
	case *eventsv1.LedgerEvent_DisputeCreditReversed:
		return fact.DisputeCreditReversed.GetAmount()
	case *eventsv1.LedgerEvent_CommandRejected:
		return fact.CommandRejected.GetRequestedAmount()
	case *eventsv1.LedgerEvent_PaymentPosted:
		return fact.PaymentPosted.GetAmount()
	case *eventsv1.LedgerEvent_PaymentReturned:
		return fact.PaymentReturned.GetAmount()
	case *eventsv1.LedgerEvent_WithholdingEnded:
		return fact.WithholdingEnded.GetReleasedAmount()
	}
	return 0
}
