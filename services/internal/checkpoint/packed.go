package checkpoint

import (
	"encoding/binary"
	"math"
)

// packed is a hash map of short rows in two slices without pointers: the garbage collector looks at none of them, however many there are. Both grow by a quarter, as
// memory counts. A row that outgrew its record leaves it behind, as one that is removed does; when the data are full, what is live moves on without them.
//
// The caller hashes the keys, each always to the same. A packed is not for many goroutines at once.
type packed struct {
	// slots are the upper half of a key's hash, and below it where its record is in data; 0 is a free one. A key's slot is the first from its home on that was free.
	slots []uint64
	count int // of the keys
	// data are a byte that is not used, and the records: a key, and the room that its row has.
	data []byte
	live int // of data, what slots point to
}

// mostData bounds the data in bytes, so that a slot can point to every record.
const mostData = math.MaxInt32

// get returns the row of a key. It is part of the data: good until something is set.
func (p *packed) get(hash uint64, key string) (row []byte, known bool) {
	if p.count == 0 {
		return nil, false
	}
	slot, known := p.find(hash, key)
	if !known {
		return nil, false
	}
	_, room, _ := p.record(slot)
	row, _ = text(room)
	return row, true
}

// set sets the row of a key: in its place if it fits there.
func (p *packed) set(hash uint64, key string, row []byte) {
	if 4*(p.count+1) > 3*len(p.slots) {
		p.spread(len(p.slots) + len(p.slots)/4 + 8)
	}
	slot, known := p.find(hash, key)
	need, old := textSize(len(row)), 0
	if known {
		_, room, size := p.record(slot)
		if need <= len(room) {
			appendText(room[:0], row)
			return
		}
		need, old = need+need/4, size // a row that grows once grows again
	}
	p.slots[slot] = hash>>32<<32 | uint64(p.add(key, row, need))
	p.live -= old
	if !known {
		p.count++
	}
}

// add appends a record whose row has room, and returns where it is.
func (p *packed) add(key string, row []byte, room int) (at int) {
	if size := textSize(len(key)) + textSize(room); size > cap(p.data)-len(p.data) {
		p.compact(size)
	}
	at = len(p.data)
	p.data = binary.AppendUvarint(appendText(p.data, key), uint64(room))
	end := len(p.data) + room
	p.data = appendText(p.data, row)
	p.data = append(p.data, make([]byte, end-len(p.data))...)
	p.live += end - at
	return at
}

// compact moves what is live into new data, with room for more.
func (p *packed) compact(more int) {
	need := 1 + p.live + more
	if need > mostData {
		panic("checkpoint: there is no room for so many rows")
	}
	data := make([]byte, 1, min(need+need/4, mostData))
	for slot, of := range p.slots {
		if of != 0 {
			_, _, size := p.record(slot)
			p.slots[slot] = of>>32<<32 | uint64(len(data))
			data = append(data, p.data[uint32(of):][:size]...)
		}
	}
	p.data = data
}

// remove forgets a key.
func (p *packed) remove(hash uint64, key string) {
	if p.count == 0 {
		return
	}
	slot, known := p.find(hash, key)
	if !known {
		return
	}
	_, _, size := p.record(slot)
	p.live -= size
	p.count--
	for next := p.after(slot); p.slots[next] != 0; next = p.after(next) { // who would not be found behind a free slot takes it
		if p.distance(p.home(p.slots[next]), next) >= p.distance(slot, next) {
			p.slots[slot], slot = p.slots[next], next
		}
	}
	p.slots[slot] = 0
}

// each calls visit with every row until it returns false, and reports whether it never did. Keys and rows are part of the data.
func (p *packed) each(visit func(key, row []byte) bool) bool {
	for slot, of := range p.slots {
		if of != 0 {
			key, room, _ := p.record(slot)
			if row, _ := text(room); !visit(key, row) {
				return false
			}
		}
	}
	return true
}

// find returns the slot of a key, or the free one where it would be.
func (p *packed) find(hash uint64, key string) (slot int, known bool) {
	for slot = p.home(hash); p.slots[slot] != 0; slot = p.after(slot) {
		if p.slots[slot]>>32 == hash>>32 {
			if found, _, _ := p.record(slot); string(found) == key {
				return slot, true
			}
		}
	}
	return slot, false
}

// record returns the key of a slot that is not free, the room of its row, and how long the record is.
func (p *packed) record(slot int) (key, room []byte, size int) {
	record := p.data[uint32(p.slots[slot]):]
	key, rest := text(record)
	room, rest = text(rest)
	return key, room, len(record) - len(rest)
}

// reserve makes room in an empty one for so many keys, and bytes of records.
func (p *packed) reserve(count, bytes int) {
	p.slots = make([]uint64, count+count/2+8)
	p.data = make([]byte, 1, min(1+bytes, mostData))
}

// trim gives back what was reserved for more than there is.
func (p *packed) trim() {
	if len(p.slots) > 2*p.count+8 {
		p.spread(p.count + p.count/2 + 8)
	}
	if cap(p.data) > p.live+p.live/3+1 {
		p.compact(0)
	}
}

// spread makes so many slots. At most three of four may be taken.
func (p *packed) spread(slots int) {
	old := p.slots
	p.slots = make([]uint64, slots)
	for _, of := range old {
		if of != 0 {
			slot := p.home(of)
			for p.slots[slot] != 0 {
				slot = p.after(slot)
			}
			p.slots[slot] = of
		}
	}
}

// home is the slot where a key is looked for first, by the upper half of its hash.
func (p *packed) home(hash uint64) int { return int((hash >> 32) * uint64(len(p.slots)) >> 32) }

func (p *packed) after(slot int) int {
	if slot++; slot < len(p.slots) {
		return slot
	}
	return 0
}

// distance is how many slots it is from one on to another.
func (p *packed) distance(from, to int) int {
	if to -= from; to < 0 {
		to += len(p.slots)
	}
	return to
}

// text returns what appendText appended, and what comes behind it.
func text(from []byte) (text, rest []byte) {
	length, size := binary.Uvarint(from)
	return from[size:][:length], from[size:][length:]
}

// textSize returns how many bytes appendText appends for so many.
func textSize(length int) int {
	size := length + 1
	for ; length >= 1<<7; length >>= 7 {
		size++
	}
	return size
}
