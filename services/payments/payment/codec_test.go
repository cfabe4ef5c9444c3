package payment

import (
	"testing"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/codec/codectest"
)

// Whatever is in an account must be in its checkpoint. A field that is added and not coded fails here.
func TestEveryFieldOfAnAccountIsEncoded(t *testing.T) {
	t.Parallel()
	payments := 0
	special := codectest.Special{Fill: func(pointer any, _ func() int) bool {
		switch at := pointer.(type) {
		case **eventsv1.PaymentSnapshot:
			payments++
			*at = &eventsv1.PaymentSnapshot{PaymentId: string(rune('a' + payments)), SourceId: "bank"}
		case *map[string]*Payment: // it follows from order
		default:
			return false
		}
		return true
	}}
	full := New("")
	codectest.Fill(t, full, special)
	for _, p := range full.order {
		full.payments[p.Snapshot.GetPaymentId()] = p
	}
	decoded, err := Decode(full.Encode(nil))
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range decoded.payments {
		if p.Snapshot.GetPaymentId() != id || len(decoded.payments) != len(full.order) {
			t.Errorf("payment %s is known as %s", p.Snapshot.GetPaymentId(), id)
		}
	}
	full.payments, decoded.payments = nil, nil
	codectest.Same(t, full, decoded, special)
}
