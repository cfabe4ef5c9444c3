package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/cardlog/cardlog/services/internal/embeddednats"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/follower"
)

// waitBound is how long a test waits for something that should happen at once.
const waitBound = 30 * time.Second

// press is streams of facts, and a feed that publishes them.
type press struct {
	t     *testing.T
	facts *eventlog.Log // the services write to it
	feed  *eventlog.Log // the feed publishes to it
	js    jetstream.JetStream

	written map[string]uint64 // how many events each stream of facts has
	streams map[string]*eventlog.Stream
	hidden  atomic.Bool // the feed does not find the ledger

	service *Service
	serving atomic.Bool
	failed  chan error
	stop    func() // as a kill does: whatever is under way is given up
}

// newPress makes the streams on a NATS server that the test may do anything to.
func newPress(t *testing.T) *press {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true})
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
	p := &press{t: t, facts: connect(t, s.ClientURL()), feed: connect(t, s.ClientURL())}
	connection, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	if p.js, err = jetstream.New(connection); err != nil {
		t.Fatal(err)
	}
	p.openFacts()
	return p
}

func connect(t *testing.T, url string) *eventlog.Log {
	t.Helper()
	log, disconnect, err := eventlog.Connect(url, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disconnect)
	return log
}

func (p *press) openFacts() {
	p.t.Helper()
	p.written, p.streams = map[string]uint64{}, map[string]*eventlog.Stream{}
	for name, subjects := range map[string]string{"ACCOUNTS": "accounts.*", "PAYMENTS": "payments.*", "LEDGER_00": "ledger.00.*"} {
		stream, err := p.facts.OpenStream(p.t.Context(), eventlog.StreamSpec{Name: name, Subjects: subjects})
		if err != nil {
			p.t.Fatal(err)
		}
		p.streams[name], p.written[name] = stream, 0
	}
	p.t.Cleanup(func() {
		if p.stop != nil {
			p.stop()
		}
	})
}

// decide appends a number of events like a sample, of several accounts in turn.
func (p *press) decide(event string, count int) {
	p.t.Helper()
	like := sampleOf(p.t, event)
	for count > 0 {
		records := make([]eventlog.Record, min(count, eventlog.RoundBound))
		for i := range records {
			stored := proto.Clone(like.stored).(stored)
			stored.GetEnvelope().AccountId = fmt.Sprint("account-", i%7)
			records[i] = p.record(like.stream, stored)
		}
		p.append(like.stream, records...)
		count -= len(records)
	}
}

// record is a stored event as its service appends it.
func (p *press) record(stream string, event stored) eventlog.Record {
	p.t.Helper()
	data, err := proto.Marshal(event)
	if err != nil {
		p.t.Fatal(err)
	}
	subject := map[string]string{"ACCOUNTS": "accounts.", "PAYMENTS": "payments.", "LEDGER_00": "ledger.00."}[stream]
	return eventlog.Record{Subject: subject + event.GetEnvelope().GetAccountId(), Data: data}
}

func (p *press) append(stream string, records ...eventlog.Record) {
	p.t.Helper()
	if err := p.streams[stream].Append(p.t.Context(), p.written[stream], records); err != nil {
		p.t.Fatal(err)
	}
	p.written[stream] += uint64(len(records))
}

// start starts the feed.
func (p *press) start() {
	p.t.Helper()
	remote := func(name string) follower.Upstream { return follower.Remote(p.facts, name) }
	p.failed = make(chan error, 8)
	p.service = Open(p.feed, Options{
		Accounts: remote("ACCOUNTS"), Payments: remote("PAYMENTS"),
		Ledger: func(context.Context) ([]follower.Upstream, error) {
			if p.hidden.Load() {
				return nil, eventlog.ErrNotFound
			}
			return []follower.Upstream{remote("LEDGER_00")}, nil
		},
		Logger: slog.New(slog.DiscardHandler), OnHealth: p.serving.Store,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { p.service.Run(ctx, func(err error) { p.failed <- err }) })
	p.stop = func() {
		cancel()
		running.Wait()
	}
}

// restart kills the feed and starts it again.
func (p *press) restart() {
	p.t.Helper()
	p.stop()
	p.start()
}

// awaitPublished waits until the feed has applied everything.
func (p *press) awaitPublished() {
	p.t.Helper()
	p.await("everything is published", func() error {
		statuses := p.service.Followers(p.t.Context())
		if len(statuses) < len(p.written) {
			return errors.New("not all streams are followed yet")
		}
		for _, s := range statuses {
			if s.Position < p.written[s.Stream] {
				return fmt.Errorf("%s is at %d of %d: %w", s.Stream, s.Position, p.written[s.Stream], s.Problem)
			}
		}
		return nil
	})
}

func (p *press) await(what string, condition func() error) {
	p.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(waitBound); ; <-look.C {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: still %v", what, err)
		}
	}
}

// published returns the ids of what EVENTS holds.
func (p *press) published() (ids []string) {
	p.t.Helper()
	for _, m := range p.messages() {
		ids = append(ids, m.Header.Get("ce-id"))
	}
	return ids
}

// messages are what EVENTS holds.
func (p *press) messages() (all []eventlog.Message) {
	p.t.Helper()
	stream, err := p.feed.ReadStream(p.t.Context(), StreamName)
	if err != nil {
		p.t.Fatal(err)
	}
	extent, err := stream.Extent(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for after := extent.First - 1; after < extent.Last; {
		err := stream.Read(p.t.Context(), eventlog.Range{After: after, Through: extent.Last}, func(m eventlog.Message) error {
			all, after = append(all, m), m.Sequence
			return nil
		})
		var lost *eventlog.LostError
		switch {
		case err == nil:
			after = extent.Last
		case errors.As(err, &lost):
			after = lost.To
		default:
			p.t.Fatal(err)
		}
	}
	return all
}

// wantOnce fails the test unless EVENTS holds every event of every stream once, in the order of the stream.
func (p *press) wantOnce() {
	p.t.Helper()
	newest := map[string]uint64{}
	for _, id := range p.published() {
		stream, sequence, err := parseID(id)
		if err != nil || sequence != newest[stream]+1 {
			p.t.Fatalf("%s comes after %s:%d (%v)", id, stream, newest[stream], err)
		}
		newest[stream] = sequence
	}
	for stream, written := range p.written {
		if newest[stream] != written {
			p.t.Errorf("of %s %d events are published, %d were written", stream, newest[stream], written)
		}
	}
}

func TestEachEventIsPublishedOnceWheneverTheFeedIsKilled(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.start()
	for round := range 20 {
		p.decide("transactions.authorization_approved", 300)
		p.decide("accounts.limit_changed", 20)
		p.decide("payments.held", 10)
		if round%3 == 0 {
			p.awaitPublished() // else it is killed in the middle
		}
		p.restart()
	}
	p.awaitPublished()
	p.wantOnce()
	p.await("it serves", func() error {
		if !p.serving.Load() {
			return errors.New("not")
		}
		return nil
	})
}

// The feed was killed after it had published and before it could acknowledge.
func TestWhatIsInEventsIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("accounts.opened", 5)
	p.decide("transactions.authorization_declined", 2_000)
	p.start()
	p.awaitPublished()
	p.stop()
	for stream := range p.written {
		if err := p.js.DeleteConsumer(t.Context(), stream, followerName); err != nil {
			t.Fatal(err)
		}
	}
	p.start()
	p.decide("payments.submitted", 3)
	p.awaitPublished()
	p.wantOnce()
}

// The feed was killed after it had written to EVENTS and before that was durable.
func TestWhatWasWrittenAndNotDurableIsMadeDurable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	embedded, err := embeddednats.Start(embeddednats.Options{StoreDir: dir, Logger: slog.New(slog.DiscardHandler), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Stop)
	settings := eventlog.Options{Exclusive: true}
	if eventlog.BarrierSupported {
		if settings.Barrier, err = eventlog.OpenBarrier(dir, filepath.Join(dir, "durable"), func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
	}
	p := &press{t: t}
	if p.facts, err = embedded.OpenLog(settings); err != nil {
		t.Fatal(err)
	}
	if p.feed, err = embedded.OpenFeed(settings); err != nil {
		t.Fatal(err)
	}
	p.openFacts()
	p.decide("accounts.opened", 25)

	half, err := p.feed.OpenPassing(t.Context(), eventlog.StreamSpec{Name: StreamName, Subjects: "events.>"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var round []eventlog.Record
	if err := p.streams["ACCOUNTS"].Read(t.Context(), eventlog.Range{Through: 25}, func(m eventlog.Message) error {
		event, err := Translate("ACCOUNTS", m)
		round = append(round, eventlog.Record{Subject: event.Subject, Header: event.Header, Data: event.Data})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	round[0].Header = round[0].Header.Add(positionsHeader, positions{}.header(0))
	if err := half.Write(t.Context(), 0, round); err != nil {
		t.Fatal(err)
	}
	if durable, _ := half.Durable(); durable != 0 {
		t.Fatalf("%d events are durable already", durable)
	}

	p.start()
	p.awaitPublished()
	if durable, _ := p.service.Stream().Durable(); durable != 25 {
		t.Errorf("%d of 25 events are durable", durable)
	}
	p.decide("accounts.opened", 15)
	p.awaitPublished()
	p.wantOnce()
}

// A power loss took a part of EVENTS from before its end, and the feed had acknowledged nothing of what came after that.
func TestAfterAGapInEventsEverythingBehindItComesAgain(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("accounts.opened", 10)
	p.start()
	p.awaitPublished()
	p.decide("transactions.authorization_approved", 100)
	p.awaitPublished()
	p.stop()
	events, err := p.js.Stream(t.Context(), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	for sequence := uint64(50); sequence < 60; sequence++ {
		if err := events.DeleteMsg(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.js.ResetConsumerToSequence(t.Context(), "LEDGER_00", followerName, 1); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.awaitPublished()
	times := map[string]int{}
	for _, id := range p.published() {
		times[id]++
	}
	for sequence := range uint64(100) {
		id, want := fmt.Sprint("LEDGER_00:", sequence+1), 1
		if sequence+1 >= 50 { // EVENTS:60, behind the gap, was LEDGER_00:50
			want = 2
		}
		if times[id] != want {
			t.Errorf("%s is published %d times, want %d", id, times[id], want)
		}
	}
	if times["ACCOUNTS:10"] != 1 {
		t.Errorf("ACCOUNTS:10 is published %d times", times["ACCOUNTS:10"])
	}

	before := len(p.published())
	p.restart() // nothing was lost this time
	p.decide("payments.returned", 1)
	p.awaitPublished()
	if after := p.published(); len(after) != before+1 || after[before] != "PAYMENTS:1" {
		t.Errorf("after a restart %q were published", after[before:])
	}
}

func TestWhatLeftEventsIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("transactions.authorization_approved", 100)
	p.start()
	p.awaitPublished()
	p.stop() // which leaves every position with its consumer
	events, err := p.js.Stream(t.Context(), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if err := events.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.start()
	p.decide("transactions.authorization_declined", 2)
	p.awaitPublished()
	if ids := p.published(); !slices.Equal(ids, []string{"LEDGER_00:101", "LEDGER_00:102"}) {
		t.Errorf("EVENTS holds %q", ids)
	}
}

func TestAPaymentIsSubmittedBeforeItIsPosted(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	for _, event := range []string{"transactions.authorization_approved", "transactions.payment_posted", "transactions.authorization_approved"} {
		p.append("LEDGER_00", p.record("LEDGER_00", sampleOf(t, event).stored))
	}
	p.start()
	awaitNewest := func(id string) {
		t.Helper()
		p.await(id+" is published", func() error {
			if ids := p.published(); !slices.Contains(ids, id) {
				return fmt.Errorf("EVENTS holds %q", ids)
			}
			return nil
		})
	}
	p.await("EVENTS is open", func() error {
		if p.service.Stream() == nil {
			return errors.New("not yet")
		}
		return nil
	})
	awaitNewest("LEDGER_00:1")
	for i := range 5 { // time in which what follows from the payment could be published, too
		p.decide("accounts.opened", 1)
		awaitNewest(fmt.Sprint("ACCOUNTS:", i+1))
	}
	p.append("PAYMENTS", p.record("PAYMENTS", sampleOf(t, "payments.submitted").stored))
	p.awaitPublished()
	if ids := p.published(); !slices.Equal(ids[len(ids)-3:], []string{"PAYMENTS:1", "LEDGER_00:2", "LEDGER_00:3"}) {
		t.Errorf("EVENTS holds %q", ids)
	}
}

func TestAnEventThatCannotBePublicStopsItsStreamAndNoOther(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("payments.submitted", 2)
	p.append("PAYMENTS", eventlog.Record{Subject: "payments.alice", Data: []byte("not an event")})
	p.decide("payments.submitted", 1)
	p.start()
	p.decide("accounts.opened", 1)
	select {
	case err := <-p.failed:
		if !errors.Is(err, follower.ErrUnreadable) || !strings.Contains(err.Error(), "PAYMENTS:3") {
			t.Errorf("the error is %v", err)
		}
	case <-time.After(waitBound):
		t.Fatal("nobody is told")
	}
	p.await("what comes before it, and the other stream, is published", func() error {
		if ids := p.published(); len(ids) != 3 {
			return fmt.Errorf("EVENTS holds %q", ids)
		}
		return nil
	})
	p.decide("accounts.limit_changed", 1)
	p.await("the other stream goes on", func() error {
		if ids := p.published(); ids[len(ids)-1] != "ACCOUNTS:2" {
			return fmt.Errorf("EVENTS holds %q", ids)
		}
		return nil
	})
	if p.serving.Load() {
		t.Error("the feed says that it serves")
	}
}

func TestPositionsAreFoundAgainWhileTheFeedGoesOn(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("accounts.opened", 7)
	p.start()
	p.awaitPublished()
	for range 5 {
		p.decide("transactions.authorization_approved", 500)
		events, err := p.service.Rebuild(t.Context())
		if err != nil || events < 7 || events > 7+p.written["LEDGER_00"] {
			t.Errorf("rebuilt from %d events, %v", events, err)
		}
	}
	p.awaitPublished()
	p.wantOnce()
}

// Nothing happens to the accounts for longer than what is read of EVENTS at a start: their position is in the headers of the rounds.
func TestAStreamThatIsQuietKeepsItsPosition(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("accounts.opened", 3)
	p.start()
	p.awaitPublished()
	p.decide("transactions.authorization_approved", undurableBound+5*eventlog.RoundBound)
	p.awaitPublished()
	stream, err := p.feed.ReadStream(t.Context(), StreamName)
	if err != nil {
		t.Fatal(err)
	}
	last, found, err := findPositions(t.Context(), stream, undurableBound+2*eventlog.RoundBound)
	if err != nil || found["ACCOUNTS"] != 3 || found["LEDGER_00"] != p.written["LEDGER_00"] || last != 3+p.written["LEDGER_00"] {
		t.Errorf("found %v at %d, %v", found, last, err)
	}
}

func TestALedgerThatComesLaterIsPublished(t *testing.T) {
	t.Parallel()
	p := newPress(t)
	p.decide("accounts.opened", 2)
	p.decide("transactions.account_opened", 1)
	p.hidden.Store(true)
	p.start()
	select {
	case <-p.service.Ready(): // without a ledger there is nothing of it to publish
	case <-time.After(waitBound):
		t.Fatal("it waits for the ledger")
	}
	p.hidden.Store(false)
	p.awaitPublished()
	p.wantOnce()
}
