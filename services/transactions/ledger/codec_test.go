package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"runtime"
	"testing"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/codec/codectest"
)

// Whatever is in an account must be in its checkpoint. A field that is added and not coded fails here.
func TestEveryFieldOfAnAccountIsEncoded(t *testing.T) {
	t.Parallel()
	var special codectest.Special
	special.Fill = func(pointer any, next func() int) bool {
		switch at := pointer.(type) {
		case **typev1.SpendingControls:
			*at = &typev1.SpendingControls{LockedMerchantId: fmt.Sprint(next())}
		case *remembered:
			at.set(fingerprint(next()), uint64(next()))
			at.set(fingerprint(1<<63+uint64(next())), 1)
		case *openTransactions: // places follow from the heap
			for range 2 * fewOpen {
				at.set(openTransaction{mark: fingerprint(next()), last: uint64(next()), held: int64(next()), withheld: int64(next()), dueAt: int64(next()), record: []byte{byte(next())}})
			}
		case *[]recalledEvent, **Transaction: // for one command only
		default:
			return false
		}
		return true
	}
	special.Same = func(a, b any) (same, compared bool) {
		left, is := a.(remembered)
		right, _ := b.(remembered)
		return is && maps.Equal(maps.Collect(left.each), maps.Collect(right.each)), is
	}
	full := New("")
	codectest.Fill(t, full, special)
	var one openTransaction
	codectest.Fill(t, &one, special) // so that a field that is new is filled too
	full.open.set(one)
	decoded, err := Decode(full.Encode(nil))
	if err != nil {
		t.Fatal(err)
	}
	codectest.Same(t, full, decoded, special)
}

// What is cut short or has something added is not an account; whatever it is, reading it does no harm.
func TestBytesThatAreNoAccount(t *testing.T) {
	t.Parallel()
	encoded := newBook(t, BuiltInRules()).run(past).account.Encode(nil)
	if _, err := Decode(encoded); err != nil {
		t.Fatal(err)
	}
	for length := range encoded {
		if _, err := Decode(encoded[:length]); err == nil {
			t.Fatalf("%d of %d bytes are an account", length, len(encoded))
		}
	}
	if _, err := Decode(append(encoded, 0)); err == nil {
		t.Error("there is something behind the account")
	}
	for at := range encoded {
		damaged := append([]byte(nil), encoded...)
		damaged[at] ^= 0xFF
		_, _ = Decode(damaged)
	}
}

// What Apply makes of events, and how it is encoded, belongs to a version. When this test fails because either was changed, raise FoldVersion, so that no checkpoint
// made by the old code is taken for one of the new, and write the new sum down here.
func TestFoldVersion(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(past)
	sum := sha256.New()
	a := b.account
	ids := a.ids
	a.ids = remembered{} // they come in no order
	sum.Write(a.Encode(nil))
	for _, began := range a.order {
		fmt.Fprint(sum, began)
	}
	fmt.Fprint(sum, ids.count)
	a.ids = ids
	const version, want = 1, "dfae022dd049fd54"
	if got := hex.EncodeToString(sum.Sum(nil)[:8]); FoldVersion != version || got != want {
		t.Errorf("FoldVersion %d makes %s, want %d and %s", FoldVersion, got, version, want)
	}
}

// typicalAccount returns the book of an account with 2 cards, 5 open holds and 100 remembered ids.
func typicalAccount(t tb) *book {
	b := newBook(t, BuiltInRules()).run("card c2 active 12/2030")
	for i := 1; i <= 35; i++ {
		wait := "60h"
		if i > 30 {
			wait = "5h"
		}
		b.run(fmt.Sprintf("wait "+wait+"\nauthorize purchase-2026-%03d 10.%02d card c%d merchant merchant-%05d | 00 approved 10.%02d, held 10.%02d", i, i, 1+i%2, 10_000+i%7, i, i))
		if i <= 30 {
			b.run(fmt.Sprintf("present presentment-%03d 10.%02d of purchase-2026-%03d", i, i, i))
		}
	}
	if a := b.account; len(a.cards) != 2 || a.open.Len() != 5 || len(a.order) != 35 || a.ids.count != 65 { // the ids of the 35 authorizations are those of the purchases
		t.Fatalf("%d cards, %d open holds, %d transactions, %d ids", len(a.cards), a.open.Len(), len(a.order), a.ids.count)
	}
	return b
}

// BenchmarkAccountMemory tells the bytes of heap of a typical account: folded from its events, and decoded from a checkpoint.
func BenchmarkAccountMemory(b *testing.B) {
	typical := typicalAccount(b)
	encoded := typical.account.Encode(nil)
	b.Run("folded", func(b *testing.B) {
		reportMemory(b, func() *Account {
			a := New(string([]byte(testAccount)))
			for _, e := range typical.log {
				a.Apply(typical.decode(e.data), e.sequence)
			}
			return a
		})
	})
	b.Run("decoded", func(b *testing.B) {
		b.ReportMetric(float64(len(encoded)), "B/encoded")
		reportMemory(b, func() *Account {
			a, err := Decode(encoded)
			if err != nil {
				b.Fatal(err)
			}
			return a
		})
	})
}

// BenchmarkEncode and BenchmarkDecode tell what a checkpoint of a typical account costs.
func BenchmarkEncode(b *testing.B) {
	a := typicalAccount(b).account
	var buffer []byte
	for b.Loop() {
		buffer = a.Encode(buffer[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	encoded := typicalAccount(b).account.Encode(nil)
	for b.Loop() {
		if _, err := Decode(encoded); err != nil {
			b.Fatal(err)
		}
	}
}

// reportMemory reports the bytes of heap that one of many accounts takes.
func reportMemory(b *testing.B, build func() *Account) {
	const many = 1000
	accounts := make([]*Account, many)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		for i := range accounts {
			accounts[i] = build()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/account")
	runtime.KeepAlive(accounts)
}
