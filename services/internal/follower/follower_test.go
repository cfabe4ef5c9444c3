package follower_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardlog/cardlog/services/internal/embeddednats"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/follower"
)

// waitBound is how long a test waits for something that should happen at once.
const waitBound = 30 * time.Second

const streamName = "LETTERS"

// post is a stream of letters, each with the number of its sequence in it.
type post struct {
	t    *testing.T
	log  *eventlog.Log
	sent *eventlog.Stream
	last uint64
}

// newPost starts a NATS server; the stream is made by open.
func newPost(t *testing.T) *post {
	t.Helper()
	server, err := embeddednats.Start(embeddednats.Options{StoreDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	log, err := server.OpenLog(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &post{t: t, log: log}
}

func (p *post) open() *post {
	p.t.Helper()
	stream, err := p.log.OpenStream(p.t.Context(), eventlog.StreamSpec{Name: streamName, Subjects: "letters.*"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.sent = stream
	return p
}

// send appends a number of letters.
func (p *post) send(count int) {
	p.t.Helper()
	for range count {
		p.last++
		record := eventlog.Record{Subject: "letters.alice", Data: []byte(strconv.FormatUint(p.last, 10))}
		if err := p.sent.Append(p.t.Context(), p.last-1, []eventlog.Record{record}); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *post) remote() follower.Upstream { return follower.Remote(p.log, streamName) }

// number reads a letter.
func number(m eventlog.Message) (uint64, error) {
	n, err := strconv.ParseUint(string(m.Data), 10, 64)
	if err == nil && n != m.Sequence {
		err = fmt.Errorf("letter %d came as %d", n, m.Sequence)
	}
	return n, err
}

// sums is a view: how many letters there were, and what their numbers come to.
type sums struct {
	mu           sync.Mutex
	count, total uint64
}

func newSums() *sums { return &sums{} }

func fold(view *sums, m eventlog.Message) error {
	n, err := number(m)
	view.mu.Lock()
	defer view.mu.Unlock()
	view.count++
	view.total += n
	return err
}

func (s *sums) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d letters, %d", s.count, s.total)
}

// sumsThrough is what the sums are after so many letters.
func sumsThrough(last uint64) string { return fmt.Sprintf("%d letters, %d", last, last*(last+1)/2) }

// running is a follower at work.
type running struct {
	*follower.Follower[*sums]
	t       *testing.T
	serving atomic.Int32 // 0: nothing was said, 1: it serves, 2: it does not
	ended   chan error
	stop    func()
}

// follow runs a follower until the test ends.
func (p *post) follow(options follower.Options[*sums]) *running {
	p.t.Helper()
	r := &running{t: p.t, ended: make(chan error, 1)}
	options.Name, options.Upstream, options.Logger = "reader", p.remote(), slog.New(slog.DiscardHandler)
	options.InFlight = max(options.InFlight, 8)
	options.OnServing = func(serving bool) {
		if serving {
			r.serving.Store(1)
		} else {
			r.serving.Store(2)
		}
	}
	r.Follower = follower.New(options)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.ended <- r.Run(ctx) }()
	stopped := sync.OnceFunc(func() {
		cancel()
		if err := <-r.ended; err != nil {
			p.t.Errorf("the follower ended with %v", err)
		}
	})
	r.stop = stopped
	p.t.Cleanup(func() {
		select {
		case err := <-r.ended: // it was expected to end by itself
			r.ended <- err
		default:
			stopped()
		}
	})
	return r
}

// reach waits until everything up to a sequence is applied.
func (r *running) reach(sequence uint64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), waitBound)
	defer cancel()
	if err := r.Await(ctx, func() bool { return r.Position() >= sequence }); err != nil {
		r.t.Fatalf("it is at %d of %d: %+v", r.Position(), sequence, r.Status(r.t.Context()))
	}
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(waitBound); !holds(); <-look.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// diary notes what was handled.
type diary struct {
	mu      sync.Mutex
	handled []uint64
}

func (d *diary) note(m eventlog.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handled = append(d.handled, m.Sequence)
}

// want fails the test unless the letters between two sequences were handled, in order and each once.
func (d *diary) want(t *testing.T, from, through uint64) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, sequence := range d.handled {
		if sequence != from+uint64(i) {
			t.Fatalf("handled was %v, from %d to %d was due", d.handled, from, through)
		}
	}
	if uint64(len(d.handled)) != through+1-from {
		t.Errorf("%d letters were handled, from %d to %d were due", len(d.handled), from, through)
	}
}

func TestEverythingIsHandledInOrderAndNotMoreAtOnceThanAllowed(t *testing.T) {
	t.Parallel()
	const inFlight, letters = 16, 500
	p := newPost(t).open()
	p.send(letters / 2)
	var diary diary
	var begun atomic.Int64
	gate := make(chan struct{})
	r := p.follow(follower.Options[*sums]{InFlight: inFlight, NewView: newSums, Fold: fold,
		Handle: func(_ context.Context, m eventlog.Message) (follower.Settle, error) {
			diary.note(m)
			begun.Add(1)
			return func(ctx context.Context) error {
				select {
				case <-gate:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}, nil
		}})
	await(t, "as many letters are under way as may be", func() bool { return begun.Load() == inFlight })
	p.send(letters / 2)
	if now := begun.Load(); now != inFlight || r.Position() != 0 {
		t.Errorf("%d letters are under way, %d may be; applied are %d", now, inFlight, r.Position())
	}
	gate <- struct{}{} // for one letter
	r.reach(1)
	select {
	case <-r.Ready():
		t.Error("it is ready before it has caught up")
	default:
	}
	close(gate)
	r.reach(letters)
	<-r.Ready()
	diary.want(t, 1, letters)
	if got := r.View().String(); got != sumsThrough(letters) {
		t.Errorf("the view has %s", got)
	}
}

func TestAfterARestartItGoesOnWhereItWasWithTheWholeView(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	p.send(100)
	var diary diary
	options := follower.Options[*sums]{NewView: newSums, Fold: fold, Handle: func(_ context.Context, m eventlog.Message) (follower.Settle, error) {
		diary.note(m)
		return nil, nil
	}}
	r := p.follow(options)
	r.reach(100)
	r.stop()
	p.send(50)
	again := p.follow(options)
	again.reach(150)
	diary.want(t, 1, 150)
	if got := again.View().String(); got != sumsThrough(150) {
		t.Errorf("the view has %s", got)
	}
	if status := again.Status(t.Context()); status.Follower != "reader" || status.Stream != streamName || status.Position != 150 || status.Last != 150 || !status.Following() {
		t.Errorf("the status is %+v", status)
	}
}

func TestPassingFaultsAreTriedAgain(t *testing.T) {
	t.Parallel()
	fault := errors.New("the ink has run out")
	for name, faulty := range map[string]func(tries *atomic.Int64, m eventlog.Message) (follower.Settle, error){
		"when it is begun": func(tries *atomic.Int64, m eventlog.Message) (follower.Settle, error) {
			if m.Sequence == 5 && tries.Add(1) < 4 {
				return nil, fault
			}
			return nil, nil
		},
		"when it should be durable": func(tries *atomic.Int64, m eventlog.Message) (follower.Settle, error) {
			if m.Sequence == 5 && tries.Add(1) < 4 {
				return func(context.Context) error { return fault }, nil
			}
			return func(context.Context) error { return nil }, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t).open()
			p.send(20)
			var tries atomic.Int64
			r := p.follow(follower.Options[*sums]{NewView: newSums, Fold: fold, Handle: func(_ context.Context, m eventlog.Message) (follower.Settle, error) {
				return faulty(&tries, m)
			}})
			await(t, "the fault is shown", func() bool {
				status := r.Status(t.Context())
				return status.State == follower.Retrying && errors.Is(status.Problem, fault) && status.Position == 4 && status.Last == 20
			})
			r.reach(20)
			if tries.Load() != 4 {
				t.Errorf("it was tried %d times", tries.Load())
			}
			if got := r.View().String(); got != sumsThrough(20) {
				t.Errorf("the view has %s: it took letters twice", got)
			}
			if status := r.Status(t.Context()); !status.Following() || status.Problem != nil {
				t.Errorf("afterwards it is %+v", status)
			}
		})
	}
}

// What was begun after a fault is waited for before anything is begun again.
func TestNothingIsBegunAgainWhileItIsUnderWay(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	p.send(4)
	var underWay, most atomic.Int64
	var failed atomic.Bool
	slow := make(chan struct{})
	r := p.follow(follower.Options[*sums]{NewView: newSums, Fold: fold, Handle: func(_ context.Context, m eventlog.Message) (follower.Settle, error) {
		if m.Sequence == 1 {
			return func(context.Context) error {
				if failed.Swap(true) {
					return nil
				}
				return errors.New("once")
			}, nil
		}
		if m.Sequence == 2 {
			most.Store(max(most.Load(), underWay.Add(1)))
			return func(context.Context) error {
				<-slow
				underWay.Add(-1)
				return nil
			}, nil
		}
		return nil, nil
	}})
	await(t, "the first letter has failed and the second is under way", func() bool { return failed.Load() && underWay.Load() == 1 })
	close(slow)
	r.reach(4)
	if most.Load() != 1 {
		t.Errorf("the second letter was under way %d times at once", most.Load())
	}
}

func TestAtALetterThatCannotBeReadItStopsLoudly(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]follower.Options[*sums]{
		"by its view": {NewView: newSums, Fold: fold},
		"by what it does": {Handle: func(_ context.Context, m eventlog.Message) (follower.Settle, error) {
			if _, err := number(m); err != nil {
				return nil, follower.Unreadable(streamName, m.Sequence, err)
			}
			return nil, nil
		}},
		"by what it waits for": {Handle: func(_ context.Context, m eventlog.Message) (follower.Settle, error) {
			return func(context.Context) error {
				if _, err := number(m); err != nil {
					return follower.Unreadable(streamName, m.Sequence, err)
				}
				return nil
			}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPost(t).open()
			p.send(3)
			r := p.follow(options)
			r.reach(3)
			await(t, "it serves", func() bool { return r.serving.Load() == 1 })
			if err := p.sent.Append(t.Context(), 3, []eventlog.Record{{Subject: "letters.alice", Data: []byte("a blot")}}); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-r.ended:
				r.ended <- err
				if !errors.Is(err, follower.ErrUnreadable) || !errors.Is(err, strconv.ErrSyntax) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(waitBound):
				t.Fatal("it goes on")
			}
			if status := r.Status(t.Context()); status.State != follower.Stopped || status.Position != 3 || status.Last != 4 || !errors.Is(status.Problem, follower.ErrUnreadable) {
				t.Errorf("the status is %+v", status)
			}
			if r.serving.Load() != 2 {
				t.Error("it does not say that it has stopped serving")
			}
		})
	}
}

func TestAViewIsMadeAgainWhileLettersCome(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	r := p.follow(follower.Options[*sums]{NewView: newSums, Fold: fold})
	p.send(1)
	r.reach(1)
	for range 30 {
		p.send(10)
		before := r.View()
		events, err := r.Rebuild(t.Context())
		if err != nil || events > p.last {
			t.Fatalf("made again from %d events of %d, %v", events, p.last, err)
		}
		if r.View() == before {
			t.Fatal("the view is the old one")
		}
	}
	r.reach(p.last)
	if got := r.View().String(); got != sumsThrough(p.last) {
		t.Errorf("the view has %s, want %s", got, sumsThrough(p.last))
	}
}

func TestAStreamThatComesLaterIsFollowed(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	r := p.follow(follower.Options[*sums]{NewView: newSums, Fold: fold})
	select {
	case <-r.Ready(): // nothing can have been missed
	case <-time.After(waitBound):
		t.Fatal("it waits for a stream that nobody makes")
	}
	if _, err := r.Rebuild(t.Context()); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("made again from nothing: %v", err)
	}
	if there, err := r.AwaitEnd(t.Context(), waitBound, func() bool { return false }); !there || err != nil {
		t.Errorf("where there is no stream, its end is waited for: %v, %v", there, err)
	}
	p.open().send(3)
	if there, err := r.AwaitEnd(t.Context(), waitBound, func() bool { return false }); !there || err != nil || r.Position() < 3 {
		t.Errorf("waited until %d of 3: %v, %v", r.Position(), there, err)
	}
	if got := r.View().String(); got != sumsThrough(3) {
		t.Errorf("the view has %s", got)
	}
}

func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	p.send(1)
	gate := make(chan struct{})
	r := p.follow(follower.Options[*sums]{Handle: func(context.Context, eventlog.Message) (follower.Settle, error) {
		return func(context.Context) error {
			<-gate
			return nil
		}, nil
	}})
	defer close(gate)
	there := func() bool { return r.Position() == 1 }
	if caughtUp, err := r.CatchUp(t.Context(), time.Millisecond, there); caughtUp || err != nil {
		t.Errorf("it has caught up with what is under way: %v, %v", caughtUp, err)
	}
	if caughtUp, err := r.AwaitEnd(t.Context(), 10*time.Millisecond, func() bool { return false }); caughtUp || err != nil {
		t.Errorf("it has come to the end with a letter under way: %v, %v", caughtUp, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.CatchUp(gone, time.Minute, there); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone is waited for: %v", err)
	}
}

func TestWhereToGoOnIsAskedAfterTheCheck(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	p.send(3)
	var from atomic.Uint64
	r := p.follow(follower.Options[*sums]{
		Resume: func(_ context.Context, position uint64) (uint64, error) {
			from.Store(position + 1) // as told
			return 2, nil            // and as asked for
		},
		Check: func(_ context.Context, end uint64) error {
			if end != 3 {
				return fmt.Errorf("the end is %d", end)
			}
			return nil
		},
		NewView: newSums, Fold: fold,
	})
	r.reach(3)
	if from.Load() != 1 {
		t.Errorf("it was told to go on with %d", from.Load())
	}
	if got := r.View().String(); got != sumsThrough(3) {
		t.Errorf("the view has %s", got)
	}
}

func TestACheckThatFailsForGoodStopsIt(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	p.send(3)
	r := p.follow(follower.Options[*sums]{Check: func(context.Context, uint64) error { return follower.ErrUnreadable }})
	select {
	case err := <-r.ended:
		r.ended <- err
		if !errors.Is(err, follower.ErrUnreadable) || r.Position() != 0 {
			t.Errorf("it ended with %v at %d", err, r.Position())
		}
	case <-time.After(waitBound):
		t.Fatal("it goes on")
	}
}

func TestFindAsksUntilThereIsSomethingToFollow(t *testing.T) {
	t.Parallel()
	p := newPost(t)
	asked, absent := 0, 0
	found := follower.Find(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) ([]follower.Upstream, error) {
		switch asked++; asked {
		case 1:
			return nil, errors.New("NATS is away")
		case 2:
			return nil, eventlog.ErrNotFound
		}
		return []follower.Upstream{p.remote()}, nil
	}, func() { absent++ })
	if len(found) != 1 || found[0].Name != streamName || asked != 3 || absent != 1 {
		t.Errorf("found %v after asking %d times, absent %d times", found, asked, absent)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if found := follower.Find(gone, slog.New(slog.DiscardHandler), func(context.Context) ([]follower.Upstream, error) { return nil, eventlog.ErrNotFound }, func() {}); found != nil {
		t.Errorf("found %v for a caller that is gone", found)
	}
}

func TestALocalUpstreamTellsWhatIsNewest(t *testing.T) {
	t.Parallel()
	p := newPost(t).open()
	ready := make(chan struct{})
	f := follower.New(follower.Options[*sums]{Name: "reader", InFlight: 8, Logger: slog.New(slog.DiscardHandler), NewView: newSums, Fold: fold,
		Upstream: follower.Local(p.sent, ready, func(account string) uint64 { return uint64(len(account)) })})
	if newest := f.Newest("alice"); newest != 5 {
		t.Errorf("the newest is %d", newest)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	p.send(2)
	if f.Stream() != nil {
		t.Error("it follows before it can rely on what is newest")
	}
	close(ready)
	if err := f.Await(ctx, func() bool { return f.Position() == 2 }); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	remote := follower.New(follower.Options[*sums]{Name: "reader", Upstream: p.remote()})
	if newest := remote.Newest("alice"); newest != 0 {
		t.Errorf("what another process wrote last is known: %d", newest)
	}
}
