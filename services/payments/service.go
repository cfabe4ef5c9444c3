// Package payments is the system of record for payments of cardholders: gRPC in front, the stream PAYMENTS behind.
package payments

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/payments/payment"
)

// StreamName is the stream of payments.
const StreamName = "PAYMENTS"

// Options say how the service runs.
type Options struct {
	// Accounts is ACCOUNTS, followed for accounts, their states, currencies and profiles.
	Accounts follower.Upstream
	// Ledger returns the shards of the ledger, followed for what is owed, or eventlog.ErrNotFound while it does not exist.
	Ledger func(ctx context.Context) ([]follower.Upstream, error)
	// ShardOf returns the shard of an account among so many.
	ShardOf func(accountID string, shards int) int
	// Rules returns the rules in force. It is asked for each decision.
	Rules func() *payment.Rules
	// Clock tells the time.
	Clock func() time.Time
	// Logger hears what happens.
	Logger *slog.Logger
	// Checkpoints say where states are kept, and how many accounts may be in memory.
	Checkpoints engine.Checkpoints
	// OnHealth hears whether the service serves.
	OnHealth func(serving bool)
	// Admit returns nil, or why nothing can be stored just now. Optional.
	Admit func() error
	// Journal hears of every durable event. Optional.
	Journal engine.Journal[*eventsv1.PaymentEvent]
	// Tracer makes the spans of calls that are traced. Optional.
	Tracer trace.Tracer
}

// Service takes payments.
type Service struct {
	paymentsv1.UnimplementedPaymentsServiceServer

	engine   *Engine
	options  Options
	accounts *accountsFollower
	parts    *rpc.Parts
	ready    chan struct{}

	decisions *prometheus.CounterVec

	mu     sync.Mutex
	ledger []*ledgerFollower // by shard; nil while the ledger does not exist
}

// Open makes the service over a log. Run starts it.
func Open(ctx context.Context, log *eventlog.Log, options Options) (*Service, error) {
	stream, err := log.OpenStream(ctx, eventlog.StreamSpec{Name: StreamName, Subjects: "payments.*"})
	if err != nil {
		return nil, err
	}
	s := &Service{options: options, ready: make(chan struct{}), parts: rpc.NewParts(options.OnHealth), decisions: newDecisions()}
	s.engine = engine.New(stream, engine.Options[*payment.Account, payment.Command, *eventsv1.PaymentEvent, payment.View]{
		Domain: func() engine.Domain[*payment.Account, payment.Command, *eventsv1.PaymentEvent, payment.View] {
			return domain{options.Rules}
		},
		Subject: Subject, Source: "/cardlog/payments", Clock: options.Clock, Logger: options.Logger, Journal: options.Journal, Tracer: options.Tracer,
		OnHealth: s.parts.Add(), Admit: options.Admit,
	})
	s.accounts = s.followAccounts()
	return s, nil
}

// Subject returns the subject of an account's events.
func Subject(accountID string) string { return "payments." + accountID }

// Register adds the service to a gRPC server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	paymentsv1.RegisterPaymentsServiceServer(server, s)
}

// Run serves until ctx ends. What cannot go on for good stops and tells fail.
func (s *Service) Run(ctx context.Context, fail func(error)) {
	var parts sync.WaitGroup
	defer parts.Wait()
	part := func(run func(context.Context) error) {
		parts.Go(func() {
			if err := run(ctx); err != nil {
				fail(err)
			}
		})
	}
	part(s.engine.Run)
	part(s.accounts.Run)
	parts.Go(func() {
		if follower.AwaitReady(ctx, s.engine.Ready(), s.accounts.Ready()) {
			s.followLedger(ctx, part)
		}
	})
}

// followLedger follows the ledger as soon as there is one, and makes the service ready when it knows what is owed.
func (s *Service) followLedger(ctx context.Context, part func(run func(context.Context) error)) {
	beReady := sync.OnceFunc(func() { close(s.ready) })
	shards := follower.Find(ctx, s.options.Logger, s.options.Ledger, beReady) // where there is no ledger, nothing is owed
	for _, shard := range s.openLedger(shards) {
		part(shard.Run)
		if !follower.AwaitReady(ctx, shard.Ready()) {
			return
		}
	}
	if ctx.Err() == nil {
		beReady()
	}
}

// serving returns an error until the service has recovered and knows what is owed: what it could say before is not true.
func (s *Service) serving() error {
	select {
	case <-s.ready:
		return nil
	default:
		return failure.New(failure.Unavailable, "STARTING", "the service is recovering from its log; try again with the same id")
	}
}

// Ready is closed when the service has recovered and knows what is owed.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Upstream is PAYMENTS, for whoever follows it in this process. Its newest events are movements: the others move nothing.
func (s *Service) Upstream() follower.Upstream {
	return follower.Local(s.engine.Stream(), s.engine.Ready(), s.lastMovement)
}

// Stream is the stream PAYMENTS.
func (s *Service) Stream() *eventlog.Stream { return s.engine.Stream() }

// Residence returns where the accounts are: in memory, or in the checkpoints.
func (s *Service) Residence() engine.Residence { return s.engine.Residence() }
