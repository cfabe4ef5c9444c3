package console

import (
	"context"
	"sync"
	"time"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
)

const (
	// gaugeEvery is how often the servers are asked for how much they decided, and gaugeBound for how long they may take.
	gaugeEvery, gaugeBound = 2 * time.Second, 2 * time.Second
	// gaugeKept is how many answers are kept: ten minutes.
	gaugeKept = 300
)

// gauge watches how much is decided and how fast, and how far the followers are.
type gauge struct {
	router *router
	clock  func() time.Time

	mu      sync.Mutex
	answers []answer
	samples []sample
}

// sample is what was decided up to a time, since the servers began.
type sample struct {
	at      time.Time
	decided uint64
	latency []*adminv1.LatencyBucket
	lag     uint64
}

func newGauge(router *router, clock func() time.Time) *gauge {
	return &gauge{router: router, clock: clock}
}

// run asks until ctx ends.
func (g *gauge) run(ctx context.Context) {
	every := time.NewTicker(gaugeEvery)
	defer every.Stop()
	for {
		g.look(ctx)
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// look asks once.
func (g *gauge) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gaugeBound)
	defer cancel()
	answers := g.router.ask(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers = answers
	now := sample{at: g.clock()}
	told := false
	for _, one := range answers {
		for _, follower := range one.status.GetFollowers() {
			now.lag += follower.GetLag()
		}
		if decisions := one.status.GetDecisions(); decisions != nil {
			now.decided, now.latency, told = decisions.GetDecided(), decisions.GetLatency(), true
		}
	}
	if !told {
		return // a gap in the chart says so
	}
	if n := len(g.samples); n > 0 && now.decided < g.samples[n-1].decided {
		g.samples = nil // the server began anew, and so does its count
	}
	if len(g.samples) == gaugeKept {
		g.samples = append(g.samples[:0:0], g.samples[1:]...)
	}
	g.samples = append(g.samples, now)
}

// last returns what the servers said last.
func (g *gauge) last() []answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answers
}

// pace is how much was decided within a time, and how fast.
type pace struct {
	Name          string
	Known         bool
	PerSecond     float64
	Decided       uint64
	Median, Worst time.Duration // half, and 99 of 100, were answered within it; 0 where nothing was decided
}

// paces are how it goes now, and over the last minutes.
func (g *gauge) paces() []pace {
	g.mu.Lock()
	defer g.mu.Unlock()
	return []pace{
		paceOver("Now", g.samples, 2*gaugeEvery), paceOver("Last minute", g.samples, time.Minute), paceOver("Last 10 minutes", g.samples, 10*time.Minute),
	}
}

func paceOver(name string, samples []sample, over time.Duration) pace {
	if len(samples) < 2 {
		return pace{Name: name}
	}
	last := samples[len(samples)-1]
	first := samples[len(samples)-2]
	for i := len(samples) - 2; i >= 0 && last.at.Sub(samples[i].at) <= over; i-- {
		first = samples[i]
	}
	one := paceBetween(first, last)
	one.Name = name
	return one
}

// paceBetween is the pace from one sample to a later one.
func paceBetween(from, to sample) pace {
	one := pace{Known: true, Decided: to.decided - from.decided}
	if took := to.at.Sub(from.at).Seconds(); took > 0 {
		one.PerSecond = float64(one.Decided) / took
	}
	one.Median, one.Worst = quantile(from.latency, to.latency, 0.50), quantile(from.latency, to.latency, 0.99)
	return one
}

// quantile is the bound of the bucket that a share of what was decided between two counts is in or below.
func quantile(from, to []*adminv1.LatencyBucket, share float64) time.Duration {
	var all uint64
	between := make([]uint64, len(to))
	for i, bucket := range to {
		between[i] = bucket.GetDecided()
		if i < len(from) {
			between[i] -= from[i].GetDecided()
		}
		all += between[i]
	}
	var below uint64
	for i, n := range between {
		below += n
		if n > 0 && float64(below) >= share*float64(all) {
			return to[i].GetUpTo().AsDuration()
		}
	}
	return 0
}

// gaugeSeries is what the charts of Live are drawn from. Rates are decisions a second, times milliseconds.
type gaugeSeries struct {
	At     []int64    `json:"at"`
	Rate   []float64  `json:"rate"`
	Median []*float64 `json:"median"`
	Worst  []*float64 `json:"worst"`
}

func (g *gauge) series() *gaugeSeries {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &gaugeSeries{At: []int64{}, Rate: []float64{}, Median: []*float64{}, Worst: []*float64{}}
	for i := 1; i < len(g.samples); i++ {
		one := paceBetween(g.samples[i-1], g.samples[i])
		s.At, s.Rate = append(s.At, g.samples[i].at.UnixMilli()), append(s.Rate, one.PerSecond)
		s.Median, s.Worst = append(s.Median, milliseconds(one.Median)), append(s.Worst, milliseconds(one.Worst))
	}
	return s
}

// milliseconds is a duration for a chart; nil, a gap, where there is none.
func milliseconds(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}
