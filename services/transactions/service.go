// Package transactions is authorization, clearing and balances: gRPC in front, the LEDGER streams behind.
package transactions

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/internal/vault"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// Bounds of the number of shards.
const (
	// DefaultShards is the number of shards of a new ledger.
	DefaultShards = 1
	// MaxShards is the most that a ledger can have.
	MaxShards = 64
)

// shardsMetadata is the stream metadata that tells the number of shards.
const shardsMetadata = "cardlog-shards"

// Options say how the service runs.
type Options struct {
	// Accounts is ACCOUNTS, followed for accounts, cards and limits.
	Accounts follower.Upstream
	// Payments is PAYMENTS, followed for payments and their returns.
	Payments follower.Upstream
	// Key is the master key, for the fingerprints of card numbers.
	Key *vault.MasterKey
	// Shards of the ledger when it is created; 0 takes what it was created with, or DefaultShards.
	Shards int
	// Rules returns the rules in force. They may be others from one decision to the next.
	Rules func() *ledger.Rules
	// Clock tells the time.
	Clock func() time.Time
	// Logger hears what happens.
	Logger *slog.Logger
	// OnHealth hears whether the service serves.
	OnHealth func(serving bool)
	// Admit returns nil, or why nothing can be stored just now. Optional.
	Admit func() error
	// Journal hears of every durable event. Optional.
	Journal engine.Journal[*eventsv1.LedgerEvent]
	// Tracer makes the spans of calls that are traced. Optional.
	Tracer trace.Tracer
	// Checkpoints say where states are kept, and how many accounts may be in memory, of all shards together.
	Checkpoints engine.Checkpoints
}

// Service decides, clears and accounts for card transactions.
type Service struct {
	transactionsv1.UnimplementedTransactionsServiceServer

	options  Options
	shards   []*Engine
	parts    *rpc.Parts
	accounts *accountsFollower
	payments *paymentsFollower
	ready    chan struct{}
	meter    *meter
}

// Open makes the service over a log. Run starts it.
func Open(ctx context.Context, log *eventlog.Log, options Options) (*Service, error) {
	count, err := shardCount(ctx, log, options.Shards)
	if err != nil {
		return nil, err
	}
	s := &Service{options: options, parts: rpc.NewParts(options.OnHealth), ready: make(chan struct{}), meter: newMeter()}
	for shard := range count {
		stream, err := log.OpenStream(ctx, eventlog.StreamSpec{
			Name: StreamName(shard), Subjects: fmt.Sprintf("ledger.%02d.*", shard),
			Metadata: map[string]string{shardsMetadata: strconv.Itoa(count)},
		})
		if err != nil {
			return nil, err
		}
		s.shards = append(s.shards, engine.New(stream, engine.Options[*ledger.Account, ledger.Command, *eventsv1.LedgerEvent, ledger.View]{
			Domain: func() engine.Domain[*ledger.Account, ledger.Command, *eventsv1.LedgerEvent, ledger.View] {
				return domain{options.Rules}
			},
			Subject: func(id string) string { return Subject(id, count) }, Source: "/cardlog/transactions", Clock: options.Clock, Logger: options.Logger,
			OnHealth: s.parts.Add(), Admit: options.Admit, Journal: options.Journal, Tracer: options.Tracer,
			Checkpoints: options.Checkpoints.Part(StreamName(shard), count),
		}))
	}
	s.accounts, s.payments = newAccountsFollower(s), newPaymentsFollower(s)
	return s, nil
}

// StreamName returns the name of a shard's stream.
func StreamName(shard int) string { return fmt.Sprintf("LEDGER_%02d", shard) }

var streamName = regexp.MustCompile(`^LEDGER_[0-9]{2}$`)

// IsStreamName says whether a stream's name is that of a shard.
func IsStreamName(name string) bool { return streamName.MatchString(name) }

// shardCount returns the number of shards: what the ledger was created with, else what is wanted.
func shardCount(ctx context.Context, log *eventlog.Log, wanted int) (int, error) {
	if wanted < 0 || wanted > MaxShards {
		return 0, fmt.Errorf("a ledger has 1 to %d shards, not %d", MaxShards, wanted)
	}
	names, err := log.StreamNames(ctx)
	if err != nil {
		return 0, err
	}
	if wanted != 0 { // a stream with another count refuses to be opened
		return wanted, nil
	}
	for _, name := range names {
		if IsStreamName(name) {
			stream, err := log.ReadStream(ctx, name)
			if err != nil {
				return 0, err
			}
			return Shards(stream)
		}
	}
	return DefaultShards, nil
}

// Shards returns the number of shards of the ledger that a stream belongs to.
func Shards(stream *eventlog.Stream) (int, error) {
	count, err := strconv.Atoi(stream.Metadata()[shardsMetadata])
	if err != nil || count < 1 || count > MaxShards {
		return 0, fmt.Errorf("stream %s does not say how many shards its ledger has", stream.Name())
	}
	return count, nil
}

// Shard returns the shard of an account in a ledger of so many shards: FNV-1a 32 of its id modulo their number.
func Shard(accountID string, shards int) int {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(accountID))
	return int(sum.Sum32() % uint32(shards))
}

// Subject returns the subject of an account's events in a ledger of so many shards.
func Subject(accountID string, shards int) string {
	return fmt.Sprintf("ledger.%02d.%s", Shard(accountID, shards), accountID)
}

func (s *Service) shard(accountID string) *Engine {
	return s.shards[Shard(accountID, len(s.shards))]
}

func (s *Service) subject(accountID string) string { return Subject(accountID, len(s.shards)) }

// Register adds the service to a gRPC server.
func (s *Service) Register(server grpc.ServiceRegistrar) {
	transactionsv1.RegisterTransactionsServiceServer(server, s)
}

// Run serves until ctx ends. A shard whose log is damaged, and a follower at an event that it cannot read, stop and tell fail; the others go on.
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
	for _, shard := range s.shards {
		part(shard.Run)
	}
	parts.Go(func() {
		s.accounts.Prepare()             // meanwhile
		for _, shard := range s.shards { // what the ledger has seen is known then
			if !follower.AwaitReady(ctx, shard.Ready()) {
				return
			}
		}
		part(s.accounts.Run)
		part(s.payments.Run)
		if follower.AwaitReady(ctx, s.accounts.Ready(), s.payments.Ready()) {
			close(s.ready)
		}
	})
}

// Ready is closed when the service has recovered and has caught up with ACCOUNTS and PAYMENTS.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// CatchUp returns when the ledger has everything that ACCOUNTS and PAYMENTS held when it was called. Its error is that of ctx, or of the log.
func (s *Service) CatchUp(ctx context.Context) error {
	if err := s.accounts.AwaitAll(ctx); err != nil {
		return err
	}
	return s.payments.AwaitAll(ctx)
}

// ExpireDue makes the service look at the clock again, for one that was moved by hand, and returns when every hold and withholding that is due by then has ended
// in the ledger.
func (s *Service) ExpireDue(ctx context.Context) error {
	for _, shard := range s.shards {
		if err := shard.ExpireDue(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Upstreams are the shards of the ledger, for whoever follows them in this process.
func (s *Service) Upstreams() []follower.Upstream {
	upstreams := make([]follower.Upstream, len(s.shards))
	for i, shard := range s.shards {
		upstreams[i] = follower.Local(shard.Stream(), shard.Ready(), s.lastSequence)
	}
	return upstreams
}

// Streams are the shards of the ledger.
func (s *Service) Streams() []*eventlog.Stream {
	streams := make([]*eventlog.Stream, len(s.shards))
	for i, shard := range s.shards {
		streams[i] = shard.Stream()
	}
	return streams
}

// Residence returns where the accounts of a shard are: in memory, or in the checkpoints.
func (s *Service) Residence(shard int) engine.Residence { return s.shards[shard].Residence() }

// Rebuild makes the state of every account again from the ledger, and returns how many events it is made of.
func (s *Service) Rebuild(ctx context.Context) (events uint64, err error) {
	for _, shard := range s.shards {
		read, err := shard.Rebuild(ctx)
		if err != nil {
			return 0, err
		}
		events += read
	}
	return events, nil
}

// RebuildCards makes the index of cards again from ACCOUNTS, and returns how many events it is made of.
func (s *Service) RebuildCards(ctx context.Context) (events uint64, err error) {
	return s.accounts.Rebuild(ctx)
}

// now is the time by the clock.
func (s *Service) now() time.Time { return s.options.Clock().UTC().Truncate(time.Microsecond) }
