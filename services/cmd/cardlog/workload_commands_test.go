package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// act sends one random command.
func (c *shopper) act(ctx context.Context) error {
	if remedy := c.remedy(); remedy != nil && c.chance(3) {
		return remedy(ctx)
	}
	acts := []struct {
		weight int
		act    func(context.Context) error
	}{
		{30, c.tryAuthorize}, {7, c.tryIncrement}, {7, c.tryAdvise}, {10, c.tryReverse}, {18, c.tryPresent}, {4, c.tryReversePresentment},
		{6, c.tryRefund}, {3, c.tryReverseRefund}, {4, c.tryCreditDispute}, {3, c.tryReverseDisputeCredit},
		{6, c.repeat}, {3, c.conflict}, {4, c.repeatMessage},
		{6, c.pay}, {3, c.releasePayment}, {2, c.cancelPayment}, {4, c.returnPayment},
		{2, c.changeLimit}, {3, c.changeState}, {4, c.changeCard}, {1, c.replaceCard}, {3, c.changeControls},
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	dice := c.random.IntN(total)
	for _, a := range acts {
		if dice -= a.weight; dice < 0 {
			return a.act(ctx)
		}
	}
	return nil
}

// remedy is what makes purchases possible again, where they are not: else most would be declined for the same reason.
func (c *shopper) remedy() func(context.Context) error {
	usable := func(card *bookCard) bool { return card.state == typev1.CardState_CARD_STATE_ACTIVE }
	switch {
	case c.state == typev1.AccountState_ACCOUNT_STATE_CLOSED:
		return nil
	case c.state != typev1.AccountState_ACCOUNT_STATE_OPEN:
		return c.changeState
	case !slices.ContainsFunc(c.cards[max(0, len(c.cards)-4):], usable):
		return c.issueCard
	case c.available() <= 0:
		return c.changeLimit
	}
	return nil
}

// one draws one of several values.
func one[T any](c *shopper, values ...T) T { return values[c.random.IntN(len(values))] }

// chance is true once in so many times.
func (c *shopper) chance(once int) bool { return c.random.IntN(once) == 0 }

// name makes a new id.
func (c *shopper) name(kind string) string {
	c.names++
	return fmt.Sprintf("%s-%d", kind, c.names)
}

// some draws a transaction, a recent one more often; rarely one that is not there.
func (c *shopper) some() string {
	switch count := len(c.transactions); {
	case count == 0 || c.chance(30):
		return c.name("unknown")
	case c.chance(3):
		return c.transactions[c.random.IntN(count)].id
	default:
		return c.transactions[count-1-c.random.IntN(min(count, 6))].id
	}
}

// amount draws an amount, often one at an edge: of what is available, or of a transaction.
func (c *shopper) amount(of string) *typev1.Money {
	if t := c.transaction(of); t != nil && c.chance(2) {
		return pounds(max(1, one(c, t.held, t.cleared, t.authorized, t.held/2, t.cleared-t.refunded-t.disputed)+one[int64](c, -1, 0, 0, 1)))
	}
	if c.chance(6) {
		return pounds(max(1, one(c, c.room(), c.available())+one[int64](c, -1, 0, 1)))
	}
	return pounds(one(c, 1+c.random.Int64N(100), 1+c.random.Int64N(20_000), 100*(1+c.random.Int64N(80))))
}

func (c *shopper) merchant() *typev1.Merchant {
	m := &typev1.Merchant{Name: "Somewhere", MerchantId: one(c, "shop-1", "shop-1", "shop-2", "shop-3"), Mcc: one(c, "5411", "5411", "5812", "5542",
		"7011"), CountryCode: one(c, "GB", "GB", "GB", "FR")}
	if c.chance(20) {
		m.Mcc = "7995"
	}
	if c.chance(20) {
		m.MerchantId = "bad-1"
	}
	if c.chance(20) {
		m.CountryCode = "KP"
	}
	return m
}

// message is the network's message; nil where a command came by none.
func (c *shopper) message() *typev1.NetworkMessage {
	if c.chance(2) {
		return nil
	}
	c.names++
	sent := c.now.Add(-time.Duration(c.random.IntN(7200)) * time.Second)
	if c.chance(40) {
		sent = c.now.Add(-46 * 24 * time.Hour)
	}
	return &typev1.NetworkMessage{Network: "testnet", AcquirerId: "acquirer-1", Stan: fmt.Sprintf("%06d", c.names%1_000_000),
		Rrn: fmt.Sprintf("%012d", c.names), TransmittedAt: timestamppb.New(sent)}
}

func (c *shopper) anyCard() *bookCard {
	return c.cards[len(c.cards)-1-c.random.IntN(min(len(c.cards), 4))]
}

func (c *shopper) tryAuthorize(ctx context.Context) error {
	r := &transactionsv1.AuthorizeRequest{TransactionId: c.name("t"), Merchant: c.merchant(), Network: c.message(), PartialApprovalAllowed: c.chance(3),
		PreAuthorization: c.chance(5), Refund: c.chance(12), EntryMode: one(c, typev1.EntryMode_ENTRY_MODE_CHIP,
			typev1.EntryMode_ENTRY_MODE_ECOMMERCE, typev1.EntryMode_ENTRY_MODE_UNSPECIFIED)}
	if t := c.transaction(c.some()); t != nil && t.outcome == 0 {
		r.TransactionId = t.id // its presentment or refund came before it
	}
	r.Amount = c.amount(r.GetTransactionId())
	switch {
	case c.chance(15):
		r.Amount = pounds(0)
	case c.chance(40):
		r.Amount.CurrencyCode = "EUR"
	}
	switch card := c.anyCard(); c.random.IntN(8) {
	case 0:
		r.Account = &transactionsv1.AuthorizeRequest_AccountId{AccountId: c.id}
	case 1:
		r.Account = &transactionsv1.AuthorizeRequest_CardNumber{CardNumber: card.number}
	default:
		r.Account = &transactionsv1.AuthorizeRequest_CardId{CardId: card.id}
	}
	return c.try(ctx, r)
}

func (c *shopper) tryIncrement(ctx context.Context) error {
	id := c.some()
	return c.try(ctx, &transactionsv1.IncrementAuthorizationRequest{Account: &transactionsv1.IncrementAuthorizationRequest_AccountId{AccountId: c.id},
		TransactionId: id, IncrementId: c.name("i"), Amount: c.amount(""), Network: c.message()})
}

func (c *shopper) tryAdvise(ctx context.Context) error {
	id := c.some()
	r := &transactionsv1.AdviseAuthorizationRequest{Account: &transactionsv1.AdviseAuthorizationRequest_AccountId{AccountId: c.id}, TransactionId: id,
		AdviceId: c.name("a"),
		Amount:   c.amount(id), Kind: one(c, typev1.AdviceKind_ADVICE_KIND_STAND_IN,
			typev1.AdviceKind_ADVICE_KIND_COMPLETION), Merchant: c.merchant(), Network: c.message()}
	if c.chance(2) {
		r.Account = &transactionsv1.AdviseAuthorizationRequest_CardId{CardId: c.anyCard().id}
	}
	if c.chance(6) {
		r.Amount = pounds(0)
	}
	return c.try(ctx, r)
}

func (c *shopper) tryReverse(ctx context.Context) error {
	id := c.some()
	r := &transactionsv1.ReverseAuthorizationRequest{Account: &transactionsv1.ReverseAuthorizationRequest_AccountId{AccountId: c.id},
		TransactionId: id, ReversalId: c.name("r"), Network: c.message()}
	if !c.chance(3) {
		r.Amount = c.amount(id)
	}
	return c.try(ctx, r)
}

func (c *shopper) tryPresent(ctx context.Context) error {
	r := &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardId{CardId: c.anyCard().id}, TransactionId: c.some(), PresentmentId: c.name("p"),
		MoreToCome: c.chance(3), Merchant: c.merchant()}
	r.Amount = c.amount(r.GetTransactionId())
	switch c.random.IntN(10) {
	case 0:
		r.TransactionId = "" // a force post
	case 1:
		r.TransactionId = c.name("t") // before its authorization
	case 2:
		r.Account = &transactionsv1.PresentRequest_AccountId{AccountId: c.id}
	}
	return c.try(ctx, r)
}

// drawn draws the id of a fact, in the order in which they were told; rarely one that is not there.
func (c *shopper) drawn(kind string) string {
	var ids []string
	for _, request := range c.sent {
		switch r := request.(type) {
		case *transactionsv1.PresentRequest:
			if kind == "p" {
				ids = append(ids, r.GetPresentmentId())
			}
		case *transactionsv1.RefundRequest:
			if kind == "f" {
				ids = append(ids, r.GetRefundId())
			}
		case *transactionsv1.CreditDisputeRequest:
			if kind == "d" {
				ids = append(ids, r.GetDisputeId())
			}
		}
	}
	if len(ids) == 0 || c.chance(30) {
		return "unknown-" + kind
	}
	return ids[len(ids)-1-c.random.IntN(min(len(ids), 8))]
}

func (c *shopper) tryReversePresentment(ctx context.Context) error {
	return c.try(ctx, &transactionsv1.ReversePresentmentRequest{Account: &transactionsv1.ReversePresentmentRequest_AccountId{AccountId: c.id},
		PresentmentId: c.drawn("p"), ReversalId: c.name("pr")})
}

func (c *shopper) tryRefund(ctx context.Context) error {
	r := &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_CardId{CardId: c.anyCard().id}, TransactionId: c.some(),
		RefundId: c.name("f"), Merchant: c.merchant()}
	r.Amount = c.amount(r.GetTransactionId())
	if c.chance(6) {
		r.TransactionId = ""
	}
	return c.try(ctx, r)
}

func (c *shopper) tryReverseRefund(ctx context.Context) error {
	return c.try(ctx, &transactionsv1.ReverseRefundRequest{Account: &transactionsv1.ReverseRefundRequest_AccountId{AccountId: c.id},
		RefundId: c.drawn("f"), ReversalId: c.name("fr")})
}

func (c *shopper) tryCreditDispute(ctx context.Context) error {
	id := c.some()
	return c.try(ctx, &transactionsv1.CreditDisputeRequest{Account: &transactionsv1.CreditDisputeRequest_AccountId{AccountId: c.id},
		DisputeId: c.name("d"), TransactionId: id, Amount: c.amount(id)})
}

func (c *shopper) tryReverseDisputeCredit(ctx context.Context) error {
	r := &transactionsv1.ReverseDisputeCreditRequest{Account: &transactionsv1.ReverseDisputeCreditRequest_AccountId{AccountId: c.id}, DisputeId: c.drawn("d")}
	if c.chance(2) {
		r.Amount = c.amount("")
	}
	return c.try(ctx, r)
}

// earlier draws a command that was answered before.
func (c *shopper) earlier() proto.Message {
	if len(c.sent) == 0 {
		return nil
	}
	return proto.Clone(c.sent[len(c.sent)-1-c.random.IntN(min(len(c.sent), 60))])
}

// repeat sends an earlier command again.
func (c *shopper) repeat(ctx context.Context) error {
	if request := c.earlier(); request != nil {
		return c.try(ctx, request)
	}
	return nil
}

// conflict sends other content under the id of an earlier command.
func (c *shopper) conflict(ctx context.Context) error {
	request := c.earlier()
	switch r := request.(type) {
	case *transactionsv1.AuthorizeRequest:
		r.Amount.MinorUnits++
	case *transactionsv1.PresentRequest:
		r.MoreToCome = !r.GetMoreToCome()
	case *transactionsv1.RefundRequest:
		r.Amount.MinorUnits++
	case *transactionsv1.ReverseAuthorizationRequest:
		r.Amount = pounds(r.GetAmount().GetMinorUnits() + 1)
	case *transactionsv1.IncrementAuthorizationRequest:
		r.Amount.MinorUnits++
	case *transactionsv1.AdviseAuthorizationRequest:
		r.Kind = typev1.AdviceKind_ADVICE_KIND_STAND_IN + typev1.AdviceKind_ADVICE_KIND_COMPLETION - r.GetKind()
	case *transactionsv1.CreditDisputeRequest:
		r.Amount.MinorUnits++
	default:
		return nil
	}
	return c.try(ctx, request)
}

// repeatMessage sends the network's message of an earlier command again, under another id.
func (c *shopper) repeatMessage(ctx context.Context) error {
	request := c.earlier()
	if request == nil {
		return nil
	}
	if _, _, network := identity(request); network.GetStan() == "" || c.now.Sub(network.GetTransmittedAt().AsTime()) > 40*24*time.Hour {
		return nil
	}
	switch r := request.(type) {
	case *transactionsv1.AuthorizeRequest:
		r.TransactionId = c.name("again")
	case *transactionsv1.IncrementAuthorizationRequest:
		r.IncrementId = c.name("again")
	case *transactionsv1.AdviseAuthorizationRequest:
		r.AdviceId = c.name("again")
	case *transactionsv1.ReverseAuthorizationRequest:
		r.ReversalId = c.name("again")
	}
	return c.try(ctx, request)
}

// refusal compares an error with the one that the model has; "" for none.
func (c *shopper) refusal(err error, want string) error {
	got := refusalWords(err)
	c.history = append(c.history, "  "+got)
	if got != want {
		return fmt.Errorf("the answer is %q, the model has %q", got, want)
	}
	if got != "" {
		c.seen[got]++
	}
	return nil
}

func (c *shopper) pay(ctx context.Context) error {
	r := &paymentsv1.SubmitPaymentRequest{AccountId: c.id, PaymentId: c.name("pay"), Amount: pounds(max(1, one(c, c.posted()+c.pending(), c.posted(),
		c.random.Int64N(60_000))+one[int64](c, -1, 0, 1))),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: one(c, "bank-1", "bank-2", "bank-3")}}
	c.note(r)
	want := c.submit(r)
	answer, err := c.money.SubmitPayment(ctx, r)
	if err != nil {
		return err
	}
	if got := statusWords(answer.GetPayment()); got != want.words() {
		return fmt.Errorf("the payment is %s, the model has %s", got, want.words())
	}
	c.seen["payment "+strings.TrimPrefix(answer.GetPayment().GetStatus().String(), "PAYMENT_STATUS_")]++
	again, err := c.money.SubmitPayment(ctx, r)
	if err != nil || !again.GetDuplicate() || again.GetSequence() != answer.GetSequence() {
		return fmt.Errorf("submitted again, the payment is %v (%w)", again, err)
	}
	return nil
}

// somePayment draws a payment.
func (c *shopper) somePayment() (string, *bookPayment) {
	if len(c.payments) == 0 || c.chance(20) {
		return "unknown", nil
	}
	p := c.payments[len(c.payments)-1-c.random.IntN(min(len(c.payments), 4))]
	return p.id, p
}

func (c *shopper) releasePayment(ctx context.Context) error {
	id, p := c.somePayment()
	r := &paymentsv1.ReleasePaymentRequest{AccountId: c.id, PaymentId: id}
	c.note(r)
	_, err := c.money.ReleasePayment(ctx, r)
	return c.refusal(err, c.release(p))
}

func (c *shopper) cancelPayment(ctx context.Context) error {
	id, p := c.somePayment()
	r := &paymentsv1.CancelPaymentRequest{AccountId: c.id, PaymentId: id}
	c.note(r)
	_, err := c.money.CancelPayment(ctx, r)
	return c.refusal(err, c.cancel(p))
}

func (c *shopper) returnPayment(ctx context.Context) error {
	id, p := c.somePayment()
	r := &paymentsv1.ReturnPaymentRequest{AccountId: c.id, PaymentId: id, ReturnCode: one(c, "R01", "R02", "R09", "R10", "R31")}
	c.note(r)
	_, err := c.money.ReturnPayment(ctx, r)
	return c.refusal(err, c.sendBack(p, r.GetReturnCode()))
}

// closedAccount is the refusal of a change of a closed account.
func (c *shopper) closedAccount() string {
	if c.state == typev1.AccountState_ACCOUNT_STATE_CLOSED {
		return "FailedPrecondition ACCOUNT_CLOSED"
	}
	return ""
}

func (c *shopper) changeLimit(ctx context.Context) error {
	r := &accountsv1.UpdateCreditLimitRequest{AccountId: c.id, CreditLimit: pounds(one[int64](c, 0, 30_000, 60_000, 100_000, 250_001))}
	if c.available() <= 0 {
		r.CreditLimit = pounds(max(0, c.posted()+c.pending()+c.withheld()) + one[int64](c, 500, 20_000, 60_000))
	}
	c.note(r)
	want := c.closedAccount()
	if want == "" {
		c.limit = r.GetCreditLimit().GetMinorUnits()
	}
	_, err := c.bank.UpdateCreditLimit(ctx, r)
	return c.refusal(err, want)
}

// changeState sets the account's state, most often to open; near the end of its life it is closed for good.
func (c *shopper) changeState(ctx context.Context) error {
	const open = typev1.AccountState_ACCOUNT_STATE_OPEN
	r := &accountsv1.SetAccountStateRequest{AccountId: c.id, State: one(c, open, open, typev1.AccountState_ACCOUNT_STATE_SUSPENDED,
		typev1.AccountState_ACCOUNT_STATE_CHARGED_OFF)}
	if c.state != open && c.state != typev1.AccountState_ACCOUNT_STATE_CLOSED {
		r.State = open
	}
	if c.count > shopperLife*3/4 {
		r.State = typev1.AccountState_ACCOUNT_STATE_CLOSED
	}
	c.note(r)
	want := c.closedAccount()
	if want == "" {
		c.state = r.GetState()
	}
	_, err := c.bank.SetAccountState(ctx, r)
	return c.refusal(err, want)
}

// replaced says by which card another one was replaced; empty where it was not.
func (b *book) replacedBy(id string) string {
	for _, c := range b.cards {
		if c.replaces == id {
			return c.id
		}
	}
	return ""
}

// stopped is the refusal of a change of a card; one that was replaced can be closed all the same.
func (c *shopper) stopped(card *bookCard, closing bool) string {
	switch {
	case card.state == typev1.CardState_CARD_STATE_CLOSED:
		return "FailedPrecondition CARD_CLOSED"
	case c.replacedBy(card.id) != "" && !closing:
		return "FailedPrecondition CARD_REPLACED"
	}
	return ""
}

// changeCard sets a card's state, also in a closed account: a card can be stolen all the same.
func (c *shopper) changeCard(ctx context.Context) error {
	card := c.anyCard()
	const active = typev1.CardState_CARD_STATE_ACTIVE
	r := &accountsv1.SetCardStateRequest{AccountId: c.id, CardId: card.id, State: one(c, active, active, active, typev1.CardState_CARD_STATE_INACTIVE,
		typev1.CardState_CARD_STATE_PAUSED,
		typev1.CardState_CARD_STATE_LOST, typev1.CardState_CARD_STATE_STOLEN)}
	if c.chance(20) {
		r.State = typev1.CardState_CARD_STATE_CLOSED
	}
	c.note(r)
	want := c.stopped(card, r.GetState() == typev1.CardState_CARD_STATE_CLOSED)
	if want == "" {
		card.state = r.GetState()
	}
	_, err := c.bank.SetCardState(ctx, r)
	return c.refusal(err, want)
}

func (c *shopper) issueCard(ctx context.Context) error {
	r := &accountsv1.IssueCardRequest{AccountId: c.id, CardId: c.id + "-" + c.name("card"), Activate: true}
	c.note(r)
	answer, err := c.bank.IssueCard(ctx, r)
	if err == nil {
		c.cards = append(c.cards, &bookCard{id: r.GetCardId(), number: answer.GetCardNumber(), state: typev1.CardState_CARD_STATE_ACTIVE})
	}
	return c.refusal(err, c.closedAccount())
}

// replaceCard puts a card in another's place, or issues another one.
func (c *shopper) replaceCard(ctx context.Context) error {
	if c.chance(3) {
		return c.issueCard(ctx)
	}
	card := c.anyCard()
	r := &accountsv1.ReplaceCardRequest{AccountId: c.id, CardId: card.id, NewCardId: c.id + "-" + c.name("card")}
	c.note(r)
	want := cmp.Or(c.closedAccount(), c.stopped(card, false))
	answer, err := c.bank.ReplaceCard(ctx, r)
	if err == nil && want == "" {
		c.cards = append(c.cards, &bookCard{id: r.GetNewCardId(), number: answer.GetCardNumber(), replaces: card.id, controls: card.controls,
			state: typev1.CardState_CARD_STATE_ACTIVE})
		if card.state != typev1.CardState_CARD_STATE_LOST && card.state != typev1.CardState_CARD_STATE_STOLEN {
			card.state = typev1.CardState_CARD_STATE_CLOSED
		}
	}
	return c.refusal(err, want)
}

// changeControls sets the controls of a card or of the account, and takes them off as often.
func (c *shopper) changeControls(ctx context.Context) error {
	r := &accountsv1.SetSpendingControlsRequest{AccountId: c.id}
	if !c.chance(2) {
		r.Controls = c.controlsDrawn()
	}
	want, of := c.closedAccount(), &c.controls
	if c.chance(2) {
		card := c.anyCard()
		r.CardId, want, of = card.id, cmp.Or(c.closedAccount(), c.stopped(card, false)), &card.controls
	}
	c.note(r)
	if want == "" {
		*of = r.GetControls()
	}
	_, err := c.bank.SetSpendingControls(ctx, r)
	return c.refusal(err, want)
}

func (c *shopper) controlsDrawn() *typev1.SpendingControls {
	controls := &typev1.SpendingControls{}
	switch c.random.IntN(7) {
	case 0:
		controls.MaxAmount = pounds(one[int64](c, 100, 5000, 12_000))
	case 1:
		controls.AllowedMccs = []string{"5411", "5812", "5542"}
	case 2:
		controls.BlockedMccs, controls.BlockedCountries = []string{"5542"}, []string{"FR"}
	case 3:
		controls.AllowedCountries, controls.LockedMerchantId = []string{"GB"}, one(c, "shop-1", "shop-2")
	case 4:
		controls.LockToFirstMerchant = true
	case 5:
		controls.SingleUse = true
	}
	for range c.random.IntN(3) {
		limit := &typev1.SpendingLimit{Period: &typev1.SpendingLimit_Window{Window: typev1.Window(1 + c.random.Int32N(5))}}
		if c.chance(3) {
			limit.Period = &typev1.SpendingLimit_TrailingHours{TrailingHours: one[int32](c, 1, 24, 100, 744)}
		}
		if c.chance(2) {
			limit.MaxCount = one[int32](c, 1, 5, 30)
		}
		if limit.GetMaxCount() == 0 || c.chance(2) {
			limit.MaxAmount = pounds(one[int64](c, 5000, 20_000, 100_000))
		}
		controls.Limits = append(controls.Limits, limit)
	}
	return controls
}
