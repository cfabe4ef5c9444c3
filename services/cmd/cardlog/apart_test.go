package main

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// becomes waits until an account's balances are these, in pence: posted, pending, available.
func (b *bank) becomes(account string, posted, pending, available int64) {
	b.t.Helper()
	want := fmt.Sprint(posted, pending, available)
	eventually(b.t, account+"'s balances become "+want, func() error {
		answer, err := b.GetBalance(b.t.Context(), &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: account}})
		if err == nil && balanceWords(answer.GetBalances()) != want {
			err = fmt.Errorf("they are %s", balanceWords(answer.GetBalances()))
		}
		return err
	})
}

// paysOff pays as soon as payments knows that so much is owed: in another process it learns of it a moment later.
func (b *bank) paysOff(account string, pence int64) {
	b.t.Helper()
	attempt := 0
	eventually(b.t, "payments knows what is owed", func() error {
		attempt++
		paid, err := b.pay(b.t.Context(), account, fmt.Sprint("attempt-", attempt), pence)
		if err == nil && paymentWords(paid) != "SUBMITTED" {
			err = fmt.Errorf("the payment is %s", paymentWords(paid))
		}
		return err
	})
}

func TestWhatHappensWhileTransactionsIsDownIsAppliedWhenItReturns(t *testing.T) {
	t.Parallel()
	town, b := startTown(t, startOutsideNATS(t), serviceNames, "--shards", "2")
	b.openOwing("alice", "")
	b.becomes("alice", 30_000, 0, 70_000)
	b.paysOff("alice", 1_000)
	b.becomes("alice", 29_000, 0, 71_000)

	town.stop(transactionsName)
	_, err := b.authorize(t.Context(), "alice", "lunch", 100)
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a purchase while it is down: %v", err)
	}
	must(b.UpdateCreditLimit(t.Context(), &accountsv1.UpdateCreditLimitRequest{AccountId: "alice", CreditLimit: pounds(50_000)}))(t)
	b.wantPayment(must(b.pay(t.Context(), "alice", "second", 9_000))(t), "SUBMITTED")
	b.wantPayment(must(b.pay(t.Context(), "alice", "third", 20_001))(t), "REJECTED MORE_THAN_OWED") // its own payments count at once
	b.wantPayment(must(b.pay(t.Context(), "alice", "fourth", 20_000))(t), "SUBMITTED")
	b.wantPayment(must(b.returnPayment(t.Context(), "alice", "second"))(t), "RETURNED R01")
	b.setCard("alice", typev1.CardState_CARD_STATE_PAUSED)

	town.start(transactionsName)
	b.becomes("alice", 9_000, 0, 41_000)
	b.wantAnswer("alice", "lunch", 100, "DECLINED 62 CARD_PAUSED")
	town.audit()
}

// Each service is started before those whose events it follows.
func TestServicesCanBeStartedBeforeWhatTheyFollow(t *testing.T) {
	t.Parallel()
	town, b := startTown(t, startOutsideNATS(t), []serviceName{feedName, transactionsName, paymentsName})
	_, err := b.pay(t.Context(), "alice", "early", 100)
	wantError(t, err, codes.NotFound, "ACCOUNT_NOT_FOUND")
	town.start(accountsName)
	b.openOwing("alice", "")
	b.becomes("alice", 30_000, 0, 70_000)
	b.paysOff("alice", 30_000)
	b.becomes("alice", 0, 0, 100_000)
	town.audit()
}

// A payment is taken before there ever was a ledger, under a profile that takes it whatever is owed.
func TestPaymentsDoNotWaitForTheLedger(t *testing.T) {
	t.Parallel()
	town, b := startTown(t, startOutsideNATS(t), []serviceName{paymentsName, accountsName})
	holder := &accountsv1.Holder{FullName: "Alice", Address: &accountsv1.Address{CountryCode: "GB"}}
	must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "alice", Holder: holder, CreditLimit: pounds(10_000), RulesProfile: "replay"}))(t)
	b.wantPayment(must(b.pay(t.Context(), "alice", "in-advance", 5_000))(t), "SUBMITTED")
	town.start(feedName)
	town.start(transactionsName)
	b.becomes("alice", -5_000, 0, 15_000)
	town.audit()
}
