//go:build unix

package engine_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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
