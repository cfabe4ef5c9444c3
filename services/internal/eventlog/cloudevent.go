package eventlog

import (
	"time"

	"github.com/nats-io/nats.go"
)

// Header is a message's headers.
type Header = nats.Header

// CloudEvent has the attributes of an event as CloudEvents 1.0 names them.
// https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md (binary mode)
type CloudEvent struct {
	// ID is <stream>:<sequence>.
	ID string
	// Source is the service.
	Source string
	// Type is the fact.
	Type string
	// Time is when it was decided.
	Time time.Time
}

// FormatTime writes a time as the attribute time has it.
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Header returns the attributes as message headers. Names are in lower case, because nats.go compares them by case.
func (c CloudEvent) Header() Header {
	return Header{
		"ce-specversion": {"1.0"},
		"ce-id":          {c.ID},
		"ce-source":      {c.Source},
		"ce-type":        {c.Type},
		"ce-time":        {FormatTime(c.Time)},
	}
}
