package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// inShell runs a command line as a shell does and returns what it prints.
func inShell(t *testing.T, arguments ...string) (printed string, err error) {
	t.Helper()
	var out bytes.Buffer
	command := newCommand()
	command.SetArgs(arguments)
	command.SetOut(&out)
	err = command.ExecuteContext(t.Context())
	return out.String(), err
}

// wantLine fails the test unless a line of what was printed matches, with blanks of any length.
func wantLine(t *testing.T, printed, pattern string) {
	t.Helper()
	if !regexp.MustCompile(`(?m)^ *` + strings.ReplaceAll(pattern, " ", " +") + ` *$`).MatchString(printed) {
		t.Errorf("no line is like %q in\n%s", pattern, printed)
	}
}

func TestStatusShowsServicesStreamsAndFollowers(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.shards = 2
	b, p := startBank(t, c)
	b.openOwing("alice", "")
	must(b.pay(t.Context(), "alice", "january", 12_000))(t)
	b.wantSoon("alice", "the payment", 18_000, 0, 82_000)
	p.wantFeedComplete(t)
	var printed string
	eventually(t, "all is followed", func() (err error) {
		if printed, err = inShell(t, "status", "--server", p.endpoints().GRPC); err == nil && len(regexp.MustCompile(`(?m) 0 +following *$`).FindAllString(printed, -1)) != 9 {
			err = errors.New("not yet:\n" + printed)
		}
		return err
	})
	for _, line := range []string{
		"accounts serving", "payments serving", "transactions serving", "feed serving",
		`ACCOUNTS accounts 2 2 1 0.0 1 \S+ \S+`, `PAYMENTS payments 1 1 1 0.0 [01] \S+ \S+`, `LEDGER_0\d transactions 4 4 1 0.0 [01] \S+ \S+`, `LEDGER_0\d transactions 0 0 0 0.0 0 - -`,
		`EVENTS feed 7 7 \d+ 0.0 - - -`,
		"payments ACCOUNTS 2 2 0 following", "transactions ACCOUNTS 2 2 0 following", "transactions PAYMENTS 1 1 0 following",
		`payments LEDGER_0\d 4 4 0 following`, "feed PAYMENTS 1 1 0 following", `feed LEDGER_0\d 4 4 0 following`,
	} {
		wantLine(t, printed, line)
	}
	asJSON := must(inShell(t, "status", "--json", "--server", p.endpoints().GRPC))(t)
	if err := protojson.Unmarshal([]byte(asJSON), &adminv1.GetStatusResponse{}); err != nil {
		t.Errorf("--json prints %s: %v", asJSON, err)
	}
	if _, err := inShell(t, "status", "--server", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("a server that is not there: %v", err)
	}
}

func TestStatusAndMetricsShowWhatDoesNotServe(t *testing.T) {
	t.Parallel()
	url := startOutsideNATS(t)
	town, b := startTown(t, url, serviceNames, "--metrics-listen", "127.0.0.1:0")
	b.open("alice", 10_000)
	eventually(t, "the ledger has caught up", func() error {
		_, err := b.authorize(t.Context(), "alice", "lunch", 100)
		return err
	})
	foreign, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	scrape := func() string {
		answer, err := http.Get("http://" + town.endpoints[transactionsName].Metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		return string(must(io.ReadAll(answer.Body))(t))
	}
	for _, want := range []string{
		`cardlog_follower_up{follower="transactions",stream="ACCOUNTS"} 1`, `cardlog_follower_position{follower="transactions",stream="ACCOUNTS"} 2`,
		`cardlog_follower_lag_events{follower="transactions",stream="ACCOUNTS"} 0`,
	} {
		if metrics := scrape(); !strings.Contains(metrics, want) {
			t.Errorf("the metrics do not have %s", want)
		}
	}
	if _, err := foreign.Request("payments.alice", []byte("not an event"), waitBound); err != nil {
		t.Fatal(err)
	}
	servers := town.endpoints[accountsName].GRPC + "," + town.endpoints[transactionsName].GRPC + "," + town.endpoints[feedName].GRPC
	var printed string
	eventually(t, "the followers of PAYMENTS have stopped", func() error {
		if printed, err = inShell(t, "status", "--server", servers); !errors.Is(err, errNotServing) || strings.Count(printed, "stopped") != 2 {
			return errors.New("not yet:\n" + printed)
		}
		return nil
	})
	for _, line := range []string{
		"accounts serving", "transactions NOT SERVING", "feed NOT SERVING", "transactions PAYMENTS 0 1 1 stopped", "transactions ACCOUNTS 2 2 0 following",
		"transactions of PAYMENTS: the event cannot be followed: PAYMENTS:1: it cannot be decoded",
	} {
		wantLine(t, printed, line)
	}
	if metrics := scrape(); !strings.Contains(metrics, `cardlog_follower_up{follower="transactions",stream="PAYMENTS"} 0`) {
		t.Error("the metrics say that the follower is up")
	}
	b.wantAnswer("alice", "dinner", 100, "APPROVED 00") // purchases go on
}

func TestRebuildSaysWhatItDid(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	b.openOwing("alice", "")
	b.balances("alice")
	for view, events := range map[string]int{"balances": 3, "cards": 2, "owed": 5, "feed": 5} {
		p.wantFeedComplete(t)
		if printed := must(inShell(t, "rebuild", view, "--server", p.endpoints().GRPC))(t); !strings.HasPrefix(printed, fmt.Sprintf("%s: made again from %d events in ", view, events)) {
			t.Errorf("it prints %s", printed)
		}
	}
	if _, err := inShell(t, "rebuild", "everything", "--server", p.endpoints().GRPC); err == nil || !strings.Contains(err.Error(), "no view everything") {
		t.Errorf("a view that is not there: %v", err)
	}
	_, err := adminv1.NewOperationsServiceClient(b.connection).RebuildView(t.Context(), &adminv1.RebuildViewRequest{View: "everything"})
	wantError(t, err, codes.NotFound, "VIEW_NOT_FOUND")
}

// TestRebuildingUnderLoadChangesNoAnswer makes every view again, over and over, while customers are at work, and then compares all answers before and after.
func TestRebuildingUnderLoadChangesNoAnswer(t *testing.T) {
	t.Parallel()
	const accounts, atOnce = 40, 16
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := testConfig(t)
	c.shards, c.rules = 2, withRules(t, "version: v\nprofiles: {default: {payments: {review_daily_count: 0, review_daily_amount: 0}}}\n")
	b, p := startBank(t, c)
	customers := make([]*customer, accounts)
	for i := range customers {
		customers[i] = &customer{bank: b, account: fmt.Sprint("customer-", i), chance: rand.New(rand.NewPCG(seed, uint64(i)))}
	}
	for range 2 { // every customer has an account, and then a card
		inParallel(atOnce, accounts, func(i int) { customers[i].doSomething(t.Context()) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	var atWork sync.WaitGroup
	atWork.Go(func() {
		for ctx.Err() == nil {
			inParallel(atOnce, accounts, func(i int) { customers[i].doSomething(t.Context()) })
		}
	})
	rebuildAll := func() {
		for _, view := range p.views() {
			must(adminv1.NewOperationsServiceClient(b.connection).RebuildView(t.Context(), &adminv1.RebuildViewRequest{View: view.name}))(t)
		}
	}
	for range 20 {
		rebuildAll()
	}
	cancel()
	atWork.Wait()
	answers := func() string {
		var all strings.Builder
		for _, c := range customers {
			c.check()
			balance := must(b.GetBalance(t.Context(), &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_CardId{CardId: c.account + "-card"}}))(t)
			balance.AsOf = nil // the time of the question
			all.WriteString(prototext.Format(balance))
			all.WriteString(prototext.Format(must(b.ListPayments(t.Context(), &paymentsv1.ListPaymentsRequest{AccountId: c.account, PageSize: 100}))(t)))
			for _, transaction := range b.allTransactions(c.account) {
				all.WriteString(prototext.Format(transaction))
			}
		}
		return all.String()
	}
	before := answers()
	rebuildAll()
	if after := answers(); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	t.Logf("%d events in the ledger's first shard", p.ledgerEvents(t))
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
	p.wantFeedComplete(t)
}
