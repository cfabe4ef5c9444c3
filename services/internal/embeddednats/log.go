package embeddednats

import (
	"context"
	"fmt"
	"log/slog"
)

// serverLog carries the server's log into ours. Its notices are of use to us only when something is looked for.
type serverLog struct{ to *slog.Logger }

// Noticef is a notice.
func (l serverLog) Noticef(format string, args ...any) { l.say(slog.LevelDebug, format, args) }

// Debugf is for debugging.
func (l serverLog) Debugf(format string, args ...any) { l.say(slog.LevelDebug, format, args) }

// Tracef is for debugging.
func (l serverLog) Tracef(format string, args ...any) { l.say(slog.LevelDebug, format, args) }

// Warnf is a warning.
func (l serverLog) Warnf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }

// Errorf is an error.
func (l serverLog) Errorf(format string, args ...any) { l.say(slog.LevelError, format, args) }

// Fatalf is an error that the server cannot go on with.
func (l serverLog) Fatalf(format string, args ...any) { l.say(slog.LevelError, format, args) }

func (l serverLog) say(level slog.Level, format string, args []any) {
	l.to.LogAttrs(context.Background(), level, "nats", slog.String("said", fmt.Sprintf(format, args...)))
}
