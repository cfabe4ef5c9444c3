package replay

import (
	"math"
	"strings"
	"testing"
)

func TestFormatMinor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		minor int64
		want  string
	}{
		"nothing":           {0, "GBP 0.00"},
		"one penny":         {1, "GBP 0.01"},
		"one penny owed":    {-1, "GBP -0.01"},
		"below a thousand":  {999_99, "GBP 999.99"},
		"a thousand":        {1000_00, "GBP 1,000.00"},
		"some thousands":    {-1234_56, "GBP -1,234.56"},
		"millions":          {12_345_678_90, "GBP 12,345,678.90"},
		"the most it holds": {math.MaxInt64, "GBP 92,233,720,368,547,758.07"},
		"the least":         {math.MinInt64, "GBP -92,233,720,368,547,758.08"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := FormatMinor(test.minor, "GBP"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestWriteTable(t *testing.T) {
	t.Parallel()
	report := &Report{
		Rows: 127475, Accounts: 1350, Approved: 124000, Declined: 3, DeclinedByReason: map[string]int{"INSUFFICIENT_CREDIT": 2, "CARD_PAUSED": 1},
		Presented: 124000, Refunded: 3456, Paid: 14, Unpaid: 3, UnpaidByStatus: map[string]int{"REJECTED": 1, "HELD": 2}, Broken: 1, Failed: 1,
		Amounts:        []Amount{{Currency: "GBP", PresentedMinorUnits: 123456_78, RefundedMinorUnits: 1000_00, PaidMinorUnits: 208714_97}},
		BrokenRows:     []*RowError{{Line: 17, Reason: "date is not YYYY-MM-DD"}},
		FailedRows:     []FailedRow{{Line: 99, Call: "Present", Code: "INTERNAL", Message: "internal"}},
		ElapsedSeconds: 14.26, PlayedSeconds: 12.5, RowsPerSecond: 10198,
		Latency:       []Latency{{Call: "Authorize", Count: 124003, P50: 3100, P95: 5200, P99: 9049, Max: 30_000_000}},
		ControlTotals: ControlTotals{Accounts: 1350, Exact: 1350},
	}
	want := `rows             127,475  played in 12.5 s, 10,198 rows/s (whole run 14.3 s)
accounts           1,350
approved         124,000
declined               3  CARD_PAUSED 1, INSUFFICIENT_CREDIT 2
presented        124,000  GBP 123,456.78
refunded           3,456  GBP 1,000.00
paid                  14  GBP 208,714.97
not paid               3  HELD 2, REJECTED 1
duplicates             0  rows that were played before
skipped                0
broken                 1
failed                 1

  calls, ms    count   p50   p95   p99       max
  Authorize  124,003  3.10  5.20  9.05  30000.00

  broken   line 17: date is not YYYY-MM-DD
  failed   line 99: Present INTERNAL: internal

control totals  1,350 accounts, every posted balance equals the sum of what was posted of its rows
`
	if got := table(t, report); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWriteTableControlTotals(t *testing.T) {
	t.Parallel()
	differences := make([]Difference, 21)
	for i := range differences {
		differences[i] = Difference{AccountID: "acct-1234", Currency: "GBP", ExpectedMinorUnits: 2, PostedMinorUnits: -1}
	}
	differences[0] = Difference{AccountID: "acct-0000", Error: "GetBalance: NOT_FOUND: no such account"}
	tests := map[string]struct {
		report Report
		want   []string
	}{
		"all equal": {
			Report{ControlTotals: ControlTotals{Accounts: 1350, Exact: 1350}},
			[]string{"control totals  1,350 accounts, every posted balance equals the sum of its rows\n"},
		},
		"stopped": {Report{}, []string{"control totals  not checked\n"}},
		"differences": {
			Report{ControlTotals: ControlTotals{Accounts: 1350, Exact: 1329, Differences: differences}},
			[]string{
				"control totals  21 of 1,350 accounts: the posted balance differs from the sum of its rows\n",
				"  acct-0000  not read: GetBalance: NOT_FOUND: no such account\n",
				"  acct-1234  posted GBP -0.01, rows GBP 0.02, failed rows 0\n",
				"  and 1 more\n",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := table(t, &test.report)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%s\nwant it to contain\n%s", got, want)
				}
			}
		})
	}
}

func table(t *testing.T, report *Report) string {
	t.Helper()
	var written strings.Builder
	if err := report.WriteTable(&written); err != nil {
		t.Fatal(err)
	}
	return written.String()
}
