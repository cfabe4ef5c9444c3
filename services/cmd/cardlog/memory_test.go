package main

import (
	"math"
	"testing"
)

func TestTheHeapMayGrowByTheHeadroomOrDouble(t *testing.T) {
	t.Parallel()
	const plenty, container = 24 << 30, 512 << 20
	for _, row := range []struct {
		alive, available uint64
		want             int
	}{
		{1 << 20, plenty, 6400}, // as if it were 16 MiB
		{64 << 20, plenty, 1600},
		{256 << 20, plenty, 400},
		{1 << 30, plenty, 100},
		{1536 << 20, plenty, 75}, // to 2688 MiB
		{4 << 30, plenty, 45},
		{64 << 20, math.MaxUint64, 1600}, // it is not known how much there is
		{16 << 20, container, 400},       // by an eighth
		{100 << 20, container, 100},      // it has doubled
		{200 << 20, container, 45},
	} {
		if got := collectAt(row.alive, row.available); got != row.want {
			t.Errorf("with %d of %d MiB alive it may grow by %d %%, want %d %%", row.alive>>20, row.available>>20, got, row.want)
		}
	}
}

func TestTheMemoryOfTheMachineAndOfItsContainerAreRead(t *testing.T) {
	t.Parallel()
	for what, pair := range map[string][2]uint64{
		"a machine":            {machineBytes("MemFree:  1 kB\nMemTotal:       24579712 kB\n"), 24579712 << 10},
		"a machine, unread":    {machineBytes("MemTotal: plenty\n"), math.MaxUint64},
		"a container":          {containerBytes("536870912\n"), 512 << 20},
		"a container, no ends": {containerBytes("max\n"), math.MaxUint64},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s has %d bytes, want %d", what, pair[0], pair[1])
		}
	}
}
