// Package command has the few words that the engine and the pure domains share: where an event will be stored, what must be looked up first,
// and the digest by which a repeated command is told from another one.
package command

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Position is where and when an event is stored.
type Position struct {
	// Sequence in the stream.
	Sequence uint64
	// Time of the decision.
	Time time.Time
}

// Lookup is what an account's memory says about a command before it is decided.
type Lookup struct {
	// Answer is the sequence of the event that answered this command's id before; 0 when none did.
	Answer uint64
	// Needs is the sequence of an event that must be recalled before the command can be decided; 0 when none must.
	Needs uint64
}

// DigestSize is the size of a content digest in bytes: SHA-256 cut to 128 bits, since it need only tell one caller's commands apart.
const DigestSize = 16

// Digest collects the content of a command, field by field in a fixed order. Each field is written with its length, so no two contents run into each other.
// It is a value, as a slice is: go on with the digest that a method returns, and with no other.
type Digest struct {
	content []byte
	key     []byte // nil for a digest without one
}

// contentRoom is enough for the content of most commands.
const contentRoom = 384

// NewDigest begins a digest.
func NewDigest() Digest { return Digest{content: make([]byte, 0, contentRoom)} }

// NewKeyedDigest begins a digest that says nothing about the content to who does not have the key: for content that can be guessed, such as a person's details.
func NewKeyedDigest(key []byte) Digest {
	return Digest{content: make([]byte, 0, contentRoom), key: append([]byte{}, key...)}
}

// Text adds texts.
func (d Digest) Text(texts ...string) Digest {
	for _, text := range texts {
		d.content = append(binary.BigEndian.AppendUint64(d.content, uint64(len(text))), text...)
	}
	return d
}

// Number adds a number.
func (d Digest) Number(number int64) Digest {
	d.content = binary.BigEndian.AppendUint64(d.content, uint64(number))
	return d
}

// Flag adds yes or no.
func (d Digest) Flag(flag bool) Digest {
	if flag {
		return d.Number(1)
	}
	return d.Number(0)
}

// Time adds a moment, or that there is none.
func (d Digest) Time(moment *timestamppb.Timestamp) Digest {
	if moment == nil {
		return d.Flag(false)
	}
	return d.Flag(true).Number(moment.GetSeconds()).Number(int64(moment.GetNanos()))
}

// Sum returns the digest of what was added.
func (d Digest) Sum() []byte {
	if d.key != nil {
		return d.keyedSum()
	}
	sum := sha256.Sum256(d.content)
	return bytes.Clone(sum[:DigestSize])
}

// keyedSum works on copies: what is given to an interface is on the heap, and the content of digests without a key need not be.
func (d Digest) keyedSum() []byte {
	sum := hmac.New(sha256.New, bytes.Clone(d.key))
	sum.Write(bytes.Clone(d.content))
	return sum.Sum(nil)[:DigestSize]
}
