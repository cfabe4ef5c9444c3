package eventlog

import (
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// LostError says that events which were acknowledged are gone from the store.
type LostError struct {
	// Stream that lost them.
	Stream string
	// From and To are the first and last sequence that are missing.
	From, To uint64
}

// Error names the lost range.
func (e *LostError) Error() string {
	return fmt.Sprintf("%s has lost acknowledged events: sequences %d to %d are missing or cannot be read; restore the directory from a backup", e.Stream, e.From, e.To)
}

// GapError says that events above the recorded sequence are missing between events that are there: a power loss took what was not on disk yet.
type GapError struct {
	// Stream with the gap.
	Stream string
	// From and To are the first and last sequence that are missing.
	From, To uint64
	// Durable is the sequence up to which the stream is whole.
	Durable uint64
}

// Error names the gap and the repair.
func (e *GapError) Error() string {
	return fmt.Sprintf("%s has a gap: sequences %d to %d, above what was known to be on disk (%d), are missing; with --sync always they were never answered; cut the log back to its durable part with `cardlog repair --dir OLD --into NEW` and start with --dir NEW",
		e.Stream, e.From, e.To, e.Durable)
}

// intact checks a stream's state against the sequence that was recorded as durable.
func intact(name string, state jetstream.StreamState, recorded uint64) error {
	if state.LastSeq < recorded {
		return &LostError{Stream: name, From: state.LastSeq + 1, To: recorded}
	}
	if from, to := firstGap(state); from != 0 {
		return gone(name, from, to, recorded)
	}
	return nil
}

// gone says what it means that a run of sequences is missing.
func gone(name string, from, to, recorded uint64) error {
	if from <= recorded || recorded == 0 {
		return &LostError{Stream: name, From: from, To: to}
	}
	return &GapError{Stream: name, From: from, To: to, Durable: recorded}
}

// firstGap returns the first run of missing sequences; 0, 0 when there is none.
func firstGap(state jetstream.StreamState) (from, to uint64) {
	if state.LastSeq == 0 {
		return 0, 0
	}
	if state.FirstSeq > 1 {
		return 1, state.FirstSeq - 1
	}
	if state.NumDeleted == 0 {
		if missing := state.LastSeq - state.Msgs; missing > 0 {
			return state.Msgs + 1, state.LastSeq
		}
		return 0, 0
	}
	if len(state.Deleted) == 0 {
		return 1, state.LastSeq // the server counts missing messages and does not say which
	}
	from, to = state.Deleted[0], state.Deleted[0]
	for _, sequence := range state.Deleted[1:] {
		if sequence != to+1 {
			break
		}
		to = sequence
	}
	return from, to
}
