// Package transactions is authorization, clearing and balances: gRPC in front, the LEDGER streams behind.
package transactions

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
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

// Accounts is what this process knows of the system of record for accounts.
type Accounts interface {
	// Ready is closed when Stream and LastSequence can be relied on.
	Ready() <-chan struct{}
	// Stream is the stream ACCOUNTS.
	Stream() *eventlog.Stream
	// LastSequence returns the sequence of an account's newest durable event; 0 when there is no such account.
	LastSequence(accountID string) uint64
}

// Options say how the service runs.
type Options struct {
	// Accounts is followed for accounts, cards and limits.
	Accounts Accounts
	// Key is the master key, for the fingerprints of card numbers.
	Key *vault.MasterKey
	// Shards of the ledger when it is created; 0 takes what it was created with, or DefaultShards.
	Shards int
	// Rules in force.
	Rules *ledger.Rules
	// Clock tells the time.
	Clock func() time.Time
	// Logger hears what happens.
	Logger *slog.Logger
	// OnHealth hears whether the service serves.
	OnHealth func(serving bool)
}

// Service decides, clears and accounts for card transactions.
type Service struct {
	transactionsv1.UnimplementedTransactionsServiceServer

	options  Options
	shards   []*Engine
	health   sync.Mutex
	serving  []bool // by shard, and last the follower
	follower *follower
	ready    chan struct{}
}

// Open makes the service over a log. Run starts it.
func Open(ctx context.Context, log *eventlog.Log, options Options) (*Service, error) {
	count, err := shardCount(ctx, log, options.Shards)
	if err != nil {
		return nil, err
	}
	s := &Service{options: options, serving: make([]bool, count+1), ready: make(chan struct{})}
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
			OnHealth: func(serving bool) { s.setServing(shard, serving) },
		}))
	}
	s.follower = newFollower(s)
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

// Run serves until ctx ends. A shard whose log is damaged, and the follower at an event of ACCOUNTS that it cannot read, stop and tell fail; the others go on.
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
	part(func(ctx context.Context) error {
		ready := []<-chan struct{}{s.options.Accounts.Ready()}
		for _, shard := range s.shards {
			ready = append(ready, shard.Ready())
		}
		for _, recovered := range ready {
			select {
			case <-recovered:
			case <-ctx.Done():
				return nil
			}
		}
		return s.follower.run(ctx)
	})
}

// Ready is closed when the service has recovered and has caught up with ACCOUNTS.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Wake makes the service look at the clock again, for a clock that was moved by hand.
func (s *Service) Wake() {
	for _, shard := range s.shards {
		shard.Wake()
	}
}

// setServing notes whether a part of the service serves. The whole does when all of them do.
func (s *Service) setServing(part int, serving bool) {
	s.health.Lock()
	defer s.health.Unlock()
	s.serving[part] = serving
	if s.options.OnHealth != nil {
		s.options.OnHealth(!slices.Contains(s.serving, false))
	}
}

// now is the time by the clock.
func (s *Service) now() time.Time { return s.options.Clock().UTC().Truncate(time.Microsecond) }
