package eventlog

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Header is a message's headers.
type Header = nats.Header

// CloudEvent has the attributes of an event as CloudEvents 1.0 names them.
// https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md (binary mode)
type CloudEvent struct {
	// Stream and Sequence make the id: <stream>:<sequence>.
	Stream   string
	Sequence uint64
	// Source is the service.
	Source string
	// Type is the fact.
	Type string
	// Time is when it was decided.
	Time time.Time
}

// FormatTime writes a time as the attribute time has it.
func FormatTime(t time.Time) string { return string(appendTime(nil, t)) }

// AppendTo adds the attributes to the lines of a message. Names are in lower case, because nats.go compares them by case.
func (c CloudEvent) AppendTo(lines HeaderLines) HeaderLines {
	lines = append(append(lines, "ce-specversion: 1.0\r\nce-id: "...), c.Stream...)
	lines = strconv.AppendUint(append(lines, ':'), c.Sequence, 10)
	lines = append(append(lines, "\r\nce-source: "...), c.Source...)
	lines = append(append(lines, "\r\nce-type: "...), c.Type...)
	lines = appendTime(append(lines, "\r\nce-time: "...), c.Time)
	return append(lines, "\r\n"...)
}
