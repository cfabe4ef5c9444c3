package console

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// exponent returns how many decimals a currency has by ISO 4217.
func exponent(currency string) int {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 0
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 3
	case "CLF", "UYW":
		return 4
	default:
		return 2
	}
}

// symbol returns what is written before an amount of a currency: a sign where nobody mistakes it, else the code.
func symbol(currency string) string {
	switch currency {
	case "EUR":
		return "€"
	case "GBP":
		return "£"
	case "INR":
		return "₹"
	case "JPY":
		return "¥"
	case "USD":
		return "$"
	default:
		return currency + "\u00a0"
	}
}

// formatMoney writes an amount for people, such as −£1,234.56; a dash where there is none.
func formatMoney(m *typev1.Money) string {
	if m == nil {
		return "–"
	}
	return formatMinor(m.GetMinorUnits(), m.GetCurrencyCode())
}

func formatMinor(minor int64, currency string) string {
	sign := ""
	if minor < 0 {
		sign = "\u2212"
	}
	return sign + symbol(currency) + grouped(plainMinor(minor, currency))
}

// plainMinor writes the size of an amount with its decimals and nothing else, as an input field has it.
func plainMinor(minor int64, currency string) string {
	size := uint64(minor)
	if minor < 0 {
		size = -size // as unsigned, which also holds for the smallest number
	}
	decimals := exponent(currency)
	digits := fmt.Sprintf("%0*d", decimals+1, size)
	if decimals == 0 {
		return digits
	}
	return digits[:len(digits)-decimals] + "." + digits[len(digits)-decimals:]
}

// grouped puts commas between thousands.
func grouped(number string) string {
	whole, rest, _ := strings.Cut(number, ".")
	var text strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			text.WriteByte(',')
		}
		text.WriteRune(digit)
	}
	if rest != "" {
		text.WriteByte('.')
		text.WriteString(rest)
	}
	return text.String()
}

// count writes a number with commas.
func count[N ~int | ~int64 | ~uint64](n N) string {
	if n < 0 {
		return "\u2212" + grouped(strconv.FormatUint(-uint64(n), 10))
	}
	return grouped(strconv.FormatUint(uint64(n), 10))
}

// amountDigits is how many digits an amount may have: more than any that the services take.
const amountDigits = 16

// parseMoney reads an amount as people write it: 12, 12.5, 1,234.56. The error says what is wrong for who typed it.
func parseMoney(text, currency string) (*typev1.Money, error) {
	text = strings.ReplaceAll(strings.TrimSpace(text), ",", "")
	text = strings.TrimSpace(strings.TrimPrefix(text, strings.TrimSpace(symbol(currency))))
	if text == "" {
		return nil, errors.New("please enter an amount")
	}
	negative := strings.HasPrefix(text, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	decimals := exponent(currency)
	if len(fraction) > decimals {
		return nil, fmt.Errorf("%s has %s", currency, decimalsOf(decimals))
	}
	digits := whole + fraction + strings.Repeat("0", decimals-len(fraction))
	minor, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || len(digits) > amountDigits || whole == "" {
		return nil, fmt.Errorf("please enter an amount such as %s", plainMinor(1234, currency))
	}
	amount := int64(minor)
	if negative {
		amount = -amount
	}
	return &typev1.Money{CurrencyCode: currency, MinorUnits: amount}, nil
}

func decimalsOf(decimals int) string {
	switch decimals {
	case 0:
		return "no decimals"
	default:
		return fmt.Sprintf("at most %d decimals", decimals)
	}
}
