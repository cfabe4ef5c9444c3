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
func seal(to *space, previous Hash, event proto.Message) (encoded []byte, hash Hash, err error) {
	room := to.room(len(previous) + proto.Size(event) + sealedSize)
	linked, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(append(room, previous[:]...), event)
	if err != nil {
		return nil, Hash{}, err
	}
	hash = sha256.Sum256(linked)
	linked = append(append(linked, fieldPrefix...), hash[:]...)
	return to.keep(linked)[len(previous):], hash, nil
}

// space is where events are encoded: in one large piece after the other, which lives as long as something in it is used.
type space struct {
	free []byte // what is left of the piece, without length
}

// spacePiece is the size of a piece.
const spacePiece = 64 << 10

// room returns an empty slice with room for so many bytes, which is to be kept before the next is asked for.
func (s *space) room(bytes int) []byte {
	if cap(s.free) < bytes {
		s.free = make([]byte, 0, max(bytes, spacePiece))
	}
	return s.free
}

// keep gives up what was written into room to the one who wrote it.
func (s *space) keep(written []byte) []byte {
	if len(written) <= cap(s.free) {
		s.free = s.free[len(written):len(written)]
	}
	return written[:len(written):len(written)]
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
