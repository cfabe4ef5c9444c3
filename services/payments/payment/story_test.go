package payment

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// A story is a table of steps, one a line, in three columns: what happens | the answer | what is owed after it. An empty column is not checked.
// All begin at noon of Monday 2 March 2026 with an open account in GBP, on which nothing is owed, and with the default rules.
//
// What happens:
//
//	submit p1 80.00        also: EUR, from bank-2 (else bank-1), savings (else checking), as-known
//	release p1             approves it, or ends its withholding
//	cancel p1 because      with a reason or none
//	return p1 R01 because  likewise
//	spend 100.00           the ledger posts a purchase; below zero it is a refund
//	post                   the ledger posts all movements that it has not posted yet; post 1: the next of them
//	know                   the standing is kept as it is now, for the steps that say as-known
//	state closed, profile strict
//	rule review_amount 50.00   the default profile has another bound from now on, in another version of the file
//	wait 1d23h59m59s       the clock goes on
//	date 2026-03-06T23:59  the clock is set
//	show p1                how the payment is
//	checks p1              what the rules saw when it was submitted
//	list 2                 a page of so many payments; list 2 before 9
//
// Commands may say key k1 (the request id) and at 7 (the expected sequence).
type story struct {
	name, script string
}

func tell(t *testing.T, stories []story) {
	t.Helper()
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			newBook(t).run(s.script).checkReplay()
		})
	}
}

// run performs the steps of a script and compares what each of them says.
func (b *book) run(script string) *book {
	b.Helper()
	for line := range strings.SplitSeq(script, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		columns := append(strings.Split(line, "|"), "", "")
		b.expect(line, b.perform(strings.Fields(columns[0])), columns[1])
		b.expect(line, b.balanceWords(), columns[2])
	}
	return b
}

func (b *book) expect(line, got, column string) {
	b.Helper()
	if want := strings.Join(strings.Fields(column), " "); want != "" && got != want {
		b.Fatalf("%s\n got: %s\nwant: %s", strings.TrimSpace(line), got, want)
	}
}

// perform performs one step and says what came of it.
func (b *book) perform(words []string) string {
	b.Helper()
	switch words[0] {
	case "spend":
		b.standing.Owed += b.minor(words[1])
		b.standing.LedgerSequence += 2
	case "post":
		most := len(b.log)
		if len(words) > 1 {
			most = int(b.number(words[1]))
		}
		return fmt.Sprintf("posted %d", b.post(most))
	case "know":
		b.known = b.standing
	case "state":
		b.standing.State = typev1.AccountState(typev1.AccountState_value["ACCOUNT_STATE_"+strings.ToUpper(words[1])])
	case "profile":
		b.standing.Profile = words[1]
	case "rule":
		b.setRule(words[1], words[2])
	case "wait":
		b.clock = b.clock.Add(b.duration(words[1]))
	case "date":
		date, err := time.Parse("2006-01-02T15:04", words[1])
		if err != nil {
			b.Fatalf("%v", err)
		}
		b.clock = date
	case "show":
		p, ok := b.account.Payment(words[1])
		if !ok {
			return "no such payment"
		}
		return paymentWords(p.Snapshot)
	case "checks":
		p, _ := b.account.Payment(words[1])
		return checkWords(b.read(p.First).GetAssessment())
	case "list":
		return b.page(words[1:])
	default:
		return b.do(b.command(words)).String()
	}
	return ""
}

// setRule makes another version of the rules, in which the default profile has another bound.
func (b *book) setRule(key, value string) {
	b.Helper()
	profile := *b.rules.Profiles[DefaultProfile]
	field := reflect.ValueOf(&profile).Elem().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, strings.ReplaceAll(key, "_", "")) })
	switch {
	case !field.IsValid():
		b.Fatalf("there is no rule %s", key)
	case field.Kind() == reflect.Bool:
		field.SetBool(value == "true")
	case strings.Contains(value, "."):
		field.SetInt(b.minor(value))
	default:
		field.SetInt(b.number(value))
	}
	profiles := map[string]*Profile{DefaultProfile: &profile}
	for name, other := range b.rules.Profiles {
		if name != DefaultProfile {
			profiles[name] = other
		}
	}
	b.rules = &Rules{Version: fmt.Sprintf("v%d", b.number(b.rules.Version[1:])+1), Profiles: profiles}
}

// page lists payments, and where the next page goes on.
func (b *book) page(words []string) string {
	b.Helper()
	var before uint64
	if len(words) > 1 {
		before = uint64(b.number(words[2]))
	}
	page, from, more := b.account.Page(before, int(b.number(words[0])))
	var said []string
	for _, p := range page {
		said = append(said, p.Snapshot.GetPaymentId())
	}
	if more {
		said = append(said, fmt.Sprintf("and before %d", from))
	}
	return strings.Join(said, " ")
}

// command makes the command of a step. The digest is of what the caller says, so without the key and the sequence.
func (b *book) command(words []string) Command {
	b.Helper()
	h := Header{AccountID: testAccount, Actor: "tester"}
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "key":
			h.RequestID = words[i+1]
		case "at":
			h.ExpectedSequence = uint64(b.number(words[i+1]))
		default:
			continue
		}
		words = slices.Delete(slices.Clone(words), i, i+2)
		i--
	}
	h.Content = []byte(strings.Join(words, " "))
	id, rest := words[1], words[2:]
	switch words[0] {
	case "submit":
		return b.submit(h, id, rest)
	case "release":
		return &Release{Header: h, PaymentID: id}
	case "cancel":
		return &Cancel{Header: h, PaymentID: id, Reason: strings.Join(rest, " ")}
	case "return":
		return &Return{Header: h, PaymentID: id, ReturnCode: rest[0], Reason: strings.Join(rest[1:], " ")}
	}
	b.Fatalf("%q is not a step of the stories", words[0])
	return nil
}

func (b *book) submit(h Header, id string, words []string) *Submit {
	b.Helper()
	c := &Submit{Header: h, PaymentID: id, Amount: b.minor(words[0]), Currency: "GBP", SourceID: "bank-1",
		SourceType: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, Standing: b.standing}
	for i := 1; i < len(words); i++ {
		switch w := words[i]; {
		case w == "from":
			i++
			c.SourceID = words[i]
		case w == "savings":
			c.SourceType = typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_SAVINGS
		case w == "as-known":
			c.Standing = b.known
		case len(w) == 3 && strings.ToUpper(w) == w:
			c.Currency = w
		default:
			b.Fatalf("%q is not a word of the stories", w)
		}
	}
	return c
}

// minor reads an amount with two decimals: 45.00 is 4500.
func (b *book) minor(text string) int64 {
	b.Helper()
	if at := strings.IndexByte(text, '.'); at != len(text)-3 {
		b.Fatalf("%q is not an amount with two decimals", text)
	}
	return b.number(strings.Replace(text, ".", "", 1))
}

func (b *book) number(text string) int64 {
	b.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatalf("%v", err)
	}
	return n
}

// duration reads days, hours, minutes and seconds: 6d23h59m59s.
func (b *book) duration(text string) time.Duration {
	b.Helper()
	var days time.Duration
	if before, after, ok := strings.Cut(text, "d"); ok {
		days, text = time.Duration(b.number(before))*24*time.Hour, after+"0s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.Fatalf("%v", err)
	}
	return days + d
}
