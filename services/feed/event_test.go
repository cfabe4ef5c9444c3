package feed

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// message is a sample as it is stored.
func (s sample) message(t testing.TB) eventlog.Message {
	t.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.stored)
	if err != nil {
		t.Fatal(err)
	}
	return eventlog.Message{Subject: "any." + s.stored.GetEnvelope().GetAccountId(), Sequence: s.sequence, Data: data}
}

func BenchmarkTranslate(b *testing.B) {
	seen := map[string]bool{}
	for _, s := range samples() {
		if seen[s.event] {
			continue
		}
		seen[s.event] = true
		b.Run(s.event, func(b *testing.B) {
			m := s.message(b)
			b.ReportAllocs()
			for b.Loop() {
				event, err := Translate(s.stream, m)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(event.Data)))
			}
		})
	}
}
