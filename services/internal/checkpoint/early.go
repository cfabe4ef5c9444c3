package checkpoint

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// earlyReaders bounds how many files are read at once before anybody opens them.
const earlyReaders = 2

// Early has stores and tables that are read before anybody opens them, while the log is not there yet. Without any, as nil does, it opens them as Open and OpenTable do.
type Early struct {
	mu       sync.Mutex
	unopened map[string]*early // by directory
}

// early is a store or the file of a table.
type early struct {
	dir, header string
	ofTable     bool
	size        int64 // of the index

	once  sync.Once
	store *Store // nil where it could not be read: whoever opens it is told why
}

// read reads it, unless that was done, or waits until it is done.
func (e *early) read() {
	e.once.Do(func() { e.store, _ = read(e.dir, e.header, e.ofTable) })
}

// ReadEarly begins to read what is in the directories in a directory: those that are called as a stream are its store, the others are tables. The process must have the
// directory for itself, and close what was not opened.
func ReadEarly(dir string, streams []string) *Early {
	e := &Early{unopened: map[string]*early{}}
	directories, _ := os.ReadDir(dir) // there may be none
	var queue []*early
	for _, found := range directories {
		if one := findEarly(filepath.Join(dir, found.Name())); one != nil {
			one.ofTable = !slices.Contains(streams, found.Name())
			e.unopened[one.dir] = one
			queue = append(queue, one)
		}
	}
	slices.SortFunc(queue, func(a, b *early) int { return cmp.Compare(b.size, a.size) })
	go readAll(queue)
	return e
}

// readAll reads everything, and leaves a processor to the recovery of the log.
func readAll(queue []*early) {
	room := make(chan struct{}, max(1, min(earlyReaders, runtime.GOMAXPROCS(0)-1)))
	for _, one := range queue {
		room <- struct{}{}
		go func() {
			one.read()
			<-room
		}()
	}
}

// headerBound bounds the header of an index in bytes.
const headerBound = 1 << 10

// findEarly returns what is in a directory, nil where that is nothing of this format.
func findEarly(dir string) *early {
	file, err := os.Open(filepath.Join(dir, indexName))
	if err != nil {
		return nil
	}
	defer file.Close() //nolint:errcheck // it was read
	info, err := file.Stat()
	if err != nil {
		return nil
	}
	header, err := bufio.NewReader(io.LimitReader(file, headerBound)).ReadString('\n')
	if err != nil || !strings.HasPrefix(header, formatHeader()) {
		return nil
	}
	return &early{dir: dir, header: header, size: info.Size()}
}

func formatHeader() string { return fmt.Sprintf("cardlog checkpoints, format %d, ", formatVersion) }

// Open is Open, of a store that may have been read.
func (e *Early) Open(dir, stream string, foldVersion int) (*Store, error) {
	return e.open(dir, stream, foldVersion, false)
}

// OpenTable is OpenTable, of one that may have been read.
func (e *Early) OpenTable(dir, name string, version int) (*Table, error) {
	file, err := e.open(dir, name, version, true)
	if err != nil {
		return nil, err
	}
	return &Table{rows: file.rows, file: file}, nil
}

func (e *Early) open(dir, stream string, version int, ofTable bool) (*Store, error) {
	header := formatHeader() + fmt.Sprintf("stream %s, fold %d\n", stream, version)
	s := e.take(dir)
	if s != nil && (s.header != header || s.ofTable != ofTable) {
		if err := s.giveBack(); err != nil {
			return nil, err
		}
		s = nil
	}
	if s == nil {
		var err error
		if s, err = read(dir, header, ofTable); err != nil {
			return nil, err
		}
	}
	if err := s.begin(); err != nil {
		_ = s.giveBack()
		return nil, err
	}
	return s, nil
}

// take returns what was read of a directory, nil when that was nothing.
func (e *Early) take(dir string) *Store {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	one := e.unopened[dir]
	delete(e.unopened, dir)
	e.mu.Unlock()
	if one == nil {
		return nil
	}
	one.read()
	return one.store
}

// Close gives back what nobody opened. What is opened later is read then.
func (e *Early) Close() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, one := range e.unopened {
		one.once.Do(func() {}) // what was not begun is not read any more
		if one.store != nil {
			_ = one.store.giveBack()
		}
	}
	clear(e.unopened)
}
