package ledger

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// A new fact that moves or asks for money, and whose amount nobody would be told, is noticed.
func TestAmountOfEveryFact(t *testing.T) {
	t.Parallel()
	const amount = 4711
	facts := (&eventsv1.LedgerEvent{}).ProtoReflect().Descriptor().Oneofs().ByName("fact").Fields()
	for i := range facts.Len() {
		event := &eventsv1.LedgerEvent{Decision: &eventsv1.DecisionRecord{ApprovedAmount: amount}}
		fact := event.ProtoReflect().Mutable(facts.Get(i)).Message()
		if !setAmounts(fact, amount) {
			continue
		}
		if told := AmountOf(event); told != amount {
			t.Errorf("%s: it tells %d", facts.Get(i).Name(), told)
		}
	}
}

// setAmounts sets every amount of a fact, also in what was asked, and says whether there is any.
func setAmounts(fact protoreflect.Message, amount int64) (found bool) {
	fields := fact.Descriptor().Fields()
	for i := range fields.Len() {
		switch field := fields.Get(i); field.Name() {
		case "amount", "requested_amount", "released_amount":
			fact.Set(field, protoreflect.ValueOfInt64(amount))
			found = true
		case "request":
			found = setAmounts(fact.Mutable(field).Message(), amount) || found
		}
	}
	return found
}
