package payment

import (
	"testing"
	"time"
)

// Settlement is the first banking day after the payment was taken. 2 March 2026 is a Monday.
func TestLastDay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ taken, banking, calendar string }{
		{"2026-03-02T00:00:00Z", "2026-03-05", "2026-05-02"}, // Monday: Tuesday, then Thursday
		{"2026-03-02T23:59:59Z", "2026-03-05", "2026-05-02"},
		{"2026-03-03T12:00:00Z", "2026-03-06", "2026-05-03"}, // Tuesday: Wednesday, then Friday
		{"2026-03-04T12:00:00Z", "2026-03-09", "2026-05-04"}, // Wednesday: Thursday, then Monday
		{"2026-03-05T12:00:00Z", "2026-03-10", "2026-05-05"}, // Thursday: Friday, then Tuesday
		{"2026-03-06T12:00:00Z", "2026-03-11", "2026-05-08"}, // Friday: Monday, then Wednesday
		{"2026-03-07T12:00:00Z", "2026-03-11", "2026-05-08"}, // Saturday: Monday
		{"2026-03-08T12:00:00Z", "2026-03-11", "2026-05-08"}, // Sunday: Monday
		{"2026-03-09T12:00:00Z", "2026-03-12", "2026-05-09"},
		{"2026-12-30T12:00:00Z", "2027-01-04", "2027-03-01"},      // over the end of a year; New Year's Day is not known as a holiday
		{"2028-02-25T12:00:00Z", "2028-03-01", "2028-04-28"},      // over a leap day
		{"2026-03-03T01:00:00+03:00", "2026-03-05", "2026-05-02"}, // still Monday in UTC
	} {
		taken, err := time.Parse(time.RFC3339, test.taken)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range returnCodes {
			want := test.banking
			switch code.code {
			case "R05", "R07", "R10", "R11":
				want = test.calendar
			case "R31":
				want = "none"
			}
			got := "none"
			if last, limited := code.lastDay(taken); limited {
				got = last.Format(time.DateOnly)
			}
			if got != want {
				t.Errorf("taken at %s, a return with %s is in time until %s, not %s", test.taken, code.code, want, got)
			}
		}
	}
}
