package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/replay"
)

// someRows is a purchase-card file of cards that each buy and return.
func someRows(cards, rows int) []byte {
	var file bytes.Buffer
	file.WriteString("date,card_last4,merchant,amount,currency,original_amount,original_currency,category\n")
	for row := range rows {
		for card := range cards {
			amount := fmt.Sprintf("%d.%02d", row+1, card)
			if row%10 == 9 {
				amount = "-" + amount
			}
			_, _ = fmt.Fprintf(&file, "2015-01-%02d,%04d,shop %d,%s,GBP,%s,GBP,Food\n", row%28+1, card, row, amount, amount)
		}
	}
	return file.Bytes()
}

// play replays a file and fails the test unless every control total is exact.
func (b *bank) play(file []byte) *replay.Report {
	b.t.Helper()
	report, err := replay.Run(b.t.Context(), b.connection, bytes.NewReader(file), replay.Options{Concurrency: 16})
	if err != nil {
		b.t.Fatal(err)
	}
	if report.ControlTotals.Exact != report.ControlTotals.Accounts || report.Failed != 0 {
		b.t.Fatalf("control totals: %+v, failed %d", report.ControlTotals, report.Failed)
	}
	return report
}

// ledgerEvents is the number of events in the ledger's first shard.
func (p *process) ledgerEvents(t *testing.T) uint64 {
	t.Helper()
	stream, err := p.store.log.ReadStream(t.Context(), "LEDGER_00")
	if err != nil {
		t.Fatal(err)
	}
	last, err := stream.Last(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return last
}

func TestReplayTwiceCountsEachRowOnce(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	file := someRows(20, 30)
	if once := b.play(file); once.Duplicates != 0 {
		t.Errorf("%d duplicates on the first run", once.Duplicates)
	}
	last := p.ledgerEvents(t)
	if twice := b.play(file); twice.Duplicates != twice.Rows {
		t.Errorf("%d of %d rows are duplicates on the second run", twice.Duplicates, twice.Rows)
	}
	if now := p.ledgerEvents(t); now != last {
		t.Errorf("the ledger went from %d to %d events", last, now)
	}
}

func TestKilledAtAnyMomentNothingAnsweredIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	const kills, callers, limit = 6, 8, 1_000_000
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	command, e := startProcess(t, dir)
	connectBank(t, e.GRPC).open("alice", limit)
	answered := map[string]uint64{} // purchase → sequence of its event
	for round := range kills {
		b := connectBank(t, e.GRPC)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var purchases sync.WaitGroup
		for caller := range callers {
			purchases.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					id := fmt.Sprintf("r%d-c%d-%d", round, caller, i)
					if decision, err := b.authorize(ctx, "alice", id, 1); err == nil {
						mu.Lock()
						answered[id] = decision.GetSequence()
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(50+chance.IntN(150)) * time.Millisecond) // the moment of the kill is what is random here
		kill(command)
		cancel()
		purchases.Wait()
		command, e = startProcess(t, dir)
	}
	b := connectBank(t, e.GRPC)
	for id, sequence := range answered {
		again, err := b.authorize(t.Context(), "alice", id, 1)
		if err != nil || !again.GetDuplicate() || again.GetSequence() != sequence {
			t.Fatalf("purchase %s, answered with event %d, is now %v, %v", id, sequence, again, status.Convert(err).Message())
		}
	}
	if _, pending, _ := b.balances("alice"); pending < int64(len(answered)) {
		t.Errorf("%d purchases were approved and only %d are held", len(answered), pending)
	}
	t.Logf("%d purchases answered over %d kills", len(answered), kills)
	log, disconnect, err := eventlog.Connect(e.NATS, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantFeedComplete(t, log, log)
	disconnect()
	kill(command)
	wantSoundDirectory(t, dir)
}

// stopped makes the directory of a cardlog that has stopped.
func stopped(t *testing.T) directory {
	t.Helper()
	c := testConfig(t)
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	b.play(someRows(5, 40))
	b.open("payer", 50_000)
	must(b.present(t.Context(), "payer", "", "fridge", 30_000))(t)
	for _, payment := range []string{"january", "february"} {
		must(b.pay(t.Context(), "payer", payment, 10_000))(t)
	}
	b.wantBalances("payer", 10_000, 0, 40_000)
	p.stop()
	return c.dir
}

// copied is a copy of a directory, to damage.
func copied(t *testing.T, dir directory) directory {
	t.Helper()
	to := directory(t.TempDir())
	if err := os.CopyFS(string(to), os.DirFS(string(dir))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(to.key(), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// block is the file of a stream's only block of messages.
func block(dir directory, stream string) string {
	return filepath.Join(dir.store(), "CARDLOG", "streams", stream, "msgs", "1.blk")
}

func TestDamageIsNamedAndNotServed(t *testing.T) {
	t.Parallel()
	sound := stopped(t)
	for name, damage := range map[string]struct {
		do   func(directory) error
		says string
	}{
		"a byte of the ledger is changed": {func(d directory) error { return flipByte(block(d, "LEDGER_00"), 2) }, "LEDGER_00"},
		"a byte of an account is changed": {func(d directory) error { return flipByte(block(d, "ACCOUNTS"), 2) }, "ACCOUNTS"},
		"a byte of a payment is changed":  {func(d directory) error { return flipByte(block(d, "PAYMENTS"), 2) }, "PAYMENTS"},
		"the payments are removed":        {func(d directory) error { return os.RemoveAll(filepath.Dir(filepath.Dir(block(d, "PAYMENTS")))) }, "PAYMENTS"},
		"the newest block is cut short":   {func(d directory) error { return cut(block(d, "LEDGER_00"), 1500) }, "LEDGER_00"},
		"the newest block loses its end and its index": {func(d directory) error {
			return errors.Join(cut(block(d, "LEDGER_00"), 1500), os.Remove(filepath.Join(filepath.Dir(block(d, "LEDGER_00")), "index.db")))
		}, "LEDGER_00"},
		"a stream is removed": {func(d directory) error { return os.RemoveAll(filepath.Dir(filepath.Dir(block(d, "LEDGER_00")))) }, "LEDGER_00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, sound)
			if err := errors.Join(damage.do(dir), os.RemoveAll(dir.checkpoints())); err != nil { // without checkpoints a start reads the whole log
				t.Fatal(err)
			}
			source, err := (&verifyOptions{dir: string(dir), scratch: t.TempDir()}).open()
			if err != nil {
				t.Fatal(err)
			}
			found, err := verify(t.Context(), source)
			source.close()
			if err != nil {
				t.Fatal(err)
			}
			if len(found.Problems) == 0 || found.Problems[0].Stream != damage.says {
				t.Errorf("verify says %v", found.Problems)
			}
			c := testConfig(t)
			c.dir = dir
			if p, err := start(t.Context(), c); err == nil {
				p.stop()
				t.Error("it is served")
			} else if !strings.Contains(err.Error(), damage.says) || !strings.Contains(err.Error(), "sequences") {
				t.Errorf("the refusal does not name the range: %v", err)
			}
		})
	}
}

// flipByte changes one bit at a fraction of a file.
func flipByte(path string, fraction int64) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	one := make([]byte, 1)
	at := info.Size() / fraction
	if _, err := file.ReadAt(one, at); err != nil {
		return err
	}
	one[0] ^= 1
	_, err = file.WriteAt(one, at)
	return err
}

// cut takes bytes off the end of a file.
func cut(path string, bytes int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-bytes)
}

func TestAGapAboveTheDurablePartIsRepaired(t *testing.T) {
	t.Parallel()
	dir := copied(t, stopped(t))
	recorded, err := eventlog.ReadDurable(dir.durable())
	if err != nil {
		t.Fatal(err)
	}
	// A power cut took an event from the middle of what was never answered.
	const answered, taken = 100, "LEDGER_00:200"
	if err := os.Remove(dir.durable()); err != nil {
		t.Fatal(err)
	}
	barrier, err := eventlog.OpenBarrier(string(dir), dir.durable(), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(barrier.Sync("ACCOUNTS", recorded["ACCOUNTS"]), barrier.Sync("LEDGER_00", answered), barrier.Close()); err != nil {
		t.Fatal(err)
	}
	messages, err := os.ReadFile(block(dir, "LEDGER_00"))
	if err != nil {
		t.Fatal(err)
	}
	messages[bytes.Index(messages, []byte(taken))] ^= 1
	if err := os.WriteFile(block(dir, "LEDGER_00"), messages, 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	c.dir = dir
	if p, err := start(t.Context(), c); err == nil {
		p.stop()
		t.Fatal("a log with a gap is served")
	} else if !strings.Contains(err.Error(), "cardlog repair") {
		t.Fatalf("the refusal does not name the repair: %v", err)
	}
	mended := directory(filepath.Join(t.TempDir(), "mended"))
	if err := repair(t.Context(), dir, mended, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	c.dir = mended
	b, p := startBank(t, c)
	if events := p.ledgerEvents(t); events < answered {
		t.Errorf("the repaired ledger has %d events", events)
	}
	b.play(someRows(5, 40))
	wantSound(t, &logSource{log: p.store.log, recorded: map[string]uint64{"LEDGER_00": answered}, close: func() {}})
}

func TestASecondCardlogInTheDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	startBank(t, c)
	if p, err := start(t.Context(), c); !errors.Is(err, errInUse) {
		p.stop()
		t.Errorf("the second one: %v", err)
	}
}

func TestAWatcherIsToldOfTheStopAndDoesNotHoldItUp(t *testing.T) {
	t.Parallel()
	p, err := start(t.Context(), testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	b.open("alice", 10_000)
	watch, err := b.WatchAccount(t.Context(), &transactionsv1.WatchAccountRequest{
		Account: &transactionsv1.WatchAccountRequest_AccountId{AccountId: "alice"}, AfterSequence: new(uint64)})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the watch is under way
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	p.stop()
	_, err = watch.Recv()
	wantError(t, err, codes.Unavailable, "STOPPING")
}

func TestTheKeyBelongsToTheLog(t *testing.T) {
	t.Parallel()
	sound := stopped(t)
	for name, change := range map[string]struct {
		do   func(directory) error
		says string
	}{
		"missing":                {func(d directory) error { return os.Remove(d.key()) }, "restore it"},
		"another":                {func(d directory) error { return os.WriteFile(d.key(), bytes.Repeat([]byte("ab"), 32), 0o600) }, "not the one that this log was written with"},
		"readable by all others": {func(d directory) error { return os.Chmod(d.key(), 0o644) }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			c.dir = copied(t, sound)
			if err := change.do(c.dir); err != nil {
				t.Fatal(err)
			}
			if p, err := start(t.Context(), c); err == nil {
				p.stop()
				t.Error("it is served")
			} else if !strings.Contains(err.Error(), change.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
}
