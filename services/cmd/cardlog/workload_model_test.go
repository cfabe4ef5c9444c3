package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// book is one account as the documentation says it must be: slow, simple, and without events. It is written from the contracts and the descriptions of the rules,
// not from the code, and shares nothing with it. It says beforehand what every command will be answered with, and what will be seen afterwards.
type book struct {
	id       string
	rules    *bookRules
	now      time.Time
	limit    int64
	state    typev1.AccountState
	controls *typev1.SpendingControls
	cards    []*bookCard

	transactions []*bookTransaction // in the order of their first events
	granted      []*bookTransaction // in the order in which they were
	presentments map[string]*bookFact
	refunds      map[string]*bookFact
	disputes     map[string]*bookFact
	payments     []*bookPayment
	lastReturn   time.Time
	order        []func() string // the names of transactions and payments, in the order of their first events

	answered map[string]bookAnswer // kind and id of a command -> what it was answered with
	heard    map[string]bookAnswer // numbers of a network message -> what it was answered with
}

// bookRules is a rules profile, as the workload's rules file has it.
type bookRules struct {
	name             string
	overLimitPercent int64
	blockedMCC       string
	blockedMerchant  string
	blockedCountry   string
	expiryDays       func(mcc string, estimate bool, amount int64) int
	held             func(mcc string, amount int64) int64
	tolerated        func(mcc string, authorized int64) int64
	payments         bookPaymentRules
}

type bookCard struct {
	id, number, replaces string
	state                typev1.CardState
	controls             *typev1.SpendingControls
}

// bookTransaction is a purchase, or a refund without one.
type bookTransaction struct {
	id, card               string
	mcc, merchant, country string
	opened                 time.Time
	outcome                typev1.Outcome // of its authorization
	credit                 bool           // which is that of a merchant credit
	authorized             int64
	held, surplus          int64 // what is held, and what of it nobody asked for
	reversed, expired      int64 // what was released and does not count again
	cleared, takenBack     int64
	refunded, refundsBack  int64
	disputed               int64
	creditAsked            int64 // approved merchant credits
	due                    time.Time
	estimate               bool
	final, completed       bool // a presentment, an advice was the last word
	givenUp                bool // a reversal released all that was held
}

// bookFact is a presentment, a refund or a dispute credit.
type bookFact struct {
	transaction *bookTransaction
	amount      int64
	takenBack   bool
}

// bookAnswer is an answer with what was asked.
type bookAnswer struct {
	content string
	answer  prediction
}

// verdict is how a command on the ledger ended.
type verdict struct {
	outcome                                     typev1.Outcome
	decline                                     typev1.DeclineReason
	rejection                                   typev1.RejectionReason
	code, transaction                           string
	approved, held, over                        int64
	tolerated, late, unmatched, capped          bool
	daysLate                                    int32
	limit, posted, pending, withheld, available int64 // the balances after it
}

// prediction is what a command will be answered with: an error, or a verdict.
type prediction struct {
	err       string // code and reason
	verdict   verdict
	duplicate bool
}

// verdictOf is the verdict that an answer tells.
func verdictOf(d *transactionsv1.Decision) verdict {
	b := d.GetBalances()
	return verdict{
		outcome: d.GetOutcome(), decline: d.GetDeclineReason(), rejection: d.GetRejectionReason(), code: d.GetResponseCode(), transaction: d.GetTransactionId(),
		approved: d.GetApprovedAmount().GetMinorUnits(), held: d.GetHeldAmount().GetMinorUnits(), over: d.GetOverCaptureAmount().GetMinorUnits(),
		tolerated: d.GetOverCaptureTolerated(), late: d.GetLate(), unmatched: d.GetUnmatched(), capped: d.GetReversalCapped(), daysLate: d.GetDaysLate(),
		limit: b.GetCreditLimit().GetMinorUnits(), posted: b.GetPosted().GetMinorUnits(), pending: b.GetPending().GetMinorUnits(),
		withheld: b.GetWithheld().GetMinorUnits(), available: b.GetAvailable().GetMinorUnits(),
	}
}

// posted is what is owed: what was presented, less what was given back, credited and paid.
func (b *book) posted() (sum int64) {
	for _, t := range b.transactions {
		sum += t.cleared - t.refunded - t.disputed
	}
	for _, p := range b.payments {
		if p.status == typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED {
			sum -= p.amount
		}
	}
	return sum
}

func (b *book) pending() (sum int64) {
	for _, t := range b.transactions {
		sum += t.held
	}
	return sum
}

func (b *book) withheld() (sum int64) {
	for _, p := range b.payments {
		sum += p.withheld
	}
	return sum
}

func (b *book) available() int64 { return b.limit - b.posted() - b.pending() - b.withheld() }

// line is the most that may be owed, held and withheld after a request: the limit, and what the profile grants beyond it.
func (b *book) line() int64 { return b.limit + b.limit*b.rules.overLimitPercent/100 }

// room is what a request may take.
func (b *book) room() int64 { return b.available() + b.line() - b.limit }

// wait moves the time on: what is due by then has ended.
func (b *book) wait(to time.Time) {
	b.now = to
	for _, t := range b.transactions {
		if t.held > 0 && !t.due.After(to) {
			t.expired += t.held
			t.held = 0
		}
	}
	for _, p := range b.payments {
		if !p.until.After(to) {
			p.withheld = 0
		}
	}
}

func (b *book) transaction(id string) *bookTransaction {
	index := slices.IndexFunc(b.transactions, func(t *bookTransaction) bool { return t.id == id && id != "" })
	if index < 0 {
		return nil
	}
	return b.transactions[index]
}

// begin adds a transaction.
func (b *book) begin(id, card string, merchant *typev1.Merchant) *bookTransaction {
	t := &bookTransaction{id: id, card: card, mcc: merchant.GetMcc(), merchant: merchant.GetMerchantId(), country: merchant.GetCountryCode(), opened: b.now}
	b.transactions = append(b.transactions, t)
	b.order = append(b.order, func() string { return t.id })
	return t
}

// firsts are the names of all transactions and payments, in the order of their first events.
func (b *book) firsts() (ids []string) {
	for _, name := range b.order {
		ids = append(ids, name())
	}
	return ids
}

func (b *book) card(id string) *bookCard {
	index := slices.IndexFunc(b.cards, func(c *bookCard) bool { return c.id == id })
	if index < 0 {
		return nil
	}
	return b.cards[index]
}

// asked says whether somebody asked for the purchase, and granted whether that was granted: by us, or by the network in our place.
func (t *bookTransaction) asked() bool { return t.outcome != 0 && !t.credit }
func (t *bookTransaction) granted() bool {
	return !t.credit && (t.outcome == typev1.Outcome_OUTCOME_APPROVED || t.outcome == typev1.Outcome_OUTCOME_PARTIALLY_APPROVED)
}

// purchased says whether it is a purchase that counts: one that was granted, or that something was ever presented of.
func (t *bookTransaction) purchased() bool { return t.granted() || t.cleared+t.takenBack > 0 }

// spent is what of it is spent: what is cleared and what is held, but not what is held beyond what was asked.
func (t *bookTransaction) spent() int64 { return t.cleared + max(0, t.held-t.surplus) }

// over is by how much what was presented passes what was authorized or held, and not reversed; nothing where nobody asked.
func (t *bookTransaction) over() int64 {
	if !t.asked() {
		return 0
	}
	return max(0, t.cleared-(t.authorized+t.surplus-t.reversed))
}

// holdUntil says when what is held comes due: so many days from now, or when it was to anyway, if that is later.
func (b *book) holdUntil(t *bookTransaction, amount int64) {
	if due := b.now.AddDate(0, 0, b.rules.expiryDays(t.mcc, t.estimate, amount)); due.After(t.due) {
		t.due = due
	}
}

// pendingCredit is what of the approved merchant credits was never refunded.
func (t *bookTransaction) pendingCredit() int64 {
	return max(0, t.creditAsked-t.refunded-t.refundsBack)
}

// status is where a transaction stands.
func (t *bookTransaction) status() transactionsv1.TransactionStatus {
	switch {
	case t.held > 0 && t.cleared > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PARTIALLY_CLEARED
	case t.held > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING
	case t.disputed > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_DISPUTED
	case t.refunded > 0 && t.refunded >= t.cleared:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REFUNDED
	case t.refunded > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PARTIALLY_REFUNDED
	case t.cleared > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_CLEARED
	case t.pendingCredit() > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_PENDING
	case t.takenBack > 0 || t.refundsBack > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REVERSED
	case t.outcome == typev1.Outcome_OUTCOME_DECLINED:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_DECLINED
	case t.outcome == typev1.Outcome_OUTCOME_VERIFIED:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED
	case t.expired > 0:
		return transactionsv1.TransactionStatus_TRANSACTION_STATUS_EXPIRED
	}
	return transactionsv1.TransactionStatus_TRANSACTION_STATUS_REVERSED
}

// predict says what a command will be answered with, and takes it into the book. A repeat is answered as it was the first time.
func (b *book) predict(request proto.Message) prediction {
	kind, id, network := identity(request)
	content := contentOf(request)
	if before, known := b.answered[kind+" "+id]; known && id != "" {
		if before.content != content {
			return prediction{err: "AlreadyExists ID_REUSED"}
		}
		return before.answer.again()
	}
	message := ""
	if network.GetStan() != "" {
		message = fmt.Sprint(kind, network.GetNetwork(), network.GetAcquirerId(), network.GetStan(), network.GetRrn(), network.GetTransmittedAt().AsTime())
		if before, known := b.heard[message]; known {
			return before.answer.again()
		}
	}
	answer := b.decide(request)
	if answer.err != "" {
		return answer // nothing is stored
	}
	answer.verdict.limit, answer.verdict.posted, answer.verdict.pending = b.limit, b.posted(), b.pending()
	answer.verdict.withheld, answer.verdict.available = b.withheld(), b.available()
	b.answered[kind+" "+id] = bookAnswer{content, answer}
	if message != "" {
		b.heard[message] = bookAnswer{content, answer}
	}
	return answer
}

func (p prediction) again() prediction {
	p.duplicate = true
	return p
}

// identity is the kind of a command, its id, and the network's message that it came by.
func identity(request proto.Message) (kind, id string, network *typev1.NetworkMessage) {
	kind = string(request.ProtoReflect().Descriptor().Name())
	switch r := request.(type) {
	case *transactionsv1.AuthorizeRequest:
		return kind, r.GetTransactionId(), r.GetNetwork()
	case *transactionsv1.IncrementAuthorizationRequest:
		return kind, r.GetIncrementId(), r.GetNetwork()
	case *transactionsv1.AdviseAuthorizationRequest:
		return kind, r.GetAdviceId(), r.GetNetwork()
	case *transactionsv1.ReverseAuthorizationRequest:
		return kind, r.GetReversalId(), r.GetNetwork()
	case *transactionsv1.PresentRequest:
		return kind, r.GetPresentmentId(), nil
	case *transactionsv1.ReversePresentmentRequest:
		return kind, r.GetReversalId(), nil
	case *transactionsv1.RefundRequest:
		return kind, r.GetRefundId(), nil
	case *transactionsv1.ReverseRefundRequest:
		return kind, r.GetReversalId(), nil
	case *transactionsv1.CreditDisputeRequest:
		return kind, r.GetDisputeId(), nil
	case *transactionsv1.ReverseDisputeCreditRequest:
		return kind, r.GetDisputeId(), nil
	}
	panic("no command is a " + kind)
}

func contentOf(request proto.Message) string {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		panic(err)
	}
	return string(content)
}

// decide takes a command into the book.
func (b *book) decide(request proto.Message) prediction {
	switch r := request.(type) {
	case *transactionsv1.AuthorizeRequest:
		return b.authorize(r)
	case *transactionsv1.IncrementAuthorizationRequest:
		return b.increment(r)
	case *transactionsv1.AdviseAuthorizationRequest:
		return b.advise(r)
	case *transactionsv1.ReverseAuthorizationRequest:
		return b.reverse(r)
	case *transactionsv1.PresentRequest:
		return b.present(r)
	case *transactionsv1.ReversePresentmentRequest:
		return b.takePresentmentBack(r)
	case *transactionsv1.RefundRequest:
		return b.refund(r)
	case *transactionsv1.ReverseRefundRequest:
		return b.takeRefundBack(r)
	case *transactionsv1.CreditDisputeRequest:
		return b.creditDispute(r)
	case *transactionsv1.ReverseDisputeCreditRequest:
		return b.takeDisputeCreditBack(r)
	}
	panic(fmt.Sprintf("nothing is a %T", request))
}

// declined is the verdict of a request that is declined for a reason: nothing moves.
func declined(t *bookTransaction, reason typev1.DeclineReason) prediction {
	codes := map[typev1.DeclineReason]string{
		typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED: "78", typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED: "62",
		typev1.DeclineReason_DECLINE_REASON_CARD_LOST: "41", typev1.DeclineReason_DECLINE_REASON_CARD_STOLEN: "43",
		typev1.DeclineReason_DECLINE_REASON_CARD_CLOSED: "14", typev1.DeclineReason_DECLINE_REASON_CARD_EXPIRED: "54",
		typev1.DeclineReason_DECLINE_REASON_ACCOUNT_SUSPENDED: "62", typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CHARGED_OFF: "62",
		typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CLOSED: "46", typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT: "51",
		typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED: "61", typev1.DeclineReason_DECLINE_REASON_COUNT_LIMIT_EXCEEDED: "65",
		typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED: "57", typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED: "57",
		typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED: "62", typev1.DeclineReason_DECLINE_REASON_SINGLE_USE_CARD_USED: "57",
		typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED: "57", typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE: "30",
	}
	return prediction{verdict: verdict{outcome: typev1.Outcome_OUTCOME_DECLINED, decline: reason, code: codes[reason], transaction: t.id, held: t.held}}
}

// rejected is the verdict of a command that has nothing to act on.
func rejected(t *bookTransaction, reason typev1.RejectionReason) prediction {
	return prediction{verdict: verdict{outcome: typev1.Outcome_OUTCOME_REJECTED, rejection: reason, code: "21", transaction: t.id, held: t.held}}
}

// recorded is the verdict of a fact that moved an amount.
func recorded(t *bookTransaction, amount int64) prediction {
	return prediction{verdict: verdict{outcome: typev1.Outcome_OUTCOME_RECORDED, code: "00", transaction: t.id, approved: amount, held: t.held}}
}

// authorize answers a purchase, a verification (amount 0) or a merchant credit.
func (b *book) authorize(r *transactionsv1.AuthorizeRequest) prediction {
	card, amount := b.cardOf(r.GetCardId(), r.GetCardNumber()), r.GetAmount().GetMinorUnits()
	t := b.transaction(r.GetTransactionId())
	if t == nil {
		t = b.begin(r.GetTransactionId(), card, nil)
	}
	t.card = cmp.Or(t.card, card)
	t.mcc, t.merchant, t.country = r.GetMerchant().GetMcc(), r.GetMerchant().GetMerchantId(), r.GetMerchant().GetCountryCode()
	t.estimate = t.estimate || r.GetPreAuthorization()
	asked := &asking{card: card, amount: amount, of: amount, currency: r.GetAmount().GetCurrencyCode(), network: r.GetNetwork(),
		credit: r.GetRefund(), mode: r.GetEntryMode()}
	if r.GetRefund() {
		return b.authorizeCredit(t, asked)
	}
	raised := amount
	if !t.granted() && amount > 0 { // else the network has told what to hold
		raised = b.rules.held(t.mcc, amount)
	}
	after := t.afterGrant(amount, raised)
	answer := b.answerRequest(t, after, asked)
	if answer.verdict.decline == typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT && r.GetPartialApprovalAllowed() && b.room() > 0 &&
		t.cleared == 0 && t.held == 0 {
		asked.amount = min(amount, b.room())
		after = t.afterGrant(asked.amount, b.room())
		answer.verdict.outcome, answer.verdict.decline, answer.verdict.code = typev1.Outcome_OUTCOME_APPROVED, 0, "00"
		if asked.amount < amount {
			answer.verdict.outcome, answer.verdict.code = typev1.Outcome_OUTCOME_PARTIALLY_APPROVED, "10"
		}
		answer.verdict.approved, answer.verdict.held = asked.amount, after.held
	}
	granted := t.granted()
	if answer.verdict.decline == 0 {
		heldBefore := t.held
		*t = after
		if t.held > heldBefore {
			b.holdUntil(t, answer.verdict.approved)
		}
	}
	if !granted {
		t.outcome, t.credit = answer.verdict.outcome, false
		b.noteFirst(t)
	}
	return answer
}

// afterGrant is a transaction after so much was authorized and so much shall be held of it, less what is presented or held already.
// Where a completion or the last presentment came before, nothing more is held.
func (t *bookTransaction) afterGrant(amount, toHold int64) bookTransaction {
	after := *t
	after.credit = false
	if after.completed {
		return after
	}
	after.authorized = max(after.authorized, amount)
	if more := toHold - after.cleared - after.held; more > 0 && !after.final {
		after.held += more
		after.surplus, after.expired, after.givenUp = toHold-amount, 0, false
	}
	return after
}

// answerRequest holds a request against the rules: after is the transaction as it will be when all of it is granted.
func (b *book) answerRequest(t *bookTransaction, after bookTransaction, asked *asking) prediction {
	reason := b.objection(t, &after, asked)
	if more := after.held - t.held; reason == 0 && more > 0 && more > b.room() {
		reason = typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT
	}
	switch {
	case reason != 0:
		return declined(t, reason)
	case asked.amount == 0:
		return prediction{verdict: verdict{outcome: typev1.Outcome_OUTCOME_VERIFIED, code: "85", transaction: t.id, held: after.held}}
	}
	return prediction{verdict: verdict{outcome: typev1.Outcome_OUTCOME_APPROVED, code: "00", transaction: t.id, approved: asked.amount, held: after.held}}
}

// authorizeCredit answers the wish to give money back. It moves nothing.
func (b *book) authorizeCredit(t *bookTransaction, asked *asking) prediction {
	answer := b.answerRequest(t, *t, asked)
	t.creditAsked += answer.verdict.approved
	if !t.asked() {
		t.outcome, t.credit = answer.verdict.outcome, true
	}
	return answer
}

// cardOf is the id of the card that a request names, empty where it names the account.
func (b *book) cardOf(id, number string) string {
	if number == "" {
		return id
	}
	return b.cards[slices.IndexFunc(b.cards, func(c *bookCard) bool { return c.number == number })].id
}

// asking is what a request is held against the rules with.
type asking struct {
	card       string
	amount, of int64 // what is asked for, and what the purchase comes to with it
	currency   string
	network    *typev1.NetworkMessage
	mode       typev1.EntryMode
	credit     bool // money is to be given back
	increment  bool
}

// objection is the reason of the first check that fails, in the documented order, but for the credit limit, which is the last.
func (b *book) objection(t, after *bookTransaction, p *asking) typev1.DeclineReason {
	if sent := p.network.GetTransmittedAt(); sent != nil && b.now.Sub(sent.AsTime()) > 45*24*time.Hour {
		return typev1.DeclineReason_DECLINE_REASON_STALE_MESSAGE
	}
	if reason := b.objectionOfState(p); reason != 0 {
		return reason
	}
	if !p.credit && b.anyControls(p.card, func(c *typev1.SpendingControls, card *bookCard) bool { return c.GetSingleUse() && b.usedFor(card, t) }) {
		return typev1.DeclineReason_DECLINE_REASON_SINGLE_USE_CARD_USED
	}
	if p.currency != "GBP" {
		return typev1.DeclineReason_DECLINE_REASON_CURRENCY_NOT_SUPPORTED
	}
	if reason := b.objectionOfMerchant(after, p); reason != 0 || p.credit {
		return reason
	}
	return b.objectionOfLimits(t, after, p)
}

func (b *book) objectionOfState(p *asking) typev1.DeclineReason {
	if reason := map[typev1.AccountState]typev1.DeclineReason{
		typev1.AccountState_ACCOUNT_STATE_SUSPENDED:   typev1.DeclineReason_DECLINE_REASON_ACCOUNT_SUSPENDED,
		typev1.AccountState_ACCOUNT_STATE_CHARGED_OFF: typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CHARGED_OFF,
		typev1.AccountState_ACCOUNT_STATE_CLOSED:      typev1.DeclineReason_DECLINE_REASON_ACCOUNT_CLOSED,
	}[b.state]; reason != 0 {
		return reason
	}
	c := b.card(p.card)
	switch {
	case c == nil:
	case c.state == typev1.CardState_CARD_STATE_INACTIVE && !p.increment && p.mode != typev1.EntryMode_ENTRY_MODE_ECOMMERCE &&
		p.mode != typev1.EntryMode_ENTRY_MODE_CREDENTIAL_ON_FILE:
		return typev1.DeclineReason_DECLINE_REASON_CARD_NOT_ACTIVATED
	case c.state == typev1.CardState_CARD_STATE_PAUSED:
		return typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED
	case c.state == typev1.CardState_CARD_STATE_LOST:
		return typev1.DeclineReason_DECLINE_REASON_CARD_LOST
	case c.state == typev1.CardState_CARD_STATE_STOLEN:
		return typev1.DeclineReason_DECLINE_REASON_CARD_STOLEN
	case c.state == typev1.CardState_CARD_STATE_CLOSED:
		return typev1.DeclineReason_DECLINE_REASON_CARD_CLOSED
	}
	return 0
}

// anyControls says whether something holds of the controls of the account, or of a card. The account's have no card.
func (b *book) anyControls(card string, holds func(*typev1.SpendingControls, *bookCard) bool) bool {
	c := b.card(card)
	return holds(b.controls, nil) || (c != nil && holds(c.controls, c))
}

// objectionOfMerchant holds a purchase against the lists of the profile and of the controls: country, then category, then the merchant itself.
func (b *book) objectionOfMerchant(t *bookTransaction, p *asking) typev1.DeclineReason {
	outside := func(value string, allowed, blocked []string) bool {
		return slices.Contains(blocked, value) || (len(allowed) > 0 && !slices.Contains(allowed, value))
	}
	if outside(t.country, nil, []string{cmp.Or(b.rules.blockedCountry, "none")}) ||
		b.anyControls(p.card, func(c *typev1.SpendingControls, _ *bookCard) bool {
			return outside(t.country, c.GetAllowedCountries(), c.GetBlockedCountries())
		}) {
		return typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED
	}
	if outside(t.mcc, nil, []string{cmp.Or(b.rules.blockedMCC, "none")}) ||
		b.anyControls(p.card, func(c *typev1.SpendingControls, _ *bookCard) bool {
			return outside(t.mcc, c.GetAllowedMccs(), c.GetBlockedMccs())
		}) {
		return typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED
	}
	if outside(t.merchant, nil, []string{cmp.Or(b.rules.blockedMerchant, "none")}) || b.anyControls(p.card, func(c *typev1.SpendingControls, card *bookCard) bool {
		locked := c.GetLockedMerchantId()
		if c.GetLockToFirstMerchant() {
			locked = b.firstMerchant(card)
		}
		return locked != "" && locked != t.merchant
	}) {
		return typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED
	}
	return 0
}

// objectionOfLimits holds a purchase against the limits of the controls: of one purchase, then of amounts in a time, then of the number of purchases.
func (b *book) objectionOfLimits(t, after *bookTransaction, p *asking) typev1.DeclineReason {
	if b.anyControls(p.card, func(c *typev1.SpendingControls, _ *bookCard) bool {
		return p.amount > 0 && c.GetMaxAmount() != nil && p.of > c.GetMaxAmount().GetMinorUnits()
	}) {
		return typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED
	}
	more, another := after.spent()-t.spent(), int32(0)
	if !t.purchased() && p.amount > 0 {
		another = 1
	}
	if b.anyLimit(p.card, func(limit *typev1.SpendingLimit, card *bookCard) bool {
		spent, _ := b.spent(limit, card)
		return limit.GetMaxAmount() != nil && more > 0 && within(t, limit, b.now) && spent+more > limit.GetMaxAmount().GetMinorUnits()
	}) {
		return typev1.DeclineReason_DECLINE_REASON_AMOUNT_LIMIT_EXCEEDED
	}
	if b.anyLimit(p.card, func(limit *typev1.SpendingLimit, card *bookCard) bool {
		_, count := b.spent(limit, card)
		return limit.GetMaxCount() > 0 && another > 0 && within(t, limit, b.now) && count+another > limit.GetMaxCount()
	}) {
		return typev1.DeclineReason_DECLINE_REASON_COUNT_LIMIT_EXCEEDED
	}
	return 0
}

func (b *book) anyLimit(card string, passed func(*typev1.SpendingLimit, *bookCard) bool) bool {
	return b.anyControls(card, func(c *typev1.SpendingControls, card *bookCard) bool {
		return slices.ContainsFunc(c.GetLimits(), func(limit *typev1.SpendingLimit) bool { return passed(limit, card) })
	})
}

// chain is a card and those that it replaces, one after the other; all cards where it is the account's.
func (b *book) chain(card *bookCard) (ids []string) {
	for ; card != nil; card = b.card(card.replaces) {
		ids = append(ids, card.id)
	}
	return ids
}

func (b *book) mine(t *bookTransaction, card *bookCard) bool {
	return card == nil || slices.Contains(b.chain(card), t.card)
}

// noteFirst notes the purchase among those that were granted, in the order in which they were.
func (b *book) noteFirst(t *bookTransaction) {
	if t.granted() && !slices.Contains(b.granted, t) {
		b.granted = append(b.granted, t)
	}
}

// firstMerchant is the merchant of the first purchase that was granted.
func (b *book) firstMerchant(card *bookCard) string {
	for _, t := range b.granted {
		if b.mine(t, card) {
			return t.merchant
		}
	}
	return ""
}

// usedFor says whether there is another purchase than this one.
func (b *book) usedFor(card *bookCard, this *bookTransaction) bool {
	return slices.ContainsFunc(b.transactions, func(t *bookTransaction) bool { return t != this && b.mine(t, card) && t.purchased() })
}

// spent is what is cleared and held of the purchases that began in a limit's time, and how many they are.
func (b *book) spent(limit *typev1.SpendingLimit, card *bookCard) (sum int64, count int32) {
	for _, t := range b.transactions {
		if b.mine(t, card) && within(t, limit, b.now) {
			sum += t.spent()
			if t.purchased() {
				count++
			}
		}
	}
	return sum, count
}

// within says whether a purchase began in a limit's time. What is exactly so many hours ago is outside.
func within(t *bookTransaction, limit *typev1.SpendingLimit, now time.Time) bool {
	if hours := limit.GetTrailingHours(); hours > 0 {
		return t.opened.After(now.Add(-time.Duration(hours) * time.Hour))
	}
	return !t.opened.Before(windowStart(limit, now))
}

func windowStart(limit *typev1.SpendingLimit, now time.Time) time.Time {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	switch limit.GetWindow() {
	case typev1.Window_WINDOW_DAY:
		return midnight
	case typev1.Window_WINDOW_WEEK:
		for midnight.Weekday() != time.Monday {
			midnight = midnight.AddDate(0, 0, -1)
		}
		return midnight
	case typev1.Window_WINDOW_MONTH:
		return midnight.AddDate(0, 0, 1-midnight.Day())
	case typev1.Window_WINDOW_YEAR:
		return time.Date(now.Year(), time.January, 1, 0, 0, 0, 0, time.UTC)
	case typev1.Window_WINDOW_LIFETIME:
	}
	return time.Time{}
}

// increment answers the wish to authorize more. What expired counts again, as far as it was not presented since.
func (b *book) increment(r *transactionsv1.IncrementAuthorizationRequest) prediction {
	t, amount := b.transaction(r.GetTransactionId()), r.GetAmount().GetMinorUnits()
	switch {
	case t == nil:
		return prediction{err: "NotFound TRANSACTION_NOT_FOUND"}
	case !t.granted() || t.final || t.givenUp:
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_AUTHORIZATION_NOT_OPEN)
	}
	after := *t
	after.held += max(0, amount-t.over()) + min(t.expired, max(0, t.authorized+t.surplus-t.reversed-t.cleared))
	after.authorized += amount
	after.expired = 0
	answer := b.answerRequest(t, after, &asking{card: t.card, amount: amount, of: after.authorized - after.reversed,
		currency: r.GetAmount().GetCurrencyCode(), network: r.GetNetwork(), increment: true})
	if answer.verdict.decline == 0 {
		*t = after
		if t.held > 0 {
			b.holdUntil(t, t.authorized)
		}
	}
	return answer
}

// advise takes the network's word for what is authorized. What was presented of it is not held again; after a completion nothing changes any more.
func (b *book) advise(r *transactionsv1.AdviseAuthorizationRequest) prediction {
	t, amount, completion := b.transaction(r.GetTransactionId()), r.GetAmount().GetMinorUnits(), r.GetKind() == typev1.AdviceKind_ADVICE_KIND_COMPLETION
	if t == nil {
		t = b.begin(r.GetTransactionId(), r.GetCardId(), r.GetMerchant())
	}
	if t.completed {
		if completion {
			return rejected(t, typev1.RejectionReason_REJECTION_REASON_COMPLETION_ALREADY_RECEIVED)
		}
		return recorded(t, amount)
	}
	if !t.granted() || (amount == 0 && !completion) {
		t.outcome = typev1.Outcome_OUTCOME_APPROVED
		if amount == 0 && !completion {
			t.outcome = typev1.Outcome_OUTCOME_DECLINED
		}
	}
	t.credit, t.givenUp, t.completed = false, false, completion
	t.authorized, t.surplus, t.reversed, t.expired, t.held = amount, 0, 0, 0, max(0, amount-t.cleared)
	if t.final {
		t.held = 0
	}
	if t.held > 0 {
		b.holdUntil(t, amount)
	}
	b.noteFirst(t)
	return recorded(t, amount)
}

// reverse releases all or part of a hold.
func (b *book) reverse(r *transactionsv1.ReverseAuthorizationRequest) prediction {
	t := b.transaction(r.GetTransactionId())
	switch {
	case t == nil:
		return prediction{err: "NotFound TRANSACTION_NOT_FOUND"}
	case !t.granted() && !t.credit:
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_AUTHORIZATION_NOT_OPEN)
	case t.held == 0:
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE)
	}
	released := t.held
	if r.GetAmount() != nil {
		released = min(released, r.GetAmount().GetMinorUnits())
	}
	t.held -= released
	t.reversed += released
	t.givenUp = t.held == 0
	answer := recorded(t, released)
	answer.verdict.capped = r.GetAmount().GetMinorUnits() > released
	return answer
}

// present posts a merchant's claim, whatever stands in its way.
func (b *book) present(r *transactionsv1.PresentRequest) prediction {
	amount := r.GetAmount().GetMinorUnits()
	t := b.transaction(r.GetTransactionId())
	if t == nil {
		t = b.begin(r.GetTransactionId(), b.cardOf(r.GetCardId(), r.GetCardNumber()), r.GetMerchant())
	}
	before := t.over()
	t.cleared += amount
	if t.held -= min(t.held, amount); !r.GetMoreToCome() {
		t.held, t.final = 0, true
	}
	b.presentments[r.GetPresentmentId()] = &bookFact{transaction: t, amount: amount}
	answer := recorded(t, amount)
	v := &answer.verdict
	v.unmatched, v.late, v.over = !t.asked(), t.expired > 0, t.over()-before
	if v.late {
		v.daysLate = int32(b.now.Sub(t.due) / (24 * time.Hour)) //nolint:gosec // a few hundred days at most
	}
	v.tolerated = v.over > 0 && t.over() <= b.rules.tolerated(t.mcc, max(0, t.authorized-t.reversed))
	return answer
}

func (b *book) takePresentmentBack(r *transactionsv1.ReversePresentmentRequest) prediction {
	fact := b.presentments[r.GetPresentmentId()]
	switch {
	case fact == nil:
		return prediction{err: "NotFound PRESENTMENT_NOT_FOUND"}
	case fact.takenBack:
		return rejected(fact.transaction, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE)
	}
	fact.takenBack = true
	fact.transaction.cleared -= fact.amount
	fact.transaction.takenBack += fact.amount
	return recorded(fact.transaction, fact.amount)
}

// refund posts what a merchant gives back.
func (b *book) refund(r *transactionsv1.RefundRequest) prediction {
	amount := r.GetAmount().GetMinorUnits()
	t := b.transaction(r.GetTransactionId())
	unmatched := t == nil
	if unmatched {
		t = b.begin(r.GetTransactionId(), b.cardOf(r.GetCardId(), r.GetCardNumber()), r.GetMerchant())
	}
	t.refunded += amount
	b.refunds[r.GetRefundId()] = &bookFact{transaction: t, amount: amount}
	answer := recorded(t, amount)
	answer.verdict.unmatched = unmatched
	return answer
}

func (b *book) takeRefundBack(r *transactionsv1.ReverseRefundRequest) prediction {
	fact := b.refunds[r.GetRefundId()]
	switch {
	case fact == nil:
		return prediction{err: "NotFound REFUND_NOT_FOUND"}
	case fact.takenBack:
		return rejected(fact.transaction, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE)
	}
	fact.takenBack = true
	fact.transaction.refunded -= fact.amount
	fact.transaction.refundsBack += fact.amount
	return recorded(fact.transaction, fact.amount)
}

// creditDispute credits what was cleared and not given back yet, and no more.
func (b *book) creditDispute(r *transactionsv1.CreditDisputeRequest) prediction {
	amount := r.GetAmount().GetMinorUnits()
	t := b.transaction(r.GetTransactionId())
	switch {
	case t == nil:
		return prediction{err: "NotFound TRANSACTION_NOT_FOUND"}
	case amount > t.cleared-t.refunded-t.disputed:
		b.disputes[r.GetDisputeId()] = &bookFact{transaction: t}
		return rejected(t, typev1.RejectionReason_REJECTION_REASON_AMOUNT_EXCEEDS_CLEARED)
	}
	t.disputed += amount
	b.disputes[r.GetDisputeId()] = &bookFact{transaction: t, amount: amount}
	return recorded(t, amount)
}

func (b *book) takeDisputeCreditBack(r *transactionsv1.ReverseDisputeCreditRequest) prediction {
	fact := b.disputes[r.GetDisputeId()]
	if fact == nil {
		return prediction{err: "NotFound DISPUTE_NOT_FOUND"}
	}
	if fact.amount == 0 {
		return rejected(fact.transaction, typev1.RejectionReason_REJECTION_REASON_NOTHING_TO_REVERSE)
	}
	amount := fact.amount
	if r.GetAmount() != nil {
		amount = min(amount, r.GetAmount().GetMinorUnits())
	}
	fact.transaction.disputed -= amount
	answer := recorded(fact.transaction, amount)
	answer.verdict.capped = r.GetAmount().GetMinorUnits() > amount
	return answer
}

// words are what a prediction says, for people.
func (p prediction) words() string {
	if p.err != "" {
		return p.err
	}
	v := p.verdict
	words := fmt.Sprintf("%s of %s: approved %d, held %d, over %d", v.word(), v.transaction, v.approved, v.held, v.over)
	for _, mark := range v.marks(p.duplicate) {
		words += ", " + mark
	}
	if v.daysLate != 0 {
		words += fmt.Sprintf(" by %d days", v.daysLate)
	}
	return words + fmt.Sprintf(" | limit %d posted %d pending %d withheld %d available %d", v.limit, v.posted, v.pending, v.withheld, v.available)
}

// word is how the command ended: DECLINED INSUFFICIENT_CREDIT.
func (v verdict) word() string {
	word := strings.TrimPrefix(v.outcome.String(), "OUTCOME_")
	if v.decline != 0 {
		word += " " + strings.TrimPrefix(v.decline.String(), "DECLINE_REASON_")
	}
	if v.rejection != 0 {
		word += " " + strings.TrimPrefix(v.rejection.String(), "REJECTION_REASON_")
	}
	return word
}

// marks are what is special about it.
func (v verdict) marks(duplicate bool) (marks []string) {
	for _, mark := range []struct {
		word string
		is   bool
	}{{"tolerated", v.tolerated}, {"late", v.late}, {"unmatched", v.unmatched}, {"capped", v.capped}, {"duplicate", duplicate}} {
		if mark.is {
			marks = append(marks, mark.word)
		}
	}
	return marks
}
