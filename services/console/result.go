package console

import (
	"net/url"

	"google.golang.org/protobuf/proto"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// result is the answer to a form, in words.
type result struct {
	Title, Tone string
	Sentence    string
	Duplicate   bool
	CardNumber  string // shown in this answer and never again
	Steps       []step
	Line        string
}

// duplicated says whether an answer was given before.
type duplicated interface{ GetDuplicate() bool }

// resultOf puts an answer into words.
func resultOf(accountID string, response proto.Message) *result {
	done := &result{Title: "Done", Tone: "good"}
	if answer, ok := response.(duplicated); ok {
		done.Duplicate = answer.GetDuplicate()
	}
	switch answer := response.(type) {
	case interface {
		GetDecision() *transactionsv1.Decision
	}:
		done.decided(accountID, response, answer.GetDecision())
	case interface{ GetPayment() *paymentsv1.Payment }:
		done.paid(accountID, answer.GetPayment())
	case *accountsv1.IssueCardResponse:
		done.issued(accountID, answer)
	case *accountsv1.SetCardStateResponse:
		card := answer.GetCard()
		done.Title, done.Tone = "The card is "+stateWords(enumName(card.GetState())), tone(card.GetState())
		done.Sentence = "The card ending in " + card.GetLastFour() + " is " + stateWords(enumName(card.GetState())) + " from now on."
		done.next(accountID, "Make a purchase with it", "purchase", "")
	case *accountsv1.UpdateCreditLimitResponse:
		done.Title = "The limit is set"
		done.Sentence = "The credit limit is " + formatMoney(answer.GetAccount().GetCreditLimit()) + " from now on."
	case *accountsv1.SetSpendingControlsResponse:
		done.Title, done.Sentence = "The controls are set", "They hold from the next purchase on."
		done.next(accountID, "Make a purchase", "purchase", "")
	case *accountsv1.SetAccountStateResponse:
		state := answer.GetAccount().GetState()
		done.Title, done.Tone = "The account is "+stateWords(enumName(state)), tone(state)
		done.Sentence = "It is " + stateWords(enumName(state)) + " from now on."
	}
	return done
}

// next offers what may be done after it.
func (r *result) next(accountID, label, action, of string) {
	path := actionPath(accountID, action)
	if of != "" {
		path += "?of=" + url.QueryEscape(of)
	}
	r.Steps = append(r.Steps, step{Label: label, Path: path})
}

// decided puts a decision into words.
func (r *result) decided(accountID string, response proto.Message, decision *transactionsv1.Decision) {
	r.Duplicate = decision.GetDuplicate()
	r.Title, r.Tone = label(decision.GetOutcome()), tone(decision.GetOutcome())
	amount, held := formatMoney(decision.GetApprovedAmount()), decision.GetHeldAmount().GetMinorUnits()
	id := decision.GetTransactionId()
	switch response.(type) {
	case *transactionsv1.AuthorizeResponse:
		r.authorized(accountID, decision, amount)
	case *transactionsv1.PresentResponse:
		r.Title, r.Sentence = "Cleared", amount+" was posted."
		if over := decision.GetOverCaptureAmount(); over.GetMinorUnits() > 0 {
			r.Sentence += " That is " + formatMoney(over) + " more than was authorized."
		}
		if decision.GetLate() {
			r.Sentence += " It came after the hold had expired."
		}
		r.next(accountID, "Refund it", "refund", id)
		r.next(accountID, "Pay", "pay", "")
	case *transactionsv1.ReverseAuthorizationResponse:
		r.Title, r.Sentence = "Reversed", amount+" is not held any more."
	case *transactionsv1.IncrementAuthorizationResponse:
		r.Sentence = amount + " more was allowed."
		if decision.GetOutcome() == typev1.Outcome_OUTCOME_DECLINED {
			r.Sentence = declinedSentence(decision)
		}
	case *transactionsv1.AdviseAuthorizationResponse:
		r.Title, r.Sentence = "Recorded", "The purchase came to "+amount+"."
		r.next(accountID, "Clear it", "clear", id)
	case *transactionsv1.CreditDisputeResponse:
		r.Title, r.Sentence = "Credited", amount+" is not owed while the dispute is open."
	case *transactionsv1.RefundResponse:
		r.Title, r.Sentence = "Refunded", amount+" was given back."
	}
	if decision.GetOutcome() == typev1.Outcome_OUTCOME_REJECTED {
		r.Title, r.Sentence = "Nothing moved", "It was refused: "+stateWords(enumName(decision.GetRejectionReason()))+"."
	}
	if held > 0 {
		r.Sentence += " " + formatMoney(decision.GetHeldAmount()) + " is held."
	}
	if id != "" && decision.GetSequence() != 0 {
		r.Steps = append(r.Steps, step{Label: "See the transaction", Path: "/accounts/" + url.PathEscape(accountID) + "/transactions/" + url.PathEscape(id)})
	}
}

// declinedSentence says why nothing was allowed.
func declinedSentence(decision *transactionsv1.Decision) string {
	return "Nothing moved: " + declineWords(decision.GetDeclineReason()) + " (response code " + decision.GetResponseCode() + ")."
}

// authorized puts the decision on a purchase into words.
func (r *result) authorized(accountID string, decision *transactionsv1.Decision, amount string) {
	switch decision.GetOutcome() {
	case typev1.Outcome_OUTCOME_DECLINED:
		r.Sentence = declinedSentence(decision)
		return
	case typev1.Outcome_OUTCOME_VERIFIED:
		r.Sentence = "The card may be used. Nothing is held."
		return
	default:
		r.Sentence = amount + " was allowed, with approval code " + decision.GetApprovalCode() + "."
		r.next(accountID, "Clear it", "clear", decision.GetTransactionId())
		r.next(accountID, "Reverse it", "reverse", decision.GetTransactionId())
	}
}

// paid puts the state of a payment into words.
func (r *result) paid(accountID string, payment *paymentsv1.Payment) {
	r.Title, r.Tone, r.Sentence = "Payment "+stateWords(enumName(payment.GetStatus())), tone(payment.GetStatus()), paymentSentence(payment)
	switch payment.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		r.next(accountID, "Return it", "return", payment.GetPaymentId())
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		r.next(accountID, "Release it", "release", payment.GetPaymentId())
		r.next(accountID, "Cancel it", "cancel", payment.GetPaymentId())
	default: // nothing comes next
	}
	r.Steps = append(r.Steps, step{Label: "See the payment", Path: "/accounts/" + url.PathEscape(accountID) + "/payments/" + url.PathEscape(payment.GetPaymentId())})
}

// issued shows a new card.
func (r *result) issued(accountID string, answer *accountsv1.IssueCardResponse) {
	card := answer.GetCard()
	r.Title, r.CardNumber = "The card is issued", inFours(answer.GetCardNumber())
	r.Sentence = "It is valid until " + monthOf(card.GetExpiryMonth(), card.GetExpiryYear()) + " and " + stateWords(enumName(card.GetState())) + "."
	if answer.GetCardNumber() == "" {
		r.Sentence += " Its number was shown when it was issued, and cannot be shown again."
	}
	r.next(accountID, "Make a purchase with it", "purchase", "")
}

// inFours writes a card number in groups of four digits.
func inFours(number string) string {
	text := ""
	for i, digit := range number {
		if i > 0 && i%4 == 0 {
			text += " "
		}
		text += string(digit)
	}
	return text
}
