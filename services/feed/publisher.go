package feed

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

const (
	// inFlightBound is how many events of one source may be on their way into EVENTS.
	inFlightBound = 2048
	// undurableBound is how many messages of EVENTS may be written and not durable: so many are read to find the positions again.
	undurableBound = 4 * eventlog.RoundBound
)

// publisher is the one writer of EVENTS. What it knows of the stream holds for an epoch: from an opening to the first fault.
type publisher struct {
	// open opens EVENTS.
	open func(ctx context.Context) (*eventlog.Stream, error)

	mu      sync.Mutex
	current *epoch
}

// epoch is one run of the publisher.
type epoch struct {
	stream *eventlog.Stream
	start  uint64 // the sequence of EVENTS that it began after
	queue  chan queued
	ended  context.Context // ends with the epoch
	end    context.CancelCauseFunc

	running sync.WaitGroup // what writes and syncs

	mu      sync.Mutex
	queued  positions     // up to what each source was put into the queue
	written positions     // up to what each source is in EVENTS
	durable positions     // up to what each source is durable in EVENTS
	last    uint64        // the last sequence of EVENTS that is written
	synced  uint64        // the last sequence of EVENTS that is durable
	moved   chan struct{} // closed when one of them grows
}

// queued is an event on its way.
type queued struct {
	source   string
	sequence uint64
	record   eventlog.Record
}

// join returns the epoch that runs, or begins one.
func (p *publisher) join(ctx context.Context) (*epoch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil && p.current.ended.Err() == nil {
		return p.current, nil
	}
	if p.current != nil {
		p.current.running.Wait() // two writers at a time would let events pass each other, and one of them be taken for published that was refused
	}
	stream, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Drain(ctx); err != nil {
		return nil, err
	}
	// The last durable round, and all that may not be.
	last, found, err := findPositions(ctx, stream, undurableBound+2*eventlog.RoundBound)
	if err != nil {
		return nil, err
	}
	if err := stream.Settle(last); err != nil {
		return nil, err
	}
	e := &epoch{stream: stream, start: last, last: last, synced: last, queue: make(chan queued, eventlog.RoundBound),
		queued: found, written: maps.Clone(found), durable: maps.Clone(found), moved: make(chan struct{})}
	e.ended, e.end = context.WithCancelCause(context.WithoutCancel(ctx))
	p.current = e
	e.running.Go(e.write)
	e.running.Go(e.sync)
	return e, nil
}

// giveUp ends the epoch that runs, so that the next one finds everything again in EVENTS.
func (p *publisher) giveUp(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.end(cause)
	}
}

// adopt notes that a source is known to be at least at a position, and returns where it is.
func (e *epoch) adopt(source string, position uint64) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, known := range []positions{e.queued, e.written, e.durable} {
		known[source] = max(known[source], position)
	}
	return e.queued[source]
}

// put puts an event into the queue. It waits while that is full.
func (e *epoch) put(ctx context.Context, q queued) error {
	select {
	case e.queue <- q:
	case <-e.ended.Done():
		return e.fault()
	case <-ctx.Done():
		return ctx.Err()
	}
	e.change(func() { e.queued[q.source] = max(e.queued[q.source], q.sequence) })
	return nil
}

// fault says why the epoch ended.
func (e *epoch) fault() error { return fmt.Errorf("publishing stopped: %w", context.Cause(e.ended)) }

// write appends what is in the queue, a round at a time.
func (e *epoch) write() {
	for {
		if e.await(e.ended, func() bool { return e.last-e.synced < undurableBound-eventlog.RoundBound }) != nil {
			return
		}
		round := e.next()
		if len(round) == 0 {
			return
		}
		records := make([]eventlog.Record, len(round))
		for i, q := range round {
			records[i] = q.record
		}
		e.mu.Lock()
		before, last := e.written.header(e.start), e.last
		e.mu.Unlock()
		records[0].Header = records[0].Header.Add(positionsHeader, before)
		if err := e.stream.Write(context.WithoutCancel(e.ended), last, records); err != nil {
			e.end(err)
			return
		}
		e.change(func() {
			e.last += uint64(len(round))
			for _, q := range round {
				e.written[q.source] = q.sequence
			}
		})
	}
}

// next takes what waits in the queue, at least one event; nothing when the epoch has ended.
func (e *epoch) next() []queued {
	var round []queued
	select {
	case q := <-e.queue:
		round = append(round, q)
	case <-e.ended.Done():
		return nil
	}
	for len(round) < eventlog.RoundBound {
		select {
		case q := <-e.queue:
			round = append(round, q)
		default:
			return round
		}
	}
	return round
}

// sync makes durable what is written, again and again: it never adds more than one wait at a time to those that the barrier serves.
func (e *epoch) sync() {
	for e.await(e.ended, func() bool { return e.last > e.synced }) == nil {
		e.mu.Lock()
		last, written := e.last, maps.Clone(e.written)
		e.mu.Unlock()
		if err := e.stream.Commit(last); err != nil {
			e.end(err)
			return
		}
		e.change(func() { e.synced, e.durable = last, written })
	}
}

// awaitDurable returns when a source's event is durable in EVENTS.
func (e *epoch) awaitDurable(ctx context.Context, source string, sequence uint64) error {
	return e.await(ctx, func() bool { return e.durable[source] >= sequence })
}

// awaitQueued returns when a source's event is in EVENTS or on its way there.
func (e *epoch) awaitQueued(ctx context.Context, source string, sequence uint64) error {
	return e.await(ctx, func() bool { return e.queued[source] >= sequence })
}

func (e *epoch) await(ctx context.Context, there func() bool) error {
	for {
		e.mu.Lock()
		arrived, moved := there(), e.moved
		e.mu.Unlock()
		if arrived {
			return nil
		}
		select {
		case <-moved:
		case <-e.ended.Done():
			return e.fault()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *epoch) change(how func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	how()
	close(e.moved)
	e.moved = make(chan struct{})
}
