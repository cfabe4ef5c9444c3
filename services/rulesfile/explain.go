package rulesfile

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// Explain writes what each profile means, in tables for people.
func (r *Rules) Explain(out io.Writer) error {
	d := r.Document()
	var text strings.Builder
	fmt.Fprintf(&text, "version %s\n", d.Version)
	for _, name := range d.names() {
		remark := ""
		switch name {
		case ledger.DefaultProfile:
			remark = ": decides for accounts that name no profile, or one that is not here"
		case ReplayProfile:
			remark = ": for cardlog replay and up --demo"
		}
		fmt.Fprintf(&text, "\nPROFILE %s%s\n\n", name, remark)
		var lines strings.Builder
		table := tabwriter.NewWriter(&lines, 0, 0, 3, ' ', 0)
		for _, line := range d.Profiles[name].explain() {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", line.rule, line.applies, line.means)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		for line := range strings.Lines(lines.String()) {
			text.WriteString(strings.TrimRight(line, " \n") + "\n") // the last column may be empty
		}
	}
	text.WriteString("\nOf the rows of a table the first that fits is used. Amounts are shown with two decimals: in a currency without, 75.00 is 7,500.\n")
	_, err := io.WriteString(out, text.String())
	return err
}

// explanation is a line of the table that explains a profile.
type explanation struct{ rule, applies, means string }

// explain says what a profile means.
func (p ProfileDocument) explain() []explanation {
	lines := []explanation{{"over the limit", "all purchases", "declined beyond the credit limit"}}
	if p.OverLimitPercent != 0 {
		lines[0].means = fmt.Sprintf("declined beyond %d %% of the credit limit", 100+p.OverLimitPercent)
	}
	lines = append(lines, wrapped("blocked categories", "mcc", p.BlockedMCCs, "declined (57)", "none")...)
	lines = append(lines, wrapped("blocked merchants", "merchant", p.BlockedMerchants, "declined (57)", "none")...)
	lines = append(lines, wrapped("allowed countries", "all but", p.AllowedCountries, "declined (62)", "all")...)
	lines = append(lines, wrapped("blocked countries", "in", p.BlockedCountries, "declined (62)", "none")...)
	lines = append(lines, explainTable("a hold lives for", p.HoldExpiry, "7 days", func(row RowDocument) string { return count(*row.Days, "day") })...)
	lines = append(lines, explainTable("what is held", p.HoldAmount, "what was asked", func(row RowDocument) string {
		if row.Fixed != nil {
			return "at least " + money(*row.Fixed)
		}
		return fmt.Sprintf("%d %% more than was asked", *row.Percent)
	})...)
	lines = append(lines, explainTable("normal over-capture", p.OverCaptureTolerance, "none", func(row RowDocument) string {
		return fmt.Sprintf("up to %d %% of what was authorized", *row.Percent)
	})...)
	return append(lines, p.Payments.explain()...)
}

// wrapped explains a list, some of its entries in each line.
func wrapped(rule, what string, entries []string, means, none string) (lines []explanation) {
	const inLine = 8
	for begin := 0; begin < len(entries); begin += inLine {
		some := what + " " + strings.Join(entries[begin:min(begin+inLine, len(entries))], ", ")
		if begin+inLine < len(entries) {
			some += ","
		}
		lines = append(lines, explanation{rule, some, means})
		rule, means, what = "", "", strings.Repeat(" ", len(what))
	}
	if len(entries) == 0 {
		return []explanation{{rule, none, ""}}
	}
	return lines
}

// explainTable explains a table, and what is for purchases that no row is for.
func explainTable(rule string, rows []RowDocument, otherwise string, means func(RowDocument) string) (lines []explanation) {
	for _, row := range rows {
		applies := row.applies()
		if applies == "" { // it is the last, and leaves nothing for others
			return append(lines, explanation{rule, rest(lines), means(row)})
		}
		lines = append(lines, explanation{rule, applies, means(row)})
		rule = ""
	}
	return append(lines, explanation{rule, rest(lines), otherwise})
}

// rest is what is left after some lines.
func rest(lines []explanation) string {
	if len(lines) == 0 {
		return "all purchases"
	}
	return "all others"
}

// applies says which purchases a row is for; empty: all.
func (r RowDocument) applies() string {
	var words []string
	if r.MCC != nil {
		words = append(words, "mcc "+*r.MCC)
	}
	if r.PreAuthorization != nil {
		words = append(words, map[bool]string{true: "pre-authorizations", false: "no pre-authorizations"}[*r.PreAuthorization])
	}
	if r.MaxAmount != nil {
		words = append(words, "up to "+money(*r.MaxAmount))
	}
	return strings.Join(words, ", ")
}

// explain says what the rules for payments mean.
func (p PaymentsDocument) explain() []explanation {
	lines := []explanation{{"a payment", "all", "can be spent at once"}, {"", "of more than is owed", "rejected"}}
	if p.WithholdDays != 0 {
		lines[0].means = "can be spent after " + count(int64(p.WithholdDays), "day")
	}
	if p.AllowOverpayment {
		lines[1].means = "taken"
	}
	for _, review := range []struct {
		on      bool
		applies string
	}{
		{p.ReviewAmount != 0, "of " + money(p.ReviewAmount) + " or more"},
		{p.ReviewNewSourceAmount != 0, "of more than " + money(p.ReviewNewSourceAmount) + " from a new bank account"},
		{p.ReviewAfterReturnDays != 0, "within " + count(int64(p.ReviewAfterReturnDays), "day") + " after one was returned"},
		{p.ReviewDailyCount != 0, "after " + count(int64(p.ReviewDailyCount), "other") + " within 24 hours"},
		{p.ReviewDailyAmount != 0, "that makes more than " + money(p.ReviewDailyAmount) + " within 24 hours"},
	} {
		if review.on {
			lines = append(lines, explanation{"", review.applies, "held for review"})
		}
	}
	return lines
}

// count is a number of things: "1 day", "7 days".
func count(number int64, what string) string {
	if number == 1 {
		return "1 " + what
	}
	return english().Sprintf("%d %ss", number, what)
}

// money is an amount with two decimals.
func money(minor int64) string { return english().Sprintf("%d.%02d", minor/100, minor%100) }

// english writes numbers with separators.
func english() *message.Printer { return message.NewPrinter(language.English) }
