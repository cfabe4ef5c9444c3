package transactions

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

func money(minor int64, currency string) *typev1.Money {
	return &typev1.Money{MinorUnits: minor, CurrencyCode: currency}
}

func balancesMessage(b ledger.Balances) *transactionsv1.Balances {
	return &transactionsv1.Balances{
		CreditLimit: money(b.CreditLimit, b.Currency), Posted: money(b.Posted, b.Currency), Pending: money(b.Pending, b.Currency),
		Withheld: money(b.Withheld, b.Currency), Available: money(b.Available(), b.Currency),
	}
}

// decisionOf makes the answer from a stored event: all of it is there, so that a repeat gets the same.
func decisionOf(event *eventsv1.LedgerEvent, sequence uint64) *transactionsv1.Decision {
	record, balances := event.GetDecision(), ledger.BalancesOf(event)
	decision := &transactionsv1.Decision{
		TransactionId: event.GetTransaction().GetTransactionId(),
		Outcome:       record.GetOutcome(), DeclineReason: record.GetDeclineReason(), RejectionReason: record.GetRejectionReason(),
		ResponseCode: record.GetResponseCode(), ApprovalCode: record.GetApprovalCode(),
		ApprovedAmount: money(record.GetApprovedAmount(), balances.Currency), HeldAmount: money(record.GetHeldAmount(), balances.Currency),
		Late: record.GetLate(), Unmatched: record.GetUnmatched(),
		Balances: balancesMessage(balances), Sequence: sequence,
	}
	if record.GetOverCaptureAmount() != 0 {
		decision.OverCaptureAmount = money(record.GetOverCaptureAmount(), balances.Currency)
	}
	return decision
}

// transactionMessage makes a transaction from its last event, as it is at a time.
func transactionMessage(event *eventsv1.LedgerEvent, sequence uint64, now time.Time) *transactionsv1.Transaction {
	t := ledger.TransactionOf(event, sequence).At(now)
	currency := event.GetBalances().GetCurrencyCode()
	message := &transactionsv1.Transaction{
		TransactionId: t.ID, CardId: t.CardID, Merchant: t.Merchant, Type: typeOf(t), Status: statusOf(t),
		Authorized: money(t.Authorized, currency), Held: money(t.Held, currency), Cleared: money(t.Cleared, currency), Refunded: money(t.Refunded, currency),
		OpenedAt: timestamppb.New(t.OpenedAt), Sequence: t.FirstSequence(),
	}
	if t.Paid != 0 {
		message.Paid, message.Returned, message.Withheld = money(t.Paid, currency), money(t.Returned, currency), money(t.Withheld, currency)
	}
	if !t.ExpiresAt.IsZero() {
		message.ExpiresAt = timestamppb.New(t.ExpiresAt)
	}
	return message
}

func typeOf(t *ledger.Transaction) transactionsv1.TransactionType {
	switch {
	case t.Paid != 0:
		return transactionsv1.TransactionType_TRANSACTION_TYPE_PAYMENT
	case t.Authorization == typev1.Outcome_OUTCOME_UNSPECIFIED && t.Cleared == 0:
		return transactionsv1.TransactionType_TRANSACTION_TYPE_REFUND
	default:
		return transactionsv1.TransactionType_TRANSACTION_TYPE_PURCHASE
	}
}

// statusOf derives where a transaction stands from its amounts.
func statusOf(t *ledger.Transaction) transactionsv1.TransactionStatus {
	switch {
	case t.Returned != 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_RETURNED
	case t.Paid != 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_POSTED
	case t.Held > 0 && t.Cleared > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PARTIALLY_CLEARED
	case t.Held > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING
	case t.Refunded > 0 && t.Refunded >= t.Cleared:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REFUNDED
	case t.Refunded > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PARTIALLY_REFUNDED
	case t.Cleared > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_CLEARED
	case t.Authorization == typev1.Outcome_OUTCOME_DECLINED:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_DECLINED
	case t.Authorization == typev1.Outcome_OUTCOME_VERIFIED:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED
	case t.Expired > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_EXPIRED
	default:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REVERSED
	}
}

// addEntry adds one event to a transaction's entries, and its decision where it is the authorization.
func addEntry(message *transactionsv1.Transaction, event *eventsv1.LedgerEvent, sequence uint64) {
	kind, amount := entryOf(event)
	balances := ledger.BalancesOf(event)
	message.Entries = append(message.Entries, &transactionsv1.Entry{
		Sequence: sequence, Time: event.GetEnvelope().GetDecidedAt(), Type: kind, Amount: money(amount, balances.Currency), Balances: balancesMessage(balances),
	})
	if event.GetEnvelope().GetCommandKind() == eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE {
		addDecision(message, event, sequence)
	}
}

// addDecision adds the decision of an authorization, and the checks that led to it.
func addDecision(message *transactionsv1.Transaction, event *eventsv1.LedgerEvent, sequence uint64) {
	message.Decision = decisionOf(event, sequence)
	message.Rules = fmt.Sprintf("%s of %s", event.GetDecision().GetRulesProfile(), event.GetDecision().GetRulesVersion())
	for _, check := range event.GetDecision().GetChecks() {
		message.Checks = append(message.Checks, checkMessage(check))
	}
}

// entryOf returns what an event did, and the amount that it did it with.
func entryOf(event *eventsv1.LedgerEvent) (transactionsv1.EntryType, int64) {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_AuthorizationApproved:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_APPROVED, event.GetDecision().GetApprovedAmount()
	case *eventsv1.LedgerEvent_AuthorizationDeclined:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_DECLINED, fact.AuthorizationDeclined.GetRequest().GetAmount()
	case *eventsv1.LedgerEvent_AuthorizationReversed:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_REVERSED, fact.AuthorizationReversed.GetReleasedAmount()
	case *eventsv1.LedgerEvent_AuthorizationExpired:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_EXPIRED, fact.AuthorizationExpired.GetReleasedAmount()
	case *eventsv1.LedgerEvent_PresentmentPosted:
		return transactionsv1.EntryType_ENTRY_TYPE_PRESENTMENT, fact.PresentmentPosted.GetAmount()
	case *eventsv1.LedgerEvent_RefundPosted:
		return transactionsv1.EntryType_ENTRY_TYPE_REFUND, fact.RefundPosted.GetAmount()
	case *eventsv1.LedgerEvent_PaymentPosted:
		return transactionsv1.EntryType_ENTRY_TYPE_PAYMENT, fact.PaymentPosted.GetAmount()
	case *eventsv1.LedgerEvent_PaymentReturned:
		return transactionsv1.EntryType_ENTRY_TYPE_PAYMENT_RETURNED, fact.PaymentReturned.GetAmount()
	case *eventsv1.LedgerEvent_WithholdingEnded:
		return transactionsv1.EntryType_ENTRY_TYPE_WITHHOLDING_ENDED, fact.WithholdingEnded.GetReleasedAmount()
	case *eventsv1.LedgerEvent_CommandRejected:
		return transactionsv1.EntryType_ENTRY_TYPE_REJECTED, fact.CommandRejected.GetRequestedAmount()
	}
	return transactionsv1.EntryType_ENTRY_TYPE_UNSPECIFIED, 0
}

// checkMessage says in words what a check saw.
func checkMessage(check *eventsv1.CheckRecord) *transactionsv1.Check {
	message := &transactionsv1.Check{Check: check.GetKind(), Passed: !check.GetFailed(), DeclineReason: check.GetDeclineReason(),
		Seen: strconv.FormatInt(check.GetSeen(), 10), Bound: strconv.FormatInt(check.GetBound(), 10)}
	switch check.GetKind() {
	case typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE:
		message.Seen = strings.TrimPrefix(typev1.AccountState(check.GetSeen()).String(), "ACCOUNT_STATE_")
		message.Bound = strings.TrimPrefix(typev1.AccountState(check.GetBound()).String(), "ACCOUNT_STATE_")
	case typev1.CheckKind_CHECK_KIND_CARD_STATE:
		message.Seen = strings.TrimPrefix(typev1.CardState(check.GetSeen()).String(), "CARD_STATE_")
		message.Bound = strings.TrimPrefix(typev1.CardState(check.GetBound()).String(), "CARD_STATE_")
	case typev1.CheckKind_CHECK_KIND_CURRENCY, typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY,
		typev1.CheckKind_CHECK_KIND_MCC, typev1.CheckKind_CHECK_KIND_MERCHANT:
		message.Seen, message.Bound = check.GetSeenCode(), check.GetBoundCode()
	default: // numbers and amounts are said as they are
	}
	return message
}
