package rulesfile_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cardlog/cardlog/services/payments/payment"
	"github.com/cardlog/cardlog/services/rulesfile"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

func TestTheExampleRulesAreRead(t *testing.T) {
	t.Parallel()
	rules, err := rulesfile.Read("rules_example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	predecessor := rules.Ledger.Profiles["predecessor"]
	if rules.Version != "2026-11" || predecessor == nil || predecessor.AllowedCountries[0] != "home" || predecessor.BlockedMerchants[0] != "risky-1" {
		t.Errorf("read %+v", rules)
	}
	// The example claims to show the defaults.
	if got := rules.Payments.Profiles["default"]; *got != payment.DefaultRules() {
		t.Errorf("payments of default are %+v, want the defaults", got)
	}
	cautious := payment.DefaultRules()
	cautious.WithholdDays = 3
	if got := rules.Payments.Profiles["cautious"]; *got != cautious {
		t.Errorf("payments of cautious are %+v, want %+v", got, cautious)
	}
}

func TestARulesFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	if _, err := rulesfile.Read("none.yaml"); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("said %v", err)
	}
}

func TestEachKeyOfPayments(t *testing.T) {
	t.Parallel()
	for line, change := range map[string]func(*payment.Profile){
		"":                                  func(*payment.Profile) {},
		"{}":                                func(*payment.Profile) {},
		"{withhold_days: 366}":              func(p *payment.Profile) { p.WithholdDays = 366 },
		"{allow_overpayment: true}":         func(p *payment.Profile) { p.AllowOverpayment = true },
		"{allow_overpayment: false}":        func(*payment.Profile) {},
		"{review_amount: 7}":                func(p *payment.Profile) { p.ReviewAmount = 7 },
		"{review_amount: 0}":                func(p *payment.Profile) { p.ReviewAmount = 0 },
		"{review_amount: 1000000000000000}": func(p *payment.Profile) { p.ReviewAmount = 1e15 },
		"{review_new_source_amount: 7}":     func(p *payment.Profile) { p.ReviewNewSourceAmount = 7 },
		"{review_new_source_amount: 0}":     func(p *payment.Profile) { p.ReviewNewSourceAmount = 0 },
		"{review_after_return_days: 7}":     func(p *payment.Profile) { p.ReviewAfterReturnDays = 7 },
		"{review_after_return_days: 0}":     func(p *payment.Profile) { p.ReviewAfterReturnDays = 0 },
		"{review_daily_count: 7}":           func(p *payment.Profile) { p.ReviewDailyCount = 7 },
		"{review_daily_count: 0}":           func(p *payment.Profile) { p.ReviewDailyCount = 0 },
		"{review_daily_amount: 7}":          func(p *payment.Profile) { p.ReviewDailyAmount = 7 },
		"{review_daily_amount: 0}":          func(p *payment.Profile) { p.ReviewDailyAmount = 0 },
		"{review_daily_amount: }":           func(*payment.Profile) {},
		"{withhold_days: 1, review_daily_count: 9}": func(p *payment.Profile) {
			p.WithholdDays, p.ReviewDailyCount = 1, 9
		},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			rules, err := rulesfile.Parse([]byte("version: v1\nprofiles:\n  default: {}\n  special:\n    payments: " + line + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			want := payment.DefaultRules()
			change(&want)
			if got := rules.Payments.Profiles["special"]; *got != want {
				t.Errorf("got %+v, want %+v", *got, want)
			}
			if got := rules.Payments.Profiles["default"]; *got != payment.DefaultRules() {
				t.Errorf("default became %+v", *got)
			}
			if rules.Payments.Version != "v1" || rules.Ledger.Version != "v1" {
				t.Errorf("versions are %s and %s, want v1", rules.Payments.Version, rules.Ledger.Version)
			}
		})
	}
}

func TestARulesFileThatCannotBeIsRefusedInWords(t *testing.T) {
	t.Parallel()
	special := func(lines string) string { return "version: v1\nprofiles:\n  default: {}\n  special: {" + lines + "}" }
	payments := func(line string) string { return special("payments: {" + line + "}") }
	const inPayments = "4:24: profiles.special.payments"
	for name, row := range map[string]struct{ text, says string }{
		"no version":               {"profiles: {default: {}}", "1:1: version is missing: it is recorded on every decision"},
		"a version of nothing":     {"version:\nprofiles: {default: {}}", "1:1: version is missing: it is recorded on every decision"},
		"a version of spaces":      {"version: \"  \"\nprofiles: {default: {}}", `1:10: version: must be 1 to 64 plain characters, not "  ": it is recorded on every decision`},
		"a version that is a list": {"version: [1]\nprofiles: {default: {}}", "1:10: version: must be a text, not a list"},
		"no profiles":              {"version: v1", "1:1: profiles is missing: it has at least the profile default"},
		"no default profile": {"version: v1\nprofiles: {other: {}}",
			"2:11: profiles: there is no profile default: it decides for accounts that name none; write default: {} to take everything as it is built in"},
		"a list of profiles":   {"version: v1\nprofiles: [default]", "2:11: profiles: must be keys with values, not a list"},
		"a profile of a text":  {"version: v1\nprofiles: {default: yes}", "2:21: profiles.default: must be keys with values, not yes"},
		"a profile with space": {"version: v1\nprofiles: {default: {}, \"a b\": {}}", `2:25: profiles: the name of a profile is 1 to 64 letters, digits, - and _, not "a b"`},
		"a profile twice":      {"version: v1\nprofiles: {default: {}, default: {}}", "2:25: profiles: default is there already, in line 2: leave one out"},
		"not YAML":             {"version: [", "1:10: this is not YAML: sequence end token ']' not found"},
		"empty":                {"", "1:1: the file is empty: cardlog rules show prints one to begin with"},
		"only a comment":       {"# nothing", "1:1: the file is empty: cardlog rules show prints one to begin with"},
		"a text":               {"hello", "1:1: must be keys with values, not hello"},
		"two documents":        {"version: v1\nprofiles: {default: {}}\n---\nversion: v2", "4:1: a rules file is one document: take out the --- before this"},
		"an unknown key":       {"version: v1\nrules: {}\nprofiles: {default: {}}", `2:1: there is no key "rules" here: write version or profiles`},
		"an unknown key of a profile": {special("blocked_mcc: []"), `4:13: profiles.special: there is no key "blocked_mcc" here: write over_limit_percent, blocked_mccs, ` +
			"blocked_merchants, allowed_countries, blocked_countries, hold_expiry, hold_amount, over_capture_tolerance or payments"},
		"letters of two bytes": {special("blocked_merchants: [é, []]"), "4:36: profiles.special.blocked_merchants[2]: must be a merchant id of 1 to 64 characters, not a list"},
		"an anchor":            {special("over_limit_percent: &x 3"), "not a reference: write out what is meant"},
		"a tag":                {special("over_limit_percent: !!int 3"), "not a tag: leave out the ! and its word"},
		"a merge":              {"version: v1\nprofiles:\n  default: {}\n  special:\n    <<: {over_limit_percent: 1}", "5:5: profiles.special: << is not used in rules: write the keys out, so that each profile can be read alone"},

		"over the limit without end": {special("over_limit_percent: 101"), "4:33: profiles.special.over_limit_percent: must be a whole number from 0 to 100 percent of the credit limit, not 101"},
		"an MCC of 3 digits":         {special("blocked_mccs: [\"799\"]"), `4:28: profiles.special.blocked_mccs[1]: an MCC has four digits, and a range is 5541-5542, not "799"`},
		"an MCC twice":               {special("blocked_mccs: [7995, 7995]"), "4:34: profiles.special.blocked_mccs[2]: 7995 is there already, with entry 1: leave one out"},
		"an MCC also in a range":     {special("blocked_mccs: [7990-7999, 7995]"), "4:39: profiles.special.blocked_mccs[2]: 7995 is there already, with entry 1: leave one out"},
		"a range backwards":          {special("blocked_mccs: [7999-7995]"), "4:28: profiles.special.blocked_mccs[1]: the range goes backwards: write 7995-7999"},
		"keys for a list":            {special("blocked_mccs: {}"), "4:27: profiles.special.blocked_mccs: must be a list, such as [] or with a - before each line, not keys with values"},
		"a merchant twice":           {special("blocked_merchants: [a, b, a]"), "4:39: profiles.special.blocked_merchants[3]: a is there already, as entry 1: leave one out"},
		"a merchant of no letters":   {special(`blocked_merchants: [""]`), `must be a merchant id of 1 to 64 characters, not ""`},
		"a merchant that is a list":  {special("blocked_merchants: [[]]"), "must be a merchant id of 1 to 64 characters, not a list"},
		"a country by name":          {special("allowed_countries: [Britain]"), `4:33: profiles.special.allowed_countries[1]: a country has two capital letters, or is home, not "Britain"`},
		"a country by habit":         {special("allowed_countries: [UK]"), "profiles.special.allowed_countries[1]: UK is not a country of ISO 3166-1: write GB"},
		"no country":                 {special("blocked_countries: [QQ]"), "profiles.special.blocked_countries[1]: QQ is not a country of ISO 3166-1"},
		"allowed and blocked":        {special("allowed_countries: [FR], blocked_countries: [FR]"), "profiles.special.blocked_countries: FR is in allowed_countries too: leave one out"},

		"a row that is none":         {special("hold_expiry: [7]"), "4:27: profiles.special.hold_expiry[1]: must be keys with values, not 7"},
		"a row of an unknown key":    {special("hold_expiry: [{mccs: 7011, days: 7}]"), `4:28: profiles.special.hold_expiry[1]: there is no key "mccs" here: write mcc, pre_authorization, max_amount or days`},
		"a row without its value":    {special("hold_expiry: [{mcc: 7011}]"), "4:27: profiles.special.hold_expiry[1]: days is missing: it says how long a hold lives"},
		"a hold of no time":          {special("hold_expiry: [{days: 0}]"), "4:34: profiles.special.hold_expiry[1].days: must be a whole number from 1 to 366, not 0"},
		"a hold of years":            {special("hold_expiry: [{days: 367}]"), "must be a whole number from 1 to 366, not 367"},
		"a ceiling of nothing":       {special("hold_expiry: [{max_amount: 0, days: 1}]"), "hold_expiry[1].max_amount: must be a whole number from 1 to 1000000000000000 minor units, not 0"},
		"pre-authorization perhaps":  {special("hold_expiry: [{pre_authorization: 1, days: 1}]"), "hold_expiry[1].pre_authorization: must be true or false, not 1"},
		"a row twice":                {special("hold_expiry: [{days: 1}, {days: 2}]"), "4:38: profiles.special.hold_expiry[2]: there is a row for the same already (all), in line 4: leave one out"},
		"rows that overlap":          {special("hold_expiry: [{mcc: 5000-5010, days: 1}, {mcc: 5010-5020, days: 2}]"), "4:54: profiles.special.hold_expiry[2]: this row (mcc 5010-5020) and the one in line 4 (mcc 5000-5010) are for some of the same purchases, and neither is more specific: make one of them narrower"},
		"a percentage out of bounds": {special("hold_amount: [{percent: 1001}]"), "hold_amount[1].percent: must be a whole number from 0 to 1000, not 1001"},
		"fixed and percent":          {special("hold_amount: [{fixed: 1, percent: 1}]"), "4:47: profiles.special.hold_amount[1].percent: the row has fixed too: leave one out, or make a row for each"},
		"neither":                    {special("hold_amount: [{mcc: 5542}]"), "hold_amount[1]: fixed or percent is missing: fixed is the least that is held, percent comes on top of what was asked"},
		"a hold of nothing":          {special("hold_amount: [{fixed: 0}]"), "hold_amount[1].fixed: must be a whole number from 1 to 1000000000000000 minor units, not 0"},
		"a tolerance without":        {special("over_capture_tolerance: [{mcc: 5812}]"), "over_capture_tolerance[1]: percent is missing: it says how much of what was authorized may come on top"},

		"an unknown key of payments": {payments("review_amounts: 1"), inPayments + `: there is no key "review_amounts" here: write withhold_days, `},
		"withheld for years":         {payments("withhold_days: 367"), "4:39: profiles.special.payments.withhold_days: must be a whole number from 0 to 366, not 367"},
		"withheld back in time":      {payments("withhold_days: -1"), "payments.withhold_days: must be a whole number from 0 to 366, not -1"},
		"a negative amount":          {payments("review_amount: -1"), "payments.review_amount: "},
		"an amount beyond the bound": {payments("review_amount: 1000000000000001"), "payments.review_amount: must be a whole number from 0 to 1000000000000000 minor units"},
		"an amount beyond 64 bits":   {payments("review_amount: 99999999999999999999999"), "payments.review_amount: "},
		// Taken for 5000 pence it would be a hundredth of what was meant.
		"an amount in pounds":      {payments("review_amount: 5000.00"), "payments.review_amount: must be a whole number from 0 to 1000000000000000 minor units, not 5000.00: 5000.00 is 500000 minor units"},
		"an amount as text":        {payments("review_amount: \"5000\""), `payments.review_amount: must be a whole number from 0 to 1000000000000000 minor units, not the text "5000"`},
		"an octal amount":          {payments("review_amount: 0100"), "not 0100"},
		"a hexadecimal amount":     {payments("review_amount: 0x10"), "not 0x10"},
		"a key twice":              {payments("review_amount: 1, review_amount: 2"), "4:42: profiles.special.payments: review_amount is there already, in line 4: leave one out"},
		"a new source's amount":    {payments("review_new_source_amount: -1"), "payments.review_new_source_amount: "},
		"review for ever":          {payments("review_after_return_days: 3661"), "payments.review_after_return_days: must be a whole number from 0 to 3660"},
		"a negative review":        {payments("review_after_return_days: -1"), "payments.review_after_return_days: "},
		"a negative count":         {payments("review_daily_count: -1"), "payments.review_daily_count: "},
		"a count of half":          {payments("review_daily_count: 0.5"), "payments.review_daily_count: "},
		"a negative daily amount":  {payments("review_daily_amount: -1"), "payments.review_daily_amount: "},
		"a daily amount too large": {payments("review_daily_amount: 1000000000000001"), "payments.review_daily_amount: "},
		"overpayment maybe":        {payments("allow_overpayment: maybe"), "payments.allow_overpayment: must be true or false, not maybe"},
		"a list for payments":      {special("payments: [1]"), "4:23: profiles.special.payments: must be keys with values, not a list"},
		"a file without end":       {"version: v1\n#" + strings.Repeat("x", 1<<20), "1:1: the file has 1048589 bytes, and 1048576 is the most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rulesfile.Parse([]byte(row.text))
			var mistakes *rulesfile.Error
			if !errors.As(err, &mistakes) || !strings.Contains(err.Error(), row.says) {
				t.Fatalf("said %v", err)
			}
			if len(mistakes.Problems) != 1 {
				t.Errorf("one mistake is told as %v", err)
			}
		})
	}
}

func TestAllMistakesAreToldAtOnceWithTheirPlaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(path, []byte("profiles:\n  default:\n    blocked_mccs: [x]\n    payments:\n      review_amount: 1.5\n  a b: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := rulesfile.Read(path)
	var mistakes *rulesfile.Error
	if !errors.As(err, &mistakes) {
		t.Fatal(err)
	}
	want := []string{
		path + ":1:1: version is missing: it is recorded on every decision",
		path + `:3:20: profiles.default.blocked_mccs[1]: an MCC has four digits, and a range is 5541-5542, not "x"`,
		path + ":5:22: profiles.default.payments.review_amount: must be a whole number from 0 to 1000000000000000 minor units, not 1.5",
		path + `:6:3: profiles: the name of a profile is 1 to 64 letters, digits, - and _, not "a b"`,
	}
	if got := mistakes.Lines(); !slices.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	_, err = rulesfile.Parse([]byte("version: v1\nprofiles:\n  default:\n    blocked_mccs:\n" + strings.Repeat("      - x\n", 150)))
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 101 || lines[100] != "and 50 more" {
		t.Errorf("150 mistakes are told in %d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
}

// What YAML makes of an unquoted value is not always what was written.
func TestValuesAreTakenAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	rules, err := rulesfile.Parse([]byte(`
version: 2026.10
profiles:
  default:
    blocked_mccs: [0742, "0743", 5933-5935]
    blocked_merchants: [0012, 1.50, on, "a b "]
    blocked_countries: [NO]
    payments: {review_amount: 5_000_00}
`))
	if err != nil {
		t.Fatal(err)
	}
	p := rules.Ledger.Profiles["default"]
	if rules.Version != "2026.10" || !slices.Equal(p.BlockedMCCs, []string{"0742", "0743", "5933", "5934", "5935"}) ||
		!slices.Equal(p.BlockedMerchants, []string{"0012", "1.50", "on", "a b "}) || !slices.Equal(p.BlockedCountries, []string{"NO"}) ||
		rules.Payments.Profiles["default"].ReviewAmount != 500_000 {
		t.Errorf("read %s: %+v, %+v", rules.Version, p, rules.Payments.Profiles["default"])
	}
}

func TestEachKeyOfPurchases(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for line, change := range map[string]func(*ledger.Profile){
		"":                         func(*ledger.Profile) {},
		"over_limit_percent: 10":   func(p *ledger.Profile) { p.OverLimitPercent = 10 },
		"blocked_mccs: [7995]":     func(p *ledger.Profile) { p.BlockedMCCs = []string{"7995"} },
		"blocked_merchants: [m]":   func(p *ledger.Profile) { p.BlockedMerchants = []string{"m"} },
		"allowed_countries: [FR]":  func(p *ledger.Profile) { p.AllowedCountries = []string{"FR"} },
		"blocked_countries: [FR]":  func(p *ledger.Profile) { p.BlockedCountries = []string{"FR"} },
		"hold_expiry:":             func(*ledger.Profile) {},
		"hold_expiry: []":          func(p *ledger.Profile) { p.HoldExpiry = []ledger.HoldExpiryRow{} },
		"hold_expiry: [{days: 2}]": func(p *ledger.Profile) { p.HoldExpiry = []ledger.HoldExpiryRow{{Days: 2}} },
		"hold_expiry: [{mcc: 5541-5542, pre_authorization: true, max_amount: 100, days: 366}, {mcc: 5541-5542, pre_authorization: false, max_amount: 100, days: 1}]": func(p *ledger.Profile) {
			fuel := ledger.Match{FirstMCC: "5541", LastMCC: "5542", MaxAmount: 100}
			estimate, final := fuel, fuel
			estimate.PreAuthorization, final.PreAuthorization = &yes, &no
			p.HoldExpiry = []ledger.HoldExpiryRow{{Match: estimate, Days: 366}, {Match: final, Days: 1}}
		},
		"hold_amount: [{mcc: 5542, fixed: 7500}, {percent: 0}]": func(p *ledger.Profile) {
			p.HoldAmount = []ledger.HoldAmountRow{{Match: ledger.Match{FirstMCC: "5542", LastMCC: "5542"}, Fixed: 7500}, {}}
		},
		"hold_amount: [{max_amount: 9, percent: 1000}]": func(p *ledger.Profile) {
			p.HoldAmount = []ledger.HoldAmountRow{{Match: ledger.Match{MaxAmount: 9}, Percent: 1000}}
		},
		"over_capture_tolerance: [{mcc: 5812, percent: 20}]": func(p *ledger.Profile) {
			p.OverCaptureTolerance = []ledger.ToleranceRow{{Match: ledger.Match{FirstMCC: "5812", LastMCC: "5812"}, Percent: 20}}
		},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			rules, err := rulesfile.Parse([]byte("version: v1\nprofiles:\n  default: {}\n  special:\n    " + line + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			want := ledger.BuiltInRules().Profiles["default"]
			change(want)
			if got := rules.Ledger.Profiles["special"]; !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", *got, *want)
			}
			if got := rules.Ledger.Profiles["default"]; !reflect.DeepEqual(got, ledger.BuiltInRules().Profiles["default"]) {
				t.Errorf("default became %+v", *got)
			}
		})
	}
}

func TestTheDefaultRulesCanBeWrittenAndReadAgain(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	if err := rulesfile.WriteDefault(&text); err != nil {
		t.Fatal(err)
	}
	rules, err := rulesfile.Parse([]byte(text.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	if got, want := rules.Document(), rulesfile.BuiltIn().Document(); !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
	// Every key is in it, so that nobody has to look for one.
	for _, key := range keysOf(reflect.TypeFor[rulesfile.ProfileDocument](), reflect.TypeFor[rulesfile.PaymentsDocument]()) {
		if !strings.Contains(text.String(), " "+key+":") {
			t.Errorf("it does not have %s", key)
		}
	}
}

// keysOf are the JSON names of the fields of some types.
func keysOf(types ...reflect.Type) (keys []string) {
	for _, document := range types {
		for i := range document.NumField() {
			keys = append(keys, document.Field(i).Tag.Get("json"))
		}
	}
	return keys
}

func TestTheExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("rules_example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(reflect.TypeFor[rulesfile.ProfileDocument](), reflect.TypeFor[rulesfile.PaymentsDocument](), reflect.TypeFor[rulesfile.RowDocument]()) {
		if key = strings.TrimSuffix(key, ",omitempty"); !strings.Contains(string(text), key+":") {
			t.Errorf("it does not have %s", key)
		}
	}
}

func TestRulesAreExplained(t *testing.T) {
	t.Parallel()
	rules, err := rulesfile.Parse([]byte(`
version: v7
profiles:
  default:
    over_limit_percent: 10
    blocked_mccs: [7995, 6010-6012, 4829]
    blocked_merchants: [a, b, c, d, e, f, g, h, i]
    allowed_countries: [home, FR]
    hold_expiry:
      - {days: 5}
      - {pre_authorization: false, max_amount: 123456, days: 1}
      - {mcc: 7011, days: 30}
    hold_amount: [{mcc: 5542, fixed: 7500}, {mcc: 5812, percent: 20}]
    over_capture_tolerance: [{percent: 15}]
    payments: {withhold_days: 3, allow_overpayment: true, review_amount: 0, review_daily_count: 1, review_daily_amount: 0}
`))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := rules.Explain(&text); err != nil {
		t.Fatal(err)
	}
	const want = `version v7

PROFILE default: decides for accounts that name no profile, or one that is not here

  over the limit        all purchases                                   declined beyond 110 % of the credit limit
  blocked categories    mcc 4829, 6010-6012, 7995                       declined (57)
  blocked merchants     merchant a, b, c, d, e, f, g, h,                declined (57)
                                 i
  allowed countries     all but home, FR                                declined (62)
  blocked countries     none
  a hold lives for      mcc 7011                                        30 days
                        no pre-authorizations, up to 1,234.56           1 day
                        all others                                      5 days
  what is held          mcc 5542                                        at least 75.00
                        mcc 5812                                        20 % more than was asked
                        all others                                      what was asked
  normal over-capture   all purchases                                   up to 15 % of what was authorized
  a payment             all                                             can be spent after 3 days
                        of more than is owed                            taken
                        of more than 1,000.00 from a new bank account   held for review
                        within 60 days after one was returned           held for review
                        after 1 other within 24 hours                   held for review

PROFILE replay: for cardlog replay and up --demo
`
	if got := text.String(); !strings.HasPrefix(got, want) {
		t.Errorf("explained as\n%s\nwant\n%s", got, want)
	}
}

func TestTheBuiltInRules(t *testing.T) {
	t.Parallel()
	rules := rulesfile.BuiltIn()
	if rules.Version == "" || rules.Version != rules.Ledger.Version || rules.Version != rules.Payments.Version {
		t.Errorf("versions are %q, %q and %q", rules.Version, rules.Ledger.Version, rules.Payments.Version)
	}
	if got := rules.Payments.Profiles["default"]; *got != payment.DefaultRules() {
		t.Errorf("payments of default are %+v", got)
	}
	wantReplay(t, rules, payment.Profile{AllowOverpayment: true})
	for name, known := range map[string]bool{"default": true, "replay": true, "": false, "other": false} {
		if rules.Knows(name) != known {
			t.Errorf("knows %q: %v", name, !known)
		}
	}
	sameProfiles(t, rules)
}

func TestTheReplayProfileIsAlwaysThere(t *testing.T) {
	t.Parallel()
	rules, err := rulesfile.Parse([]byte("version: v1\nprofiles: {default: {blocked_mccs: [\"7995\"], payments: {withhold_days: 3, review_amount: 7}}}"))
	if err != nil {
		t.Fatal(err)
	}
	wantReplay(t, rules, payment.Profile{WithholdDays: 3, AllowOverpayment: true})
	sameProfiles(t, rules)

	if rules, err = rulesfile.Parse([]byte("version: v1\nprofiles: {default: {}, replay: {blocked_mccs: [\"7995\"]}}")); err != nil {
		t.Fatal(err)
	}
	if got := rules.Payments.Profiles["replay"]; *got != payment.DefaultRules() {
		t.Errorf("payments of a replay profile of the file are %+v", got)
	}
	if got := rules.Ledger.Profiles["replay"].BlockedMCCs; !slices.Equal(got, []string{"7995"}) {
		t.Errorf("a replay profile of the file blocks %v", got)
	}
	sameProfiles(t, rules)
}

// wantReplay checks a replay profile that no file defined: purchases as in default, payments as told.
func wantReplay(t *testing.T, rules *rulesfile.Rules, payments payment.Profile) {
	t.Helper()
	if got := rules.Payments.Profiles["replay"]; *got != payments {
		t.Errorf("payments of replay are %+v, want %+v", *got, payments)
	}
	if got, want := rules.Ledger.Profiles["replay"], rules.Ledger.Profiles["default"]; !reflect.DeepEqual(got, want) {
		t.Errorf("purchases of replay are %+v, want those of default: %+v", got, want)
	}
}

// sameProfiles checks that all services have the same profiles, which Knows relies on.
func sameProfiles(t *testing.T, rules *rulesfile.Rules) {
	t.Helper()
	purchases, payments := slices.Sorted(maps.Keys(rules.Ledger.Profiles)), slices.Sorted(maps.Keys(rules.Payments.Profiles))
	if !slices.Equal(purchases, payments) {
		t.Errorf("purchases have the profiles %v, payments %v", purchases, payments)
	}
	if !slices.Contains(payments, payment.DefaultProfile) || !slices.Contains(purchases, ledger.DefaultProfile) {
		t.Error("there is no default profile")
	}
}

// FuzzParse reads any bytes as rules. What it takes for rules keeps every bound, and says the same when it is written out and read again; what it does not, it refuses
// with the place of each mistake.
func FuzzParse(f *testing.F) {
	f.Add([]byte("version: v1\nprofiles: {default: {blocked_mccs: [\"7995\"], payments: {withhold_days: 3, review_amount: 0}}}"))
	f.Add([]byte("version: v1\nprofiles: {default: {hold_expiry: [{days: 1}, {days: 2}, {mcc: 5541-5542, max_amount: 1.00, days: 1}], hold_amount: [{fixed: 1}]}}"))
	f.Add([]byte("version: &a v1\nprofiles:\n  <<: *a\n  ? default\n  : !!str {}\n---\n[|\n"))
	example, err := os.ReadFile("rules_example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := rulesfile.Parse(text)
		if err != nil {
			wantMistakes(t, err)
			return
		}
		if rules.Version == "" || !rules.Knows("default") || !rules.Knows("replay") || len(rules.Ledger.Profiles) != len(rules.Payments.Profiles) {
			t.Errorf("accepted %q", text)
		}
		for _, p := range rules.Payments.Profiles {
			if min(p.WithholdDays, p.ReviewAfterReturnDays, p.ReviewDailyCount) < 0 || min(p.ReviewAmount, p.ReviewNewSourceAmount, p.ReviewDailyAmount) < 0 {
				t.Errorf("accepted %q as %+v", text, p)
			}
		}
		for _, p := range rules.Ledger.Profiles {
			wantSoundTables(t, p)
		}
		document := rules.Document()
		asJSON, err := json.Marshal(document) // which is YAML
		if err != nil {
			t.Fatal(err)
		}
		again, err := rulesfile.Parse(asJSON)
		if err != nil {
			t.Fatalf("%q cannot be read again as %s: %v", text, asJSON, err)
		}
		if got := again.Document(); !reflect.DeepEqual(got, document) {
			t.Errorf("%q is read as %+v, and again as %+v", text, document, got)
		}
		if err := rules.Explain(io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// wantMistakes fails the test unless an error names the place of each mistake, in order.
func wantMistakes(t *testing.T, err error) {
	t.Helper()
	var mistakes *rulesfile.Error
	if !errors.As(err, &mistakes) || len(mistakes.Problems) == 0 {
		t.Fatalf("refused with %v", err)
	}
	last := rulesfile.Problem{Line: 1, Column: 1}
	for _, p := range mistakes.Problems {
		if p.Line < last.Line || (p.Line == last.Line && p.Column < last.Column) || p.Message == "" {
			t.Errorf("%v comes after %v", p, last)
		}
		last = p
	}
}

// wantSoundTables fails the test unless the rows of a profile keep their bounds, and each purchase has one row that is most specific.
func wantSoundTables(t *testing.T, p *ledger.Profile) {
	t.Helper()
	var tables [3][]ledger.Match
	for _, row := range p.HoldExpiry {
		tables[0] = append(tables[0], row.Match)
		if row.Days < 1 || row.Days > 366 {
			t.Errorf("a hold of %d days", row.Days)
		}
	}
	for _, row := range p.HoldAmount {
		tables[1] = append(tables[1], row.Match)
		if row.Fixed < 0 || row.Percent < 0 || row.Percent > 1000 || (row.Fixed != 0 && row.Percent != 0) {
			t.Errorf("a hold of %s", row)
		}
	}
	for _, row := range p.OverCaptureTolerance {
		tables[2] = append(tables[2], row.Match)
		if row.Percent < 0 || row.Percent > 1000 {
			t.Errorf("a tolerance of %s", row)
		}
	}
	for _, table := range tables {
		for i, row := range table {
			if row.MaxAmount < 0 || row.FirstMCC > row.LastMCC || len(row.FirstMCC) != len(row.LastMCC) {
				t.Errorf("a row for %s", row)
			}
			for _, other := range table[:i] {
				if row.Conflicts(other) {
					t.Errorf("rows for %s and %s", row, other)
				}
			}
		}
	}
}
