package feed

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/rpc"
)

// StreamName is the stream of the public feed.
const StreamName = "EVENTS"

// ServiceName is what health calls the feed, which has no gRPC service.
const ServiceName = "feed"

// DefaultRetention is for how long public events are kept where Options do not say.
const DefaultRetention = 30 * 24 * time.Hour

// followerName is the name of the feed's durable consumers.
const followerName = "feed"

// Options say how the feed runs.
type Options struct {
	// Accounts is ACCOUNTS, Payments is PAYMENTS.
	Accounts, Payments follower.Upstream
	// Ledger returns the shards of the ledger, or eventlog.ErrNotFound while it does not exist.
	Ledger func(ctx context.Context) ([]follower.Upstream, error)
	// Retention is for how long public events are kept; 0 is DefaultRetention.
	Retention time.Duration
	// Logger hears what happens.
	Logger *slog.Logger
	// Tracer makes the spans of calls that are traced. Optional.
	Tracer trace.Tracer
	// OnHealth hears whether the feed serves.
	OnHealth func(serving bool)
}

// Service publishes every stored event to EVENTS, exactly once.
type Service struct {
	options   Options
	publisher *publisher
	parts     *rpc.Parts
	ready     chan struct{}

	mu      sync.Mutex
	sources []*source
}

// source is a stream of facts on its way into EVENTS.
type source struct {
	*follower.Follower[struct{}]
	service *Service
	name    string
	epoch   *epoch // belongs to the goroutine that follows
}

// Open makes the feed over the log that EVENTS is kept in. Run starts it.
func Open(log *eventlog.Log, options Options) *Service {
	if options.Retention == 0 {
		options.Retention = DefaultRetention
	}
	s := &Service{options: options, ready: make(chan struct{}), parts: rpc.NewParts(options.OnHealth)}
	s.publisher = &publisher{
		open: func(ctx context.Context) (*eventlog.Stream, error) {
			return log.OpenPassing(ctx, eventlog.StreamSpec{Name: StreamName, Subjects: "events.>"}, options.Retention)
		},
	}
	s.add(options.Accounts)
	s.add(options.Payments)
	return s
}

// Ready is closed when the feed has caught up with what was stored at the start.
func (s *Service) Ready() <-chan struct{} { return s.ready }

// Run publishes until ctx ends. A source with an event that cannot be read stops and tells fail; the others go on.
func (s *Service) Run(ctx context.Context, fail func(error)) {
	defer s.publisher.giveUp(context.Canceled)
	var running sync.WaitGroup
	defer running.Wait()
	run := func(one *source) {
		running.Go(func() {
			if err := one.Run(ctx); err != nil {
				fail(err)
			}
		})
	}
	for _, one := range s.sources {
		run(one)
	}
	for _, one := range s.sources {
		if !follower.AwaitReady(ctx, one.Ready()) {
			return
		}
	}
	beReady := sync.OnceFunc(func() { close(s.ready) })
	for _, shard := range follower.Find(ctx, s.options.Logger, s.options.Ledger, beReady) { // where there is no ledger, there is nothing of it to publish
		one := s.add(shard)
		run(one)
		if !follower.AwaitReady(ctx, one.Ready()) {
			return
		}
	}
	if ctx.Err() == nil {
		beReady()
	}
}

// add makes a source of a stream.
func (s *Service) add(upstream follower.Upstream) *source {
	one := &source{service: s, name: upstream.Name}
	one.Follower = follower.New(follower.Options[struct{}]{
		Name: followerName, Upstream: upstream, InFlight: inFlightBound, Logger: s.options.Logger, Tracer: s.options.Tracer,
		Resume: one.resume, Handle: one.handle, OnServing: s.parts.Add(),
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = append(s.sources, one)
	return one
}

// resume goes on after the later of the consumer's position and what EVENTS holds.
func (s *source) resume(ctx context.Context, position uint64) (uint64, error) {
	epoch, err := s.service.publisher.join(ctx)
	if err != nil {
		return 0, err
	}
	s.epoch = epoch
	return epoch.adopt(s.name, position), nil
}

// handle puts the public event of a stored one on its way, behind the event of another stream that caused it.
func (s *source) handle(ctx context.Context, m eventlog.Message) (follower.Settle, error) {
	event, err := Translate(s.name, m)
	if err != nil {
		return nil, follower.Unreadable(s.name, m.Sequence, err)
	}
	epoch := s.epoch
	if event.Cause.Sequence != 0 {
		if err := epoch.awaitQueued(ctx, event.Cause.Stream, event.Cause.Sequence); err != nil {
			return nil, err
		}
	}
	record := eventlog.Record{Subject: event.Subject, Header: eventlog.AddTrace(ctx, event.Header), Data: event.Data}
	if err := epoch.put(ctx, queued{source: s.name, sequence: m.Sequence, record: record}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return epoch.awaitDurable(ctx, s.name, m.Sequence) }, nil
}

// Followers returns how far the feed is in each stream of facts.
func (s *Service) Followers(ctx context.Context) []follower.Status {
	s.mu.Lock()
	sources := s.sources
	s.mu.Unlock()
	statuses := make([]follower.Status, len(sources))
	for i, one := range sources {
		statuses[i] = one.Status(ctx)
	}
	return statuses
}

// Stream is the stream EVENTS, or nil while it is not open.
func (s *Service) Stream() *eventlog.Stream {
	s.publisher.mu.Lock()
	defer s.publisher.mu.Unlock()
	if s.publisher.current == nil {
		return nil
	}
	return s.publisher.current.stream
}

var errRebuild = errors.New("the positions are to be found again")

// Rebuild throws away what is known of EVENTS and finds it again there, and returns how many events of the sources are in it.
func (s *Service) Rebuild(ctx context.Context) (events uint64, err error) {
	s.publisher.giveUp(errRebuild)
	epoch, err := s.publisher.join(context.WithoutCancel(ctx))
	if err != nil {
		return 0, err
	}
	epoch.mu.Lock()
	defer epoch.mu.Unlock()
	for _, position := range epoch.durable {
		events += position
	}
	return events, nil
}
