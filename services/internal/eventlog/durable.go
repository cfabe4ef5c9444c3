package eventlog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// durableFile records the durable sequence of each stream. It has two slots that are written in turn, each with a counter and a checksum,
// so that a write which a power loss tears leaves the other slot whole.
//
// A slot: 4 bytes CRC-32C of the rest, 4 bytes length of the body, 8 bytes counter, the body (a JSON object of stream to sequence), padding.
type durableFile struct {
	file    *os.File
	counter uint64
	slot    []byte
}

const (
	durableSlotSize   = 8192
	durableHeaderSize = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openDurableFile opens or creates the record and returns what it says.
func openDurableFile(path string) (*durableFile, map[string]uint64, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the record of what is durable: %w", err)
	}
	f := &durableFile{file: file, slot: make([]byte, durableSlotSize)}
	durable, err := f.read()
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, durable, nil
}

// ReadDurable returns what the record at a path says, by stream. It changes nothing.
func ReadDurable(path string) (map[string]uint64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	f := &durableFile{file: file}
	return f.read()
}

// read takes the newest whole slot.
func (f *durableFile) read() (map[string]uint64, error) {
	content, err := io.ReadAll(io.LimitReader(f.file, 2*durableSlotSize))
	if err != nil {
		return nil, err
	}
	durable := map[string]uint64{}
	whole := false
	for start := 0; start < len(content); start += durableSlotSize {
		counter, marks, ok := decodeDurable(content[start:min(start+durableSlotSize, len(content))])
		if ok && (!whole || counter > f.counter) {
			f.counter, durable, whole = counter, marks, true
		}
	}
	if len(content) > 0 && !whole {
		return nil, errors.New("the record of what is durable cannot be read; restore it from a backup together with the store")
	}
	return durable, nil
}

// write puts the record into the slot that is older.
func (f *durableFile) write(durable map[string]uint64) error {
	f.counter++
	if err := encodeDurable(f.slot, f.counter, durable); err != nil {
		return err
	}
	_, err := f.file.WriteAt(f.slot, int64(f.counter%2)*durableSlotSize)
	return err
}

func (f *durableFile) close() error { return f.file.Close() }

func encodeDurable(slot []byte, counter uint64, durable map[string]uint64) error {
	body, err := json.Marshal(durable)
	if err != nil {
		return err
	}
	if len(body) > durableSlotSize-durableHeaderSize {
		return fmt.Errorf("too many streams to record: %d", len(durable))
	}
	clear(slot)
	binary.LittleEndian.PutUint32(slot[4:], uint32(len(body)))
	binary.LittleEndian.PutUint64(slot[8:], counter)
	copy(slot[durableHeaderSize:], body)
	binary.LittleEndian.PutUint32(slot, crc32.Checksum(slot[4:], castagnoli))
	return nil
}

func decodeDurable(slot []byte) (counter uint64, durable map[string]uint64, ok bool) {
	if len(slot) != durableSlotSize || binary.LittleEndian.Uint32(slot) != crc32.Checksum(slot[4:], castagnoli) {
		return 0, nil, false
	}
	length := binary.LittleEndian.Uint32(slot[4:])
	counter = binary.LittleEndian.Uint64(slot[8:])
	if counter == 0 || length > durableSlotSize-durableHeaderSize {
		return 0, nil, false
	}
	if err := json.Unmarshal(slot[durableHeaderSize:durableHeaderSize+length], &durable); err != nil {
		return 0, nil, false
	}
	return counter, durable, true
}
