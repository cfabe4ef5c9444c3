package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cardlog/cardlog/services/internal/embeddednats"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// openLog opens a log on an embedded NATS in a temporary directory.
func openLog(t *testing.T, exclusive bool) *eventlog.Log {
	t.Helper()
	dir := t.TempDir()
	server, err := embeddednats.Start(embeddednats.Options{StoreDir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	options := eventlog.Options{Exclusive: exclusive}
	if exclusive && eventlog.BarrierSupported {
		if options.Barrier, err = eventlog.OpenBarrier(dir, filepath.Join(dir, "durable"), func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
	}
	log, err := server.OpenLog(options)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func openStream(t *testing.T, log *eventlog.Log) *eventlog.Stream {
	t.Helper()
	stream, err := log.OpenStream(t.Context(), eventlog.StreamSpec{Name: "LEDGER_00", Subjects: "ledger.00.*", Metadata: map[string]string{"shards": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// facts makes records for accounts in turn.
func facts(from, count, accounts int) []eventlog.Record {
	records := make([]eventlog.Record, count)
	for i := range records {
		records[i] = eventlog.Record{Subject: fmt.Sprintf("ledger.00.a%d", (from+i)%accounts), Data: fmt.Appendf(nil, "fact %d", from+i)}
	}
	return records
}

func TestAppendAndReadBack(t *testing.T) {
	t.Parallel()
	for name, exclusive := range map[string]bool{"pipelined, where we are alone": true, "in atomic batches, where we are not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := openLog(t, exclusive)
			stream := openStream(t, log)
			const rounds, size = 4, 400
			for round := range rounds {
				if err := stream.Append(t.Context(), uint64(round*size), facts(round*size, size, 3)); err != nil {
					t.Fatal(err)
				}
			}
			if durable, _ := stream.Durable(); durable != rounds*size {
				t.Errorf("durable up to %d", durable)
			}
			var all []string
			err := stream.Read(t.Context(), eventlog.Range{After: 10, Through: rounds*size - 10}, func(m eventlog.Message) error {
				all = append(all, string(m.Data))
				return nil
			})
			if err != nil || len(all) != rounds*size-20 || all[0] != "fact 10" || all[len(all)-1] != fmt.Sprintf("fact %d", rounds*size-11) {
				t.Errorf("read %d facts, %v", len(all), err)
			}
			var own []uint64
			err = stream.Read(t.Context(), eventlog.Range{Subject: "ledger.00.a1", Through: 1000}, func(m eventlog.Message) error {
				own = append(own, m.Sequence)
				return nil
			})
			if err != nil || len(own) != 333 || own[0] != 2 || own[332] != 998 {
				t.Errorf("read %d facts of one account, %v", len(own), err)
			}
			if m, err := stream.LastAtOrBefore(t.Context(), "ledger.00.a1", 100); err != nil || m.Sequence != 98 {
				t.Errorf("the last at or before 100 is %d, %v", m.Sequence, err)
			}
			if _, err := stream.LastAtOrBefore(t.Context(), "ledger.00.a1", 1); !errors.Is(err, eventlog.ErrNotFound) {
				t.Errorf("before the first: %v", err)
			}
			if _, err := stream.Get(t.Context(), rounds*size+1); !errors.Is(err, eventlog.ErrNotFound) {
				t.Errorf("behind the last: %v", err)
			}
		})
	}
}

func TestAWriterThatIsBehindStoresNothing(t *testing.T) {
	t.Parallel()
	log := openLog(t, false)
	first, second := openStream(t, log), openStream(t, log)
	if err := first.Append(t.Context(), 0, facts(0, 3, 1)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 5} {
		if err := second.Append(t.Context(), 0, facts(100, size, 1)); !errors.Is(err, eventlog.ErrFenced) {
			t.Errorf("a round of %d: %v", size, err)
		}
	}
	if last, err := first.Last(t.Context()); err != nil || last != 3 {
		t.Errorf("the stream has %d facts, %v", last, err)
	}
	if err := second.Append(t.Context(), 3, facts(3, 5, 1)); err != nil {
		t.Errorf("after it has read the log: %v", err)
	}
}

// Where we are alone, a round is a chain of messages of which only the first and the last are answered.
func TestAChainThatDoesNotFitIsNeverTakenForStored(t *testing.T) {
	t.Parallel()
	log := openLog(t, true)
	stream := openStream(t, log)
	if err := stream.Append(t.Context(), 0, facts(0, 3, 1)); err != nil {
		t.Fatal(err)
	}
	if err := stream.Append(t.Context(), 2, facts(100, 1, 1)); !errors.Is(err, eventlog.ErrFenced) || errors.Is(err, eventlog.ErrOutcomeUnknown) {
		t.Errorf("one record where another is: %v", err)
	}
	// The third of these expects what is really the last: it is stored, and so are those behind it.
	if err := stream.Append(t.Context(), 1, facts(100, 5, 1)); !errors.Is(err, eventlog.ErrOutcomeUnknown) {
		t.Errorf("a round that begins too early: %v", err)
	}
	if err := stream.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	last, err := stream.Last(t.Context())
	if err != nil || last != 6 {
		t.Fatalf("the stream ends at %d, %v", last, err)
	}
	// A record in the middle that the stream cannot take.
	round := facts(100, 5, 1)
	round[2].Data = make([]byte, 1<<20+1)
	if err := stream.Append(t.Context(), 6, round); !errors.Is(err, eventlog.ErrOutcomeUnknown) {
		t.Errorf("a record that is too large: %v", err)
	}
	if err := stream.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last, err = stream.Last(t.Context()); err != nil || last != 8 {
		t.Fatalf("the stream ends at %d, %v", last, err)
	}
	if err := stream.Append(t.Context(), 8, facts(8, eventlog.RoundBound, 9)); err != nil {
		t.Errorf("after the log was read: %v", err)
	}
}

// Two streams do not get each other's answers, and a lone record is stored like a round.
func TestStreamsAreAppendedToSideBySide(t *testing.T) {
	t.Parallel()
	log := openLog(t, true)
	var writers errgroup.Group
	for shard := range 4 {
		stream, err := log.OpenStream(t.Context(), eventlog.StreamSpec{Name: fmt.Sprintf("LEDGER_%02d", shard), Subjects: fmt.Sprintf("ledger.%02d.*", shard)})
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() error {
			for sequence, size := 0, 1; sequence < 500; sequence, size = sequence+size, size%7+1 {
				records := facts(sequence, size, 5)
				for i := range records {
					records[i].Subject = fmt.Sprintf("ledger.%02d.alice", shard)
				}
				if err := stream.Append(t.Context(), uint64(sequence), records); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := writers.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAfterALostConnectionTheLogIsDrainedFirst(t *testing.T) {
	t.Parallel()
	stream := openStream(t, openLog(t, true))
	if err := stream.Append(t.Context(), 0, facts(0, 3, 1)); err != nil {
		t.Fatal(err)
	}
	stream.CutWire()
	if err := stream.Append(t.Context(), 3, facts(3, 3, 1)); !errors.Is(err, eventlog.ErrUnreachable) {
		t.Errorf("before the log was drained: %v", err)
	}
	if err := stream.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := stream.Append(t.Context(), 3, facts(3, 3, 1)); err != nil {
		t.Errorf("after the log was drained: %v", err)
	}
}

func TestAStreamKeepsWhatItWasCreatedWith(t *testing.T) {
	t.Parallel()
	log := openLog(t, true)
	openStream(t, log)
	_, err := log.OpenStream(t.Context(), eventlog.StreamSpec{Name: "LEDGER_00", Subjects: "ledger.00.*", Metadata: map[string]string{"shards": "4"}})
	var metadata *eventlog.MetadataError
	if !errors.As(err, &metadata) || metadata.Stored != "1" || metadata.Wanted != "4" {
		t.Errorf("said %v", err)
	}
}

func TestAConsumerSeesWhatIsDurableInOrderAndKeepsItsPosition(t *testing.T) {
	t.Parallel()
	log := openLog(t, true)
	stream := openStream(t, log)
	consumer, err := stream.OpenConsumer(t.Context(), "reader", 100)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	follow := func(after, through uint64) error {
		next := after + 1
		return consumer.Follow(t.Context(), after, func(m eventlog.Message) error {
			if durable, _ := stream.Durable(); m.Sequence != next || m.Sequence > durable {
				return fmt.Errorf("saw %d, expected %d, durable up to %d", m.Sequence, next, durable)
			}
			if next++; next > through {
				return enough
			}
			return nil
		})
	}
	seen := make(chan error, 1)
	go func() { seen <- follow(2, 60) }()
	for round := range 6 {
		if err := stream.Append(t.Context(), uint64(10*round), facts(10*round, 10, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-seen; !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if err := consumer.Ack(55); err != nil {
		t.Fatal(err)
	}
	waitForPosition(t, consumer, 55)
	if err := follow(55, 60); !errors.Is(err, enough) {
		t.Errorf("from its position on: %v", err)
	}
	if err := follow(0, 60); !errors.Is(err, enough) {
		t.Errorf("from the beginning again: %v", err)
	}
	for range 50 { // what was asked for before must not take what is asked for now
		if err := follow(0, 60); !errors.Is(err, enough) {
			t.Fatalf("from the beginning once more: %v", err)
		}
	}
}

// Who follows in the process that writes gets what the writer hands over, and reads from the log what was before that, or is not kept any more.
func TestWhoFollowsTheOwnWriterMissesNothing(t *testing.T) {
	t.Parallel()
	log := openLog(t, true)
	stream := openStream(t, log)
	const rounds, size = 12, 900 // more than is kept
	decide := func(round int) {
		records := facts(round*size, size, 5)
		for i := range records {
			records[i].Event = round*size + i
		}
		if err := stream.Append(t.Context(), uint64(round*size), records); err != nil {
			t.Error(err)
		}
	}
	decide(0)
	consumer, err := stream.OpenConsumer(t.Context(), "reader", 100000)
	if err != nil {
		t.Fatal(err)
	}
	slow, begun, goOn := 1500, make(chan struct{}), make(chan struct{})
	enough := errors.New("enough")
	handed, read := 0, 0
	followed := make(chan error, 1)
	go func() {
		next := uint64(1)
		followed <- consumer.Follow(t.Context(), 0, func(m eventlog.Message) error {
			if durable, _ := stream.Durable(); m.Sequence != next || m.Sequence > durable || string(m.Data) != fmt.Sprint("fact ", next-1) {
				return fmt.Errorf("saw %d, %q, expected %d, durable up to %d", m.Sequence, m.Data, next, durable)
			}
			if m.Event == nil {
				read++
			} else if handed++; m.Event != int(next-1) {
				return fmt.Errorf("with %d came %v", m.Sequence, m.Event)
			}
			if next == uint64(slow) {
				close(begun)
				<-goOn
			}
			if next++; next > rounds*size {
				return enough
			}
			return nil
		})
	}()
	decide(1)
	<-begun
	for round := 2; round < rounds-1; round++ {
		decide(round)
	}
	close(goOn)
	decide(rounds - 1)
	if err := <-followed; !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if read < size || handed < size {
		t.Errorf("%d were read from the log, %d handed over", read, handed)
	}
}

// waitForPosition waits until JetStream has taken note of a position.
func waitForPosition(t *testing.T, consumer *eventlog.Consumer, want uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for look := time.NewTicker(5 * time.Millisecond); ; {
		position, err := consumer.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if position == want {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("the position is %d, not %d", position, want)
		}
	}
}
