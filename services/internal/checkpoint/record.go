package checkpoint

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// formatVersion numbers what this file writes.
const formatVersion = 2

// Every record, of a state or of the index, is 4 bytes CRC-32C of the rest, 4 bytes length of the body, and the body.
const recordHeader = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// beginRecord makes room for a record's header; endRecord writes it.
func beginRecord(to []byte) []byte { return append(to, make([]byte, recordHeader)...) }

func endRecord(to []byte, start int) []byte {
	binary.LittleEndian.PutUint32(to[start+4:], uint32(len(to)-start-recordHeader))
	binary.LittleEndian.PutUint32(to[start:], crc32.Checksum(to[start+4:], castagnoli))
	return to
}

// nextRecord returns the body of the record at the beginning of bytes; ok is false where there is no whole record.
func nextRecord(from []byte) (body []byte, ok bool) {
	if len(from) < recordHeader {
		return nil, false
	}
	length := int(binary.LittleEndian.Uint32(from[4:]))
	if length > len(from)-recordHeader {
		return nil, false
	}
	end := recordHeader + length
	if binary.LittleEndian.Uint32(from) != crc32.Checksum(from[4:end], castagnoli) {
		return nil, false
	}
	return from[recordHeader:end], true
}

func appendText[T string | []byte](to []byte, text T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// appendState appends the record of a state.
func appendState(to []byte, accountID string, state State) []byte {
	start := len(to)
	to = appendText(beginRecord(to), accountID)
	to = binary.AppendUvarint(to, state.Sequence)
	to = append(to, state.Hash[:]...)
	return endRecord(append(to, state.Data...), start)
}

// decodeState reads the record of a state. The data are part of the record's bytes.
func decodeState(record []byte) (accountID string, state State, ok bool) {
	body, ok := nextRecord(record)
	if !ok {
		return "", State{}, false
	}
	r := reader{bytes: body}
	accountID, state.Sequence = r.text(), r.number()
	if len(r.bytes) < len(state.Hash) {
		return "", State{}, false
	}
	state.Hash, state.Data = [32]byte(r.bytes), r.bytes[len(state.Hash):]
	return accountID, state, !r.broken
}

// Kinds of records of the index.
const (
	entryRecord = 'e'
	movedRecord = 'v' // the entry of a state that is as it was, at another place
	dropRecord  = 'd'
	markRecord  = 'm'
	resetRecord = 'r'
)

// appendEntry appends an entry as a record of a kind: entryRecord, or movedRecord.
func appendEntry(to []byte, kind byte, accountID string, entry Entry) []byte {
	start := len(to)
	to = appendText(append(beginRecord(to), kind), accountID)
	return endRecord(appendKnown(to, entry), start)
}

// appendKnown appends what of an entry is kept in the index.
func appendKnown(to []byte, entry Entry) []byte {
	for _, number := range [...]uint64{uint64(entry.at.segment), uint64(entry.at.offset), uint64(entry.at.size), entry.Sequence, uint64(entry.Due)} {
		to = binary.AppendUvarint(to, number)
	}
	return appendText(to, entry.Summary)
}

func appendDrop(to []byte, accountID string) []byte {
	start := len(to)
	return endRecord(appendText(append(beginRecord(to), dropRecord), accountID), start)
}

func appendMark(to []byte, mark Mark) []byte {
	start := len(to)
	to = binary.AppendUvarint(append(beginRecord(to), markRecord), mark.Through)
	to = binary.AppendUvarint(to, uint64(mark.At.UnixMicro()))
	return endRecord(append(to, mark.Hash[:]...), start)
}

func appendReset(to []byte) []byte {
	start := len(to)
	return endRecord(append(beginRecord(to), resetRecord), start)
}

// readEntry reads what appendEntry wrote, behind its kind.
func readEntry(r *reader) (accountID string, entry Entry) {
	return r.text(), readKnown(r)
}

// readKnown reads what appendKnown wrote.
func readKnown(r *reader) (entry Entry) {
	entry.at = r.place()
	entry.Sequence, entry.Due = r.number(), int64(r.number())
	entry.Planned, entry.Summary = entry.Due, r.text()
	return entry
}

// appendRow appends an entry as it is in memory.
func appendRow(to []byte, entry Entry) []byte {
	to = binary.AppendVarint(appendKnown(to, entry), entry.Planned-entry.Due) // mostly the same
	if entry.Trusted {
		return append(to, 0)
	}
	return binary.AppendUvarint(to, entry.marks+1)
}

// appendFound is appendRow for what the index has of an entry: that is planned when it is due, and is not trusted by itself.
func appendFound(to, known []byte, marks uint64) []byte {
	return binary.AppendUvarint(append(append(to, known...), 0), marks+1)
}

// readRow reads what appendRow wrote.
func readRow(row []byte) Entry {
	r := reader{bytes: row}
	entry := readKnown(&r)
	later, size := binary.Varint(r.bytes)
	entry.Planned = entry.Due + later
	r.bytes = r.bytes[size:]
	if marks := r.number(); marks == 0 {
		entry.Trusted = true
	} else {
		entry.marks = marks - 1
	}
	return entry
}

// readMark reads what appendMark wrote, behind its kind.
func readMark(r *reader) (mark Mark) {
	mark.Through, mark.At = r.number(), time.UnixMicro(int64(r.number())).UTC()
	if len(r.bytes) != len(mark.Hash) {
		r.broken = true
		return Mark{}
	}
	mark.Hash = [32]byte(r.bytes)
	return mark
}

// reader takes values off bytes.
type reader struct {
	bytes  []byte
	broken bool
}

func (r *reader) number() uint64 {
	number, size := binary.Uvarint(r.bytes)
	if size <= 0 {
		r.broken, r.bytes = true, nil
		return 0
	}
	r.bytes = r.bytes[size:]
	return number
}

func (r *reader) text() string { return string(r.textBytes()) }

// textBytes is text without a copy.
func (r *reader) textBytes() []byte {
	length := r.number()
	if length > uint64(len(r.bytes)) {
		r.broken, r.bytes = true, nil
		return nil
	}
	text := r.bytes[:length]
	r.bytes = r.bytes[length:]
	return text
}

func (r *reader) place() place {
	return place{segment: uint32(r.number()), offset: uint32(r.number()), size: uint32(r.number())}
}

// known takes what appendKnown wrote as it is, and returns the summary in it.
func (r *reader) known() (known, summary []byte) {
	known = r.bytes
	r.place()
	r.number() // the sequence
	r.number() // when something is due
	summary = r.textBytes()
	return known[:len(known)-len(r.bytes)], summary
}
