package feed

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
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

// public is a sample in public.
func (s sample) public(t testing.TB) Event {
	t.Helper()
	event, err := Translate(s.stream, s.message(t))
	if err != nil {
		t.Fatalf("%s: %v", s.event, err)
	}
	return event
}

func TestEveryFactHasASample(t *testing.T) {
	t.Parallel()
	shown := map[string]bool{}
	for _, s := range samples() {
		shown[s.event] = true
		if got, want := s.public(t).Subject, "events."+s.event+".alice"; got != want {
			t.Errorf("the subject of %s is %s, want %s", s.event, got, want)
		}
	}
	for _, service := range Services() {
		for _, event := range EventNames(service) {
			if !shown[service+"."+event] {
				t.Errorf("there is no sample of %s.%s", service, event)
			}
		}
	}
}

func TestAnEventIsACloudEvent(t *testing.T) {
	t.Parallel()
	event := sampleOf(t, "transactions.authorization_declined").public(t)
	want := eventlog.Header{
		"ce-specversion": {"1.0"}, "ce-id": {"LEDGER_00:5"}, "ce-source": {"/cardlog/transactions"}, "ce-type": {"cardlog.transactions.authorization_declined"},
		"ce-subject": {"alice"}, "ce-time": {"2026-11-22T10:02:00Z"}, "ce-datacontenttype": {"application/json"},
	}
	if header := event.Header.Header(); !reflect.DeepEqual(header, want) {
		t.Errorf("the header is %v, want %v", header, want)
	}
}

// sampleOf returns the first sample of an event.
func sampleOf(t testing.TB, event string) sample {
	t.Helper()
	for _, s := range samples() {
		if s.event == event {
			return s
		}
	}
	t.Fatalf("there is no sample of %s", event)
	return sample{}
}

// A decision's event holds what the gRPC answer holds, under the same names.
func TestADecisionsEventHoldsWhatTheAnswerHolds(t *testing.T) {
	t.Parallel()
	names := map[string]bool{"duplicate": true} // an event is never one
	body := reflect.TypeFor[ledgerData]()
	for i := range body.NumField() {
		name, _, _ := strings.Cut(body.Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	answer := (&transactionsv1.Decision{}).ProtoReflect().Descriptor().Fields()
	for i := range answer.Len() {
		if name := string(answer.Get(i).Name()); !names[name] {
			t.Errorf("the answer has %s, the event has not", name)
		}
	}
}

func TestNothingThatMustStayInsideIsPublic(t *testing.T) {
	t.Parallel()
	planted := []string{plantedHolder, plantedFingerprint, plantedLastFour, plantedReason, plantedActor, plantedDigest, plantedCountry, plantedRequest}
	inside := map[string]bool{}
	for _, s := range samples() {
		stored, event := string(s.message(t).Data), s.public(t)
		public := event.Subject + string(event.Data) + string(event.Header)
		for _, secret := range planted {
			inside[secret] = inside[secret] || strings.Contains(stored, secret)
			for _, written := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(public, written) {
					t.Errorf("%s tells %q: %s", s.event, written, public)
				}
			}
		}
	}
	for _, secret := range planted {
		if !inside[secret] {
			t.Errorf("%q is planted nowhere", secret)
		}
	}
}

func TestWhatCannotBePublicIsAnError(t *testing.T) {
	t.Parallel()
	sound := sampleOf(t, "payments.submitted")
	with := func(change func(*eventsv1.PaymentEvent)) []byte {
		event := proto.CloneOf(sound.stored.(*eventsv1.PaymentEvent))
		change(event)
		return sample{stream: sound.stream, stored: event}.message(t).Data
	}
	for name, broken := range map[string]struct {
		stream, subject string
		data            []byte
		says            string
	}{
		"what does not decode":           {"PAYMENTS", "payments.alice", []byte("not an event"), "PAYMENTS:7"},
		"a fact that is not known":       {"PAYMENTS", "payments.alice", with(func(e *eventsv1.PaymentEvent) { e.Fact = nil }), "no fact"},
		"the fact of another stream":     {"LEDGER_00", "ledger.00.alice", with(func(*eventsv1.PaymentEvent) {}), "LEDGER_00:7"},
		"an event of another account":    {"PAYMENTS", "payments.bob", with(func(*eventsv1.PaymentEvent) {}), `account "alice"'s and stored under "payments.bob"`},
		"an account that is no token":    {"PAYMENTS", "payments.a*", with(func(e *eventsv1.PaymentEvent) { e.Envelope.AccountId = "a*" }), "cannot be an account id"},
		"an event without an account":    {"PAYMENTS", "payments.", with(func(e *eventsv1.PaymentEvent) { e.Envelope.AccountId = "" }), "cannot be an account id"},
		"an event without a time":        {"PAYMENTS", "payments.alice", with(func(e *eventsv1.PaymentEvent) { e.Envelope.DecidedAt = nil }), "when it was decided"},
		"a time that is none":            {"PAYMENTS", "payments.alice", with(func(e *eventsv1.PaymentEvent) { e.Envelope.DecidedAt = &timestamppb.Timestamp{Nanos: -1} }), "when it was decided"},
		"a stream that is none of facts": {"EVENTS", "events.x", with(func(*eventsv1.PaymentEvent) {}), "no stream of facts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Translate(broken.stream, eventlog.Message{Subject: broken.subject, Sequence: 7, Data: broken.data})
			if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), broken.says) {
				t.Errorf("the error is %v", err)
			}
		})
	}
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
