package vault

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secret is a key file's text.
const secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func writeKey(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func TestReadKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		mode       fs.FileMode
		want       error // nil where any error will do
		ok         bool
	}{
		{"a key", secret + "\n", 0o600, nil, true},
		{"without a line's end", secret, 0o600, nil, true},
		{"in capitals", strings.ToUpper(secret), 0o600, nil, true},
		{"that only its owner reads", secret, 0o400, nil, true},
		{"that everyone reads", secret, 0o644, ErrKeyOpen, false},
		{"that its group reads", secret, 0o640, ErrKeyOpen, false},
		{"that others write", secret, 0o602, ErrKeyOpen, false},
		{"empty", "", 0o600, nil, false},
		{"too short", secret[2:], 0o600, nil, false},
		{"too long", secret + "20", 0o600, nil, false},
		{"not hexadecimal", "g" + secret[1:], 0o600, nil, false},
		{"two of them", secret + "\n" + secret, 0o600, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := writeKey(t, test.text, test.mode)
			key, err := ReadKey(path)
			switch {
			case test.ok != (err == nil), test.ok != (key != nil), test.want != nil && !errors.Is(err, test.want):
				t.Errorf("%v", err)
			case err != nil && !strings.Contains(err.Error(), path):
				t.Errorf("%q does not name the file", err)
			case err != nil && strings.Contains(err.Error(), secret[2:20]):
				t.Errorf("%q tells the secret", err)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		if _, err := ReadKey(filepath.Join(t.TempDir(), "key")); !errors.Is(err, ErrKeyMissing) {
			t.Errorf("%v", err)
		}
	})
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		folder := t.TempDir()
		if err := os.Chmod(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(folder); err == nil || errors.Is(err, ErrKeyMissing) {
			t.Errorf("%v", err)
		}
	})
}

func TestCreateKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	created, err := CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	read, err := ReadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !same(created, read) {
		t.Error("the key that was created is not the one in the file")
	}
	before, _ := os.ReadFile(path)
	if _, err := CreateKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over a key: %v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the key was overwritten")
	}
	other, err := CreateKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	if same(created, other) || created.Check() == other.Check() {
		t.Error("two keys are the same")
	}
	if _, err := CreateKey(filepath.Join(t.TempDir(), "no", "key")); err == nil {
		t.Error("created a key in a folder that does not exist")
	}
}

// same says whether two keys do the same.
func same(a, b *MasterKey) bool {
	return a.Check() == b.Check() && string(a.Fingerprint("4111111111111111")) == string(b.Fingerprint("4111111111111111")) &&
		a.Name("card-", "r1") == b.Name("card-", "r1") && string(a.wrapping) == string(b.wrapping)
}

// What hangs on the key is stored for ever. The values are computed by other means (RFC 5869 and RFC 2104).
func TestWhatHangsOnAKeyNeverChanges(t *testing.T) {
	t.Parallel()
	key, err := ReadKey(writeKey(t, secret, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []struct{ name, got, want string }{
		{"check", key.Check(), "9970fd4ddc6e90ce"},
		{"fingerprint", hex.EncodeToString(key.Fingerprint("4111111111111111")), "739e36a26800e9508eb8ae206f6db511e07fe34ecbd1a40193d2c5f62dc41027"},
		{"name", key.Name("card-", "acct-1", "req-1"), "card-25867842c8e1d1908e0ab44d"},
	} {
		if value.got != value.want {
			t.Errorf("%s %s, want %s", value.name, value.got, value.want)
		}
	}
}

func TestNamesAreApart(t *testing.T) {
	t.Parallel()
	key, err := ReadKey(writeKey(t, secret, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range []string{key.Name("card-", "ab", "c"), key.Name("card-", "a", "bc"), key.Name("card-", "abc"), key.Name("acct-", "abc"), key.Name("card-")} {
		if seen[name] {
			t.Errorf("%s twice", name)
		}
		seen[name] = true
	}
}

func TestFingerprintsAreApart(t *testing.T) {
	t.Parallel()
	key, err := ReadKey(writeKey(t, secret, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if string(key.Fingerprint("4111111111111111")) == string(key.Fingerprint("4111111111111129")) {
		t.Error("two card numbers have one fingerprint")
	}
}
