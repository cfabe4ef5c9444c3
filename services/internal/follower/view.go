package follower

import (
	"context"
	"fmt"

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
	}
	f.change(func() { f.folded = max(f.folded, m.Sequence) })
	return nil
}

// catchUpView brings the view up to a sequence, by reading what it has not seen.
func (f *Follower[V]) catchUpView(ctx context.Context, through uint64) error {
	f.folding.Lock()
	defer f.folding.Unlock()
	if f.options.Fold != nil {
		if err := f.read(ctx, f.View(), f.Folded(), through); err != nil {
			return err
		}
	}
	f.change(func() { f.folded = max(f.folded, through) })
	return nil
}

// read takes the events between two sequences into a view.
func (f *Follower[V]) read(ctx context.Context, view V, after, through uint64) error {
	return f.Stream().Read(ctx, eventlog.Range{After: after, Through: through}, func(m eventlog.Message) error {
		if err := f.options.Fold(view, m); err != nil {
			return Unreadable(f.options.Upstream.Name, m.Sequence, err)
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
	if err := f.read(ctx, view, 0, through); err != nil {
		return 0, err
	}
	f.folding.Lock()
	defer f.folding.Unlock()
	end := f.Folded()
	if err := f.read(ctx, view, through, end); err != nil {
		return 0, err
	}
	f.view.Store(&view)
	return end, nil
}
