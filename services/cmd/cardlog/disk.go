package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cardlog/cardlog/services/internal/failure"
)

// disk watches how much room there is where the log is kept. A nil one, of an outside NATS, has room.
type disk struct {
	dir     string
	reserve atomic.Uint64 // bytes; 0: nothing is refused
	free    atomic.Uint64 // bytes, when it was looked at last
	low     atomic.Bool
	logger  *slog.Logger
}

const (
	// defaultReserve is the room, in MiB, that is kept free: enough to stop in good order, and for the reader of the log to copy a block.
	defaultReserve = 256
	// diskEvery is how often the room is looked at: at 20 MiB a second, a full engine's writing, the default reserve lasts 12 times as long.
	diskEvery = time.Second
)

// watchDisk looks at the room once, and then again and again until ctx ends. Where a system does not tell, nothing is refused.
func watchDisk(ctx context.Context, dir directory, reserve uint64, logger *slog.Logger) *disk {
	d := &disk{dir: string(dir), logger: logger}
	d.reserve.Store(reserve)
	d.look(ctx)
	go func() {
		look := time.NewTicker(diskEvery)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				d.look(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return d
}

func (d *disk) look(ctx context.Context) {
	free, err := freeBytes(d.dir)
	if err != nil {
		return // it is asked again; to refuse purchases because of it would be worse
	}
	d.free.Store(free)
	low := free < d.reserve.Load()
	if low == d.low.Swap(low) {
		return
	}
	room := slog.Uint64("free_bytes", free)
	if low {
		d.logger.ErrorContext(ctx, "little room is left on the disk; nothing more is written until there is; reads go on", slog.String("directory", d.dir), room,
			slog.Uint64("reserve_bytes", d.reserve.Load()))
	} else {
		d.logger.InfoContext(ctx, "there is room on the disk again", slog.String("directory", d.dir), room)
	}
}

// admit returns nil, or why nothing can be written.
func (d *disk) admit() error {
	if d == nil || !d.low.Load() {
		return nil
	}
	return errDiskLow
}

var errDiskLow = failure.New(failure.Overloaded, "DISK_LOW", "the disk has too little room left to store more; reads go on; make room, then try again with the same id")

// mebibytes is a flag: a number of MiB.
type mebibytes struct{ bytes *uint64 }

// String is for package pflag.
func (m mebibytes) String() string {
	if m.bytes == nil {
		return ""
	}
	return strconv.FormatUint(*m.bytes>>20, 10)
}

// Set is for package pflag.
func (m mebibytes) Set(text string) error {
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("it is a whole number of MiB, such as %d", defaultReserve)
	}
	*m.bytes = number << 20
	return nil
}

// Type is for package pflag.
func (m mebibytes) Type() string { return "MiB" }
