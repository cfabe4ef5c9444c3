package rulesfile_test

import (
	"maps"
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
	payments := func(line string) string {
		return "version: v1\nprofiles: {default: {}, special: {payments: {" + line + "}}}"
	}
	for name, row := range map[string]struct{ text, says string }{
		"no version":           {"profiles: {default: {}}", "version is missing"},
		"no default profile":   {"version: v1\nprofiles: {other: {}}", "no profile default"},
		"an unknown key":       {"version: v1\nprofiles: {default: {blocked_mcc: []}}", "blocked_mcc"},
		"an MCC of 3 digits":   {"version: v1\nprofiles: {default: {blocked_mccs: [\"799\"]}}", "profiles.default.blocked_mccs: an MCC has four digits"},
		"a country by name":    {"version: v1\nprofiles: {default: {allowed_countries: [Britain]}}", "allowed_countries"},
		"a profile with space": {"version: v1\nprofiles: {default: {}, \"a b\": {}}", "is not a name"},
		"not YAML":             {"version: [", ""},
		"a text for a list":    {"version: v1\nprofiles: {default: {blocked_mccs: {}}}", ""},
		"empty":                {"", "version is missing"},
		"the first of several": {"version: v1\nprofiles: {default: {}, b: {blocked_mccs: [x]}, a: {blocked_mccs: [x]}}", "profiles.a."},

		"an unknown key of payments": {payments("review_amounts: 1"), "review_amounts"},
		"withheld for years":         {payments("withhold_days: 367"), "profiles.special.payments.withhold_days: must be a whole number from 0 to 366, not 367"},
		"withheld back in time":      {payments("withhold_days: -1"), "payments.withhold_days: must be a whole number from 0 to 366, not -1"},
		"a negative amount":          {payments("review_amount: -1"), "payments.review_amount: "},
		"an amount beyond the bound": {payments("review_amount: 1000000000000001"), "payments.review_amount: must be a whole number from 0 to 1000000000000000 minor units"},
		"an amount beyond 64 bits":   {payments("review_amount: 99999999999999999999999"), "payments.review_amount: "},
		// Taken for 5000 pence it would be a hundredth of what was meant.
		"an amount in pounds":      {payments("review_amount: 5000.00"), "payments.review_amount: "},
		"an amount as text":        {payments("review_amount: \"5000\""), "payments.review_amount: "},
		"a new source's amount":    {payments("review_new_source_amount: -1"), "payments.review_new_source_amount: "},
		"review for ever":          {payments("review_after_return_days: 3661"), "payments.review_after_return_days: must be a whole number from 0 to 3660"},
		"a negative review":        {payments("review_after_return_days: -1"), "payments.review_after_return_days: "},
		"a negative count":         {payments("review_daily_count: -1"), "payments.review_daily_count: "},
		"a count of half":          {payments("review_daily_count: 0.5"), "payments.review_daily_count: "},
		"a negative daily amount":  {payments("review_daily_amount: -1"), "payments.review_daily_amount: "},
		"a daily amount too large": {payments("review_daily_amount: 1000000000000001"), "payments.review_daily_amount: "},
		"overpayment maybe":        {payments("allow_overpayment: maybe"), "allow_overpayment"},
		"a list for payments":      {"version: v1\nprofiles: {default: {payments: [1]}}", "payments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := rulesfile.Parse([]byte(row.text)); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("said %v", err)
			}
		})
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

func FuzzParse(f *testing.F) {
	f.Add([]byte("version: v1\nprofiles: {default: {blocked_mccs: [\"7995\"], payments: {withhold_days: 3, review_amount: 0}}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := rulesfile.Parse(text)
		if err != nil {
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
	})
}
