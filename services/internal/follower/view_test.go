package follower_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/follower"
)

// A view that is kept is taken up by the next process, which reads only what came since; one that is not of this stream is made again.
func TestAKeptViewIsTakenUp(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	dir := t.TempDir()
	// run follows until everything is in the view, and returns how many letters were taken in for that.
	run := func(rebuild bool) int64 {
		t.Helper()
		var taken atomic.Int64
		f := follower.New(follower.Options[*checkpoint.Table]{
			Name: "reader", Upstream: p.remote(), InFlight: 10, Logger: slog.New(slog.DiscardHandler), NewView: checkpoint.NewTable,
			OpenView: func() *checkpoint.Table {
				table, err := checkpoint.OpenTable(dir, "letters", 1)
				if err != nil {
					t.Error(err)
					return checkpoint.NewTable()
				}
				return table
			},
			Kept: func(table *checkpoint.Table) *checkpoint.Table { return table },
			Fold: func(table *checkpoint.Table, m eventlog.Message) error {
				taken.Add(1)
				table.Set(string(m.Data), m.Subject)
				return nil
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		if err := f.AwaitAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rebuild {
			if events, err := f.Rebuild(t.Context()); err != nil || events != p.last {
				t.Errorf("made again from %d letters, %v", events, err)
			}
		}
		if f.View().Len() != int(p.last) {
			t.Errorf("the view has %d of %d letters", f.View().Len(), p.last)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		return taken.Load()
	}
	p.send(5)
	for _, step := range []struct {
		what    string
		do      func()
		rebuild bool
		taken   int64
	}{
		{"at first", func() {}, false, 5},
		{"after 3 more", func() { p.send(3) }, false, 3},
		{"after nothing, made again", func() {}, true, 8},
		{"after it was made again", func() {}, false, 8},
		{"kept with another mark", func() {
			table, err := checkpoint.OpenTable(dir, "letters", 1)
			if err != nil {
				t.Fatal(err)
			}
			table.Set("1000", "not of this stream")
			table.Reach(checkpoint.Mark{Through: 7, Hash: [32]byte{1}})
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
		}, false, 8},
		{"kept beyond the end", func() {
			table, err := checkpoint.OpenTable(dir, "letters", 1)
			if err != nil {
				t.Fatal(err)
			}
			table.Reach(checkpoint.Mark{Through: 900})
			if err := table.Close(); err != nil {
				t.Fatal(err)
			}
		}, false, 8},
		{"in the end", func() { p.send(1) }, false, 1},
	} {
		step.do()
		if taken := run(step.rebuild); taken != step.taken {
			t.Errorf("%s: %d letters were taken in, want %d", step.what, taken, step.taken)
		}
	}
}
