// Package rulesfile reads the YAML of --rules: the rules profiles of all services in one file, under one version.
// Services do not know each other, so this belongs to the command that runs them.
package rulesfile

import (
	"errors"
	"fmt"
	"os"

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

// fileBound is how many bytes a rules file may have.
const fileBound = 1 << 20

// Read reads a rules file. Its mistakes are an *Error.
func Read(path string) (*Rules, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rules, err := Parse(text)
	var mistakes *Error
	if errors.As(err, &mistakes) {
		mistakes.File = path
	}
	return rules, err
}

// Parse reads the text of a rules file. An *Error has all its mistakes.
func Parse(text []byte) (*Rules, error) {
	if len(text) > fileBound {
		return nil, newError([]Problem{{Line: 1, Column: 1, Message: fmt.Sprintf("the file has %d bytes, and %d is the most", len(text), fileBound)}})
	}
	r := &reader{}
	rules := r.parse(text).rules()
	if err := newError(r.problems); err != nil {
		return nil, err
	}
	return complete(rules), nil
}
