package eventlog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// requestTimeout bounds every single exchange with the server.
const requestTimeout = 5 * time.Second

// reconnectWait is how often a lost server is tried again.
const reconnectWait = 250 * time.Millisecond

// Errors that an append, a read or an opening can end with.
var (
	// ErrFenced means that another writer appended: nothing of the round was stored.
	ErrFenced = errors.New("another writer has appended to the stream")
	// ErrOutcomeUnknown means that the round may or may not be stored: read the log to know.
	ErrOutcomeUnknown = errors.New("it is not known whether the append was stored")
	// ErrNotFound means that no such message is stored.
	ErrNotFound = errors.New("no such message in the stream")
	// ErrUnreachable means that NATS cannot be reached or has no JetStream just now.
	ErrUnreachable = errors.New("NATS JetStream cannot be reached")
)

// Log is the way to the streams of one NATS server.
type Log struct {
	// appends and reads are apart, because the server serves a read on the read loop of the connection that asked.
	appends, reads *nats.Conn
	js             jetstream.JetStream
	barrier        *Barrier
	ackFirst       bool
	recorded       map[string]uint64
	dial           func() (net.Conn, error) // nil where others can write the streams too, or the server is not in this process
	replicas       int

	mu      sync.Mutex
	written []*Stream        // the streams that this log appends to
	wires   map[string]*wire // to the streams that only this log appends to
}

// Options say how a Log may append.
type Options struct {
	// Barrier makes appends durable. Without one an ack is taken for durable, which is right where the server syncs before it acks.
	Barrier *Barrier
	// AckFirst takes an ack for durable although there is a barrier, for who accepts the loss: then Sync is to be called from time to time.
	AckFirst bool
	// Recorded is what is known to be durable, by stream, where there is no barrier to know it: a log that has less is not opened.
	Recorded map[string]uint64
	// Exclusive promises that the server is in this process, and that nobody else can publish into the streams, so that rounds may be pipelined.
	Exclusive bool
	// Replicas is on how many servers of a cluster each stream is kept, 1 to MaxReplicas; streams that exist are spread, too. 0: as they are, and new ones on one.
	Replicas int
}

// OpenExclusive makes a Log whose streams nobody else can publish into, on a server in this process: dial opens a connection that has logged in, to append to one stream.
func OpenExclusive(dial func() (net.Conn, error), reads *nats.Conn, options Options) (*Log, error) {
	l, err := Open(nil, reads, options)
	if err == nil {
		l.dial = dial
	}
	return l, err
}

// Open makes a Log from two connections to the same server: one to append, one to read.
func Open(appends, reads *nats.Conn, options Options) (*Log, error) {
	js, err := jetstream.New(reads)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &Log{appends: appends, reads: reads, js: js,
		barrier: options.Barrier, ackFirst: options.AckFirst, recorded: options.Recorded, replicas: options.Replicas, wires: map[string]*wire{}}, nil
}

// Sync makes everything that was appended durable and records it, where there is a barrier.
func (l *Log) Sync() error {
	if l.barrier == nil {
		return nil
	}
	l.mu.Lock()
	written := slices.Clone(l.written)
	l.mu.Unlock() // appends look for their wires under it
	for _, stream := range written {
		if appended, _ := stream.Durable(); appended > 0 {
			if err := l.barrier.Sync(stream.name, appended); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect opens the wire to a stream, unless there is one. What was sent over one that was lost may still be on its way for a moment: only who is about to drain the
// stream, or to begin with it, may connect.
func (l *Log) connect(stream string) (*wire, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.wires[stream]; w != nil && !w.gone() {
		return w, nil
	}
	conn, err := l.dial()
	if err != nil {
		return nil, err
	}
	w, err := openWire(conn, stream)
	if err == nil {
		l.wires[stream] = w
	}
	return w, err
}

// wire returns the wire to a stream, which may be lost; nil where there is none.
func (l *Log) wire(stream string) *wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wires[stream]
}

// StreamNames returns the names of all streams, in order.
func (l *Log) StreamNames(ctx context.Context) ([]string, error) {
	var names []string
	lister := l.js.StreamNames(ctx)
	for name := range lister.Name() {
		names = append(names, name)
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("%w: list streams: %w", ErrUnreachable, err)
	}
	return names, nil
}

// Reach returns nil when the server answers and has JetStream, else ErrUnreachable.
func (l *Log) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if _, err := l.js.AccountInfo(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// Connect opens a Log on a server outside this process. The second result closes its connections.
func Connect(url string, options Options) (*Log, func(), error) {
	var connections []*nats.Conn
	closeAll := func() {
		for _, connection := range connections {
			connection.Close()
		}
	}
	for _, name := range []string{"cardlog appends", "cardlog reads"} {
		connection, err := nats.Connect(url, nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.SyncQueueLen(AnswersBound))
		if err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, url, err)
		}
		connections = append(connections, connection)
	}
	log, err := Open(connections[0], connections[1], options)
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return log, closeAll, nil
}
