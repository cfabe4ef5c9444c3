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
		limit            int64 // MiB
	}{
		{1 << 20, plenty, 6400, 2944}, // as if it were 16 MiB
		{64 << 20, plenty, 1600, 2944},
		{256 << 20, plenty, 400, 2944},
		{1 << 30, plenty, 100, 2944},
		{1536 << 20, plenty, 75, 2944}, // to 2688 MiB
		{4 << 30, plenty, 44, 6195},
		{64 << 20, math.MaxUint64, 1600, 2944}, // it is not known how much there is
		{16 << 20, container, 400, 320},        // by an eighth
		{100 << 20, container, 100, 320},       // it has doubled
		{200 << 20, container, 45, 354},
	} {
		if percent, limit := collectAt(row.alive, row.available); percent != row.want || limit>>20 != row.limit {
			t.Errorf("with %d of %d MiB alive it may grow by %d %%, to %d MiB in all, want %d %%, %d MiB", row.alive>>20, row.available>>20, percent, limit>>20, row.want, row.limit)
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
