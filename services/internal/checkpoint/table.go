package checkpoint

// Table is a small row for each of many keys, in memory and, if it was opened, in a file from which a later process takes it up. Its methods can be called by many
// goroutines.
type Table struct{ store *Store }

// NewTable returns an empty table that is in memory only.
func NewTable() *Table {
	s := newStore("", "")
	return &Table{store: s}
}

// OpenTable opens the table in a directory, and makes it where there is none, or where what is there has rows of another version. It returns ErrTaken when another
// process has it.
func OpenTable(dir, name string, version int) (*Table, error) {
	s, err := Open(dir, name, version)
	if err != nil {
		return nil, err
	}
	return &Table{store: s}, nil
}

// Get returns the row of a key.
func (t *Table) Get(key string) (row string, known bool) {
	entry, known := t.store.Entry(key)
	return entry.Summary, known
}

// Set sets the row of a key.
func (t *Table) Set(key, row string) { t.store.note(key, row) }

// Len returns the number of rows.
func (t *Table) Len() int { return t.store.Len() }

// Mark returns how far in its log the rows on file reach at least.
func (t *Table) Mark() Mark { return t.store.Mark() }

// Reach notes that the rows set so far reach up to a mark.
func (t *Table) Reach(mark Mark) {
	if t.store.filed() {
		t.store.Reach(mark)
	}
}

// Reset forgets all rows.
func (t *Table) Reset() {
	if t.store.filed() {
		t.store.Reset()
		return
	}
	t.store.forget()
}

// Discard empties the file and gives the table back, so that no later process takes the rows up. They stay in memory.
func (t *Table) Discard() error {
	if !t.store.filed() {
		return nil
	}
	t.store.mu.Lock()
	t.store.tail.index = appendReset(t.store.tail.index[:0])
	t.store.mu.Unlock()
	return t.store.Close()
}

// Close writes what is not written and gives the table back. What is set then is in memory only.
func (t *Table) Close() error {
	if t.store.filed() {
		return t.store.Close()
	}
	return nil
}

// filed says whether there are files.
func (s *Store) filed() bool { return s.dir != "" }

// note keeps what is known of an account, and no state.
func (s *Store) note(accountID, summary string) {
	entry := Entry{Summary: summary, Trusted: true}
	if _, known := s.shard(accountID).set(accountID, entry); !known {
		s.count.Add(1)
	}
	if !s.filed() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil && !s.closing {
		s.record(accountID, entry)
	}
}
