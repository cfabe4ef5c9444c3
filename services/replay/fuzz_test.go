package replay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzReader reads any bytes as a purchase-card file. What it takes for a row keeps the bounds of the contract, lines come in order, and reading ends.
func FuzzReader(f *testing.F) {
	for _, file := range []string{
		"", header, lines(goodRow), "\uFEFF" + lines(goodRow), lines(goodRow, goodRow, "broken", "", goodRow),
		lines(strings.Replace(goodRow, "10.54", "-10000000000000.00", 1)), lines(strings.Replace(goodRow, "10.54", "99999999999999999999.99", 1)),
		lines(strings.Replace(goodRow, "asda", `"asda, ""home""`, 1)), lines(strings.Replace(goodRow, "asda", "\xff", 1)),
		lines(strings.Repeat("x", maxLineBytes+1), goodRow), strings.ReplaceAll(lines(goodRow), "\n", "\r\n"),
	} {
		f.Add([]byte(file))
	}
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		reader, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for line := 1; ; {
			row, err := reader.Read()
			var broken *RowError
			switch {
			case errors.As(err, &broken):
				if broken.Line <= line || broken.Reason == "" {
					t.Fatalf("after line %d it tells %v", line, broken)
				}
				line = broken.Line
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				if zipped := bytes.HasPrefix(file, []byte{0x1f, 0x8b}); !zipped {
					t.Fatalf("bytes in memory cannot be read: %v", err)
				}
				return
			default:
				checkRow(t, row, line)
				if ids[row.ID()] {
					t.Fatalf("line %d has an id that was there before", row.Line)
				}
				line, ids[row.ID()] = row.Line, true
			}
		}
	})
}

// checkRow fails the test when a row breaks a bound, or is not after a line.
func checkRow(t *testing.T, row Row, after int) {
	t.Helper()
	if row.Line <= after {
		t.Errorf("line %d comes after line %d", row.Line, after)
	}
	if row.Amount < -maxMinorUnits || row.Amount > maxMinorUnits || row.Merchant == "" || utf8.RuneCountInString(row.Merchant) > maxMerchantLength ||
		!utf8.ValidString(row.Merchant) || len(row.CardLast4) != 4 || len(row.Currency) != 3 || row.Date.Year() < 1 || row.Date.Year() > 9999 {
		t.Errorf("taken for a row: %+v", row)
	}
}
