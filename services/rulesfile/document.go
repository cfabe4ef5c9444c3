package rulesfile

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cardlog/cardlog/services/payments/payment"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// Document is rules as a file says them, with nothing left out.
type Document struct {
	// Version is recorded on every decision.
	Version string `json:"version"`
	// Profiles by name.
	Profiles map[string]ProfileDocument `json:"profiles"`
}

// ProfileDocument is a profile as a file says it, with nothing left out. Amounts are in minor units.
type ProfileDocument struct {
	OverLimitPercent     int64            `json:"over_limit_percent"`
	BlockedMCCs          []string         `json:"blocked_mccs"`
	BlockedMerchants     []string         `json:"blocked_merchants"`
	AllowedCountries     []string         `json:"allowed_countries"`
	BlockedCountries     []string         `json:"blocked_countries"`
	HoldExpiry           []RowDocument    `json:"hold_expiry"`
	HoldAmount           []RowDocument    `json:"hold_amount"`
	OverCaptureTolerance []RowDocument    `json:"over_capture_tolerance"`
	Payments             PaymentsDocument `json:"payments"`
}

// RowDocument is a row of a table. What is nil is not in it.
type RowDocument struct {
	MCC              *string `json:"mcc,omitempty"`
	PreAuthorization *bool   `json:"pre_authorization,omitempty"`
	MaxAmount        *int64  `json:"max_amount,omitempty"`
	Days             *int64  `json:"days,omitempty"`
	Fixed            *int64  `json:"fixed,omitempty"`
	Percent          *int64  `json:"percent,omitempty"`
}

// PaymentsDocument is a profile's rules for payments.
type PaymentsDocument struct {
	WithholdDays          int   `json:"withhold_days"`
	AllowOverpayment      bool  `json:"allow_overpayment"`
	ReviewAmount          int64 `json:"review_amount"`
	ReviewNewSourceAmount int64 `json:"review_new_source_amount"`
	ReviewAfterReturnDays int   `json:"review_after_return_days"`
	ReviewDailyCount      int   `json:"review_daily_count"`
	ReviewDailyAmount     int64 `json:"review_daily_amount"`
}

// Document returns the rules as a file says them. The rows of a table are in the order in which they are looked at: the first that fits is used.
func (r *Rules) Document() Document {
	d := Document{Version: r.Version, Profiles: map[string]ProfileDocument{}}
	for name := range r.Ledger.Profiles {
		d.Profiles[name] = profileDocument(r.Ledger.Profiles[name], r.Payments.Profiles[name])
	}
	return d
}

func profileDocument(p *ledger.Profile, payments *payment.Profile) ProfileDocument {
	return ProfileDocument{
		OverLimitPercent: p.OverLimitPercent,
		BlockedMCCs:      ranges(p.BlockedMCCs),
		BlockedMerchants: listOf(p.BlockedMerchants), AllowedCountries: listOf(p.AllowedCountries), BlockedCountries: listOf(p.BlockedCountries),
		HoldExpiry: rowsOf(p.HoldExpiry, func(row ledger.HoldExpiryRow) (ledger.Match, RowDocument) {
			days := int64(row.Days)
			return row.Match, RowDocument{Days: &days}
		}),
		HoldAmount: rowsOf(p.HoldAmount, func(row ledger.HoldAmountRow) (ledger.Match, RowDocument) {
			if row.Fixed != 0 {
				return row.Match, RowDocument{Fixed: &row.Fixed}
			}
			return row.Match, RowDocument{Percent: &row.Percent}
		}),
		OverCaptureTolerance: rowsOf(p.OverCaptureTolerance, func(row ledger.ToleranceRow) (ledger.Match, RowDocument) {
			return row.Match, RowDocument{Percent: &row.Percent}
		}),
		Payments: PaymentsDocument(*payments),
	}
}

// listOf is a list that is never nil.
func listOf(texts []string) []string { return append([]string{}, texts...) }

// rowsOf returns the rows of a table, the most specific first.
func rowsOf[Row any](rows []Row, read func(Row) (ledger.Match, RowDocument)) []RowDocument {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		first, _ := read(a)
		second, _ := read(b)
		return cmp.Or(first.Compare(second), cmp.Compare(first.FirstMCC, second.FirstMCC))
	})
	documents := make([]RowDocument, len(rows))
	for i, row := range rows {
		match, document := read(row)
		if match.FirstMCC != "" {
			mcc := rangeWords(match.FirstMCC, match.LastMCC)
			document.MCC = &mcc
		}
		document.PreAuthorization = match.PreAuthorization
		if match.MaxAmount != 0 {
			document.MaxAmount = &match.MaxAmount
		}
		documents[i] = document
	}
	return documents
}

// ranges puts categories that follow each other together.
func ranges(mccs []string) []string {
	mccs = slices.Sorted(slices.Values(mccs))
	together := []string{}
	for begin := 0; begin < len(mccs); {
		end := begin
		for end+1 < len(mccs) && mccNumber(mccs[end+1]) == mccNumber(mccs[end])+1 {
			end++
		}
		together = append(together, rangeWords(mccs[begin], mccs[end]))
		begin = end + 1
	}
	return together
}

func mccNumber(mcc string) int {
	number, _ := strconv.Atoi(mcc) // it has four digits
	return number
}

// rangeWords is a range of categories as a file says it.
func rangeWords(first, last string) string {
	if first == last {
		return first
	}
	return first + "-" + last
}

// WriteDefault writes a rules file that says what the built-in default profile is, and what each key means.
func WriteDefault(out io.Writer) error {
	rules := BuiltIn()
	p := rules.Document().Profiles[ledger.DefaultProfile]
	var text strings.Builder
	line := func(indent int, key, value, comment string) {
		entry := strings.Repeat("  ", indent) + key + ":"
		if value != "" {
			entry += " " + value
		}
		fmt.Fprintf(&text, "%-42s # %s\n", entry, comment)
	}
	table := func(key string, rows []RowDocument, comment string) {
		if len(rows) == 0 {
			line(2, key, "[]", comment)
			return
		}
		line(2, key, "", comment)
		for _, row := range rows {
			fmt.Fprintf(&text, "      - %s\n", row.flow())
		}
	}
	fmt.Fprintf(&text, "# The built-in rules of cardlog as a file for --rules. Amounts are in minor units. A key that is left out is as it is here.\n")
	line(0, "version", strconv.Quote(rules.Version), "recorded on every decision: give each change a new one")
	text.WriteString("profiles:\n")
	line(1, ledger.DefaultProfile, "", "decides for accounts that name no profile, or one that is not here")
	line(2, "over_limit_percent", fmt.Sprint(p.OverLimitPercent), "of the credit limit may be spent beyond it; 0 to 100")
	line(2, "blocked_mccs", flowList(p.BlockedMCCs), `merchant categories and ranges, such as ["7995", "6010-6012"]`)
	line(2, "blocked_merchants", flowList(p.BlockedMerchants), "merchant ids")
	line(2, "allowed_countries", flowList(p.AllowedCountries), "of merchants; empty: all; home: the country of the account's holder")
	line(2, "blocked_countries", flowList(p.BlockedCountries), "of merchants; home as above")
	text.WriteString(`    # Of a table the most specific row is used: the narrower mcc, then the lower max_amount, then the one with pre_authorization. What a row does not say, fits all.
`)
	table("hold_expiry", p.HoldExpiry, "for how many days a hold lives; 7 for what no row is for")
	table("hold_amount", p.HoldAmount, "more is held than was asked: {mcc: \"5542\", fixed: 7500}, at least 75.00; {mcc: \"5812\", percent: 20}, 20 % more")
	table("over_capture_tolerance", p.OverCaptureTolerance, "a presentment so much above what was authorized is normal: {mcc: \"5812\", percent: 20}")
	line(2, "payments", "", "a review holds a payment until somebody releases or cancels it; 0 turns it off")
	line(3, "withhold_days", fmt.Sprint(p.Payments.WithholdDays), "for how many days a payment cannot be spent yet; 0 to 366")
	line(3, "allow_overpayment", fmt.Sprint(p.Payments.AllowOverpayment), "take payments of more than what is owed")
	line(3, "review_amount", fmt.Sprint(p.Payments.ReviewAmount), "hold a payment of so much or more")
	line(3, "review_new_source_amount", fmt.Sprint(p.Payments.ReviewNewSourceAmount), "hold a payment of more than this from a bank account that none came from yet")
	line(3, "review_after_return_days", fmt.Sprint(p.Payments.ReviewAfterReturnDays), "hold payments for so many days after one was returned")
	line(3, "review_daily_count", fmt.Sprint(p.Payments.ReviewDailyCount), "hold a payment when there are more than so many within 24 hours")
	line(3, "review_daily_amount", fmt.Sprint(p.Payments.ReviewDailyAmount), "hold a payment when there is more than this within 24 hours")
	_, err := io.WriteString(out, text.String())
	return err
}

// flow is a row in one line of YAML.
func (r RowDocument) flow() string {
	var parts []string
	if r.MCC != nil {
		parts = append(parts, "mcc: "+strconv.Quote(*r.MCC))
	}
	if r.PreAuthorization != nil {
		parts = append(parts, fmt.Sprintf("pre_authorization: %v", *r.PreAuthorization))
	}
	for _, number := range []struct {
		key   string
		value *int64
	}{{"max_amount", r.MaxAmount}, {"days", r.Days}, {"fixed", r.Fixed}, {"percent", r.Percent}} {
		if number.value != nil {
			parts = append(parts, fmt.Sprintf("%s: %d", number.key, *number.value))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// flowList is a list in one line of YAML.
func flowList(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// names are the names of all profiles, default first.
func (d Document) names() []string {
	names := slices.Sorted(maps.Keys(d.Profiles))
	at := slices.Index(names, ledger.DefaultProfile)
	return slices.Insert(slices.Delete(names, at, at+1), 0, ledger.DefaultProfile)
}
