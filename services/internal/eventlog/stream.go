package eventlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stream is one stream of facts.
type Stream struct {
	name     string
	subjects string
	log      *Log
	handle   jetstream.Stream

	// written says that this process writes the stream: then only what is behind the barrier may be seen.
	written bool
	// passing says that its messages are dropped with age: it is not recorded what of it is durable.
	passing bool

	// ackInbox is where the answers to our appends arrive, where they do not take a wire; one append is under way at a time.
	ackInbox string
	acks     *nats.Subscription
	meter    *meter // of our appends; nil where this process does not write

	mu      sync.Mutex
	durable uint64
	moved   chan struct{} // closed when durable grows
	recent  recent
}

// StreamSpec names a stream of facts.
type StreamSpec struct {
	// Name of the stream.
	Name string
	// Subjects that it takes.
	Subjects string
	// Metadata kept with the stream and compared when it is opened again.
	Metadata map[string]string
}

// MetadataError says that a stream was created with other settings than those asked for.
type MetadataError struct{ Stream, Key, Stored, Wanted string }

// Error names the setting.
func (e *MetadataError) Error() string {
	return fmt.Sprintf("stream %s was created with %s=%s, not %s: start with %s=%s, or in another directory",
		e.Stream, e.Key, e.Stored, e.Wanted, e.Key, e.Stored)
}

// OpenStream opens a stream of facts, and creates it where it does not exist and the durable record does not know it.
func (l *Log) OpenStream(ctx context.Context, spec StreamSpec) (*Stream, error) {
	handle, err := l.js.Stream(ctx, spec.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if recorded := l.durable(spec.Name); recorded > 0 {
			return nil, &LostError{Stream: spec.Name, From: 1, To: recorded}
		}
		if handle, err = l.js.CreateStream(ctx, l.truth(spec)); err != nil {
			return nil, fmt.Errorf("create stream %s: %w", spec.Name, err)
		}
	case err != nil:
		return nil, fmt.Errorf("%w: open stream %s: %w", ErrUnreachable, spec.Name, err)
	}
	if err := guarded(spec, handle.CachedInfo().Config); err != nil {
		return nil, err
	}
	for key, wanted := range spec.Metadata {
		if stored := handle.CachedInfo().Config.Metadata[key]; stored != wanted {
			return nil, &MetadataError{Stream: spec.Name, Key: key, Stored: stored, Wanted: wanted}
		}
	}
	if handle, err = l.spread(ctx, handle); err != nil {
		return nil, err
	}
	opened, err := l.writtenStream(spec.Name, handle)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, opened)
	return opened, nil
}

// OpenPassing opens a stream whose messages are dropped when they are older than retention, and creates it where it does not exist.
// It holds copies of facts, not facts: no promise is kept about what was in it.
func (l *Log) OpenPassing(ctx context.Context, spec StreamSpec, retention time.Duration) (*Stream, error) {
	config := l.truth(spec)
	if handle, err := l.js.Stream(ctx, spec.Name); err == nil {
		config.Replicas = l.replicasOf(handle.CachedInfo().Config.Replicas)
	}
	config.MaxAge, config.Discard = retention, jetstream.DiscardOld
	config.DenyDelete, config.DenyPurge = false, false // an operator may make room
	handle, err := l.js.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w: open stream %s: %w", ErrUnreachable, spec.Name, err)
	}
	opened, err := l.writtenStream(spec.Name, handle)
	if err != nil {
		return nil, err
	}
	opened.passing = true
	return opened, nil
}

// ReadStream opens a stream to read it. It returns ErrNotFound when there is none of the name.
func (l *Log) ReadStream(ctx context.Context, name string) (*Stream, error) {
	handle, err := l.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w: there is no stream %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: open stream %s: %w", ErrUnreachable, name, err)
	}
	return l.stream(name, handle)
}

func (l *Log) stream(name string, handle jetstream.Stream) (*Stream, error) {
	if len(handle.CachedInfo().Config.Subjects) == 0 {
		return nil, fmt.Errorf("stream %s takes no subjects: it is a mirror or a source of another", name)
	}
	return &Stream{name: name, subjects: handle.CachedInfo().Config.Subjects[0], log: l, handle: handle, moved: make(chan struct{})}, nil
}

// writtenStream is a stream that this process writes, for as long as the log is open.
func (l *Log) writtenStream(name string, handle jetstream.Stream) (*Stream, error) {
	s, err := l.stream(name, handle)
	if err != nil {
		return nil, err
	}
	s.written, s.meter = true, newMeter(name)
	if l.dial != nil {
		if _, err := l.connect(name); err != nil {
			return nil, fmt.Errorf("%w: connect: %w", ErrUnreachable, err)
		}
		return s, nil
	}
	s.ackInbox = l.appends.NewInbox()
	if s.acks, err = l.appends.SubscribeSync(s.ackInbox); err != nil {
		return nil, fmt.Errorf("%w: subscribe: %w", ErrUnreachable, err)
	}
	return s, nil
}

// truth is the configuration of a stream that is the system of record. Every option is written out, with its reason.
func (l *Log) truth(spec StreamSpec) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               spec.Name,
		Subjects:           []string{spec.Subjects},
		Metadata:           spec.Metadata,
		Storage:            jetstream.FileStorage,
		Replicas:           l.replicasOf(0),
		Retention:          jetstream.LimitsPolicy, // and no limit below: nothing leaves
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxAge:             0,
		MaxMsgsPerSubject:  -1,
		MaxConsumers:       -1,
		MaxMsgSize:         1 << 20,                      // an event is far smaller; this bounds a mistake
		Discard:            jetstream.DiscardNew,         // a full disk refuses the newest rather than drop the oldest
		Duplicates:         0,                            // idempotency comes from the log, not from Nats-Msg-Id
		DenyDelete:         true,                         // facts are not deleted …
		DenyPurge:          true,                         // … one by one or all at once
		AllowRollup:        false,                        // … nor replaced
		AllowMsgTTL:        false,                        // … nor do they expire
		AllowMsgSchedules:  false,                        // would silently lift DenyPurge
		AllowDirect:        true,                         // reads are direct gets
		AllowAtomicPublish: true,                         // a round is one atomic batch where it may not be pipelined
		PersistMode:        jetstream.DefaultPersistMode, // async would ack before the write
		Compression:        jetstream.NoCompression,      // the newest events are read most
	}
}

// Name returns the stream's name.
func (s *Stream) Name() string { return s.name }

// Metadata returns what was stored with the stream when it was created.
func (s *Stream) Metadata() map[string]string { return s.handle.CachedInfo().Config.Metadata }

// Last returns the sequence of the stream's last message, durable or not; 0 when it is empty.
func (s *Stream) Last(ctx context.Context) (uint64, error) {
	extent, err := s.Extent(ctx)
	return extent.Last, err
}

// End returns the sequence of the last message that a follower may see: the last durable one where this process writes the stream, else the last.
func (s *Stream) End(ctx context.Context) (uint64, error) {
	if s.written {
		durable, _ := s.Durable()
		return durable, nil
	}
	return s.Last(ctx)
}

// Extent is how much a stream holds.
type Extent struct {
	// First and Last are the sequences of its first and last message; Last is 0 when nothing was ever in it.
	First, Last uint64
	// Subjects is the number of subjects with messages.
	Subjects uint64
	// Bytes on disk.
	Bytes uint64
}

// Extent returns how much the stream holds, durable or not.
func (s *Stream) Extent(ctx context.Context) (Extent, error) {
	state, err := s.state(ctx)
	return Extent{First: state.FirstSeq, Last: state.LastSeq, Subjects: state.NumSubjects, Bytes: state.Bytes}, err
}

func (s *Stream) state(ctx context.Context, options ...jetstream.StreamInfoOpt) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := s.handle.Info(ctx, options...)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("%w: %s: %w", ErrUnreachable, s.name, err)
	}
	return info.State, nil
}

// Check returns the sequence of the stream's last message, durable or not, after holding the stream against what was recorded as durable.
// It returns a *LostError when acknowledged events are gone, a *GapError when only unanswered ones are.
func (s *Stream) Check(ctx context.Context) (uint64, error) { return s.Intact(ctx, s.Recorded()) }

// Settle makes everything up to a sequence, which the caller has written or read, durable.
func (s *Stream) Settle(last uint64) error {
	if s.log.barrier != nil && last > 0 {
		recorded := s.name
		if s.passing {
			recorded = ""
		}
		if err := s.log.barrier.Sync(recorded, last); err != nil {
			return err
		}
	}
	s.setDurable(last)
	return nil
}

// Recorded returns the sequence that is known to be durable: from the record, or because this process was told so; 0 where nothing is.
func (s *Stream) Recorded() uint64 {
	durable, _ := s.Durable()
	return max(durable, s.log.durable(s.name))
}

// durable returns the sequence of a stream that is recorded as durable; 0 where there is no record.
func (l *Log) durable(stream string) uint64 {
	if l.barrier != nil {
		return l.barrier.recorded(stream)
	}
	return l.recorded[stream]
}

// guarded returns an error when a stream that exists does not protect its facts as ours do.
func guarded(spec StreamSpec, stored jetstream.StreamConfig) error {
	for _, setting := range []struct {
		name string
		is   bool
	}{
		{"subjects " + spec.Subjects, len(stored.Subjects) == 1 && stored.Subjects[0] == spec.Subjects},
		{"file storage", stored.Storage == jetstream.FileStorage},
		{"deny delete", stored.DenyDelete},
		{"deny purge", stored.DenyPurge},
		{"no rollup", !stored.AllowRollup},
		{"retention by limits, without a limit", stored.Retention == jetstream.LimitsPolicy && stored.MaxAge == 0 && stored.MaxMsgs <= 0 && stored.MaxBytes <= 0 && stored.MaxMsgsPerSubject <= 0},
		{"discard new", stored.Discard == jetstream.DiscardNew},
		{"direct get", stored.AllowDirect},
		{"atomic batches", stored.AllowAtomicPublish},
	} {
		if !setting.is {
			return fmt.Errorf("stream %s exists and was not made by cardlog: it does not have %s; remove it, or use another NATS account", spec.Name, setting.name)
		}
	}
	return nil
}

// Intact checks, by what the server says of the stream, that no event is missing, given the sequence that was recorded as durable, and returns the last sequence.
// It returns a *LostError or a *GapError like Check.
func (s *Stream) Intact(ctx context.Context, recorded uint64) (uint64, error) {
	state, err := s.state(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return 0, err
	}
	return state.LastSeq, intact(s.name, state, recorded)
}

// Durable returns the sequence up to which the stream is durable, and a channel that is closed when that grows.
func (s *Stream) Durable() (uint64, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable, s.moved
}

func (s *Stream) setDurable(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sequence > s.durable {
		s.durable = sequence
		close(s.moved)
		s.moved = make(chan struct{})
	}
}
