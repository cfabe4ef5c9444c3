package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
)

// Bounds of one direct get: while it runs the stream takes no append.
const (
	readBatch      = 512
	readBatchBytes = 4 << 20
)

// AnswersBound is how many answers can wait on a connection that a Log reads with: more than it asks for at once. The client makes so much room for each question.
const AnswersBound = 4 * readBatch

// Message is one stored fact.
type Message struct {
	// Subject that it is stored under.
	Subject string
	// Sequence in its stream.
	Sequence uint64
	// Header has the CloudEvents attributes. Where the writer handed the message over, it is nil unless a trace is recorded in it.
	Header Header
	// Data is the encoded fact.
	Data []byte
	// Event is the fact as its writer, in this process, had it before it was encoded; nil in what was read from the log. It must not be changed.
	Event any
}

// Fact returns the fact in a message, decoded where the writer did not hand it over. It must not be changed.
func Fact[T any, E interface {
	*T
	proto.Message
}](m Message) (E, error) {
	if event, handed := m.Event.(E); handed {
		return event, nil
	}
	event := E(new(T))
	return event, proto.Unmarshal(m.Data, event)
}

// Range says what to read.
type Range struct {
	// Subject to read; all of the stream when empty.
	Subject string
	// After is the sequence before the first to read.
	After uint64
	// Through is the last sequence to read.
	Through uint64
}

// directGet is the body of a request to $JS.API.DIRECT.GET.
type directGet struct {
	Sequence  uint64   `json:"seq,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	LastFor   string   `json:"last_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	UpTo      uint64   `json:"up_to_seq,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
}

// Read calls each with every message of the range, in order. It returns nil only when all of the range was read, and the first error of each otherwise.
// A whole stream has no gaps: a sequence that is missing or cannot be read is a *LostError or a *GapError.
func (s *Stream) Read(ctx context.Context, r Range, each func(Message) error) error {
	if r.After >= r.Through {
		return nil
	}
	next := r.After + 1
	for next <= r.Through {
		end, following, err := s.readBatch(ctx, r, next, each)
		if err != nil {
			return err
		}
		next = following
		if end == endOfRange {
			return nil
		}
		if end == moreToRead {
			continue
		}
		m, found, err := s.nextOnLeader(ctx, r.Subject, next, r.Through)
		if err != nil {
			return err
		}
		if r.Subject == "" && next <= r.Through && (!found || m.Sequence != next) {
			return gone(s.name, next, r.Through, s.Recorded())
		}
		if !found {
			return nil
		}
		if err := each(m); err != nil {
			return err
		}
		next = m.Sequence + 1
	}
	return nil
}

// readEnd says why a batch ended.
type readEnd int

const (
	moreToRead  readEnd = iota // it was full
	endOfRange                 // what comes next is beyond the range
	endOfStream                // the server that answered has no more
)

// readBatch reads one batch from a sequence. It also returns the sequence to go on from.
func (s *Stream) readBatch(ctx context.Context, r Range, from uint64, each func(Message) error) (end readEnd, next uint64, err error) {
	get := directGet{Sequence: from, NextFor: r.Subject, Batch: readBatch, MaxBytes: readBatchBytes}
	next = from
	batch, err := s.directGet(ctx, get, func(m Message) error {
		if m.Sequence > r.Through {
			end = endOfRange
			return nil
		}
		if r.Subject == "" && m.Sequence != next {
			return gone(s.name, next, m.Sequence-1, s.Recorded())
		}
		next = m.Sequence + 1
		return each(m)
	})
	if err == nil && end == moreToRead && batch.pending == 0 {
		end = endOfStream
	}
	return end, next, err
}

// Get returns the message with a sequence, or ErrNotFound.
func (s *Stream) Get(ctx context.Context, sequence uint64) (Message, error) {
	m, err := s.getOne(ctx, directGet{Sequence: sequence})
	if !errors.Is(err, ErrNotFound) {
		return m, err
	}
	m, found, err := s.nextOnLeader(ctx, "", sequence, sequence)
	if err == nil && !found {
		err = ErrNotFound
	}
	return m, err
}

// LastOf returns a subject's last message, durable or not, or ErrNotFound.
func (s *Stream) LastOf(ctx context.Context, subject string) (Message, error) {
	return s.getOne(ctx, directGet{LastFor: subject})
}

// LastAtOrBefore returns a subject's last message at or before a sequence, or ErrNotFound.
func (s *Stream) LastAtOrBefore(ctx context.Context, subject string, sequence uint64) (Message, error) {
	var last Message
	_, err := s.directGet(ctx, directGet{MultiLast: []string{subject}, UpTo: sequence}, func(m Message) error {
		last = m
		return nil
	})
	for err == nil {
		m, found, asking := s.nextOnLeader(ctx, subject, last.Sequence+1, sequence)
		if !found {
			err = asking
			break
		}
		last = m
	}
	if err == nil && last.Sequence == 0 {
		err = ErrNotFound
	}
	return last, err
}

func (s *Stream) getOne(ctx context.Context, get directGet) (Message, error) {
	body, err := json.Marshal(get)
	if err != nil {
		return Message{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := s.log.reads.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+s.name, body)
	if err != nil {
		return Message{}, fmt.Errorf("%w: read %s: %w", ErrUnreachable, s.name, err)
	}
	if status := answer.Header.Get("Status"); status != "" {
		return Message{}, s.statusError(status, answer)
	}
	return s.message(answer)
}

// batchEnd is what the server says at the end of a batch.
type batchEnd struct {
	pending uint64 // messages of the range that are left
}

// directGet sends a batch request and calls each with its messages. A batch without the server's end mark, or one that does not add up, is an error:
// a history that was cut short must never look complete.
func (s *Stream) directGet(ctx context.Context, get directGet, each func(Message) error) (batchEnd, error) {
	body, err := json.Marshal(get)
	if err != nil {
		return batchEnd{}, err
	}
	inbox := s.log.reads.NewInbox()
	answers, err := s.log.reads.SubscribeSync(inbox)
	if err != nil {
		return batchEnd{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := s.log.reads.PublishRequest("$JS.API.DIRECT.GET."+s.name, inbox, body); err != nil {
		return batchEnd{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	var last uint64
	for {
		waiting, cancel := context.WithTimeout(ctx, requestTimeout)
		answer, err := answers.NextMsgWithContext(waiting)
		cancel()
		if err != nil {
			return batchEnd{}, fmt.Errorf("%w: read %s: %w", ErrUnreachable, s.name, err)
		}
		if status := answer.Header.Get("Status"); status == "204" {
			return s.batchEnd(answer, last)
		} else if status == "404" {
			return batchEnd{}, nil
		} else if status != "" {
			return batchEnd{}, s.statusError(status, answer)
		}
		m, err := s.message(answer)
		if err != nil {
			return batchEnd{}, err
		}
		last = m.Sequence
		if err := each(m); err != nil {
			return batchEnd{}, err
		}
	}
}

func (s *Stream) batchEnd(answer *nats.Msg, last uint64) (batchEnd, error) {
	pending, err := strconv.ParseUint(answer.Header.Get("Nats-Num-Pending"), 10, 64)
	if err != nil {
		return batchEnd{}, fmt.Errorf("read %s: end of batch cannot be read: %w", s.name, err)
	}
	if said := answer.Header.Get("Nats-Last-Sequence"); said != strconv.FormatUint(last, 10) {
		return batchEnd{}, fmt.Errorf("%w: read %s: batch ends at %d, the server says %s", ErrUnreachable, s.name, last, said)
	}
	return batchEnd{pending: pending}, nil
}

func (s *Stream) statusError(status string, answer *nats.Msg) error {
	switch status {
	case "404":
		return ErrNotFound
	case "503":
		return fmt.Errorf("%w: nobody serves %s", ErrUnreachable, s.name)
	default:
		return fmt.Errorf("%w: read %s: %s %s", ErrUnreachable, s.name, status, answer.Header.Get("Description"))
	}
}

func (s *Stream) message(answer *nats.Msg) (Message, error) {
	sequence, err := strconv.ParseUint(answer.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return Message{}, fmt.Errorf("read %s: no sequence in the answer: %w", s.name, err)
	}
	return Message{Subject: answer.Header.Get("Nats-Subject"), Sequence: sequence, Header: answer.Header, Data: answer.Data}, nil
}
