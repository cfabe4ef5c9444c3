package rulesfile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"golang.org/x/text/language"

	"github.com/cardlog/cardlog/services/payments/payment"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// The bounds of what a file can say. Days stay far below what a time.Duration holds.
const (
	mostOverLimit    = 100
	mostPercent      = 1_000
	mostHoldDays     = 366
	mostWithholdDays = 366
	mostReviewDays   = 3_660
	mostPayments     = 1_000_000
	mostMinorUnits   = 1_000_000_000_000_000
	mostRows         = 1_000  // of a table
	mostListed       = 10_000 // in a list
)

const minorUnits = " minor units"

var (
	mccPattern      = regexp.MustCompile(`^([0-9]{4})(?:-([0-9]{4}))?$`)
	merchantPattern = regexp.MustCompile(`^[^[:cntrl:]]{1,64}$`)
	countryPattern  = regexp.MustCompile(`^[A-Z]{2}$`)
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	versionPattern  = regexp.MustCompile(`^[[:graph:]]([[:print:]]{0,62}[[:graph:]])?$`)
)

// rules reads a whole file.
func (v value) rules() *Rules {
	rules := &Rules{
		Ledger:   &ledger.Rules{Profiles: map[string]*ledger.Profile{}},
		Payments: &payment.Rules{Profiles: map[string]*payment.Profile{}},
	}
	if v.absent() {
		if len(v.reader.problems) == 0 {
			v.wrong("the file is empty: cardlog rules show prints one to begin with")
		}
		return rules
	}
	file, ok := v.fields("version", "profiles")
	if !ok {
		return rules
	}
	const why = "it is recorded on every decision"
	if version := file.get("version"); version.absent() {
		file.missing("version", why)
	} else if text, ok := version.text("must be a text"); ok {
		if !versionPattern.MatchString(text) {
			version.wrong("must be 1 to 64 plain characters, not %s: %s", quoted(text), why)
		}
		rules.Version, rules.Ledger.Version, rules.Payments.Version = text, text, text
	}
	profiles := file.get("profiles")
	if profiles.absent() {
		file.missing("profiles", "it has at least the profile "+ledger.DefaultProfile)
		return rules
	}
	names, ok := profiles.keys()
	for _, name := range names {
		if !namePattern.MatchString(name.name) {
			v.reader.wrong(name.token, profiles.path, "the name of a profile is 1 to 64 letters, digits, - and _, not %s", quoted(name.name))
		}
		rules.Ledger.Profiles[name.name], rules.Payments.Profiles[name.name] = name.value.profile()
	}
	if _, there := rules.Ledger.Profiles[ledger.DefaultProfile]; ok && !there {
		profiles.wrong("there is no profile %s: it decides for accounts that name none; write default: {} to take everything as it is built in", ledger.DefaultProfile)
	}
	return rules
}

// profile reads a profile. What is left out is as in the built-in default profile.
func (v value) profile() (*ledger.Profile, *payment.Profile) {
	purchases, payments := ledger.BuiltInRules().Profiles[ledger.DefaultProfile], payment.DefaultRules()
	if v.absent() {
		return purchases, &payments
	}
	f, ok := v.fields("over_limit_percent", "blocked_mccs", "blocked_merchants", "allowed_countries", "blocked_countries",
		"hold_expiry", "hold_amount", "over_capture_tolerance", "payments")
	if !ok {
		return purchases, &payments
	}
	number(f.get("over_limit_percent"), 0, mostOverLimit, " percent of the credit limit", &purchases.OverLimitPercent)
	purchases.BlockedMCCs = blockedMCCs(f.get("blocked_mccs"))
	purchases.BlockedMerchants = listed(f.get("blocked_merchants"), merchant)
	allowed, blocked := f.get("allowed_countries"), f.get("blocked_countries")
	purchases.AllowedCountries, purchases.BlockedCountries = listed(allowed, country), listed(blocked, country)
	for _, both := range purchases.BlockedCountries {
		if slices.Contains(purchases.AllowedCountries, both) {
			blocked.wrong("%s is in allowed_countries too: leave one out", both)
		}
	}
	readTables(f, purchases)
	readPayments(f.get("payments"), &payments)
	return purchases, &payments
}

// number takes a number where one is given.
func number[T int | int64](v value, least, most int64, unit string, into *T) {
	if v.absent() {
		return
	}
	if given, ok := v.number(least, most, unit); ok {
		*into = T(given)
	}
}

// listed reads a list of texts. One that is there twice is a mistake.
func listed(v value, read func(value) (string, bool)) (texts []string) {
	values := v.list(mostListed)
	places := map[string]int{}
	for i, one := range values {
		text, ok := read(one)
		if !ok {
			continue
		}
		if first, twice := places[text]; twice {
			one.wrong("%s is there already, as entry %d: leave one out", text, first)
			continue
		}
		places[text] = i + 1
		texts = append(texts, text)
	}
	return texts
}

// merchant reads the id of a merchant.
func merchant(v value) (string, bool) {
	const wanted = "must be a merchant id of 1 to 64 characters"
	text, ok := v.text(wanted)
	if ok && !merchantPattern.MatchString(text) {
		v.wrong("%s, not %s", wanted, quoted(text))
		return "", false
	}
	return text, ok
}

// country reads a country of ISO 3166-1, or home.
func country(v value) (string, bool) {
	const wanted = "a country has two capital letters, or is " + ledger.HomeCountry
	text, ok := v.text(wanted)
	if !ok || text == ledger.HomeCountry {
		return text, ok
	}
	if !countryPattern.MatchString(text) {
		v.wrong("%s, not %s", wanted, quoted(text))
		return "", false
	}
	region, err := language.ParseRegion(text)
	switch {
	case err != nil || !region.IsCountry():
		v.wrong("%s is not a country of ISO 3166-1", text)
	case region.Canonicalize() != region:
		v.wrong("%s is not a country of ISO 3166-1: write %s", text, region.Canonicalize())
	default:
		return text, true
	}
	return "", false
}

// mccRange reads a merchant category, or a range of them such as 5541-5542.
func mccRange(v value) (first, last string, ok bool) {
	const wanted = "an MCC has four digits, and a range is 5541-5542"
	text, ok := v.text(wanted)
	if !ok {
		return "", "", false
	}
	digits := mccPattern.FindStringSubmatch(text)
	switch {
	case digits == nil:
		v.wrong("%s, not %s", wanted, quoted(text))
		return "", "", false
	case digits[2] == "":
		return digits[1], digits[1], true
	case digits[1] > digits[2]:
		v.wrong("the range goes backwards: write %s-%s", digits[2], digits[1])
		return "", "", false
	}
	return digits[1], digits[2], true
}

// blockedMCCs reads a list of categories and ranges. A category that is there twice is a mistake.
func blockedMCCs(v value) (mccs []string) {
	values := v.list(mostListed)
	places := map[string]int{}
	for i, one := range values {
		first, last, ok := mccRange(one)
		if !ok {
			continue
		}
		from, _ := strconv.Atoi(first)
		through, _ := strconv.Atoi(last)
		for mcc := from; mcc <= through; mcc++ {
			code := fmt.Sprintf("%04d", mcc)
			if entry, twice := places[code]; twice {
				one.wrong("%s is there already, with entry %d: leave one out", code, entry)
				break
			}
			places[code] = i + 1
			mccs = append(mccs, code)
		}
	}
	return mccs
}

// readPayments reads the rules for payments over the default ones.
func readPayments(v value, rules *payment.Profile) {
	if v.absent() {
		return
	}
	f, _ := v.fields("withhold_days", "allow_overpayment", "review_amount", "review_new_source_amount", "review_after_return_days", "review_daily_count",
		"review_daily_amount")
	number(f.get("withhold_days"), 0, mostWithholdDays, "", &rules.WithholdDays)
	number(f.get("review_amount"), 0, mostMinorUnits, minorUnits, &rules.ReviewAmount)
	number(f.get("review_new_source_amount"), 0, mostMinorUnits, minorUnits, &rules.ReviewNewSourceAmount)
	number(f.get("review_after_return_days"), 0, mostReviewDays, "", &rules.ReviewAfterReturnDays)
	number(f.get("review_daily_count"), 0, mostPayments, "", &rules.ReviewDailyCount)
	number(f.get("review_daily_amount"), 0, mostMinorUnits, minorUnits, &rules.ReviewDailyAmount)
	if overpayment := f.get("allow_overpayment"); !overpayment.absent() {
		if allowed, ok := overpayment.flag(); ok {
			rules.AllowOverpayment = allowed
		}
	}
}
