package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// measurement is one line of the table: callers that do the same thing over and over, in turns.
type measurement struct {
	phase, what string
	callers     int
	rate        float64 // of an open loop, calls per second; 0: a closed one, where each caller waits for its answer
	target      *target
	operate     operation
	settle      func(context.Context, *target) error // after each turn. Optional
	work        func(ctx context.Context, c *caller) // what a caller does instead of a loop of operate. Optional

	latency    *hdrhistogram.Histogram
	operations int64
	errors     int64
	firstError string
	seconds    float64
	used       usage // by the server in the counted parts
	clientCPU  time.Duration
	rates      []float64 // of each turn
	workers    []*caller
}

// operation is one thing that a caller does.
type operation func(ctx context.Context, c *caller) error

// warmShare is how much of a turn is not counted: a part of it, at least and at most.
const (
	warmShare = 5
	warmLeast = 20 * time.Millisecond
	warmMost  = time.Second
)

// measure has measurements take turns and adds their results to the report.
func (r *run) measure(ctx context.Context, all ...*measurement) error {
	if err := r.takeTurns(ctx, all...); err != nil {
		return err
	}
	for _, m := range all {
		r.add(m.result())
	}
	return nil
}

// takeTurns has measurements take turns.
func (r *run) takeTurns(ctx context.Context, all ...*measurement) error {
	for _, m := range all {
		m.prepare(r)
	}
	for turn := range r.Turns {
		for _, m := range all {
			if err := m.turn(ctx, r, turn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *measurement) prepare(r *run) {
	r.prepared++
	m.latency = newHistogram()
	for i := range m.callers {
		m.workers = append(m.workers, newCaller(r, m, i))
	}
}

// turn runs all callers for a turn.
func (m *measurement) turn(ctx context.Context, r *run, number int) error {
	counted := r.Duration / time.Duration(r.Turns)
	warm := min(max(counted/warmShare, warmLeast), warmMost)
	began := time.Now()
	w := &window{from: began.Add(warm), until: began.Add(warm + counted)}
	if m.rate > 0 {
		w.every = time.Duration(float64(time.Second) / m.rate)
		w.first = began
	}
	var callers sync.WaitGroup
	for _, c := range m.workers {
		c.window = w
		callers.Go(func() {
			if m.work != nil {
				m.work(ctx, c)
				return
			}
			c.loop(ctx, m.operate)
		})
	}
	before, after, busy := m.watch(ctx, r, w, number)
	callers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.take(w, counted, before, after, busy)
	if m.settle != nil {
		return m.settle(ctx, m.target)
	}
	return nil
}

// watch reads what the server has used when the counted part begins and ends, and tells of progress meanwhile.
func (m *measurement) watch(ctx context.Context, r *run, w *window, number int) (before, after usage, busy time.Duration) {
	await(ctx, w.from)
	before, busy = usageOf(m.target.PID), ownCPU()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for ctx.Err() == nil && time.Now().Add(time.Second).Before(w.until) {
		select {
		case <-look.C:
			r.tell(false, "%s, %d callers, turn %d of %d: %.0f/s", m.what, m.callers, number+1, r.Turns, float64(w.counted())/time.Since(w.from).Seconds())
		case <-ctx.Done():
		}
	}
	await(ctx, w.until)
	return before, usageOf(m.target.PID), ownCPU() - busy
}

func await(ctx context.Context, until time.Time) {
	select {
	case <-time.After(time.Until(until)):
	case <-ctx.Done():
	}
}

// take adds a turn to the measurement.
func (m *measurement) take(w *window, counted time.Duration, before, after usage, busy time.Duration) {
	latency, errors := w.merged()
	m.latency.Merge(latency)
	m.operations += latency.TotalCount()
	m.seconds += counted.Seconds()
	m.rates = append(m.rates, float64(latency.TotalCount())/counted.Seconds())
	m.errors += errors
	if m.firstError == "" {
		m.firstError, _ = w.firstError.Load().(string)
	}
	m.used.cpu += after.cpu - before.cpu
	m.used.rss = max(m.used.rss, after.rss)
	m.clientCPU += busy
}

func (m *measurement) result() *Result {
	result := &Result{
		Phase: m.phase, What: m.what, Callers: m.callers, OfferedRate: m.rate, Seconds: m.seconds, Operations: m.operations, Errors: m.errors, FirstError: m.firstError,
		Rate: float64(m.operations) / m.seconds, TurnRates: m.rates, Latency: percentiles(m.latency),
		ClientCPUSeconds: m.clientCPU.Seconds(),
	}
	if m.target.PID != 0 {
		result.CPUSeconds, result.RSS = m.used.cpu.Seconds(), m.used.rss
	}
	return result
}

// shards are how many histograms the callers of a turn share, so that they do not wait for one another.
const shards = 16

// window is a turn's counted part, and what was counted in it.
type window struct {
	from, until time.Time
	first       time.Time     // of an open loop: when the first call was due …
	every       time.Duration // … and how long after it the next
	next        atomic.Int64  // the next call of an open loop

	parts      [shards]part
	errors     atomic.Int64
	firstError atomic.Value
}

// part is the calls of some of the callers.
type part struct {
	mu      sync.Mutex
	latency *hdrhistogram.Histogram
	_       [64]byte // apart from the next one in the processor's cache
}

// over says whether the turn has ended.
func (w *window) over() bool { return !time.Now().Before(w.until) }

// count takes note of a call.
func (w *window) count(worker int, started, ended time.Time, err error) {
	if ended.Before(w.from) || !ended.Before(w.until) {
		return
	}
	if err != nil {
		w.fail(err)
		return
	}
	p := &w.parts[worker%shards]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.latency == nil {
		p.latency = newHistogram()
	}
	record(p.latency, ended.Sub(started))
}

// fail takes note of an error.
func (w *window) fail(err error) {
	w.errors.Add(1)
	w.firstError.CompareAndSwap(nil, fmt.Sprint(err))
}

func (w *window) counted() (total int64) {
	for i := range w.parts {
		p := &w.parts[i]
		p.mu.Lock()
		if p.latency != nil {
			total += p.latency.TotalCount()
		}
		p.mu.Unlock()
	}
	return total
}

func (w *window) merged() (latency *hdrhistogram.Histogram, errors int64) {
	latency = newHistogram()
	for i := range w.parts {
		if p := &w.parts[i]; p.latency != nil {
			latency.Merge(p.latency)
		}
	}
	return latency, w.errors.Load()
}

// loop does something over and over until the turn has ended: when the last one was answered, or, in an open loop, when the next one is due.
func (c *caller) loop(ctx context.Context, operate operation) {
	w := c.window
	for ctx.Err() == nil && !w.over() {
		started := time.Now()
		if w.every > 0 {
			// From when it was due, not from when a caller was free for it: else a slow answer would hide how long those behind it waited.
			started = w.first.Add(time.Duration(w.next.Add(1)-1) * w.every)
			if !started.Before(w.until) {
				return
			}
			await(ctx, started)
		}
		err := operate(ctx, c)
		w.count(c.number, started, time.Now(), err)
	}
}

// maxLatency is the longest that is told apart.
const maxLatency = 10 * time.Minute

// newHistogram has microseconds, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency.Microseconds(), 3) }

func record(latency *hdrhistogram.Histogram, took time.Duration) {
	// The clamped value is within the bounds, so there is no error to tell of.
	_ = latency.RecordValue(max(min(took, maxLatency).Microseconds(), 1))
}

func percentiles(latency *hdrhistogram.Histogram) Percentiles {
	at := latency.ValueAtPercentilesSlice([]float64{50, 95, 99, 99.9})
	return Percentiles{P50: at[0], P95: at[1], P99: at[2], P999: at[3], Max: latency.Max()}
}
