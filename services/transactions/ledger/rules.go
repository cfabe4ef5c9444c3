package ledger

import "math/bits"

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

// Profile is a named set of rules for purchases.
type Profile struct {
	// OverLimitPercent of the credit limit may be spent beyond it.
	OverLimitPercent int64
	// BlockedMCCs are merchant categories whose purchases are declined.
	BlockedMCCs []string
	// BlockedMerchants are merchant ids whose purchases are declined.
	BlockedMerchants []string
	// AllowedCountries, when there are any, are the only merchant countries that are not declined. HomeCountry stands for the holder's.
	AllowedCountries []string
	// BlockedCountries are merchant countries that are declined.
	BlockedCountries []string
	// HoldExpiry says how long holds live; the most specific row is used. For what no row is for, it is seven days.
	HoldExpiry []HoldExpiryRow
	// HoldAmount says what is held beyond what was asked; the most specific row is used. For what no row is for, nothing is.
	HoldAmount []HoldAmountRow
	// OverCaptureTolerance says which over-captures are normal; the most specific row is used. For what no row is for, none is.
	OverCaptureTolerance []ToleranceRow
}

// BuiltInRules are the rules when no file is given: one profile that blocks nothing.
func BuiltInRules() *Rules {
	return &Rules{Version: "built-in-2", Profiles: map[string]*Profile{DefaultProfile: {HoldExpiry: DefaultHoldExpiry()}}}
}

// profile returns a profile with its name. An account whose profile is gone from the file is decided by the default one, and the decision says so.
func (r *Rules) profile(name string) (*Profile, string) {
	if profile, ok := r.Profiles[name]; ok {
		return profile, name
	}
	return r.Profiles[DefaultProfile], DefaultProfile
}

// holdExpiry returns the row that says how long a hold lives.
func (p *Profile) holdExpiry(mcc string, preAuthorization bool, amount int64) HoldExpiryRow {
	if row, ok := mostSpecific(p.HoldExpiry, mcc, preAuthorization, amount); ok {
		return row
	}
	return HoldExpiryRow{Days: defaultHoldDays}
}

// holdSurplus returns what is held beyond an amount that was asked, and the row that says so; the row is empty when nothing is.
func (p *Profile) holdSurplus(mcc string, preAuthorization bool, amount int64) (surplus int64, rule string) {
	row, ok := mostSpecific(p.HoldAmount, mcc, preAuthorization, amount)
	if !ok || amount > AmountBound {
		return 0, ""
	}
	surplus = percentOf(amount, row.Percent)
	if row.Fixed != 0 {
		surplus = max(0, row.Fixed-amount)
	}
	if surplus == 0 {
		return 0, ""
	}
	return surplus, row.String()
}

// tolerates says whether an over-capture of what was authorized is normal.
func (p *Profile) tolerates(overCapture, authorized int64, mcc string, preAuthorization bool) bool {
	row, ok := mostSpecific(p.OverCaptureTolerance, mcc, preAuthorization, authorized)
	return ok && overCapture <= percentOf(authorized, row.Percent)
}

// percentOf returns so much percent of an amount, rounded down, and at most AmountBound.
func percentOf(amount, percent int64) int64 {
	high, low := bits.Mul64(uint64(amount), uint64(percent))
	if high >= 100 {
		return AmountBound
	}
	part, _ := bits.Div64(high, low, 100)
	return int64(min(part, AmountBound))
}
