package account

import (
	"testing"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/codec/codectest"
)

// Whatever is in an account must be in its checkpoint. A field that is added and not coded fails here.
func TestEveryFieldOfAnAccountIsEncoded(t *testing.T) {
	t.Parallel()
	special := codectest.Special{Fill: func(pointer any, _ func() int) bool {
		snapshot, is := pointer.(**eventsv1.AccountSnapshot)
		if is {
			*snapshot = &eventsv1.AccountSnapshot{RulesProfile: "strict", Cards: []*eventsv1.CardSnapshot{{CardId: "c1"}}}
		}
		return is
	}}
	full := New("")
	codectest.Fill(t, full, special)
	decoded, err := Decode(full.Encode(nil))
	if err != nil {
		t.Fatal(err)
	}
	codectest.Same(t, full, decoded, special)
}

// The register knows the same cards whether it was told the events or the accounts.
func TestTheRegisterIsRestored(t *testing.T) {
	t.Parallel()
	snapshot := &eventsv1.AccountSnapshot{Cards: []*eventsv1.CardSnapshot{{CardId: "c1", NumberFingerprint: []byte("n1")}, {CardId: "c2", NumberFingerprint: []byte("n2")}}}
	restored := NewRegister()
	restored.Restore(Cards(snapshot))
	for _, card := range snapshot.GetCards() {
		if !restored.has(idMark(card.GetCardId())) || !restored.has(numberMark(card.GetNumberFingerprint())) {
			t.Errorf("card %s is not known", card.GetCardId())
		}
	}
	if restored.has(idMark("c3")) || restored.has(numberMark([]byte("c1"))) || len(restored.taken) != 4 {
		t.Errorf("%d marks", len(restored.taken))
	}
}
