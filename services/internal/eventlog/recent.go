package eventlog

import "bytes"

// Bounds of what is kept of a stream's newest messages for those who follow it in this process. Who is further behind reads the log.
const (
	recentBound = 4096
	recentBytes = 16 << 20
)

// recent are the newest messages of a stream that this process writes, in a ring: a message is at its sequence modulo the ring's size. It is kept from when somebody
// first follows.
type recent struct {
	followed bool
	ring     []Message
	from     uint64 // the first sequence that it has
	next     uint64 // the one behind the last that it has, which may not be durable yet
	bytes    int
}

// traced is in the headers of an event whose trace is recorded: who follows goes on with it.
var traced = []byte("traceparent: ")

// keep takes a round that was just written, for those who follow.
func (s *Stream) keep(expected uint64, records []Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.recent
	if !r.followed {
		return
	}
	if r.next != expected+1 { // what it has does not lead here
		*r = recent{followed: true, ring: make([]Message, recentBound), from: expected + 1, next: expected + 1}
	}
	for i := range records {
		record := &records[i]
		r.bytes += len(record.Data)
		for r.from < r.next && (r.next-r.from == recentBound || r.bytes > recentBytes) {
			oldest := &r.ring[r.from%recentBound]
			r.bytes -= len(oldest.Data)
			*oldest = Message{}
			r.from++
		}
		kept := Message{Subject: record.Subject, Sequence: r.next, Data: record.Data, Event: record.Event}
		if bytes.Contains(record.Header, traced) {
			kept.Header = record.Header.Header()
		}
		r.ring[r.next%recentBound] = kept
		r.next++
	}
}

// newest adds to batch the durable messages from a sequence on, as far as they are kept and batch has room. It also returns up to where the stream is durable, and a
// channel that is closed when that grows.
func (s *Stream) newest(sequence uint64, batch []Message) (_ []Message, durable uint64, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.recent
	r.followed = true
	if sequence >= r.from {
		for ; sequence < r.next && sequence <= s.durable && len(batch) < cap(batch); sequence++ {
			batch = append(batch, r.ring[sequence%recentBound])
		}
	}
	return batch, s.durable, s.moved
}
