//go:build !linux

package bench

import (
	"context"
	"time"
)

// usage is what a process has used of the machine: it is read on Linux only.
type usage struct {
	cpu time.Duration
	rss int64
}

func usageOf(int) usage { return usage{} }

// Memory is the memory that a process has, in bytes: it is read on Linux only.
func Memory(int) int64 { return 0 }

func busyShare(context.Context, time.Duration) float64 { return -1 }

func inMemory(string) bool { return false }

func ownCPU() time.Duration { return 0 }
