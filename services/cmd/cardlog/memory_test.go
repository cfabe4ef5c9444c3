package main

import (
	"runtime"
	"testing"
)

func TestTheHeapMayGrowByTheHeadroomOrDouble(t *testing.T) {
	t.Parallel()
	for alive, want := range map[uint64]int{
		1 << 20:    3200, // as if it were 16 MiB
		64 << 20:   800,
		256 << 20:  200,
		512 << 20:  100,
		1 << 30:    100,
		1536 << 20: 66, // to 2.5 GiB
		4 << 30:    50,
	} {
		if got := collectAt(alive); got != want {
			t.Errorf("with %d MiB alive it may grow by %d %%, want %d %%", alive>>20, got, want)
		}
	}
}

func TestEachCollectionIsToldOf(t *testing.T) {
	t.Parallel()
	told := make(chan struct{}, 1)
	afterCollection(func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	for range 3 {
		runtime.GC()
		<-told
	}
}
