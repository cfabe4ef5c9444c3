package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// label is an enum's value in words: CARD_STATE_PAUSED is Paused. A value that this version does not know is still said somehow.
func label(value protoreflect.Enum) string {
	name := enumName(value)
	if name == "" {
		return "Unknown"
	}
	if said, special := labels[name]; special {
		return said
	}
	words := strings.ToLower(strings.ReplaceAll(name, "_", " "))
	return strings.ToUpper(words[:1]) + words[1:]
}

// labels are values whose names are not quite words.
var labels = map[string]string{
	"MCC": "Merchant category", "MCC_BLOCKED": "Merchant category blocked", "ECOMMERCE": "Online",
}

// enumName is a value's name without its enum's prefix; empty where it is not given, or unknown.
func enumName(value protoreflect.Enum) string {
	described := value.Descriptor().Values().ByNumber(value.Number())
	if described == nil {
		if value.Number() == 0 {
			return ""
		}
		return "VALUE_" + strconv.Itoa(int(value.Number()))
	}
	if value.Number() == 0 {
		return ""
	}
	return strings.TrimPrefix(string(described.Name()), upperSnake(string(value.Descriptor().Name()))+"_")
}

// upperSnake is how the names of an enum's values begin: CardState gives CARD_STATE.
func upperSnake(name string) string {
	var text strings.Builder
	for i, letter := range name {
		if i > 0 && unicode.IsUpper(letter) {
			text.WriteByte('_')
		}
		text.WriteRune(unicode.ToUpper(letter))
	}
	return text.String()
}

// tone is the colour of a value: good, wait, bad or none. Colour never says anything that the words beside it do not.
func tone(value protoreflect.Enum) string {
	switch value.Descriptor().Name() {
	case "EntryType", "CheckKind":
		return ""
	}
	switch enumName(value) {
	case "OPEN", "ACTIVE", "CLEARED", "POSTED", "APPROVED", "VERIFIED", "RECORDED", "SUBMITTED", "FOLLOWING":
		return "good"
	case "PENDING", "PARTIALLY_CLEARED", "PARTIALLY_APPROVED", "HELD", "INACTIVE", "PAUSED", "SUSPENDED", "RETRYING", "STARTING":
		return "wait"
	case "DECLINED", "REJECTED", "RETURNED", "LOST", "STOLEN", "CHARGED_OFF", "STOPPED":
		return "bad"
	default:
		return ""
	}
}

// Times are shown in the time zone of the console, which the foot of each page names.

func formatDay(t *timestamppb.Timestamp) string {
	if t == nil {
		return "–"
	}
	return t.AsTime().Local().Format("2 Jan 2006")
}

func formatMoment(t *timestamppb.Timestamp) string {
	if t == nil {
		return "–"
	}
	return t.AsTime().Local().Format("2 Jan 2006, 15:04:05")
}

func formatClock(t time.Time) string { return t.Local().Format("15:04:05.000") }

// formatISO is a time for machines that read the page.
func formatISO(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Format(time.RFC3339Nano)
}

func (c *Console) zone() string { return c.options.Clock().Local().Format("MST") }

// formatBytes writes a size with three digits or so.
func formatBytes(size uint64) string {
	amount, unit := float64(size), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if amount < 1024 {
			break
		}
		amount, unit = amount/1024, next
	}
	if unit == "B" || amount >= 100 {
		return fmt.Sprintf("%.0f %s", amount, unit)
	}
	return fmt.Sprintf("%.1f %s", amount, unit)
}

// checkWords is one check for people.
type checkWords struct {
	Name        string
	Passed      bool
	Sentence    string
	Seen, Bound string
}

// wordsOfCheck says in a sentence what a check of an authorization asked, and what it found.
func (c *Console) wordsOfCheck(check *transactionsv1.Check, currency string) checkWords {
	words := checkWords{Name: label(check.GetCheck()), Passed: check.GetPassed(), Seen: check.GetSeen(), Bound: check.GetBound()}
	amounts := func() {
		words.Seen, words.Bound = minorWords(words.Seen, currency), "up to "+minorWords(words.Bound, currency)
	}
	switch check.GetCheck() {
	case typev1.CheckKind_CHECK_KIND_MESSAGE_AGE:
		words.Sentence, words.Seen, words.Bound = "Is the network's message young enough?", secondsWords(words.Seen), "up to "+secondsWords(words.Bound)
	case typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE:
		words.Sentence, words.Seen, words.Bound = "Is the account open?", stateWords(words.Seen), stateWords(words.Bound)
	case typev1.CheckKind_CHECK_KIND_CARD_STATE:
		words.Sentence, words.Seen, words.Bound = "May the card be used?", stateWords(words.Seen), stateWords(words.Bound)
	case typev1.CheckKind_CHECK_KIND_CARD_EXPIRY:
		words.Sentence, words.Seen, words.Bound = "Is the card still valid?", monthWords(words.Seen), "until "+monthWords(words.Bound)
	case typev1.CheckKind_CHECK_KIND_CURRENCY:
		words.Sentence = "Is it in the account's currency?"
	case typev1.CheckKind_CHECK_KIND_MERCHANT_COUNTRY:
		words.Sentence = "Is the merchant's country allowed?"
	case typev1.CheckKind_CHECK_KIND_MCC:
		words.Sentence = "Is the merchant's category allowed?"
		if words.Seen != "" {
			words.Seen += " " + c.categories.name(words.Seen)
		}
	case typev1.CheckKind_CHECK_KIND_MERCHANT:
		words.Sentence = "Is the merchant allowed?"
	case typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT:
		words.Sentence = "Does it fit the limit, with all that is owed, pending and withheld?"
		amounts()
	case typev1.CheckKind_CHECK_KIND_SINGLE_USE:
		words.Sentence, words.Bound = "Was the single-use card not used before?", "not once"
	case typev1.CheckKind_CHECK_KIND_MERCHANT_LOCK:
		words.Sentence = "Is it the one merchant that is allowed?"
	case typev1.CheckKind_CHECK_KIND_MAX_AMOUNT:
		words.Sentence = "Is it within the most for one purchase?"
		amounts()
	case typev1.CheckKind_CHECK_KIND_WINDOW_AMOUNT:
		words.Sentence = "Is what is spent " + windowWords(check.GetWindow()) + " within its limit?"
		amounts()
	case typev1.CheckKind_CHECK_KIND_WINDOW_COUNT:
		words.Sentence = "Is the number of purchases " + windowWords(check.GetWindow()) + " within its limit?"
		words.Bound = "up to " + words.Bound
	default:
		words.Sentence = words.Name + "?"
	}
	switch check.GetScope() {
	case typev1.CheckScope_CHECK_SCOPE_ACCOUNT:
		words.Sentence += " (the account's own control)"
	case typev1.CheckScope_CHECK_SCOPE_CARD:
		words.Sentence += " (the card's own control)"
	}
	if words.Bound == "" && words.Passed {
		words.Bound = "nothing against it"
	}
	words.Seen, words.Bound = orDash(words.Seen), orDash(words.Bound)
	return words
}

// windowWords says when a spending limit counts from.
func windowWords(window string) string {
	switch window {
	case "DAY", "WEEK", "MONTH", "YEAR":
		return "this " + strings.ToLower(window)
	case "LIFETIME":
		return "ever"
	default: // a number of hours, such as 24h
		return "in the last " + window
	}
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// stateWords writes a state such as CHARGED_OFF.
func stateWords(state string) string {
	if state == "" || strings.HasSuffix(state, "UNSPECIFIED") {
		return "unknown"
	}
	return strings.ToLower(strings.ReplaceAll(state, "_", " "))
}

// minorWords writes an amount that a check has as digits.
func minorWords(digits, currency string) string {
	minor, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return digits
	}
	return formatMinor(minor, currency)
}

// monthWords writes a month that a check has as year times 100 plus month.
func monthWords(digits string) string {
	month, err := time.Parse("200601", digits)
	if err != nil {
		return digits
	}
	return month.Format("January 2006")
}

func secondsWords(digits string) string {
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return digits
	}
	return durationWords(time.Duration(seconds) * time.Second)
}

// durationWords writes a duration in the unit that suits it.
func durationWords(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
}
