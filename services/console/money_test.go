package console

import (
	"math"
	"strings"
	"testing"
)

func TestMoneyIsWrittenByItsCurrency(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		minor    int64
		currency string
		want     string
	}{
		{123456, "GBP", "£1,234.56"}, {-5, "GBP", "−£0.05"}, {0, "EUR", "€0.00"}, {100000000, "USD", "$1,000,000.00"},
		{1234, "JPY", "¥1,234"}, {0, "JPY", "¥0"}, {1234567, "KWD", "KWD\u00a01,234.567"}, {5, "BHD", "BHD\u00a00.005"}, {12345, "CLF", "CLF\u00a01.2345"},
		{100, "CHF", "CHF\u00a01.00"}, {math.MinInt64, "GBP", "−£92,233,720,368,547,758.08"},
	} {
		if got := formatMinor(row.minor, row.currency); got != row.want {
			t.Errorf("%d %s is written %q, want %q", row.minor, row.currency, got, row.want)
		}
	}
	if got := formatMoney(nil); got != "–" {
		t.Errorf("no amount is written %q", got)
	}
}

func TestMoneyIsReadAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text, currency string
		want           int64
		refused        string // words of the sentence
	}{
		{text: "12", currency: "GBP", want: 1200}, {text: "12.5", currency: "GBP", want: 1250}, {text: " 1,234.56 ", currency: "GBP", want: 123456},
		{text: "£9.99", currency: "GBP", want: 999}, {text: "-3", currency: "GBP", want: -300}, {text: "12.", currency: "GBP", want: 1200},
		{text: "500", currency: "JPY", want: 500}, {text: "1.234", currency: "KWD", want: 1234}, {text: "KWD 2", currency: "KWD", want: 2000},
		{text: "", currency: "GBP", refused: "enter an amount"}, {text: "ten", currency: "GBP", refused: "such as 12.34"}, {text: "12.345", currency: "GBP", refused: "at most 2 decimals"},
		{text: "5.5", currency: "JPY", refused: "no decimals"}, {text: ".5", currency: "GBP", refused: "such as"}, {text: "1e3", currency: "GBP", refused: "such as"},
		{text: "99999999999999999999", currency: "GBP", refused: "such as"}, {text: "--1", currency: "GBP", refused: "such as"},
	} {
		got, err := parseMoney(row.text, row.currency)
		switch {
		case row.refused == "" && (err != nil || got.GetMinorUnits() != row.want || got.GetCurrencyCode() != row.currency):
			t.Errorf("%q in %s is read as %v, %v; want %d", row.text, row.currency, got, err, row.want)
		case row.refused != "" && (err == nil || !strings.Contains(err.Error(), row.refused)):
			t.Errorf("%q in %s is read as %v, %v; want it refused with %q", row.text, row.currency, got, err, row.refused)
		}
	}
}

func TestMoneyWrittenIntoAFieldIsReadBackTheSame(t *testing.T) {
	t.Parallel()
	for _, currency := range []string{"GBP", "JPY", "KWD", "CLF"} {
		for _, minor := range []int64{0, 1, 10, 99, 100, 12345, 1_000_000_000_000_000} {
			read, err := parseMoney(plainMinor(minor, currency), currency)
			if err != nil || read.GetMinorUnits() != minor {
				t.Errorf("%d %s is in a field as %q and read back as %v, %v", minor, currency, plainMinor(minor, currency), read, err)
			}
		}
	}
	if usual("GBP") != 2250 || usual("JPY") != 2250 || usual("KWD") != 22500 {
		t.Errorf("forms begin with %d, %d, %d", usual("GBP"), usual("JPY"), usual("KWD"))
	}
}
