package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// journalOfAlice has Alice buy, be declined, pay and have the payment returned, and returns the lines that were logged of it, by service and sequence,
// with the number of Alice's card, and how many events each service stored.
func journalOfAlice(t *testing.T, level string) (lines map[string]map[string]any, text, cardNumber string, stored map[string]uint64) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	c := testConfig(t)
	if c.journal, err = telemetry.NewJournal(file, level, "json"); err != nil {
		t.Fatal(err)
	}
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	cardNumber = b.open("alice", 100_000)
	must(b.present(t.Context(), "alice", "", "fridge", 30_000))(t)
	must(b.authorize(t.Context(), "alice", "dinner", 4_500))(t)
	must(b.authorize(t.Context(), "alice", "yacht", 950_000))(t)
	must(b.pay(t.Context(), "alice", "january", 12_000))(t)
	must(b.returnPayment(t.Context(), "alice", "january"))(t)
	b.wantBalances("alice", 30_000, 4_500, 65_500)
	ends := factsOf(t, p.store.log)
	p.stop()
	c.journal.Close()
	whole := must(os.ReadFile(file.Name()))(t)
	lines = map[string]map[string]any{}
	for line := range strings.Lines(string(whole)) {
		var attributes map[string]any
		if err := json.Unmarshal([]byte(line), &attributes); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		key := fmt.Sprint(attributes["service"], " ", attributes["sequence"])
		if lines[key] != nil {
			t.Errorf("%s is logged twice", key)
		}
		lines[key] = attributes
	}
	return lines, string(whole), cardNumber, map[string]uint64{"accounts": ends["ACCOUNTS"], "payments": ends["PAYMENTS"], "transactions": ends["LEDGER_00"]}
}

func TestEachDecisionAndEachAppliedEventIsALineOfTheLog(t *testing.T) {
	t.Parallel()
	lines, text, number, stored := journalOfAlice(t, "info")
	total := 0
	for service, events := range stored {
		total += int(events)
		for sequence := range events {
			if lines[fmt.Sprint(service, " ", sequence+1)] == nil {
				t.Errorf("event %d of %s is not in the log", sequence+1, service)
			}
		}
	}
	if len(lines) != total {
		t.Errorf("%d lines were logged of %d events", len(lines), total)
	}
	for key, want := range map[string]string{
		"transactions 4": `{"msg":"decided","account":"alice","event":"authorization_approved","transaction":"dinner","amount":4500,"outcome":"APPROVED","currency":"GBP","credit_limit":100000,"posted":30000,"pending":4500,"withheld":0,"available":65500}`,
		"transactions 5": `{"msg":"decided","event":"authorization_declined","transaction":"yacht","amount":950000,"outcome":"DECLINED","reason":"INSUFFICIENT_CREDIT","available":65500}`,
		"transactions 6": `{"msg":"applied","event":"payment_posted","transaction":"january","amount":12000,"posted":18000,"available":77500}`,
		"transactions 1": `{"msg":"applied","event":"ledger_opened","credit_limit":100000,"available":100000}`,
		"payments 1":     `{"msg":"decided","account":"alice","event":"submitted","payment":"january","amount":12000,"currency":"GBP","status":"SUBMITTED","withheld":0}`,
		"accounts 1":     `{"msg":"decided","account":"alice","event":"account_opened","credit_limit":100000,"currency":"GBP","account_state":"OPEN"}`,
	} {
		var wanted map[string]any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		for attribute, value := range wanted {
			if lines[key][attribute] != value {
				t.Errorf("%s has %s=%v, want %v", key, attribute, lines[key][attribute], value)
			}
		}
		if took, is := lines[key]["took"].(float64); !is || took <= 0 {
			t.Errorf("%s does not say how long it took: %v", key, lines[key])
		}
		if lines[key]["state"] != nil {
			t.Errorf("%s has a state", key)
		}
	}
	for _, secret := range []string{number, number[len(number)-4:] + `"`, "Holder of"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestAtDebugTheWholeStateAfterAnEventIsInTheLog(t *testing.T) {
	t.Parallel()
	lines, text, number, _ := journalOfAlice(t, "debug")
	for key, want := range map[string][]string{
		"transactions 4": {`"transaction_id":"dinner"`, `"held":"4500"`, `"approval_code"`, `"CHECK_KIND_CREDIT_LIMIT"`, `"posted":"30000"`},
		"payments 2":     {`"payment_id":"january"`, `"status":"PAYMENT_STATUS_RETURNED"`, `"return_code":"R01"`},
		"accounts 2":     {`"card_id":"alice-card"`, `"state":"CARD_STATE_ACTIVE"`, `"credit_limit"`},
	} {
		state, _ := lines[key]["state"].(string)
		state = strings.ReplaceAll(state, " ", "")
		for _, part := range want {
			if !strings.Contains(state, part) {
				t.Errorf("the state after %s does not have %s: %s", key, part, state)
			}
		}
		if lines[key]["level"] != "DEBUG" {
			t.Errorf("%s is logged at %v", key, lines[key]["level"])
		}
	}
	for _, secret := range []string{number, `last_four`, "Holder of", "fingerprint"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func BenchmarkJournalLine(b *testing.B) {
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // the encoding is what is measured
	event := &eventsv1.LedgerEvent{
		Envelope:    &eventsv1.Envelope{AccountId: "acct-1234", CommandKind: eventsv1.CommandKind_COMMAND_KIND_AUTHORIZE},
		Transaction: &eventsv1.TransactionRecord{TransactionId: "txn-123456"},
		Decision:    &eventsv1.DecisionRecord{Outcome: typev1.Outcome_OUTCOME_DECLINED, DeclineReason: typev1.DeclineReason_DECLINE_REASON_INSUFFICIENT_CREDIT},
		Balances:    &eventsv1.LedgerBalances{CurrencyCode: "GBP", CreditLimit: 100_000, Posted: 30_000, Pending: 4_500, Available: 65_500},
		Fact:        &eventsv1.LedgerEvent_AuthorizationDeclined{AuthorizationDeclined: &eventsv1.AuthorizationDeclined{Request: &eventsv1.AuthorizationRequest{Amount: 4_500}}},
	}
	entries := []engine.Entry[*eventsv1.LedgerEvent]{{Event: event, Sequence: 12345, Took: 3 * time.Millisecond}}
	b.ReportAllocs()
	for b.Loop() {
		ledgerLine.write(b.Context(), logger, entries)
	}
}
