package console

import (
	"context"
	"errors"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// transactionView is a transaction in all its detail.
type transactionView struct {
	transactionRow
	Decision *decisionView
	Entries  []*transactionsv1.Entry
	Payment  *paymentView
	Steps    []step
}

// step is something that can be done next, by a form.
type step struct{ Label, Path string }

// decisionView is a decision in words.
type decisionView struct {
	Outcome    typev1.Outcome
	Sentence   string
	Facts      []fact
	Checks     []checkWords
	Rules      string
	FirstWrong string // the check that decided a decline
}

// fact is a name with what it is.
type fact struct{ Name, Value string }

// transaction asks for one transaction.
func (c *Console) transaction(ctx context.Context, accountID, transactionID string) (*transactionsv1.Transaction, error) {
	answer, err := c.transactions.GetTransaction(ctx, &transactionsv1.GetTransactionRequest{
		Account: &transactionsv1.GetTransactionRequest_AccountId{AccountId: accountID}, TransactionId: transactionID})
	return answer.GetTransaction(), err
}

// showTransaction shows a transaction: as a page, or as the part of an account's page that opens below its row.
func (c *Console) showTransaction(w http.ResponseWriter, r *http.Request) error {
	accountID := r.PathValue("account")
	content, err := c.transactionView(r.Context(), accountID, r.PathValue("transaction"))
	if err != nil {
		return err
	}
	if byScript(r) {
		return c.showFragment(w, "transaction", content)
	}
	return c.show(w, r, "transaction", view{Title: content.Title(), Section: "accounts", Account: accountID, Tab: "account", Content: content})
}

func (c *Console) transactionView(ctx context.Context, accountID, transactionID string) (*transactionView, error) {
	t, err := c.transaction(ctx, accountID, transactionID)
	if err != nil {
		return nil, err
	}
	amount, moved := amountOf(t)
	if amount == nil && len(t.GetEntries()) > 0 {
		amount = t.GetEntries()[0].GetAmount()
	}
	v := &transactionView{transactionRow: transactionRow{Transaction: t, AccountID: accountID, Amount: amount, Moved: moved}, Entries: t.GetEntries()}
	v.Steps = nextSteps(accountID, t)
	group, ctx := errgroup.WithContext(ctx)
	if t.GetDecision() != nil {
		group.Go(func() (err error) {
			v.Decision, err = c.decisionView(ctx, accountID, t)
			return err
		})
	}
	if v.IsPayment() {
		group.Go(func() (err error) {
			v.Payment, err = c.paymentView(ctx, accountID, transactionID)
			return err
		})
	}
	return v, group.Wait()
}

// nextSteps are what may be done with a transaction as it stands.
func nextSteps(accountID string, t *transactionsv1.Transaction) (steps []step) {
	add := func(label, action string) {
		steps = append(steps, step{Label: label, Path: actionPath(accountID, action) + "?of=" + t.GetTransactionId()})
	}
	if t.GetHeld().GetMinorUnits() > 0 {
		add("Clear it", "clear")
		add("Ask for more", "increment")
		add("Reverse it", "reverse")
	}
	if t.GetCleared().GetMinorUnits() > t.GetRefunded().GetMinorUnits() {
		add("Refund it", "refund")
	}
	if disputable(t) > 0 {
		add("Dispute it", "dispute")
	}
	if t.GetStatus() == transactionsv1.TransactionStatus_TRANSACTION_STATUS_POSTED {
		add("Return it", "return")
	}
	return steps
}

// decisionView says in words what was asked, what was allowed, and by which rule.
func (c *Console) decisionView(ctx context.Context, accountID string, t *transactionsv1.Transaction) (*decisionView, error) {
	decision := t.GetDecision()
	stored, err := c.event(ctx, accountID, decision.GetSequence())
	if err != nil {
		return nil, err
	}
	request := stored.GetEvent().GetAuthorizationApproved().GetRequest()
	if request == nil {
		request = stored.GetEvent().GetAuthorizationDeclined().GetRequest()
	}
	asked := formatMinor(request.GetAmount(), request.GetCurrencyCode())
	v := &decisionView{Outcome: decision.GetOutcome(), Rules: t.GetRules()}
	for _, check := range t.GetChecks() {
		words := c.wordsOfCheck(check, stored.GetEvent().GetBalances().GetCurrencyCode())
		if !words.Passed && v.FirstWrong == "" {
			v.FirstWrong = words.Name
		}
		v.Checks = append(v.Checks, words)
	}
	v.Sentence = decisionSentence(decision, asked)
	v.Facts = []fact{{"Asked for", asked}, {"Response code", decision.GetResponseCode()}}
	if decision.GetApprovalCode() != "" {
		v.Facts = append(v.Facts, fact{"Approval code", decision.GetApprovalCode()})
	}
	v.Facts = append(v.Facts, fact{"Rules", t.GetRules()})
	if mode := request.GetEntryMode(); mode != 0 {
		v.Facts = append(v.Facts, fact{"Card read", label(mode)})
	}
	if request.GetPartialApprovalAllowed() {
		v.Facts = append(v.Facts, fact{"A part", "would have done"})
	}
	return v, nil
}

// decisionSentence says how a request ended.
func decisionSentence(decision *transactionsv1.Decision, asked string) string {
	approved := formatMoney(decision.GetApprovedAmount())
	switch decision.GetOutcome() {
	case typev1.Outcome_OUTCOME_APPROVED:
		if held := decision.GetHeldAmount(); held.GetMinorUnits() > decision.GetApprovedAmount().GetMinorUnits() {
			return approved + " was asked for and allowed; " + formatMoney(held) + " is held."
		}
		return approved + " was asked for and allowed."
	case typev1.Outcome_OUTCOME_PARTIALLY_APPROVED:
		return asked + " was asked for; " + approved + " of it was allowed, which is all that was available."
	case typev1.Outcome_OUTCOME_VERIFIED:
		return "The card was verified: nothing was asked for, and nothing is held."
	case typev1.Outcome_OUTCOME_DECLINED:
		return asked + " was asked for and declined: " + declineWords(decision.GetDeclineReason()) + "."
	case typev1.Outcome_OUTCOME_RECORDED:
		return approved + " was recorded. It had happened already, so it could not be declined."
	default:
		return label(decision.GetOutcome()) + "."
	}
}

// declineWords says why something was declined, in the middle of a sentence.
func declineWords(reason typev1.DeclineReason) string {
	switch reason {
	case typev1.DeclineReason_DECLINE_REASON_UNKNOWN_CARD:
		return "there is no such card"
	case typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED:
		return "the card has not been activated"
	case typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT:
		return "it does not fit into the credit limit"
	case typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED:
		return "the merchant's category is not allowed"
	case typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED:
		return "the merchant is not allowed"
	case typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED:
		return "the merchant's country is not allowed"
	case typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED:
		return "the account is kept in another currency"
	case typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE:
		return "the network's message is too old"
	case typev1.DeclineReason_DECLINE_REASON_SINGLE_USE_CARD_USED:
		return "the card was for one purchase and has been used"
	default:
		return stateWords(enumName(reason))
	}
}

// event reads one stored event of an account.
func (c *Console) event(ctx context.Context, accountID string, sequence uint64) (*transactionsv1.ListEventsResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.transactions.ListEvents(ctx, &transactionsv1.ListEventsRequest{
		Account: &transactionsv1.ListEventsRequest_AccountId{AccountId: accountID}, AfterSequence: max(sequence, 1) - 1})
	if err != nil {
		return nil, err
	}
	stored, err := stream.Recv()
	if errors.Is(err, io.EOF) || (err == nil && stored.GetSequence() != sequence) {
		return nil, &pageError{code: http.StatusNotFound, title: "No such event", sentence: "The account has no event of that sequence."}
	}
	return stored, err
}

// factName is the name of what an event says happened, such as authorization_approved; empty where this version does not know it.
func factName(event *eventsv1.LedgerEvent) string {
	message := event.ProtoReflect()
	set := message.WhichOneof(message.Descriptor().Oneofs().ByName("fact"))
	if set == nil {
		return ""
	}
	return string(set.Name())
}

// paymentView is a payment in words.
type paymentView struct {
	*paymentsv1.Payment
	Sentence string
	Checks   []checkWords
	Steps    []step
}

// showPayment shows a payment that has not, or not yet, reached the ledger; else it would be a transaction.
func (c *Console) showPayment(w http.ResponseWriter, r *http.Request) error {
	accountID := r.PathValue("account")
	content, err := c.paymentView(r.Context(), accountID, r.PathValue("payment"))
	if err != nil {
		return err
	}
	return c.show(w, r, "payment", view{Title: "Payment", Section: "accounts", Account: accountID, Tab: "account", Content: content})
}

func (c *Console) paymentView(ctx context.Context, accountID, paymentID string) (*paymentView, error) {
	answer, err := c.payments.GetPayment(ctx, &paymentsv1.GetPaymentRequest{AccountId: accountID, PaymentId: paymentID})
	if status.Code(err) == codes.NotFound {
		return nil, &pageError{code: http.StatusNotFound, title: "No such payment", sentence: sentence(status.Convert(err).Message())}
	}
	if err != nil {
		return nil, err
	}
	v := &paymentView{Payment: answer.GetPayment()}
	v.Sentence = paymentSentence(v.Payment)
	for _, check := range v.GetChecks() {
		v.Checks = append(v.Checks, wordsOfPaymentCheck(check, v.GetAmount().GetCurrencyCode()))
	}
	add := func(label, action string) {
		v.Steps = append(v.Steps, step{Label: label, Path: actionPath(accountID, action) + "?of=" + paymentID})
	}
	switch v.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		add("Release it", "release")
		add("Cancel it", "cancel")
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		add("Return it", "return")
	default: // nothing more can happen to it
	}
	return v, nil
}

// paymentSentence says where a payment stands, and why.
func paymentSentence(p *paymentsv1.Payment) string {
	amount := formatMoney(p.GetAmount())
	switch p.GetStatus() {
	case typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED:
		if p.GetWithheld().GetMinorUnits() > 0 {
			return amount + " was taken. " + formatMoney(p.GetWithheld()) + " of it cannot be spent until " + formatMoment(p.GetReleaseAt()) + "."
		}
		return amount + " was taken: so much less is owed."
	case typev1.PaymentStatus_PAYMENT_STATUS_HELD:
		text := amount + " waits for a review, and nothing has moved:"
		for i, reason := range p.GetHoldReasons() {
			if i > 0 {
				text += ","
			}
			text += " " + holdWords(reason)
		}
		return text + "."
	case typev1.PaymentStatus_PAYMENT_STATUS_REJECTED:
		if p.GetRejectReason() == typev1.PaymentRejectReason_PAYMENT_REJECT_REASON_MORE_THAN_OWED {
			return amount + " was not taken, because it is more than what is owed."
		}
		return amount + " was not taken: " + stateWords(enumName(p.GetRejectReason())) + "."
	case typev1.PaymentStatus_PAYMENT_STATUS_CANCELLED:
		return amount + " was given up while it was held; nothing moved."
	case typev1.PaymentStatus_PAYMENT_STATUS_RETURNED:
		return amount + " came back from the payer's bank (" + p.GetReturnCode() + "): it is owed again."
	default:
		return label(p.GetStatus()) + "."
	}
}

// holdWords says why a payment was held, in the middle of a sentence.
func holdWords(reason typev1.HoldReason) string {
	switch reason {
	case typev1.HoldReason_HOLD_REASON_LARGE_AMOUNT:
		return "the amount is large"
	case typev1.HoldReason_HOLD_REASON_RECENT_RETURN:
		return "a payment came back not long ago"
	case typev1.HoldReason_HOLD_REASON_NEW_SOURCE:
		return "it is a large first payment from this bank account"
	case typev1.HoldReason_HOLD_REASON_DAILY_COUNT:
		return "there were many payments within a day"
	case typev1.HoldReason_HOLD_REASON_DAILY_AMOUNT:
		return "the payments of one day come to much"
	case typev1.HoldReason_HOLD_REASON_SOURCE_FAILED:
		return "this bank account could not pay before"
	default:
		return stateWords(enumName(reason))
	}
}

// wordsOfPaymentCheck says in a sentence what a rule asked of a payment, and what it found.
func wordsOfPaymentCheck(check *paymentsv1.Check, currency string) checkWords {
	words := checkWords{Name: label(check.GetCheck()), Passed: !check.GetFired(), Seen: count(check.GetSeen()), Bound: count(check.GetBound())}
	amounts := func() {
		words.Seen, words.Bound = formatMinor(check.GetSeen(), currency), formatMinor(check.GetBound(), currency)
	}
	switch check.GetCheck() {
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_ACCOUNT_STATE:
		words.Sentence, words.Seen = "Is the account not closed?", stateWords(enumName(typev1.AccountState(check.GetSeen())))
		words.Bound = "not " + stateWords(enumName(typev1.AccountState(check.GetBound())))
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_OWED:
		words.Sentence = "Is it no more than what is owed?"
		amounts()
		words.Bound = "up to " + words.Bound
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_AMOUNT:
		words.Sentence = "Is it small enough to need no review?"
		amounts()
		words.Bound = "below " + words.Bound
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_RECENT_RETURN:
		words.Sentence, words.Seen, words.Bound = "Is the last returned payment long ago?", words.Seen+" days", "at least "+words.Bound+" days"
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_NEW_SOURCE:
		words.Sentence = "Is it small enough for a first payment from this bank account?"
		amounts()
		words.Bound = "up to " + words.Bound
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_COUNT:
		words.Sentence, words.Bound = "Are there few payments within 24 hours?", "up to "+words.Bound
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_AMOUNT:
		words.Sentence = "Is the sum of payments within 24 hours small enough?"
		amounts()
		words.Bound = "up to " + words.Bound
	case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_SOURCE_FAILED:
		words.Sentence, words.Seen, words.Bound = "Has this bank account always been able to pay?", words.Seen+" failures", "none"
	default:
		words.Sentence = words.Name + "?"
	}
	return words
}
