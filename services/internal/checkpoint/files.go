package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

const indexName = "index"

var segmentName = regexp.MustCompile(`^states-([0-9]{8})$`)

func (s *Store) segmentPath(number uint32) string {
	return filepath.Join(s.dir, fmt.Sprintf("states-%08d", number))
}

// load reads what is in the directory.
func (s *Store) load() error {
	if err := s.openSegments(); err != nil {
		return err
	}
	if err := s.loadIndex(); err != nil {
		return err
	}
	if !s.ofTable { // which has no states
		s.findLive()
	}
	return nil
}

// findLive finds how much of each segment is the newest state of an account.
func (s *Store) findLive() {
	for i := range s.rows.shards {
		s.rows.shards[i].each(func(_, row []byte) bool {
			r := reader{bytes: row}
			at := r.place()
			if segment := s.segments[at.segment]; segment != nil {
				segment.live += int64(at.size)
			}
			return true
		})
	}
}

// openSegments opens the segments that there are.
func (s *Store) openSegments() error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, found := range files {
		match := segmentName.FindStringSubmatch(found.Name())
		if match == nil {
			continue
		}
		number, err := strconv.ParseUint(match[1], 10, 32)
		if err != nil {
			return err
		}
		file, err := os.Open(filepath.Join(s.dir, found.Name()))
		if err != nil {
			return err
		}
		info, err := file.Stat()
		if err != nil {
			return err
		}
		s.segments[uint32(number)] = &segment{file: file, size: info.Size()}
		s.newest = max(s.newest, uint32(number))
	}
	return nil
}

// beginSegment makes a segment the one that states are appended to.
func (s *Store) beginSegment(number uint32) error {
	file, err := os.OpenFile(s.segmentPath(number), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	s.segments[number] = &segment{file: file}
	s.tail.segment, s.tail.base = number, 0
	return nil
}

// loadIndex reads the index, if there is one that can be used.
func (s *Store) loadIndex() error {
	file, err := os.OpenFile(filepath.Join(s.dir, indexName), os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	whole, usable := s.readIndex(file, info.Size())
	if !usable {
		return file.Close()
	}
	s.rows.trim()
	s.index, s.whole = file, whole
	return nil
}

// beginIndex makes the index go on behind the last record that is whole. Where there is none that can be used, a new one is made.
func (s *Store) beginIndex() error {
	if s.index == nil {
		return s.newIndex()
	}
	if err := s.index.Truncate(s.whole); err != nil {
		return err
	}
	_, err := s.index.Seek(s.whole, io.SeekStart)
	return err
}

// newIndex begins without any state.
func (s *Store) newIndex() (err error) {
	for number, segment := range s.segments {
		_ = segment.file.Close()
		if err := os.Remove(s.segmentPath(number)); err != nil {
			return err
		}
		delete(s.segments, number)
	}
	if s.index, err = os.OpenFile(filepath.Join(s.dir, indexName), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	_, err = s.index.WriteString(s.header)
	return err
}

// mostRecord bounds a record of the index in bytes.
const mostRecord = 1 << 20

// readIndex takes in the records of an index. It returns up to where they are whole; usable is false when they are of another stream, format or fold version.
func (s *Store) readIndex(file *os.File, length int64) (whole int64, usable bool) {
	in := bufio.NewReaderSize(file, 2*mostRecord)
	header := make([]byte, len(s.header))
	if _, err := io.ReadFull(in, header); err != nil || string(header) != s.header {
		return 0, false
	}
	whole = int64(len(header))
	reserved := false
	for {
		head, err := in.Peek(recordHeader)
		if err != nil {
			return whole, true // the end, or a torn one
		}
		size := recordHeader + int(binary.LittleEndian.Uint32(head[4:]))
		if size > mostRecord {
			return whole, true
		}
		record, err := in.Peek(size)
		if err != nil {
			return whole, true // torn
		}
		body, ok := nextRecord(record)
		if !ok {
			return whole, true
		}
		if !reserved && len(body) > 0 && body[0] == entryRecord {
			reserved = true
			count := length / int64(size) // if all are like it, and each of another account
			s.rows.reserve(count, length-count*recordHeader)
		}
		if !s.takeIndexed(body) {
			return whole, true
		}
		_, _ = in.Discard(size)
		whole += int64(size)
		s.indexRecords++
	}
}

// takeIndexed takes one record of the index in.
func (s *Store) takeIndexed(body []byte) bool {
	if len(body) == 0 {
		return false
	}
	r := reader{bytes: body[1:]}
	switch body[0] {
	case entryRecord:
		id := r.text()
		known, summary := r.known()
		if r.broken {
			return false
		}
		if s.ofTable {
			s.rows.set(id, summary)
		} else {
			s.found = appendFound(s.found[:0], known, s.marks)
			s.rows.set(id, s.found)
		}
	case movedRecord:
		id, entry := readEntry(&r)
		if r.broken {
			return false
		}
		if before, known := s.Entry(id); known && before.Sequence == entry.Sequence {
			entry.marks = before.marks
			s.rows.set(id, s.row(make([]byte, 0, usualRow), entry))
		}
	case dropRecord:
		s.rows.remove(r.text())
	case markRecord:
		mark := readMark(&r)
		if r.broken {
			return false
		}
		s.mark.Store(&mark)
		s.marks++
	case resetRecord:
		s.rows.clear()
		s.mark.Store(&Mark{})
	default:
		return false
	}
	return !r.broken
}
