package transactions

import (
	"context"
	"errors"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

const (
	// pipelineBound is how many requests of one stream may be under way, and as many again wait aside or to be sent.
	pipelineBound = 256
	// overtakeAfter is how long an answer that need not be in order holds up those behind it: about a round. Longer takes only what must be read from the log first.
	overtakeAfter = 2 * time.Millisecond
	// roomWait is how often a stream asks again for room with the engine.
	roomWait = 5 * time.Millisecond
)

// AuthorizeStream decides purchases as they come. Answers come when they are decided.
func (s *Service) AuthorizeStream(stream grpc.BidiStreamingServer[transactionsv1.AuthorizeRequest, transactionsv1.AuthorizeResponse]) error {
	return runPipeline(&pipeline[*transactionsv1.AuthorizeRequest, *transactionsv1.AuthorizeResponse]{
		service: s, stream: stream, one: "AuthorizeStream request", overtakes: true,
		prepare: func(ctx context.Context, r *transactionsv1.AuthorizeRequest) (ledger.Command, *transactionsv1.AuthorizeResponse, error) {
			if err := checkTime("network.transmitted_at", r.GetNetwork().GetTransmittedAt()); err != nil {
				return nil, nil, err
			}
			ref, err := s.resolve(ctx, r)
			if errors.Is(err, errUnknownCard) {
				return nil, s.unknownCard(ctx, r), nil
			}
			return authorizeCommand(r, ref), nil, err
		},
		answer: authorizeResponse,
		refuse: func(r *transactionsv1.AuthorizeRequest, refusal *spb.Status) *transactionsv1.AuthorizeResponse {
			return &transactionsv1.AuthorizeResponse{TransactionId: r.GetTransactionId(), Result: &transactionsv1.AuthorizeResponse_Error{Error: refusal}}
		},
		number: func(a *transactionsv1.AuthorizeResponse, index uint64) { a.Index = index },
	})
}

// PresentStream posts the claims of a clearing file. Answers come in the order of the claims.
func (s *Service) PresentStream(stream grpc.BidiStreamingServer[transactionsv1.PresentRequest, transactionsv1.PresentResponse]) error {
	return runPipeline(&pipeline[*transactionsv1.PresentRequest, *transactionsv1.PresentResponse]{
		service: s, stream: stream, one: "PresentStream request",
		prepare: func(ctx context.Context, r *transactionsv1.PresentRequest) (ledger.Command, *transactionsv1.PresentResponse, error) {
			if err := checkTime("presented_at", r.GetPresentedAt()); err != nil {
				return nil, nil, err
			}
			ref, err := s.resolve(ctx, r)
			return presentCommand(r, ref), nil, err
		},
		answer: presentResponse,
		refuse: func(r *transactionsv1.PresentRequest, refusal *spb.Status) *transactionsv1.PresentResponse {
			return &transactionsv1.PresentResponse{PresentmentId: r.GetPresentmentId(), Result: &transactionsv1.PresentResponse_Error{Error: refusal}}
		},
		number: func(a *transactionsv1.PresentResponse, index uint64) { a.Index = index },
	})
}

// pipeline answers a stream of requests without waiting for one before it takes the next. While as many as may be are under way it reads no more, and gRPC's flow
// control lets the client wait.
type pipeline[Q interface {
	proto.Message
	accountRequest
}, A any] struct {
	service   *Service
	stream    bidirectional[Q, A]
	one       string // what traces call a request
	overtakes bool   // answers need not be in order

	// prepare makes a request's command, or its answer where it has one already.
	prepare func(context.Context, Q) (ledger.Command, A, error)
	// answer and refuse make the answers of a request that was decided, and of one that cannot be.
	answer func(Q, *transactionsv1.Decision) A
	refuse func(Q, *spb.Status) A
	// number puts the request's place in the stream into its answer.
	number func(A, uint64)

	items  chan *item[Q, A] // under way, in order
	late   chan A           // answers that others have overtaken
	aside  int              // how many of those are waited for
	ended  error            // why the client sends no more, once items is closed
	broken any              // what panicked, likewise
}

// bidirectional is a stream of requests and of answers.
type bidirectional[Q, A any] interface {
	Context() context.Context
	Recv() (Q, error)
	Send(A) error
}

// item is a request on its way.
type item[Q, A any] struct {
	request  Q
	index    uint64
	began    time.Time
	span     trace.Span // nil where it is not traced
	ticket   engine.Ticket[*eventsv1.LedgerEvent]
	answered bool // without the engine …
	answer   A    // … with this
}

// runPipeline serves until the client sends no more and has all its answers, is gone, or the server stops: then what was taken is answered, and no more is read.
func runPipeline[Q interface {
	proto.Message
	accountRequest
}, A any](p *pipeline[Q, A]) error {
	ctx := p.stream.Context()
	p.items, p.late = make(chan *item[Q, A], pipelineBound), make(chan A, pipelineBound)
	go p.receive(ctx)
	for {
		select {
		case i, open := <-p.items:
			if !open {
				return p.end()
			}
			if err := p.send(ctx, i); err != nil {
				return err
			}
		case a := <-p.late:
			p.aside--
			if err := p.stream.Send(a); err != nil {
				return err
			}
		case <-ctx.Done():
			return p.stop(ctx)
		}
	}
}

// receive takes requests until there are no more, and closes items. It outlives the call by the moment that gRPC takes to end a receive.
func (p *pipeline[Q, A]) receive(ctx context.Context) {
	defer close(p.items)
	defer func() { p.broken = recover() }()
	for index := uint64(0); ; index++ {
		request, err := p.stream.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.ended = err
			}
			return
		}
		i := &item[Q, A]{request: request, index: index, began: time.Now()}
		p.take(ctx, i)
		select {
		case p.items <- i:
		case <-ctx.Done():
			p.ended = ctx.Err()
			return
		}
	}
}

// take has a request decided, or answers it where it cannot be. It waits for room.
func (p *pipeline[Q, A]) take(ctx context.Context, i *item[Q, A]) {
	ctx, i.span = p.service.traceOne(ctx, p.one)
	err := rpc.Validate(i.request)
	var command ledger.Command
	if err == nil {
		var nothing A
		command, i.answer, err = p.prepare(ctx, i.request)
		i.answered = any(i.answer) != any(nothing)
	}
	if err == nil && !i.answered {
		i.ticket, err = p.enqueue(ctx, command)
	}
	if err != nil {
		i.answered, i.answer = true, p.refuse(i.request, rpc.Status(ctx, p.service.options.Logger, err).Proto())
	}
}

// enqueue hands a command to the engine as soon as that has room. What it has taken is decided also if the client is gone by then.
func (p *pipeline[Q, A]) enqueue(ctx context.Context, command ledger.Command) (engine.Ticket[*eventsv1.LedgerEvent], error) {
	shard := p.service.shard(command.Account())
	for {
		if ticket, ok := shard.EnqueueIfRoom(context.WithoutCancel(ctx), command); ok {
			return ticket, nil
		}
		select {
		case <-time.After(roomWait):
		case <-ctx.Done():
			return engine.Ticket[*eventsv1.LedgerEvent]{}, ctx.Err()
		}
	}
}

// send sends a request's answer when it is there, or has it sent later where it takes long and others may overtake it.
func (p *pipeline[Q, A]) send(ctx context.Context, i *item[Q, A]) error {
	if p.overtakes && !i.answered && p.aside < pipelineBound {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), overtakeAfter)
		defer cancel()
		stored, err := i.ticket.Wait(short)
		if gaveUp := (*failure.Error)(nil); errors.As(err, &gaveUp) && gaveUp.Kind == failure.Cancelled { // only this wait: the command itself is not given up
			p.aside++
			go func() { p.late <- p.await(ctx, i) }()
			return nil
		}
		return p.stream.Send(p.respond(ctx, i, stored, err))
	}
	return p.stream.Send(p.await(ctx, i))
}

// await returns a request's answer. The engine answers everything that it has taken.
func (p *pipeline[Q, A]) await(ctx context.Context, i *item[Q, A]) A {
	if i.answered {
		return p.done(i, i.answer)
	}
	stored, err := i.ticket.Wait(context.WithoutCancel(ctx))
	return p.respond(ctx, i, stored, err)
}

func (p *pipeline[Q, A]) respond(ctx context.Context, i *item[Q, A], stored engine.Result[*eventsv1.LedgerEvent], err error) (a A) {
	if err != nil {
		a = p.refuse(i.request, rpc.Status(ctx, p.service.options.Logger, err).Proto())
	} else {
		a = p.answer(i.request, p.service.decided(stored, i.began))
	}
	return p.done(i, a)
}

// done returns a request's answer as it is to be sent.
func (p *pipeline[Q, A]) done(i *item[Q, A], a A) A {
	p.number(a, i.index)
	if i.span != nil {
		i.span.End()
	}
	return a
}

// end sends what is due when the client sends no more.
func (p *pipeline[Q, A]) end() error {
	if p.broken != nil {
		panic(p.broken) // where it is dealt with
	}
	return p.finish(p.ended)
}

// finish sends the answers that others have overtaken.
func (p *pipeline[Q, A]) finish(ended error) error {
	for ; p.aside > 0; p.aside-- {
		if err := p.stream.Send(<-p.late); err != nil {
			return err
		}
	}
	return ended
}

// stop sends the answers of what was taken, if the client is still there to hear them.
func (p *pipeline[Q, A]) stop(ctx context.Context) error {
	for {
		select {
		case i, open := <-p.items:
			if !open {
				return p.end()
			}
			if err := p.stream.Send(p.await(ctx, i)); err != nil {
				return err
			}
		default:
			return p.finish(ctx.Err())
		}
	}
}
