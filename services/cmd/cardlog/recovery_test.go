package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/accounts"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/payments"
)

func TestWhileItStartsItSaysSoAndNothingElse(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.shards = 4
	c.listen = fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000)) // the same after the restart, and not one that another test is given
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	const accounts = 200
	for i := range accounts {
		b.open(fmt.Sprintf("a%d", i), 10_000)
	}
	p.stop()
	c.shards = 0
	began, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		close(began)
		for i := range 3000 { // from before it listens until after it is ready
			account := fmt.Sprintf("a%d", i%accounts)
			if decision, err := b.authorize(t.Context(), account, "purchase", 0); err == nil && decision.GetResponseCode() != "85" {
				t.Errorf("%s: %v", account, decision)
			} else if err != nil && status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", account, err)
			}
			if _, err := b.GetAccount(t.Context(), &accountsv1.GetAccountRequest{AccountId: account}); err != nil && status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v", account, err)
			}
			if list, err := b.ListAccounts(t.Context(), &accountsv1.ListAccountsRequest{PageSize: 1}); err == nil && len(list.GetAccounts()) != 1 {
				t.Error("the list is empty")
			}
		}
	}()
	<-began
	again, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.stop)
	<-ended
}

func TestARecordThatIsMissedIsAskedFor(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.dir = copied(t, stopped(t))
	if err := os.Remove(c.dir.durable()); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []syncMode{{}, {interval: time.Minute}} {
		c.sync = mode
		if p, err := start(t.Context(), c); err == nil {
			p.stop()
			t.Errorf("--sync %v: it is served", &mode)
		} else if !strings.Contains(err.Error(), "the record of what is durable, is missing") {
			t.Errorf("--sync %v: it says %v", &mode, err)
		}
	}
}

func TestALossIsNoticedInEverySyncMode(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.dir = copied(t, stopped(t))
	c.sync.interval = time.Minute
	if err := cut(block(c.dir, "LEDGER_00"), 1500); err != nil {
		t.Fatal(err)
	}
	if p, err := start(t.Context(), c); err == nil {
		p.stop()
		t.Error("it is served")
	} else if !strings.Contains(err.Error(), "LEDGER_00 has lost acknowledged events") {
		t.Errorf("it says %v", err)
	}
}

func TestRepairKeepsWhatWasSyncedByAnInterval(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.sync.interval = time.Hour // only the stop syncs
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	connectBank(t, p.endpoints().GRPC).play(someRows(5, 10))
	p.stop()
	mended := directory(filepath.Join(t.TempDir(), "mended"))
	if err := repair(t.Context(), c.dir, mended, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	c.dir = mended
	b, _ := startBank(t, c)
	if again := b.play(someRows(5, 10)); again.Duplicates != again.Rows {
		t.Errorf("%d of %d rows were kept", again.Duplicates, again.Rows)
	}
}

func TestVerifyOfARunningCardlogIsNotDisturbedByWhatIsWritten(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.natsListen = "127.0.0.1:0"
	b, p := startBank(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			b.open(fmt.Sprintf("a%d", i), 10_000)
		}
	}()
	for range 8 {
		log, closeLog, err := eventlog.Connect(p.endpoints().NATS, eventlog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantSound(t, &logSource{log: log, close: closeLog})
		closeLog()
	}
	cancel()
	<-ended
}

func TestRepairKeepsTheShards(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.shards = 4
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	b.open("alice", 10_000) // in one of the shards: the others stay empty
	if _, err := b.authorize(t.Context(), "alice", "t1", 500); err != nil {
		t.Fatal(err)
	}
	p.stop()
	mended := directory(filepath.Join(t.TempDir(), "mended"))
	if err := repair(t.Context(), c.dir, mended, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	c.dir, c.shards = mended, 0
	again, _ := startBank(t, c)
	again.wantBalances("alice", 0, 500, 9500)
}

// A stream comes back shorter than what the ledger has seen of it, where no record could have told.
func TestAnOlderStreamThanTheLedgerHasSeenIsNotServed(t *testing.T) {
	t.Parallel()
	for stream, change := range map[string]func(*bank){
		"ACCOUNTS": func(b *bank) { b.setCard("alice", typev1.CardState_CARD_STATE_PAUSED) },
		"PAYMENTS": func(b *bank) { must(b.pay(b.t.Context(), "alice", "february", 1_000))(b.t) },
	} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			c, older := aliceWithAChange(t, change)
			takeStream(t, stream, older, c.dir)
			if p, err := start(t.Context(), c); err == nil {
				p.stop()
				t.Error("it is served")
			} else if !strings.Contains(err.Error(), stream+" has lost acknowledged events") {
				t.Errorf("it says %v", err)
			}
			wantOneProblem(t, c.dir, stream, "that ")
		})
	}
}

// A ledger comes back from a backup, older than what its followers were acknowledged: they carry into it again what it has not seen.
func TestAnOlderLedgerSeesAgainWhatItHasMissed(t *testing.T) {
	t.Parallel()
	c, older := aliceWithAChange(t, func(b *bank) {
		b.setCard("alice", typev1.CardState_CARD_STATE_PAUSED)
		must(b.pay(b.t.Context(), "alice", "february", 1_000))(b.t)
		b.open("bob", 2_000)
		must(b.present(b.t.Context(), "bob", "", "chair", 1_000))(b.t)
		must(b.pay(b.t.Context(), "bob", "march", 400))(b.t)
	})
	p := must(start(t.Context(), c))(t)
	for stream, end := range map[string]uint64{accounts.StreamName: 5, payments.StreamName: 3} {
		eventually(t, "acknowledged of "+stream, func() error { return acknowledged(t, p, stream, end) })
	}
	p.stop()
	takeStream(t, "LEDGER_00", older, c.dir)
	b, _ := startBank(t, c)
	if decision := must(b.authorize(t.Context(), "alice", "lamp", 500))(t); decision.GetDeclineReason() != typev1.DeclineReason_DECLINE_REASON_CARD_PAUSED {
		t.Errorf("a purchase with a card that was paused ends with %v", decision)
	}
	b.wantBalances("alice", 3_000, 0, 7_000)
	b.wantBalances("bob", -400, 0, 2_400)
}

// acknowledged returns an error until the ledger's consumer of a stream was acknowledged up to a sequence.
func acknowledged(t *testing.T, p *process, stream string, end uint64) error {
	t.Helper()
	read := must(p.store.log.ReadStream(t.Context(), stream))(t)
	consumer := must(read.OpenConsumer(t.Context(), "transactions", 100))(t)
	if position := must(consumer.Position(t.Context()))(t); position < end {
		return fmt.Errorf("up to %d of %d", position, end)
	}
	return nil
}

// aliceWithAChange makes the directory of a stopped cardlog in which something changed, and a copy from before that.
func aliceWithAChange(t *testing.T, change func(*bank)) (c config, before directory) {
	t.Helper()
	c = testConfig(t)
	c.sync.interval = time.Minute
	run := func(do func(*bank)) {
		p, err := start(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		b := connectBank(t, p.endpoints().GRPC)
		do(b)
		b.balances("alice") // the ledger has caught up
		p.stop()
	}
	run(func(b *bank) {
		b.open("alice", 10_000)
		must(b.present(t.Context(), "alice", "", "fridge", 5_000))(t)
		must(b.pay(t.Context(), "alice", "january", 1_000))(t)
	})
	before = copied(t, c.dir)
	run(change)
	return c, before
}

// takeStream puts a stream of one directory in the place of that of another, and has the operator give up the record of what is durable.
func takeStream(t *testing.T, stream string, from, into directory) {
	t.Helper()
	streams := filepath.Join("CARDLOG", "streams", stream)
	if err := os.RemoveAll(filepath.Join(into.store(), streams)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(into.store(), streams), os.DirFS(filepath.Join(from.store(), streams))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(into.durable(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantOneProblem fails the test unless verify finds one problem in a directory, in a stream and with words.
func wantOneProblem(t *testing.T, dir directory, stream, words string) {
	t.Helper()
	source, err := (&verifyOptions{dir: string(dir), scratch: t.TempDir()}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	found, err := verify(t.Context(), source)
	if err != nil || len(found.Problems) != 1 || found.Problems[0].Stream != stream || !strings.Contains(found.Problems[0].Problem, words) {
		t.Errorf("verify says %v, %v", found, err)
	}
}

func TestVerifyHoldsTheLedgerAgainstThePayments(t *testing.T) {
	t.Parallel()
	ours, _ := aliceWithAChange(t, func(b *bank) { must(b.pay(b.t.Context(), "alice", "february", 1_000))(b.t) })
	theirs, _ := aliceWithAChange(t, func(b *bank) { must(b.pay(b.t.Context(), "alice", "february", 2_000))(b.t) })
	takeStream(t, "PAYMENTS", theirs.dir, ours.dir)
	wantOneProblem(t, ours.dir, "LEDGER_00", "it moves -1000 by event 2 of PAYMENTS, which moves account alice by -2000")
}

func TestRepairKeepsThePaymentsAndTheFeedIsMadeAgain(t *testing.T) {
	t.Parallel()
	dir := stopped(t)
	mended := directory(filepath.Join(t.TempDir(), "mended"))
	if err := repair(t.Context(), dir, mended, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	c.dir = mended
	b, p := startBank(t, c)
	b.wantBalances("payer", 10_000, 0, 40_000)
	must(b.returnPayment(t.Context(), "payer", "january"))(t)
	b.wantBalances("payer", 20_000, 0, 30_000)
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
	p.wantFeedComplete(t)
}
