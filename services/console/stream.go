package console

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const (
	// beatEvery is how often a page that is kept up to date hears of it at least, so that it notices when the console is gone.
	beatEvery = 5 * time.Second
	// sendBound is how long a page may take to read what it is sent.
	sendBound = 10 * time.Second
)

// stream keeps a page up to date, by server-sent events.
type stream struct {
	console *Console
	to      http.ResponseWriter
	control *http.ResponseController
	sent    map[string]string // the last of each fragment
	last    uint64            // the sequence that the page was told of
}

// streamed makes a function that keeps a page up to date a handler. It ends with the page, or when the function does: then the browser connects anew.
func (c *Console) streamed(keep func(context.Context, *http.Request, *stream) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case c.streams <- struct{}{}:
			defer func() { <-c.streams }()
		default:
			http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
			return
		}
		s := &stream{console: c, to: w, control: http.NewResponseController(w), sent: map[string]string{}}
		_ = s.control.SetReadDeadline(time.Time{}) // nothing more is read
		w.Header().Set("Content-Type", "text/event-stream")
		if err := s.event("open", ""); err != nil {
			return
		}
		if err := keep(r.Context(), r, s); err != nil && r.Context().Err() == nil {
			_ = s.event("trouble", explain(err).title)
		}
	}
}

// event sends a named event: the page's script hears it.
func (s *stream) event(name, data string) error {
	return s.send("event: " + name + "\ndata: " + data + "\n\n")
}

// show sends those fragments that are others than the page has, to be taken over in place.
func (s *stream) show(contents map[string]any) error {
	var text strings.Builder
	for _, name := range sortedKeys(contents) {
		fragment, err := s.console.fragment(name, contents[name])
		if err != nil {
			return err
		}
		if s.sent[name] == fragment {
			continue
		}
		s.sent[name] = fragment
		text.WriteString(`<template hx type="partial" hx-target="#` + name + `" hx-swap="innerMorph">` + fragment + `</template>`)
	}
	if text.Len() == 0 {
		return nil
	}
	return s.send("data: " + strings.ReplaceAll(text.String(), "\n", "\ndata: ") + "\n\n")
}

func (s *stream) send(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(sendBound)) // not every writer has one
	if _, err := s.to.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
