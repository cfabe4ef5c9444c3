package checkpoint

// Table is a small row for each of many keys, in memory and, if it was opened, in a file from which a later process takes it up. Its methods can be called by many
// goroutines.
type Table struct {
	rows *rows
	file *Store // nil where it is in memory only
}

// NewTable returns an empty table that is in memory only.
func NewTable() *Table { return &Table{rows: newRows()} }

// OpenTable opens the table in a directory, and makes it where there is none, or where what is there has rows of another version. It returns ErrTaken when another
// process has it.
func OpenTable(dir, name string, version int) (*Table, error) {
	return (*Early)(nil).OpenTable(dir, name, version)
}

// Get returns the row of a key.
func (t *Table) Get(key string) (row string, known bool) {
	shard, hash := t.rows.shard(key)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	bytes, known := shard.rows.get(hash, key)
	return string(bytes), known
}

// Set sets the row of a key.
func (t *Table) Set(key, row string) {
	t.rows.set(key, []byte(row))
	if t.file != nil {
		t.file.note(key, row)
	}
}

// Len returns the number of rows.
func (t *Table) Len() int { return t.rows.count() }

// Mark returns how far in its log the rows on file reach at least.
func (t *Table) Mark() Mark {
	if t.file == nil {
		return Mark{}
	}
	return t.file.Mark()
}

// Reach notes that the rows set so far reach up to a mark.
func (t *Table) Reach(mark Mark) {
	if t.file != nil {
		t.file.Reach(mark)
	}
}

// Reset forgets all rows.
func (t *Table) Reset() {
	t.rows.clear()
	if t.file != nil {
		t.file.Reset()
	}
}

// Discard empties the file and gives it back, so that no later process takes the rows up. They stay in memory.
func (t *Table) Discard() error {
	if t.file == nil {
		return nil
	}
	t.file.mu.Lock()
	t.file.tail.index = appendReset(t.file.tail.index[:0])
	t.file.mu.Unlock()
	return t.file.Close()
}

// Close writes what is not written and gives the file back. What is set then is in memory only.
func (t *Table) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// note puts a row into the index.
func (s *Store) note(key, row string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil && !s.closing {
		s.record(entryRecord, key, Entry{Summary: row})
	}
}
