package feed

import (
	"errors"
	"maps"
	"testing"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

func TestPositionsAreReadBack(t *testing.T) {
	t.Parallel()
	for _, want := range []positions{{}, {"ACCOUNTS": 12, "LEDGER_00": 99, "PAYMENTS": 0}} {
		text := want.header(41)
		start, got, err := parsePositions(text)
		if err != nil || start != 41 || !maps.Equal(got, want) {
			t.Errorf("%q is read as %d, %v, %v", text, start, got, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1 ACCOUNTS", "1 ACCOUNTS=", "1 ACCOUNTS=x", "1 ACCOUNTS=-1"} {
		if _, _, err := parsePositions(text); !errors.Is(err, errPositions) {
			t.Errorf("%q is read: %v", text, err)
		}
	}
	for _, id := range []string{"", "ACCOUNTS", "ACCOUNTS:", "ACCOUNTS:x", "5"} {
		if _, _, err := parseID(id); !errors.Is(err, errPositions) {
			t.Errorf("the id %q is read: %v", id, err)
		}
	}
}

func TestTheTailTellsHowFarEachSourceIs(t *testing.T) {
	t.Parallel()
	type message struct{ positions, id string }
	const gap = "gap" // in the place of an id: messages are missing
	for name, row := range map[string]struct {
		messages []message
		want     positions
	}{
		"nothing was published":                        {nil, positions{}},
		"the newest of each source":                    {[]message{{"0", "A:1"}, {"", "B:1"}, {"", "A:2"}}, positions{"A": 2, "B": 1}},
		"a header that the feed did not write":         {[]message{{"0 A:9", "B:1"}}, nil},
		"the header tells of the rounds before":        {[]message{{"0 A=9 B=4", "B:5"}, {"", "B:6"}}, positions{"A": 9, "B": 6}},
		"the tail begins in the middle of a round":     {[]message{{"", "B:5"}, {"5 A=9 B=5", "B:6"}}, positions{"A": 9, "B": 6}},
		"what is behind a gap does not count":          {[]message{{"0", "A:1"}, {"", "A:2"}, {"", gap}, {"", "A:5"}}, positions{"A": 2}},
		"nor rounds of the epoch that was cut":         {[]message{{"0", "A:1"}, {"", gap}, {"0 A=3", "A:4"}}, positions{"A": 1}},
		"it counts from an epoch that began behind it": {[]message{{"0", "A:1"}, {"", gap}, {"", "A:4"}, {"3 A=1", "A:2"}, {"", "A:3"}}, positions{"A": 3}},
		"and such an epoch may begin right there":      {[]message{{"0", "A:1"}, {"", gap}, {"2 A=1", "A:2"}}, positions{"A": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			found := tail{found: positions{}}
			err := error(nil)
			for i, m := range row.messages {
				if m.id == gap {
					found.gap, found.lost = uint64(i+1), true
					continue
				}
				header := eventlog.Header{"ce-id": {m.id}}
				if m.positions != "" {
					header.Set(positionsHeader, m.positions)
				}
				err = errors.Join(err, found.add(eventlog.Message{Sequence: uint64(i + 1), Header: header}))
			}
			if row.want == nil {
				if !errors.Is(err, errPositions) {
					t.Errorf("it is read: %v, %v", found.found, err)
				}
			} else if err != nil || !maps.Equal(found.found, row.want) {
				t.Errorf("found %v, %v, want %v", found.found, err, row.want)
			}
		})
	}
}
