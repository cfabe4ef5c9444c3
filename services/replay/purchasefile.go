package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxLineBytes bounds one line of the file. The longest of the published rows has 94 bytes.
	maxLineBytes = 4096
	// maxMerchantLength is the contract's bound on a merchant's name, in characters.
	maxMerchantLength = 100
	// maxMinorUnits is the contract's bound on an amount of money, in minor units.
	maxMinorUnits = 1_000_000_000_000_000
)

// header is the first line of a purchase-card file. The order counts.
const header = "date,card_last4,merchant,amount,currency,original_amount,original_currency,category"

// columns is how many columns the header has.
const columns = 8

var (
	errNotAnAmount   = errors.New("amount is not a number with two decimals")
	errAmountTooHigh = errors.New("amount is out of range")
)

// Row is one line of a purchase-card file.
type Row struct {
	// Line is its line number in the file; the header is line 1.
	Line int
	// Date is the day of the transaction, midnight UTC.
	Date time.Time
	// CardLast4 is the last four digits of the card number.
	CardLast4 string
	// Merchant is the merchant's name as published.
	Merchant string
	// Amount is the billing amount in minor units. Below zero it is a credit to the card.
	Amount int64
	// Currency is the ISO 4217 code of the billing currency.
	Currency string
	// Category is the publisher's own cost code. It is not an MCC.
	Category string

	key [16]byte
}

// ID returns the row's id, row- and 32 hexadecimal digits. It is made from the row's content and from how many
// identical rows came before it, not from its place: it stays the same when other rows are added around it.
func (r Row) ID() string { return "row-" + hex.EncodeToString(r.key[:]) }

// paymentMerchant begins the merchant's name of a row below zero that is a payment of what is owed.
const paymentMerchant = "direct debit payment"

// IsPayment says that the row is a payment of what is owed. The other rows below zero are refunds.
func (r Row) IsPayment() bool {
	return r.Amount < 0 && strings.HasPrefix(strings.ToLower(strings.TrimSpace(r.Merchant)), paymentMerchant)
}

// RowError says why a line of the file is not played.
// The reason never quotes the line, for a malformed file may carry whole card numbers.
type RowError struct {
	// Line is the line number in the file; the header is line 1.
	Line int `json:"line"`
	// Reason is what is wrong with it.
	Reason string `json:"reason"`
}

// Error implements error.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Reader reads the rows of a purchase-card file one by one. A row is one line: a quoted field cannot span lines,
// so that one stray quote breaks one row and not the rest of the file. Lines may have up to 4,096 bytes.
//
// It keeps 20 bytes for each distinct row, to number identical ones. It is not safe for concurrent use.
type Reader struct {
	lines  *bufio.Reader
	line   int
	source *bytes.Reader
	fields *csv.Reader
	seen   map[[16]byte]uint32
}

// NewReader reads the header of file, which is CSV, or CSV compressed by gzip: the content tells, not a name.
// An error means that the file is not a purchase-card file or cannot be read.
func NewReader(file io.Reader) (*Reader, error) {
	lines := bufio.NewReaderSize(file, maxLineBytes)
	if magic, _ := lines.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(lines)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		lines = bufio.NewReaderSize(unzipped, maxLineBytes)
	}
	source := bytes.NewReader(nil)
	fields := csv.NewReader(source)
	fields.FieldsPerRecord = columns
	fields.ReuseRecord = true
	r := &Reader{lines: lines, source: source, fields: fields, seen: make(map[[16]byte]uint32)}
	return r, r.readHeader()
}

func (r *Reader) readHeader() error {
	line, err := r.readLine()
	if errors.Is(err, io.EOF) {
		return errors.New("the file is empty")
	}
	if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	// Spreadsheets put a byte order mark before UTF-8.
	text := strings.TrimPrefix(strings.TrimRight(string(line), "\r\n"), "\uFEFF")
	if text != header {
		return fmt.Errorf("line 1 is not the header of a purchase-card file, which is %s", header)
	}
	return nil
}

// Read returns the next row, and io.EOF after the last one. Blank lines are passed over.
// A *RowError is about that one line: the next call goes on after it. Any other error is final.
func (r *Reader) Read() (Row, error) {
	for {
		line, err := r.readLine()
		if err != nil {
			return Row{}, err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			continue
		}
		// The CSV reader is handed one line at a time, so it never looks past a broken one.
		r.source.Reset(line)
		record, err := r.fields.Read()
		if err != nil {
			return Row{}, &RowError{Line: r.line, Reason: quotingReason(err)}
		}
		row, err := parseRow(record)
		if err != nil {
			return Row{}, &RowError{Line: r.line, Reason: err.Error()}
		}
		row.Line = r.line
		row.key = r.key(record)
		return row, nil
	}
}

// readLine returns the next line, which is valid until the next call.
func (r *Reader) readLine() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	r.line++
	tooLong := errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.lines.ReadSlice('\n')
	}
	switch {
	case err != nil && err != io.EOF:
		return nil, fmt.Errorf("read line %d: %w", r.line, err)
	case tooLong:
		return nil, &RowError{Line: r.line, Reason: fmt.Sprintf("longer than %d bytes", maxLineBytes)}
	case len(line) == 0:
		return nil, io.EOF
	}
	return line, nil
}

// quotingReason says in plain words what encoding/csv found.
func quotingReason(err error) string {
	if errors.Is(err, csv.ErrFieldCount) {
		return fmt.Sprintf("does not have %d columns", columns)
	}
	return "has a stray or unclosed quote"
}

func parseRow(record []string) (Row, error) {
	row := Row{CardLast4: record[1], Merchant: record[2], Currency: record[4], Category: record[7]}
	var err error
	// Year 0 is a date to the time package and not to a protobuf timestamp.
	if row.Date, err = time.Parse(time.DateOnly, record[0]); err != nil || row.Date.Year() < 1 {
		return Row{}, errors.New("date is not YYYY-MM-DD")
	}
	if len(row.CardLast4) != 4 || strings.Trim(row.CardLast4, "0123456789") != "" {
		return Row{}, errors.New("card_last4 is not four digits")
	}
	if row.Merchant == "" || !utf8.ValidString(row.Merchant) || utf8.RuneCountInString(row.Merchant) > maxMerchantLength {
		return Row{}, fmt.Errorf("merchant is not 1 to %d characters of UTF-8", maxMerchantLength)
	}
	if row.Amount, err = parseMinor(record[3]); err != nil {
		return Row{}, err
	}
	if len(row.Currency) != 3 || strings.Trim(row.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return Row{}, errors.New("currency is not three capital letters")
	}
	return row, nil
}

// parseMinor reads an amount with two decimals as minor units, digit by digit: no float comes near money.
func parseMinor(text string) (int64, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if whole == "" || len(fraction) != 2 {
		return 0, errNotAnAmount
	}
	var minor int64
	for _, digit := range []byte(whole + fraction) {
		if digit < '0' || digit > '9' {
			return 0, errNotAnAmount
		}
		// The bound is far enough below the int64's that one more digit cannot overflow.
		if minor = minor*10 + int64(digit-'0'); minor > maxMinorUnits {
			return 0, errAmountTooHigh
		}
	}
	if negative {
		return -minor, nil
	}
	return minor, nil
}

// key hashes the row's content and its number among identical rows.
func (r *Reader) key(record []string) [16]byte {
	content := make([]byte, 0, maxMerchantLength)
	for _, field := range record {
		// Lengths keep "a","bc" apart from "ab","c".
		content = binary.AppendUvarint(content, uint64(len(field)))
		content = append(content, field...)
	}
	sum := sha256.Sum256(content)
	same := [16]byte(sum[:])
	occurrence := r.seen[same]
	r.seen[same]++
	sum = sha256.Sum256(binary.BigEndian.AppendUint32(sum[:], occurrence))
	return [16]byte(sum[:])
}
