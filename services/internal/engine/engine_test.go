package engine_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// reasonOf is the reason of a failure; empty where there is none.
func reasonOf(err error) string {
	var f *failure.Error
	if errors.As(err, &f) {
		return f.Reason
	}
	return ""
}

func TestARepeatGetsTheFirstAnswerAlsoWhileThatIsUnderWay(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	var duplicates atomic.Int64
	var repeats sync.WaitGroup
	for range 200 {
		repeats.Go(func() {
			result, err := p.Submit(t.Context(), &add{account: "a", id: "1", content: "x"})
			if err != nil || result.Sequence != 1 {
				t.Errorf("answered %d, %v", result.Sequence, err)
			}
			if result.Duplicate {
				duplicates.Add(1)
			}
		})
	}
	repeats.Wait()
	if view, _ := p.View("a"); duplicates.Load() != 199 || view != 1 {
		t.Errorf("%d duplicates, reading %d", duplicates.Load(), view)
	}
	if _, err := p.Submit(t.Context(), &add{account: "a", id: "1", content: "y"}); reasonOf(err) != "ID_REUSED" {
		t.Errorf("the same id with other content: %v", err)
	}
	if result, err := p.Submit(t.Context(), &add{account: "b", id: "1", content: "y"}); err != nil || result.Duplicate {
		t.Errorf("the same id on another account: %+v, %v", result, err)
	}
}

func TestCommandsOfAnAccountKeepTheirOrderOverManyRounds(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	const commands = 3*eventlog.RoundBound + 7
	tickets := make([]engine.Ticket[*eventsv1.AccountEvent], commands)
	for i := range tickets {
		tickets[i] = p.Enqueue(t.Context(), &add{account: "hot", id: number(i)})
	}
	for i, ticket := range tickets {
		result, err := ticket.Wait(t.Context())
		if err != nil || result.Event.GetCreditLimitChanged().GetPreviousCreditLimit() != int64(i) || result.Sequence != uint64(i+1) {
			t.Fatalf("command %d: %v, %v", i, result.Event, err)
		}
	}
	again := runPlantAgain(t, p)
	if view, _ := again.View("hot"); view != commands {
		t.Errorf("after recovery the reading is %d", view)
	}
}

// runPlantAgain starts a second engine over the same stream, as after a restart.
func runPlantAgain(t *testing.T, p *plant) *plant {
	t.Helper()
	return runPlant(t, p.stream)
}

func TestAReadAndARefusalAreOnlyOfWhatIsDurable(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	for i := range 50 {
		ticket := p.Enqueue(t.Context(), &add{account: "a", id: number(i)})
		var seen int64
		known, err := p.Ask(t.Context(), "a", func(m *meter, _ time.Time) { seen = m.reading })
		if err != nil || !known || seen != int64(i+1) {
			t.Fatalf("asked after command %d: known %v, reading %d, %v", i, known, seen, err)
		}
		if durable, _ := p.stream.Durable(); durable < uint64(i+1) {
			t.Fatalf("the answer shows event %d, durable is %d", i+1, durable)
		}
		if _, err := p.Submit(t.Context(), &add{account: "a", id: "r" + number(i), refuse: true}); reasonOf(err) != "REFUSED" {
			t.Fatal(err)
		}
		if _, err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if known, err := p.Ask(t.Context(), "nobody", func(*meter, time.Time) { t.Error("asked of nobody") }); known || err != nil {
		t.Errorf("an unknown account: %v, %v", known, err)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	wait := make(chan struct{})
	tickets := []engine.Ticket[*eventsv1.AccountEvent]{p.Enqueue(t.Context(), &add{account: "a", id: "first", wait: wait})}
	refused := 0
	for i := 0; refused == 0 && i < 100_000; i++ {
		ticket := p.Enqueue(t.Context(), &add{account: "a", id: number(i)})
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ticket.Wait(over); reasonOf(err) == "OVERLOADED" {
			refused = i
		} else {
			tickets = append(tickets, ticket)
		}
	}
	close(wait)
	for _, ticket := range tickets {
		if _, err := ticket.Wait(t.Context()); err != nil {
			t.Fatalf("a command that was taken: %v", err)
		}
	}
	if refused == 0 {
		t.Error("the queue has no bound")
	}
	if view, _ := p.View("a"); view != int64(len(tickets)) {
		t.Errorf("%d commands were taken, the reading is %d", len(tickets), view)
	}
}

func TestABrokenInvariantStopsTheStreamAndStoresNothing(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	if _, err := p.Submit(t.Context(), &add{account: "a", id: "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Submit(t.Context(), &add{account: "a", id: "2", panics: true}); reasonOf(err) != "INTERNAL" || strings.Contains(err.Error(), "backwards") {
		t.Errorf("the caller hears %v", err)
	}
	if err := <-p.ended; err == nil {
		t.Error("the engine ended without saying why")
	}
	if _, err := p.Submit(t.Context(), &add{account: "b", id: "1"}); reasonOf(err) == "" || p.serving.Load() {
		t.Errorf("it still serves: %v", err)
	}
	if last, err := p.stream.Last(t.Context()); err != nil || last != 1 {
		t.Errorf("%d events are stored, %v", last, err)
	}
}

func TestWhatIsDueHappensWithoutACommand(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	if _, err := p.Submit(t.Context(), &add{account: "due", id: "1", dueIn: 7 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	p.clock.Add(int64(7*24*time.Hour) - int64(time.Second))
	if err := p.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if view, _ := p.View("due"); view != 1 {
		t.Error("it happened early")
	}
	p.clock.Add(int64(time.Second))
	if err := p.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if view, _ := p.View("due"); view != 2 {
		t.Error("it did not happen")
	}
}

func TestAllThatIsDueIsDurableAlsoWhenItIsMoreThanARoundTakes(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	const meters = eventlog.RoundBound + 7
	for i := range meters {
		p.Enqueue(t.Context(), &add{account: number(i), id: "1", dueIn: time.Hour})
	}
	if err := p.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if durable, _ := p.stream.Durable(); durable != meters {
		t.Errorf("it returned with %d of the %d events before it durable", durable, meters)
	}
	p.clock.Add(int64(time.Hour))
	if err := p.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if durable, _ := p.stream.Durable(); durable != 2*meters {
		t.Errorf("%d events are durable, want %d", durable, 2*meters)
	}
	p.Each(func(id string, view *int64, _ string) bool {
		if *view != 2 {
			t.Errorf("meter %s is still due", id)
		}
		return true
	})
}

func TestOneAccountWaitsForItsEventAndOthersGoOn(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	for i := range 3 {
		if _, err := p.Submit(t.Context(), &add{account: "a", id: number(i)}); err != nil {
			t.Fatal(err)
		}
	}
	tickets := []engine.Ticket[*eventsv1.AccountEvent]{
		p.Enqueue(t.Context(), &add{account: "a", id: "needs", needs: 2}),
		p.Enqueue(t.Context(), &add{account: "a", id: "behind", needs: 2}),
		p.Enqueue(t.Context(), &add{account: "b", id: "other"}),
	}
	var sequences []uint64
	for _, ticket := range tickets {
		result, err := ticket.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sequences = append(sequences, result.Sequence)
	}
	if sequences[0] >= sequences[1] || sequences[2] > sequences[0] {
		t.Errorf("stored as %v", sequences)
	}
}

func TestACallerWhoStoppedWaitingIsNotDecided(t *testing.T) {
	t.Parallel()
	p := startPlant(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Submit(gone, &add{account: "a", id: "1"}); reasonOf(err) != "CANCELLED" {
		t.Error(err)
	}
	if _, err := p.Submit(t.Context(), &add{account: "a", id: "2"}); err != nil {
		t.Fatal(err)
	}
	if last, err := p.stream.Last(t.Context()); err != nil || last != 1 {
		t.Errorf("%d events are stored, %v", last, err)
	}
}

func TestTheOlderWriterStepsDownRecoversAndGoesOn(t *testing.T) {
	t.Parallel()
	older := startPlant(t)
	if _, err := older.Submit(t.Context(), &add{account: "a", id: "1"}); err != nil {
		t.Fatal(err)
	}
	newer := runPlantAgain(t, older)
	if _, err := newer.Submit(t.Context(), &add{account: "a", id: "2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := older.Submit(t.Context(), &add{account: "a", id: "3"}); reasonOf(err) != "LOG_UNAVAILABLE" {
		t.Fatalf("the older writer was not fenced: %v", err)
	}
	for {
		result, err := older.Submit(t.Context(), &add{account: "a", id: "3"})
		if err == nil {
			if result.Sequence != 3 || result.Duplicate {
				t.Errorf("after recovery: %+v", result)
			}
			return
		}
		if reasonOf(err) != "LOG_UNAVAILABLE" {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}
