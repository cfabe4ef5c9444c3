// Package checkpoint keeps what was folded from a log, in files beside it: the newest state of every account, so that not all of them need be in memory, and up to
// where in the log the states reach, so that a start reads only what comes after.
//
// Nothing here is true by itself. The files are never synced and may be deleted while nothing runs; whoever uses them holds the newest mark against the log, and what came
// behind it by itself.
package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// Errors of a store.
var (
	// ErrTaken means that another process uses the store.
	ErrTaken = errors.New("another process uses these checkpoints")
	// ErrNotFound means that there is no state of an account.
	ErrNotFound = errors.New("there is no checkpoint of the account")
	// ErrDamaged means that the state of an account cannot be read.
	ErrDamaged = errors.New("the checkpoint of the account is damaged")
)

// State is an account as it was after one of its events.
type State struct {
	// Sequence of the account's last event, and its chain hash.
	Sequence uint64
	Hash     [32]byte
	// Due is when something of it is due, in microseconds of the Unix epoch; 0 when nothing is.
	Due int64
	// Summary is what must be known of it without reading it.
	Summary string
	// Data is the encoded state.
	Data []byte
}

// Entry is what is known of a state without reading it.
type Entry struct {
	// Sequence, Due and Summary are those of the state.
	Sequence uint64
	Due      int64
	Summary  string
	// Planned is what Plan was told last; at the start it is Due.
	Planned int64
	// Trusted says that this process wrote the state, or found that the log agrees with it, or with a mark behind it.
	Trusted bool

	at    place
	marks uint64 // how many there are before it in the index that was loaded, if it is not trusted by itself
}

// place says where a state is.
type place struct{ segment, offset, size uint32 }

// Mark says how far the states reach: for every account there is one that has all of its events up to Through.
type Mark struct {
	// Through is a sequence, 0 when there is no mark, and Hash the chain hash of the event there.
	Through uint64
	Hash    [32]byte
	// At is when the mark was made.
	At time.Time
}

// Store keeps the states of the accounts of one stream. Its methods can be called by many goroutines.
//
// The states are appended to segment files, what is known of them to the file index. A segment of which little is still the newest is copied to the end and deleted;
// an index that has grown to be mostly old is written anew.
type Store struct {
	dir    string
	header string
	lock   *flock.Flock

	rows    *rows                // the entries of its states, or those of the table
	ofTable bool                 // it is the file of a table
	mark    atomic.Pointer[Mark] // the newest one on file

	marks    uint64        // how many the index had that was loaded
	believed atomic.Uint64 // how far the newest of them reached, if the log agrees with it

	mu       sync.Mutex
	wake     sync.Cond
	segments map[uint32]*segment
	tail     tail
	flushing tail // on its way to the files; its states can still be read here
	spare    tail // its buffers are used again
	closing  bool
	broken   error
	ended    chan struct{}

	// The writer's own.
	index        *os.File // nil: none that could be used was read
	indexRecords int
	whole        int64  // bytes of the index that was read, up to where it may be torn
	newest       uint32 // of the segments that were read
	found        []byte // the row that is being read
}

// segment is a file of states.
type segment struct {
	file *os.File
	size int64
	live int64 // of it, what is the newest state of an account
}

// tail is what is not in the files yet.
type tail struct {
	segment uint32
	base    int64 // of the states in their file
	states  []byte
	index   []byte
	records int
	mark    *Mark
}

// Sizes in bytes.
const (
	segmentSize = 64 << 20
	// flushSize is how much is gathered before it is written; less is written when there is a mark.
	flushSize = 256 << 10
)

// Open opens the store in a directory, and makes it where there is none, or where what is there was made of another stream or by another fold version.
// It returns ErrTaken when another process has it.
func Open(dir, stream string, foldVersion int) (*Store, error) {
	return (*Early)(nil).Open(dir, stream, foldVersion)
}

// read takes the store in a directory, or the file of a table, and reads it. Nothing of it is changed yet.
func read(dir, header string, ofTable bool) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, header: header, rows: newRows(), ofTable: ofTable,
		lock: flock.New(filepath.Join(dir, "lock")), segments: map[uint32]*segment{}, ended: make(chan struct{}),
	}
	s.wake.L = &s.mu
	s.mark.Store(&Mark{})
	if locked, err := s.lock.TryLock(); err != nil || !locked {
		return nil, errors.Join(ErrTaken, err)
	}
	if err := s.load(); err != nil {
		_ = s.giveBack()
		return nil, err
	}
	return s, nil
}

// begin makes a store that was read take what is put.
func (s *Store) begin() error {
	if err := s.beginIndex(); err != nil {
		return err
	}
	if err := s.beginSegment(s.newest + 1); err != nil { // the end of the last one may be torn
		return err
	}
	go s.write()
	return nil
}

// Mark returns the newest mark that is on file.
func (s *Store) Mark() Mark { return *s.mark.Load() }

// Len returns of how many accounts there are states.
func (s *Store) Len() int { return s.rows.count() }

// Err returns why the store takes nothing any more; nil when it does.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// usualRow is room for most entries as they are in memory.
const usualRow = 64

// row appends an entry as it is in memory, and entry reads it: of a table that is its row, without anything else.
func (s *Store) row(to []byte, entry Entry) []byte {
	if s.ofTable {
		return append(to, entry.Summary...)
	}
	return appendRow(to, entry)
}

func (s *Store) entry(row []byte) Entry {
	if s.ofTable {
		return Entry{Summary: string(row)}
	}
	entry := readRow(row)
	entry.Trusted = entry.Trusted || entry.marks < s.marks && entry.Sequence <= s.believed.Load()
	return entry
}

// Entry returns what is known of an account's state without reading it.
func (s *Store) Entry(accountID string) (Entry, bool) {
	shard, hash := s.rows.shard(accountID)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	row, known := shard.rows.get(hash, accountID)
	if !known {
		return Entry{}, false
	}
	return s.entry(row), true
}

// Each calls visit with what is known of every account's state, in no order, until it returns false. It must not call the store.
func (s *Store) Each(visit func(accountID string, entry Entry) bool) {
	for i := range s.rows.shards {
		if !s.rows.shards[i].each(func(id, row []byte) bool { return visit(string(id), s.entry(row)) }) {
			return
		}
	}
}

// change changes an account's entry; it does nothing where there is none.
func (s *Store) change(accountID string, how func(entry *Entry)) {
	shard, hash := s.rows.shard(accountID)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if row, known := shard.rows.get(hash, accountID); known {
		entry := s.entry(row)
		how(&entry)
		shard.rows.set(hash, accountID, s.row(make([]byte, 0, usualRow), entry))
	}
}

// Plan notes when somebody looks at an account next. It is forgotten at the end of the process.
func (s *Store) Plan(accountID string, planned int64) {
	s.change(accountID, func(entry *Entry) { entry.Planned = planned })
}

// Trust notes that the log agrees with the state at a sequence.
func (s *Store) Trust(accountID string, sequence uint64) {
	s.change(accountID, func(entry *Entry) { entry.Trusted = entry.Trusted || entry.Sequence == sequence })
}

// Believe trusts every state behind the newest mark, as far as it is of an event up to there and came before it: the log has the event at the mark, with its hash, and
// so everything before it that these states were made of.
func (s *Store) Believe() { s.believed.Store(s.Mark().Through) }

// Put keeps a state instead of the account's one before, and reports whether it does: not when the store is broken. It returns before that is on file; Get has it at once.
func (s *Store) Put(accountID string, state State, planned int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return false
	}
	entry := Entry{Sequence: state.Sequence, Due: state.Due, Summary: state.Summary, Planned: planned, Trusted: true}
	start := len(s.tail.states)
	s.tail.states = appendState(s.tail.states, accountID, state)
	entry.at = place{segment: s.tail.segment, offset: uint32(s.tail.base + int64(start)), size: uint32(len(s.tail.states) - start)}
	before, _ := s.Entry(accountID)
	s.rows.set(accountID, s.row(make([]byte, 0, usualRow), entry))
	s.locate(entryRecord, accountID, entry, before.at)
	return true
}

// locate puts into the index where an account's newest state is, which is in the tail. The caller has the lock.
func (s *Store) locate(kind byte, accountID string, entry Entry, before place) {
	s.release(before)
	s.segments[entry.at.segment].live += int64(entry.at.size)
	s.record(kind, accountID, entry)
}

// record appends what is known of an account to the index. The caller has the lock.
func (s *Store) record(kind byte, accountID string, entry Entry) {
	s.tail.index = appendEntry(s.tail.index, kind, accountID, entry)
	s.tail.records++
	if len(s.tail.states)+len(s.tail.index) >= flushSize {
		s.wake.Signal()
	}
}

// release notes that what is at a place is not the newest state any more.
func (s *Store) release(at place) {
	if segment := s.segments[at.segment]; segment != nil {
		segment.live -= int64(at.size)
	}
}

// Drop forgets an account.
func (s *Store) Drop(accountID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, known := s.Entry(accountID); known {
		s.rows.remove(accountID)
		s.release(before.at)
		s.tail.index = appendDrop(s.tail.index, accountID)
		s.tail.records++
	}
}

// Reset forgets everything.
func (s *Store) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows.clear()
	for _, segment := range s.segments {
		segment.live = 0
	}
	s.tail.index = appendReset(s.tail.index[:0])
	s.tail.records, s.tail.mark = 1, &Mark{}
	s.mark.Store(&Mark{})
	s.wake.Signal()
}

// Reach notes that the states put so far reach up to a mark.
func (s *Store) Reach(mark Mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail.index = appendMark(s.tail.index, mark)
	s.tail.records++
	s.tail.mark = &mark
	s.wake.Signal()
}

// Get reads an account's newest state. It returns ErrNotFound or ErrDamaged when there is none that can be used.
func (s *Store) Get(accountID string) (State, Entry, error) {
	for {
		entry, known := s.Entry(accountID)
		if !known {
			return State{}, entry, ErrNotFound
		}
		record, err := s.read(entry.at)
		if err == nil {
			id, state, ok := decodeState(record)
			if ok && id == accountID && state.Sequence == entry.Sequence {
				state.Due, state.Summary = entry.Due, entry.Summary
				return state, entry, nil
			}
			err = ErrDamaged
		}
		if now, _ := s.Entry(accountID); now.at == entry.at {
			return State{}, entry, err
		}
	}
}

// read returns the bytes at a place.
func (s *Store) read(at place) ([]byte, error) {
	s.mu.Lock()
	segment, record := s.segments[at.segment], s.unwritten(at)
	s.mu.Unlock()
	if record != nil {
		return record, nil
	}
	if segment == nil {
		return nil, ErrDamaged
	}
	record = make([]byte, at.size)
	if _, err := segment.file.ReadAt(record, int64(at.offset)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return record, nil
}

// unwritten returns a copy of the bytes at a place if they are not in the files yet, else nil. The caller has the lock.
func (s *Store) unwritten(at place) []byte {
	for _, tail := range []*tail{&s.tail, &s.flushing} {
		start := int64(at.offset) - tail.base
		if end := start + int64(at.size); tail.segment == at.segment && start >= 0 && end <= int64(len(tail.states)) {
			return append([]byte(nil), tail.states[start:end]...)
		}
	}
	return nil
}

// Close writes what is not written and gives the store back. Nobody may put anything any more.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closing = true
	s.wake.Signal()
	s.mu.Unlock()
	<-s.ended
	return errors.Join(s.broken, s.giveBack())
}

// giveBack closes the files, for whoever takes the store next.
func (s *Store) giveBack() error {
	for _, segment := range s.segments {
		_ = segment.file.Close()
	}
	if s.index != nil {
		_ = s.index.Close()
	}
	return s.lock.Unlock()
}
