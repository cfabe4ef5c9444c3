package ledger

import (
	"slices"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// DefaultProfile is the name of the profile of accounts that name none.
const DefaultProfile = "default"

// HomeCountry stands, in a profile's lists of countries, for the country of the account's holder.
const HomeCountry = "home"

// Rules are the rules profiles in force. They do not change once made.
type Rules struct {
	// Version is recorded on every decision.
	Version string
	// Profiles by name; there is always one named default.
	Profiles map[string]*Profile
}

// Profile is a named set of rules for authorizations.
type Profile struct {
	// BlockedMCCs are merchant categories whose purchases are declined.
	BlockedMCCs []string
	// BlockedMerchants are merchant ids whose purchases are declined.
	BlockedMerchants []string
	// AllowedCountries, when there are any, are the only merchant countries that are not declined. HomeCountry stands for the holder's.
	AllowedCountries []string
	// BlockedCountries are merchant countries that are declined.
	BlockedCountries []string
}

// BuiltInRules are the rules when no file is given: one profile that blocks nothing.
func BuiltInRules() *Rules {
	return &Rules{Version: "built-in-1", Profiles: map[string]*Profile{DefaultProfile: {}}}
}

// profile returns a profile with its name. An account whose profile is gone from the file is decided by the default one, and the decision says so.
func (r *Rules) profile(name string) (*Profile, string) {
	if profile, ok := r.Profiles[name]; ok {
		return profile, name
	}
	return r.Profiles[DefaultProfile], DefaultProfile
}

func (p *Profile) checkCountry(country, home string) *eventsv1.CheckRecord {
	in := func(list []string) bool {
		return slices.Contains(list, country) || (country == home && home != "" && slices.Contains(list, HomeCountry))
	}
	bound, failed := "", false
	switch {
	case in(p.BlockedCountries):
		bound, failed = "blocked", true
	case len(p.AllowedCountries) > 0 && !in(p.AllowedCountries):
		bound, failed = "not allowed", true
	}
	return codeCheck(typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY, country, bound, failed, typev1.DeclineReason_DECLINE_REASON_COUNTRY_BLOCKED)
}

func (p *Profile) checkMCC(mcc string) *eventsv1.CheckRecord {
	return blockedCheck(typev1.CheckKind_CHECK_KIND_MCC, mcc, p.BlockedMCCs, typev1.DeclineReason_DECLINE_REASON_MCC_BLOCKED)
}

func (p *Profile) checkMerchant(id string) *eventsv1.CheckRecord {
	return blockedCheck(typev1.CheckKind_CHECK_KIND_MERCHANT, id, p.BlockedMerchants, typev1.DeclineReason_DECLINE_REASON_MERCHANT_BLOCKED)
}

func blockedCheck(kind typev1.CheckKind, seen string, blocked []string, reason typev1.DeclineReason) *eventsv1.CheckRecord {
	if slices.Contains(blocked, seen) {
		return codeCheck(kind, seen, "blocked", true, reason)
	}
	return codeCheck(kind, seen, "", false, reason)
}
