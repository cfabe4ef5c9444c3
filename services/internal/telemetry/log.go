// Package telemetry makes the logger and the journal.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// NewLogger returns a logger of a level (debug, info, warn, error) and a format (text, json; empty: text on a terminal, else JSON).
func NewLogger(to *os.File, level, format string) (*slog.Logger, error) {
	threshold, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	return newLogger(to, threshold, formatFor(to, format))
}

func parseLevel(level string) (threshold slog.Level, err error) {
	if err := threshold.UnmarshalText([]byte(level)); err != nil {
		return 0, fmt.Errorf("the log level is debug, info, warn or error, not %q", level)
	}
	return threshold, nil
}

// formatFor returns the format, or what fits the file where none is given.
func formatFor(to *os.File, format string) string {
	switch {
	case format != "":
		return format
	case IsTerminal(to):
		return "text"
	default:
		return "json"
	}
}

func newLogger(to io.Writer, threshold slog.Level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: threshold}
	switch format {
	case "text":
		return slog.New(tracedLog{slog.NewTextHandler(to, options)}), nil
	case "json":
		return slog.New(tracedLog{slog.NewJSONHandler(to, options)}), nil
	}
	return nil, fmt.Errorf("the log format is text or json, not %q", format)
}

// IsTerminal says whether a person looks at the file.
func IsTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
