package ledger

import "testing"

func profileOf(p Profile) *Rules {
	return &Rules{Version: "2026-11", Profiles: map[string]*Profile{DefaultProfile: {}, "special": &p}}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		story
		profile Profile
	}{
		{profile: Profile{}, story: story{"an empty profile blocks nothing", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 mcc 7995 country KP | 00 approved 1.00, held 1.00`}},
		{profile: Profile{BlockedMCCs: []string{"7995", "5933"}}, story: story{"blocked categories", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 mcc 7995 | 57 declined, mcc blocked
			authorize t2 1.00 mcc 5933 | 57 declined, mcc blocked
			authorize t3 1.00 mcc 7994 | 00 approved 1.00, held 1.00`}},
		{profile: Profile{BlockedMerchants: []string{"bad-shop"}}, story: story{"blocked merchants", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 merchant bad-shop  | 57 declined, merchant blocked
			authorize t2 1.00 merchant bad-shop2 | 00 approved 1.00, held 1.00
			authorize t3 0.00 merchant bad-shop  | 57 declined, merchant blocked
			present p1 1.00 of t1                | 00 recorded 1.00, over-capture 1.00`}},
		{profile: Profile{BlockedCountries: []string{"KP"}}, story: story{"blocked countries", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 country KP | 62 declined, country blocked
			authorize t2 1.00 country FR | 00 approved 1.00, held 1.00`}},
		{profile: Profile{AllowedCountries: []string{"FR", "DE"}}, story: story{"allowed countries only", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 country FR | 00 approved 1.00, held 1.00
			authorize t2 1.00 country GB | 62 declined, country blocked`}},
		{profile: Profile{AllowedCountries: []string{"home", "IE"}}, story: story{"home is the holder's country, also after a move", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 country GB | 00 approved 1.00, held 1.00
			authorize t2 1.00 country IE | 00 approved 1.00, held 1.00
			authorize t3 1.00 country FR | 62 declined, country blocked
			home FR                      | account changed
			authorize t4 1.00 country FR | 00 approved 1.00, held 1.00
			authorize t5 1.00 country GB | 62 declined, country blocked`}},
		{profile: Profile{AllowedCountries: []string{"GB"}, BlockedCountries: []string{"home"}}, story: story{"blocked wins over allowed", `
			open 1000.00 GBP home GB profile special
			card c1 active
			authorize t1 1.00 country GB | 62 declined, country blocked`}},
		{profile: Profile{BlockedMCCs: []string{"5411"}}, story: story{"an account whose profile is gone is decided by the default one", `
			open 1000.00 GBP home GB profile gone
			card c1 active
			authorize t1 1.00 mcc 5411   | 00 approved 1.00, held 1.00`}},

		// The rules of the Scala predecessor: over the limit, abroad, or at its one risky merchant.
		{profile: Profile{AllowedCountries: []string{"home"}, BlockedMerchants: []string{"risky-merchant"}}, story: story{"the predecessor's rules", `
			open 100.00 USD home US profile special
			card c1 active
			authorize t1 100.01 USD country US                         | 51 declined, insufficient credit
			authorize t2 10.00 USD country GB                          | 62 declined, country blocked
			authorize t3 10.00 USD country US merchant risky-merchant  | 57 declined, merchant blocked
			authorize t4 100.00 USD country US merchant other-merchant | 00 approved 100.00, held 100.00 | posted 0.00 pending 100.00 available 0.00
			present p1 100.00 USD of t4                                | 00 recorded 100.00              | posted 100.00 pending 0.00 available 0.00`}},
	} {
		tell(t, profileOf(test.profile), []story{test.story})
	}
}

func TestTheProfileThatDecidedIsRecorded(t *testing.T) {
	t.Parallel()
	for named, decided := range map[string]string{"special": "special", "default": DefaultProfile, "gone": DefaultProfile} {
		b := newBook(t, profileOf(Profile{})).run("open 10.00 GBP profile " + named + "\nauthorize t1 1.00 no-card")
		if d := b.last().GetDecision(); d.GetRulesProfile() != decided || d.GetRulesVersion() != "2026-11" {
			t.Errorf("profile %s: decided by %s of %s", named, d.GetRulesProfile(), d.GetRulesVersion())
		}
	}
	if rules := BuiltInRules(); rules.Profiles[DefaultProfile] == nil || rules.Version == "" {
		t.Error("the built-in rules have no default profile, or no version")
	}
}
