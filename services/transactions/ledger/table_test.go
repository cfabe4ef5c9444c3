package ledger

import "testing"

func yes() *bool { is := true; return &is }
func no() *bool  { is := false; return &is }

func TestTheMostSpecificRowIsUsed(t *testing.T) {
	t.Parallel()
	everything := []HoldExpiryRow{
		{Days: 7}, {Match: Match{PreAuthorization: yes()}, Days: 8}, {Match: Match{MaxAmount: 500}, Days: 9},
		{Match: Match{FirstMCC: "5000", LastMCC: "5999"}, Days: 10}, {Match: Match{FirstMCC: "5411", LastMCC: "5411"}, Days: 11},
		{Match: Match{FirstMCC: "5411", LastMCC: "5411", MaxAmount: 500}, Days: 12}, {Match: Match{FirstMCC: "5411", LastMCC: "5411", MaxAmount: 100}, Days: 13},
		{Match: Match{FirstMCC: "5411", LastMCC: "5411", MaxAmount: 100, PreAuthorization: no()}, Days: 14},
	}
	for _, row := range []struct {
		mcc              string
		preAuthorization bool
		amount           int64
		table            []HoldExpiryRow
		want             string
	}{
		{"5812", false, 100, DefaultHoldExpiry(), "all: 7 days"},
		{"", false, 100, DefaultHoldExpiry(), "all: 7 days"},
		{"5812", true, 100, DefaultHoldExpiry(), "pre-authorization: 30 days"},
		{"3350", false, 100, DefaultHoldExpiry(), "all: 7 days"},
		{"3351", false, 100, DefaultHoldExpiry(), "mcc 3351-3441: 30 days"},
		{"3441", true, 100, DefaultHoldExpiry(), "mcc 3351-3441: 30 days"},
		{"3501", false, 100, DefaultHoldExpiry(), "mcc 3501-3790: 30 days"},
		{"3790", false, 100, DefaultHoldExpiry(), "mcc 3501-3790: 30 days"},
		{"3791", false, 100, DefaultHoldExpiry(), "all: 7 days"},
		{"4411", false, 100, DefaultHoldExpiry(), "mcc 4411: 30 days"},
		{"7011", false, 100, DefaultHoldExpiry(), "mcc 7011: 30 days"},
		{"5541", false, 100, DefaultHoldExpiry(), "mcc 5541-5542 up to 100: 1 day"},
		{"5542", true, 100, DefaultHoldExpiry(), "mcc 5541-5542 up to 100: 1 day"},
		{"5542", false, 101, DefaultHoldExpiry(), "all: 7 days"},
		{"5542", true, 101, DefaultHoldExpiry(), "pre-authorization: 30 days"},
		{"6000", false, 501, everything, "all: 7 days"},
		{"6000", true, 501, everything, "pre-authorization: 8 days"},
		{"6000", true, 500, everything, "up to 500: 9 days"},
		{"5412", true, 500, everything, "mcc 5000-5999: 10 days"},
		{"5411", true, 501, everything, "mcc 5411: 11 days"},
		{"5411", true, 500, everything, "mcc 5411 up to 500: 12 days"},
		{"5411", true, 100, everything, "mcc 5411 up to 100: 13 days"},
		{"5411", false, 100, everything, "mcc 5411 no pre-authorization up to 100: 14 days"},
	} {
		if got, _ := mostSpecific(row.table, row.mcc, row.preAuthorization, row.amount); got.String() != row.want {
			t.Errorf("mcc %s, pre-authorization %v, %d: %s, want %s", row.mcc, row.preAuthorization, row.amount, got, row.want)
		}
	}
	if row, ok := mostSpecific(everything[3:], "6000", false, 100); ok {
		t.Errorf("no row is for it, got %s", row)
	}
}

func TestRowsThatConflict(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		a, b Match
		want bool
	}{
		{"the same", Match{}, Match{}, true},
		{"the same category", Match{FirstMCC: "5411", LastMCC: "5411"}, Match{FirstMCC: "5411", LastMCC: "5411"}, true},
		{"ranges of one width that overlap", Match{FirstMCC: "5000", LastMCC: "5010"}, Match{FirstMCC: "5010", LastMCC: "5020"}, true},
		{"ranges of one width that do not", Match{FirstMCC: "5000", LastMCC: "5009"}, Match{FirstMCC: "5010", LastMCC: "5019"}, false},
		{"a narrower range", Match{FirstMCC: "5000", LastMCC: "5009"}, Match{FirstMCC: "5000", LastMCC: "5008"}, false},
		{"a range against all", Match{FirstMCC: "0000", LastMCC: "9999"}, Match{}, false},
		{"a lower amount", Match{MaxAmount: 100}, Match{MaxAmount: 200}, false},
		{"one amount", Match{MaxAmount: 100}, Match{MaxAmount: 100}, true},
		{"pre-authorization or not", Match{PreAuthorization: yes()}, Match{PreAuthorization: no()}, false},
		{"pre-authorization twice", Match{PreAuthorization: yes()}, Match{PreAuthorization: yes()}, true},
		{"pre-authorization against all", Match{PreAuthorization: yes()}, Match{}, false},
	} {
		if row.a.Conflicts(row.b) != row.want || row.b.Conflicts(row.a) != row.want {
			t.Errorf("%s: want %v", row.name, row.want)
		}
	}
	for i, a := range DefaultHoldExpiry() {
		for _, b := range DefaultHoldExpiry()[i+1:] {
			if a.Conflicts(b.Match) {
				t.Errorf("%s and %s", a, b)
			}
		}
	}
}

func TestRowsSayWhatTheyMean(t *testing.T) {
	t.Parallel()
	fuel := Match{FirstMCC: "5542", LastMCC: "5542"}
	for got, want := range map[string]string{
		HoldAmountRow{Match: fuel, Fixed: 7500}.String():                           "mcc 5542: at least 7500",
		HoldAmountRow{Match: fuel, Percent: 20}.String():                           "mcc 5542: 20% more",
		ToleranceRow{Match: Match{MaxAmount: 100}, Percent: 20}.String():           "up to 100: 20%",
		HoldExpiryRow{Match: Match{PreAuthorization: no()}, Days: 2}.String():      "no pre-authorization: 2 days",
		HoldExpiryRow{Match: Match{PreAuthorization: yes()}, Days: 30}.String():    "pre-authorization: 30 days",
		HoldExpiryRow{Match: Match{FirstMCC: "1", LastMCC: "2"}, Days: 1}.String(): "mcc 1-2: 1 day",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
