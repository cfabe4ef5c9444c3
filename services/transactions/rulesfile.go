package transactions

import (
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/goccy/go-yaml"

	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// rulesFile is the YAML of --rules.
type rulesFile struct {
	Version  string                  `yaml:"version"`
	Profiles map[string]rulesProfile `yaml:"profiles"`
}

type rulesProfile struct {
	BlockedMCCs      []string `yaml:"blocked_mccs"`
	BlockedMerchants []string `yaml:"blocked_merchants"`
	AllowedCountries []string `yaml:"allowed_countries"`
	BlockedCountries []string `yaml:"blocked_countries"`
}

var (
	mccPattern     = regexp.MustCompile(`^[0-9]{4}$`)
	countryPattern = regexp.MustCompile(`^([A-Z]{2}|` + ledger.HomeCountry + `)$`)
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// ReadRules reads a rules file. An unknown key, or a value that cannot be, is an error that names it.
func ReadRules(path string) (*ledger.Rules, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rules, err := ParseRules(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rules, nil
}

// ParseRules reads the text of a rules file.
func ParseRules(text []byte) (*ledger.Rules, error) {
	var file rulesFile
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, errors.New(yaml.FormatError(err, false, true))
	}
	if file.Version == "" {
		return nil, errors.New("version is missing: it is recorded on every decision")
	}
	if _, ok := file.Profiles[ledger.DefaultProfile]; !ok {
		return nil, fmt.Errorf("there is no profile %s: it decides for accounts that name none", ledger.DefaultProfile)
	}
	rules := &ledger.Rules{Version: file.Version, Profiles: map[string]*ledger.Profile{}}
	for name, profile := range file.Profiles {
		if !namePattern.MatchString(name) {
			return nil, fmt.Errorf("profiles: %q is not a name of 1 to 64 letters, digits, - and _", name)
		}
		if err := profile.check(); err != nil {
			return nil, fmt.Errorf("profiles.%s.%w", name, err)
		}
		rules.Profiles[name] = &ledger.Profile{BlockedMCCs: profile.BlockedMCCs, BlockedMerchants: profile.BlockedMerchants,
			AllowedCountries: profile.AllowedCountries, BlockedCountries: profile.BlockedCountries}
	}
	return rules, nil
}

func (p rulesProfile) check() error {
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
				return fmt.Errorf("%s: %s, not %q", list.key, list.wanted, value)
			}
		}
	}
	return nil
}
