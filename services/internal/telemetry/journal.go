package telemetry

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

// journalBound is how many batches of lines may wait to be written.
const journalBound = 1024

// journalBuffer is how many bytes of lines are written at once.
const journalBuffer = 64 << 10

// Journal writes a line for each thing that happens, beside the work: whoever adds lines never waits. When they come faster than they can be written, some are left
// out, and a line says how many.
type Journal struct {
	logger  *slog.Logger
	out     *bufio.Writer
	queue   chan batch
	leftOut atomic.Int64
	ended   chan struct{}
	once    sync.Once
}

// batch is some lines to be written.
type batch struct {
	lines int
	write func(ctx context.Context, to *slog.Logger)
}

// NewJournal makes a journal of a level and a format as those of NewLogger; nil where the level leaves its lines out, which are of level info.
func NewJournal(to *os.File, level, format string) (*Journal, error) {
	threshold, err := parseLevel(level)
	if err != nil || threshold > slog.LevelInfo {
		return nil, err
	}
	return newJournal(to, threshold, formatFor(to, format))
}

func newJournal(to io.Writer, threshold slog.Level, format string) (*Journal, error) {
	j := &Journal{out: bufio.NewWriterSize(to, journalBuffer), queue: make(chan batch, journalBound), ended: make(chan struct{})}
	logger, err := newLogger(j.out, threshold, format)
	if err != nil {
		return nil, err
	}
	j.logger = logger
	go j.run()
	return j, nil
}

// Add has lines written by a function, soon. It may be called until Close.
func (j *Journal) Add(lines int, write func(ctx context.Context, to *slog.Logger)) {
	select {
	case j.queue <- batch{lines: lines, write: write}:
	default:
		j.leftOut.Add(int64(lines))
	}
}

// run writes what waits, and flushes when nothing does.
func (j *Journal) run() {
	defer close(j.ended)
	ctx := context.Background()
	for b := range j.queue {
		b.write(ctx, j.logger)
		if left := j.leftOut.Swap(0); left > 0 {
			j.logger.WarnContext(ctx, "lines were left out: they came too fast", slog.Int64("lines", left))
		}
		if len(j.queue) == 0 {
			_ = j.out.Flush() // nobody could be told of a log that cannot be written
		}
	}
	_ = j.out.Flush()
}

// Close writes what waits. A nil journal has nothing to write.
func (j *Journal) Close() {
	if j == nil {
		return
	}
	j.once.Do(func() { close(j.queue) })
	<-j.ended
}
