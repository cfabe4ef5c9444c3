package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ackWait is when JetStream would send a message again by itself. It is long, because who follows resets its consumer when something went wrong: a message that is
// sent again among newer ones would break the order.
const ackWait = time.Hour

// Consumer is a named durable consumer of a stream: how far somebody is who follows it. JetStream keeps its position.
type Consumer struct {
	stream   *Stream
	name     string
	handle   jetstream.Consumer
	inFlight uint64

	mu        sync.Mutex
	delivered []delivery // not acknowledged yet, in order

	// Of one whose stream this process writes.
	acked chan struct{} // has an element when acknowledged has grown
	noted noted
}

// delivery is a message that was handed out.
type delivery struct {
	sequence uint64
	ackTo    string
}

// OpenConsumer opens a consumer, and creates it at the beginning of the stream where it does not exist. It hands out at most inFlight messages beyond the last one acknowledged.
func (s *Stream) OpenConsumer(ctx context.Context, name string, inFlight int) (*Consumer, error) {
	handle, err := s.handle.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       name,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckAllPolicy, // in order: the last one stands for those before it
		AckWait:       ackWait,
		MaxAckPending: inFlight,
		ReplayPolicy:  jetstream.ReplayInstantPolicy,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: consumer %s of %s: %w", ErrUnreachable, name, s.name, err)
	}
	return &Consumer{stream: s, name: name, handle: handle, inFlight: uint64(inFlight), acked: make(chan struct{}, 1)}, nil
}

// Position returns the sequence up to which everything was acknowledged. When it was followed from an earlier point since, it is a position from before that or the
// earlier point: JetStream 2.15 may read its state from a file that is not written yet.
func (c *Consumer) Position(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := c.handle.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("%w: consumer %s of %s: %w", ErrUnreachable, c.name, c.stream.name, err)
	}
	return info.AckFloor.Stream, nil
}

// Follow calls each with every durable message after a sequence, in order and without a gap, and goes on as more are appended. It returns when ctx ends or each fails;
// any other error is ErrUnreachable or a loss, and following can be tried again. Where this process is the stream's writer, it never shows what is not behind the barrier.
func (c *Consumer) Follow(ctx context.Context, after uint64, each func(Message) error) error {
	if c.stream.written {
		return c.followHere(ctx, after, each)
	}
	return c.followThere(ctx, after, each)
}

// followThere follows a stream that another process writes.
//
// It asks for messages itself and not with the client's iterator, which gives up its subscription some time after it was stopped: until then the server hands what a
// reset consumer has to the old one, where nobody takes it, and the new one waits for the redelivery.
func (c *Consumer) followThere(ctx context.Context, after uint64, each func(Message) error) error {
	reads := c.stream.log.reads
	inbox := reads.NewInbox()
	incoming, err := reads.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("%w: follow %s: %w", ErrUnreachable, c.stream.name, err)
	}
	defer func() { _ = incoming.Unsubscribe() }() // over the connection that the next reset takes, so the server knows of it first
	if err := c.reset(ctx, after); err != nil {
		return err
	}
	asked := 0 // messages that were asked for and did not come yet
	for next := after + 1; ; {
		if asked <= readBatch/2 {
			if err := reads.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.stream.name+"."+c.name, inbox, pullBody); err != nil {
				return fmt.Errorf("%w: follow %s: %w", ErrUnreachable, c.stream.name, err)
			}
			asked += readBatch
		}
		message, left, err := c.receive(ctx, incoming)
		if err != nil {
			return err
		}
		if message == nil {
			asked -= left
			continue
		}
		asked--
		m, err := c.take(message)
		if err != nil {
			return err
		}
		if m.Sequence != next {
			return fmt.Errorf("%w: follow %s: %d came where %d was due", ErrUnreachable, c.stream.name, m.Sequence, next)
		}
		if err := each(m); err != nil {
			return err
		}
		next++
	}
}

// How a consumer is asked for messages. The server tells every heartbeat that it still has the request, so that silence is a fault.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 5 * time.Second
)

var pullBody = fmt.Appendf(nil, `{"batch":%d,"expires":%d,"idle_heartbeat":%d}`, readBatch, pullExpires, pullHeartbeat)

// receive returns the next message; or none, with how many of those asked for will not come.
func (c *Consumer) receive(ctx context.Context, incoming *nats.Subscription) (message *nats.Msg, left int, err error) {
	waiting, cancel := context.WithTimeout(ctx, 2*pullHeartbeat+time.Second)
	defer cancel()
	message, err = incoming.NextMsgWithContext(waiting)
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: follow %s: %w", ErrUnreachable, c.stream.name, err)
	}
	switch status := message.Header.Get("Status"); {
	case status == "":
		return message, 0, nil
	case status == "100": // a heartbeat
		return nil, 0, nil
	case message.Header.Get("Nats-Pending-Messages") != "": // the request has expired: more is asked for
		left, err = strconv.Atoi(message.Header.Get("Nats-Pending-Messages"))
		return nil, left, err
	default:
		return nil, 0, fmt.Errorf("%w: follow %s: %s %s", ErrUnreachable, c.stream.name, status, message.Header.Get("Description"))
	}
}

// reset makes the consumer hand out what comes after a sequence, whatever it handed out before.
func (c *Consumer) reset(ctx context.Context, after uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := c.stream.log.js.ResetConsumerToSequence(ctx, c.stream.name, c.name, after+1); err != nil {
		return fmt.Errorf("%w: reset consumer %s of %s: %w", ErrUnreachable, c.name, c.stream.name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered = c.delivered[:0]
	return nil
}

// take notes that a message was handed out.
func (c *Consumer) take(message *nats.Msg) (Message, error) {
	told, err := message.Metadata()
	if err != nil {
		return Message{}, fmt.Errorf("%w: follow %s: %w", ErrUnreachable, c.stream.name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered = append(c.delivered, delivery{sequence: told.Sequence.Stream, ackTo: message.Reply})
	return Message{Subject: message.Subject, Sequence: told.Sequence.Stream, Header: message.Header, Data: message.Data}, nil
}

var ackBody = []byte("+ACK")

// Ack acknowledges everything up to a sequence that was handed out. An ack that is lost is made good by a later one.
func (c *Consumer) Ack(sequence uint64) error {
	if c.stream.written {
		c.ackHere(sequence)
		return nil
	}
	c.mu.Lock()
	done := 0
	for done < len(c.delivered) && c.delivered[done].sequence <= sequence {
		done++
	}
	ackTo := ""
	if done > 0 {
		ackTo = c.delivered[done-1].ackTo
		c.delivered = append(c.delivered[:0], c.delivered[done:]...)
	}
	c.mu.Unlock()
	if ackTo == "" {
		return nil
	}
	if err := c.stream.log.reads.Publish(ackTo, ackBody); err != nil {
		return fmt.Errorf("%w: acknowledge %s: %w", ErrUnreachable, c.stream.name, err)
	}
	return nil
}

// Start says where FollowFiltered begins. The first field that is not zero counts; with none of them, with what comes next.
type Start struct {
	// Sequence to begin with.
	Sequence uint64
	// Time to begin at.
	Time time.Time
	// Last is with how many of the stream's last messages to begin.
	Last uint64
}

// FollowFiltered calls each with the messages of a stream whose subject matches a filter, in order, from a start, and goes on as more come, until ctx ends or each fails.
// It returns ErrNotFound when there is no such stream.
func (l *Log) FollowFiltered(ctx context.Context, stream string, from Start, filter string, each func(Message) error) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, DeliverPolicy: jetstream.DeliverNewPolicy}
	switch {
	case from.Sequence != 0:
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Sequence
	case !from.Time.IsZero():
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &from.Time
	case from.Last != 0:
		read, err := l.ReadStream(ctx, stream)
		if err != nil {
			return err
		}
		last, err := read.Last(ctx)
		if err != nil {
			return err
		}
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, 1+last-min(last, from.Last)
	}
	consumer, err := l.js.OrderedConsumer(ctx, stream, config)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: there is no stream %s", ErrNotFound, stream)
	}
	if err != nil {
		return fmt.Errorf("%w: follow %s: %w", ErrUnreachable, stream, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("%w: follow %s: %w", ErrUnreachable, stream, err)
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, jetstream.ErrNoHeartbeat) || errors.Is(err, nats.ErrConnectionReconnecting) {
			continue // the ordered consumer makes itself anew when the server is back
		}
		if err != nil {
			return fmt.Errorf("%w: follow %s: %w", ErrUnreachable, stream, err)
		}
		told, err := message.Metadata()
		if err != nil {
			return fmt.Errorf("%w: follow %s: %w", ErrUnreachable, stream, err)
		}
		if err := each(Message{Subject: message.Subject(), Sequence: told.Sequence.Stream, Header: message.Headers(), Data: message.Data()}); err != nil {
			return err
		}
	}
}
