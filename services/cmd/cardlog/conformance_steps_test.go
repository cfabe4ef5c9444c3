package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// noTime reads the manual clock.
var noTime = durationpb.New(0)

// perform sends what a step says.
func (r *scenarioRun) perform(s *step) answer {
	r.t.Helper()
	perform, known := map[string]func(*step) answer{
		"authorize": r.authorizeStep, "verify": r.authorizeStep, "refund_authorize": r.authorizeStep,
		"increment": r.increment, "advice": r.advise, "reverse": r.reverse, "expire": r.expire,
		"clear": r.clear, "force_post": r.clear, "clear_reversal": r.takeClearingBack,
		"refund": r.refundStep, "refund_reversal": r.takeRefundBack,
		"dispute_credit": r.creditDispute, "dispute_reversal": r.takeDisputeBack,
		"payment": r.pay, "payment_release": r.releasePayment, "payment_return": r.returnPayment,
		"credit_limit": r.setLimit, "card_state": r.setCardState, "account_state": r.setAccountState, "controls": r.setControlsStep,
	}[s.Op]
	if !known {
		r.t.Fatalf("nothing is called %s", s.Op)
	}
	return perform(s)
}

// decided is the answer of a command on the ledger.
func (r *scenarioRun) decided(decision *transactionsv1.Decision, err error) answer {
	r.t.Helper()
	if err != nil {
		return r.refused(err)
	}
	words := map[typev1.Outcome]string{
		typev1.Outcome_OUTCOME_APPROVED: "approved", typev1.Outcome_OUTCOME_PARTIALLY_APPROVED: "partially_approved", typev1.Outcome_OUTCOME_DECLINED: "declined",
		typev1.Outcome_OUTCOME_VERIFIED: "approved", typev1.Outcome_OUTCOME_RECORDED: "recorded", typev1.Outcome_OUTCOME_REJECTED: "rejected",
	}
	got := answer{decision: words[decision.GetOutcome()], message: decision}
	if decision.GetDuplicate() {
		got.decision, got.original = "duplicate", got.decision
	}
	if decision.GetDeclineReason() != 0 {
		got.reason = strings.ToLower(strings.TrimPrefix(decision.GetDeclineReason().String(), "DECLINE_REASON_"))
	}
	if decision.GetRejectionReason() != 0 {
		got.reason = strings.ToLower(strings.TrimPrefix(decision.GetRejectionReason().String(), "REJECTION_REASON_"))
	}
	return got
}

// refused is the answer of a command that was not stored, for a reason that is the caller's business.
func (r *scenarioRun) refused(err error) answer {
	r.t.Helper()
	refusals := []codes.Code{codes.AlreadyExists, codes.FailedPrecondition, codes.NotFound, codes.InvalidArgument}
	if !slices.Contains(refusals, status.Code(err)) {
		r.t.Fatal(err)
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return answer{decision: "rejected", reason: strings.ToLower(info.GetReason())}
		}
	}
	return answer{decision: "rejected", reason: err.Error()}
}

// recordedUnlessRefused is the answer of a change that has no decision.
func (r *scenarioRun) recordedUnlessRefused(duplicate bool, err error) answer {
	r.t.Helper()
	switch {
	case err != nil:
		return r.refused(err)
	case duplicate:
		return answer{decision: "duplicate"}
	}
	return answer{decision: "recorded"}
}

// id is the id of a step's command: that of its message, else one of its own.
func (r *scenarioRun) id(s *step) string {
	if s.Message != "" {
		return s.Op + "-" + s.Message
	}
	return fmt.Sprintf("%s-%s-step-%d", s.Op, s.Ref, r.step+1)
}

func (s *step) money(minorUnits int64) *typev1.Money {
	if s.Currency != "" {
		return &typev1.Money{CurrencyCode: s.Currency, MinorUnits: minorUnits}
	}
	return pounds(minorUnits)
}

// merchant is who a step's message comes from. The scenarios' countries have three letters where they are not our own.
func (s *step) merchant() *typev1.Merchant {
	m := shop()
	if s.MCC != "" {
		m.Mcc = s.MCC
	}
	if s.Merchant != "" {
		m.MerchantId = s.Merchant
	}
	if s.MerchantCountry != "" {
		m.CountryCode = s.MerchantCountry
	}
	if alpha2, ok := map[string]string{"ESP": "ES"}[m.CountryCode]; ok {
		m.CountryCode = alpha2
	}
	return m
}

// network is the message that a step came in by; nil where the step names none.
func (r *scenarioRun) network(s *step) *typev1.NetworkMessage {
	if s.Message == "" && s.SentDaysAgo == 0 {
		return nil
	}
	sent := r.start
	if s.SentDaysAgo != 0 {
		sent = r.now().Add(-time.Duration(s.SentDaysAgo * float64(24*time.Hour)))
	}
	rrn := strings.Repeat("0", 12) + strings.ReplaceAll(s.Message, "-", "")
	return &typev1.NetworkMessage{Network: "testnet", AcquirerId: "acquirer-1", Stan: "000042", Rrn: rrn[len(rrn)-12:], TransmittedAt: timestamppb.New(sent)}
}

func (r *scenarioRun) authorizeStep(s *step) answer {
	r.t.Helper()
	if s.Advice {
		return r.advise(s)
	}
	entryMode := typev1.EntryMode_ENTRY_MODE_CHIP
	if s.EntryMode != "" {
		entryMode = typev1.EntryMode(typev1.EntryMode_value["ENTRY_MODE_"+strings.ToUpper(s.EntryMode)])
	}
	request := &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: r.card(s.Card)}, TransactionId: s.Ref,
		Amount: s.money(s.Amount), Merchant: s.merchant(), Network: r.network(s), EntryMode: entryMode, PreAuthorization: s.PreAuth,
		PartialApprovalAllowed: s.Partial, Refund: s.Op == "refund_authorize" || s.Op == "refund"}
	if s.Card == "none" {
		request.Account = &transactionsv1.AuthorizeRequest_AccountId{AccountId: r.account}
	}
	got, err := r.Authorize(r.t.Context(), request)
	return r.decided(got.GetDecision(), err)
}

func (r *scenarioRun) increment(s *step) answer {
	r.t.Helper()
	got, err := r.IncrementAuthorization(r.t.Context(), &transactionsv1.IncrementAuthorizationRequest{
		Account:       &transactionsv1.IncrementAuthorizationRequest_AccountId{AccountId: r.account},
		TransactionId: s.Ref, IncrementId: r.id(s), Amount: s.money(s.Amount), Network: r.network(s)})
	return r.decided(got.GetDecision(), err)
}

func (r *scenarioRun) advise(s *step) answer {
	r.t.Helper()
	if s.Op == "advice" && !s.Absolute {
		r.t.Fatal("an advice tells the new total")
	}
	kind := typev1.AdviceKind_ADVICE_KIND_STAND_IN
	if strings.HasSuffix(s.Kind, "completion") {
		kind = typev1.AdviceKind_ADVICE_KIND_COMPLETION
	}
	got, err := r.AdviseAuthorization(r.t.Context(), &transactionsv1.AdviseAuthorizationRequest{
		Account:       &transactionsv1.AdviseAuthorizationRequest_CardId{CardId: r.card(s.Card)},
		TransactionId: s.Ref, AdviceId: r.id(s), Amount: s.money(s.Amount), Kind: kind, Merchant: s.merchant(), Network: r.network(s)})
	return r.decided(got.GetDecision(), err)
}

func (r *scenarioRun) reverse(s *step) answer {
	r.t.Helper()
	request := &transactionsv1.ReverseAuthorizationRequest{Account: &transactionsv1.ReverseAuthorizationRequest_AccountId{AccountId: r.account},
		TransactionId: s.Ref, ReversalId: r.id(s), Network: r.network(s)}
	if s.Amount != 0 {
		request.Amount = s.money(s.Amount)
	}
	got, err := r.ReverseAuthorization(r.t.Context(), request)
	return r.decided(got.GetDecision(), err)
}

// expire looks whether a hold has come due. A step without a day goes to when it does.
func (r *scenarioRun) expire(s *step) answer {
	r.t.Helper()
	if due := r.transaction(s.Ref).GetExpiresAt(); s.Day == nil {
		r.setClock(due.AsTime())
	}
	if r.transaction(s.Ref).GetHeld().GetMinorUnits() > 0 {
		return answer{decision: "rejected", reason: "not_due"}
	}
	return answer{decision: "recorded"}
}

// clear presents. A force post names a transaction that nobody knows yet, so that later steps can name it.
func (r *scenarioRun) clear(s *step) answer {
	r.t.Helper()
	request := &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardId{CardId: r.card(s.Card)}, TransactionId: s.Ref,
		PresentmentId: r.id(s), Amount: s.money(s.Amount), MoreToCome: s.Final != nil && !*s.Final, Merchant: s.merchant()}
	if s.Card == "none" {
		request.Account = &transactionsv1.PresentRequest_AccountId{AccountId: r.account}
	}
	got, err := r.Present(r.t.Context(), request)
	if !got.GetDecision().GetDuplicate() && err == nil {
		r.cleared[s.Ref] = append(r.cleared[s.Ref], clearing{id: request.GetPresentmentId(), amount: s.Amount})
	}
	return r.decided(got.GetDecision(), err)
}

// takeClearingBack takes back the last clearing of a transaction that has the step's amount; where all are, the last once more.
func (r *scenarioRun) takeClearingBack(s *step) answer {
	r.t.Helper()
	of := r.cleared[s.Ref]
	index := len(of) - 1
	for i := range of {
		if !of[i].takenBack && of[i].amount == s.Amount {
			index = i
		}
	}
	if index < 0 {
		r.t.Fatalf("%s was never cleared", s.Ref)
	}
	of[index].takenBack = true
	got, err := r.ReversePresentment(r.t.Context(), &transactionsv1.ReversePresentmentRequest{
		Account: &transactionsv1.ReversePresentmentRequest_AccountId{AccountId: r.account}, PresentmentId: of[index].id, ReversalId: r.id(s)})
	return r.decided(got.GetDecision(), err)
}

// refundStep posts a refund. One that was authorized settles its authorization; a single message asks and posts in one.
func (r *scenarioRun) refundStep(s *step) answer {
	r.t.Helper()
	authorized := slices.ContainsFunc(r.Steps[:r.step], func(before step) bool { return before.Op == "refund_authorize" && before.Ref == s.Ref })
	request := &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_CardId{CardId: r.card(s.Card)},
		RefundId: s.Ref, TransactionId: s.Original, Amount: s.money(s.Amount), Merchant: s.merchant()}
	if authorized || s.SingleMessage {
		request.TransactionId = s.Ref
	}
	var asked answer
	if s.SingleMessage {
		asked = r.authorizeStep(s)
	}
	got, err := r.Refund(r.t.Context(), request)
	posted := r.decided(got.GetDecision(), err)
	if s.SingleMessage && posted.decision == "recorded" {
		posted.decision = asked.decision
	}
	return posted
}

func (r *scenarioRun) takeRefundBack(s *step) answer {
	r.t.Helper()
	got, err := r.ReverseRefund(r.t.Context(), &transactionsv1.ReverseRefundRequest{
		Account: &transactionsv1.ReverseRefundRequest_AccountId{AccountId: r.account}, RefundId: s.Ref, ReversalId: r.id(s)})
	return r.decided(got.GetDecision(), err)
}

func (r *scenarioRun) creditDispute(s *step) answer {
	r.t.Helper()
	got, err := r.CreditDispute(r.t.Context(), &transactionsv1.CreditDisputeRequest{
		Account: &transactionsv1.CreditDisputeRequest_AccountId{AccountId: r.account}, DisputeId: s.Ref, TransactionId: s.Original, Amount: s.money(s.Amount)})
	return r.decided(got.GetDecision(), err)
}

func (r *scenarioRun) takeDisputeBack(s *step) answer {
	r.t.Helper()
	request := &transactionsv1.ReverseDisputeCreditRequest{Account: &transactionsv1.ReverseDisputeCreditRequest_AccountId{AccountId: r.account}, DisputeId: s.Ref}
	if s.Amount != 0 {
		request.Amount = s.money(s.Amount)
	}
	got, err := r.ReverseDisputeCredit(r.t.Context(), request)
	return r.decided(got.GetDecision(), err)
}

// pay submits a payment. One that is submitted and not settled yet is held by the profile, and settled by its release.
func (r *scenarioRun) pay(s *step) answer {
	r.t.Helper()
	submitted := slices.ContainsFunc(r.Steps[:r.step], func(before step) bool {
		return before.Op == "payment" && before.Ref == s.Ref && before.Status == "submitted"
	})
	if s.Status == "settled" && submitted {
		return r.releasePayment(s)
	}
	got, err := r.payments.SubmitPayment(r.t.Context(), &paymentsv1.SubmitPaymentRequest{AccountId: r.account, PaymentId: s.Ref, Amount: s.money(s.Amount),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "bank-1"}})
	if payment := got.GetPayment(); payment.GetStatus() == typev1.PaymentStatus_PAYMENT_STATUS_REJECTED {
		return answer{decision: "rejected", reason: strings.ToLower(strings.TrimPrefix(payment.GetRejectReason().String(), "PAYMENT_REJECT_REASON_"))}
	}
	return r.recordedUnlessRefused(got.GetDuplicate(), err)
}

func (r *scenarioRun) releasePayment(s *step) answer {
	r.t.Helper()
	got, err := r.payments.ReleasePayment(r.t.Context(), &paymentsv1.ReleasePaymentRequest{AccountId: r.account, PaymentId: s.Ref, RequestId: r.id(s)})
	return r.recordedUnlessRefused(got.GetDuplicate(), err)
}

func (r *scenarioRun) returnPayment(s *step) answer {
	r.t.Helper()
	got, err := r.payments.ReturnPayment(r.t.Context(), &paymentsv1.ReturnPaymentRequest{
		AccountId: r.account, PaymentId: s.Ref, ReturnCode: s.ReturnCode, RequestId: r.id(s)})
	return r.recordedUnlessRefused(got.GetDuplicate(), err)
}

// paymentStatus is a payment's status in the words of the scenarios.
func (r *scenarioRun) paymentStatus(ref string) string {
	r.t.Helper()
	payment := must(r.payments.GetPayment(r.t.Context(), &paymentsv1.GetPaymentRequest{AccountId: r.account, PaymentId: ref}))(r.t).GetPayment()
	switch words := strings.ToLower(strings.TrimPrefix(payment.GetStatus().String(), "PAYMENT_STATUS_")); {
	case words == "held":
		return "submitted"
	case words != "submitted":
		return words
	case payment.GetWithheld().GetMinorUnits() > 0:
		return "settled_held"
	case payment.GetReleaseAt() != nil:
		return "released"
	}
	return "settled"
}

func (r *scenarioRun) setLimit(s *step) answer {
	r.t.Helper()
	_, err := r.UpdateCreditLimit(r.t.Context(), &accountsv1.UpdateCreditLimitRequest{AccountId: r.account, CreditLimit: s.money(s.Amount)})
	return r.recordedUnlessRefused(false, err)
}

// setCardState sets the state of a card, and where the step names another one, issues that in its place.
func (r *scenarioRun) setCardState(s *step) answer {
	r.t.Helper()
	word := strings.ToUpper(s.State)
	if s.State == "pending_activation" {
		word = "INACTIVE"
	}
	if word != "" {
		_, err := r.SetCardState(r.t.Context(), &accountsv1.SetCardStateRequest{AccountId: r.account, CardId: r.card(s.Card),
			State: typev1.CardState(typev1.CardState_value["CARD_STATE_"+word]), Reason: "as the scenario says"})
		if err != nil || s.Replacement == "" {
			return r.recordedUnlessRefused(false, err)
		}
	}
	r.cards[s.Replacement] = r.account + "-" + s.Replacement
	_, err := r.ReplaceCard(r.t.Context(), &accountsv1.ReplaceCardRequest{AccountId: r.account, CardId: r.card(s.Card), NewCardId: r.cards[s.Replacement]})
	return r.recordedUnlessRefused(false, err)
}

func (r *scenarioRun) setAccountState(s *step) answer {
	r.t.Helper()
	_, err := r.SetAccountState(r.t.Context(), &accountsv1.SetAccountStateRequest{AccountId: r.account, Reason: "as the scenario says",
		State: typev1.AccountState(typev1.AccountState_value["ACCOUNT_STATE_"+strings.ToUpper(s.State)])})
	return r.recordedUnlessRefused(false, err)
}

// setControlsStep sets the controls of a card, or with card "none" those of the account.
func (r *scenarioRun) setControlsStep(s *step) answer {
	r.t.Helper()
	request := &accountsv1.SetSpendingControlsRequest{AccountId: r.account, Controls: decodeControls(r.t, s.Controls)}
	if s.Card != "none" {
		request.CardId = r.card(s.Card)
	}
	_, err := r.SetSpendingControls(r.t.Context(), request)
	return r.recordedUnlessRefused(false, err)
}
