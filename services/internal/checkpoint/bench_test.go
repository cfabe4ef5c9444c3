package checkpoint

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

const many = 1_000_000

func manyKey(i int) string { return fmt.Sprintf("acct-%015d", i) }

// heapAfter reports what of the heap each of many entries has that fill makes, and how long the garbage collector looks at all of them.
func heapAfter(b *testing.B, fill func() (kept any)) {
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		kept := fill()
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		begun := time.Now()
		for range 5 {
			runtime.GC()
		}
		b.ReportMetric(float64(time.Since(begun).Microseconds())/5000, "ms/GC")
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/many, "heap-B/entry")
		runtime.KeepAlive(kept)
	}
}

func manyRows() *Table {
	table := NewTable()
	for i := range many {
		table.Set(manyKey(i), fmt.Sprintf("%010d", i))
	}
	return table
}

func BenchmarkMemoryOfRows(b *testing.B) { heapAfter(b, func() any { return manyRows() }) }

func BenchmarkMemoryOfEntries(b *testing.B) {
	heapAfter(b, func() any {
		s := &Store{rows: newRows()}
		for i := range many {
			due := 1_790_000_000_000_000 + int64(i)
			s.rows.set(manyKey(i), s.row(nil, Entry{
				Sequence: uint64(i + 1), Due: due, Planned: due, Summary: fresh("\xe8\x07\xe9\x07"), Trusted: true,
				at: place{segment: 1 + uint32(i)>>18, offset: uint32(i) << 8 % segmentSize, size: 256},
			}))
		}
		return s
	})
}

// fresh makes a row anew, as a change does.
func fresh(row string) string { return string([]byte(row)) }

func BenchmarkTable(b *testing.B) {
	table := manyRows()
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = manyKey(i * 7919 % many)
	}
	rows := [...]string{"", "0123456789", "a123456789", "b12345678901", "c123456789012345"}
	run := func(name string, act func(key string, round int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				act(keys[i%len(keys)], i/len(keys))
			}
		})
	}
	run("Get", func(key string, _ int) { table.Get(key) })
	run("Set same length", func(key string, round int) { table.Set(key, fresh(rows[1+round%2])) })
	run("Set changed length", func(key string, round int) { table.Set(key, fresh(rows[round%len(rows)])) })
}
