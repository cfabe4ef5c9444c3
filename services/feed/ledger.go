package feed

import (
	"strings"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// ledgerData is the body of an event of transactions: the answer as the caller got it, what was asked, and the transaction and the balances after it.
type ledgerData struct {
	Sequence  uint64 `json:"sequence"`
	AccountID string `json:"account_id"`

	TransactionID string `json:"transaction_id,omitempty"`
	IncrementID   string `json:"increment_id,omitempty"`
	AdviceID      string `json:"advice_id,omitempty"`
	ReversalID    string `json:"reversal_id,omitempty"`
	PresentmentID string `json:"presentment_id,omitempty"`
	RefundID      string `json:"refund_id,omitempty"`
	DisputeID     string `json:"dispute_id,omitempty"`
	PaymentID     string `json:"payment_id,omitempty"`

	Outcome         string `json:"outcome,omitempty"`
	DeclineReason   string `json:"decline_reason,omitempty"`
	RejectionReason string `json:"rejection_reason,omitempty"`
	ResponseCode    string `json:"response_code,omitempty"`
	ApprovalCode    string `json:"approval_code,omitempty"`

	Amount               money  `json:"amount,omitzero"`
	RequestedAmount      money  `json:"requested_amount,omitzero"`
	ApprovedAmount       money  `json:"approved_amount,omitzero"`
	HeldAmount           money  `json:"held_amount,omitzero"`
	AlreadyHeld          money  `json:"already_held,omitzero"`
	AddedAmount          money  `json:"added_amount,omitzero"`
	HeldChange           money  `json:"held_change,omitzero"`
	ReleasedAmount       money  `json:"released_amount,omitzero"`
	WithheldAmount       money  `json:"withheld_amount,omitzero"`
	OverCaptureAmount    money  `json:"over_capture_amount,omitzero"`
	OverCaptureTolerated bool   `json:"over_capture_tolerated,omitempty"`
	Late                 bool   `json:"late,omitempty"`
	DaysLate             int32  `json:"days_late,omitempty"`
	Unmatched            bool   `json:"unmatched,omitempty"`
	ReversalCapped       bool   `json:"reversal_capped,omitempty"`
	MoreToCome           bool   `json:"more_to_come,omitempty"`
	Reopened             bool   `json:"reopened,omitempty"`
	AdviceKind           string `json:"advice_kind,omitempty"`

	CardID                 string         `json:"card_id,omitempty"`
	Merchant               merchant       `json:"merchant,omitzero"`
	PreAuthorization       bool           `json:"pre_authorization,omitempty"`
	Refund                 bool           `json:"refund,omitempty"`
	PartialApprovalAllowed bool           `json:"partial_approval_allowed,omitempty"`
	EntryMode              string         `json:"entry_mode,omitempty"`
	Network                networkMessage `json:"network,omitzero"`
	PresentedAt            string         `json:"presented_at,omitempty"`
	DueAt                  string         `json:"due_at,omitempty"`
	ReturnCode             string         `json:"return_code,omitempty"`

	PreviousCreditLimit money     `json:"previous_credit_limit,omitzero"`
	CreditLimit         money     `json:"credit_limit,omitzero"`
	State               string    `json:"state,omitempty"`
	Controls            *controls `json:"controls,omitempty"`
	Cards               []card    `json:"cards,omitempty"`

	FailedChecks   []check `json:"failed_checks,omitempty"`
	RulesProfile   string  `json:"rules_profile,omitempty"`
	RulesVersion   string  `json:"rules_version,omitempty"`
	HoldExpiryRule string  `json:"hold_expiry_rule,omitempty"`
	HoldAmountRule string  `json:"hold_amount_rule,omitempty"`

	Transaction transaction `json:"transaction,omitzero"`
	Payment     posting     `json:"payment,omitzero"`
	Balances    balances    `json:"balances,omitzero"`

	AccountsSequence uint64 `json:"accounts_sequence,omitempty"`
	PaymentsSequence uint64 `json:"payments_sequence,omitempty"`
}

// merchant is the card acceptor, as far as a message told.
type merchant struct {
	Name        string `json:"name,omitempty"`
	MerchantID  string `json:"merchant_id,omitempty"`
	MCC         string `json:"mcc,omitempty"`
	CountryCode string `json:"country_code,omitempty"`
	PostalCode  string `json:"postal_code,omitempty"`
}

// networkMessage is the message on the payment network.
type networkMessage struct {
	Network       string `json:"network,omitempty"`
	AcquirerID    string `json:"acquirer_id,omitempty"`
	STAN          string `json:"stan,omitempty"`
	RRN           string `json:"rrn,omitempty"`
	TransmittedAt string `json:"transmitted_at,omitempty"`
}

// transaction has the sums of a purchase, or of a refund without one. Those that few have are left out where they are zero.
type transaction struct {
	OpenedAt             string `json:"opened_at"`
	AuthorizationOutcome string `json:"authorization_outcome,omitempty"`
	PreAuthorization     bool   `json:"pre_authorization,omitempty"`
	MerchantCredit       bool   `json:"merchant_credit,omitempty"`
	Authorized           money  `json:"authorized"`
	HoldSurplus          money  `json:"hold_surplus,omitzero"`
	Held                 money  `json:"held"`
	Cleared              money  `json:"cleared"`
	ClearingReversed     money  `json:"clearing_reversed,omitzero"`
	RefundAuthorized     money  `json:"refund_authorized,omitzero"`
	Refunded             money  `json:"refunded"`
	RefundReversed       money  `json:"refund_reversed,omitzero"`
	Disputed             money  `json:"disputed,omitzero"`
	Reversed             money  `json:"reversed"`
	Expired              money  `json:"expired"`
	ExpiresAt            string `json:"expires_at,omitempty"`
	ReversedInFull       bool   `json:"reversed_in_full,omitempty"`
	Completed            bool   `json:"completed,omitempty"`
	FinalPresented       bool   `json:"final_presented,omitempty"`
}

// posting has the sums of a payment in the ledger.
type posting struct {
	PostedAt  string `json:"posted_at"`
	Paid      money  `json:"paid"`
	Returned  money  `json:"returned"`
	Withheld  money  `json:"withheld"`
	ReleaseAt string `json:"release_at,omitempty"`
}

// balances are an account's balances.
type balances struct {
	CreditLimit money `json:"credit_limit"`
	Posted      money `json:"posted"`
	Pending     money `json:"pending"`
	Withheld    money `json:"withheld"`
	Available   money `json:"available"`
}

// fill makes the body of an event of transactions.
func (d *ledgerData) fill(event *eventsv1.LedgerEvent, sequence uint64) {
	*d = ledgerData{Sequence: sequence, AccountID: event.GetEnvelope().GetAccountId()}
	in := currency(event.GetBalances().GetCurrencyCode())
	d.addBalances(event.GetBalances(), in)
	d.addDecision(event.GetDecision(), in)
	switch event.GetFact().(type) {
	case *eventsv1.LedgerEvent_LedgerOpened, *eventsv1.LedgerEvent_LimitChanged, *eventsv1.LedgerEvent_AccountChanged, *eventsv1.LedgerEvent_CardChanged:
		d.addAccountFact(event, in)
	case *eventsv1.LedgerEvent_PaymentPosted, *eventsv1.LedgerEvent_PaymentReturned, *eventsv1.LedgerEvent_WithholdingEnded:
		d.addPayment(event.GetTransaction(), in)
		d.addPaymentFact(event, in)
	default:
		d.addTransaction(event.GetTransaction(), in)
		d.addCommand(event.GetEnvelope())
		d.addTransactionFact(event, in)
	}
}

// cause is the event of ACCOUNTS or PAYMENTS that was carried into the ledger.
func (d *ledgerData) cause() Cause {
	switch {
	case d.AccountsSequence != 0:
		return Cause{Stream: accountsStream, Sequence: d.AccountsSequence}
	case d.PaymentsSequence != 0:
		return Cause{Stream: paymentsStream, Sequence: d.PaymentsSequence}
	default:
		return Cause{}
	}
}

// currency is an account's.
type currency string

func (c currency) money(minor int64) money { return money{CurrencyCode: string(c), MinorUnits: minor} }

// unlessZero is an amount that is left out where it is zero.
func (c currency) unlessZero(minor int64) money {
	if minor == 0 {
		return money{}
	}
	return c.money(minor)
}

func (d *ledgerData) addBalances(b *eventsv1.LedgerBalances, in currency) {
	if b == nil {
		return
	}
	d.Balances = balances{CreditLimit: in.money(b.GetCreditLimit()), Posted: in.money(b.GetPosted()), Pending: in.money(b.GetPending()),
		Withheld: in.money(b.GetWithheld()), Available: in.money(b.GetAvailable())}
}

// addDecision adds the answer that the caller got, and of its checks those that failed.
func (d *ledgerData) addDecision(record *eventsv1.DecisionRecord, in currency) {
	if record == nil {
		return
	}
	d.Outcome, d.DeclineReason = outcome(record.GetOutcome()), declineReason(record.GetDeclineReason())
	d.RejectionReason = enumName(record.GetRejectionReason(), "REJECTION_REASON_")
	d.ResponseCode, d.ApprovalCode = record.GetResponseCode(), record.GetApprovalCode()
	d.ApprovedAmount, d.HeldAmount = in.money(record.GetApprovedAmount()), in.money(record.GetHeldAmount())
	d.OverCaptureAmount, d.OverCaptureTolerated = in.unlessZero(record.GetOverCaptureAmount()), record.GetOverCaptureTolerated()
	d.Late, d.DaysLate, d.Unmatched = record.GetLate(), record.GetDaysLate(), record.GetUnmatched()
	d.ReversalCapped = record.GetReversalCapped()
	d.RulesProfile, d.RulesVersion = record.GetRulesProfile(), record.GetRulesVersion()
	d.HoldExpiryRule, d.HoldAmountRule = record.GetHoldExpiryRule(), record.GetHoldAmountRule()
	for _, c := range record.GetChecks() {
		if c.GetFailed() {
			d.FailedChecks = append(d.FailedChecks, checkOf(c))
		}
	}
}

// checkOf says in words what a check saw, as the gRPC answer does; amounts are in minor units.
func checkOf(c *eventsv1.CheckRecord) check {
	failed := check{Check: enumName(c.GetKind(), "CHECK_KIND_"), DeclineReason: declineReason(c.GetDeclineReason()),
		Scope: enumName(c.GetScope(), "CHECK_SCOPE_"), Window: window(c.GetWindow())}
	if hours := c.GetTrailingHours(); hours != 0 {
		failed.Window = number(int64(hours)) + "h"
	}
	switch c.GetKind() {
	case typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE:
		failed.Seen = strings.TrimPrefix(typev1.AccountState(c.GetSeen()).String(), "ACCOUNT_STATE_")
		failed.Bound = strings.TrimPrefix(typev1.AccountState(c.GetBound()).String(), "ACCOUNT_STATE_")
	case typev1.CheckKind_CHECK_KIND_CARD_STATE: // UNSPECIFIED is a card that the account does not have
		failed.Seen = strings.TrimPrefix(typev1.CardState(c.GetSeen()).String(), "CARD_STATE_")
		failed.Bound = strings.TrimPrefix(typev1.CardState(c.GetBound()).String(), "CARD_STATE_")
	case typev1.CheckKind_CHECK_KIND_CURRENCY, typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY,
		typev1.CheckKind_CHECK_KIND_MCC, typev1.CheckKind_CHECK_KIND_MERCHANT, typev1.CheckKind_CHECK_KIND_MERCHANT_LOCK:
		failed.Seen, failed.Bound = c.GetSeenCode(), c.GetBoundCode()
	default:
		failed.Seen, failed.Bound = number(c.GetSeen()), number(c.GetBound())
	}
	return failed
}

// addTransaction adds what a transaction is about, and its sums.
func (d *ledgerData) addTransaction(t *eventsv1.TransactionRecord, in currency) {
	if t == nil {
		return
	}
	d.TransactionID, d.CardID = t.GetTransactionId(), t.GetCardId()
	if m := t.GetMerchant(); m != nil {
		d.Merchant = merchant{Name: m.GetName(), MerchantID: m.GetMerchantId(), MCC: m.GetMcc(), CountryCode: m.GetCountryCode(), PostalCode: m.GetPostalCode()}
	}
	d.Transaction = transaction{
		OpenedAt: timeOf(t.GetOpenedAt()), AuthorizationOutcome: outcome(t.GetAuthorizationOutcome()), PreAuthorization: t.GetPreAuthorization(), MerchantCredit: t.GetMerchantCredit(),
		Authorized: in.money(t.GetAuthorized()), HoldSurplus: in.unlessZero(t.GetHoldSurplus()), Held: in.money(t.GetHeld()),
		Cleared: in.money(t.GetCleared()), ClearingReversed: in.unlessZero(t.GetClearingReversed()),
		RefundAuthorized: in.unlessZero(t.GetRefundAuthorized()), Refunded: in.money(t.GetRefunded()), RefundReversed: in.unlessZero(t.GetRefundReversed()),
		Disputed: in.unlessZero(t.GetDisputed()), Reversed: in.money(t.GetReversed()), Expired: in.money(t.GetExpired()),
		ExpiresAt: timeOf(t.GetExpiresAt()), ReversedInFull: t.GetReversedInFull(), Completed: t.GetCompleted(), FinalPresented: t.GetFinalPresented(),
	}
}

// addCommand adds the id of the message that a fact came with; an authorization's is its transaction's.
func (d *ledgerData) addCommand(envelope *eventsv1.Envelope) {
	switch envelope.GetCommandKind() {
	case eventsv1.CommandKind_COMMAND_KIND_INCREMENT_AUTHORIZATION:
		d.IncrementID = envelope.GetCommandId()
	case eventsv1.CommandKind_COMMAND_KIND_ADVISE_AUTHORIZATION:
		d.AdviceID = envelope.GetCommandId()
	case eventsv1.CommandKind_COMMAND_KIND_REVERSE_AUTHORIZATION,
		eventsv1.CommandKind_COMMAND_KIND_REVERSE_PRESENTMENT, eventsv1.CommandKind_COMMAND_KIND_REVERSE_REFUND:
		d.ReversalID = envelope.GetCommandId()
	case eventsv1.CommandKind_COMMAND_KIND_PRESENT:
		d.PresentmentID = envelope.GetCommandId()
	case eventsv1.CommandKind_COMMAND_KIND_REFUND:
		d.RefundID = envelope.GetCommandId()
	case eventsv1.CommandKind_COMMAND_KIND_CREDIT_DISPUTE, eventsv1.CommandKind_COMMAND_KIND_REVERSE_DISPUTE_CREDIT:
		d.DisputeID = envelope.GetCommandId()
	default:
	}
}

func (d *ledgerData) addTransactionFact(event *eventsv1.LedgerEvent, in currency) {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_AuthorizationApproved:
		d.addRequest(fact.AuthorizationApproved.GetRequest())
		d.AlreadyHeld = in.unlessZero(fact.AuthorizationApproved.GetAlreadyHeld())
	case *eventsv1.LedgerEvent_AuthorizationDeclined:
		d.addRequest(fact.AuthorizationDeclined.GetRequest())
	case *eventsv1.LedgerEvent_AuthorizationIncremented:
		d.addIncrement(fact.AuthorizationIncremented.GetRequest())
		d.AddedAmount, d.Reopened = in.money(fact.AuthorizationIncremented.GetAddedAmount()), fact.AuthorizationIncremented.GetReopened()
	case *eventsv1.LedgerEvent_IncrementDeclined:
		d.addIncrement(fact.IncrementDeclined.GetRequest())
	case *eventsv1.LedgerEvent_AuthorizationAdvised:
		advised := fact.AuthorizationAdvised
		d.Amount, d.HeldChange, d.AdviceKind = in.money(advised.GetAmount()), in.money(advised.GetHeldChange()), enumName(advised.GetKind(), "ADVICE_KIND_")
		d.Network = networkOf(advised.GetNetwork())
	case *eventsv1.LedgerEvent_AuthorizationReversed:
		d.RequestedAmount = in.unlessZero(fact.AuthorizationReversed.GetRequestedAmount()) // 0 stands for all that is held
		d.ReleasedAmount, d.Network = in.money(fact.AuthorizationReversed.GetReleasedAmount()), networkOf(fact.AuthorizationReversed.GetNetwork())
	case *eventsv1.LedgerEvent_AuthorizationExpired:
		d.ReleasedAmount, d.DueAt = in.money(fact.AuthorizationExpired.GetReleasedAmount()), timeOf(fact.AuthorizationExpired.GetDueAt())
	case *eventsv1.LedgerEvent_PresentmentPosted:
		d.Amount, d.ReleasedAmount = in.money(fact.PresentmentPosted.GetAmount()), in.money(fact.PresentmentPosted.GetReleasedAmount())
		d.MoreToCome, d.PresentedAt = fact.PresentmentPosted.GetMoreToCome(), timeOf(fact.PresentmentPosted.GetPresentedAt())
	case *eventsv1.LedgerEvent_RefundPosted:
		d.Amount = in.money(fact.RefundPosted.GetAmount())
	case *eventsv1.LedgerEvent_CommandRejected:
		d.RequestedAmount = in.unlessZero(fact.CommandRejected.GetRequestedAmount()) // 0 stands for all there is
	default:
		d.addCorrection(event, in)
	}
}

// addCorrection adds a fact that corrects others. Whose it is, the command's id says only where that is the dispute's.
func (d *ledgerData) addCorrection(event *eventsv1.LedgerEvent, in currency) {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_PresentmentReversed:
		d.PresentmentID, d.Amount = fact.PresentmentReversed.GetPresentmentId(), in.money(fact.PresentmentReversed.GetAmount())
	case *eventsv1.LedgerEvent_RefundReversed:
		d.RefundID, d.Amount = fact.RefundReversed.GetRefundId(), in.money(fact.RefundReversed.GetAmount())
	case *eventsv1.LedgerEvent_DisputeCredited:
		d.Amount = in.money(fact.DisputeCredited.GetAmount())
	case *eventsv1.LedgerEvent_DisputeCreditReversed:
		d.Amount = in.money(fact.DisputeCreditReversed.GetAmount())
	default: // the other facts are added elsewhere
	}
}

// addRequest adds what the terminal asked for, in its own currency.
func (d *ledgerData) addRequest(r *eventsv1.AuthorizationRequest) {
	d.Amount = currency(r.GetCurrencyCode()).money(r.GetAmount())
	d.PreAuthorization, d.Refund = r.GetPreAuthorization(), r.GetRefund()
	d.PartialApprovalAllowed, d.EntryMode = r.GetPartialApprovalAllowed(), enumName(r.GetEntryMode(), "ENTRY_MODE_")
	d.Network = networkOf(r.GetNetwork())
}

// addIncrement adds what was asked to be added, in its own currency.
func (d *ledgerData) addIncrement(r *eventsv1.IncrementRequest) {
	d.Amount, d.Network = currency(r.GetCurrencyCode()).money(r.GetAmount()), networkOf(r.GetNetwork())
}

// networkOf is the zero value where there was no message.
func networkOf(n *typev1.NetworkMessage) networkMessage {
	return networkMessage{Network: n.GetNetwork(), AcquirerID: n.GetAcquirerId(), STAN: n.GetStan(), RRN: n.GetRrn(), TransmittedAt: timeOf(n.GetTransmittedAt())}
}

func (d *ledgerData) addAccountFact(event *eventsv1.LedgerEvent, in currency) {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_LedgerOpened:
		opened := fact.LedgerOpened
		d.AccountsSequence, d.CreditLimit = opened.GetAccountsSequence(), currency(opened.GetCurrencyCode()).money(opened.GetCreditLimit())
		d.State, d.RulesProfile = accountState(opened.GetState()), opened.GetRulesProfile()
	case *eventsv1.LedgerEvent_LimitChanged:
		changed := fact.LimitChanged
		d.AccountsSequence = changed.GetAccountsSequence()
		d.PreviousCreditLimit, d.CreditLimit = in.money(changed.GetPreviousCreditLimit()), in.money(changed.GetCreditLimit())
	case *eventsv1.LedgerEvent_AccountChanged:
		d.AccountsSequence, d.State = fact.AccountChanged.GetAccountsSequence(), accountState(fact.AccountChanged.GetState())
		d.Controls = controlsOf(fact.AccountChanged.GetControls())
	case *eventsv1.LedgerEvent_CardChanged:
		d.AccountsSequence = fact.CardChanged.GetAccountsSequence()
		for _, c := range fact.CardChanged.GetCards() {
			d.Cards = append(d.Cards, *cardWith(c))
		}
	default: // the other facts are added elsewhere
	}
}

// addPayment adds the sums of a payment, which the ledger keeps as a transaction with the payment's id.
func (d *ledgerData) addPayment(t *eventsv1.TransactionRecord, in currency) {
	if t == nil {
		return
	}
	d.PaymentID = t.GetTransactionId()
	d.Payment = posting{PostedAt: timeOf(t.GetOpenedAt()), Paid: in.money(t.GetPaid()), Returned: in.money(t.GetReturned()),
		Withheld: in.money(t.GetWithheld()), ReleaseAt: timeOf(t.GetExpiresAt())}
}

func (d *ledgerData) addPaymentFact(event *eventsv1.LedgerEvent, in currency) {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_PaymentPosted:
		posted := fact.PaymentPosted
		d.PaymentsSequence = posted.GetPaymentsSequence()
		d.Amount, d.WithheldAmount = in.money(posted.GetAmount()), in.money(posted.GetWithheldAmount())
	case *eventsv1.LedgerEvent_PaymentReturned:
		returned := fact.PaymentReturned
		d.PaymentsSequence, d.ReturnCode = returned.GetPaymentsSequence(), returned.GetReturnCode()
		d.Amount, d.ReleasedAmount = in.money(returned.GetAmount()), in.money(returned.GetReleasedAmount())
	case *eventsv1.LedgerEvent_WithholdingEnded:
		d.PaymentsSequence, d.ReleasedAmount = fact.WithholdingEnded.GetPaymentsSequence(), in.money(fact.WithholdingEnded.GetReleasedAmount())
	default: // the other facts are added elsewhere
	}
}
