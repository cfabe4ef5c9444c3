package ledger

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Match says which purchases a row of a profile's table is for. What is not set matches all.
type Match struct {
	// FirstMCC and LastMCC are a range of merchant categories, both of four digits and included; both empty: all.
	FirstMCC, LastMCC string
	// PreAuthorization matches only what was (true), or was not (false), asked as an estimate before the purchase; nil: all.
	PreAuthorization *bool
	// MaxAmount matches amounts up to it, in minor units; 0: all.
	MaxAmount int64
}

// HoldExpiryRow says for how many days a hold lives.
type HoldExpiryRow struct {
	Match
	// Days from the authorization, at least 1. A day has 24 hours.
	Days int
}

// HoldAmountRow says that more is held than was asked: of Fixed and Percent one is set.
type HoldAmountRow struct {
	Match
	// Fixed is the least that is held, in minor units.
	Fixed int64
	// Percent of the amount is held on top of it, rounded down.
	Percent int64
}

// ToleranceRow says which over-capture is normal. Its MaxAmount is held against what was authorized.
type ToleranceRow struct {
	Match
	// Percent of what was authorized, rounded down.
	Percent int64
}

// defaultHoldDays is how long a hold lives when no row of the profile's table is for it: the networks' window for most purchases.
const defaultHoldDays = 7

// DefaultHoldExpiry returns the table of profiles that have none: the networks' windows, and a day for the small amount that fuel pumps ask before they know how
// much will be taken.
func DefaultHoldExpiry() []HoldExpiryRow {
	estimate := true
	return []HoldExpiryRow{
		{Match: Match{FirstMCC: "5541", LastMCC: "5542", MaxAmount: 1_00}, Days: 1},
		{Match: Match{FirstMCC: "3351", LastMCC: "3441"}, Days: 30}, // car rental
		{Match: Match{FirstMCC: "3501", LastMCC: "3790"}, Days: 30}, // lodging, by name
		{Match: Match{FirstMCC: "4411", LastMCC: "4411"}, Days: 30}, // cruises
		{Match: Match{FirstMCC: "7011", LastMCC: "7011"}, Days: 30}, // lodging
		{Match: Match{PreAuthorization: &estimate}, Days: 30},
		{Days: defaultHoldDays},
	}
}

// Compare is negative when m is more specific than other, and so goes first where both are for a purchase: the narrower range of merchant categories, then the lower
// amount, then the one that names pre-authorization. It is 0 when neither is.
func (m Match) Compare(other Match) int {
	names := func(m Match) int {
		if m.PreAuthorization != nil {
			return 0
		}
		return 1
	}
	amount := func(m Match) int64 {
		if m.MaxAmount == 0 {
			return AmountBound
		}
		return m.MaxAmount
	}
	return cmp.Or(cmp.Compare(m.width(), other.width()), cmp.Compare(amount(m), amount(other)), cmp.Compare(names(m), names(other)))
}

// width is how many merchant categories it matches.
func (m Match) width() int {
	if m.FirstMCC == "" {
		return 10_000 + 1 // all, also a purchase without one
	}
	first, _ := strconv.Atoi(m.FirstMCC)
	last, _ := strconv.Atoi(m.LastMCC)
	return last - first + 1
}

// Conflicts says whether there are purchases that both rows are for, and neither is more specific: such a table does not say what it means.
func (m Match) Conflicts(other Match) bool {
	if m.Compare(other) != 0 {
		return false
	}
	disjoint := m.FirstMCC > other.LastMCC || other.FirstMCC > m.LastMCC ||
		(m.PreAuthorization != nil && other.PreAuthorization != nil && *m.PreAuthorization != *other.PreAuthorization)
	return !disjoint
}

// matches says whether the row is for a purchase.
func (m Match) matches(mcc string, preAuthorization bool, amount int64) bool {
	return (m.FirstMCC == "" || (m.FirstMCC <= mcc && mcc <= m.LastMCC)) &&
		(m.PreAuthorization == nil || *m.PreAuthorization == preAuthorization) &&
		(m.MaxAmount == 0 || amount <= m.MaxAmount)
}

// match is the row's own; it is what makes a type a row.
func (m Match) match() Match { return m }

// mostSpecific returns the row that is for a purchase, and whether there is one.
func mostSpecific[Row interface{ match() Match }](rows []Row, mcc string, preAuthorization bool, amount int64) (found Row, ok bool) {
	for _, row := range rows {
		if row.match().matches(mcc, preAuthorization, amount) && (!ok || row.match().Compare(found.match()) < 0) {
			found, ok = row, true
		}
	}
	return found, ok
}

// String says which purchases it is for: "mcc 5541-5542 up to 100", or "all".
func (m Match) String() string {
	var words []string
	switch m.FirstMCC {
	case "":
	case m.LastMCC:
		words = append(words, "mcc "+m.FirstMCC)
	default:
		words = append(words, "mcc "+m.FirstMCC+"-"+m.LastMCC)
	}
	if m.PreAuthorization != nil {
		words = append(words, map[bool]string{true: "pre-authorization", false: "no pre-authorization"}[*m.PreAuthorization])
	}
	if m.MaxAmount != 0 {
		words = append(words, fmt.Sprintf("up to %d", m.MaxAmount))
	}
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, " ")
}

// String says what the row means: "mcc 5541-5542 up to 100: 1 day". Decisions record it so.
func (r HoldExpiryRow) String() string {
	if r.Days == 1 {
		return r.Match.String() + ": 1 day"
	}
	return r.Match.String() + ": " + strconv.Itoa(r.Days) + " days"
}

// String says what the row means: "mcc 5542: at least 7500", or "mcc 5812: 20% more". Decisions record it so.
func (r HoldAmountRow) String() string {
	if r.Fixed != 0 {
		return fmt.Sprintf("%s: at least %d", r.Match, r.Fixed)
	}
	return fmt.Sprintf("%s: %d%% more", r.Match, r.Percent)
}

// String says what the row means: "mcc 5812: 20%".
func (r ToleranceRow) String() string { return fmt.Sprintf("%s: %d%%", r.Match, r.Percent) }
