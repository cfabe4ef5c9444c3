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
			Bucket: name, Description: description, Storage: jetstream.FileStorage, Replicas: 1, History: 1,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: bucket %s: %w", ErrUnreachable, name, err)
	}
	return &KeyValue{log: l, bucket: bucket}, nil
}

// Get returns a key's value, or ErrNotFound.
func (kv *KeyValue) Get(ctx context.Context, key string) ([]byte, error) {
	if !kv.log.reads.IsConnected() {
		return nil, ErrUnreachable
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	entry, err := kv.bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return entry.Value(), nil
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
