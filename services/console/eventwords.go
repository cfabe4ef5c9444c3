package console

import (
	"strings"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// factWords is the name of a fact in words: authorization_approved is Authorization approved.
func factWords(fact string) string {
	switch fact {
	case "":
		return "Something this console does not know"
	case "ledger_opened":
		return "Account opened"
	case "presentment_posted":
		return "Cleared"
	case "refund_posted":
		return "Refunded"
	case "authorization_advised":
		return "Told by the network"
	case "presentment_reversed":
		return "Clearing taken back"
	case "refund_reversed":
		return "Refund taken back"
	case "dispute_credited":
		return "Credited for a dispute"
	case "dispute_credit_reversed":
		return "Dispute credit taken back"
	case "command_rejected":
		return "Nothing to do"
	}
	words := strings.ReplaceAll(fact, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// eventWords says what an event is called, and in a sentence what happened.
func eventWords(event *eventsv1.LedgerEvent) (title, sentence string) {
	in := event.GetBalances().GetCurrencyCode()
	money := func(minor int64) string { return formatMinor(minor, in) }
	transaction, decision := event.GetTransaction(), event.GetDecision()
	at := ""
	if name := transaction.GetMerchant().GetName(); name != "" {
		at = " at " + name
	}
	title = factWords(factName(event))
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_LedgerOpened:
		return title, "The account became known to the ledger, with a credit limit of " + money(fact.LedgerOpened.GetCreditLimit()) + "."
	case *eventsv1.LedgerEvent_LimitChanged:
		return title, "The credit limit went from " + money(fact.LimitChanged.GetPreviousCreditLimit()) + " to " + money(fact.LimitChanged.GetCreditLimit()) + "."
	case *eventsv1.LedgerEvent_AccountChanged:
		return title, "The account is " + stateWords(enumName(fact.AccountChanged.GetState())) + " from here on."
	case *eventsv1.LedgerEvent_CardChanged:
		return title, "What the ledger knows of the account's cards changed."
	case *eventsv1.LedgerEvent_AuthorizationApproved:
		request := fact.AuthorizationApproved.GetRequest()
		if request.GetAmount() == 0 {
			return "Card verified", "The card was verified" + at + "; nothing is held."
		}
		text := formatMinor(request.GetAmount(), request.GetCurrencyCode()) + " was asked for" + at + " and allowed"
		if decision.GetApprovedAmount() != request.GetAmount() {
			text = formatMinor(request.GetAmount(), request.GetCurrencyCode()) + " was asked for" + at + "; " + money(decision.GetApprovedAmount()) + " of it was allowed"
		}
		return title, text + ". " + money(decision.GetHeldAmount()) + " is held."
	case *eventsv1.LedgerEvent_AuthorizationDeclined:
		request := fact.AuthorizationDeclined.GetRequest()
		return title, formatMinor(request.GetAmount(), request.GetCurrencyCode()) + " was asked for" + at + " and declined: " + declineWords(decision.GetDeclineReason()) + "."
	case *eventsv1.LedgerEvent_AuthorizationReversed:
		return title, "The merchant gave up " + money(fact.AuthorizationReversed.GetReleasedAmount()) + " of what was held" + at + "."
	case *eventsv1.LedgerEvent_AuthorizationExpired:
		return title, "Nobody claimed " + money(fact.AuthorizationExpired.GetReleasedAmount()) + at + " in time: the hold ended by itself."
	case *eventsv1.LedgerEvent_PresentmentPosted:
		return title, presentmentWords(fact.PresentmentPosted, decision, at, money)
	case *eventsv1.LedgerEvent_RefundPosted:
		return title, "The merchant gave back " + money(fact.RefundPosted.GetAmount()) + at + "."
	case *eventsv1.LedgerEvent_PaymentPosted:
		text := "A payment of " + money(fact.PaymentPosted.GetAmount()) + " arrived"
		if withheld := fact.PaymentPosted.GetWithheldAmount(); withheld > 0 {
			text += "; " + money(withheld) + " of it cannot be spent yet"
		}
		return title, text + "."
	case *eventsv1.LedgerEvent_PaymentReturned:
		return title, "The payer's bank sent " + money(fact.PaymentReturned.GetAmount()) + " back (" + fact.PaymentReturned.GetReturnCode() + "): it is owed again."
	case *eventsv1.LedgerEvent_WithholdingEnded:
		return title, money(fact.WithholdingEnded.GetReleasedAmount()) + " of a payment may be spent from here on."
	case *eventsv1.LedgerEvent_CommandRejected:
		return title, "A command moved nothing: " + stateWords(enumName(decision.GetRejectionReason())) + "."
	default:
		return title, laterWords(event, at, money)
	}
}

// laterWords says what happened to a purchase after it was first asked for.
func laterWords(event *eventsv1.LedgerEvent, at string, money func(int64) string) string {
	decision := event.GetDecision()
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_AuthorizationIncremented:
		text := money(fact.AuthorizationIncremented.GetRequest().GetAmount()) + " more was asked for" + at + " and allowed."
		if fact.AuthorizationIncremented.GetReopened() {
			text += " The hold had expired and counts again."
		}
		return text + " " + money(decision.GetHeldAmount()) + " is held."
	case *eventsv1.LedgerEvent_IncrementDeclined:
		return money(fact.IncrementDeclined.GetRequest().GetAmount()) + " more was asked for" + at + " and declined: " + declineWords(decision.GetDeclineReason()) + "."
	case *eventsv1.LedgerEvent_AuthorizationAdvised:
		return adviceWords(fact.AuthorizationAdvised, decision, at, money)
	case *eventsv1.LedgerEvent_PresentmentReversed:
		return "The merchant took back a claim of " + money(fact.PresentmentReversed.GetAmount()) + at + ": it is not owed any more."
	case *eventsv1.LedgerEvent_RefundReversed:
		return "The merchant took back a refund of " + money(fact.RefundReversed.GetAmount()) + at + ": it is owed again."
	case *eventsv1.LedgerEvent_DisputeCredited:
		return money(fact.DisputeCredited.GetAmount()) + " was credited while the purchase" + at + " is disputed."
	case *eventsv1.LedgerEvent_DisputeCreditReversed:
		return "The dispute did not succeed: " + money(fact.DisputeCreditReversed.GetAmount()) + " is owed again."
	default:
		return "The balances after it are below."
	}
}

func adviceWords(fact *eventsv1.AuthorizationAdvised, decision *eventsv1.DecisionRecord, at string, money func(int64) string) string {
	switch {
	case fact.GetKind() == typev1.AdviceKind_ADVICE_KIND_COMPLETION:
		return "The purchase" + at + " came to " + money(fact.GetAmount()) + ". " + money(decision.GetHeldAmount()) + " is held."
	case fact.GetAmount() == 0:
		return "The network declined the purchase" + at + " in our place."
	default:
		return "The network allowed " + money(fact.GetAmount()) + at + " in our place. " + money(decision.GetHeldAmount()) + " is held."
	}
}

func presentmentWords(fact *eventsv1.PresentmentPosted, decision *eventsv1.DecisionRecord, at string, money func(int64) string) string {
	text := "The merchant claimed " + money(fact.GetAmount()) + at + ", and it was posted."
	if released := fact.GetReleasedAmount(); released > 0 {
		text += " " + money(released) + " of the hold ended with it."
	}
	if over := decision.GetOverCaptureAmount(); over > 0 {
		text += " It is " + money(over) + " more than was authorized."
	}
	if decision.GetLate() {
		text += " It came after the hold had expired."
	}
	if decision.GetUnmatched() {
		text += " There was no authorization for it."
	}
	return text
}
