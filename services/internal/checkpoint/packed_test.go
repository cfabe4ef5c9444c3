package checkpoint

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A modelled packed is beside a map that must have the same rows.
type modelled struct {
	packed
	seed  maphash.Seed
	shift int // of the hashes: the more, the more keys have the same
	want  map[string]string
}

func (m *modelled) hash(key string) uint64 { return maphash.String(m.seed, key) << m.shift }

// cards draws the keys of some cards; one is empty, and one is long.
func cards(t *rapid.T) (keys []string) {
	first, many := rapid.IntRange(0, 300).Draw(t, "first"), rapid.SampledFrom([]int{1, 1, 1, 20, 100}).Draw(t, "many")
	for i := first; i < first+many; i++ {
		switch i {
		case 0:
			keys = append(keys, "")
		case 1:
			keys = append(keys, strings.Repeat("card", 50))
		default:
			keys = append(keys, fmt.Sprintf("card-%d", i))
		}
	}
	return keys
}

func (m *modelled) set(t *rapid.T) {
	length := rapid.OneOf(rapid.IntRange(0, 20), rapid.SampledFrom([]int{125, 126, 127, 128, 16382, 16383, 16384})).Draw(t, "length")
	for i, key := range cards(t) {
		row := strings.Repeat(string(rune('a'+i%26)), length)
		m.packed.set(m.hash(key), key, []byte(row))
		m.want[key] = row
	}
}

func (m *modelled) remove(t *rapid.T) {
	for _, key := range cards(t) {
		m.packed.remove(m.hash(key), key)
		delete(m.want, key)
	}
}

// check fails unless all is as in the map, and the counts are right.
func (m *modelled) check(t *rapid.T) {
	got, live := map[string]string{}, 0
	m.each(func(key, row []byte) bool {
		got[string(key)] = string(row)
		return true
	})
	for slot, of := range m.slots {
		if of != 0 {
			_, _, size := m.record(slot)
			live += size
		}
	}
	if !maps.Equal(got, m.want) || m.count != len(m.want) || m.live != live {
		t.Fatalf("%d rows, %d counted, %d bytes live, %d counted; want %d rows", len(got), m.count, live, m.live, len(m.want))
	}
	for _, key := range cards(t) {
		row, known := m.get(m.hash(key), key)
		if want, wanted := m.want[key]; known != wanted || string(row) != want {
			t.Fatalf("the row of %q is %q, %v; want %q, %v", key, row, known, want, wanted)
		}
	}
}

// Whatever is set and removed, and however long it is, a packed has what a map has.
func TestPackedRowsAreThoseOfAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &modelled{seed: maphash.MakeSeed(), shift: rapid.SampledFrom([]int{0, 58, 62}).Draw(t, "shift"), want: map[string]string{}}
		if rapid.Bool().Draw(t, "reserved") {
			m.reserve(rapid.IntRange(0, 500).Draw(t, "count"), rapid.IntRange(0, 50_000).Draw(t, "bytes"))
		}
		t.Repeat(map[string]func(*rapid.T){"set": m.set, "set more": m.set, "remove": m.remove, "trim": func(*rapid.T) { m.trim() }, "": m.check})
	})
}

// However often rows change, the data stay within a quarter more than what is live.
func TestPackedRowsMakeRoom(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	var p packed
	set := func(card, length int) {
		key := fmt.Sprintf("card-%d", card)
		p.set(maphash.String(seed, key), key, make([]byte, length))
	}
	for i := range 100_000 {
		set(i%1000, i/1000)
		set(1000+i, 5)
		key := fmt.Sprintf("card-%d", 1000+i)
		p.remove(maphash.String(seed, key), key)
	}
	if most := 1000 * (99 + 10) * 25 / 16; p.count != 1000 || cap(p.data) > most || len(p.slots) > 2000 {
		t.Errorf("%d cards in %d bytes and %d slots, want at most %d bytes", p.count, cap(p.data), len(p.slots), most)
	}
	before := &p.data[0]
	for i := range 100_000 {
		set(i%1000, i%90)
	}
	if before != &p.data[0] {
		t.Error("rows that fit are not set in their place")
	}
}

// What is reserved is room for what comes, and what was too much is given back.
func TestPackedRowsTakeWhatIsReserved(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	for name, reserved := range map[string]int{"as many": 1000, "too many": 10_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p packed
			p.reserve(reserved, 20*reserved)
			before := &p.data[0]
			for i := range 1000 {
				key := fmt.Sprintf("card-%04d", i)
				p.set(maphash.String(seed, key), key, []byte("in use"))
			}
			if before != &p.data[0] {
				t.Error("the data were moved")
			}
			p.trim()
			if p.count != 1000 || cap(p.data) > 1000*20*4/3 || len(p.slots) > 2008 {
				t.Errorf("%d cards in %d bytes and %d slots", p.count, cap(p.data), len(p.slots))
			}
		})
	}
}

// More than a slot can point to is refused, and what is there stays.
func TestPackedRowsHaveABound(t *testing.T) {
	t.Parallel()
	p := packed{}
	p.set(1, "a", []byte("1"))
	p.live = math.MaxInt32 - 10 // as if they were there
	defer func() {
		if row, known := p.get(1, "a"); recover() == nil || !known || string(row) != "1" || p.count != 1 {
			t.Errorf("%q, %v of %d", row, known, p.count)
		}
	}()
	p.set(2, "b", make([]byte, 1000))
}
