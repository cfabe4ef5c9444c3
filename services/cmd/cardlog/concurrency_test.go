package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

func TestOfSixtyFourPurchasesTheTenThatFitAreApproved(t *testing.T) {
	t.Parallel()
	const purchases, fit, price, rounds = 64, 10, 100, 8
	b, _ := startBank(t, testConfig(t))
	for round := range rounds {
		account := fmt.Sprint("crowded-", round)
		b.open(account, fit*price)
		first := b.buyAtOnce(account, purchases, price)
		outcomes := map[string]int{}
		for _, decision := range first {
			outcomes[decisionWords(decision)]++
		}
		if outcomes["APPROVED 00"] != fit || outcomes["DECLINED 51 INSUFFICIENT_CREDIT"] != purchases-fit {
			t.Errorf("%s: %v", account, outcomes)
		}
		b.wantBalances(account, 0, fit*price, 0)
		for i, again := range b.buyAtOnce(account, purchases, price) {
			if got, want := decisionWords(again), decisionWords(first[i])+" duplicate"; got != want || again.GetSequence() != first[i].GetSequence() {
				t.Errorf("%s: purchase %d is now %s of event %d, was %s of event %d", account, i, got, again.GetSequence(), want, first[i].GetSequence())
			}
		}
		b.wantBalances(account, 0, fit*price, 0)
	}
}

// buyAtOnce asks for purchases with one card, all at the same time, and returns the decisions.
func (b *bank) buyAtOnce(account string, purchases int, price int64) []*transactionsv1.Decision {
	b.t.Helper()
	decisions := make([]*transactionsv1.Decision, purchases)
	inParallel(purchases, purchases, func(i int) {
		decision, err := b.authorize(b.t.Context(), account, fmt.Sprint("purchase-", i), price)
		if err != nil {
			b.t.Errorf("%s: purchase %d: %v", account, i, err)
		}
		decisions[i] = decision
	})
	return decisions
}

func TestWhatTheBackOfficeSaysCountsAtOnce(t *testing.T) {
	t.Parallel()
	shared, _ := startBank(t, testConfig(t))
	for what, holds := range map[string]func(*bank, string){
		"a stolen card is declined, and approved again once it is found": stolenCardIsDeclined,
		"a new card can be used by its number":                           newCardIsUsed,
		"a new limit counts":                                             newLimitCounts,
	} {
		for person := range 4 {
			t.Run(fmt.Sprint(what, " ", person), func(t *testing.T) {
				t.Parallel()
				holds(shared.in(t), fmt.Sprint("person-", person))
			})
		}
	}
}

// stolenCardIsDeclined, by four people, sets and tries a card 1,000 times.
func stolenCardIsDeclined(b *bank, person string) {
	const rounds = 125
	account := person + "-robbed"
	b.open(account, rounds)
	for round := range rounds {
		b.setCard(account, typev1.CardState_CARD_STATE_STOLEN)
		b.wantAnswer(account, fmt.Sprint("thief-", round), 1, "DECLINED 43 CARD_STOLEN")
		b.setCard(account, typev1.CardState_CARD_STATE_ACTIVE)
		b.wantAnswer(account, fmt.Sprint("owner-", round), 1, "APPROVED 00")
	}
	b.wantBalances(account, 0, rounds, 0)
}

// newCardIsUsed, by four people, issues 200 cards and uses each at once.
func newCardIsUsed(b *bank, person string) {
	const cards = 50
	account := person + "-collector"
	b.open(account, cards)
	for i := range cards {
		issued := must(b.IssueCard(b.t.Context(), &accountsv1.IssueCardRequest{AccountId: account, Activate: true}))(b.t)
		answer := must(b.Authorize(b.t.Context(), &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardNumber{CardNumber: issued.GetCardNumber()},
			TransactionId: fmt.Sprint("first-use-", i), Amount: pounds(1), Merchant: shop()}))(b.t)
		if got := decisionWords(answer.GetDecision()); got != "APPROVED 00" {
			b.t.Errorf("card %d: %s", i, got)
		}
	}
	b.wantBalances(account, 0, cards, 0)
}

func newLimitCounts(b *bank, person string) {
	const rounds = 50
	account := person + "-raised"
	b.open(account, 0)
	for round := range int64(rounds) {
		b.wantAnswer(account, fmt.Sprint("too-early-", round), 1, "DECLINED 51 INSUFFICIENT_CREDIT")
		must(b.UpdateCreditLimit(b.t.Context(), &accountsv1.UpdateCreditLimitRequest{AccountId: account, CreditLimit: pounds(round + 1)}))(b.t)
		b.wantBalances(account, 0, round, 1)
		b.wantAnswer(account, fmt.Sprint("just-fits-", round), 1, "APPROVED 00")
	}
	must(b.SetAccountState(b.t.Context(), &accountsv1.SetAccountStateRequest{AccountId: account, State: typev1.AccountState_ACCOUNT_STATE_SUSPENDED}))(b.t)
	b.wantAnswer(account, "suspended", 0, "DECLINED 62 ACCOUNT_SUSPENDED")
}

// TestAWatcherHearsEachEventAtOnce lets a watcher wait for the last of a few purchases, again and again, with nothing behind it that could wake him.
func TestAWatcherHearsEachEventAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, purchases = 100, 8
	b, _ := startBank(t, testConfig(t))
	b.open("watched", rounds*purchases)
	heard := b.watch("watched", 0)
	for round := range rounds {
		var last uint64
		var mu sync.Mutex
		inParallel(purchases, purchases, func(i int) {
			decision, err := b.authorize(t.Context(), "watched", fmt.Sprintf("purchase-%d-%d", round, i), 1)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			last = max(last, decision.GetSequence())
		})
		heard.await(t, last)
	}
}

// TestAnyMixOfCommandsKeepsTheBooks has 16 clerks do whatever comes to their minds to 20 accounts, and then does the sums by itself.
func TestAnyMixOfCommandsKeepsTheBooks(t *testing.T) {
	t.Parallel()
	const clerks, accounts, commands = 16, 20, 4_000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	b, p := startBank(t, testConfig(t))
	books := newBooks(b)
	for i := range accounts {
		b.open(accountNamed(i), 50_000)
	}
	var atWork sync.WaitGroup
	for number := range clerks {
		atWork.Go(func() {
			clerk := &clerk{bank: b, books: books, chance: rand.New(rand.NewPCG(seed, uint64(number)))}
			for range commands / clerks {
				clerk.doSomething(accountNamed(clerk.chance.IntN(accounts)))
			}
		})
	}
	atWork.Wait()
	t.Logf("answers: %v", books.answers)
	for i := range accounts {
		books.check(accountNamed(i))
	}
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
}

func accountNamed(i int) string { return fmt.Sprint("account-", i) }

// clerk sends commands at random. Ids are few, so that clerks repeat and contradict each other, and come upon purchases of others.
type clerk struct {
	*bank
	books  *books
	chance *rand.Rand
}

func (c *clerk) doSomething(account string) {
	ctx := c.t.Context()
	transaction := fmt.Sprint("purchase-", c.chance.IntN(25))
	id := fmt.Sprint(transaction, "-", c.chance.IntN(3))
	pence := int64(100 * (1 + len(id)))
	if c.chance.IntN(10) == 0 {
		pence += c.chance.Int64N(5_000)
	}
	switch what := c.chance.IntN(100); {
	case what < 40:
		c.record("Authorize", account, transaction, 0)(c.authorize(ctx, account, transaction, pence))
	case what < 60:
		c.record("Present", account, id, +1)(c.present(ctx, account, transaction, id, pence))
	case what < 65:
		c.record("Present", account, id, +1)(c.presentMore(ctx, account, transaction, id, pence))
	case what < 70:
		c.record("Present", account, "forced-"+id, +1)(c.present(ctx, account, "", "forced-"+id, pence))
	case what < 82:
		c.record("Refund", account, id, -1)(c.refund(ctx, account, transaction, id, pence))
	case what < 94:
		c.record("ReverseAuthorization", account, id, 0)(c.reverse(ctx, account, transaction, id, pence))
	case what < 97:
		_, err := c.UpdateCreditLimit(ctx, &accountsv1.UpdateCreditLimitRequest{AccountId: account, CreditLimit: pounds(c.chance.Int64N(100_000))})
		c.books.allow("UpdateCreditLimit", err)
	default:
		state := []typev1.CardState{typev1.CardState_CARD_STATE_PAUSED, typev1.CardState_CARD_STATE_ACTIVE, typev1.CardState_CARD_STATE_ACTIVE}[c.chance.IntN(3)]
		_, err := c.SetCardState(ctx, &accountsv1.SetCardStateRequest{AccountId: account, CardId: account + "-card", State: state})
		c.books.allow("SetCardState", err)
	}
}

// presentMore posts a claim that is not the last one.
func (b *bank) presentMore(ctx context.Context, account, transaction, presentment string, pence int64) (*transactionsv1.Decision, error) {
	answer, err := b.Present(ctx, &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardId{CardId: account + "-card"},
		TransactionId: transaction, PresentmentId: presentment, Amount: pounds(pence), MoreToCome: true})
	return answer.GetDecision(), err
}

// record returns what writes an answer into the books: sign says which way its amount moves the posted balance.
func (c *clerk) record(kind, account, id string, sign int64) func(*transactionsv1.Decision, error) {
	return func(decision *transactionsv1.Decision, err error) {
		if c.books.allow(kind, err) {
			c.books.write(kind, account, id, sign*decision.GetApprovedAmount().GetMinorUnits(), decision)
		}
	}
}

// books are an independent record of what was answered.
type books struct {
	bank *bank

	mu      sync.Mutex
	posted  map[string]int64  // by account
	events  map[string]uint64 // by command: the event that answered it
	answers map[string]int
}

func newBooks(b *bank) *books {
	return &books{bank: b, posted: map[string]int64{}, events: map[string]uint64{}, answers: map[string]int{}}
}

// allow counts an answer, and fails the test unless it is one that clerks who contradict each other must expect. It says whether the command was decided.
func (s *books) allow(kind string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := status.Code(err)
	s.answers[kind+" "+code.String()]++
	switch {
	case code == codes.OK:
		return true
	case code == codes.AlreadyExists, code == codes.NotFound && kind == "ReverseAuthorization":
	default:
		s.bank.t.Errorf("%s: %v", kind, err)
	}
	return false
}

// write adds an answer up, once for each command: two answers to one command must name the same event.
func (s *books) write(kind, account, id string, moved int64, decision *transactionsv1.Decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[kind+" "+decisionWords(decision)]++
	command := kind + " " + account + " " + id
	if first, known := s.events[command]; known {
		if first != decision.GetSequence() {
			s.bank.t.Errorf("%s was answered by events %d and %d", command, first, decision.GetSequence())
		}
		return
	}
	s.events[command] = decision.GetSequence()
	s.posted[account] += moved
}

// check compares an account with the books: posted is the sum of what was answered, pending the sum of what its transactions hold.
func (s *books) check(account string) {
	s.bank.t.Helper()
	var held, cleared int64
	for _, transaction := range s.bank.allTransactions(account) {
		held += transaction.GetHeld().GetMinorUnits()
		cleared += transaction.GetCleared().GetMinorUnits() - transaction.GetRefunded().GetMinorUnits()
	}
	if cleared != s.posted[account] {
		s.bank.t.Errorf("%s: its transactions add up to %d, the answers to %d", account, cleared, s.posted[account])
	}
	limit := s.bank.account(account).GetCreditLimit().GetMinorUnits()
	s.bank.wantBalances(account, s.posted[account], held, limit-s.posted[account]-held)
}

// allTransactions reads all pages of an account's transactions.
func (b *bank) allTransactions(account string) (transactions []*transactionsv1.Transaction) {
	b.t.Helper()
	for token := ""; ; {
		page := must(b.ListTransactions(b.t.Context(), &transactionsv1.ListTransactionsRequest{
			Account: &transactionsv1.ListTransactionsRequest_AccountId{AccountId: account}, PageSize: 7, PageToken: token}))(b.t)
		transactions = append(transactions, page.GetTransactions()...)
		if token = page.GetNextPageToken(); token == "" {
			return transactions
		}
	}
}
