package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"

	"google.golang.org/protobuf/proto"
)

// Hash is the chain hash of an event: SHA-256 over the chain hash of the account's previous event (32 zero bytes before the first) and the bytes of the event
// up to its field chain_hash. That field is always written last, as fieldPrefix and the 32 bytes, so what is hashed is exactly what is stored.
type Hash [sha256.Size]byte

// fieldPrefix is the tag of field 15 with length-delimited bytes, and the length 32.
var fieldPrefix = []byte{15<<3 | 2, sha256.Size}

// sealedSize is the number of bytes that the chain hash takes at the end of an event.
const sealedSize = 2 + sha256.Size

// errUnsealed means that an event does not end with its chain hash.
var errUnsealed = errors.New("the event does not end with its chain hash")

// seal encodes an event behind a previous hash.
func seal(previous Hash, event proto.Message) ([]byte, Hash, error) {
	encoded := make([]byte, 0, proto.Size(event)+sealedSize)
	encoded, err := proto.MarshalOptions{}.MarshalAppend(encoded, event)
	if err != nil {
		return nil, Hash{}, err
	}
	hash := link(previous, encoded)
	encoded = append(encoded, fieldPrefix...)
	return append(encoded, hash[:]...), hash, nil
}

// unseal returns the hash at the end of an encoded event, and the hash that should be there.
func unseal(previous Hash, encoded []byte) (stored, computed Hash, err error) {
	body := len(encoded) - sealedSize
	if body < 0 || !bytes.Equal(encoded[body:body+2], fieldPrefix) {
		return Hash{}, Hash{}, errUnsealed
	}
	return Hash(encoded[body+2:]), link(previous, encoded[:body]), nil
}

func link(previous Hash, body []byte) Hash {
	h := sha256.New()
	h.Write(previous[:])
	h.Write(body)
	return Hash(h.Sum(nil))
}
