package follower

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// Upstream is a stream that another service writes.
type Upstream struct {
	// Name of the stream.
	Name string
	// Open returns it, or eventlog.ErrNotFound while it does not exist.
	Open func(ctx context.Context) (*eventlog.Stream, error)
	// Ready is closed when LastSequence can be relied on.
	Ready <-chan struct{}
	// LastSequence returns the sequence of an account's newest durable event that followers must see; 0 when there is none.
	// It is nil where the writer is in another process: then what is newest is not known.
	LastSequence func(accountID string) uint64
}

// Remote is a stream that another process writes.
func Remote(log *eventlog.Log, name string) Upstream {
	return Upstream{Name: name, Open: func(ctx context.Context) (*eventlog.Stream, error) { return log.ReadStream(ctx, name) }}
}

// Local is a stream that a service in this process writes.
func Local(stream *eventlog.Stream, ready <-chan struct{}, lastSequence func(accountID string) uint64) Upstream {
	return Upstream{Name: stream.Name(), Open: func(context.Context) (*eventlog.Stream, error) { return stream, nil }, Ready: ready, LastSequence: lastSequence}
}

// Find returns the streams that find finds, asking again until they exist; none when ctx ends. It calls absent when they do not exist.
func Find(ctx context.Context, logger *slog.Logger, find func(ctx context.Context) ([]Upstream, error), absent func()) []Upstream {
	for {
		found, err := find(ctx)
		switch {
		case err == nil:
			return found
		case errors.Is(err, eventlog.ErrNotFound):
			absent()
		case ctx.Err() == nil:
			logger.WarnContext(ctx, "cannot look for the streams to follow", slog.Any("error", err))
		}
		select {
		case <-time.After(absentWait):
		case <-ctx.Done():
			return nil
		}
	}
}

// AwaitReady returns whether all became ready before ctx ended.
func AwaitReady(ctx context.Context, all ...<-chan struct{}) bool {
	for _, ready := range all {
		select {
		case <-ready:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
