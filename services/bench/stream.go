package bench

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// streamWindow is how many authorizations a caller has under way in its stream.
const streamWindow = 32

// flight is a caller's stream with what is under way in it.
type flight struct {
	caller *caller
	stream grpc.BidiStreamingClient[transactionsv1.AuthorizeRequest, transactionsv1.AuthorizeResponse]
	room   chan struct{}

	mu   sync.Mutex
	sent map[uint64]departure // by index
}

type departure struct {
	amount int64
	at     time.Time
}

// authorizeInStream authorizes purchases on any account in one stream until the turn is over and all are answered.
func authorizeInStream(ctx context.Context, c *caller) {
	ctx, cancel := context.WithTimeout(ctx, time.Until(c.window.until)+callBound)
	defer cancel()
	stream, err := c.service.AuthorizeStream(ctx)
	if err != nil {
		c.window.fail(plain("AuthorizeStream", err))
		return
	}
	f := &flight{caller: c, stream: stream, room: make(chan struct{}, streamWindow), sent: map[uint64]departure{}}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() { f.send(ctx) })
	f.receive()
}

func (f *flight) send(ctx context.Context) {
	for index := uint64(0); !f.caller.window.over(); index++ {
		select {
		case f.room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		request := f.caller.fill(f.caller.chance.IntN(f.caller.accounts))
		f.mu.Lock()
		f.sent[index] = departure{amount: request.GetAmount().GetMinorUnits(), at: time.Now()}
		f.mu.Unlock()
		if f.stream.Send(request) != nil {
			return // the other side hears why
		}
	}
	_ = f.stream.CloseSend()
}

func (f *flight) receive() {
	for {
		answer, err := f.stream.Recv()
		if err != nil {
			f.lose(err)
			return
		}
		f.mu.Lock()
		sent := f.sent[answer.GetIndex()]
		delete(f.sent, answer.GetIndex())
		f.mu.Unlock()
		<-f.room
		if answer.GetError() != nil {
			err = status.ErrorProto(answer.GetError())
		}
		err = f.caller.note(sent.amount, answer, err)
		f.caller.window.count(f.caller.number, sent.at, time.Now(), err)
	}
}

// lose takes note of what a stream's end has left unanswered.
func (f *flight) lose(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, io.EOF) && len(f.sent) == 0 {
		return
	}
	for _, sent := range f.sent {
		f.caller.tally.unknown.Add(sent.amount)
	}
	f.caller.window.fail(plain("AuthorizeStream", err))
}
