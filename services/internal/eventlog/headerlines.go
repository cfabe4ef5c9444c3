package eventlog

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// HeaderLines are the headers of a message as they go over the wire: a line for each, ended by CR LF. Neither a name nor a value may hold a line break.
type HeaderLines []byte

// Add returns the lines with one more.
func (l HeaderLines) Add(name, value string) HeaderLines {
	l = append(append(l, name...), ": "...)
	return append(append(l, value...), "\r\n"...)
}

// Header reads the lines.
func (l HeaderLines) Header() Header {
	header := Header{}
	for line := range strings.SplitSeq(string(l), "\r\n") {
		if name, value, found := strings.Cut(line, ": "); found {
			header[name] = append(header[name], value)
		}
	}
	return header
}

// Lines writes headers, in order of their names.
func Lines(header Header) HeaderLines {
	var lines HeaderLines
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			lines = lines.Add(name, value)
		}
	}
	return lines
}

// appendTime writes a time as the attribute time has it.
func appendTime(to []byte, t time.Time) []byte { return t.UTC().AppendFormat(to, time.RFC3339Nano) }
