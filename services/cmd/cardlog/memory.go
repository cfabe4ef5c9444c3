package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is how much is allocated between two garbage collections at least, in bytes. A collection costs processor time in proportion to what is alive, a command
// allocates the same whatever that is: with little alive, Go's own setting (collect when the heap has doubled) would collect all the time.
const headroom = 512 << 20

// keepHeadroom has the garbage collector run when the heap has grown by headroom, or has doubled where that is more, unless the environment says otherwise.
func keepHeadroom() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(collectAt(aliveBytes()))
	afterCollection(func() { debug.SetGCPercent(collectAt(aliveBytes())) })
}

// defaultPercent is Go's own growth of the heap between two collections.
const defaultPercent = 100

// A heap with much alive need not double: up to ample bytes it may, beyond that it is collected when it has grown by leastPercent. A process with the default
// account cache and a million accounts then stays below 3 GiB.
const (
	ample        = 2560 << 20
	leastPercent = 50
)

// collectAt returns by how many percent a heap with so many bytes alive may grow until it is collected.
func collectAt(alive uint64) int {
	const least = 16 << 20 // a process that has just begun
	alive = max(alive, least)
	if 2*alive > ample {
		return max(leastPercent, int(ample*100/alive)-100)
	}
	return max(defaultPercent, int(headroom*100/alive))
}

// aliveBytes returns what was alive at the last collection.
func aliveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// mark is something that nobody holds: it is finalized by the next collection.
type mark struct {
	then func()
}

// afterCollection calls then soon after each garbage collection: at once, because what was alive can have grown much since the one before.
func afterCollection(then func()) {
	runtime.SetFinalizer(&mark{then}, func(m *mark) {
		m.then()
		afterCollection(m.then)
	})
}
