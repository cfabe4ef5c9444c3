package eventlog

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	whole := jetstream.StreamState{FirstSeq: 1, LastSeq: 10, Msgs: 10}
	for name, row := range map[string]struct {
		state    jetstream.StreamState
		recorded uint64
		says     string
	}{
		"an empty stream":                       {jetstream.StreamState{}, 0, ""},
		"a whole stream":                        {whole, 10, ""},
		"unanswered events beyond the record":   {whole, 7, ""},
		"no record":                             {whole, 0, ""},
		"the end is gone":                       {whole, 12, "S has lost acknowledged events: sequences 11 to 12 "},
		"the whole of it is gone":               {jetstream.StreamState{}, 3, "S has lost acknowledged events: sequences 1 to 3 "},
		"the beginning is gone":                 {jetstream.StreamState{FirstSeq: 4, LastSeq: 10, Msgs: 7}, 10, "S has lost acknowledged events: sequences 1 to 3 "},
		"a run in the middle is gone":           {jetstream.StreamState{FirstSeq: 1, LastSeq: 10, Msgs: 7, NumDeleted: 3, Deleted: []uint64{4, 5, 8}}, 10, "S has lost acknowledged events: sequences 4 to 5 "},
		"unanswered events in the middle":       {jetstream.StreamState{FirstSeq: 1, LastSeq: 10, Msgs: 9, NumDeleted: 1, Deleted: []uint64{8}}, 7, "S has a gap: sequences 8 to 8,"},
		"a gap and no record":                   {jetstream.StreamState{FirstSeq: 1, LastSeq: 10, Msgs: 9, NumDeleted: 1, Deleted: []uint64{8}}, 0, "S has lost acknowledged events: sequences 8 to 8 "},
		"missing, and the server says not what": {jetstream.StreamState{FirstSeq: 1, LastSeq: 10, Msgs: 9, NumDeleted: 1}, 10, "S has lost acknowledged events: sequences 1 to 10 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := intact("S", row.state, row.recorded)
			switch {
			case row.says == "" && err != nil:
				t.Errorf("said %v", err)
			case row.says != "" && (err == nil || err.Error()[:min(len(row.says), len(err.Error()))] != row.says):
				t.Errorf("said %v, want %s…", err, row.says)
			}
		})
	}
}
