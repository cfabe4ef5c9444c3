// Package telemetry makes the logger.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// NewLogger returns a logger of a level (debug, info, warn, error) and a format (text, json; empty: text on a terminal, else JSON).
func NewLogger(to *os.File, level, format string) (*slog.Logger, error) {
	var threshold slog.Level
	if err := threshold.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("the log level is debug, info, warn or error, not %q", level)
	}
	if format == "" {
		format = "json"
		if IsTerminal(to) {
			format = "text"
		}
	}
	return newLogger(to, threshold, format)
}

func newLogger(to io.Writer, threshold slog.Level, format string) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: threshold}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, fmt.Errorf("the log format is text or json, not %q", format)
}

// IsTerminal says whether a person looks at the file.
func IsTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
