package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// purchaseRequest is an authorization on an account's card, as a network sends it.
func purchaseRequest(account, transaction string, pence int64) *transactionsv1.AuthorizeRequest {
	return &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: account + "-card"}, TransactionId: transaction, Amount: pounds(pence), Merchant: shop()}
}

// claim is a line of a clearing file.
func claim(account, presentment string, pence int64) *transactionsv1.PresentRequest {
	return &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardId{CardId: account + "-card"}, PresentmentId: presentment, Amount: pounds(pence)}
}

// converse sends all requests of a stream while it takes the answers.
func converse[Q, A any](t *testing.T, stream grpc.BidiStreamingClient[Q, A], requests []*Q) (answers []*A, ended error) {
	t.Helper()
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for _, r := range requests {
			if stream.Send(r) != nil {
				return // the other side hears why
			}
		}
		_ = stream.CloseSend()
	})
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, err
		}
		answers = append(answers, answer)
	}
}

// postFile sends a clearing file and wants an answer to each line, in order.
func (b *bank) postFile(file []*transactionsv1.PresentRequest) []*transactionsv1.PresentResponse {
	b.t.Helper()
	answers, err := converse(b.t, must(b.PresentStream(b.t.Context()))(b.t), file)
	if err != nil || len(answers) != len(file) {
		b.t.Fatalf("%d of %d lines are answered: %v", len(answers), len(file), err)
	}
	for i, answer := range answers {
		if answer.GetIndex() != uint64(i) || answer.GetPresentmentId() != file[i].GetPresentmentId() {
			b.t.Fatalf("line %d is answered as %d, %s", i, answer.GetIndex(), answer.GetPresentmentId())
		}
	}
	return answers
}

func TestAClearingFileIsPostedInOrderAndMayBeSentAgain(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.shards = 3 // answers come from several writers
	b, p := startBank(t, c)
	names := []string{"alice", "bob", "carol", "dave"}
	for _, name := range names {
		b.open(name, 10_000_000)
	}
	var file []*transactionsv1.PresentRequest
	for i := range 2000 {
		file = append(file, claim(names[i%len(names)], fmt.Sprint("line-", i), 100+int64(i)))
	}
	noAmount, noCard := claim("alice", "no-amount", 0), claim("nobody", "no-card", 100)
	file[700], file[701] = noAmount, noCard
	wanted := map[string]int64{}
	for i, line := range file {
		if i != 700 && i != 701 {
			wanted[names[i%len(names)]] += line.GetAmount().GetMinorUnits()
		}
	}
	for _, again := range []bool{false, true} {
		last := map[string]uint64{}
		for i, answer := range b.postFile(file) {
			switch i {
			case 700:
				wantError(t, status.ErrorProto(answer.GetError()), codes.InvalidArgument, "INVALID_FIELD")
			case 701:
				wantError(t, status.ErrorProto(answer.GetError()), codes.NotFound, "CARD_NOT_FOUND")
			default:
				decision, name := answer.GetDecision(), names[i%len(names)]
				if decision.GetOutcome() != typev1.Outcome_OUTCOME_RECORDED || decision.GetDuplicate() != again {
					t.Fatalf("line %d is answered %v", i, answer)
				}
				if decision.GetSequence() <= last[name] {
					t.Errorf("line %d is posted before the one above it on its account", i)
				}
				last[name] = decision.GetSequence()
			}
		}
		for _, name := range names {
			b.wantBalances(name, wanted[name], 0, 10_000_000-wanted[name])
		}
	}
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
}

func TestANetworkHasPurchasesDecidedInTheOrderItSentThem(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	b.open("alice", 1_000)
	b.open("bob", 1_000_000)
	requests := []*transactionsv1.AuthorizeRequest{
		purchaseRequest("alice", "shoes", 600), purchaseRequest("alice", "coat", 500), purchaseRequest("nobody", "stolen", 1), purchaseRequest("alice", "not an id", 1), purchaseRequest("alice", "socks", 400), purchaseRequest("alice", "shoes", 600), purchaseRequest("alice", "shoes", 601),
	}
	for i := range 1000 {
		requests = append(requests, purchaseRequest("bob", fmt.Sprint("coffee-", i), 10))
	}
	answers, err := converse(t, must(b.AuthorizeStream(t.Context()))(t), requests)
	if err != nil || len(answers) != len(requests) {
		t.Fatalf("%d of %d purchases are answered: %v", len(answers), len(requests), err)
	}
	slices.SortFunc(answers, func(a, b *transactionsv1.AuthorizeResponse) int { return int(a.GetIndex()) - int(b.GetIndex()) })
	want := []string{"OUTCOME_APPROVED 00", "OUTCOME_DECLINED 51", "OUTCOME_DECLINED 14", "INVALID_FIELD", "OUTCOME_APPROVED 00", "OUTCOME_APPROVED 00", "ID_REUSED"}
	for i, answer := range answers {
		if answer.GetIndex() != uint64(i) || answer.GetTransactionId() != requests[i].GetTransactionId() {
			t.Fatalf("answer %d is for %s", answer.GetIndex(), answer.GetTransactionId())
		}
		wanted := "OUTCOME_APPROVED 00"
		if i < len(want) {
			wanted = want[i]
		}
		got := fmt.Sprint(answer.GetDecision().GetOutcome(), " ", answer.GetDecision().GetResponseCode())
		if answer.GetError() != nil {
			got = reasonOf(status.ErrorProto(answer.GetError()))
		}
		if got != wanted {
			t.Errorf("purchase %d is answered %s, want %s", i, got, wanted)
		}
		if duplicate := i == 5; answer.GetDecision().GetDuplicate() != duplicate {
			t.Errorf("purchase %d: duplicate is %v", i, !duplicate)
		}
	}
	b.wantBalances("alice", 0, 1_000, 0)
	b.wantBalances("bob", 0, 10_000, 990_000)
}

// slowReader is a stream whose client takes an answer only when the server has taken so many requests more than it has answered, or there are no more.
type slowReader struct {
	grpc.ServerStream
	ctx      context.Context
	requests []*transactionsv1.AuthorizeRequest
	ahead    int

	mu        sync.Mutex
	changed   *sync.Cond
	taken     int
	answered  int
	mostAhead int
}

func (s *slowReader) Context() context.Context { return s.ctx }

func (s *slowReader) Recv() (*transactionsv1.AuthorizeRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == len(s.requests) {
		return nil, io.EOF
	}
	s.taken++
	s.mostAhead = max(s.mostAhead, s.taken-s.answered)
	s.changed.Broadcast()
	return s.requests[s.taken-1], nil
}

func (s *slowReader) Send(*transactionsv1.AuthorizeResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.taken-s.answered < s.ahead && s.taken < len(s.requests) {
		s.changed.Wait()
	}
	s.answered++
	return nil
}

func TestAStreamTakesNoMoreThanItAnswers(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	b.open("alice", 1_000_000)
	s := &slowReader{ctx: t.Context(), ahead: 256}
	s.changed = sync.NewCond(&s.mu)
	for i := range 3000 {
		s.requests = append(s.requests, purchaseRequest("alice", fmt.Sprint("coffee-", i), 1))
	}
	if err := p.transactions.AuthorizeStream(s); err != nil {
		t.Fatal(err)
	}
	if s.answered != 3000 || s.mostAhead < 256 || s.mostAhead > 600 {
		t.Errorf("%d are answered, at most %d were under way", s.answered, s.mostAhead)
	}
	b.wantBalances("alice", 0, 3_000, 997_000)
}

func TestAClientThatIsCutOffSendsItsFileAgain(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	b.open("alice", 10_000_000)
	var file []*transactionsv1.PresentRequest
	for i := range 1000 {
		file = append(file, claim("alice", fmt.Sprint("line-", i), 10))
	}
	ctx, hangUp := context.WithCancel(t.Context())
	stream := must(b.PresentStream(ctx))(t)
	for _, line := range file {
		if err := stream.Send(line); err != nil {
			t.Fatal(err)
		}
	}
	first := must(stream.Recv())(t)
	hangUp()
	if first.GetIndex() != 0 || first.GetDecision().GetDuplicate() {
		t.Errorf("the first line is answered %v", first)
	}
	for {
		if _, err := stream.Recv(); err != nil {
			break
		}
	}
	if answers := b.postFile(file); !answers[0].GetDecision().GetDuplicate() {
		t.Error("the first line was answered and is posted again")
	}
	b.wantBalances("alice", 10_000, 0, 9_990_000)
}

func TestAServerThatStopsAnswersWhatItHasTaken(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	b, p := startBank(t, c)
	b.open("alice", 10_000_000)
	idle, busy := must(b.AuthorizeStream(t.Context()))(t), must(b.AuthorizeStream(t.Context()))(t)
	if err := idle.Send(purchaseRequest("alice", "idle", 1)); err != nil {
		t.Fatal(err)
	}
	must(idle.Recv())(t)
	requests := []*transactionsv1.AuthorizeRequest{}
	for i := range 100_000 {
		requests = append(requests, purchaseRequest("alice", fmt.Sprint("coffee-", i), 1))
	}
	var stopping sync.WaitGroup
	defer stopping.Wait()
	answered := make(chan struct{})
	stopping.Go(func() {
		<-answered
		began := time.Now()
		p.stop()
		if took := time.Since(began); took >= stopTimeout {
			t.Errorf("it took %s to stop", took)
		}
	})
	answers, err := converse(t, &noting[transactionsv1.AuthorizeRequest, transactionsv1.AuthorizeResponse]{BidiStreamingClient: busy, first: func() { close(answered) }}, requests)
	wantError(t, err, codes.Unavailable, "STOPPING")
	_, err = idle.Recv()
	wantError(t, err, codes.Unavailable, "STOPPING")
	stopping.Wait()
	b, _ = startBank(t, c)
	for _, answer := range answers {
		if answer.GetError() != nil {
			t.Fatalf("a purchase that was taken is answered %v", answer)
		}
		again := must(b.Authorize(t.Context(), requests[answer.GetIndex()]))(t).GetDecision()
		if !again.GetDuplicate() || again.GetSequence() != answer.GetDecision().GetSequence() {
			t.Fatalf("a purchase that was answered is decided again: %v", again)
		}
	}
	t.Logf("%d purchases were answered before the end", len(answers))
}

// noting is a stream that tells when the first answer has come.
type noting[Q, A any] struct {
	grpc.BidiStreamingClient[Q, A]
	first func()
	once  sync.Once
}

func (n *noting[Q, A]) Recv() (*A, error) {
	answer, err := n.BidiStreamingClient.Recv()
	if err == nil {
		n.once.Do(n.first)
	}
	return answer, err
}
