package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// Bucket is the name of the bucket that the wrapped data keys live in.
const Bucket = "KEYS"

// ErrForgotten means that an account's data key does not exist (any more): what it sealed cannot be read.
var ErrForgotten = errors.New("the account has no data key")

// DataKeys are the accounts' data keys.
type DataKeys struct {
	master *MasterKey
	bucket *eventlog.KeyValue
}

// OpenDataKeys opens the data keys that a master key wraps.
func OpenDataKeys(ctx context.Context, log *eventlog.Log, master *MasterKey) (*DataKeys, error) {
	bucket, err := log.OpenKeyValue(ctx, Bucket, "data keys of accounts, wrapped; deleting one forgets its holder")
	if err != nil {
		return nil, err
	}
	return &DataKeys{master: master, bucket: bucket}, nil
}

// DataKey encrypts one account's personal data.
type DataKey struct {
	account string
	secret  []byte
}

// Get returns an account's data key, or ErrForgotten.
func (k *DataKeys) Get(ctx context.Context, accountID string) (*DataKey, error) {
	wrapped, err := k.bucket.Get(ctx, accountID)
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil, ErrForgotten
	}
	if err != nil {
		return nil, err
	}
	secret, err := open(k.master.wrapping, accountID, wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrap the data key of account %s: %w", accountID, err)
	}
	return &DataKey{account: accountID, secret: secret}, nil
}

// GetOrCreate returns an account's data key, made where there is none.
func (k *DataKeys) GetOrCreate(ctx context.Context, accountID string) (*DataKey, error) {
	key, err := k.Get(ctx, accountID)
	if !errors.Is(err, ErrForgotten) {
		return key, err
	}
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	wrapped, err := seal(k.master.wrapping, accountID, secret)
	if err != nil {
		return nil, err
	}
	err = k.bucket.Create(ctx, accountID, wrapped)
	if errors.Is(err, eventlog.ErrKeyExists) {
		return k.Get(ctx, accountID) // somebody was faster
	}
	if err != nil {
		return nil, err
	}
	return &DataKey{account: accountID, secret: secret}, nil
}

// Seal encrypts with AES-256-GCM: a random 12-byte nonce, then the sealed bytes. The account id is bound to them.
func (k *DataKey) Seal(plain []byte) ([]byte, error) { return seal(k.secret, k.account, plain) }

// Open decrypts what Seal made.
func (k *DataKey) Open(sealed []byte) ([]byte, error) { return open(k.secret, k.account, sealed) }

// DigestKey returns the key of digests over personal data: with the data key gone, they say nothing either.
func (k *DataKey) DigestKey() ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, nil, "cardlog digest v1", keySize)
}

func seal(key []byte, account string, plain []byte) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, plain, []byte(account)), nil
}

func open(key []byte, account string, sealed []byte) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, nil, sealed, []byte(account))
}

// newGCM returns AES-256-GCM that makes its own nonces and puts them in front.
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
