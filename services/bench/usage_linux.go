package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process has used of the machine.
type usage struct {
	cpu time.Duration // user and system
	rss int64         // bytes of memory, now
}

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux that Go runs on.
const clockTick = time.Second / 100

// usageOf reads what a process has used; nothing for one that is gone.
func usageOf(pid int) (u usage) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	// After the name, which may have blanks: state is the first field, utime the 12th, stime the 13th and rss, in pages, the 22nd.
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 22 {
		return u
	}
	number := func(field int) int64 {
		value, _ := strconv.ParseInt(fields[field-1], 10, 64)
		return value
	}
	return usage{cpu: time.Duration(number(12)+number(13)) * clockTick, rss: number(22) * int64(os.Getpagesize())}
}

// Memory is the memory that a process has, in bytes; 0 where it cannot be read.
func Memory(pid int) int64 { return usageOf(pid).rss }

// busyShare is the share of all processors' time that is in use over a while; below zero where that cannot be read.
func busyShare(ctx context.Context, while time.Duration) float64 {
	busyBefore, allBefore := processors()
	await(ctx, time.Now().Add(while))
	busy, all := processors()
	if all <= allBefore {
		return -1
	}
	return float64(busy-busyBefore) / float64(all-allBefore)
}

// processors returns the time that all processors together were busy, and all of it, in ticks.
func processors() (busy, all int64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(first) {
		ticks, _ := strconv.ParseInt(field, 10, 64)
		if i > 8 { // guests are counted as users already
			break
		}
		all += ticks
		if i != 4 && i != 5 { // idle, and waiting for the disk
			busy += ticks
		}
	}
	return busy, all
}

// inMemory says whether a directory is in memory, not on a disk.
func inMemory(dir string) bool {
	const tmpfs = 0x01021994
	var system syscall.Statfs_t
	return syscall.Statfs(dir, &system) == nil && system.Type == tmpfs
}

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
