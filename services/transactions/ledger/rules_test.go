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

func TestHoldsBeyondWhatIsAsked(t *testing.T) {
	t.Parallel()
	fuel, tips := Match{FirstMCC: "5542", LastMCC: "5542"}, Match{FirstMCC: "5812", LastMCC: "5812"}
	const opened = `
			open 1000.00 GBP profile special
			card c1 active`
	tell(t, profileOf(Profile{HoldAmount: []HoldAmountRow{{Match: fuel, Fixed: 75_00}, {Match: tips, Percent: 20}}}), []story{
		{"to a fixed amount", opened + `
			authorize t1 1.00 mcc 5542 | 00 approved 1.00, held 75.00                 | posted 0.00 pending 75.00 available 925.00
			show t1                    | authorized 1.00, held 75.00, surplus 74.00
			advise a1 30.00 of t1      | 00 recorded 30.00, held 30.00                | posted 0.00 pending 30.00 available 970.00
			show t1                    | authorized 30.00, held 30.00
			present p1 30.00 of t1     | 00 recorded 30.00                            | posted 30.00 pending 0.00 available 970.00`},
		{"by a percentage, which is no over-capture", opened + `
			authorize t1 45.01 mcc 5812 | 00 approved 45.01, held 54.01
			present p1 54.01 of t1     | 00 recorded 54.01                            | posted 54.01 pending 0.00 available 945.99
			present p2 0.01 of t1      | 00 recorded 0.01, over-capture 0.01`},
		{"when what is held fits", opened + `
			authorize t1 940.00
			authorize t2 1.00 mcc 5542 | 51 declined, insufficient credit
			authorize t3 1.00 mcc 5542 partial | 00 approved 1.00, held 60.00         | posted 0.00 pending 1000.00 available 0.00
			show t3                    | authorized 1.00, held 60.00, surplus 59.00`},
		{"for an approved part not at all", opened + `
			authorize t1 940.00
			authorize t2 70.00 mcc 5812 partial | 10 partially approved 60.00, held 60.00`},
		{"and not where more was asked anyway", opened + `
			authorize t1 80.00 mcc 5542 | 00 approved 80.00, held 80.00
			authorize t2 0.00 mcc 5542  | 85 verified`},
		{"which is released with the rest", opened + `
			authorize t1 1.00 mcc 5542
			reverse r1 of t1           | 00 recorded 75.00                            | posted 0.00 pending 0.00 available 1000.00
			present p1 1.00 of t1      | 00 recorded 1.00, over-capture 1.00
			authorize t2 1.00 mcc 5542
			wait 7d
			due                        | expired t2 75.00`},
		{"less what was presented before", opened + `
			present p1 30.00 of t1 more-to-come
			authorize t1 1.00 mcc 5542 | 00 approved 1.00, held 45.00                 | posted 30.00 pending 45.00 available 925.00`},
		{"which does not count as spent", opened + `
			controls c1 day=10.00
			authorize t1 1.00 mcc 5542 | 00 approved 1.00, held 75.00
			authorize t2 9.00          | 00 approved 9.00, held 9.00
			authorize t3 0.01          | 61 declined, amount limit exceeded
			present p1 30.00 of t1 more-to-come | 00 recorded 30.00, held 45.00`},
		{"and what an increment adds is the difference", opened + `
			authorize t1 45.00 mcc 5812 | 00 approved 45.00, held 54.00
			increment i1 10.00 of t1   | 00 approved 10.00, held 64.00`},
	})
	b := newBook(t, profileOf(Profile{HoldAmount: []HoldAmountRow{{Match: tips, Percent: 20}}})).run(opened + "\nauthorize t1 45.00 mcc 5812\nauthorize t2 45.00")
	if rule := b.read(b.account.LastEventOf("t1")).GetDecision().GetHoldAmountRule(); rule != "mcc 5812: 20% more" {
		t.Errorf("the row recorded is %q", rule)
	}
	if d := b.last().GetDecision(); d.GetHoldAmountRule() != "" || d.GetHoldExpiryRule() != "all: 7 days" {
		t.Errorf("the rows recorded are %q and %q", d.GetHoldAmountRule(), d.GetHoldExpiryRule())
	}
}

func TestOverLimit(t *testing.T) {
	t.Parallel()
	tell(t, profileOf(Profile{OverLimitPercent: 10}), []story{
		{"a percentage may be spent beyond the limit", `
			open 100.00 GBP profile special
			authorize t1 100.00 no-card | 00 approved 100.00, held 100.00             | posted 0.00 pending 100.00 available 0.00
			authorize t2 10.00 no-card  | 00 approved 10.00, held 10.00               | posted 0.00 pending 110.00 available -10.00
			authorize t3 0.01 no-card   | 51 declined, insufficient credit
			authorize t4 0.01 no-card partial | 51 declined, insufficient credit`},
		{"a part is approved up to there", `
			open 100.00 GBP profile special
			authorize t1 200.00 no-card partial | 10 partially approved 110.00, held 110.00 | posted 0.00 pending 110.00 available -10.00`},
	})
	b := newBook(t, profileOf(Profile{OverLimitPercent: 10})).run("open 100.05 GBP profile special\nauthorize t1 50.00 no-card")
	checks := b.last().GetDecision().GetChecks()
	b.expect("the check", checkWords(checks[len(checks)-1]), "credit limit: 50.00 / 110.05: passed")
}

func TestOverCaptureTolerance(t *testing.T) {
	t.Parallel()
	tips := ToleranceRow{Match: Match{FirstMCC: "5812", LastMCC: "5812"}, Percent: 20}
	const opened = `
			open 1000.00 GBP profile special
			card c1 active`
	tell(t, profileOf(Profile{OverCaptureTolerance: []ToleranceRow{tips}}), []story{
		{"says which over-captures are normal", opened + `
			authorize t1 45.00 mcc 5812
			present p1 54.00 of t1     | 00 recorded 54.00, over-capture 9.00, tolerated
			present p2 0.01 of t1      | 00 recorded 0.01, over-capture 0.01
			authorize t2 45.00 mcc 5812
			present p3 54.01 of t2     | 00 recorded 54.01, over-capture 9.01
			authorize t3 45.00
			present p4 45.01 of t3     | 00 recorded 45.01, over-capture 0.01`},
		{"by what was not reversed, and of a decline nothing", opened + `
			authorize t1 45.00 mcc 5812
			reverse r1 of t1 35.00
			present p1 12.00 of t1     | 00 recorded 12.00, over-capture 2.00, tolerated
			authorize t2 4500.00 mcc 5812
			present p2 0.01 of t2      | 00 recorded 0.01, over-capture 0.01`},
	})
}

func TestPercentOf(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ amount, percent, want int64 }{
		{100, 20, 20}, {99, 20, 19}, {4, 20, 0}, {0, 20, 0}, {100, 0, 0}, {AmountBound, 100, AmountBound}, {AmountBound, 1000, AmountBound},
		{AmountBound, 1 << 62, AmountBound}, {AmountBound, 50, AmountBound / 2},
	} {
		if got := percentOf(row.amount, row.percent); got != row.want {
			t.Errorf("%d%% of %d is %d, want %d", row.percent, row.amount, got, row.want)
		}
	}
}
