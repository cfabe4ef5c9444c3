package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// paper is a writer that a test can read, and hold up.
type paper struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write writes, when nobody holds the paper.
func (p *paper) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

// lines are the values of an attribute in the lines that were written.
func (p *paper) lines(t *testing.T, attribute string) (values []any) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(p.text.String()) {
		var attributes map[string]any
		if err := json.Unmarshal([]byte(line), &attributes); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if value, has := attributes[attribute]; has {
			values = append(values, value)
		}
	}
	return values
}

func journalOn(t *testing.T, to *paper) *Journal {
	t.Helper()
	j, err := newJournal(to, slog.LevelInfo, "json")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

func line(number int) func(context.Context, *slog.Logger) {
	return func(ctx context.Context, to *slog.Logger) {
		to.InfoContext(ctx, "happened", slog.Int("number", number))
	}
}

func TestTheJournalWritesEverythingInOrder(t *testing.T) {
	t.Parallel()
	var to paper
	j := journalOn(t, &to)
	const lines = journalBound // as many as may wait
	for i := range lines {
		j.Add(1, line(i))
	}
	j.Close()
	written := to.lines(t, "number")
	for i, number := range written {
		if number != float64(i) {
			t.Fatalf("line %d is %v", i, number)
		}
	}
	if len(written) != lines {
		t.Errorf("%d of %d lines were written", len(written), lines)
	}
	j.Close() // once more does no harm
}

func TestWhoeverAddsLinesDoesNotWaitAndIsToldWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	var to paper
	j := journalOn(t, &to)
	busy, held := make(chan struct{}), make(chan struct{})
	j.Add(1, func(context.Context, *slog.Logger) {
		close(busy)
		<-held
	})
	<-busy
	for i := range journalBound + 10 { // the last ten batches do not fit, nor does anybody wait for them
		j.Add(3, line(i))
	}
	close(held)
	j.Close()
	if written := to.lines(t, "number"); len(written) != journalBound {
		t.Errorf("%d lines were written, %d fitted", len(written), journalBound)
	}
	if left := to.lines(t, "lines"); len(left) != 1 || left[0] != float64(30) {
		t.Errorf("left out were %v lines, want 30", left)
	}
}

func TestAJournalIsKeptFromLevelInfoOn(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for level, kept := range map[string]bool{"debug": true, "info": true, "warn": false, "error": false} {
		j, err := NewJournal(file, level, "")
		if err != nil || (j != nil) != kept {
			t.Errorf("at level %s the journal is %v, %v", level, j, err)
		}
		if j != nil {
			j.Add(1, line(1))
		}
		j.Close()
	}
	text, err := os.ReadFile(file.Name())
	if err != nil || strings.Count(string(text), "\n") != 2 || !json.Valid(bytes.Split(text, []byte("\n"))[0]) {
		t.Errorf("into a file JSON is written: %s, %v", text, err)
	}
	for _, wrong := range [][2]string{{"loud", "json"}, {"info", "xml"}} {
		if _, err := NewJournal(file, wrong[0], wrong[1]); err == nil {
			t.Errorf("%v is taken", wrong)
		}
		if _, err := NewLogger(file, wrong[0], wrong[1]); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}
