package eventlog

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// openRecord opens the record of what is durable at a path.
func openRecord(t *testing.T, path string) (*durableFile, map[string]uint64) {
	t.Helper()
	file, durable, err := openDurableFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.close() })
	return file, durable
}

func TestTheRecordSurvivesATornWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "durable")
	file, durable := openRecord(t, path)
	if len(durable) != 0 {
		t.Fatalf("a new record says %v", durable)
	}
	for sequence := range uint64(5) {
		if err := file.write(map[string]uint64{"LEDGER_00": sequence + 1, "ACCOUNTS": 7}); err != nil {
			t.Fatal(err)
		}
	}
	if _, durable := openRecord(t, path); !maps.Equal(durable, map[string]uint64{"LEDGER_00": 5, "ACCOUNTS": 7}) {
		t.Errorf("the record says %v", durable)
	}
	// The newest write went to the slot of its counter; a power cut tears it.
	newest := int64(file.counter%2)*durableSlotSize + durableHeaderSize + 3
	if _, err := file.file.WriteAt([]byte("torn"), newest); err != nil {
		t.Fatal(err)
	}
	after, durable := openRecord(t, path)
	if durable["LEDGER_00"] != 4 {
		t.Errorf("the other slot says %v", durable)
	}
	if err := after.write(map[string]uint64{"LEDGER_00": 9}); err != nil {
		t.Fatal(err)
	}
	if again, err := ReadDurable(path); err != nil || again["LEDGER_00"] != 9 {
		t.Errorf("after the next write it says %v, %v", again, err)
	}
	if err := os.WriteFile(path, make([]byte, 2*durableSlotSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDurable(path); err == nil {
		t.Error("a record that cannot be read is taken for an empty one")
	}
}

// slowBarrier is a barrier whose syncs wait to be let through.
func slowBarrier(t *testing.T, sync func() error, onError func(error)) *Barrier {
	t.Helper()
	record, durable := openRecord(t, filepath.Join(t.TempDir(), "durable"))
	return &Barrier{sync: sync, record: record, durable: durable, onError: onError}
}

func TestOneSyncServesAllWhoWaitWhenItBegins(t *testing.T) {
	t.Parallel()
	var syncs atomic.Int64
	begun, proceed := make(chan struct{}, 100), make(chan struct{})
	b := slowBarrier(t, func() error {
		syncs.Add(1)
		begun <- struct{}{}
		<-proceed
		return nil
	}, func(err error) { t.Error(err) })
	var waiters sync.WaitGroup
	wait := func(shard int) { waiters.Go(func() { _ = b.Sync(fmt.Sprintf("LEDGER_%02d", shard), 7) }) }
	wait(0)
	<-begun
	const shards = 50
	for shard := 1; shard < shards; shard++ {
		wait(shard)
	}
	for waiting := false; !waiting; runtime.Gosched() {
		b.mu.Lock()
		waiting = b.next != nil && len(b.next.marks) == shards-1
		b.mu.Unlock()
	}
	if b.recorded("LEDGER_00") != 0 {
		t.Error("recorded before the sync ended")
	}
	close(proceed)
	waiters.Wait()
	for shard := range shards {
		if name := fmt.Sprintf("LEDGER_%02d", shard); b.recorded(name) != 7 {
			t.Errorf("%s is recorded up to %d", name, b.recorded(name))
		}
	}
	if syncs.Load() != 2 {
		t.Errorf("%d syncs for 50 waiters", syncs.Load())
	}
}

func TestAFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	broken := errors.New("no space left on device")
	var syncs, told atomic.Int64
	b := slowBarrier(t, func() error {
		if syncs.Add(1) == 2 {
			return broken
		}
		return nil
	}, func(error) { told.Add(1) })
	if err := b.Sync("LEDGER_00", 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Sync("LEDGER_00", 2); !errors.Is(err, ErrSyncFailed) || !errors.Is(err, broken) {
			t.Errorf("said %v", err)
		}
	}
	if syncs.Load() != 2 || told.Load() != 1 || b.recorded("LEDGER_00") != 1 {
		t.Errorf("%d syncs, told %d times, recorded %d", syncs.Load(), told.Load(), b.recorded("LEDGER_00"))
	}
}
