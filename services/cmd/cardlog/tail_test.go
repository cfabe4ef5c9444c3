package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
)

// screen is what a command that goes on has printed so far.
type screen struct{ lockedBuffer }

func (s *screen) lines() []string { return strings.Split(strings.TrimSuffix(s.String(), "\n"), "\n") }

// watchTail runs cardlog tail until the test ends.
func watchTail(t *testing.T, url string, flags ...string) *screen {
	t.Helper()
	shown := &screen{}
	command := newCommand()
	command.SetArgs(append([]string{"tail", "--nats", url}, flags...))
	command.SetOut(shown)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- command.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("tail %v ended with %v", flags, err)
		}
	})
	return shown
}

// want waits until the lines that are shown, without their times and with single blanks, are these.
func (s *screen) want(t *testing.T, lines ...string) {
	t.Helper()
	eventually(t, "tail shows what is wanted", func() error {
		var shown []string
		for _, line := range s.lines() {
			words := strings.Fields(line)
			shown = append(shown, strings.Join(words[min(1, len(words)):], " "))
		}
		if !slices.Equal(shown, lines) {
			return errors.New("\n" + strings.Join(shown, "\n"))
		}
		return nil
	})
}

// liveAlice opens a cardlog with readers, in which Alice buys, is declined, pays and has a payment returned.
func liveAlice(t *testing.T) (*bank, *process) {
	t.Helper()
	c := testConfig(t)
	c.natsListen = "127.0.0.1:0"
	b, p := startBank(t, c)
	b.openOwing("alice", "")
	b.balances("alice")
	p.wantFeedComplete(t) // so that the order of the lines is known
	must(b.authorize(t.Context(), "alice", "dinner", 4_500))(t)
	must(b.authorize(t.Context(), "alice", "yacht", 950_000))(t)
	p.wantFeedComplete(t)
	must(b.pay(t.Context(), "alice", "january", 12_000))(t)
	b.balances("alice")
	p.wantFeedComplete(t)
	return b, p
}

func TestTailShowsALineForEachEvent(t *testing.T) {
	t.Parallel()
	b, p := liveAlice(t)
	url := p.endpoints().NATS
	all := watchTail(t, url, "--since", "1", "--service", "payments")
	declines := watchTail(t, url, "--since", "10m", "--event", "authorization_declined")
	bobs := watchTail(t, url, "--account", "bob", "--service", "accounts")
	newest := watchTail(t, url)
	all.want(t, "8 payments submitted alice GBP 120.00 SUBMITTED january")
	declines.want(t, "7 transactions authorization_declined alice GBP 9,500.00 INSUFFICIENT_CREDIT available GBP 655.00 yacht Corner shop")
	eventually(t, "the last events are shown", func() error {
		if lines := newest.lines(); len(lines) != 9 {
			return errors.New(strings.Join(lines, "\n"))
		}
		return nil
	})
	if lines := newest.lines(); !slices.IsSortedFunc(lines, func(a, b string) int { return strings.Compare(a[13:21], b[13:21]) }) {
		t.Errorf("the lines are not aligned:\n%s", strings.Join(lines, "\n"))
	}

	must(b.returnPayment(t.Context(), "alice", "january"))(t)
	b.open("bob", 20_000)
	must(b.UpdateCreditLimit(t.Context(), &accountsv1.UpdateCreditLimitRequest{AccountId: "bob", CreditLimit: pounds(25_000)}))(t)
	all.want(t, "8 payments submitted alice GBP 120.00 SUBMITTED january", "10 payments returned alice GBP 120.00 R01 january")
	eventually(t, "bob's account is shown", func() error {
		lines := strings.Join(bobs.lines(), "\n")
		for _, want := range []string{`accounts +opened +bob +GBP 200\.00 +OPEN`, `accounts +card_issued +bob +ACTIVE +bob-card`, `accounts +limit_changed +bob +GBP 250\.00`} {
			if !regexp.MustCompile(want).MatchString(lines) {
				return fmt.Errorf("%s is not in\n%s", want, lines)
			}
		}
		return nil
	})
	if strings.Contains(strings.Join(bobs.lines(), "\n"), "alice") {
		t.Errorf("alice is among bob's lines:\n%s", strings.Join(bobs.lines(), "\n"))
	}
}

func TestTailPrintsCloudEventsAsJSON(t *testing.T) {
	t.Parallel()
	_, p := liveAlice(t)
	shown := watchTail(t, p.endpoints().NATS, "--json", "--since", "1", "--event", "authorization_declined")
	var event struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType, NATSSubject string
		Data                                                                       struct {
			Outcome      string
			ResponseCode string `json:"response_code"`
			Amount       tailMoney
		}
	}
	eventually(t, "the event is shown", func() error { return json.Unmarshal([]byte(shown.lines()[0]), &event) })
	if event.SpecVersion != "1.0" || event.ID != "LEDGER_00:5" || event.Source != "/cardlog/transactions" || event.Type != "cardlog.transactions.authorization_declined" ||
		event.Subject != "alice" || event.DataContentType != "application/json" || event.NATSSubject != "events.transactions.authorization_declined.alice" {
		t.Errorf("the attributes are %+v", event)
	}
	if _, err := time.Parse(time.RFC3339Nano, event.Time); err != nil {
		t.Error(err)
	}
	if event.Data.Outcome != "DECLINED" || event.Data.ResponseCode != "51" || event.Data.Amount != (tailMoney{"GBP", 950_000}) {
		t.Errorf("the body is %+v", event.Data)
	}
}

func TestTailWaitsForTheFeed(t *testing.T) {
	t.Parallel()
	url := startOutsideNATS(t)
	shown := watchTail(t, url, "--service", "accounts", "--event", "opened")
	c := testConfig(t)
	c.nats = url
	b, _ := startBank(t, c)
	b.open("alice", 10_000)
	shown.want(t, "1 accounts opened alice GBP 100.00 OPEN")
}

func TestTailRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for says, flags := range map[string][]string{
		"there is no service cards":               {"--service", "cards"},
		"there is no event opened":                {"--service", "payments", "--event", "opened"},
		"there is no event nonsense":              {"--event", "nonsense"},
		`"a.b" cannot be an account id`:           {"--account", "a.b"},
		`--since is a time ago such as 10m, or a`: {"--since", "yesterday"},
		"NATS JetStream cannot be reached":        {"--nats", "nats://127.0.0.1:1"},
	} {
		if _, err := inShell(t, append([]string{"tail"}, flags...)...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %s", flags, err, says)
		}
	}
}

// TestASubscriberSeesTheDeclinesOnly is what nats sub 'events.transactions.authorization_declined.*' does.
func TestASubscriberSeesTheDeclinesOnly(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.natsListen = "127.0.0.1:0"
	b, p := startBank(t, c)
	b.open("alice", 10_000)
	reader, err := nats.Connect(p.endpoints().NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	declines, err := reader.SubscribeSync("events.transactions.authorization_declined.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	const purchases = 30 // of 11.00 each, of which the limit has room for 9
	for i := range purchases {
		must(b.authorize(t.Context(), "alice", fmt.Sprint("purchase-", i), 1_100))(t)
	}
	for i := 9; i < purchases; i++ {
		m, err := declines.NextMsg(waitBound)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			TransactionID string `json:"transaction_id"`
			DeclineReason string `json:"decline_reason"`
			Amount        tailMoney
			Balances      struct{ Available tailMoney }
		}
		if err := json.Unmarshal(m.Data, &body); err != nil {
			t.Fatal(err)
		}
		if m.Subject != "events.transactions.authorization_declined.alice" || body.TransactionID != fmt.Sprint("purchase-", i) ||
			body.DeclineReason != "INSUFFICIENT_CREDIT" || body.Amount.MinorUnits != 1_100 || body.Balances.Available.MinorUnits != 100 {
			t.Errorf("%s: %s", m.Subject, m.Data)
		}
	}
	p.wantFeedComplete(t)
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	if waiting, _, err := declines.Pending(); err != nil || waiting != 0 {
		t.Errorf("%d more events were heard, %v", waiting, err)
	}
}
