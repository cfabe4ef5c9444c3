package vault

import (
	"crypto/rand"
	"fmt"
	"math/big"
	"strings"
)

// cardNumberLength is the number of digits of the card numbers that are made (ISO/IEC 7812 allows 8 to 19; networks use 16).
const cardNumberLength = 16

// CheckBIN returns an error when a bank identification number cannot begin a card number.
func CheckBIN(bin string) error {
	if len(bin) < 4 || len(bin) > 10 || strings.Trim(bin, "0123456789") != "" {
		return fmt.Errorf("a BIN has 4 to 10 digits, not %q", bin)
	}
	return nil
}

// NewCardNumber makes a random card number that begins with a BIN and ends with a valid check digit.
func NewCardNumber(bin string) string {
	var number strings.Builder
	number.WriteString(bin)
	for number.Len() < cardNumberLength-1 {
		digit, err := rand.Int(rand.Reader, big.NewInt(10))
		if err != nil {
			panic(err) // the system has no randomness: nothing secret can be made
		}
		number.WriteByte('0' + byte(digit.Int64()))
	}
	payload := number.String()
	return payload + string(luhnDigit(payload))
}

// LuhnValid says whether a card number's last digit is its check digit.
func LuhnValid(number string) bool {
	return len(number) > 1 && luhnDigit(number[:len(number)-1]) == number[len(number)-1]
}

// luhnDigit returns the check digit of a payload (ISO/IEC 7812-1, annex B).
func luhnDigit(payload string) byte {
	sum := 0
	for i := range len(payload) {
		digit := int(payload[len(payload)-1-i] - '0')
		if i%2 == 0 {
			digit *= 2
			if digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return '0' + byte((10-sum%10)%10)
}
