package console

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// action is something that can be tried: a form, and the call that it makes.
type action struct {
	Name, Title, Lead, Button string
	group                     string
	missing                   string // what to say where there is nothing to do it to
	method                    string
	fields                    func(*trying) []*field // nil: there is nothing to do it to
	request                   func(accountID string, f *form) proto.Message
	response                  func() proto.Message
}

// actionNamed returns an action; nil when there is none of that name.
func actionNamed(name string) *action {
	for _, one := range actions {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// actions are all of them, in the order in which a purchase lives.
var actions = []*action{
	{
		Name: "purchase", Title: "Make a purchase", group: "Purchase", Button: "Authorize",
		Lead:   "The merchant asks whether the purchase may go ahead. When it may, its amount is held.",
		method: transactionsv1.TransactionsService_Authorize_FullMethodName, fields: purchaseFields, request: purchaseRequest,
		response: func() proto.Message { return &transactionsv1.AuthorizeResponse{} },
	},
	{
		Name: "increment", Title: "Ask for more", group: "Purchase", Button: "Increment",
		Lead:    "The merchant asks for more on top of what is held, such as another night. It is checked like a purchase.",
		missing: "Nothing is held. Make a purchase first; then more can be asked for.",
		method:  transactionsv1.TransactionsService_IncrementAuthorization_FullMethodName, fields: incrementFields, request: incrementRequest,
		response: func() proto.Message { return &transactionsv1.IncrementAuthorizationResponse{} },
	},
	{
		Name: "complete", Title: "Say what it came to", group: "Purchase", Button: "Advise",
		Lead:    "A fuel pump says what was filled: the hold becomes that amount. It cannot be declined.",
		missing: "Nothing is held. Make a purchase first; then its final amount can be told.",
		method:  transactionsv1.TransactionsService_AdviseAuthorization_FullMethodName, fields: amountFields("advice_id", "adv", held), request: completeRequest,
		response: func() proto.Message { return &transactionsv1.AdviseAuthorizationResponse{} },
	},
	{
		Name: "clear", Title: "Clear it", group: "Purchase", Button: "Present",
		Lead:    "The merchant claims the money: the hold ends and the amount is posted. It may be another amount than was authorized.",
		missing: "No purchase is open. Make one first; then it can be cleared.",
		method:  transactionsv1.TransactionsService_Present_FullMethodName, fields: clearFields, request: clearRequest,
		response: func() proto.Message { return &transactionsv1.PresentResponse{} },
	},
	{
		Name: "reverse", Title: "Reverse it", group: "Purchase", Button: "Reverse",
		Lead:    "The merchant gives up all or a part of what is held.",
		missing: "Nothing is held. Make a purchase first; then its hold can be reversed.",
		method:  transactionsv1.TransactionsService_ReverseAuthorization_FullMethodName, fields: reverseFields, request: reverseRequest,
		response: func() proto.Message { return &transactionsv1.ReverseAuthorizationResponse{} },
	},
	{
		Name: "refund", Title: "Refund it", group: "Purchase", Button: "Refund",
		Lead:    "The merchant gives money back after the purchase was cleared.",
		missing: "Nothing was cleared that is not refunded already. Clear a purchase first.",
		method:  transactionsv1.TransactionsService_Refund_FullMethodName, fields: amountFields("refund_id", "ref", refundable), request: refundRequest,
		response: func() proto.Message { return &transactionsv1.RefundResponse{} },
	},
	{
		Name: "dispute", Title: "Dispute it", group: "Purchase", Button: "Credit the dispute",
		Lead:    "The cardholder disputes what was cleared: it is credited until the dispute is decided.",
		missing: "Nothing was cleared that could be disputed. Clear a purchase first.",
		method:  transactionsv1.TransactionsService_CreditDispute_FullMethodName, fields: amountFields("dispute_id", "dis", disputable), request: disputeRequest,
		response: func() proto.Message { return &transactionsv1.CreditDisputeResponse{} },
	},
	{
		Name: "pay", Title: "Pay", group: "Payment", Button: "Submit the payment",
		Lead:   "The cardholder pays what is owed. The rules may take it, hold it for a review, or reject it.",
		method: paymentsv1.PaymentsService_SubmitPayment_FullMethodName, fields: payFields, request: payRequest,
		response: func() proto.Message { return &paymentsv1.SubmitPaymentResponse{} },
	},
	{
		Name: "return", Title: "Return the payment", group: "Payment", Button: "Return the payment",
		Lead:    "The payer's bank sends the payment back: what it paid is owed again.",
		missing: "No payment has been taken that could come back. Pay first.",
		method:  paymentsv1.PaymentsService_ReturnPayment_FullMethodName, fields: returnFields, request: returnRequest,
		response: func() proto.Message { return &paymentsv1.ReturnPaymentResponse{} },
	},
	{
		Name: "release", Title: "Release it", group: "Payment", Button: "Release the payment",
		Lead:    "A payment that waits for a review is approved and taken.",
		missing: "No payment waits for a review.",
		method:  paymentsv1.PaymentsService_ReleasePayment_FullMethodName, fields: heldFields, request: releaseRequest,
		response: func() proto.Message { return &paymentsv1.ReleasePaymentResponse{} },
	},
	{
		Name: "cancel", Title: "Cancel it", group: "Payment", Button: "Cancel the payment",
		Lead:    "A payment that waits for a review is given up. Nothing has moved, and nothing will.",
		missing: "No payment waits for a review.",
		method:  paymentsv1.PaymentsService_CancelPayment_FullMethodName, fields: cancelFields, request: cancelRequest,
		response: func() proto.Message { return &paymentsv1.CancelPaymentResponse{} },
	},
	{
		Name: "limit", Title: "Change the limit", group: "Account", Button: "Set the limit",
		Lead:   "The credit limit may be cut below what is owed: then available falls below zero, and purchases are declined.",
		method: accountsv1.AccountsService_UpdateCreditLimit_FullMethodName, fields: limitFields, request: limitRequest,
		response: func() proto.Message { return &accountsv1.UpdateCreditLimitResponse{} },
	},
	{
		Name: "card", Title: "Pause a card", group: "Account", Button: "Set the card's state",
		Lead:    "A paused card declines purchases until it is active again. A closed card stays closed.",
		missing: "The account has no card. Issue one first.",
		method:  accountsv1.AccountsService_SetCardState_FullMethodName, fields: cardFields, request: cardRequest,
		response: func() proto.Message { return &accountsv1.SetCardStateResponse{} },
	},
	{
		Name: "controls", Title: "Set spending controls", group: "Account", Button: "Set the controls",
		Lead:   "Bounds on purchases with a card, or with all cards of the account. What is set here takes the place of what was set before.",
		method: accountsv1.AccountsService_SetSpendingControls_FullMethodName, fields: controlsFields, request: controlsRequest,
		response: func() proto.Message { return &accountsv1.SetSpendingControlsResponse{} },
	},
	{
		Name: "issue", Title: "Issue a card", group: "Account", Button: "Issue the card",
		Lead:   "The card's number is shown once, in the answer to this form. Nobody can read it again, not even from the log.",
		method: accountsv1.AccountsService_IssueCard_FullMethodName, fields: issueFields, request: issueRequest,
		response: func() proto.Message { return &accountsv1.IssueCardResponse{} },
	},
	{
		Name: "state", Title: "Suspend or close", group: "Account", Button: "Set the account's state",
		Lead:   "A suspended account declines purchases. A closed account stays closed.",
		method: accountsv1.AccountsService_SetAccountState_FullMethodName, fields: stateFields, request: stateRequest,
		response: func() proto.Message { return &accountsv1.SetAccountStateResponse{} },
	},
}

func idField(name, kind string) *field { return &field{Name: name, Kind: kindID, Value: newID(kind)} }

func reasonField() *field {
	return &field{Name: "reason", Label: "Reason", Kind: kindText, Optional: true, Length: 200, Hint: "For whoever reads the log."}
}

func (t *trying) moneyField(minor int64) *field {
	value := ""
	if minor > 0 {
		value = plainMinor(minor, t.currency())
	}
	return &field{Name: "amount", Label: "Amount", Kind: kindMoney, Currency: t.currency(), Value: value}
}

func purchaseFields(t *trying) []*field {
	card := &field{Name: "card_id", Label: "Card", Kind: kindSelect}
	for _, one := range t.account.GetCards() {
		card.Options = append([]choice{cardChoice(one, "")}, card.Options...)
	}
	card.Options = append(card.Options, choice{Value: "", Label: "No card, the account itself"})
	card.Value = card.Options[0].Value
	for _, one := range t.account.GetCards() {
		if one.GetState() == typev1.CardState_CARD_STATE_ACTIVE {
			card.Value = one.GetCardId()
		}
	}
	return []*field{
		idField("transaction_id", "txn"),
		t.moneyField(usual(t.currency())),
		{Name: "merchant.name", Label: "Merchant", Kind: kindText, Value: "Corner shop", Length: 100},
		{Name: "merchant.mcc", Label: "Category", Kind: kindCategory, Value: "5411 Grocery Stores, Supermarkets", Length: 120, Optional: true, Hint: "Type a few letters, or four digits."},
		{Name: "merchant.country_code", Label: "Country", Kind: kindText, Value: "GB", Length: 2, Optional: true},
		card,
		{Name: "partial_approval_allowed", Label: "A part of the amount would do", Kind: kindCheck},
	}
}

func purchaseRequest(accountID string, f *form) proto.Message {
	request := &transactionsv1.AuthorizeRequest{
		TransactionId: f.text("transaction_id"), Amount: f.money("amount"),
		Merchant:               &typev1.Merchant{Name: f.text("merchant.name"), Mcc: codeOf(f.text("merchant.mcc")), CountryCode: strings.ToUpper(f.text("merchant.country_code"))},
		PartialApprovalAllowed: f.named("partial_approval_allowed").On(),
		Account:                &transactionsv1.AuthorizeRequest_AccountId{AccountId: accountID},
	}
	if cardID := f.text("card_id"); cardID != "" {
		request.Account = &transactionsv1.AuthorizeRequest_CardId{CardId: cardID}
	}
	return request
}

// cardChoice offers a card, with a word before what is seen of its number.
func cardChoice(card *accountsv1.Card, before string) choice {
	return choice{Value: card.GetCardId(),
		Label: labelOr(card.GetLastFour() != "", card.GetCardId(), before+"•••• "+card.GetLastFour(), stateWords(enumName(card.GetState())))}
}

// labelOr is what a choice is called: by what is known of it, else by its id.
func labelOr(known bool, id string, words ...string) string {
	if !known {
		return id
	}
	return strings.Join(words, ", ")
}

// transactionField offers transactions, with an amount each. It returns the amount of the one that is chosen, and nil where there is none to offer.
func (t *trying) transactionField(amount func(*transactionsv1.Transaction) int64) (offered *field, chosen int64) {
	offered = &field{Name: "transaction_id", Label: "Purchase", Kind: kindSelect, Fills: "amount"}
	for _, one := range t.transactions {
		minor := amount(one)
		if minor <= 0 {
			continue
		}
		if offered.Value == "" || one.GetTransactionId() == t.of {
			offered.Value, chosen = one.GetTransactionId(), minor
		}
		offered.Options = append(offered.Options, choice{Value: one.GetTransactionId(), Amount: plainMinor(minor, t.currency()),
			Label: labelOr(one.GetOpenedAt() != nil, one.GetTransactionId(), transactionTitle(one), formatMinor(minor, t.currency()), formatMoment(one.GetOpenedAt()))})
	}
	if len(offered.Options) == 0 {
		return nil, 0
	}
	return offered, chosen
}

func held(t *transactionsv1.Transaction) int64 { return t.GetHeld().GetMinorUnits() }

func disputable(t *transactionsv1.Transaction) int64 {
	return refundable(t) - t.GetDisputed().GetMinorUnits()
}

func refundable(t *transactionsv1.Transaction) int64 {
	return t.GetCleared().GetMinorUnits() - t.GetRefunded().GetMinorUnits()
}

// amountFields make the fields of an action that is an id of a kind, a purchase, and an amount of it; nil where no purchase has any.
func amountFields(id, kind string, of func(*transactionsv1.Transaction) int64) func(*trying) []*field {
	return func(t *trying) []*field {
		offered, amount := t.transactionField(of)
		if offered == nil {
			return nil
		}
		return []*field{idField(id, kind), offered, t.moneyField(amount)}
	}
}

// incrementFields offer a tenth of what is held, which a tip or another night may come to.
func incrementFields(t *trying) []*field {
	offered, amount := t.transactionField(held)
	if offered == nil {
		return nil
	}
	offered.Fills = ""
	return []*field{idField("increment_id", "inc"), offered, t.moneyField(max(amount/10, 1))}
}

func incrementRequest(accountID string, f *form) proto.Message {
	return &transactionsv1.IncrementAuthorizationRequest{Account: &transactionsv1.IncrementAuthorizationRequest_AccountId{AccountId: accountID},
		IncrementId: f.text("increment_id"), TransactionId: f.text("transaction_id"), Amount: f.money("amount")}
}

func completeRequest(accountID string, f *form) proto.Message {
	return &transactionsv1.AdviseAuthorizationRequest{Account: &transactionsv1.AdviseAuthorizationRequest_AccountId{AccountId: accountID},
		AdviceId: f.text("advice_id"), TransactionId: f.text("transaction_id"), Amount: f.money("amount"), Kind: typev1.AdviceKind_ADVICE_KIND_COMPLETION}
}

func clearFields(t *trying) []*field {
	fields := amountFields("presentment_id", "clr", held)(t)
	if fields == nil {
		return nil
	}
	return append(fields, &field{Name: "more_to_come", Label: "More will come: what is left of the hold stays", Kind: kindCheck})
}

func clearRequest(accountID string, f *form) proto.Message {
	return &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_AccountId{AccountId: accountID}, PresentmentId: f.text("presentment_id"),
		TransactionId: f.text("transaction_id"), Amount: f.money("amount"), MoreToCome: f.named("more_to_come").On()}
}

func reverseFields(t *trying) []*field {
	offered, amount := t.transactionField(held)
	if offered == nil {
		return nil
	}
	money := t.moneyField(amount)
	money.Optional, money.Hint = true, "Empty: all that is held."
	return []*field{idField("reversal_id", "rev"), offered, money}
}

func reverseRequest(accountID string, f *form) proto.Message {
	return &transactionsv1.ReverseAuthorizationRequest{Account: &transactionsv1.ReverseAuthorizationRequest_AccountId{AccountId: accountID},
		ReversalId: f.text("reversal_id"), TransactionId: f.text("transaction_id"), Amount: f.money("amount")}
}

func refundRequest(accountID string, f *form) proto.Message {
	return &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_AccountId{AccountId: accountID}, RefundId: f.text("refund_id"),
		TransactionId: f.text("transaction_id"), Amount: f.money("amount")}
}

func disputeRequest(accountID string, f *form) proto.Message {
	return &transactionsv1.CreditDisputeRequest{Account: &transactionsv1.CreditDisputeRequest_AccountId{AccountId: accountID}, DisputeId: f.text("dispute_id"),
		TransactionId: f.text("transaction_id"), Amount: f.money("amount")}
}

func payFields(t *trying) []*field {
	var owed int64
	if t.balances != nil { // else they cannot be told just now
		owed = t.balances.GetPosted().GetMinorUnits() + t.balances.GetPending().GetMinorUnits()
	}
	amount := t.moneyField(owed)
	if owed > 0 {
		amount.Hint = formatMinor(owed, t.currency()) + " is owed, with what is pending."
	}
	return []*field{
		idField("payment_id", "pay"), amount,
		{Name: "source.type", Label: "From", Kind: kindSelect, Value: "CHECKING", Options: []choice{{Value: "CHECKING", Label: "Checking account"}, {Value: "SAVINGS", Label: "Savings account"}}},
		{Name: "source.source_id", Label: "Bank account's id", Kind: kindText, Value: "my-bank", Length: 64, Hint: "A name of yours for it, not its number."},
	}
}

func payRequest(accountID string, f *form) proto.Message {
	source := paymentsv1.Source{SourceId: f.text("source.source_id"), Type: typev1.PaymentSourceType(typev1.PaymentSourceType_value["PAYMENT_SOURCE_TYPE_"+f.text("source.type")])}
	return &paymentsv1.SubmitPaymentRequest{AccountId: accountID, PaymentId: f.text("payment_id"), Amount: f.money("amount"), Source: &source}
}

// paymentField offers the payments of a status; nil where there are none.
func (t *trying) paymentField(status typev1.PaymentStatus) *field {
	offered := &field{Name: "payment_id", Label: "Payment", Kind: kindSelect}
	for _, one := range t.payments {
		if one.GetStatus() != status {
			continue
		}
		if offered.Value == "" || one.GetPaymentId() == t.of {
			offered.Value = one.GetPaymentId()
		}
		offered.Options = append(offered.Options, choice{Value: one.GetPaymentId(), Label: labelOr(one.GetCreatedAt() != nil, one.GetPaymentId(), formatMoney(one.GetAmount()), formatMoment(one.GetCreatedAt()))})
	}
	if len(offered.Options) == 0 {
		return nil
	}
	return offered
}

func returnFields(t *trying) []*field {
	offered := t.paymentField(typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED)
	if offered == nil {
		return nil
	}
	return []*field{
		idField("request_id", "ret"), offered,
		{Name: "return_code", Label: "Return code", Kind: kindSelect, Value: "R01", Options: []choice{
			{Value: "R01", Label: "R01 not enough funds"}, {Value: "R02", Label: "R02 the account is closed"}, {Value: "R03", Label: "R03 no such account"},
			{Value: "R04", Label: "R04 not an account number"}, {Value: "R07", Label: "R07 the payer revoked the authorization"}, {Value: "R08", Label: "R08 the payer stopped the payment"},
			{Value: "R09", Label: "R09 the funds are not collected yet"}, {Value: "R10", Label: "R10 the payer did not authorize it"}, {Value: "R16", Label: "R16 the account is frozen"},
			{Value: "R20", Label: "R20 an account that cannot be debited"}}},
		reasonField(),
	}
}

func returnRequest(accountID string, f *form) proto.Message {
	return &paymentsv1.ReturnPaymentRequest{AccountId: accountID, PaymentId: f.text("payment_id"), ReturnCode: f.text("return_code"), Reason: f.text("reason"), RequestId: f.text("request_id")}
}

func heldFields(t *trying) []*field {
	offered := t.paymentField(typev1.PaymentStatus_PAYMENT_STATUS_HELD)
	if offered == nil {
		return nil
	}
	return []*field{idField("request_id", "rel"), offered}
}

func releaseRequest(accountID string, f *form) proto.Message {
	return &paymentsv1.ReleasePaymentRequest{AccountId: accountID, PaymentId: f.text("payment_id"), RequestId: f.text("request_id")}
}

func cancelFields(t *trying) []*field {
	fields := heldFields(t)
	if fields == nil {
		return nil
	}
	return append(fields, reasonField())
}

func cancelRequest(accountID string, f *form) proto.Message {
	return &paymentsv1.CancelPaymentRequest{AccountId: accountID, PaymentId: f.text("payment_id"), Reason: f.text("reason"), RequestId: f.text("request_id")}
}

func limitFields(t *trying) []*field {
	return []*field{idField("request_id", "lim"),
		{Name: "credit_limit", Label: "Credit limit", Kind: kindMoney, Currency: t.currency(), Value: plainMinor(t.account.GetCreditLimit().GetMinorUnits(), t.currency())}}
}

func limitRequest(accountID string, f *form) proto.Message {
	return &accountsv1.UpdateCreditLimitRequest{AccountId: accountID, CreditLimit: f.money("credit_limit"), RequestId: f.text("request_id")}
}

// cardFields offers the state that is most likely wanted: an active card is paused, and the others made active.
func cardFields(t *trying) []*field {
	card := &field{Name: "card_id", Label: "Card", Kind: kindSelect}
	state := &field{Name: "state", Label: "State", Kind: kindSelect, Value: "PAUSED"}
	for _, one := range t.account.GetCards() {
		if one.GetCardId() == t.of || card.Value == "" || t.of == "" {
			card.Value, state.Value = one.GetCardId(), "ACTIVE"
			if one.GetState() == typev1.CardState_CARD_STATE_ACTIVE {
				state.Value = "PAUSED"
			}
		}
		card.Options = append(card.Options, cardChoice(one, ""))
	}
	if len(card.Options) == 0 {
		return nil
	}
	state.Options = enumChoices(typev1.CardState_name, func(n int32) typev1.CardState { return typev1.CardState(n) })
	return []*field{idField("request_id", "crd"), card, state, reasonField()}
}

func cardRequest(accountID string, f *form) proto.Message {
	return &accountsv1.SetCardStateRequest{AccountId: accountID, CardId: f.text("card_id"), Reason: f.text("reason"), RequestId: f.text("request_id"),
		State: typev1.CardState(typev1.CardState_value["CARD_STATE_"+f.text("state")])}
}

func issueFields(*trying) []*field {
	return []*field{idField("card_id", "card"), {Name: "activate", Label: "Active at once", Kind: kindCheck, Value: "on"}}
}

func issueRequest(accountID string, f *form) proto.Message {
	return &accountsv1.IssueCardRequest{AccountId: accountID, CardId: f.text("card_id"), Activate: f.named("activate").On()}
}

func stateFields(t *trying) []*field {
	state := &field{Name: "state", Label: "State", Kind: kindSelect, Value: enumName(t.account.GetState())}
	state.Options = enumChoices(typev1.AccountState_name, func(n int32) typev1.AccountState { return typev1.AccountState(n) })
	return []*field{idField("request_id", "sta"), state, reasonField()}
}

func stateRequest(accountID string, f *form) proto.Message {
	return &accountsv1.SetAccountStateRequest{AccountId: accountID, Reason: f.text("reason"), RequestId: f.text("request_id"),
		State: typev1.AccountState(typev1.AccountState_value["ACCOUNT_STATE_"+f.text("state")])}
}

// usual is the amount that a form begins with: 22.50 of a currency with two decimals.
func usual(currency string) int64 {
	amount := int64(2250)
	for range exponent(currency) - 2 {
		amount *= 10
	}
	return amount
}

// enumChoices offers all values of an enum.
func enumChoices[E protoreflect.Enum](names map[int32]string, of func(int32) E) (choices []choice) {
	for number := range int32(len(names)) {
		if name := enumName(of(number)); name != "" {
			choices = append(choices, choice{Value: name, Label: label(of(number))})
		}
	}
	return choices
}

// monthOf writes a month.
func monthOf(month, year int32) string {
	return time.Date(int(year), time.Month(month), 1, 0, 0, 0, 0, time.UTC).Format("January 2006")
}
