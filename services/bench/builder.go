package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"google.golang.org/genproto/googleapis/rpc/status"
	grpcstatus "google.golang.org/grpc/status"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// builder adds purchases on the accounts that are its own, any of them in turn, in a stream of authorizations and one of presentments. An account has one purchase
// under way at a time, so that a presentment never comes before its authorization was answered.
type builder struct {
	*grower
	number int
	growth *growth

	caller    *caller
	authorize lane[transactionsv1.AuthorizeRequest, *transactionsv1.AuthorizeResponse]
	present   lane[transactionsv1.PresentRequest, *transactionsv1.PresentResponse]

	mu   sync.Mutex
	free *sync.Cond
	busy map[int]int // account → answers that are due
	dead bool        // a stream has ended
}

// lane is one of the streams, with the accounts whose answers are due in it.
type lane[Q any, A answer] struct {
	stream interface {
		Send(*Q) error
		Recv() (A, error)
		CloseSend() error
	}
	sent map[uint64]due // by index
	next uint64
}

// due is an answer that is to come.
type due struct {
	account int
	holds   int64 // what the account holds more when it was approved
}

// answer is what the answers of both streams have.
type answer interface {
	GetIndex() uint64
	GetError() *status.Status
}

func (b *builder) build(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.caller = newCaller(b.run, &measurement{target: b.quiet}, b.number)
	b.free, b.busy = sync.NewCond(&b.mu), map[int]int{}
	purchases, err := b.caller.service.AuthorizeStream(ctx)
	if err != nil {
		b.growth.fail(plain("AuthorizeStream", err))
		return
	}
	claims, err := b.caller.service.PresentStream(ctx)
	if err != nil {
		b.growth.fail(plain("PresentStream", err))
		return
	}
	b.authorize.stream, b.authorize.sent = purchases, map[uint64]due{}
	b.present.stream, b.present.sent = claims, map[uint64]due{}
	var hearing sync.WaitGroup
	hearing.Go(func() { hear(b, &b.authorize, "AuthorizeStream") })
	hearing.Go(func() { hear(b, &b.present, "PresentStream") })
	for goesOn := true; goesOn && b.growth.left.Load() > 0; {
		goesOn = b.visit()
	}
	_ = purchases.CloseSend()
	_ = claims.CloseSend()
	hearing.Wait()
}

// visit sends a purchase on one of the builder's accounts, and clears the oldest that is open, if there are enough. It reports whether the streams go on.
func (b *builder) visit() bool {
	account, alive := b.pick()
	if !alive {
		return false
	}
	visit := b.visits[account]
	b.visits[account]++
	clears := visit >= openHolds
	answers := 1
	if clears {
		answers = 2
	}
	b.growth.left.Add(int64(-answers))
	b.mu.Lock()
	b.busy[account] = answers
	b.mu.Unlock()

	request := b.caller.fill(account)
	request.TransactionId, request.Amount.MinorUnits = b.purchaseID(account, visit), purchaseAmount(visit)
	if !depart(b, &b.authorize, due{account, purchaseAmount(visit)}, request) {
		return false
	}
	if !clears {
		return true
	}
	claim := &b.caller.present
	b.caller.presented.CardId, claim.TransactionId = b.caller.card.CardId, b.purchaseID(account, visit-openHolds)
	claim.PresentmentId, claim.Amount.MinorUnits = claim.TransactionId+"-1", purchaseAmount(visit-openHolds)
	claim.PresentedAt.Seconds = request.Network.TransmittedAt.Seconds
	return depart(b, &b.present, due{account, 0}, claim)
}

// pick returns an account of the builder's that has nothing under way, when there is room for it.
func (b *builder) pick() (account int, alive bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := (len(b.visits) - b.number + builders - 1) / builders
	for !b.dead {
		if len(b.busy) < min(builderRoom, own) {
			for {
				account = b.number + builders*rand.IntN(own)
				if b.busy[account] == 0 {
					return account, true
				}
			}
		}
		b.free.Wait()
	}
	return 0, false
}

// depart sends a request about an account.
func depart[Q any, A answer](b *builder, l *lane[Q, A], to due, request *Q) bool {
	b.mu.Lock()
	l.sent[l.next] = to
	l.next++
	b.mu.Unlock()
	return l.stream.Send(request) == nil // who hears knows why
}

// hear takes the answers of a stream until it ends.
func hear[Q any, A answer](b *builder, l *lane[Q, A], name string) {
	for {
		a, err := l.stream.Recv()
		b.mu.Lock()
		if err != nil {
			b.dead = true
			for _, lost := range l.sent {
				b.caller.tally.unknown.Add(lost.holds)
			}
			if len(l.sent) > 0 {
				b.growth.fail(plain(name, err))
			}
			b.free.Broadcast()
			b.mu.Unlock()
			return
		}
		done := l.sent[a.GetIndex()]
		delete(l.sent, a.GetIndex())
		if b.busy[done.account]--; b.busy[done.account] == 0 {
			delete(b.busy, done.account)
			b.free.Signal()
		}
		b.mu.Unlock()
		if a.GetError() != nil {
			b.caller.tally.unknown.Add(done.holds)
			b.growth.fail(fmt.Errorf("%s: %w", name, grpcstatus.ErrorProto(a.GetError())))
			continue
		}
		b.caller.tally.acknowledged.Add(done.holds)
	}
}
