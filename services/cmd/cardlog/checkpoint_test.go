package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	"github.com/cardlog/cardlog/services/replay"
)

// Killed at any moment, with few accounts in memory and states written all the time, and then told everything again, the ledger comes to the same cent.
func TestKilledWhileCheckpointsAreWritten(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	dir, file := t.TempDir(), someRows(20, 60)
	command, e := startProcess(t, dir)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var replays sync.WaitGroup
		b := connectBank(t, e.GRPC)
		replays.Go(func() {
			_, _ = replay.Run(ctx, b.connection, bytes.NewReader(file), replay.Options{Concurrency: 16}) // it is cut off
		})
		time.Sleep(time.Duration(100+chance.IntN(400)) * time.Millisecond) // the moment of the kill is what is random here
		kill(command)
		cancel()
		replays.Wait()
		command, e = startProcess(t, dir)
	}
	connectBank(t, e.GRPC).play(file)
	kill(command)
	wantSoundDirectory(t, dir)
}

// Checkpoints may be deleted while nothing runs: all that they say is in the log.
func TestCheckpointsMayBeDeleted(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.checkpoints = checkpoints{inMemory: 5, every: 50}
	file := someRows(20, 30)
	p, err := start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := connectBank(t, p.endpoints().GRPC)
	b.play(file)
	var ids []string
	for _, account := range must(b.ListAccounts(t.Context(), &accountsv1.ListAccountsRequest{}))(t).GetAccounts() {
		ids = append(ids, account.GetAccountId())
	}
	must(b.authorize(t.Context(), ids[0], "dinner", 45_00))(t)
	type balances struct{ posted, pending, available int64 }
	read := func(b *bank) map[string]balances {
		all := map[string]balances{}
		for _, id := range ids {
			posted, pending, available := b.balances(id)
			all[id] = balances{posted, pending, available}
		}
		return all
	}
	want := read(b)
	for _, between := range []struct {
		is string
		do func() error
	}{
		{"nothing happens", func() error { return nil }},
		{"they are deleted", func() error { return os.RemoveAll(c.dir.checkpoints()) }},
		{"nothing happens again", func() error { return nil }},
	} {
		p.stop()
		if err := between.do(); err != nil {
			t.Fatal(err)
		}
		if p, err = start(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		b = connectBank(t, p.endpoints().GRPC)
		for _, stream := range must(adminv1.NewOperationsServiceClient(b.connection).GetStatus(t.Context(), &adminv1.GetStatusRequest{}))(t).GetStreams() {
			if stream.GetStream() == "LEDGER_00" && (stream.GetState().GetInMemory() > 15 || stream.GetState().GetCheckpointSequence() > stream.GetLastSequence() ||
				between.is != "they are deleted" && stream.GetState().GetCheckpointSequence() != stream.GetLastSequence()) {
				t.Errorf("%s: status is %v", between.is, stream)
			}
		}
		for id, got := range read(b) {
			if got != want[id] {
				t.Errorf("%s: account %s has %+v, had %+v", between.is, id, got, want[id])
			}
		}
		if again := b.play(file); again.Duplicates != again.Rows {
			t.Errorf("%s: %d of %d rows are known", between.is, again.Duplicates, again.Rows)
		}
	}
	p.stop()
}
