package main

import (
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// The heap is collected when it has grown by the headroom, or has doubled where that is more; a heap with much alive is collected before it passes ample bytes, but
// may grow by leastPercent. A collection costs processor time in proportion to what is alive, and a command allocates the same whatever that is: with little alive,
// Go's own setting (collect when the heap has doubled) would collect all the time. A process with the default account cache and a million accounts stays below 3 GiB.
const (
	headroom     = 1 << 30
	ample        = 2688 << 20
	leastPercent = 45
	// beside the heap's objects is what the process may have: the room between them, stacks, and what the collector needs itself.
	beside = 256 << 20
	// headroomShare of the machine's memory, for what is beside the heap too, and ampleShare of it, are the most where that is less.
	headroomShare = 8
	ampleShare    = 2
)

// keepHeadroom has the garbage collector leave that room, unless the environment says otherwise.
func keepHeadroom() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	available, set := availableBytes(), 0
	adjust := func() {
		percent, limit := collectAt(aliveBytes(), available)
		if percent != set { // setting it stops the world
			set = percent
			debug.SetGCPercent(percent)
			debug.SetMemoryLimit(limit) // has the runtime give back what a heap that was larger for a moment left
		}
	}
	adjust()
	go func() {
		for range time.Tick(lookAgain) {
			adjust()
		}
	}()
}

// lookAgain is how often it is looked what was alive at the last collection.
const lookAgain = 50 * time.Millisecond

// collectAt returns by how many percent a heap with so many bytes alive may grow until it is collected, on a machine with so many bytes available, and how many bytes the
// whole process may take.
func collectAt(alive, available uint64) (percent int, limit int64) {
	const least = 16 << 20 // a process that has just begun
	alive = max(alive, least)
	wanted := max(2*alive, alive+min(headroom, available/headroomShare))
	most := min(ample, available/ampleShare)
	if wanted > most {
		wanted = max(most, alive+alive*leastPercent/100)
	}
	return int((wanted - alive) * 100 / alive), int64(max(most, wanted) + min(beside, available/headroomShare))
}

// availableBytes is how much memory the process may use: that of the machine, or of its container where that is less. Where a system does not tell, there is plenty.
func availableBytes() uint64 {
	available := uint64(math.MaxUint64)
	if machine, err := os.ReadFile("/proc/meminfo"); err == nil {
		available = min(available, machineBytes(string(machine)))
	}
	if container, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		available = min(available, containerBytes(string(container)))
	}
	return available
}

var memTotal = regexp.MustCompile(`(?m)^MemTotal:\s+([0-9]+) kB$`)

// machineBytes reads /proc/meminfo.
// https://docs.kernel.org/filesystems/proc.html#meminfo
func machineBytes(meminfo string) uint64 {
	if found := memTotal.FindStringSubmatch(meminfo); found != nil {
		if kibibytes, err := strconv.ParseUint(found[1], 10, 54); err == nil {
			return kibibytes << 10
		}
	}
	return math.MaxUint64
}

// containerBytes reads memory.max of a control group: a number, or "max".
// https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
func containerBytes(most string) uint64 {
	if bytes, err := strconv.ParseUint(strings.TrimSpace(most), 10, 64); err == nil {
		return bytes
	}
	return math.MaxUint64
}

// aliveBytes returns what was alive at the last collection.
func aliveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
