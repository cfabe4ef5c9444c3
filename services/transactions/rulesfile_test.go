package transactions_test

import (
	"strings"
	"testing"

	"github.com/cardlog/cardlog/services/transactions"
)

func TestTheExampleRulesAreRead(t *testing.T) {
	t.Parallel()
	rules, err := transactions.ReadRules("rules_example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	predecessor := rules.Profiles["predecessor"]
	if rules.Version != "2026-11" || predecessor == nil || predecessor.AllowedCountries[0] != "home" || predecessor.BlockedMerchants[0] != "risky-1" {
		t.Errorf("read %+v", rules)
	}
}

func TestARulesFileThatCannotBeIsRefusedInWords(t *testing.T) {
	t.Parallel()
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := transactions.ParseRules([]byte(row.text)); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("said %v", err)
			}
		})
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte("version: v1\nprofiles: {default: {blocked_mccs: [\"7995\"]}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := transactions.ParseRules(text)
		if err == nil && (rules.Version == "" || rules.Profiles["default"] == nil) {
			t.Errorf("accepted %q", text)
		}
	})
}
