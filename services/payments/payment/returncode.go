package payment

import (
	"strings"
	"time"
)

// returnCode is one of the codes with which a payer's bank returns an ACH debit, by the Nacha Operating Rules (Appendix Four, Return Reason Codes).
type returnCode struct {
	code, meaning string
	window        window
	// failsSource says that the bank account cannot pay at all: the next payment from it would come back too.
	failsSource bool
}

// window is for how long after settlement a return with a code may come.
type window int

const (
	// bankingDays is two banking days: what the bank can see by itself.
	bankingDays window = iota
	// calendarDays is sixty calendar days: what the payer must notice and tell the bank.
	calendarDays
	// agreed has no end: the return was agreed between the banks.
	agreed
)

// agreedCode is the code of a late return that was agreed on.
const agreedCode = "R31"

// returnCodes are the codes that a payment can come back with. The rules have others, for credits, for checks, for returns of the Federal Government and between
// banks; they do not concern a payment of a cardholder.
var returnCodes = []returnCode{
	{code: "R01", meaning: "not enough funds"},
	{code: "R02", meaning: "the account is closed", failsSource: true},
	{code: "R03", meaning: "no such account", failsSource: true},
	{code: "R04", meaning: "not an account number", failsSource: true},
	{code: "R05", meaning: "a consumer did not authorize a corporate debit", window: calendarDays},
	{code: "R07", meaning: "the payer revoked the authorization", window: calendarDays},
	{code: "R08", meaning: "the payer stopped the payment"},
	{code: "R09", meaning: "the funds are not collected yet"},
	{code: "R10", meaning: "the payer does not know who collects, or did not authorize it", window: calendarDays},
	{code: "R11", meaning: "not in accordance with what the payer authorized", window: calendarDays},
	{code: "R16", meaning: "the account is frozen"},
	{code: "R20", meaning: "an account that cannot be debited", failsSource: true},
	{code: "R29", meaning: "a corporate customer did not authorize it"},
	{code: agreedCode, meaning: "returned late, as agreed", window: agreed},
}

// codeOf returns a return code by its name.
func codeOf(name string) (code returnCode, known bool) {
	for _, code := range returnCodes {
		if code.code == name {
			return code, true
		}
	}
	return returnCode{}, false
}

// codeNames lists the codes.
func codeNames() string {
	var names []string
	for _, code := range returnCodes {
		names = append(names, code.code)
	}
	return strings.Join(names, ", ")
}

// failsSource says whether a return with a code means that the source cannot pay at all.
func failsSource(name string) bool {
	code, _ := codeOf(name)
	return code.failsSource
}

// Lengths of the windows.
const (
	windowBankingDays  = 2
	windowCalendarDays = 60
)

// lastDay returns the last day, in UTC, on which a return with the code of a payment that was taken at a time is in time; limited is false when it always is.
//
// The Nacha Operating Rules (Article Three, returns by the RDFI) count from the settlement date, two banking days for most codes and sixty calendar days for what
// a consumer did not authorize, and say by when the return must be at the originator's bank: the opening of business on the second banking day, or on the banking
// day after the sixtieth day. Here it is a day, to its end, because a return is told here when it has come. Settlement is taken to be the first banking day after
// the day on which the payment was taken. Banking days are Monday to Friday: the holidays of the Federal Reserve are not known, so around one of them the window
// ends a day early, and a return that came in time is then told with R31.
func (c returnCode) lastDay(taken time.Time) (last time.Time, limited bool) {
	year, month, date := taken.UTC().Date()
	settlement := afterBankingDays(time.Date(year, month, date, 0, 0, 0, 0, time.UTC), 1)
	switch c.window {
	case bankingDays:
		return afterBankingDays(settlement, windowBankingDays), true
	case calendarDays:
		return settlement.AddDate(0, 0, windowCalendarDays), true
	default: // agreed
		return time.Time{}, false
	}
}

// afterBankingDays returns the so many-th banking day after a day.
func afterBankingDays(from time.Time, days int) time.Time {
	for days > 0 {
		from = from.AddDate(0, 0, 1)
		if weekday := from.Weekday(); weekday != time.Saturday && weekday != time.Sunday {
			days--
		}
	}
	return from
}
