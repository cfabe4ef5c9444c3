package feed

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// What the gRPC answer and the stored facts tell, the public event tells by the same name: a new field without a place here is noticed.
func TestPublicEventsLeaveNothingOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		told     any
		from     proto.Message
		without  []string // what is not told, with the reason
		elsewise map[string]string
	}{
		{ledgerData{}, &transactionsv1.Decision{}, []string{"duplicate"}, nil}, // a duplicate is no event
		{ledgerData{}, &eventsv1.DecisionRecord{}, nil, map[string]string{"checks": "failed_checks"}},
		{transaction{}, &eventsv1.TransactionRecord{}, []string{"transaction_id", "card_id", "merchant", "paid", "returned", "withheld", // beside it
			"first_sequence", "previous_sequence", "authorization_sequence", "expiries"}, nil},
		{ledgerData{}, &eventsv1.AuthorizationApproved{}, []string{"request"}, nil}, // its parts are told one by one
		{ledgerData{}, &eventsv1.AuthorizationRequest{}, nil, map[string]string{"currency_code": "amount"}},
		{ledgerData{}, &eventsv1.IncrementRequest{}, nil, map[string]string{"currency_code": "amount"}},
		{ledgerData{}, &eventsv1.AuthorizationIncremented{}, []string{"request"}, nil},
		{ledgerData{}, &eventsv1.AuthorizationAdvised{}, nil, map[string]string{"kind": "advice_kind"}},
		{ledgerData{}, &eventsv1.AuthorizationReversed{}, nil, nil},
		{ledgerData{}, &eventsv1.PresentmentReversed{}, []string{"presentment_sequence"}, nil}, // sequences of LEDGER say nothing to a reader of EVENTS
		{ledgerData{}, &eventsv1.RefundReversed{}, []string{"refund_sequence"}, nil},
		{ledgerData{}, &eventsv1.DisputeCredited{}, nil, nil},
		{ledgerData{}, &eventsv1.DisputeCreditReversed{}, []string{"credit_sequence"}, nil},
		{ledgerData{}, &eventsv1.AccountChanged{}, []string{"home_country_code"}, nil}, // personal
		{check{}, &eventsv1.CheckRecord{}, []string{"failed"}, map[string]string{"kind": "check", "seen_code": "seen", "bound_code": "bound", "trailing_hours": "window"}},
		{card{}, &eventsv1.LedgerCard{}, nil, nil},
		{controls{}, &typev1.SpendingControls{}, nil, nil},
		{spendingLimit{}, &typev1.SpendingLimit{}, nil, nil},
	} {
		names := jsonNames(test.told)
		fields := test.from.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			name := string(fields.Get(i).Name())
			if other, renamed := test.elsewise[name]; renamed {
				name = other
			}
			if told := slices.Contains(names, name); told == slices.Contains(test.without, name) {
				t.Errorf("%s.%s: in the public event is %v", test.from.ProtoReflect().Descriptor().Name(), name, told)
			}
		}
	}
}

func jsonNames(of any) (names []string) {
	for i := range reflect.TypeOf(of).NumField() {
		name, _, _ := strings.Cut(reflect.TypeOf(of).Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// Each sample of a life, as its reader gets it, has what the fact has.
func TestTheLifeOfATransactionInPublic(t *testing.T) {
	t.Parallel()
	const pence = `{"currency_code":"GBP","minor_units":%d}`
	in := func(text string, minor ...string) string {
		for _, m := range minor {
			text = strings.Replace(text, "£", strings.Replace(pence, "%d", m, 1), 1)
		}
		return text
	}
	for _, test := range []struct {
		sequence uint64
		want     []string
	}{
		{20, []string{`"pre_authorization":true`, in(`"already_held":£`, "1500"), in(`"held_amount":£`, "24000"), in(`"hold_surplus":£`, "4000"), `"hold_expiry_rule":"mcc 7011: 30 days"`, `"hold_amount_rule":"mcc 7011: 20 percent more"`}},
		{21, []string{`"increment_id":"second-night"`, in(`"amount":£`, "5000"), in(`"added_amount":£`, "5000"), `"reopened":true`, `"stan":"000778"`}},
		{22, []string{`"increment_id":"a-week"`, in(`"amount":£`, "50000"), `"decline_reason":"AMOUNT_LIMIT_EXCEEDED"`,
			`{"check":"WINDOW_AMOUNT","scope":"CARD","window":"MONTH","decline_reason":"AMOUNT_LIMIT_EXCEEDED","seen":"85000","bound":"80000"}`,
			`{"check":"WINDOW_COUNT","scope":"ACCOUNT","window":"24h","decline_reason":"COUNT_LIMIT_EXCEEDED","seen":"6","bound":"5"}`,
			`{"check":"MERCHANT_LOCK","scope":"CARD","decline_reason":"MERCHANT_BLOCKED","seen":"M-77","bound":"M-1029384756"}`}},
		{23, []string{`"advice_id":"checked-out"`, `"advice_kind":"COMPLETION"`, in(`"amount":£`, "30000"), in(`"held_change":£`, "1000"), `"completed":true`, `"stan":"000780"`}},
		{24, []string{`"reversal_id":"released"`, in(`"requested_amount":£`, "40000"), in(`"released_amount":£`, "30000"), `"reversal_capped":true`, `"reversed_in_full":true`, `"stan":"000781"`}},
		{25, []string{`"late":true,"days_late":3`, in(`"over_capture_amount":£,"over_capture_tolerated":true`, "1000")}},
		{26, []string{`"refund":true`, `"merchant_credit":true`, in(`"refund_authorized":£`, "9000")}},
		{27, []string{`"dispute_id":"wobbly-chair"`, in(`"amount":£`, "9000"), in(`"disputed":£`, "9000")}},
		{28, []string{`"dispute_id":"wobbly-chair"`, in(`"amount":£`, "9000")}},
		{29, []string{`"reversal_id":"chair-taken-back","presentment_id":"chair-clearing"`, in(`"amount":£`, "9000"), in(`"clearing_reversed":£`, "9000")}},
		{30, []string{`"reversal_id":"refund-taken-back","refund_id":"dinner-refund"`, in(`"amount":£`, "1500"), in(`"refund_reversed":£`, "1500")}},
		{18, []string{in(`"cards":[{"card_id":"alice-card-2","state":"ACTIVE","expiry_month":11,"expiry_year":2030,"replaces_card_id":"alice-card","controls":{"max_amount":£,`+
			`"limits":[{"window":"MONTH","max_amount":£,"max_count":40},{"trailing_hours":24,"max_count":5}],"allowed_mccs":["5411","5812"],"blocked_mccs":["7995"],`+
			`"allowed_countries":["GB","IE"],"blocked_countries":["US"],"lock_to_first_merchant":true,"single_use":true}}]`, "20000", "80000")}},
		{19, []string{`"state":"OPEN","controls":{"locked_merchant_id":"M-1029384756"}`}},
	} {
		data := publicSample(t, "LEDGER_00", test.sequence)
		for _, want := range test.want {
			if !strings.Contains(data, want) {
				t.Errorf("event %d has no %s: %s", test.sequence, want, data)
			}
		}
	}
	var ofCard, ofAccount accountData
	for sequence, into := range map[uint64]*accountData{10: &ofCard, 11: &ofAccount} {
		if err := json.Unmarshal([]byte(publicSample(t, "ACCOUNTS", sequence)), into); err != nil {
			t.Fatal(err)
		}
	}
	if ofCard.Controls != nil || !reflect.DeepEqual(ofCard.Card.Controls, controlsOf(strict())) {
		t.Errorf("a card's controls are told as %+v", ofCard)
	}
	if ofAccount.Card != nil || !reflect.DeepEqual(ofAccount.Controls, &controls{LockedMerchantID: "M-1029384756"}) {
		t.Errorf("the account's controls are told as %+v", ofAccount)
	}
}

// publicSample returns the body of the sample that is stored at a place.
func publicSample(t *testing.T, stream string, sequence uint64) string {
	t.Helper()
	for _, s := range samples() {
		if s.stream == stream && s.sequence == sequence {
			event, err := Translate(s.stream, s.message(t))
			if err != nil {
				t.Fatal(err)
			}
			return string(event.Data)
		}
	}
	t.Fatalf("no sample is at %s:%d", stream, sequence)
	return ""
}
