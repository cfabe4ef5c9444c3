package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cardlog/cardlog/services/feed"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// factsOf are the streams of facts of a log, with the sequence at which each ends.
func factsOf(t *testing.T, log *eventlog.Log) map[string]uint64 {
	t.Helper()
	ends := map[string]uint64{}
	for _, name := range append([]string{"ACCOUNTS", "PAYMENTS"}, must(ledgerStreams(t.Context(), log))(t)...) {
		stream := must(log.ReadStream(t.Context(), name))(t)
		ends[name] = must(stream.Last(t.Context()))(t)
	}
	return ends
}

// wantFeedComplete waits until EVENTS has as many events as the streams of facts, and fails the test unless each of those is in it once,
// in the order of its stream, and behind what it follows from.
func wantFeedComplete(t *testing.T, facts, published *eventlog.Log) *feedAudit {
	t.Helper()
	ends := factsOf(t, facts)
	total := uint64(0)
	for _, end := range ends {
		total += end
	}
	var events *eventlog.Stream
	eventually(t, fmt.Sprintf("the feed has %d events", total), func() (err error) {
		if events, err = published.ReadStream(t.Context(), feed.StreamName); err != nil {
			return err
		}
		if last, err := events.Last(t.Context()); err != nil || last < total {
			return fmt.Errorf("it has %d (%w)", last, err)
		}
		return nil
	})
	audit := &feedAudit{t: t, newest: map[string]uint64{}, posted: map[string]int64{}, paid: map[string]int64{}}
	last := must(events.Last(t.Context()))(t)
	if err := events.Read(t.Context(), eventlog.Range{Through: last}, audit.add); err != nil {
		t.Fatal(err)
	}
	for name, end := range ends {
		if audit.newest[name] != end {
			t.Errorf("of %s the feed has the events up to %d of %d", name, audit.newest[name], end)
		}
	}
	if last != total {
		t.Errorf("the feed has %d events, the streams of facts have %d", last, total)
	}
	return audit
}

// wantFeedComplete is the same for a process with an embedded NATS.
func (p *process) wantFeedComplete(t *testing.T) {
	t.Helper()
	wantFeedComplete(t, p.store.log, p.store.feed)
}

// feedAudit reads the feed from its beginning.
type feedAudit struct {
	t      *testing.T
	newest map[string]uint64 // by stream
	posted map[string]int64  // by account: what the amounts of transactions come to
	paid   map[string]int64  // by account: what the payments come to
}

// publicEvent is what the audit reads of an event's body.
type publicEvent struct {
	AccountID        string    `json:"account_id"`
	Amount           tailMoney `json:"amount"`
	AccountsSequence uint64    `json:"accounts_sequence"`
	PaymentsSequence uint64    `json:"payments_sequence"`
	Balances         *struct {
		Posted tailMoney `json:"posted"`
	} `json:"balances"`
}

// add takes the next event: it must be the next one of its stream, and come after the event that it follows from.
func (a *feedAudit) add(m eventlog.Message) error {
	stream, text, _ := strings.Cut(m.Header.Get("ce-id"), ":")
	sequence, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Errorf("event %d has the id %q", m.Sequence, m.Header.Get("ce-id"))
	}
	if due := a.newest[stream] + 1; sequence != due {
		a.t.Errorf("EVENTS:%d is %s:%d, due was %d", m.Sequence, stream, sequence, due)
	}
	a.newest[stream] = sequence
	var body publicEvent
	if err := json.Unmarshal(m.Data, &body); err != nil {
		return fmt.Errorf("event %d cannot be read: %w", m.Sequence, err)
	}
	if body.AccountsSequence > a.newest["ACCOUNTS"] || body.PaymentsSequence > a.newest["PAYMENTS"] {
		a.t.Errorf("EVENTS:%d comes before the event that it follows from: %s", m.Sequence, m.Data)
	}
	switch account, amount := body.AccountID, body.Amount.MinorUnits; m.Header.Get("ce-type") {
	case "cardlog.transactions.presentment_posted", "cardlog.transactions.payment_returned":
		a.posted[account] += amount
	case "cardlog.transactions.refund_posted", "cardlog.transactions.payment_posted":
		a.posted[account] -= amount
	case "cardlog.payments.submitted", "cardlog.payments.released":
		a.paid[account] += amount
	case "cardlog.payments.returned":
		a.paid[account] -= amount
	}
	if body.Balances != nil && body.Balances.Posted.MinorUnits != a.posted[body.AccountID] {
		a.t.Errorf("EVENTS:%d: posted is %d, the amounts before come to %d", m.Sequence, body.Balances.Posted.MinorUnits, a.posted[body.AccountID])
	}
	return nil
}
