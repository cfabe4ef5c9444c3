package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// few keeps few meters in memory, and writes states often.
func few(t *testing.T) engine.Checkpoints {
	return engine.Checkpoints{Dir: t.TempDir(), InMemory: 3, Every: 10}
}

const meters = 40

func meterID(i int) string { return "m" + number(i%meters) }

// startKeepingPlant runs an engine with few meters in memory, each of them read three times.
func startKeepingPlant(t *testing.T) *plant {
	t.Helper()
	first := startPlant(t)
	first.stop(t)
	p := runKeepingPlant(t, first.stream, few(t))
	for i := range 3 * meters {
		if _, err := p.Submit(t.Context(), &add{account: meterID(i), id: number(i)}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// again starts the engine again with the same checkpoints.
func (p *plant) again(t *testing.T) *plant {
	t.Helper()
	p.stop(t)
	return runKeepingPlant(t, p.stream, p.checkpoints)
}

// wantReadings fails unless every meter has its reading, however one asks, and knows what it answered.
func (p *plant) wantReadings(t *testing.T, want int64) {
	t.Helper()
	for i := range meters {
		reading, known := p.View(meterID(i))
		var asked int64
		askedKnown, err := p.Ask(t.Context(), meterID(i), func(m *meter, _ time.Time) { asked = m.reading })
		if err != nil || !known || !askedKnown || reading != want || asked != want {
			t.Fatalf("meter %s reads %d, asked %d (%v), want %d", meterID(i), reading, asked, err, want)
		}
		if again, err := p.Submit(t.Context(), &add{account: meterID(i), id: number(i)}); err != nil || !again.Duplicate {
			t.Fatalf("meter %s forgot what it answered: %v", meterID(i), err)
		}
	}
}

// awaitCheckpoint returns when a start need not read the log up to a sequence.
func (p *plant) awaitCheckpoint(through uint64) {
	for p.Residence().Checkpoint < through {
		runtime.Gosched()
	}
}

func TestMetersThatAreNotInMemoryAreThereAllTheSame(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	p.wantReadings(t, 3)
	p.awaitCheckpoint(3*meters - 10)
	if r := p.Residence(); r.Accounts != meters || r.InMemory > 10 || r.CheckpointAt.IsZero() {
		t.Errorf("%+v", r)
	}
	seen := 0
	p.Each(func(id string, view *int64, summary string) bool {
		if seen++; view != nil && *view != 3 || view == nil && summary != "3" {
			t.Errorf("meter %s is seen as %v, %q", id, view, summary)
		}
		return true
	})
	if _, known := p.View("nobody"); seen != meters || known {
		t.Errorf("%d meters, nobody known: %v", seen, known)
	}
	p = p.again(t)
	if r := p.Residence(); r.Checkpoint != 3*meters || r.InMemory > 3 || r.Accounts != meters {
		t.Errorf("after another start: %+v", r)
	}
	p.wantReadings(t, 3)
	if _, err := p.Submit(t.Context(), &add{account: meterID(7), id: "one more"}); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	if view, _ := runPlant(t, p.stream).View(meterID(7)); view != 4 {
		t.Errorf("the log gives %d", view)
	}
}

func TestAnEngineTakesTheCheckpointsThatAreReadEarly(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	p.stop(t)
	dir := p.checkpoints.Dir
	p.checkpoints.Early = checkpoint.ReadEarly(filepath.Dir(dir), []string{filepath.Base(dir)})
	p = runKeepingPlant(t, p.stream, p.checkpoints)
	p.checkpoints.Early.Close()
	if r := p.Residence(); r.Checkpoint != 3*meters || r.InMemory > 3 || r.Accounts != meters {
		t.Errorf("%+v", r)
	}
	p.wantReadings(t, 3)
	if _, err := checkpoint.Open(dir, "METERS", meterFold); !errors.Is(err, checkpoint.ErrTaken) {
		t.Errorf("another process opens them: %v", err)
	}
}

// Whatever became of the checkpoints while nothing ran, the log wins.
func TestTheLogWinsOverItsCheckpoints(t *testing.T) {
	t.Parallel()
	lie := func(how func(id string, state *checkpoint.State)) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			store, err := checkpoint.Open(dir, "METERS", meterFold)
			if err != nil {
				t.Fatal(err)
			}
			for i := range meters {
				state, _, err := store.Get(meterID(i))
				if err != nil {
					t.Fatal(err)
				}
				how(meterID(i), &state)
				store.Put(meterID(i), state, state.Due)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, damage := range map[string]func(t *testing.T, dir string){
		"deleted": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
		"states deleted": func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, "states-*"))
			if err != nil || len(files) == 0 {
				t.Fatal(err, files)
			}
			for _, file := range files {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}
		},
		"index cut short": func(t *testing.T, dir string) {
			info, err := os.Stat(filepath.Join(dir, "index"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir, "index"), info.Size()*2/3); err != nil {
				t.Fatal(err)
			}
		},
		"of another fold version": func(t *testing.T, dir string) {
			store, err := checkpoint.Open(dir, "METERS", meterFold+1)
			if err != nil {
				t.Fatal(err)
			}
			store.Put(meterID(0), checkpoint.State{Sequence: 1}, 0)
			_ = store.Close()
		},
		"of another log": func(t *testing.T, dir string) {
			store, err := checkpoint.Open(dir, "METERS", meterFold)
			if err != nil {
				t.Fatal(err)
			}
			store.Reach(checkpoint.Mark{Through: 3 * meters, Hash: [32]byte{1}})
			_ = store.Close()
		},
		"not decodable":     lie(func(_ string, s *checkpoint.State) { s.Data = []byte("{") }),
		"of another hash":   lie(func(_ string, s *checkpoint.State) { s.Hash[0] ^= 1 }),
		"of an older event": lie(func(_ string, s *checkpoint.State) { s.Sequence -= meters }),
		"ahead of the log":  lie(func(_ string, s *checkpoint.State) { s.Sequence += 1000 }),
		"of another reading": lie(func(id string, s *checkpoint.State) {
			s.Data = keptMeters{}.Encode(&meter{account: id, reading: 99}, nil)
		}),
		"of an account that the log has never heard of": func(t *testing.T, dir string) {
			store, err := checkpoint.Open(dir, "METERS", meterFold)
			if err != nil {
				t.Fatal(err)
			}
			store.Put("nobody", checkpoint.State{Sequence: 5, Data: keptMeters{}.Encode(&meter{account: "nobody", reading: 99}, nil)}, 0)
			_ = store.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startKeepingPlant(t)
			p.stop(t)
			damage(t, p.checkpoints.Dir)
			p = runKeepingPlant(t, p.stream, p.checkpoints)
			p.wantReadings(t, 3)
			if _, err := p.Submit(t.Context(), &add{account: "nobody", id: "1"}); err != nil {
				t.Fatal(err)
			}
			if reading, _ := p.View("nobody"); reading != 1 {
				t.Errorf("a new meter reads %d", reading)
			}
			p = p.again(t)
			p.wantReadings(t, 3)
			p.stop(t)
			runPlant(t, p.stream).wantReadings(t, 3) // what was stored follows from the log
		})
	}
}

// Events that were stored since the checkpoints, by whomever, are read.
func TestTheTailOfTheLogIsReadAgain(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	p.stop(t)
	other := runPlant(t, p.stream)
	for i := range meters / 2 {
		if _, err := other.Submit(t.Context(), &add{account: meterID(i), id: "tail"}); err != nil {
			t.Fatal(err)
		}
	}
	other.stop(t)
	p = runKeepingPlant(t, p.stream, p.checkpoints)
	for i := range meters {
		want := int64(3)
		if i < meters/2 {
			want = 4
		}
		if reading, _ := p.View(meterID(i)); reading != want {
			t.Errorf("meter %s reads %d, want %d", meterID(i), reading, want)
		}
	}
}

// What is due of meters that are not in memory happens on time, without any command, also after another start.
func TestWhatIsDueOfMetersThatAreNotInMemory(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	for i := range meters {
		if _, err := p.Submit(t.Context(), &add{account: meterID(i), id: "due", dueIn: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time after another start
		p.wantReadings(t, 4)
		p = p.again(t)
	}
	p.clock.Add(int64(59 * time.Minute))
	if err := p.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantReadings(t, 4)
	p.clock.Add(int64(2 * time.Minute))
	if err := p.ExpireDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if durable, _ := p.stream.Durable(); durable != 5*meters {
		t.Errorf("%d events are durable, want %d", durable, 5*meters)
	}
	p.wantReadings(t, 5)
}

// While meters come and go, everybody gets answers that add up.
func TestManyCallersAndFewMetersInMemory(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	const callers, each = 16, 100
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				id := number(caller) + "-" + number(i)
				result, err := p.Submit(t.Context(), &add{account: meterID(caller + i), id: id})
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				if reading, known := p.View(meterID(caller + i)); !known || reading <= result.Event.GetCreditLimitChanged().GetPreviousCreditLimit() {
					t.Errorf("meter %s reads %d after %v", meterID(caller+i), reading, result.Event)
				}
			}
		})
	}
	all.Wait()
	if events, err := p.Rebuild(t.Context()); err != nil || events != 3*meters+callers*each {
		t.Errorf("made again from %d events, %v", events, err)
	}
	want := map[string]int64{}
	for i := range 3 * meters {
		want[meterID(i)]++
	}
	for caller := range callers {
		for i := range each {
			want[meterID(caller+i)]++
		}
	}
	for range 2 {
		for id, reading := range want {
			if got, _ := p.View(id); got != reading {
				t.Errorf("meter %s reads %d, want %d", id, got, reading)
			}
		}
		p = p.again(t)
	}
}

// One meter that is read all the time, so that its state is always ahead of the disk, does not keep the checkpoints from reaching on.
func TestAHotMeterIsInTheCheckpoints(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	const readings = 2 * eventlog.RoundBound
	tickets := make([]engine.Ticket[*eventsv1.AccountEvent], readings)
	for i := range tickets {
		tickets[i] = p.Enqueue(t.Context(), &add{account: "hot", id: number(i)})
	}
	for i, ticket := range tickets {
		if _, err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == readings/2 {
			p.awaitCheckpoint(3*meters + 1)
		}
	}
	p.awaitCheckpoint(3*meters + readings - 10)
	if reading, _ := p.again(t).View("hot"); reading != readings {
		t.Errorf("it reads %d", reading)
	}
}

// Who looks at a meter while everything is made again from the log is never told that there is no such meter.
func TestAMeterIsKnownWhileAllAreMadeAgain(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	const many = 3000
	tickets := make([]engine.Ticket[*eventsv1.AccountEvent], many)
	for i := range tickets {
		tickets[i] = p.Enqueue(t.Context(), &add{account: "many-" + number(i), id: "1"})
	}
	for _, ticket := range tickets {
		if _, err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	looked, stop := make(chan int, 1), make(chan struct{})
	go func() {
		unknown := 0
		defer func() { looked <- unknown }()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, known := p.View("many-" + number(i%many)); !known {
				unknown++
			}
		}
	}()
	for range 5 {
		if _, err := p.Rebuild(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if unknown := <-looked; unknown > 0 {
		t.Errorf("%d looks at meters found none", unknown)
	}
}

// The engine steps down before the checkpoints have reached anything: what is not in memory stays known while it recovers.
func TestAMeterIsKnownWhileTheEngineRecovers(t *testing.T) {
	t.Parallel()
	first := startPlant(t)
	first.stop(t)
	rarely := few(t)
	rarely.Every = 1 << 40
	p := runKeepingPlant(t, first.stream, rarely)
	for i := range 3 * meters {
		if _, err := p.Submit(t.Context(), &add{account: meterID(i), id: number(i)}); err != nil {
			t.Fatal(err)
		}
	}
	other := runPlant(t, p.stream)
	if _, err := other.Submit(t.Context(), &add{account: meterID(0), id: "other"}); err != nil {
		t.Fatal(err)
	}
	other.stop(t)
	if _, err := p.Submit(t.Context(), &add{account: meterID(1), id: "fenced"}); err == nil {
		t.Fatal("the older writer was not fenced")
	}
	unknown := 0
	for recovered := false; !recovered; {
		for i := range meters {
			if _, seen := p.Published(meterID(i)); seen {
				continue
			}
			if _, _, stored := p.Stored(meterID(i)); !stored {
				if _, seen := p.Published(meterID(i)); !seen {
					unknown++
				}
			}
		}
		_, err := p.Submit(t.Context(), &add{account: meterID(1), id: "fenced"})
		recovered = err == nil
	}
	if unknown > 0 {
		t.Errorf("%d looks at meters found none", unknown)
	}
	p.wantReadingOf(t, meterID(0), 4)
	p = p.again(t)
	p.wantReadingOf(t, meterID(0), 4)
	p.wantReadingOf(t, meterID(1), 4)
}

// A start need not ask the log about each state: those before the mark are proven by it, those behind it when their event is read with the end of the log.
func TestStatesAreProvenByTheMarkAndTheEndOfTheLog(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	p = p.again(t) // with a mark behind all
	p.stop(t)
	rarely := p.checkpoints
	rarely.Every = 1 << 40
	p = runKeepingPlant(t, p.stream, rarely)
	const others = 3000 // so many that what is known of them is written, without a mark
	for i := range others {
		if _, err := p.Submit(t.Context(), &add{account: "other-" + number(i), id: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	killed := asKilled(t, rarely)
	p.stop(t)
	p = runKeepingPlant(t, p.stream, killed)
	if at := p.Residence().Checkpoint; at != 3*meters {
		t.Errorf("the mark is at %d", at)
	}
	for _, id := range []string{meterID(0), meterID(meters - 1), "other-" + number(0), "other-" + number(others/2)} {
		if _, trusted := p.Trusted(id); !trusted {
			t.Errorf("what is kept of %s is not trusted", id)
		}
	}
	p.wantReadings(t, 3)
}

// The process is killed after states that were ahead of the log were thrown away, and before all are written again.
func TestAStateAheadOfTheLogThatWasMadeAgainOutlivesAKill(t *testing.T) {
	t.Parallel()
	p := startKeepingPlant(t)
	p.stop(t)
	store, err := checkpoint.Open(p.checkpoints.Dir, "METERS", meterFold)
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := store.Get(meterID(0))
	if err != nil {
		t.Fatal(err)
	}
	state.Sequence += 100_000
	store.Put(meterID(0), state, 0)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	rarely := p.checkpoints
	rarely.Every, rarely.InMemory = 1<<40, 100
	p = runKeepingPlant(t, p.stream, rarely)
	const others = 3000 // so many that what is known of them is written
	for i := range others {
		if _, err := p.Submit(t.Context(), &add{account: "other-" + number(i), id: "1"}); err != nil {
			t.Fatal(err)
		}
		if known, err := p.Ask(t.Context(), meterID(0), func(*meter, time.Time) {}); err != nil || !known {
			t.Fatal(known, err)
		}
	}
	killed := asKilled(t, rarely)
	p.stop(t)
	p = runKeepingPlant(t, p.stream, killed)
	p.wantReadings(t, 3)
}

// asKilled returns the checkpoints as they would be if the process was killed now.
func asKilled(t *testing.T, checkpoints engine.Checkpoints) engine.Checkpoints {
	t.Helper()
	from := os.DirFS(checkpoints.Dir)
	checkpoints.Dir = t.TempDir()
	if err := os.CopyFS(checkpoints.Dir, from); err != nil {
		t.Fatal(err)
	}
	return checkpoints
}

func (p *plant) wantReadingOf(t *testing.T, id string, want int64) {
	t.Helper()
	if reading, _ := p.View(id); reading != want {
		t.Errorf("meter %s reads %d, want %d", id, reading, want)
	}
}
