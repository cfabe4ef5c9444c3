package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// RoundBound is the most records that one append takes: JetStream's bound for an atomic batch.
const RoundBound = 1000

// Error codes with which JetStream says that the expected last sequence was wrong: the second when the conflicting append is still under way.
const (
	codeWrongLastSequence         = 10071
	codeWrongLastSequenceInFlight = 10164
)

// Record is one fact to append.
type Record struct {
	// Subject to store it under.
	Subject string
	// Header has the CloudEvents attributes. Append adds its own behind them.
	Header HeaderLines
	// Data is the encoded fact.
	Data []byte
	// Event is the fact before it was encoded, for those who follow the stream in this process. Optional. It must not change any more.
	Event any
}

// publishAck is JetStream's answer to a publish.
type publishAck struct {
	Stream   string `json:"stream"`
	Sequence uint64 `json:"seq"`
	Error    *struct {
		Code        int    `json:"code"`
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`

	question uint64 // that it answers, on a wire
	problem  error  // why there is none
}

func parseAck(body []byte) (ack publishAck) {
	if err := json.Unmarshal(body, &ack); err != nil {
		return publishAck{problem: fmt.Errorf("%w: answer cannot be read: %w", ErrOutcomeUnknown, err)}
	}
	return ack
}

// stored returns nil when the answer says that the stream has stored a record at a sequence.
func (a publishAck) stored(stream string, sequence uint64) error {
	switch {
	case a.problem != nil:
		return a.problem
	case a.Error == nil && a.Stream == stream && a.Sequence == sequence:
		return nil
	case a.Error == nil:
		return fmt.Errorf("%w: stored as %s:%d, expected %s:%d", ErrOutcomeUnknown, a.Stream, a.Sequence, stream, sequence)
	case a.Error.ErrCode == codeWrongLastSequence || a.Error.ErrCode == codeWrongLastSequenceInFlight:
		return fmt.Errorf("%w: %s", ErrFenced, a.Error.Description)
	default:
		return fmt.Errorf("%w: %s (%d)", ErrOutcomeUnknown, a.Error.Description, a.Error.ErrCode)
	}
}

// Append stores the records right after the expected sequence and returns when they are durable. It must be called by one goroutine at a time.
//
// ErrFenced: another writer appended and nothing was stored. Any other error: the outcome is unknown. Either way the caller must read the log before it appends again.
func (s *Stream) Append(ctx context.Context, expected uint64, records []Record) error {
	if err := s.Write(ctx, expected, records); err != nil {
		return err
	}
	return s.Commit(expected + uint64(len(records)))
}

// Commit returns when everything up to a sequence, which Write has stored, is as durable as the log promises.
func (s *Stream) Commit(last uint64) error {
	if s.log.ackFirst {
		s.setDurable(last)
		return nil
	}
	began := time.Now()
	err := s.Settle(last)
	observe(s.meter.synced, began, err)
	return err
}

// Write is Append without the wait: the records are stored, and durable only when Commit has returned for them.
func (s *Stream) Write(ctx context.Context, expected uint64, records []Record) error {
	if len(records) == 0 || len(records) > RoundBound {
		return fmt.Errorf("a round has 1 to %d records, not %d", RoundBound, len(records))
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	publish := s.appendBatch
	if s.log.dial != nil {
		publish = s.appendChain
	}
	began := time.Now()
	err := publish(ctx, expected, records)
	observe(s.meter.appended, began, err)
	if err == nil {
		s.meter.rounds.Observe(float64(len(records)))
		s.keep(expected, records)
	}
	return err
}

// Drain returns when nothing that was published before can be stored any more. A writer that gave up an append must call it before it reads the log: what was still on
// its way would otherwise be stored behind the writer's back, with expectations that fit.
func (s *Stream) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// A stream takes what one connection publishes in order, so the refusal of an impossible expectation comes after everything before it.
	ack, err := s.probe(ctx, strings.NewReplacer("*", drainToken, ">", drainToken).Replace(s.subjects))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case ack.problem != nil:
		return ack.problem
	case ack.Error == nil:
		return fmt.Errorf("%w: %s took the probe as %d", ErrUnreachable, s.name, ack.Sequence)
	case s.log.dial != nil:
		return nil
	default:
		return s.dropStaleAcks()
	}
}

// drainToken stands where an account id would: no account can have it, and nothing is ever stored under it.
const drainToken = "~"

// probe publishes with an expectation that cannot be met.
func (s *Stream) probe(ctx context.Context, subject string) (publishAck, error) {
	if s.log.dial != nil {
		return s.probeWire(ctx, subject)
	}
	answer, err := s.log.appends.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: Header{expectedLast: {strconv.FormatUint(math.MaxUint64, 10)}}})
	if err != nil {
		return publishAck{}, err
	}
	return parseAck(answer.Data), nil
}

// probeWire probes over the wire, and once more over a new one where the server had given up the first and nobody had noticed yet.
func (s *Stream) probeWire(ctx context.Context, subject string) (ack publishAck, err error) {
	for range 2 {
		var w *wire
		if w, err = s.log.connect(s.name); err != nil {
			break
		}
		if ack, err = w.probe(ctx, subject); err == nil || ctx.Err() != nil {
			break
		}
		w.close()
		<-w.ended
	}
	return ack, err
}

// appendChain publishes each record by itself, expecting the one before it, all in one write. Only the first and the last one ask for an answer. The first is refused
// where the stream is not as the writer believes. Behind it nobody else writes, so a record that is refused takes all behind it with it, and the last one is stored
// where it belongs only when all before it are.
func (s *Stream) appendChain(ctx context.Context, expected uint64, records []Record) error {
	w := s.log.wire(s.name)
	if w == nil || w.gone() {
		return ErrUnreachable
	}
	first, last, err := w.publish(ctx, expected, records)
	if err != nil {
		return fmt.Errorf("%w: no answer: %w", ErrOutcomeUnknown, err)
	}
	if err = first.stored(s.name, expected+1); err == nil {
		err = last.stored(s.name, expected+uint64(len(records)))
	}
	if len(records) > 1 && errors.Is(err, ErrFenced) {
		return fmt.Errorf("%w: some of %d records may be stored: %w", ErrOutcomeUnknown, len(records), err)
	}
	return err
}

// dropStaleAcks forgets the answers to an append that was given up.
func (s *Stream) dropStaleAcks() error {
	for {
		waiting, _, err := s.acks.Pending()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if waiting == 0 {
			return nil
		}
		if _, err := s.acks.NextMsg(requestTimeout); err != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
	}
}

const expectedLast = "Nats-Expected-Last-Sequence"

// appendBatch publishes the records as one atomic batch: all of them are stored, or none. One record by itself needs no batch.
func (s *Stream) appendBatch(ctx context.Context, expected uint64, records []Record) error {
	if !s.log.appends.IsConnected() {
		return ErrUnreachable
	}
	if err := s.dropStaleAcks(); err != nil {
		return err
	}
	batch := nuid.Next()
	for i, record := range records {
		message := &nats.Msg{Subject: record.Subject, Header: record.Header.Header(), Data: record.Data}
		if len(records) > 1 {
			message.Header.Set("Nats-Batch-Id", batch)
			message.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		}
		if i == 0 {
			message.Header.Set(expectedLast, strconv.FormatUint(expected, 10))
		}
		if i == len(records)-1 {
			message.Reply = s.ackInbox
			if len(records) > 1 {
				message.Header.Set("Nats-Batch-Commit", "1")
			}
		}
		if err := s.log.appends.PublishMsg(message); err != nil {
			return fmt.Errorf("%w: publish: %w", ErrOutcomeUnknown, err)
		}
	}
	message, err := s.acks.NextMsgWithContext(ctx)
	if err != nil {
		return fmt.Errorf("%w: no answer: %w", ErrOutcomeUnknown, err)
	}
	if message.Header.Get("Status") == "503" {
		return fmt.Errorf("%w: no stream takes %s", ErrUnreachable, s.name)
	}
	return parseAck(message.Data).stored(s.name, expected+uint64(len(records)))
}
