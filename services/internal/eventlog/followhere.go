package eventlog

import (
	"context"
	"sync"
	"time"
)

// notedEvery is how often JetStream is told the position of a consumer whose stream this process writes. After a crash what was followed since comes again.
const notedEvery = time.Second

// handedAtOnce is how many messages are taken from those kept before they are handed on.
const handedAtOnce = 128

// noted is what JetStream was told of a consumer's position, and what it is to be told.
type noted struct {
	telling      sync.Mutex // held while JetStream is told
	mu           sync.Mutex
	acknowledged uint64
	told         uint64
	planned      *time.Timer // nil while nothing is planned
}

// followHere follows a stream that this process writes: it takes what became durable from the writer's hands, and reads from the log only what is not kept any more.
func (c *Consumer) followHere(ctx context.Context, after uint64, each func(Message) error) error {
	if err := c.startHere(ctx, after); err != nil {
		return err
	}
	next := after + 1
	hand := func(m Message) error {
		if err := c.awaitRoom(ctx, m.Sequence); err != nil {
			return err
		}
		next = m.Sequence + 1
		return each(m)
	}
	room := make([]Message, 0, handedAtOnce)
	for {
		batch, durable, moved := c.stream.newest(next, room)
		for i := range batch {
			if err := hand(batch[i]); err != nil {
				return err
			}
		}
		clear(batch)
		switch {
		case len(batch) > 0:
		case next <= durable:
			if err := c.stream.Read(ctx, Range{After: next - 1, Through: min(durable, next-1+readBatch)}, hand); err != nil {
				return err
			}
		default:
			select {
			case <-moved:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// startHere puts the position to where following begins.
func (c *Consumer) startHere(ctx context.Context, after uint64) error {
	n := &c.noted
	n.telling.Lock()
	defer n.telling.Unlock()
	n.mu.Lock()
	n.acknowledged, n.told = after, after
	n.mu.Unlock()
	return c.reset(ctx, after)
}

// awaitRoom waits until a message can be handed out.
func (c *Consumer) awaitRoom(ctx context.Context, sequence uint64) error {
	for {
		c.noted.mu.Lock()
		acknowledged := c.noted.acknowledged
		c.noted.mu.Unlock()
		if sequence <= acknowledged+c.inFlight {
			return nil
		}
		select {
		case <-c.acked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ackHere takes note of an acknowledgement; JetStream is told soon.
func (c *Consumer) ackHere(sequence uint64) {
	n := &c.noted
	n.mu.Lock()
	defer n.mu.Unlock()
	if sequence <= n.acknowledged {
		return
	}
	n.acknowledged = sequence
	select {
	case c.acked <- struct{}{}:
	default:
	}
	if n.planned == nil {
		n.planned = time.AfterFunc(notedEvery, c.tell)
	}
}

// tell tells JetStream the position. Where that fails, a later one makes it good.
func (c *Consumer) tell() {
	n := &c.noted
	n.telling.Lock()
	defer n.telling.Unlock()
	n.mu.Lock()
	n.planned = nil
	acknowledged, told := n.acknowledged, n.told
	n.mu.Unlock()
	if acknowledged == told || c.reset(context.Background(), acknowledged) != nil {
		return
	}
	n.mu.Lock()
	n.told = acknowledged
	n.mu.Unlock()
}
