package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// KeyValue is a bucket of small values that, unlike facts, can be deleted.
type KeyValue struct {
	log    *Log
	bucket jetstream.KeyValue
}

// ErrKeyExists means that a key was set before.
var ErrKeyExists = errors.New("the key exists")

// OpenKeyValue opens a bucket, and creates it where it does not exist.
func (l *Log) OpenKeyValue(ctx context.Context, name, description string) (*KeyValue, error) {
	bucket, err := l.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		bucket, err = l.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, Description: description, Storage: jetstream.FileStorage, Replicas: l.replicasOf(0), History: 1,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: bucket %s: %w", ErrUnreachable, name, err)
	}
	kept, err := l.js.Stream(ctx, bucketStream(name))
	if err != nil {
		return nil, fmt.Errorf("%w: bucket %s: %w", ErrUnreachable, name, err)
	}
	if _, err := l.spread(ctx, kept); err != nil {
		return nil, err
	}
	return &KeyValue{log: l, bucket: bucket}, nil
}

// bucketStream is the stream that a bucket is kept in.
func bucketStream(bucket string) string { return "KV_" + bucket }

// kvOperation is the header of a value that says that the key was deleted.
const kvOperation = "KV-Operation"

// Get returns a key's value, or ErrNotFound.
func (kv *KeyValue) Get(ctx context.Context, key string) ([]byte, error) {
	if !kv.log.reads.IsConnected() {
		return nil, ErrUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	entry, err := kv.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return kv.getFromLeader(ctx, key)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return entry.Value(), nil
}

// getFromLeader asks the one server that has the newest value, for one that lags does not know a new key. A key that was deleted is not found.
func (kv *KeyValue) getFromLeader(ctx context.Context, key string) ([]byte, error) {
	if kv.log.dial != nil {
		return nil, ErrNotFound
	}
	bucket := kv.bucket.Bucket()
	m, found, err := kv.log.askLeader(ctx, bucketStream(bucket), directGet{LastFor: "$KV." + bucket + "." + key})
	if err == nil && (!found || m.Header.Get(kvOperation) != "") {
		err = ErrNotFound
	}
	return m.Data, err
}

// Create sets a key that does not exist, else ErrKeyExists. It is durable once any later append is.
func (kv *KeyValue) Create(ctx context.Context, key string, value []byte) error {
	if !kv.log.reads.IsConnected() {
		return ErrUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := kv.bucket.Create(ctx, key, value)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrKeyExists
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// All calls each with every key and value.
func (kv *KeyValue) All(ctx context.Context, each func(key string, value []byte) error) error {
	lister, err := kv.bucket.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = lister.Stop() }()
	for key := range lister.Keys() {
		value, err := kv.Get(ctx, key)
		if err != nil {
			return err
		}
		if err := each(key, value); err != nil {
			return err
		}
	}
	return nil
}
