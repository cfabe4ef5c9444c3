package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// CopyStream makes a stream of the same name, settings and facts, up to a sequence, in another log that does not have it.
// It returns a *LostError when not all of them can be read.
func (l *Log) CopyStream(ctx context.Context, name string, through uint64, into *Log) error {
	from, err := l.ReadStream(ctx, name)
	if err != nil {
		return err
	}
	config := from.handle.CachedInfo().Config
	to, err := into.OpenStream(ctx, StreamSpec{Name: name, Subjects: from.subjects, Metadata: ownMetadata(config.Metadata)})
	if err != nil {
		return err
	}
	var round []Record
	copied := uint64(0)
	flush := func() error {
		if len(round) == 0 {
			return nil
		}
		if err := to.Append(ctx, copied, round); err != nil {
			return err
		}
		copied += uint64(len(round))
		round = nil
		return nil
	}
	if through == 0 {
		return nil
	}
	err = from.Read(ctx, Range{Through: through}, func(m Message) error {
		round = append(round, Record{Subject: m.Subject, Header: Lines(cloudEventHeader(m.Header)), Data: m.Data})
		if len(round) < RoundBound {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && copied != through {
		err = &LostError{Stream: name, From: copied + 1, To: through}
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}

// ownMetadata leaves out what the server itself keeps with a stream.
func ownMetadata(metadata map[string]string) map[string]string {
	own := map[string]string{}
	for key, value := range metadata {
		if !strings.HasPrefix(key, "_nats") {
			own[key] = value
		}
	}
	return own
}

// cloudEventHeader leaves out what the server and the append added.
func cloudEventHeader(header Header) Header {
	own := Header{}
	for key, values := range header {
		if strings.HasPrefix(key, "ce-") || key == "traceparent" {
			own[key] = values
		}
	}
	return own
}

// CopyKeyValue copies a bucket into another log.
func (l *Log) CopyKeyValue(ctx context.Context, name string, into *Log) error {
	if _, err := l.js.KeyValue(ctx, name); errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil
	}
	from, err := l.OpenKeyValue(ctx, name, "")
	if err != nil {
		return err
	}
	status, err := from.bucket.Status(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	to, err := into.OpenKeyValue(ctx, name, status.Config().Description)
	if err != nil {
		return err
	}
	return from.All(ctx, func(key string, value []byte) error { return to.Create(ctx, key, value) })
}
