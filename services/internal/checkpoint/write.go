package checkpoint

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// write writes what was put, until the store is closed or a write fails. What is lost then is lost from the checkpoints only.
func (s *Store) write() {
	defer close(s.ended)
	for {
		s.mu.Lock()
		for !s.closing && s.tail.mark == nil && len(s.tail.states)+len(s.tail.index) < flushSize {
			s.wake.Wait()
		}
		closing := s.closing
		s.mu.Unlock()
		err := s.flush()
		if err == nil && !closing {
			err = s.tidy()
		}
		if err != nil {
			s.mu.Lock()
			s.broken = err
			s.mu.Unlock()
			return
		}
		if closing {
			return
		}
	}
}

// flush writes what is not in the files: the states before what is known of them.
func (s *Store) flush() error {
	s.mu.Lock()
	s.flushing = s.tail
	s.tail = tail{segment: s.flushing.segment, base: s.flushing.base + int64(len(s.flushing.states)), states: s.spare.states[:0], index: s.spare.index[:0]}
	segment := s.segments[s.flushing.segment]
	if s.tail.base >= segmentSize {
		if err := s.beginSegment(s.flushing.segment + 1); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	flushing := s.flushing
	s.mu.Unlock()

	if _, err := segment.file.WriteAt(flushing.states, flushing.base); err != nil {
		return err
	}
	if _, err := s.index.Write(flushing.index); err != nil {
		return err
	}
	s.indexRecords += flushing.records
	s.mu.Lock()
	defer s.mu.Unlock()
	if flushing.mark != nil && (s.tail.mark == nil || s.tail.mark.Through > 0) { // else everything was forgotten meanwhile
		s.mark.Store(flushing.mark)
	}
	segment.size = flushing.base + int64(len(flushing.states))
	s.flushing, s.spare = tail{}, flushing
	return nil
}

// tidy makes room: it deletes a segment without a state that is still the newest, or moves those of the emptiest when more than half of all is old; and it writes the
// index anew when more than half of it is old.
func (s *Store) tidy() error {
	if number, found := s.emptiest(); found {
		if err := s.clear(number); err != nil {
			return err
		}
	}
	if s.indexRecords > 2*s.Len()+100_000 {
		return s.rewriteIndex()
	}
	return nil
}

// emptiest returns the segment to be cleared, if one is.
func (s *Store) emptiest() (number uint32, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var size, live, least int64
	for n, segment := range s.segments {
		if n == s.tail.segment {
			continue
		}
		size, live = size+segment.size, live+segment.live
		if !found || segment.live*1000/max(segment.size, 1) < least {
			number, found, least = n, true, segment.live*1000/max(segment.size, 1)
		}
	}
	return number, found && (least == 0 || size > 2*live+segmentSize)
}

// clear moves what is still the newest out of a segment and deletes it.
func (s *Store) clear(number uint32) error {
	s.mu.Lock()
	segment := s.segments[number]
	size, live := segment.size, segment.live
	s.mu.Unlock()
	if live > 0 {
		if err := s.moveAll(number, io.NewSectionReader(segment.file, 0, size)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	delete(s.segments, number)
	s.mu.Unlock()
	_ = segment.file.Close() // a read that goes on looks again
	return os.Remove(s.segmentPath(number))
}

// moveSize is how much is moved before it is written.
const moveSize = 4 << 20

// moveAll moves what is still the newest in a segment, and writes it.
func (s *Store) moveAll(number uint32, segment *io.SectionReader) error {
	in := bufio.NewReaderSize(segment, 1<<20)
	var record []byte
	for offset, moved := int64(0), 0; ; offset, moved = offset+int64(len(record)), moved+len(record) {
		head, err := in.Peek(recordHeader)
		if err != nil {
			break // the end
		}
		size := recordHeader + int64(binary.LittleEndian.Uint32(head[4:]))
		if size > segment.Size()-offset {
			break // damage, behind which nothing can be used
		}
		record = slices.Grow(record[:0], int(size))[:size]
		if _, err := io.ReadFull(in, record); err != nil {
			return err
		}
		s.move(record, place{segment: number, offset: uint32(offset), size: uint32(size)})
		if moved >= moveSize {
			moved = 0
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}

// move appends a record again if it is still an account's newest state.
func (s *Store) move(record []byte, from place) {
	id, _, ok := decodeState(record)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	to := place{segment: s.tail.segment, offset: uint32(s.tail.base + int64(len(s.tail.states))), size: from.size}
	s.change(id, func(entry *Entry) {
		if entry.at == from {
			entry.at = to
			s.tail.states = append(s.tail.states, record...)
			s.locate(movedRecord, id, *entry, from)
		}
	})
}

// rewriteIndex writes an index of what is known now, and puts it in the place of the old one.
func (s *Store) rewriteIndex() error {
	path := filepath.Join(s.dir, indexName)
	file, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	records := []byte(s.header)
	var untrusted []byte // behind the mark, as they were
	count := 0
	for i := range s.rows.shards { // one at a time, so that nobody waits for long
		s.rows.shards[i].each(func(key, row []byte) bool {
			entry, to := s.entry(row), &records
			if !entry.Trusted && !s.ofTable {
				to = &untrusted
			}
			*to = appendEntry(*to, entryRecord, string(key), entry)
			count++
			return true
		})
		if _, err := file.Write(records); err != nil {
			return err
		}
		records = records[:0]
	}
	if _, err := file.Write(append(appendMark(nil, s.Mark()), untrusted...)); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	_ = s.index.Close()
	s.index, s.indexRecords = file, count+1
	return s.flush() // the states that the new index knows and that were not written yet
}
