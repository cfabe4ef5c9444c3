package payment

// DefaultProfile is the name of the profile of accounts whose own is not in the rules in force.
const DefaultProfile = "default"

// Rules are the rules profiles for payments in force. They do not change once made.
type Rules struct {
	// Version is recorded on every decision.
	Version string
	// Profiles by name; there is always one named default.
	Profiles map[string]*Profile
}

// Profile is a named set of rules for payments. Amounts are in minor units; a review bound of 0 is off.
type Profile struct {
	// WithholdDays is for how many days a payment cannot be spent after it was taken; 0 withholds nothing.
	WithholdDays int
	// AllowOverpayment takes payments of more than what is owed.
	AllowOverpayment bool
	// ReviewAmount holds payments at or above it.
	ReviewAmount int64
	// ReviewNewSourceAmount holds payments above it from a source that never had one submitted.
	ReviewNewSourceAmount int64
	// ReviewAfterReturnDays holds payments for so many days after one was returned.
	ReviewAfterReturnDays int
	// ReviewDailyCount holds a payment when there are more than so many within 24 hours.
	ReviewDailyCount int
	// ReviewDailyAmount holds a payment when there is more than this within 24 hours.
	ReviewDailyAmount int64
}

// DefaultRules are the rules of a profile that says nothing about payments.
func DefaultRules() Profile {
	return Profile{ReviewAmount: 5_000_00, ReviewNewSourceAmount: 1_000_00, ReviewAfterReturnDays: 60, ReviewDailyCount: 5, ReviewDailyAmount: 10_000_00}
}

// profile returns a profile with its name. An account whose profile is gone from the file is decided by the default one, and the decision says so.
func (r *Rules) profile(name string) (*Profile, string) {
	if profile, ok := r.Profiles[name]; ok {
		return profile, name
	}
	return r.Profiles[DefaultProfile], DefaultProfile
}
