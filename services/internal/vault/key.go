// Package vault keeps what must not be readable in the log: card numbers become fingerprints, holders' details are encrypted under a data key per account.
//
// Everything hangs on one master key in a file. From it are derived (HKDF-SHA-256, RFC 5869) the key of the fingerprints, the key that wraps the data keys, and a
// check value that is stored with the log, so that a log is never opened with another key. The data keys live in the bucket KEYS, outside the undeletable log:
// deleting one makes that holder's details unreadable for ever.
package vault

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const keySize = 32

// Errors of reading a key file.
var (
	// ErrKeyMissing means that there is no key file.
	ErrKeyMissing = errors.New("the key file is missing")
	// ErrKeyOpen means that others than its owner may read the key file.
	ErrKeyOpen = errors.New("the key file can be read by others than its owner")
)

// MasterKey is the key from which all others are derived.
type MasterKey struct {
	fingerprint, wrapping, check, naming []byte
}

// ReadKey reads a master key from a file. It returns ErrKeyMissing or ErrKeyOpen where that is so.
func ReadKey(path string) (*MasterKey, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrKeyMissing, path)
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; run chmod 600 on it", ErrKeyOpen, path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != keySize {
		return nil, fmt.Errorf("%s is not a key file: it must hold %d hexadecimal digits", path, 2*keySize)
	}
	return derive(secret)
}

// CreateKey makes a new master key in a file of mode 0600 that does not exist yet. The file is on disk when it returns.
func CreateKey(path string) (*MasterKey, error) {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString(hex.EncodeToString(secret) + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return nil, err
	}
	return derive(secret)
}

func derive(secret []byte) (*MasterKey, error) {
	key := &MasterKey{}
	for purpose, into := range map[string]*[]byte{
		"cardlog fingerprint v1": &key.fingerprint, "cardlog wrapping v1": &key.wrapping,
		"cardlog check v1": &key.check, "cardlog naming v1": &key.naming,
	} {
		derived, err := hkdf.Key(sha256.New, secret, nil, purpose, keySize)
		if err != nil {
			return nil, err
		}
		*into = derived
	}
	return key, nil
}

// Check returns a value that tells this key from others and says nothing else about it.
func (k *MasterKey) Check() string { return hex.EncodeToString(k.check[:8]) }

// Fingerprint returns the HMAC-SHA-256 of a card number: the same for the same number, and of no use without the key.
func (k *MasterKey) Fingerprint(cardNumber string) []byte {
	return mac(k.fingerprint, cardNumber)
}

// Name makes an id that follows from a caller's request id, so that the repeated request names the same thing. Prefix says what it is the id of.
func (k *MasterKey) Name(prefix string, parts ...string) string {
	return prefix + hex.EncodeToString(mac(k.naming, prefix+"\x00"+strings.Join(parts, "\x00"))[:12])
}

func mac(key []byte, text string) []byte {
	sum := hmac.New(sha256.New, key)
	sum.Write([]byte(text))
	return sum.Sum(nil)
}
