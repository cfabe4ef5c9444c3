package engine

import (
	"context"
	"time"

	"github.com/cardlog/cardlog/services/internal/checkpoint"
)

// View returns what readers see of an account: always durable. An account that is not in memory is read from its checkpoint; where that is of an earlier process and not proven, the
// engine holds it against the log first. The error is a *failure.Error: it is not known then whether there is such an account.
func (e *Engine[S, C, E, V]) View(ctx context.Context, accountID string) (view V, known bool, err error) {
	store := e.kept()
	if view, known = e.Published(accountID); known || store == nil {
		return view, known, nil
	}
	entry, stored := store.Entry(accountID)
	if !stored {
		if view, known = e.Published(accountID); !known && !e.health.serving.Load() {
			err = e.health.refusal() // it may be making the states again
		}
		return view, known, err
	}
	if entry.Trusted {
		if kept, _, err := store.Get(accountID); err == nil {
			if state, err := e.codec.Decode(kept.Data); err == nil {
				return e.reader.View(state), true, nil
			}
		}
	}
	known, err = e.Ask(ctx, accountID, func(state S, _ time.Time) { view = e.reader.View(state) })
	return view, known, err
}

// Published returns what readers see of an account if it is in memory.
func (e *Engine[S, C, E, V]) Published(accountID string) (view V, ok bool) {
	return e.views.of(accountID)
}

// Stored returns what is known of an account without reading it: its summary and the sequence of its last event. Those of an account in memory are made by the caller
// of what is Published.
func (e *Engine[S, C, E, V]) Stored(accountID string) (summary string, sequence uint64, ok bool) {
	store := e.kept()
	if store == nil {
		return "", 0, false
	}
	entry, ok := store.Entry(accountID)
	return entry.Summary, entry.Sequence, ok
}

// Trusted returns the summary of an account that is not in memory, if the log is known to agree with it.
func (e *Engine[S, C, E, V]) Trusted(accountID string) (summary string, ok bool) {
	store := e.kept()
	if store == nil {
		return "", false
	}
	entry, stored := store.Entry(accountID)
	return entry.Summary, stored && entry.Trusted
}

// Each calls visit for every account, in no order and not twice, until it returns false: with its view if it is in memory, else with its summary.
// It must not call the engine.
func (e *Engine[S, C, E, V]) Each(visit func(accountID string, view *V, summary string) bool) {
	more, visited := true, map[string]bool{}
	e.views.each(func(id string, view V) bool {
		visited[id] = true
		more = visit(id, &view, "")
		return more
	})
	if store := e.kept(); more && store != nil {
		store.Each(func(id string, entry checkpoint.Entry) bool { return visited[id] || visit(id, nil, entry.Summary) })
	}
}

// kept returns the checkpoints for readers; nil where there are none, or before the engine has recovered for the first time.
func (e *Engine[S, C, E, V]) kept() *checkpoint.Store {
	select {
	case <-e.health.ready:
		return e.store
	default:
		return nil
	}
}
