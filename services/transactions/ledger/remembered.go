package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// remembered has a number for each of many fingerprints, in little more than their 16 bytes: an account remembers its ids for its life. It is a table with linear
// probing; as fingerprints are hashes, where one is kept follows from its own bits.
type remembered struct {
	slots []rememberedID
	count int
}

// rememberedID is one of them; the number of a free slot is 0.
type rememberedID struct {
	mark   fingerprint
	number uint64
}

// fingerprint stands for an id in memory: the first 64 bits of its SHA-256, mixed with its kind. A hit is confirmed by reading the event, so a collision is noticed.
type fingerprint uint64

// Kinds of fingerprints that are not kinds of commands. A takenBack is added to the kind of the command that was taken back.
const (
	transactionID eventsv1.CommandKind = 0
	takenBack     eventsv1.CommandKind = 0x80
	messageID     eventsv1.CommandKind = 0xFF
)

func fingerprintOf(kind eventsv1.CommandKind, id string) fingerprint {
	sum := sha256.Sum256([]byte(id))
	return fingerprint(binary.BigEndian.Uint64(sum[:])).of(kind)
}

// of makes the fingerprint of a transaction's id that of the same id of another kind.
func (f fingerprint) of(kind eventsv1.CommandKind) fingerprint {
	return f ^ fingerprint(uint64(kind)*0x9E3779B97F4A7C15)
}

// at returns the number of a fingerprint; 0 when there is none.
func (r *remembered) at(mark fingerprint) uint64 {
	if r.count == 0 {
		return 0
	}
	return r.slots[r.find(mark)].number
}

// set gives a fingerprint a number above 0.
func (r *remembered) set(mark fingerprint, number uint64) {
	if (r.count+1)*16 > len(r.slots)*15 {
		r.grow(len(r.slots) + len(r.slots)/12 + 4)
	}
	slot := &r.slots[r.find(mark)]
	if slot.number == 0 {
		r.count++
	}
	*slot = rememberedID{mark, number}
}

// find returns the slot of a fingerprint, or the free one where it would be.
func (r *remembered) find(mark fingerprint) int {
	at, _ := bits.Mul64(uint64(mark), uint64(len(r.slots)))
	for r.slots[at].number != 0 && r.slots[at].mark != mark {
		if at++; at == uint64(len(r.slots)) {
			at = 0
		}
	}
	return int(at)
}

// grow makes room for size slots.
func (r *remembered) grow(size int) {
	before := r.slots
	r.slots = make([]rememberedID, size)
	for _, slot := range before {
		if slot.number != 0 {
			r.slots[r.find(slot.mark)] = slot
		}
	}
}

// each calls visit with all of them, in no order, until it returns false.
func (r *remembered) each(visit func(mark fingerprint, number uint64) bool) {
	for _, slot := range r.slots {
		if slot.number != 0 && !visit(slot.mark, slot.number) {
			return
		}
	}
}
