package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// startOutsideNATS runs a NATS server that is not ours: everybody may write, and every ack is on disk.
func startOutsideNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(waitBound) {
		t.Fatal("NATS did not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s.ClientURL()
}

// untilAnswered repeats a purchase with the same id until it is answered, as a network's adapter does.
func (b *bank) untilAnswered(ctx context.Context, account, transaction string, pence int64) (*transactionsv1.Decision, error) {
	for {
		decision, err := b.authorize(ctx, account, transaction, pence)
		if status.Code(err) != codes.Unavailable {
			return decision, err
		}
		select {
		case <-time.After(20 * time.Millisecond): // what a client's back-off is
		case <-ctx.Done():
			return nil, err
		}
	}
}

func TestTwoWritersOfOneLogLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	url := startOutsideNATS(t)
	first := testConfig(t)
	first.nats = url
	firstBank, p := startBank(t, first)
	firstBank.open("shared", 1_000_000)
	second := testConfig(t)
	second.nats, second.keyFile = url, first.dir.key()
	secondBank, _ := startBank(t, second)

	const purchases = 60
	var writers sync.WaitGroup
	for name, b := range map[string]*bank{"first": firstBank, "second": secondBank} {
		writers.Go(func() {
			for i := range purchases {
				decision, err := b.untilAnswered(t.Context(), "shared", fmt.Sprintf("%s-%d", name, i), 100)
				if err != nil {
					t.Errorf("%s writer, purchase %d: %v", name, i, err)
				} else if decision.GetResponseCode() != "00" {
					t.Errorf("%s writer, purchase %d: %v", name, i, decision)
				}
			}
		})
	}
	writers.Wait()

	// Each of them is told of the other's at its next write.
	for _, b := range []*bank{firstBank, secondBank} {
		eventually(t, "all purchases are held", func() error {
			if _, err := b.untilAnswered(t.Context(), "shared", "last", 100); err != nil {
				return err
			}
			if _, pending, _ := b.balances("shared"); pending != 100*(2*purchases+1) {
				return fmt.Errorf("pending is %d", pending)
			}
			return nil
		})
	}
	wantSound(t, &logSource{log: p.store.log, close: func() {}})
}

// wantSound fails the test when verify finds a problem.
func wantSound(t *testing.T, source *logSource) {
	t.Helper()
	found, err := verify(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found.Problems {
		t.Error(p)
	}
}

// wantSoundDirectory is wantSound of a directory that no process has.
func wantSoundDirectory(t *testing.T, dir string) {
	t.Helper()
	source, err := (&verifyOptions{dir: dir, scratch: t.TempDir()}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	wantSound(t, source)
}

func TestAnEventThatCannotBeReadStopsItsStreamLoudly(t *testing.T) {
	t.Parallel()
	url := startOutsideNATS(t)
	c := testConfig(t)
	c.nats = url
	b, p := startBank(t, c)
	b.open("alice", 10_000)
	b.wantBalances("alice", 0, 0, 10_000) // the ledger has caught up with the card
	foreign, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	if _, err := foreign.Request("ledger.00.alice", []byte("not an event"), waitBound); err != nil {
		t.Fatal(err)
	}
	if _, err := b.authorize(t.Context(), "alice", "t1", 100); status.Code(err) != codes.Unavailable {
		t.Fatalf("the writer was not fenced: %v", err)
	}
	select {
	case err := <-p.failed:
		if !strings.Contains(err.Error(), "LEDGER_00:3 (account alice)") {
			t.Errorf("the error does not name the event: %v", err)
		}
	case <-time.After(waitBound):
		t.Fatal("the service went on")
	}
	health, err := healthv1.NewHealthClient(b.connection).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "cardlog.transactions.v1.TransactionsService"})
	if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health is %v, %v", health.GetStatus(), err)
	}
	if posted, pending, available := b.balances("alice"); posted != 0 || pending != 0 || available != 10_000 {
		t.Error("reads of what is durable do not go on")
	}
}

func TestReadersOfTheEmbeddedNATSCanReadAndNotWrite(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.natsListen = "127.0.0.1:0"
	b, p := startBank(t, c)
	b.open("alice", 10_000)
	refused := make(chan error, 10)
	reader, err := nats.Connect(p.endpoints().NATS, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	js, err := jetstream.New(reader)
	if err != nil {
		t.Fatal(err)
	}
	ledgerStream, err := js.Stream(t.Context(), "LEDGER_00")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the card in the ledger, read by a reader", func() error { // which follows ACCOUNTS
		m, err := ledgerStream.GetLastMsgForSubject(t.Context(), "ledger.00.alice")
		if err == nil && (m.Sequence != 2 || m.Header.Get("ce-type") != "cardlog.transactions.card_changed") {
			err = fmt.Errorf("the last event is %d, %s", m.Sequence, m.Header.Get("ce-type"))
		}
		return err
	})
	const before = 2 // events in the ledger

	t.Run("publishing is refused", func(t *testing.T) {
		for _, subject := range []string{"ledger.00.alice", "accounts.alice", "payments.alice", "events.x.y.alice", "$KV.KEYS.alice", "$JS.API.STREAM.DELETE.LEDGER_00", "$JS.API.CONSUMER.CREATE.LEDGER_00.c"} {
			if err := reader.Publish(subject, []byte("x")); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-refused:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("%s: %v", subject, err)
				}
			case <-time.After(waitBound):
				t.Errorf("publishing to %s was not refused", subject)
			}
		}
	})
	t.Run("an answer cannot be made to land on a ledger", func(t *testing.T) {
		for _, request := range []string{"$JS.API.DIRECT.GET.LEDGER_00.ledger.00.alice", "$JS.API.STREAM.INFO.LEDGER_00"} {
			if err := reader.PublishRequest(request, "ledger.00.alice", nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := reader.Request("$JS.API.INFO", nil, waitBound); err != nil { // served after those before it
			t.Fatal(err)
		}
		if info, err := ledgerStream.Info(t.Context()); err != nil || info.State.LastSeq != before {
			t.Errorf("the ledger went from %d to %d (%v)", before, info.State.LastSeq, err)
		}
	})
	t.Run("the data keys cannot be read", func(t *testing.T) {
		if err := reader.PublishRequest("$JS.API.DIRECT.GET.KV_KEYS.$KV.KEYS.alice", reader.NewInbox(), nil); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
	})
	log, closeLog, err := eventlog.Connect(p.endpoints().NATS, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantSound(t, &logSource{log: log, close: closeLog})
	closeLog()
}
