package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

const stream = "LEDGER_00"

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, stream, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reopen closes a store and opens it again.
func reopen(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openTest(t, s.dir)
}

// stateAt is a state of an account that can be told from all others.
func stateAt(id string, sequence uint64) State {
	state := State{Sequence: sequence, Due: int64(sequence) * 1000, Summary: fmt.Sprintf("summary %d", sequence), Data: fmt.Appendf(nil, "%s after %d: %0200d", id, sequence, sequence)}
	state.Hash[0], state.Hash[31] = byte(sequence), byte(sequence>>8)
	return state
}

func put(s *Store, id string, sequence uint64) { s.Put(id, stateAt(id, sequence), 7) }

// has fails unless the state of an account is the one that it had at a sequence.
func has(t *testing.T, s *Store, id string, sequence uint64) {
	t.Helper()
	got, entry, err := s.Get(id)
	want := stateAt(id, sequence)
	if err != nil || got.Sequence != sequence || got.Hash != want.Hash || got.Due != want.Due || got.Summary != want.Summary || string(got.Data) != string(want.Data) ||
		entry.Sequence != sequence || entry.Summary != want.Summary {
		t.Fatalf("the state of %s is that of %d (%v), want %d", id, got.Sequence, err, sequence)
	}
}

func TestWhatWasPutIsThereAtOnceAndAfterAnotherStart(t *testing.T) {
	t.Parallel()
	s := openTest(t, t.TempDir())
	if _, _, err := s.Get("a"); !errors.Is(err, ErrNotFound) || s.Mark().Through != 0 {
		t.Fatalf("an empty store has %v, %+v", err, s.Mark())
	}
	put(s, "a", 1)
	put(s, "b", 2)
	put(s, "a", 3)
	put(s, "gone", 4)
	s.Drop("gone")
	mark := Mark{Through: 4, Hash: [32]byte{1, 2}, At: time.Date(2026, time.March, 1, 12, 0, 0, 5000, time.UTC)}
	s.Reach(mark)
	has(t, s, "a", 3)
	if entry, _ := s.Entry("a"); !entry.Trusted || entry.Planned != 7 {
		t.Errorf("what was put is %+v", entry)
	}
	s = reopen(t, s)
	has(t, s, "a", 3)
	has(t, s, "b", 2)
	if _, known := s.Entry("gone"); known || s.Len() != 2 || s.Mark() != mark {
		t.Errorf("%d accounts, mark %+v", s.Len(), s.Mark())
	}
	if entry, _ := s.Entry("a"); entry.Trusted || entry.Planned != entry.Due {
		t.Errorf("what an earlier process put is %+v", entry)
	}
	s.Trust("a", 2)
	if entry, _ := s.Entry("a"); entry.Trusted {
		t.Error("another state of it is trusted")
	}
	if s.Trust("a", 3); !must(s.Entry("a")).Trusted {
		t.Error("it is not trusted")
	}
	_ = s.Close()
}

func must(entry Entry, _ bool) Entry { return entry }

// A mark says of which event the log had which hash: when it still has, every state before the mark follows from the same events.
func TestAMarkCoversWhatCameBeforeIt(t *testing.T) {
	t.Parallel()
	s := openTest(t, t.TempDir())
	for id, sequence := range map[string]uint64{"before": 1, "moved": 2, "of a later event": 6, "put again behind it": 3} {
		put(s, id, sequence)
	}
	s.Reach(Mark{Through: 5})
	put(s, "put again behind it", 4)
	put(s, "behind it", 7)
	moved, _ := s.Entry("moved")
	record, err := s.read(moved.at)
	if err != nil {
		t.Fatal(err)
	}
	s.move(record, moved.at)
	if now, _ := s.Entry("moved"); now.at == moved.at {
		t.Fatal("it is where it was")
	}
	trusted := func(want ...string) {
		t.Helper()
		var got []string
		s.Each(func(id string, entry Entry) bool {
			if entry.Trusted {
				got = append(got, id)
			}
			return true
		})
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("trusted are %q, want %q", got, want)
		}
	}
	s = reopen(t, s)
	trusted()
	s.Believe()
	trusted("before", "moved")
	if err := s.rewriteIndex(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	trusted()
	s.Believe()
	trusted("before", "moved")
	has(t, s, "moved", 2)
	s.Trust("behind it", 7)
	trusted("before", "behind it", "moved")
	_ = s.Close()
}

func TestCheckpointsOfAnotherKindAreNotRead(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]struct {
		stream string
		fold   int
	}{"another fold version": {stream, 2}, "another stream": {"LEDGER_01", 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openTest(t, t.TempDir())
			put(s, "a", 1)
			s.Reach(Mark{Through: 1})
			_ = s.Close()
			again, err := Open(s.dir, other.stream, other.fold)
			if err != nil {
				t.Fatal(err)
			}
			if _, known := again.Entry("a"); known || again.Mark().Through != 0 {
				t.Error("it is read")
			}
			put(again, "a", 9)
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	s := openTest(t, t.TempDir())
	if _, err := Open(s.dir, stream, 1); !errors.Is(err, ErrTaken) {
		t.Errorf("a second one gets %v", err)
	}
	_ = reopen(t, s).Close()
}

// Files that are cut short or changed lose what is behind, and nothing else; what cannot be read is never taken for a state.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, file string, content []byte){
		"cut short": func(t *testing.T, file string, content []byte) { write(t, file, content[:len(content)*2/3]) },
		"changed": func(t *testing.T, file string, content []byte) {
			content[len(content)*2/3] ^= 1
			write(t, file, content)
		},
		"empty": func(t *testing.T, file string, _ []byte) { write(t, file, nil) },
		"gone":  func(_ *testing.T, file string, _ []byte) { _ = os.Remove(file) },
	} {
		for _, file := range []string{indexName, "states-00000001"} {
			t.Run(file+" "+name, func(t *testing.T) {
				t.Parallel()
				s := openTest(t, t.TempDir())
				for i := range uint64(100) {
					put(s, fmt.Sprintf("acct-%02d", i), i+1)
				}
				_ = s.Close()
				path := filepath.Join(s.dir, file)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				damage(t, path, content)
				s = openTest(t, s.dir)
				missing := 0
				for i := range uint64(100) {
					id := fmt.Sprintf("acct-%02d", i)
					if _, _, err := s.Get(id); err != nil {
						missing++
						put(s, id, i+1)
					}
					has(t, s, id, i+1)
				}
				if missing == 0 {
					t.Error("nothing was damaged")
				}
				s = reopen(t, s)
				for i := range uint64(100) {
					has(t, s, fmt.Sprintf("acct-%02d", i), i+1)
				}
				_ = s.Close()
			})
		}
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// However often states change, the files stay within a small multiple of the newest ones, and those can be read at any time.
func TestOldStatesMakeRoom(t *testing.T) {
	t.Parallel()
	s := openTest(t, t.TempDir())
	const accounts, size = 400, 8 << 10
	id := func(i int) string { return fmt.Sprintf("acct-%03d", i%accounts) }
	big := func(i int) State { return State{Sequence: uint64(i + 1), Data: make([]byte, size)} }
	var readers sync.WaitGroup
	done := make(chan struct{})
	readers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if state, _, err := s.Get(id(i)); err != nil && !errors.Is(err, ErrNotFound) || err == nil && len(state.Data) != size {
				t.Errorf("%s cannot be read: %v", id(i), err)
				return
			}
		}
	})
	const changes = 40_000
	for i := range changes {
		s.Put(id(i), big(i), 0)
	}
	close(done)
	readers.Wait()
	s = reopen(t, s)
	for i := changes - accounts; i < changes; i++ {
		if state, _, err := s.Get(id(i)); err != nil || state.Sequence != uint64(i+1) {
			t.Fatalf("the state of %s is that of %d (%v), want %d", id(i), state.Sequence, err, i+1)
		}
	}
	for s.used(t) > 3*segmentSize {
		s.Reach(Mark{Through: changes}) // makes it tidy up
	}
	_ = s.Close()
}

// used returns the bytes of all files.
func (s *Store) used(t *testing.T) (used int64) {
	t.Helper()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if info, err := file.Info(); err == nil {
			used += info.Size()
		}
	}
	return used
}

func TestAnIndexThatIsMostlyOldIsWrittenAnew(t *testing.T) {
	t.Parallel()
	s := openTest(t, t.TempDir())
	const changes = 150_000
	for i := range changes {
		s.Put(fmt.Sprintf("acct-%d", i%50), State{Sequence: uint64(i + 1)}, 0)
	}
	s.Reach(Mark{Through: changes})
	s = reopen(t, s)
	for i := changes - 50; i < changes; i++ {
		if entry, known := s.Entry(fmt.Sprintf("acct-%d", i%50)); !known || entry.Sequence != uint64(i+1) {
			t.Fatalf("%+v", entry)
		}
	}
	for s.Reach(Mark{Through: changes + 1}); s.Mark().Through != changes+1; {
		runtime.Gosched()
	}
	s = reopen(t, s)
	if s.Len() != 50 || s.Mark().Through != changes+1 || s.indexRecords > changes/2 {
		t.Errorf("%d accounts, mark %+v, %d records", s.Len(), s.Mark(), s.indexRecords)
	}
	_ = s.Close()
}

func TestATableIsTakenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	take := func() *Table {
		t.Helper()
		table, err := OpenTable(dir, "cards", 1)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	table := take()
	const changes = 150_000
	for i := range changes {
		table.Set(fmt.Sprintf("card-%d", i%60), fmt.Sprintf("row %d", i))
	}
	table.Reach(Mark{Through: changes})
	if row, known := table.Get("card-59"); !known || row != fmt.Sprintf("row %d", changes-1) || table.Len() != 60 {
		t.Fatalf("%q, %d rows", row, table.Len())
	}
	for range 2 { // the second time from an index that was written anew
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		table = take()
		for i := changes - 60; i < changes; i++ {
			if row, _ := table.Get(fmt.Sprintf("card-%d", i%60)); row != fmt.Sprintf("row %d", i) {
				t.Fatalf("row %d is %q", i, row)
			}
		}
		if table.Len() != 60 || table.Mark().Through < changes {
			t.Errorf("%d rows, mark %+v", table.Len(), table.Mark())
		}
		for table.Reach(Mark{Through: changes + 1}); table.Mark().Through != changes+1; {
			runtime.Gosched()
		}
	}
	if table.file.indexRecords > changes {
		t.Errorf("the index has %d records", table.file.indexRecords)
	}
	if err := table.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, known := table.Get("card-1"); !known {
		t.Error("the rows are gone from memory")
	}
	if table = take(); table.Len() != 0 || table.Mark().Through != 0 {
		t.Errorf("a table that was discarded has %d rows, mark %+v", table.Len(), table.Mark())
	}
	table.Set("card-1", "again")
	if table.Reset(); table.Len() != 0 {
		t.Errorf("%d rows", table.Len())
	}
	_ = table.Close()
}
