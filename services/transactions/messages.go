package transactions

import (
	"fmt"
	"slices"
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

// moneys makes several amounts of one currency, which are allocated together.
func moneys(currency string, minor ...int64) []typev1.Money {
	amounts := make([]typev1.Money, len(minor))
	for i := range amounts {
		amounts[i].MinorUnits, amounts[i].CurrencyCode = minor[i], currency
	}
	return amounts
}

func balancesMessage(b ledger.Balances) *transactionsv1.Balances {
	amounts := moneys(b.Currency, b.CreditLimit, b.Posted, b.Pending, b.Withheld, b.Available())
	return &transactionsv1.Balances{CreditLimit: &amounts[0], Posted: &amounts[1], Pending: &amounts[2], Withheld: &amounts[3], Available: &amounts[4]}
}

// decisionOf makes the answer from a stored event: all of it is there, so that a repeat gets the same.
func decisionOf(event *eventsv1.LedgerEvent, sequence uint64) *transactionsv1.Decision {
	record, balances := event.GetDecision(), ledger.BalancesOf(event)
	amounts := moneys(balances.Currency, record.GetApprovedAmount(), record.GetHeldAmount())
	decision := &transactionsv1.Decision{
		TransactionId: event.GetTransaction().GetTransactionId(),
		Outcome:       record.GetOutcome(), DeclineReason: record.GetDeclineReason(), RejectionReason: record.GetRejectionReason(),
		ResponseCode: record.GetResponseCode(), ApprovalCode: record.GetApprovalCode(),
		ApprovedAmount: &amounts[0], HeldAmount: &amounts[1],
		Late: record.GetLate(), DaysLate: record.GetDaysLate(), Unmatched: record.GetUnmatched(),
		OverCaptureTolerated: record.GetOverCaptureTolerated(), ReversalCapped: record.GetReversalCapped(),
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
	if t.RefundAuthorized != 0 {
		message.PendingCredit = money(t.PendingCredit(), currency)
	}
	if t.Disputed != 0 {
		message.Disputed = money(t.Disputed, currency)
	}
	if !t.ExpiresAt.IsZero() {
		message.ExpiresAt = timestamppb.New(t.ExpiresAt)
	}
	return message
}

func typeOf(t *ledger.Transaction) transactionsv1.TransactionType {
	purchase := t.Authorization != typev1.Outcome_OUTCOME_UNSPECIFIED && !t.MerchantCredit
	switch {
	case t.Paid != 0:
		return transactionsv1.TransactionType_TRANSACTION_TYPE_PAYMENT
	case !purchase && t.Cleared+t.ClearingReversed == 0:
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
	case t.Disputed > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_DISPUTED
	case t.Refunded > 0 && t.Refunded >= t.Cleared:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REFUNDED
	case t.Refunded > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PARTIALLY_REFUNDED
	case t.Cleared > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_CLEARED
	case t.PendingCredit() > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING
	case t.ClearingReversed+t.RefundReversed > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REVERSED
	default:
		return unmovedStatus(t)
	}
}

// unmovedStatus is where a transaction stands of which nothing is held and nothing was posted.
func unmovedStatus(t *ledger.Transaction) transactionsv1.TransactionStatus {
	switch {
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
	balances := ledger.BalancesOf(event)
	message.Entries = append(message.Entries, &transactionsv1.Entry{
		Sequence: sequence, Time: event.GetEnvelope().GetDecidedAt(), Type: entryType(event),
		Amount: money(ledger.AmountOf(event), balances.Currency), Balances: balancesMessage(balances),
	})
	if event.GetEnvelope().GetCommandKind() == eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE {
		addDecision(message, event, sequence)
	}
	addHoldRule(message, event.GetDecision().GetHoldExpiryRule(), holdExpiry)
	addHoldRule(message, event.GetDecision().GetHoldAmountRule(), holdAmount)
}

// What the rows of the two tables about holds are called.
const (
	holdExpiry = "hold expiry: "
	holdAmount = "hold amount: "
)

// addHoldRule adds a row that set something of the hold, unless a later event had one of the same table.
func addHoldRule(message *transactionsv1.Transaction, rule, table string) {
	if rule != "" && !slices.ContainsFunc(message.GetHoldRules(), func(known string) bool { return strings.HasPrefix(known, table) }) {
		message.HoldRules = append(message.HoldRules, table+rule)
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

// entryType says what an event did.
func entryType(event *eventsv1.LedgerEvent) transactionsv1.EntryType {
	switch event.GetFact().(type) {
	case *eventsv1.LedgerEvent_AuthorizationApproved:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_APPROVED
	case *eventsv1.LedgerEvent_AuthorizationDeclined:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_DECLINED
	case *eventsv1.LedgerEvent_AuthorizationIncremented:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_INCREMENTED
	case *eventsv1.LedgerEvent_IncrementDeclined:
		return transactionsv1.EntryType_ENTRY_TYPE_INCREMENT_DECLINED
	case *eventsv1.LedgerEvent_AuthorizationAdvised:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_ADVISED
	case *eventsv1.LedgerEvent_AuthorizationReversed:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_REVERSED
	case *eventsv1.LedgerEvent_AuthorizationExpired:
		return transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_EXPIRED
	case *eventsv1.LedgerEvent_PresentmentPosted:
		return transactionsv1.EntryType_ENTRY_TYPE_PRESENTMENT
	case *eventsv1.LedgerEvent_PresentmentReversed:
		return transactionsv1.EntryType_ENTRY_TYPE_PRESENTMENT_REVERSED
	case *eventsv1.LedgerEvent_RefundPosted:
		return transactionsv1.EntryType_ENTRY_TYPE_REFUND
	case *eventsv1.LedgerEvent_RefundReversed:
		return transactionsv1.EntryType_ENTRY_TYPE_REFUND_REVERSED
	case *eventsv1.LedgerEvent_DisputeCredited:
		return transactionsv1.EntryType_ENTRY_TYPE_DISPUTE_CREDIT
	case *eventsv1.LedgerEvent_DisputeCreditReversed:
		return transactionsv1.EntryType_ENTRY_TYPE_DISPUTE_CREDIT_REVERSED
	case *eventsv1.LedgerEvent_PaymentPosted:
		return transactionsv1.EntryType_ENTRY_TYPE_PAYMENT
	case *eventsv1.LedgerEvent_PaymentReturned:
		return transactionsv1.EntryType_ENTRY_TYPE_PAYMENT_RETURNED
	case *eventsv1.LedgerEvent_WithholdingEnded:
		return transactionsv1.EntryType_ENTRY_TYPE_WITHHOLDING_ENDED
	case *eventsv1.LedgerEvent_CommandRejected:
		return transactionsv1.EntryType_ENTRY_TYPE_REJECTED
	}
	return transactionsv1.EntryType_ENTRY_TYPE_UNSPECIFIED
}

// checkMessage says in words what a check saw.
func checkMessage(check *eventsv1.CheckRecord) *transactionsv1.Check {
	message := &transactionsv1.Check{Check: check.GetKind(), Passed: !check.GetFailed(), DeclineReason: check.GetDeclineReason(), Scope: check.GetScope(),
		Seen: strconv.FormatInt(check.GetSeen(), 10), Bound: strconv.FormatInt(check.GetBound(), 10)}
	switch check.GetKind() {
	case typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE:
		message.Seen = strings.TrimPrefix(typev1.AccountState(check.GetSeen()).String(), "ACCOUNT_STATE_")
		message.Bound = strings.TrimPrefix(typev1.AccountState(check.GetBound()).String(), "ACCOUNT_STATE_")
	case typev1.CheckKind_CHECK_KIND_CARD_STATE:
		message.Seen = strings.TrimPrefix(typev1.CardState(check.GetSeen()).String(), "CARD_STATE_")
		message.Bound = strings.TrimPrefix(typev1.CardState(check.GetBound()).String(), "CARD_STATE_")
	case typev1.CheckKind_CHECK_KIND_CURRENCY, typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY,
		typev1.CheckKind_CHECK_KIND_MCC, typev1.CheckKind_CHECK_KIND_MERCHANT, typev1.CheckKind_CHECK_KIND_MERCHANT_LOCK:
		message.Seen, message.Bound = check.GetSeenCode(), check.GetBoundCode()
	default: // numbers and amounts are said as they are
	}
	if hours := check.GetTrailingHours(); hours > 0 {
		message.Window = fmt.Sprintf("%dh", hours)
	} else if check.GetWindow() != typev1.Window_WINDOW_UNSPECIFIED {
		message.Window = strings.TrimPrefix(check.GetWindow().String(), "WINDOW_")
	}
	return message
}
