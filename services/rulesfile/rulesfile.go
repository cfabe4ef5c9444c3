// Package rulesfile reads the YAML of --rules: the rules profiles of all services in one file, under one version.
// Services do not know each other, so this belongs to the command that runs them.
package rulesfile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/cardlog/cardlog/services/payments/payment"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// ReplayProfile is the name of a profile that is always there: default, but payments are taken whatever is owed and none is held for review.
// cardlog replay and the demo open their accounts with it, since the rows of a file have happened already. A rules file may define it otherwise.
const ReplayProfile = "replay"

// Rules are the rules profiles of all services, of one version. They do not change once made.
type Rules struct {
	// Version is recorded on every decision.
	Version string
	// Ledger decides purchases.
	Ledger *ledger.Rules
	// Payments decides payments. It has the same profiles.
	Payments *payment.Rules
}

// Knows says whether there is a profile of that name.
func (r *Rules) Knows(profile string) bool {
	_, known := r.Ledger.Profiles[profile]
	return known
}

// BuiltIn are the rules when no file is given.
func BuiltIn() *Rules {
	payments := payment.DefaultRules()
	purchases := ledger.BuiltInRules()
	return complete(&Rules{
		Version: purchases.Version, Ledger: purchases,
		Payments: &payment.Rules{Version: purchases.Version, Profiles: map[string]*payment.Profile{payment.DefaultProfile: &payments}},
	})
}

// complete adds the profiles that are always there.
func complete(rules *Rules) *Rules {
	if rules.Knows(ReplayProfile) {
		return rules
	}
	rules.Ledger.Profiles[ReplayProfile] = rules.Ledger.Profiles[ledger.DefaultProfile]
	// Only what stays is named, so that every review is off, also one that is yet to come.
	rules.Payments.Profiles[ReplayProfile] = &payment.Profile{
		WithholdDays: rules.Payments.Profiles[payment.DefaultProfile].WithholdDays, AllowOverpayment: true,
	}
	return rules
}

// Read reads a rules file. An unknown key, or a value that cannot be, is an error that names it.
func Read(path string) (*Rules, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rules, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rules, nil
}

// Parse reads the text of a rules file.
func Parse(text []byte) (*Rules, error) {
	var file document
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, errors.New(yaml.FormatError(err, false, true))
	}
	if file.Version == "" {
		return nil, errors.New("version is missing: it is recorded on every decision")
	}
	if _, ok := file.Profiles[ledger.DefaultProfile]; !ok {
		return nil, fmt.Errorf("there is no profile %s: it decides for accounts that name none", ledger.DefaultProfile)
	}
	rules := &Rules{
		Version:  file.Version,
		Ledger:   &ledger.Rules{Version: file.Version, Profiles: map[string]*ledger.Profile{}},
		Payments: &payment.Rules{Version: file.Version, Profiles: map[string]*payment.Profile{}},
	}
	// In order of their names, so that of several mistakes the same one is told each time.
	for _, name := range slices.Sorted(maps.Keys(file.Profiles)) {
		if !namePattern.MatchString(name) {
			return nil, fmt.Errorf("profiles: %q is not a name of 1 to 64 letters, digits, - and _", name)
		}
		purchases, err := file.Profiles[name].purchases()
		if err != nil {
			return nil, fmt.Errorf("profiles.%s.%w", name, err)
		}
		payments, err := file.Profiles[name].Payments.payments()
		if err != nil {
			return nil, fmt.Errorf("profiles.%s.payments.%w", name, err)
		}
		rules.Ledger.Profiles[name], rules.Payments.Profiles[name] = purchases, payments
	}
	return complete(rules), nil
}

// document is the YAML of --rules.
type document struct {
	Version  string             `yaml:"version"`
	Profiles map[string]profile `yaml:"profiles"`
}

type profile struct {
	BlockedMCCs      []string        `yaml:"blocked_mccs"`
	BlockedMerchants []string        `yaml:"blocked_merchants"`
	AllowedCountries []string        `yaml:"allowed_countries"`
	BlockedCountries []string        `yaml:"blocked_countries"`
	Payments         paymentsProfile `yaml:"payments"`
}

// paymentsProfile has nil for a key that was left out. Numbers are of any type, because the YAML package would take 5000.00 for 5000 without a word.
type paymentsProfile struct {
	WithholdDays          any   `yaml:"withhold_days"`
	AllowOverpayment      *bool `yaml:"allow_overpayment"`
	ReviewAmount          any   `yaml:"review_amount"`
	ReviewNewSourceAmount any   `yaml:"review_new_source_amount"`
	ReviewAfterReturnDays any   `yaml:"review_after_return_days"`
	ReviewDailyCount      any   `yaml:"review_daily_count"`
	ReviewDailyAmount     any   `yaml:"review_daily_amount"`
}

var (
	mccPattern     = regexp.MustCompile(`^[0-9]{4}$`)
	countryPattern = regexp.MustCompile(`^([A-Z]{2}|` + ledger.HomeCountry + `)$`)
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// purchases checks the profile's rules for purchases.
func (p profile) purchases() (*ledger.Profile, error) {
	for _, list := range []struct {
		key     string
		values  []string
		pattern *regexp.Regexp
		wanted  string
	}{
		{"blocked_mccs", p.BlockedMCCs, mccPattern, "an MCC has four digits"},
		{"allowed_countries", p.AllowedCountries, countryPattern, "a country has two capital letters, or is home"},
		{"blocked_countries", p.BlockedCountries, countryPattern, "a country has two capital letters, or is home"},
	} {
		for _, value := range list.values {
			if !list.pattern.MatchString(value) {
				return nil, fmt.Errorf("%s: %s, not %q", list.key, list.wanted, value)
			}
		}
	}
	return &ledger.Profile{BlockedMCCs: p.BlockedMCCs, BlockedMerchants: p.BlockedMerchants,
		AllowedCountries: p.AllowedCountries, BlockedCountries: p.BlockedCountries}, nil
}

// The bounds of the numbers. Days stay far below what a time.Duration holds.
const (
	mostWithholdDays = 366
	mostReviewDays   = 3_660
	mostPayments     = 1_000_000
	mostMinorUnits   = 1_000_000_000_000_000
)

// payments checks the profile's rules for payments, and takes the default for what it does not say.
func (p paymentsProfile) payments() (*payment.Profile, error) {
	rules := payment.DefaultRules()
	if p.AllowOverpayment != nil {
		rules.AllowOverpayment = *p.AllowOverpayment
	}
	return &rules, cmp.Or(
		number("withhold_days", p.WithholdDays, mostWithholdDays, "", &rules.WithholdDays),
		number("review_amount", p.ReviewAmount, mostMinorUnits, " minor units", &rules.ReviewAmount),
		number("review_new_source_amount", p.ReviewNewSourceAmount, mostMinorUnits, " minor units", &rules.ReviewNewSourceAmount),
		number("review_after_return_days", p.ReviewAfterReturnDays, mostReviewDays, "", &rules.ReviewAfterReturnDays),
		number("review_daily_count", p.ReviewDailyCount, mostPayments, "", &rules.ReviewDailyCount),
		number("review_daily_amount", p.ReviewDailyAmount, mostMinorUnits, " minor units", &rules.ReviewDailyAmount),
	)
}

// number takes a whole number from 0 to a bound. The YAML package gives uint64 for every such one.
func number[T int | int64](key string, given any, most uint64, unit string, into *T) error {
	if given == nil {
		return nil
	}
	value, whole := given.(uint64)
	if !whole || value > most {
		return fmt.Errorf("%s: must be a whole number from 0 to %d%s, not %v", key, most, unit, given)
	}
	*into = T(value)
	return nil
}
