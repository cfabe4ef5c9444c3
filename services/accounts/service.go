// Package accounts is the system of record for accounts and cards: gRPC in front, the stream ACCOUNTS behind.
package accounts

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/accounts/account"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/vault"
)

// StreamName is the stream of accounts and cards.
const StreamName = "ACCOUNTS"

// KeyCheckMetadata is the stream metadata that tells the master key of the log.
const KeyCheckMetadata = "cardlog-key-check"

// Options say how the service runs.
type Options struct {
	// Key is the master key.
	Key *vault.MasterKey
	// BIN that card numbers begin with.
	BIN string
	// KnownProfile says whether there is a rules profile of a name.
	KnownProfile func(name string) bool
	// DefaultProfile is the profile of accounts that name none.
	DefaultProfile string
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
	Journal engine.Journal[*eventsv1.AccountEvent]
	// Tracer makes the spans of calls that are traced. Optional.
	Tracer trace.Tracer
}

// Service keeps accounts and cards.
type Service struct {
	accountsv1.UnimplementedAccountsServiceServer

	engine  *Engine
	keys    *vault.DataKeys
	options Options
}

// Open makes the service over a log. Run starts it.
func Open(ctx context.Context, log *eventlog.Log, options Options) (*Service, error) {
	if err := vault.CheckBIN(options.BIN); err != nil {
		return nil, err
	}
	stream, err := log.OpenStream(ctx, eventlog.StreamSpec{
		Name: StreamName, Subjects: "accounts.*",
		Metadata: map[string]string{KeyCheckMetadata: options.Key.Check()},
	})
	if err != nil {
		return nil, err
	}
	keys, err := vault.OpenDataKeys(ctx, log, options.Key)
	if err != nil {
		return nil, fmt.Errorf("open the data keys: %w", err)
	}
	s := &Service{keys: keys, options: options}
	s.engine = engine.New(stream, engine.Options[*account.Account, account.Command, *accountEvent, account.View]{
		Domain: newDomain, Subject: Subject, Source: "/cardlog/accounts",
		Clock: options.Clock, Logger: options.Logger, OnHealth: options.OnHealth, Admit: options.Admit, Journal: options.Journal, Tracer: options.Tracer,
		Checkpoints: options.Checkpoints.Part(StreamName, 1),
	})
	return s, nil
}

// Subject returns the subject of an account's events.
func Subject(accountID string) string { return "accounts." + accountID }

// Register adds the service to a gRPC server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	accountsv1.RegisterAccountsServiceServer(server, s)
}

// Run serves until ctx ends. When the log is damaged it stops serving and tells fail; reads of what was read before go on.
func (s *Service) Run(ctx context.Context, fail func(error)) {
	if err := s.engine.Run(ctx); err != nil {
		fail(err)
	}
}

// serving returns an error until the service has recovered: what it could say before is not true.
func (s *Service) serving() error {
	select {
	case <-s.engine.Ready():
		return nil
	default:
		return failure.New(failure.Unavailable, "STARTING", "the service is recovering from its log; try again with the same id")
	}
}

// Ready is closed when the service has recovered.
func (s *Service) Ready() <-chan struct{} { return s.engine.Ready() }

// Upstream is ACCOUNTS, for whoever follows it in this process.
func (s *Service) Upstream() follower.Upstream {
	return follower.Local(s.engine.Stream(), s.engine.Ready(), func(accountID string) uint64 {
		if view, there := s.engine.Published(accountID); there {
			return view.Sequence
		}
		_, sequence, _ := s.engine.Stored(accountID)
		return sequence
	})
}

// Stream is the stream ACCOUNTS.
func (s *Service) Stream() *eventlog.Stream { return s.engine.Stream() }

// Residence returns where the accounts are: in memory, or in the checkpoints.
func (s *Service) Residence() engine.Residence { return s.engine.Residence() }

// Collect tells Prometheus how the service is.
func (s *Service) Collect(to chan<- prometheus.Metric) { s.engine.Collect(to) }
