package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nuid"
)

// wire appends to one stream over a connection of its own to the server in this process. It speaks NATS' client protocol itself: a round is one write of messages that
// were encoded into one buffer, and only the first and the last of them ask for an answer.
//
// https://docs.nats.io/reference/reference-protocols/nats-protocol
type wire struct {
	conn   net.Conn
	stream string
	prefix []byte // what an answer that names the stream begins with, up to the sequence
	inbox  string // answers arrive at <inbox>.<number of the question>

	asking sync.Mutex
	asked  uint64 // number of the last question
	frames []byte // used again for each round

	writing sync.Mutex
	answers chan publishAck
	ended   chan struct{} // closed when the connection is gone
}

// answerBound is how many bytes one line, or the body of an answer, can have.
const answerBound = 64 << 10

// openWire makes a wire for a stream over a connection that has logged in.
func openWire(conn net.Conn, stream string) (*wire, error) {
	w := &wire{conn: conn, stream: stream, inbox: "_INBOX." + nuid.Next(), prefix: fmt.Appendf(nil, `{"stream":%q,"seq":`, stream),
		answers: make(chan publishAck, 4), ended: make(chan struct{})}
	go w.read()
	if err := w.write(context.Background(), fmt.Appendf(nil, "SUB %s.* 1\r\n", w.inbox)); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// gone says whether the connection is lost.
func (w *wire) gone() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// publish sends records that expect each the one before it, and returns the answers to the first and the last.
func (w *wire) publish(ctx context.Context, expected uint64, records []Record) (first, last publishAck, err error) {
	w.asking.Lock()
	defer w.asking.Unlock()
	w.frames = w.frames[:0]
	questions := 0
	for i := range records {
		question := uint64(0)
		if i == 0 || i == len(records)-1 {
			questions++
			w.asked++
			question = w.asked
		}
		w.frames = w.appendFrame(w.frames, &records[i], expected+uint64(i), question)
	}
	if err := w.send(ctx); err != nil {
		return first, last, err
	}
	if first, err = w.await(ctx, w.asked-uint64(questions)+1); err != nil || questions == 1 {
		return first, first, err
	}
	last, err = w.await(ctx, w.asked)
	return first, last, err
}

// probe publishes what no stream can take, and returns the answer.
func (w *wire) probe(ctx context.Context, subject string) (publishAck, error) {
	w.asking.Lock()
	defer w.asking.Unlock()
	w.asked++
	w.frames = w.appendFrame(w.frames[:0], &Record{Subject: subject}, math.MaxUint64, w.asked)
	if err := w.send(ctx); err != nil {
		return publishAck{}, err
	}
	return w.await(ctx, w.asked)
}

// send forgets the answers that nobody waited for, and writes the frames.
func (w *wire) send(ctx context.Context) error {
	for len(w.answers) > 0 {
		<-w.answers
	}
	err := w.write(ctx, w.frames)
	if err != nil {
		w.close() // a frame may be half written
	}
	return err
}

// await returns the answer to a question. Answers to those before it, which nobody waits for any more, are left out.
func (w *wire) await(ctx context.Context, question uint64) (publishAck, error) {
	for {
		select {
		case answer := <-w.answers:
			if answer.question == question {
				return answer, nil
			}
		case <-w.ended:
			return publishAck{}, net.ErrClosed
		case <-ctx.Done():
			return publishAck{}, ctx.Err()
		}
	}
}

// headerStart begins every message's headers.
const headerStart = "NATS/1.0\r\n"

const expectation = "Nats-Expected-Last-Sequence: "

// appendFrame adds a message: HPUB <subject> [<reply>] <bytes of headers> <bytes in all>, the headers, the body.
func (w *wire) appendFrame(to []byte, record *Record, expected, question uint64) []byte {
	to = append(append(append(to, "HPUB "...), record.Subject...), ' ')
	if question != 0 {
		to = append(append(to, w.inbox...), '.')
		to = append(strconv.AppendUint(to, question, 10), ' ')
	}
	headers := len(headerStart) + len(record.Header) + len(expectation) + decimals(expected) + len("\r\n\r\n")
	to = append(strconv.AppendInt(to, int64(headers), 10), ' ')
	to = strconv.AppendInt(to, int64(headers+len(record.Data)), 10)
	to = append(append(append(to, "\r\n"+headerStart...), record.Header...), expectation...)
	to = append(strconv.AppendUint(to, expected, 10), "\r\n\r\n"...)
	return append(append(to, record.Data...), "\r\n"...)
}

// decimals is how many digits a number has.
func decimals(n uint64) int {
	digits := 1
	for ; n >= 10; n /= 10 {
		digits++
	}
	return digits
}

func (w *wire) write(ctx context.Context, what []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	until := time.Now().Add(requestTimeout)
	if deadline, has := ctx.Deadline(); has {
		until = deadline
	}
	_ = w.conn.SetWriteDeadline(until)
	_, err := w.conn.Write(what)
	return err
}

// read takes what the server says until the connection is gone.
func (w *wire) read() {
	defer close(w.ended)
	defer w.close()
	from := bufio.NewReaderSize(w.conn, answerBound)
	for {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return
		}
		words := bytes.Fields(line)
		switch {
		case len(words) == 0:
		case bytes.Equal(words[0], []byte("PING")):
			// Beside the reading: the server may be waiting for us to read before it takes this.
			go func() { _ = w.write(context.Background(), []byte("PONG\r\n")) }()
		case bytes.Equal(words[0], []byte("MSG")), bytes.Equal(words[0], []byte("HMSG")):
			if err := w.take(words, from); err != nil {
				return
			}
		case bytes.Equal(words[0], []byte("-ERR")):
			return
		}
	}
}

// take reads an answer: MSG <subject> <sid> <bytes>, or HMSG <subject> <sid> <bytes of headers> <bytes in all>.
func (w *wire) take(words [][]byte, from *bufio.Reader) error {
	question, err := strconv.ParseUint(string(words[1][bytes.LastIndexByte(words[1], '.')+1:]), 10, 64)
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(string(words[len(words)-1]))
	if err != nil || size < 0 || size > answerBound-2 {
		return errAnswer
	}
	withHeaders := len(words[0]) == len("HMSG") // words is part of what the reader holds: it is gone after the next read
	body, err := from.Peek(size + len("\r\n"))
	if err != nil {
		return err
	}
	var answer publishAck
	if withHeaders { // a stream answers without headers
		answer.problem = fmt.Errorf("%w: no stream takes %s", ErrUnreachable, w.stream)
	} else {
		answer = w.parse(body[:size])
	}
	answer.question = question
	if _, err := from.Discard(size + len("\r\n")); err != nil {
		return err
	}
	select {
	case w.answers <- answer:
	default: // nobody has waited for so many
	}
	return nil
}

var errAnswer = errors.New("an answer of the server cannot be read")

// parse reads an answer. That everything is stored is said in few words and often, so it is read without package json.
func (w *wire) parse(body []byte) (answer publishAck) {
	if rest, ok := bytes.CutPrefix(body, w.prefix); ok {
		if digits, ok := bytes.CutSuffix(rest, []byte("}")); ok {
			if sequence, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 10, 64); err == nil {
				return publishAck{Stream: w.stream, Sequence: sequence}
			}
		}
	}
	return parseAck(body)
}
