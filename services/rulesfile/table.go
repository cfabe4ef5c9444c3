package rulesfile

import "github.com/cardlog/cardlog/services/transactions/ledger"

// table reads the rows of a table, each with what it is for. Two rows for the same purchase of which neither is more specific are a mistake.
func table[Row any](v value, keys []string, read func(row fields, match ledger.Match) (Row, bool)) (rows []Row) {
	values := v.list(mostRows)
	rows = []Row{}
	type placed struct {
		match ledger.Match
		row   value
	}
	var before []placed
	for _, one := range values {
		row, ok := one.fields(append([]string{"mcc", "pre_authorization", "max_amount"}, keys...)...)
		if !ok {
			continue
		}
		match, matchOK := row.match()
		whole, readOK := read(row, match)
		if !matchOK || !readOK {
			continue
		}
		for _, earlier := range before {
			if match.Conflicts(earlier.match) {
				conflict(one, match, earlier.row, earlier.match)
				break
			}
		}
		before = append(before, placed{match, one})
		rows = append(rows, whole)
	}
	return rows
}

// conflict notes that two rows are for the same purchase.
func conflict(row value, match ledger.Match, earlier value, earlierMatch ledger.Match) {
	line := firstToken(earlier.node).Position.Line
	if match.String() == earlierMatch.String() {
		row.wrong("there is a row for the same already (%s), in line %d: leave one out", match, line)
		return
	}
	row.wrong("this row (%s) and the one in line %d (%s) are for some of the same purchases, and neither is more specific: make one of them narrower", match, line, earlierMatch)
}

// match reads which purchases a row is for.
func (f fields) match() (match ledger.Match, ok bool) {
	ok = true
	if mcc := f.get("mcc"); !mcc.absent() {
		match.FirstMCC, match.LastMCC, ok = mccRange(mcc)
	}
	if pre := f.get("pre_authorization"); !pre.absent() {
		flag, isFlag := pre.flag()
		match.PreAuthorization, ok = &flag, ok && isFlag
	}
	if amount := f.get("max_amount"); !amount.absent() {
		most, isNumber := amount.number(1, mostMinorUnits, minorUnits)
		match.MaxAmount, ok = most, ok && isNumber
	}
	return match, ok
}

// required reads a number that a row must have.
func (f fields) required(key string, least, most int64, unit, why string) (number int64, ok bool) {
	v := f.get(key)
	if v.absent() {
		f.missing(key, why)
		return 0, false
	}
	return v.number(least, most, unit)
}

// readTables reads the tables that are given; the others stay.
func readTables(f fields, profile *ledger.Profile) {
	if expiry := f.get("hold_expiry"); !expiry.absent() {
		profile.HoldExpiry = table(expiry, []string{"days"}, func(row fields, match ledger.Match) (ledger.HoldExpiryRow, bool) {
			days, ok := row.required("days", 1, mostHoldDays, "", "it says how long a hold lives")
			return ledger.HoldExpiryRow{Match: match, Days: int(days)}, ok
		})
	}
	if amount := f.get("hold_amount"); !amount.absent() {
		profile.HoldAmount = table(amount, []string{"fixed", "percent"}, holdAmount)
	}
	if tolerance := f.get("over_capture_tolerance"); !tolerance.absent() {
		profile.OverCaptureTolerance = table(tolerance, []string{"percent"}, func(row fields, match ledger.Match) (ledger.ToleranceRow, bool) {
			percent, ok := row.required("percent", 0, mostPercent, "", "it says how much of what was authorized may come on top")
			return ledger.ToleranceRow{Match: match, Percent: percent}, ok
		})
	}
}

// holdAmount reads a row of hold_amount.
func holdAmount(row fields, match ledger.Match) (read ledger.HoldAmountRow, ok bool) {
	read.Match = match
	fixed, percent := row.get("fixed"), row.get("percent")
	switch {
	case fixed.absent() && percent.absent():
		row.missing("fixed or percent", "fixed is the least that is held, percent comes on top of what was asked")
	case !fixed.absent() && !percent.absent():
		percent.wrong("the row has fixed too: leave one out, or make a row for each")
	case percent.absent():
		read.Fixed, ok = fixed.number(1, mostMinorUnits, minorUnits)
	default:
		read.Percent, ok = percent.number(0, mostPercent, "")
	}
	return read, ok
}
