package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// leave leaves a store of the ledger and a table of cards in directories of a directory, as a process before did, and returns where they are.
func leave(t *testing.T) (dir, ledger, cards string) {
	t.Helper()
	dir = t.TempDir()
	ledger, cards = filepath.Join(dir, stream), filepath.Join(dir, "cards")
	s := openTest(t, ledger)
	put(s, "a", 1)
	s.Reach(Mark{Through: 1})
	table, err := OpenTable(cards, "cards", 1)
	if err != nil {
		t.Fatal(err)
	}
	table.Set("4000", "a")
	if err := errors.Join(s.Close(), table.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, ledger, cards
}

func TestWhatIsOpenedIsWhatWasReadEarly(t *testing.T) {
	t.Parallel()
	dir, ledger, cards := leave(t)
	e := ReadEarly(dir, []string{stream})
	defer e.Close()
	for _, one := range e.unopened {
		one.read()
	}
	read := map[string]*Store{ledger: e.unopened[ledger].store, cards: e.unopened[cards].store}
	s, err := e.Open(ledger, stream, 1)
	if err != nil || s != read[ledger] || s.Mark().Through != 1 {
		t.Fatalf("opened %p with mark %+v (%v), read was %p", s, s.Mark(), err, read[ledger])
	}
	has(t, s, "a", 1)
	table, err := e.OpenTable(cards, "cards", 1)
	if err != nil || table.file != read[cards] {
		t.Fatalf("opened %p (%v), read was %p", table.file, err, read[cards])
	}
	table.Set("4001", "b")
	put(s, "a", 2)
	e.Close() // gives back nothing of what was opened
	if err := errors.Join(s.Close(), table.Close()); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, ledger)
	has(t, s, "a", 2)
	table, err = OpenTable(cards, "cards", 1)
	if err != nil {
		t.Fatal(err)
	}
	for card, account := range map[string]string{"4000": "a", "4001": "b"} {
		if got, _ := table.Get(card); got != account {
			t.Errorf("card %s is of account %q", card, got)
		}
	}
	_ = errors.Join(s.Close(), table.Close())
}

func TestWhatWasReadEarlyOfAnotherKindIsOpenedAnew(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(e *Early, ledger, cards string) (count int, giveBack func() error, err error){
		"another fold version": func(e *Early, ledger, _ string) (int, func() error, error) {
			s, err := e.Open(ledger, stream, 2)
			return s.Len(), s.Close, err
		},
		"another stream": func(e *Early, ledger, _ string) (int, func() error, error) {
			s, err := e.Open(ledger, "LEDGER_01", 1)
			return s.Len(), s.Close, err
		},
		"another version of rows": func(e *Early, _, cards string) (int, func() error, error) {
			table, err := e.OpenTable(cards, "cards", 2)
			return table.Len(), table.Close, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, ledger, cards := leave(t)
			e := ReadEarly(dir, []string{stream})
			defer e.Close()
			count, closeIt, err := open(e, ledger, cards)
			if err != nil || count != 0 {
				t.Fatalf("it has %d of what was there (%v)", count, err)
			}
			if err := closeIt(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A stream that is taken for a table costs time only.
func TestAStoreThatWasReadAsATableIsOpenedAnew(t *testing.T) {
	t.Parallel()
	dir, ledger, _ := leave(t)
	e := ReadEarly(dir, nil)
	defer e.Close()
	s, err := e.Open(ledger, stream, 1)
	if err != nil {
		t.Fatal(err)
	}
	has(t, s, "a", 1)
	_ = s.Close()
}

func TestWhatNobodyOpenedIsGivenBack(t *testing.T) {
	t.Parallel()
	dir, ledger, cards := leave(t)
	before := names(t, ledger)
	e := ReadEarly(dir, []string{stream})
	e.unopened[ledger].read()
	if _, err := Open(ledger, stream, 1); !errors.Is(err, ErrTaken) {
		t.Fatalf("another process opens it: %v", err)
	}
	e.Close()
	if after := names(t, ledger); after != before {
		t.Errorf("the files are %s, were %s", after, before)
	}
	s, err := e.Open(ledger, stream, 1) // late
	if err != nil {
		t.Fatal(err)
	}
	has(t, s, "a", 1)
	table, err := OpenTable(cards, "cards", 1)
	if err != nil || table.Len() != 1 {
		t.Fatalf("the table cannot be opened: %v", err)
	}
	_ = errors.Join(s.Close(), table.Close())
}

// names returns the names of the files in a directory.
func names(t *testing.T, dir string) (all string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		all += file.Name() + " "
	}
	return all
}

func TestWhatAnotherProcessHasIsTakenAlsoEarly(t *testing.T) {
	t.Parallel()
	dir, ledger, _ := leave(t)
	other := openTest(t, ledger)
	e := ReadEarly(dir, []string{stream})
	defer e.Close()
	if _, err := e.Open(ledger, stream, 1); !errors.Is(err, ErrTaken) {
		t.Fatalf("it is opened: %v", err)
	}
	put(other, "a", 2)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, ledger)
	has(t, s, "a", 2)
	_ = s.Close()
}
