package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// holdLife is how long the hold of a purchase in a shop lives by the built-in rules.
const holdLife = 7 * 24 * time.Hour

// TestLifeOfAPurchase follows Alice's card through a month: what she buys, what the shops claim and give back, and what she is shown at each step.
func TestLifeOfAPurchase(t *testing.T) {
	t.Parallel()
	s := beginStory(t)

	s.want(s.buy("groceries", 10_000), "APPROVED 00")
	s.after("the groceries are authorized", 0, 10_000, 90_000)
	s.want(s.buy("piano", 95_000), "DECLINED 51 INSUFFICIENT_CREDIT")
	s.after("the piano is declined", 0, 10_000, 90_000)

	claim := must(s.present(t.Context(), "alice", "groceries", "groceries-claim", 12_000))(t)
	s.want(claim, "RECORDED 00")
	if over := claim.GetOverCaptureAmount().GetMinorUnits(); over != 2_000 {
		t.Errorf("20.00 more than authorized was claimed, the answer says %d", over)
	}
	s.after("the groceries are presented above the hold", 12_000, 0, 88_000)
	s.want(must(s.refund(t.Context(), "alice", "groceries", "broken-eggs", 2_000))(t), "RECORDED 00")
	s.after("a part of the groceries is refunded", 10_000, 0, 90_000)

	s.want(s.buy("hotel", 30_000), "APPROVED 00")
	s.after("the hotel is authorized", 10_000, 30_000, 60_000)
	s.want(s.presentFirstNight(), "RECORDED 00")
	s.after("the hotel's first night is presented", 20_000, 20_000, 60_000)
	s.want(must(s.reverse(t.Context(), "alice", "hotel", "early-departure", 5_000))(t), "RECORDED 00")
	s.after("a part of the hotel is reversed", 20_000, 15_000, 65_000)
	s.want(must(s.present(t.Context(), "alice", "", "tunnel-toll", 500))(t), "RECORDED 00 unmatched")
	s.after("a toll is presented that nobody asked for", 20_500, 15_000, 64_500)

	s.wantPagesToStayWhileShopsGoOn()
	s.wantGroceriesExplained()
	s.wantHoldsToExpire()
	s.wantThePastUnchanged()
	s.wantReplayToGiveTheBalances()
	s.wantWatcherToHaveHeardAll()
	s.wantTheSameAfterARestart()
}

// story is Alice's account and everybody who looks at it.
type story struct {
	*bank
	config  config
	process *process
	clock   *testClock
	number  string // of Alice's card
	heard   *watcher
	moments []moment
}

// moment is what a balance inquiry said after a step.
type moment struct {
	what     string
	balances *transactionsv1.GetBalanceResponse
}

// beginStory opens Alice's account with a limit of 1,000.00 and begins to watch it.
func beginStory(t *testing.T) *story {
	clock := newTestClock(time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC))
	c := testConfig(t)
	c.clock = clock.Now
	b, p := startBank(t, c)
	s := &story{bank: b, config: c, process: p, clock: clock, number: b.open("alice", 100_000)}
	s.heard = b.watch("alice", 0)
	s.after("the account is open and the card issued", 0, 0, 100_000)
	return s
}

// buy asks for a purchase by the card's number.
func (s *story) buy(transaction string, pence int64) *transactionsv1.Decision {
	s.t.Helper()
	return must(s.Authorize(s.t.Context(), &transactionsv1.AuthorizeRequest{
		Account:       &transactionsv1.AuthorizeRequest_CardNumber{CardNumber: s.number},
		TransactionId: transaction, Amount: pounds(pence), Merchant: shop(), EntryMode: typev1.EntryMode_ENTRY_MODE_CHIP,
	}))(s.t).GetDecision()
}

// presentFirstNight has the hotel claim 100.00 of what is held, with more to come.
func (s *story) presentFirstNight() *transactionsv1.Decision {
	s.t.Helper()
	return must(s.Present(s.t.Context(), &transactionsv1.PresentRequest{
		Account:       &transactionsv1.PresentRequest_CardNumber{CardNumber: s.number},
		PresentmentId: "first-night", TransactionId: "hotel", Amount: pounds(10_000), MoreToCome: true,
	}))(s.t).GetDecision()
}

func (s *story) want(decision *transactionsv1.Decision, words string) {
	s.t.Helper()
	if got := decisionWords(decision); got != words {
		s.t.Errorf("%s: %s, want %s", decision.GetTransactionId(), got, words)
	}
}

// after checks the balances after a step, waits until the watcher has heard of it, notes the moment, and lets an hour pass.
func (s *story) after(what string, posted, pending, available int64) {
	s.t.Helper()
	now := s.balance(&transactionsv1.GetBalanceRequest{})
	got, want := balanceWords(now.GetBalances()), fmt.Sprintf("%d %d %d", posted, pending, available)
	if got != want {
		s.t.Fatalf("after %s posted, pending, available are %s, want %s", what, got, want)
	}
	s.heard.await(s.t, now.GetSequence())
	s.moments = append(s.moments, moment{what, now})
	s.clock.advance(time.Hour)
}

// balance asks for Alice's balances.
func (s *story) balance(request *transactionsv1.GetBalanceRequest) *transactionsv1.GetBalanceResponse {
	s.t.Helper()
	request.Account = &transactionsv1.GetBalanceRequest_AccountId{AccountId: "alice"}
	return must(s.GetBalance(s.t.Context(), request))(s.t)
}

func (s *story) transaction(id string) *transactionsv1.Transaction {
	s.t.Helper()
	return must(s.GetTransaction(s.t.Context(), &transactionsv1.GetTransactionRequest{
		Account: &transactionsv1.GetTransactionRequest_AccountId{AccountId: "alice"}, TransactionId: id}))(s.t).GetTransaction()
}

func (s *story) page(size int32, token string) *transactionsv1.ListTransactionsResponse {
	s.t.Helper()
	return must(s.ListTransactions(s.t.Context(), &transactionsv1.ListTransactionsRequest{
		Account: &transactionsv1.ListTransactionsRequest_CardNumber{CardNumber: s.number}, PageSize: size, PageToken: token}))(s.t)
}

// wantPagesToStayWhileShopsGoOn turns the pages of the list while new purchases come in.
func (s *story) wantPagesToStayWhileShopsGoOn() {
	s.t.Helper()
	first := s.page(2, "")
	if first.GetTransactions()[0].GetCleared().GetMinorUnits() != 500 || first.GetTransactions()[1].GetTransactionId() != "hotel" {
		s.t.Errorf("the newest are %v", first.GetTransactions())
	}
	s.want(s.buy("newspaper", 100), "APPROVED 00")
	s.after("a newspaper is authorized between two pages", 20_500, 15_100, 64_400)
	second := s.page(2, first.GetNextPageToken())
	if got := transactionIDs(second); got != "piano groceries" || second.GetNextPageToken() != "" {
		s.t.Errorf("the second page is %s, its token %q", got, second.GetNextPageToken())
	}
	if again := s.page(2, first.GetNextPageToken()); !proto.Equal(again, second) {
		s.t.Errorf("the same token gives another page: %v", again)
	}
	for index, want := range []string{
		"newspaper PENDING", "", "hotel PARTIALLY_CLEARED", "piano DECLINED", "groceries PARTIALLY_REFUNDED",
	} {
		got := s.page(0, "").GetTransactions()[index]
		if words := got.GetTransactionId() + " " + statusWord(got); want != "" && words != want {
			s.t.Errorf("transaction %d from the top is %s, want %s", index, words, want)
		}
	}
}

// wantGroceriesExplained looks at one purchase in all its detail.
func (s *story) wantGroceriesExplained() {
	s.t.Helper()
	groceries := s.transaction("groceries")
	var entries []string
	for _, entry := range groceries.GetEntries() {
		entries = append(entries, fmt.Sprintf("%s %d (%s)", strings.TrimPrefix(entry.GetType().String(), "ENTRY_TYPE_"),
			entry.GetAmount().GetMinorUnits(), balanceWords(entry.GetBalances())))
	}
	want := []string{"AUTHORIZATION_APPROVED 10000 (0 10000 90000)", "PRESENTMENT 12000 (12000 0 88000)", "REFUND 2000 (10000 0 90000)"}
	if !slices.Equal(entries, want) {
		s.t.Errorf("the groceries went %q, want %q", entries, want)
	}
	if groceries.GetCardId() != "alice-card" || groceries.GetRules() != "default of built-in-2" || groceries.GetDecision().GetResponseCode() != "00" {
		s.t.Errorf("the groceries are %v", groceries)
	}
	if got, want := checkWords(groceries), "ACCOUNT_STATE CARD_STATE CARD_EXPIRY CURRENCY MERCHANT_COUNTRY MCC MERCHANT CREDIT_LIMIT"; got != want {
		s.t.Errorf("the groceries were checked for %s, want %s", got, want)
	}
	piano := s.transaction("piano")
	last := piano.GetChecks()[len(piano.GetChecks())-1]
	if last.GetPassed() || last.GetSeen() != "105000" || last.GetBound() != "100000" {
		s.t.Errorf("the piano failed for %v", last)
	}
}

// wantHoldsToExpire lets a week pass, twice.
func (s *story) wantHoldsToExpire() {
	s.t.Helper()
	s.clock.advance(holdLife)
	if got := balanceWords(s.balance(&transactionsv1.GetBalanceRequest{}).GetBalances()); got != "20500 0 79500" {
		s.t.Errorf("a week later posted, pending, available are %s", got)
	}
	if newspaper := s.transaction("newspaper"); statusWord(newspaper) != "EXPIRED" || newspaper.GetHeld().GetMinorUnits() != 0 {
		s.t.Errorf("a week later the newspaper is %v", newspaper)
	}
	if hotel := s.transaction("hotel"); statusWord(hotel) != "CLEARED" {
		s.t.Errorf("a week later the hotel is %v", hotel)
	}
	s.expireDue()
	s.heard.awaitExpiry(s.t, "newspaper")
	s.after("the holds have expired", 20_500, 0, 79_500)
	s.want(must(s.present(s.t.Context(), "alice", "newspaper", "newspaper-claim", 100))(s.t), "RECORDED 00 late")
	s.after("the newspaper is presented late", 20_600, 0, 79_400)

	s.want(s.buy("theatre", 4_000), "APPROVED 00")
	s.after("the theatre is authorized", 20_600, 4_000, 75_400)
	s.clock.advance(holdLife - time.Hour - time.Microsecond)
	if got := balanceWords(s.balance(&transactionsv1.GetBalanceRequest{}).GetBalances()); got != "20600 4000 75400" {
		s.t.Errorf("just before it is due posted, pending, available are %s", got)
	}
	s.clock.advance(time.Microsecond)
	s.expireDue() // nobody asks: only the clock was moved
	s.heard.awaitExpiry(s.t, "theatre")
	s.after("the theatre's hold has expired with nobody asking", 20_600, 0, 79_400)
}

// expireDue has everything expired that is due.
func (s *story) expireDue() {
	s.t.Helper()
	if err := s.process.transactions.ExpireDue(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// wantThePastUnchanged asks for the balances after each step, by sequence and by time.
func (s *story) wantThePastUnchanged() {
	s.t.Helper()
	for _, then := range s.moments {
		bySequence := s.balance(&transactionsv1.GetBalanceRequest{AsOf: &transactionsv1.GetBalanceRequest_AsOfSequence{AsOfSequence: then.balances.GetSequence()}})
		byTime := s.balance(&transactionsv1.GetBalanceRequest{AsOf: &transactionsv1.GetBalanceRequest_AsOfTime{AsOfTime: then.balances.GetAsOf()}})
		later := timestamppb.New(then.balances.GetAsOf().AsTime().Add(59 * time.Minute))
		aWhileLater := s.balance(&transactionsv1.GetBalanceRequest{AsOf: &transactionsv1.GetBalanceRequest_AsOfTime{AsOfTime: later}})
		aWhileLater.AsOf = byTime.GetAsOf()
		for how, asked := range map[string]*transactionsv1.GetBalanceResponse{"by its sequence": bySequence, "by its time": byTime, "59 minutes after": aWhileLater} {
			if !proto.Equal(asked, then.balances) {
				s.t.Errorf("%s, asked for %s: %v, was %v", then.what, how, asked, then.balances)
			}
		}
	}
	dueAt := s.transaction("theatre").GetExpiresAt().AsTime()
	for at, want := range map[time.Time]string{dueAt: "20600 0 79400", dueAt.Add(-time.Microsecond): "20600 4000 75400"} {
		asked := s.balance(&transactionsv1.GetBalanceRequest{AsOf: &transactionsv1.GetBalanceRequest_AsOfTime{AsOfTime: timestamppb.New(at)}})
		if got := balanceWords(asked.GetBalances()); got != want {
			s.t.Errorf("at %v, the theatre's hold due at %v, posted, pending, available were %s, want %s", at, dueAt, got, want)
		}
	}
}

// wantReplayToGiveTheBalances folds the listed events through the pure domain and compares each state with what GetBalance answers for it.
func (s *story) wantReplayToGiveTheBalances() {
	s.t.Helper()
	folded := ledger.New("alice")
	for _, listed := range s.listEvents("alice", 0) {
		folded.Apply(listed.GetEvent(), listed.GetSequence())
		answered := s.balance(&transactionsv1.GetBalanceRequest{AsOf: &transactionsv1.GetBalanceRequest_AsOfSequence{AsOfSequence: listed.GetSequence()}})
		if folded.Balances() != domainBalances(answered.GetBalances()) {
			s.t.Errorf("after event %d the fold has %+v, GetBalance answers %v", listed.GetSequence(), folded.Balances(), answered)
		}
	}
	if now := s.balance(&transactionsv1.GetBalanceRequest{}); folded.Balances() != domainBalances(now.GetBalances()) {
		s.t.Errorf("the fold ends with %+v, GetBalance answers %v", folded.Balances(), now)
	}
}

// wantWatcherToHaveHeardAll compares what was heard live with what is stored.
func (s *story) wantWatcherToHaveHeardAll() {
	s.t.Helper()
	stored, heard := s.listEvents("alice", 0), s.heard.all()
	if len(heard) != len(stored) {
		s.t.Fatalf("%d events are stored, %d were heard", len(stored), len(heard))
	}
	for i, listed := range stored {
		if heard[i].GetSequence() != listed.GetSequence() || !proto.Equal(heard[i].GetEvent(), listed.GetEvent()) {
			s.t.Errorf("heard %v, stored is %v", heard[i], listed)
		}
		if after := listed.GetEvent().GetBalances(); heard[i].GetBalances().GetAvailable().GetMinorUnits() != after.GetAvailable() {
			s.t.Errorf("event %d was heard with balances %v, stored are %v", listed.GetSequence(), heard[i].GetBalances(), after)
		}
	}
	if rest := s.listEvents("alice", stored[2].GetSequence()); len(rest) != len(stored)-3 || rest[0].GetSequence() != stored[3].GetSequence() {
		s.t.Errorf("%d of %d events come after the third", len(rest), len(stored))
	}
}

// wantTheSameAfterARestart stops cardlog, verifies its log, starts it again and compares every answer.
func (s *story) wantTheSameAfterARestart() {
	s.t.Helper()
	before := s.everyAnswer()
	s.heard.stop()
	s.process.stop()
	source := must((&verifyOptions{dir: string(s.config.dir), scratch: s.t.TempDir()}).open())(s.t)
	wantSound(s.t, source)
	source.close()
	s.bank, s.process = startBank(s.t, s.config)
	for question, after := range s.everyAnswer() {
		if was := before[question]; was != after {
			s.t.Errorf("%s: before the restart\n%s\nafter it\n%s", question, was, after)
		}
	}
	again := s.buy("theatre", 4_000)
	s.want(again, "APPROVED 00 duplicate")
	s.want(s.buy("umbrella", 1_500), "APPROVED 00")
}

// everyAnswer asks everything about Alice's account.
func (s *story) everyAnswer() map[string]string {
	s.t.Helper()
	answers := map[string]proto.Message{"balance": s.balance(&transactionsv1.GetBalanceRequest{}), "list": s.page(0, "")}
	for _, then := range s.moments {
		at := &transactionsv1.GetBalanceRequest_AsOfTime{AsOfTime: then.balances.GetAsOf()}
		answers["balance when "+then.what] = s.balance(&transactionsv1.GetBalanceRequest{AsOf: at})
	}
	for _, listed := range s.page(0, "").GetTransactions() {
		answers["transaction "+listed.GetTransactionId()] = s.transaction(listed.GetTransactionId())
	}
	for _, listed := range s.listEvents("alice", 0) {
		answers[fmt.Sprint("event ", listed.GetSequence())] = listed
	}
	words := map[string]string{}
	for question, answer := range answers {
		words[question] = prototext.MarshalOptions{Multiline: true}.Format(answer)
	}
	return words
}

// present posts a merchant's claim against an account.
func (b *bank) present(ctx context.Context, account, transaction, presentment string, pence int64) (*transactionsv1.Decision, error) {
	answer, err := b.Present(ctx, &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardId{CardId: account + "-card"},
		TransactionId: transaction, PresentmentId: presentment, Amount: pounds(pence)})
	return answer.GetDecision(), err
}

// refund posts what a merchant gives back.
func (b *bank) refund(ctx context.Context, account, transaction, refund string, pence int64) (*transactionsv1.Decision, error) {
	answer, err := b.Refund(ctx, &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_CardId{CardId: account + "-card"},
		TransactionId: transaction, RefundId: refund, Amount: pounds(pence)})
	return answer.GetDecision(), err
}

// reverse releases a part of a hold.
func (b *bank) reverse(ctx context.Context, account, transaction, reversal string, pence int64) (*transactionsv1.Decision, error) {
	answer, err := b.ReverseAuthorization(ctx, &transactionsv1.ReverseAuthorizationRequest{
		Account:       &transactionsv1.ReverseAuthorizationRequest_CardId{CardId: account + "-card"},
		TransactionId: transaction, ReversalId: reversal, Amount: pounds(pence)})
	return answer.GetDecision(), err
}

// listEvents returns an account's stored events after a sequence.
func (b *bank) listEvents(account string, after uint64) []*transactionsv1.ListEventsResponse {
	b.t.Helper()
	stream := must(b.ListEvents(b.t.Context(), &transactionsv1.ListEventsRequest{
		Account: &transactionsv1.ListEventsRequest_AccountId{AccountId: account}, AfterSequence: after}))(b.t)
	var events []*transactionsv1.ListEventsResponse
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			b.t.Fatal(err)
		}
		events = append(events, event)
	}
}

// watcher hears an account's events as they happen.
type watcher struct {
	stop func() // and wait until it hears no more

	mu    sync.Mutex
	heard []*transactionsv1.WatchAccountResponse
}

// watch begins to watch an account after a sequence, until the test ends.
func (b *bank) watch(account string, after uint64) *watcher {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	stream := must(b.WatchAccount(ctx, &transactionsv1.WatchAccountRequest{
		Account: &transactionsv1.WatchAccountRequest_AccountId{AccountId: account}, AfterSequence: &after}))(b.t)
	w := &watcher{}
	var listening sync.WaitGroup
	listening.Go(func() {
		for {
			event, err := stream.Recv()
			if err != nil {
				return
			}
			w.mu.Lock()
			w.heard = append(w.heard, event)
			w.mu.Unlock()
		}
	})
	w.stop = func() {
		cancel()
		listening.Wait()
	}
	b.t.Cleanup(w.stop)
	return w
}

func (w *watcher) all() []*transactionsv1.WatchAccountResponse {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heard)
}

// await waits until the event with a sequence was heard.
func (w *watcher) await(t *testing.T, sequence uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the watcher hears event %d", sequence), func() error {
		for _, event := range w.all() {
			if event.GetSequence() == sequence {
				return nil
			}
		}
		return errors.New("not heard")
	})
}

// awaitExpiry waits until the expiry of a transaction's hold was heard.
func (w *watcher) awaitExpiry(t *testing.T, transaction string) {
	t.Helper()
	eventually(t, "the watcher hears that the hold of "+transaction+" has expired", func() error {
		for _, heard := range w.all() {
			if _, expired := heard.GetEvent().GetFact().(*eventsv1.LedgerEvent_AuthorizationExpired); expired && heard.GetEvent().GetTransaction().GetTransactionId() == transaction {
				return nil
			}
		}
		return errors.New("not heard")
	})
}

// decisionWords says how a command ended: the outcome, the response code, the reason, and what is special about it.
func decisionWords(decision *transactionsv1.Decision) string {
	words := []string{strings.TrimPrefix(decision.GetOutcome().String(), "OUTCOME_"), decision.GetResponseCode()}
	if decision.GetDeclineReason() != 0 {
		words = append(words, strings.TrimPrefix(decision.GetDeclineReason().String(), "DECLINE_REASON_"))
	}
	if decision.GetRejectionReason() != 0 {
		words = append(words, strings.TrimPrefix(decision.GetRejectionReason().String(), "REJECTION_REASON_"))
	}
	for word, said := range map[string]bool{"late": decision.GetLate(), "unmatched": decision.GetUnmatched(), "duplicate": decision.GetDuplicate()} {
		if said {
			words = append(words, word)
		}
	}
	slices.Sort(words[2:])
	return strings.Join(words, " ")
}

// balanceWords says posted, pending and available in pence.
func balanceWords(b *transactionsv1.Balances) string {
	return fmt.Sprint(b.GetPosted().GetMinorUnits(), b.GetPending().GetMinorUnits(), b.GetAvailable().GetMinorUnits())
}

func statusWord(transaction *transactionsv1.Transaction) string {
	return strings.TrimPrefix(transaction.GetStatus().String(), "TRANSACTION_STATUS_")
}

func transactionIDs(page *transactionsv1.ListTransactionsResponse) string {
	var ids []string
	for _, transaction := range page.GetTransactions() {
		ids = append(ids, transaction.GetTransactionId())
	}
	return strings.Join(ids, " ")
}

// checkWords names the checks of a purchase that passed, in order.
func checkWords(transaction *transactionsv1.Transaction) string {
	var words []string
	for _, check := range transaction.GetChecks() {
		if check.GetPassed() {
			words = append(words, strings.TrimPrefix(check.GetCheck().String(), "CHECK_KIND_"))
		}
	}
	return strings.Join(words, " ")
}

// domainBalances are the answered balances in the words of the domain.
func domainBalances(b *transactionsv1.Balances) ledger.Balances {
	return ledger.Balances{Currency: b.GetPosted().GetCurrencyCode(), CreditLimit: b.GetCreditLimit().GetMinorUnits(),
		Posted: b.GetPosted().GetMinorUnits(), Pending: b.GetPending().GetMinorUnits(), Withheld: b.GetWithheld().GetMinorUnits()}
}
