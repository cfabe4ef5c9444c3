package command

import (
	"encoding/hex"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestFieldsDoNotRunIntoEachOther(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for name, pair := range map[string][2]Digest{
		"texts":                     {NewDigest().Text("ab", "c"), NewDigest().Text("a", "bc")},
		"a text that is empty":      {NewDigest().Text("a", ""), NewDigest().Text("", "a")},
		"no text and an empty":      {NewDigest(), NewDigest().Text("")},
		"one text and two":          {NewDigest().Text("ab"), NewDigest().Text("a", "b")},
		"a text like a length":      {NewDigest().Text("\x00\x00\x00\x00\x00\x00\x00\x01a"), NewDigest().Text("a", "")},
		"numbers":                   {NewDigest().Number(1).Number(23), NewDigest().Number(12).Number(3)},
		"a number and its negative": {NewDigest().Number(1), NewDigest().Number(-1)},
		"flags":                     {NewDigest().Flag(true).Flag(false), NewDigest().Flag(false).Flag(true)},
		"moments":                   {NewDigest().Time(timestamppb.New(noon)), NewDigest().Time(timestamppb.New(noon.Add(time.Nanosecond)))},
		"a moment and none":         {NewDigest().Time(timestamppb.New(time.Unix(0, 0))), NewDigest().Time(nil)},
		"no moment, then a number":  {NewDigest().Time(nil).Number(5), NewDigest().Time(timestamppb.New(time.Unix(5, 0)))},
	} {
		if string(pair[0].Sum()) == string(pair[1].Sum()) {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func TestTheSameContentHasTheSameDigest(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	there := noon.In(time.FixedZone("somewhere", 3600))
	a, b := NewDigest().Text("a", "b").Time(timestamppb.New(noon)).Sum(), NewDigest().Text("a").Text("b").Time(timestamppb.New(there)).Sum()
	if string(a) != string(b) || len(a) != DigestSize {
		t.Errorf("%x and %x", a, b)
	}
}

func TestAKeyedDigestNeedsItsKey(t *testing.T) {
	t.Parallel()
	digests := map[string]string{}
	for name, d := range map[string]Digest{"no key": NewDigest(), "a key": NewKeyedDigest([]byte("key")), "another key": NewKeyedDigest([]byte("yek"))} {
		digest := string(d.Text("Ada Lovelace").Sum())
		if other, same := digests[digest]; same {
			t.Errorf("%s and %s give the same digest", name, other)
		}
		digests[digest] = name
	}
}

// Digests are stored for ever: a command that is repeated after an update must have the digest that it had before. The values are computed by other means.
func TestDigestsNeverChange(t *testing.T) {
	t.Parallel()
	for want, digest := range map[string]Digest{
		"e341d1e51686691eb6bf131a9897c493": NewDigest(),
		"875e3a6c536ff701504e8f884b3139f2": NewKeyedDigest([]byte("key")),
	} {
		moment := time.Date(2026, time.March, 1, 12, 0, 0, 5000, time.UTC)
		if got := hex.EncodeToString(digest.Text("acct").Number(-45).Flag(true).Time(timestamppb.New(moment)).Sum()); got != want {
			t.Errorf("digest %s, want %s", got, want)
		}
	}
}

// The content of a digest without a key is not on the heap: several are made for each command.
func TestADigestAllocatesNothingElse(t *testing.T) {
	text := "a merchant's name"
	if n := testing.AllocsPerRun(100, func() { _ = NewDigest().Text(text, text, text).Number(5).Flag(true).Sum() }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
