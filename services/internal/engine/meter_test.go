package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/embeddednats"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// meter is the smallest domain: each command adds one to its account's reading. The event keeps the reading before it.
type meter struct {
	account  string
	reading  int64
	answered map[string]uint64
	recalled uint64
	due      time.Time
}

// add is a command to the meter.
type add struct {
	account, id, content string

	refuse bool          // is answered with an error
	panics bool          // breaks an invariant
	needs  uint64        // an event that must be recalled first
	wait   chan struct{} // is decided when this is closed
	dueIn  time.Duration // makes something due
}

func (c *add) Account() string { return c.account }
func (c *add) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_UPDATE_CREDIT_LIMIT
}
func (c *add) ID() string     { return c.id }
func (c *add) Digest() []byte { return []byte(c.content) }

type meterDomain struct{}

func (meterDomain) Empty() *eventsv1.AccountEvent           { return &eventsv1.AccountEvent{} }
func (meterDomain) EventType(*eventsv1.AccountEvent) string { return "meter.read" }
func (meterDomain) New(account string) *meter {
	return &meter{account: account, answered: map[string]uint64{}}
}
func (meterDomain) View(m *meter) int64                { return m.reading }
func (meterDomain) NextDue(m *meter) (time.Time, bool) { return m.due, !m.due.IsZero() }

func (meterDomain) Lookup(m *meter, c *add) command.Lookup {
	if answered := m.answered[c.id]; answered != 0 {
		return command.Lookup{Answer: answered}
	}
	if c.needs != m.recalled {
		return command.Lookup{Needs: c.needs}
	}
	return command.Lookup{}
}

func (meterDomain) Recall(m *meter, _ *eventsv1.AccountEvent, sequence uint64) { m.recalled = sequence }

func (meterDomain) Decide(m *meter, c *add, at command.Position) (*eventsv1.AccountEvent, error) {
	if c.wait != nil {
		<-c.wait
	}
	if c.panics {
		panic("the meter runs backwards")
	}
	if c.refuse {
		return nil, failure.New(failure.Precondition, "REFUSED", "the reading is %d", m.reading)
	}
	event := reading(c.account, c.id, m.reading, at)
	event.Envelope.CommandDigest = c.Digest()
	if c.dueIn != 0 {
		event.Account = &eventsv1.AccountSnapshot{OpenedAt: timestamppb.New(at.Time.Add(c.dueIn))}
	}
	return event, nil
}

func reading(account, id string, before int64, at command.Position) *eventsv1.AccountEvent {
	return &eventsv1.AccountEvent{
		Envelope: &eventsv1.Envelope{AccountId: account, DecidedAt: timestamppb.New(at.Time), CommandId: id,
			CommandKind: eventsv1.CommandKind_COMMAND_KIND_UPDATE_CREDIT_LIMIT},
		Fact: &eventsv1.AccountEvent_CreditLimitChanged{CreditLimitChanged: &eventsv1.CreditLimitChanged{PreviousCreditLimit: before}},
	}
}

func (meterDomain) Expire(m *meter, at command.Position) (*eventsv1.AccountEvent, bool) {
	if m.due.IsZero() || m.due.After(at.Time) {
		return nil, false
	}
	return reading(m.account, "", m.reading, at), true
}

func (meterDomain) Apply(m *meter, event *eventsv1.AccountEvent, sequence uint64) {
	if before := event.GetCreditLimitChanged().GetPreviousCreditLimit(); before != m.reading {
		panic(fmt.Sprintf("the reading is %d, not %d", m.reading, before))
	}
	m.reading++
	m.due = time.Time{}
	if planned := event.GetAccount().GetOpenedAt(); planned != nil {
		m.due = planned.AsTime()
	}
	if id := event.GetEnvelope().GetCommandId(); id != "" {
		m.answered[id] = sequence
	}
}

func (meterDomain) Answered(m *meter, _ eventsv1.CommandKind, id string) uint64 {
	return m.answered[id]
}

// meterFold is the fold version of the meters.
const meterFold = 3

// keptMeters are meters that can be kept in files.
type keptMeters struct{ meterDomain }

func (keptMeters) FoldVersion() int { return meterFold }

// meterImage is a meter in a file.
type meterImage struct {
	Account  string
	Reading  int64
	Answered map[string]uint64
	Due      time.Time
}

func (keptMeters) Encode(m *meter, to []byte) []byte {
	encoded, err := json.Marshal(meterImage{m.account, m.reading, m.answered, m.due})
	if err != nil {
		panic(err)
	}
	return append(to, encoded...)
}

func (keptMeters) Decode(encoded []byte) (*meter, error) {
	var image meterImage
	err := json.Unmarshal(encoded, &image)
	return &meter{account: image.Account, reading: image.Reading, answered: image.Answered, due: image.Due}, err
}

func (keptMeters) Agrees(m *meter, last *eventsv1.AccountEvent) bool {
	return m.reading == last.GetCreditLimitChanged().GetPreviousCreditLimit()+1
}

func (keptMeters) Summary(reading int64) string { return number(int(reading)) }

func (keptMeters) Restore(string, string) {}

type meterEngine = engine.Engine[*meter, *add, *eventsv1.AccountEvent, int64]

// plant is an engine of meters under test.
type plant struct {
	*meterEngine
	clock   atomic.Int64
	serving atomic.Bool
	ended   chan error
	stream  *eventlog.Stream

	checkpoints engine.Checkpoints
	cancel      context.CancelFunc
}

// stop ends the engine as a graceful stop of the process does.
func (p *plant) stop(t testing.TB) {
	t.Helper()
	p.cancel()
	if err := <-p.ended; err != nil {
		t.Fatal(err)
	}
}

// View returns an account's reading.
func (p *plant) View(account string) (reading int64, known bool) {
	reading, known, err := p.meterEngine.View(context.Background(), account)
	if err != nil {
		panic(err)
	}
	return reading, known
}

// startPlant runs an engine over an embedded NATS until the test ends.
func startPlant(t testing.TB) *plant {
	t.Helper()
	return startTracedPlant(t, nil)
}

// startTracedPlant is startPlant with a tracer.
func startTracedPlant(t testing.TB, tracer trace.Tracer) *plant {
	t.Helper()
	dir := t.TempDir()
	server, err := embeddednats.Start(embeddednats.Options{StoreDir: dir, Logger: slog.New(slog.DiscardHandler), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	options := eventlog.Options{}
	if eventlog.BarrierSupported {
		options.Exclusive = true
		if options.Barrier, err = eventlog.OpenBarrier(dir, filepath.Join(dir, "durable"), func(err error) { t.Error(err) }); err != nil {
			t.Fatal(err)
		}
	}
	log, err := server.OpenLog(options)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := log.OpenStream(t.Context(), eventlog.StreamSpec{Name: "METERS", Subjects: "meters.*"})
	if err != nil {
		t.Fatal(err)
	}
	return runTracedPlant(t, stream, tracer)
}

// runPlant runs an engine over a stream until the test ends, with every meter in memory.
func runPlant(t testing.TB, stream *eventlog.Stream) *plant {
	t.Helper()
	return runTracedPlant(t, stream, nil)
}

// runTracedPlant is runPlant with spans.
func runTracedPlant(t testing.TB, stream *eventlog.Stream, tracer trace.Tracer) *plant {
	t.Helper()
	return runPlantWith(t, stream, engine.Checkpoints{}, tracer)
}

// runKeepingPlant runs an engine over a stream, with checkpoints, until it is stopped or the test ends.
func runKeepingPlant(t testing.TB, stream *eventlog.Stream, checkpoints engine.Checkpoints) *plant {
	t.Helper()
	return runPlantWith(t, stream, checkpoints, nil)
}

func runPlantWith(t testing.TB, stream *eventlog.Stream, checkpoints engine.Checkpoints, tracer trace.Tracer) *plant {
	t.Helper()
	p := &plant{ended: make(chan error, 1), stream: stream, checkpoints: checkpoints}
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel = cancel
	p.clock.Store(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	p.meterEngine = engine.New(stream, engine.Options[*meter, *add, *eventsv1.AccountEvent, int64]{
		Domain:  func() engine.Domain[*meter, *add, *eventsv1.AccountEvent, int64] { return keptMeters{} },
		Subject: func(id string) string { return "meters." + id }, Source: "/test",
		Clock:  func() time.Time { return time.Unix(0, p.clock.Load()) },
		Logger: slog.New(slog.DiscardHandler), OnHealth: p.serving.Store, Checkpoints: checkpoints, Tracer: tracer,
	})
	go func() { p.ended <- p.Run(ctx) }()
	select {
	case <-p.Ready():
	case err := <-p.ended:
		t.Fatal(err)
	}
	return p
}

// number is an id.
func number(i int) string { return strconv.Itoa(i) }
