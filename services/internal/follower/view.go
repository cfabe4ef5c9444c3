package follower

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// fold takes an event into the view, unless the view has it.
func (f *Follower[V]) fold(m eventlog.Message) error {
	f.folding.Lock()
	defer f.folding.Unlock()
	if f.options.Fold != nil && m.Sequence > f.Folded() {
		if err := f.options.Fold(f.View(), m); err != nil {
			return Unreadable(f.options.Upstream.Name, m.Sequence, err)
		}
		f.mark(m)
	}
	f.change(func() { f.folded = max(f.folded, m.Sequence) })
	return nil
}

// marksApart is after how many events it is noted how far a view on file reaches: a start reads the events since.
const marksApart = 10_000

// mark notes that the view has an event. The caller folds.
func (f *Follower[V]) mark(m eventlog.Message) {
	if f.options.Kept == nil {
		return
	}
	f.newest = m
	if table := f.options.Kept(f.View()); m.Sequence >= table.Mark().Through+marksApart && m.Sequence >= f.marked+marksApart {
		f.marked = m.Sequence
		table.Reach(markOf(m))
	}
}

func markOf(m eventlog.Message) checkpoint.Mark {
	return checkpoint.Mark{Through: m.Sequence, Hash: sha256.Sum256(m.Data), At: time.Now()}
}

// Prepare opens the view that an earlier process left, which takes time when it is large. Run does so where nobody did before; it must follow.
func (f *Follower[V]) Prepare() {
	f.opening.Do(func() {
		if f.options.OpenView != nil {
			view := f.options.OpenView()
			f.view.Store(&view)
		}
	})
}

// takeUpView goes on with the view that an earlier process left, if it was made of this stream; else with an empty one.
func (f *Follower[V]) takeUpView(ctx context.Context, end uint64) error {
	if f.options.Kept == nil || f.Folded() > 0 {
		return nil
	}
	table := f.options.Kept(f.View())
	mark := table.Mark()
	if mark.Through > 0 && mark.Through <= end {
		m, err := f.stream.Get(ctx, mark.Through)
		if err != nil {
			return err
		}
		if markOf(m).Hash == mark.Hash {
			f.change(func() { f.folded = mark.Through })
			return nil
		}
	}
	if table.Len() > 0 {
		table.Reset()
	}
	return nil
}

// closeView keeps the view for the next process.
func (f *Follower[V]) closeView(ctx context.Context) {
	if f.options.Kept == nil {
		return
	}
	table := f.options.Kept(f.View())
	if f.newest.Sequence > 0 {
		table.Reach(markOf(f.newest))
	}
	if err := table.Close(); err != nil {
		f.options.Logger.WarnContext(ctx, "a view could not be kept", slog.String("follower", f.options.Name), slog.String("stream", f.options.Upstream.Name), slog.Any("error", err))
	}
}

// catchUpView brings the view up to a sequence, by reading what it has not seen.
func (f *Follower[V]) catchUpView(ctx context.Context, through uint64) error {
	f.folding.Lock()
	defer f.folding.Unlock()
	if f.options.Fold != nil {
		if err := f.read(ctx, f.View(), f.Folded(), through, f.mark); err != nil {
			return err
		}
	}
	f.change(func() { f.folded = max(f.folded, through) })
	return nil
}

// read takes the events between two sequences into a view, and tells of each.
func (f *Follower[V]) read(ctx context.Context, view V, after, through uint64, taken func(eventlog.Message)) error {
	return f.Stream().Read(ctx, eventlog.Range{After: after, Through: through}, func(m eventlog.Message) error {
		if err := f.options.Fold(view, m); err != nil {
			return Unreadable(f.options.Upstream.Name, m.Sequence, err)
		}
		if taken != nil {
			taken(m)
		}
		return nil
	})
}

// Rebuild throws the view away and makes it again from the stream, while following goes on, and returns how many events it has.
// The old view serves until the new one has everything that the old one has.
func (f *Follower[V]) Rebuild(ctx context.Context) (events uint64, err error) {
	if f.Stream() == nil {
		return 0, fmt.Errorf("%w: %s", eventlog.ErrNotFound, f.options.Upstream.Name)
	}
	view := f.options.NewView()
	through := f.Folded()
	if err := f.read(ctx, view, 0, through, nil); err != nil {
		return 0, err
	}
	f.folding.Lock()
	defer f.folding.Unlock()
	end := f.Folded()
	if err := f.read(ctx, view, through, end, nil); err != nil {
		return 0, err
	}
	old := f.View()
	f.view.Store(&view)
	if f.options.Kept != nil { // until the next start, which reads the whole stream
		err = f.options.Kept(old).Discard()
	}
	return end, err
}
