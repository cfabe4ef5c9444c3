package vault

import (
	"bytes"
	"testing"
)

func TestSealedDataOpensForItsAccountOnly(t *testing.T) {
	t.Parallel()
	plain := []byte("Ada Lovelace")
	key := &DataKey{account: "acct-1", secret: bytes.Repeat([]byte{1}, keySize)}
	sealed, err := key.Seal(plain)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := key.Open(sealed); err != nil || !bytes.Equal(opened, plain) {
		t.Errorf("opened %q, %v", opened, err)
	}
	if len(sealed) != 12+len(plain)+16 || bytes.Contains(sealed, plain) { // nonce, text, tag
		t.Errorf("sealed %x", sealed)
	}
	if again, _ := key.Seal(plain); bytes.Equal(again, sealed) {
		t.Error("sealed twice, it looks the same: the nonce is not random")
	}
	tampered := bytes.Clone(sealed)
	tampered[len(tampered)-1] ^= 1
	for name, attempt := range map[string]struct {
		key    *DataKey
		sealed []byte
	}{
		"another account's": {&DataKey{account: "acct-2", secret: key.secret}, sealed},
		"another key":       {&DataKey{account: "acct-1", secret: bytes.Repeat([]byte{2}, keySize)}, sealed},
		"tampered with":     {key, tampered},
		"cut short":         {key, sealed[:11]},
		"empty":             {key, nil},
	} {
		if opened, err := attempt.key.Open(attempt.sealed); err == nil {
			t.Errorf("%s: opened %q", name, opened)
		}
	}
}

func TestDigestKeysDiffer(t *testing.T) {
	t.Parallel()
	one := &DataKey{account: "acct-1", secret: bytes.Repeat([]byte{1}, keySize)}
	other := &DataKey{account: "acct-1", secret: bytes.Repeat([]byte{2}, keySize)}
	a, err := one.DigestKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := other.DigestKey()
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != keySize || bytes.Equal(a, b) || bytes.Equal(a, one.secret) {
		t.Errorf("digest keys %x and %x", a, b)
	}
}
