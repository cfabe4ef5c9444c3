package vault

import (
	"strings"
	"testing"
)

func TestLuhnValid(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]bool{
		"4111111111111111":    true, // the networks' test numbers
		"5555555555554444":    true,
		"378282246310005":     true,
		"6011111111111117":    true,
		"30569309025904":      true,
		"79927398713":         true, // the example of ISO/IEC 7812-1
		"79927398710":         false,
		"4111111111111112":    false, // one digit off
		"1411111111111111":    false, // two digits swapped
		"0000000000000000":    true,
		"4111111111111111111": false,
		"18":                  true,
		"8":                   false,
		"":                    false,
	} {
		if got := LuhnValid(number); got != want {
			t.Errorf("%q: %v, want %v", number, got, want)
		}
	}
}

func TestCheckBIN(t *testing.T) {
	t.Parallel()
	for bin, want := range map[string]bool{
		"4000": true, "400000": true, "40000000": true, "4000000000": true,
		"": false, "400": false, "40000000000": false, "4000a0": false, "4000 00": false, "-40000": false, "４０００００": false,
	} {
		if err := CheckBIN(bin); (err == nil) != want {
			t.Errorf("%q: %v", bin, err)
		}
	}
}

func TestNewCardNumber(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, bin := range []string{"4000", "400000", "4000000000"} {
		for range 100 {
			number := NewCardNumber(bin)
			if len(number) != 16 || !strings.HasPrefix(number, bin) || strings.Trim(number, "0123456789") != "" || !LuhnValid(number) {
				t.Fatalf("BIN %s: %s", bin, number)
			}
			seen[number] = true
		}
	}
	if len(seen) < 295 { // 100 of 100 000 are hardly twice the same
		t.Errorf("only %d of 300 numbers differ", len(seen))
	}
}
