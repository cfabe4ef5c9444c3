//go:build unix

package engine_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cardlog/cardlog/services/internal/engine"
)

// BenchmarkSubmit has callers wait for durable answers of the smallest domain: what is left is the engine, the append and the sync. CPU is of the whole process, and what
// to compare on a machine with other load.
func BenchmarkSubmit(b *testing.B) {
	for _, callers := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			p := startPlant(b)
			var number atomic.Int64
			began := cpuTime(b)
			b.ReportAllocs()
			b.SetParallelism(max(1, callers/2)) // for each of two processors
			if callers == 1 {
				for b.Loop() {
					p.submit(b, number.Add(1))
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						p.submit(b, number.Add(1))
					}
				})
			}
			b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(number.Load()), "cpu-µs/op")
		})
	}
}

// BenchmarkSubmitToFewInMemory is BenchmarkSubmit with 256 callers while a tenth of the accounts are in memory: nine of ten commands wait until theirs is loaded, and
// each event's state is written when its account leaves. The other case keeps all in memory, with checkpoints.
func BenchmarkSubmitToFewInMemory(b *testing.B) {
	for name, inMemory := range map[string]int{"a tenth": 500, "all": 5000} {
		b.Run(name, func(b *testing.B) {
			first := startPlant(b)
			first.stop(b)
			p := runKeepingPlant(b, first.stream, engine.Checkpoints{Dir: b.TempDir(), InMemory: inMemory, Every: 50_000})
			var number atomic.Int64
			for range 5000 {
				p.submit(b, number.Add(1))
			}
			began, before := cpuTime(b), number.Load()
			b.ReportAllocs()
			b.SetParallelism(128)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					p.submit(b, number.Add(1))
				}
			})
			b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(number.Load()-before), "cpu-µs/op")
			p.stop(b)
		})
	}
}

func (p *plant) submit(b *testing.B, number int64) {
	account := "account-" + strconv.FormatInt(number%5000, 10)
	if _, err := p.Submit(b.Context(), &add{account: account, id: "id-" + strconv.FormatInt(number, 10), content: "one"}); err != nil {
		b.Error(err)
	}
}

// cpuTime is the processor time that this process has taken.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
