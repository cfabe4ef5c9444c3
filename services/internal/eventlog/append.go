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
	// Header has the CloudEvents attributes. Append adds its own to it.
	Header Header
	// Data is the encoded fact.
	Data []byte
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
	if !s.log.appends.IsConnected() {
		return ErrUnreachable
	}
	if err := s.dropStaleAcks(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	publish := s.appendBatch
	if s.log.exclusive || len(records) == 1 {
		publish = s.appendPipelined
	}
	began := time.Now()
	err := publish(ctx, expected, records)
	observe(s.meter.appended, began, err)
	if err == nil {
		s.meter.rounds.Observe(float64(len(records)))
	}
	return err
}

// Drain returns when nothing that was published before can be stored any more. A writer that gave up an append must call it before it reads the log: what was still on
// its way would otherwise be stored behind the writer's back, with expectations that fit.
func (s *Stream) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// A stream takes what one connection publishes in order, so the refusal of an impossible expectation comes after everything before it.
	probe := &nats.Msg{Subject: strings.NewReplacer("*", drainToken, ">", drainToken).Replace(s.subjects), Header: Header{}}
	probe.Header.Set("Nats-Expected-Last-Sequence", strconv.FormatUint(math.MaxUint64, 10))
	answer, err := s.log.appends.RequestMsgWithContext(ctx, probe)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	var ack publishAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Error == nil {
		return fmt.Errorf("%w: %s answered the probe with %q", ErrUnreachable, s.name, answer.Data)
	}
	return s.dropStaleAcks()
}

// drainToken stands where an account id would: no account can have it, and nothing is ever stored under it.
const drainToken = "~"

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

// appendPipelined publishes each record by itself, expecting the one before it, and then waits for all answers.
func (s *Stream) appendPipelined(ctx context.Context, expected uint64, records []Record) error {
	for i, record := range records {
		record.Header.Set("Nats-Expected-Last-Sequence", strconv.FormatUint(expected+uint64(i), 10))
		message := &nats.Msg{Subject: record.Subject, Reply: s.ackInbox, Header: record.Header, Data: record.Data}
		if err := s.log.appends.PublishMsg(message); err != nil {
			return fmt.Errorf("%w: publish: %w", ErrOutcomeUnknown, err)
		}
	}
	// The stream answers in order: the n-th answer belongs to the n-th record.
	for i := range records {
		if err := s.awaitAck(ctx, expected+uint64(i)+1); err != nil {
			if i > 0 && errors.Is(err, ErrFenced) {
				return fmt.Errorf("%w: stored %d of %d: %w", ErrOutcomeUnknown, i, len(records), err)
			}
			return err
		}
	}
	return nil
}

// appendBatch publishes the records as one atomic batch: all of them are stored, or none.
func (s *Stream) appendBatch(ctx context.Context, expected uint64, records []Record) error {
	batch := nuid.Next()
	for i, record := range records {
		record.Header.Set("Nats-Batch-Id", batch)
		record.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		message := &nats.Msg{Subject: record.Subject, Header: record.Header, Data: record.Data}
		if i == 0 {
			record.Header.Set("Nats-Expected-Last-Sequence", strconv.FormatUint(expected, 10))
		}
		if i == len(records)-1 {
			record.Header.Set("Nats-Batch-Commit", "1")
			message.Reply = s.ackInbox
		}
		if err := s.log.appends.PublishMsg(message); err != nil {
			return fmt.Errorf("%w: publish: %w", ErrOutcomeUnknown, err)
		}
	}
	return s.awaitAck(ctx, expected+uint64(len(records)))
}

// awaitAck takes the next answer and requires it to name the sequence.
func (s *Stream) awaitAck(ctx context.Context, sequence uint64) error {
	message, err := s.acks.NextMsgWithContext(ctx)
	if err != nil {
		return fmt.Errorf("%w: no answer: %w", ErrOutcomeUnknown, err)
	}
	if message.Header.Get("Status") == "503" {
		return fmt.Errorf("%w: no stream takes %s", ErrUnreachable, s.name)
	}
	var ack publishAck
	if err := json.Unmarshal(message.Data, &ack); err != nil {
		return fmt.Errorf("%w: answer cannot be read: %w", ErrOutcomeUnknown, err)
	}
	switch {
	case ack.Error == nil && ack.Stream == s.name && ack.Sequence == sequence:
		return nil
	case ack.Error == nil:
		return fmt.Errorf("%w: stored as %s:%d, expected %s:%d", ErrOutcomeUnknown, ack.Stream, ack.Sequence, s.name, sequence)
	case ack.Error.ErrCode == codeWrongLastSequence || ack.Error.ErrCode == codeWrongLastSequenceInFlight:
		return fmt.Errorf("%w: %s", ErrFenced, ack.Error.Description)
	default:
		return fmt.Errorf("%w: %s (%d)", ErrOutcomeUnknown, ack.Error.Description, ack.Error.ErrCode)
	}
}
