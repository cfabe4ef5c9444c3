package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// TestFactsInAnyOrderPostTheSame tells the same facts to several accounts, to each in another order and some of them twice: presentments before their
// authorizations, reversals before both. Whatever the requests among them were answered, in the end the same is owed.
func TestFactsInAnyOrderPostTheSame(t *testing.T) {
	t.Parallel()
	seed := *workloadSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with: -workload.seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	b, _ := startBank(t, testConfig(t))
	for set := range 4 {
		facts, posted := drawFacts(dice)
		for order := range 4 {
			account := fmt.Sprintf("set-%d-order-%d", set, order)
			b.openForOrders(account)
			dice.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
			told := b.tellAll(account, facts)
			if got, _, _ := b.balances(account); got != posted {
				t.Fatalf("-workload.seed %d: %s owes %d, want %d, after\n%v", seed, account, got, posted, told)
			}
		}
	}
}

// fact is a message about an account. One that is told too early (what it takes back is not there yet) is told again later, as any sender does.
type fact struct {
	name string
	tell func(ctx context.Context, b *bank, account string) error
}

// drawFacts draws the lives of several purchases and payments, and says what is owed when all is told.
func drawFacts(dice *rand.Rand) (facts []fact, posted int64) {
	amount := func() int64 { return 1 + dice.Int64N(30_000) }
	for i := range 8 {
		id := fmt.Sprintf("t%d", i)
		facts = append(facts, authorization(id, amount(), dice.IntN(3) == 0), reversal(id, 1+dice.Int64N(5000)), increment(id, 1+dice.Int64N(5000)),
			advice(id, amount()))
		for part := range 1 + dice.IntN(3) {
			claimed := amount()
			posted += claimed
			claim := fmt.Sprintf("%s-claim-%d", id, part)
			facts = append(facts, presentment(id, claim, claimed, dice.IntN(2) == 0))
			if dice.IntN(4) == 0 {
				posted -= claimed
				facts = append(facts, presentmentTakenBack(claim))
			}
		}
		if dice.IntN(2) == 0 {
			given := amount()
			posted -= given
			facts = append(facts, refundOf(id, given))
			if dice.IntN(2) == 0 {
				posted += given
				facts = append(facts, refundTakenBack(id))
			}
		}
	}
	for i := range 3 {
		paid := 1 + dice.Int64N(20_000)
		posted -= paid
		facts = append(facts, paymentOf(i, paid))
		if dice.IntN(2) == 0 {
			posted += paid
			facts = append(facts, paymentBack(i))
		}
	}
	for range 6 {
		facts = append(facts, facts[dice.IntN(len(facts))]) // told twice
	}
	return facts, posted
}

func authorization(id string, amount int64, partly bool) fact {
	return fact{"authorize " + id, func(ctx context.Context, b *bank, account string) error {
		_, err := b.Authorize(ctx, &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_AccountId{AccountId: account},
			TransactionId: id, Amount: pounds(amount),
			Merchant: shop(), PartialApprovalAllowed: partly})
		return err
	}}
}

func increment(id string, amount int64) fact {
	return fact{"increment " + id, func(ctx context.Context, b *bank, account string) error {
		_, err := b.IncrementAuthorization(ctx,
			&transactionsv1.IncrementAuthorizationRequest{Account: &transactionsv1.IncrementAuthorizationRequest_AccountId{AccountId: account},
				TransactionId: id, IncrementId: id + "-more", Amount: pounds(amount)})
		return err
	}}
}

func advice(id string, amount int64) fact {
	return fact{"advise " + id, func(ctx context.Context, b *bank, account string) error {
		_, err := b.AdviseAuthorization(ctx,
			&transactionsv1.AdviseAuthorizationRequest{Account: &transactionsv1.AdviseAuthorizationRequest_AccountId{AccountId: account},
				TransactionId: id, AdviceId: id + "-advice", Amount: pounds(amount), Kind: typev1.AdviceKind_ADVICE_KIND_STAND_IN})
		return err
	}}
}

func reversal(id string, amount int64) fact {
	return fact{"reverse " + id, func(ctx context.Context, b *bank, account string) error {
		_, err := b.ReverseAuthorization(ctx,
			&transactionsv1.ReverseAuthorizationRequest{Account: &transactionsv1.ReverseAuthorizationRequest_AccountId{AccountId: account},
				TransactionId: id, ReversalId: id + "-less", Amount: pounds(amount)})
		return err
	}}
}

func presentment(id, claim string, amount int64, more bool) fact {
	return fact{"present " + claim, func(ctx context.Context, b *bank, account string) error {
		_, err := b.Present(ctx, &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_AccountId{AccountId: account},
			TransactionId: id, PresentmentId: claim, Amount: pounds(amount), MoreToCome: more})
		return err
	}}
}

func presentmentTakenBack(claim string) fact {
	return fact{"take back " + claim, func(ctx context.Context, b *bank, account string) error {
		_, err := b.ReversePresentment(ctx,
			&transactionsv1.ReversePresentmentRequest{Account: &transactionsv1.ReversePresentmentRequest_AccountId{AccountId: account},
				PresentmentId: claim, ReversalId: claim + "-back"})
		return err
	}}
}

func refundOf(id string, amount int64) fact {
	return fact{"refund " + id, func(ctx context.Context, b *bank, account string) error {
		_, err := b.Refund(ctx, &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_AccountId{AccountId: account}, TransactionId: id,
			RefundId: id + "-refund", Amount: pounds(amount)})
		return err
	}}
}

func refundTakenBack(id string) fact {
	return fact{"take back the refund of " + id, func(ctx context.Context, b *bank, account string) error {
		_, err := b.ReverseRefund(ctx, &transactionsv1.ReverseRefundRequest{Account: &transactionsv1.ReverseRefundRequest_AccountId{AccountId: account},
			RefundId: id + "-refund", ReversalId: id + "-refund-back"})
		return err
	}}
}

func paymentOf(i int, amount int64) fact {
	return fact{fmt.Sprint("pay ", i), func(ctx context.Context, b *bank, account string) error {
		_, err := paymentsv1.NewPaymentsServiceClient(b.connection).SubmitPayment(ctx, &paymentsv1.SubmitPaymentRequest{AccountId: account,
			PaymentId: fmt.Sprint("pay-", i), Amount: pounds(amount),
			Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_SAVINGS, SourceId: "bank-1"}})
		return err
	}}
}

func paymentBack(i int) fact {
	return fact{fmt.Sprint("payment back ", i), func(ctx context.Context, b *bank, account string) error {
		_, err := paymentsv1.NewPaymentsServiceClient(b.connection).ReturnPayment(ctx, &paymentsv1.ReturnPaymentRequest{AccountId: account,
			PaymentId:  fmt.Sprint("pay-", i),
			ReturnCode: "R01", RequestId: fmt.Sprint("return-", i)})
		return err
	}}
}

// openForOrders opens an account that takes payments whatever is owed, and reviews none.
func (b *bank) openForOrders(account string) {
	b.t.Helper()
	must(b.OpenAccount(b.t.Context(), &accountsv1.OpenAccountRequest{AccountId: account, Holder: someHolder("Ordella Any"),
		CreditLimit: pounds(60_000), RulesProfile: "replay"}))(b.t)
}

// tellAll tells an account facts until it has heard all of them, and returns in which order it took them.
func (b *bank) tellAll(account string, facts []fact) (told []string) {
	b.t.Helper()
	for left := slices.Clone(facts); len(left) > 0; {
		var early []fact
		for _, f := range left {
			switch err := f.tell(b.t.Context(), b, account); status.Code(err) {
			case codes.OK:
				told = append(told, f.name)
			case codes.NotFound:
				early = append(early, f)
			default:
				b.t.Fatalf("%s: %s: %v", account, f.name, err)
			}
		}
		if len(early) == len(left) {
			b.t.Fatalf("%s: nobody takes %s, after %v", account, early[0].name, told)
		}
		left = early
	}
	return told
}
