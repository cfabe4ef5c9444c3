package feed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// positionsHeader is on the first message of every round. It says which epoch wrote it, and how far each source was before the round:
//
//	cardlog-positions: <sequence of EVENTS that the epoch began after> ACCOUNTS=12 LEDGER_00=99 PAYMENTS=3
const positionsHeader = "cardlog-positions"

// positions are how far each source is in EVENTS, by the name of its stream.
type positions map[string]uint64

func (p positions) header(epochStart uint64) string {
	var text strings.Builder
	text.WriteString(strconv.FormatUint(epochStart, 10))
	for _, source := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&text, " %s=%d", source, p[source])
	}
	return text.String()
}

var errPositions = errors.New("a message of the feed's stream was not written by the feed")

func parsePositions(text string) (epochStart uint64, p positions, err error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return 0, nil, errPositions
	}
	if epochStart, err = strconv.ParseUint(words[0], 10, 64); err != nil {
		return 0, nil, errPositions
	}
	p = positions{}
	for _, word := range words[1:] {
		source, sequence, found := strings.Cut(word, "=")
		if p[source], err = strconv.ParseUint(sequence, 10, 64); err != nil || !found {
			return 0, nil, errPositions
		}
	}
	return epochStart, p, nil
}

// parseID splits a ce-id.
func parseID(id string) (source string, sequence uint64, err error) {
	source, text, found := strings.Cut(id, ":")
	if sequence, err = strconv.ParseUint(text, 10, 64); err != nil || !found {
		return "", 0, errPositions
	}
	return source, sequence, nil
}

// tail finds the positions from the last messages of EVENTS.
//
// What a power loss took from the middle of them is published again, and so is everything behind it: a message behind a gap counts only when its epoch began behind
// the gap too, for an epoch begins when everything before it is durable.
type tail struct {
	found positions
	gap   uint64 // end of the last gap
	lost  bool   // no epoch has begun since the gap
}

func (t *tail) add(m eventlog.Message) error {
	if text := m.Header.Get(positionsHeader); text != "" {
		epochStart, before, err := parsePositions(text)
		if err != nil {
			return err
		}
		if t.gap == 0 || epochStart >= t.gap {
			maps.Copy(t.found, before)
			t.lost = false
		}
	}
	source, sequence, err := parseID(m.Header.Get("ce-id"))
	if err == nil && !t.lost {
		t.found[source] = max(t.found[source], sequence)
	}
	return err
}

// findPositions reads the last messages of EVENTS, at most so many, and returns the sequence of the last one and how far each source is.
func findPositions(ctx context.Context, stream *eventlog.Stream, most uint64) (last uint64, found positions, err error) {
	extent, err := stream.Extent(ctx)
	if err != nil {
		return 0, nil, err
	}
	t := &tail{found: positions{}}
	after := uint64(0)
	if extent.Last > 0 {
		after = max(extent.Last-min(extent.Last, most), extent.First-1)
	}
	for after < extent.Last {
		err := stream.Read(ctx, eventlog.Range{After: after, Through: extent.Last}, func(m eventlog.Message) error {
			after = m.Sequence
			return t.add(m)
		})
		var lost *eventlog.LostError
		switch {
		case err == nil:
			after = extent.Last
		case errors.As(err, &lost):
			after = lost.To
			t.gap, t.lost = lost.To, true
		default:
			return 0, nil, fmt.Errorf("find what %s holds: %w", stream.Name(), err)
		}
	}
	return extent.Last, t.found, nil
}
