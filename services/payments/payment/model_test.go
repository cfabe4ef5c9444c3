package payment

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a second account, written from the documentation and not from the code: slow, simple, and without events. It says what every answer must be.
// What is owed it knows by itself: purchases less the payments that are taken, whatever the ledger has posted.
type model struct {
	clock, last   time.Time // of the wall, of the last event
	spent, known  int64     // purchases: all, and those known when the story said so
	closed        bool
	knownClosed   bool
	overpayment   bool
	payments      []*modelled
	lastReturn    time.Time
	returned      bool
	answered      map[string]given
	lines         []string // the commands with an id that were stored
	moves, posted int      // how many movements there are, and how many of them the ledger has posted
}

// The bounds of the model's profile.
const (
	modelWithhold    = 2 * 24 * time.Hour
	modelAmount      = 500_00
	modelNewSource   = 100_00
	modelDailyCount  = 3
	modelDailyAmount = 800_00
	modelReturnDays  = 3
)

const modelRules = `
	rule withhold_days 2
	rule review_amount 500.00
	rule review_new_source_amount 100.00
	rule review_after_return_days 3
	rule review_daily_count 3
	rule review_daily_amount 800.00`

type modelled struct {
	name, source, status string
	amount, withheld     int64
	made, taken, until   time.Time
	code                 string
	everTaken            bool
}

// given is a command with the answer that it got.
type given struct{ line, answer string }

func (m *model) now() time.Time {
	if m.last.After(m.clock) {
		return m.last
	}
	return m.clock
}

// paid is the sum of the payments that are taken.
func (m *model) paid() (sum int64) {
	for _, p := range m.payments {
		if p.status == "submitted" {
			sum += p.amount
		}
	}
	return sum
}

func (m *model) payment(name string) *modelled {
	for _, p := range m.payments {
		if p.name == name {
			return p
		}
	}
	return nil
}

// answer says what a command is answered with. One without an id is never a repeat.
func (m *model) answer(kind, id, line string, decide func() string) string {
	if before, known := m.answered[kind+" "+id]; known && id != "" {
		if before.line != line {
			return "already exists: ID_REUSED"
		}
		return before.answer + ", duplicate"
	}
	decided := decide()
	if strings.Contains(decided, ": ") && !strings.HasPrefix(decided, "held") && !strings.HasPrefix(decided, "rejected") {
		return decided // nothing is stored
	}
	m.last = m.now()
	if id != "" {
		m.answered[kind+" "+id] = given{line, decided}
		m.lines = append(m.lines, line)
	}
	return decided
}

func (m *model) submit(name, source string, amount, owed int64, closed bool) string {
	p := &modelled{name: name, source: source, amount: amount, made: m.now()}
	switch {
	case closed:
		p.status = "rejected"
		m.payments = append(m.payments, p)
		return "rejected: account closed"
	case amount > owed && !m.overpayment:
		p.status = "rejected"
		m.payments = append(m.payments, p)
		return "rejected: more than owed"
	}
	reasons := m.reasons(p)
	m.payments = append(m.payments, p)
	if len(reasons) > 0 {
		p.status = "held"
		return "held: " + strings.Join(reasons, ", ")
	}
	return "submitted" + m.take(p)
}

func (m *model) reasons(p *modelled) (reasons []string) {
	count, sum, failures, known := 1, p.amount, 0, false
	for _, other := range m.payments {
		young := other.made.Add(24 * time.Hour).After(m.now())
		if young && slices.Contains([]string{"submitted", "held", "returned"}, other.status) {
			count, sum = count+1, sum+other.amount
		}
		if other.source == p.source {
			known = known || other.everTaken
			if slices.Contains([]string{"R02", "R03", "R04", "R20"}, other.code) {
				failures++
			}
		}
	}
	for _, rule := range []struct {
		reason string
		fires  bool
	}{
		{"large amount", p.amount >= modelAmount},
		{"recent return", m.returned && m.now().Before(m.lastReturn.AddDate(0, 0, modelReturnDays))},
		{"new source", !known && p.amount > modelNewSource},
		{"daily count", count > modelDailyCount},
		{"daily amount", sum > modelDailyAmount},
		{"source failed", failures > 0},
	} {
		if rule.fires {
			reasons = append(reasons, rule.reason)
		}
	}
	return reasons
}

// take has a payment taken, and says what of it is withheld.
func (m *model) take(p *modelled) string {
	p.status, p.everTaken, p.taken, p.withheld, p.until = "submitted", true, m.now(), p.amount, m.now().Add(modelWithhold)
	m.moves++
	return ", withheld " + major(p.amount)
}

// refusals are the answers to who would do something with a payment that has come to its end.
var refusals = map[string]string{"rejected": "precondition: PAYMENT_REJECTED", "cancelled": "precondition: PAYMENT_CANCELLED", "returned": "precondition: PAYMENT_ALREADY_RETURNED"}

func (m *model) release(p *modelled) string {
	switch {
	case p == nil:
		return "not found: PAYMENT_NOT_FOUND"
	case p.status == "held":
		return "released" + m.take(p)
	case p.status != "submitted":
		return refusals[p.status]
	case p.withheld == 0 || !p.until.After(m.now()):
		return "precondition: NOTHING_WITHHELD"
	}
	ended := p.withheld
	p.withheld = 0
	m.moves++
	return "withholding ended " + major(ended)
}

func (m *model) cancel(p *modelled) string {
	switch {
	case p == nil:
		return "not found: PAYMENT_NOT_FOUND"
	case p.status == "submitted":
		return "precondition: PAYMENT_SUBMITTED"
	case p.status != "held":
		return refusals[p.status]
	}
	p.status = "cancelled"
	return "cancelled"
}

func (m *model) sendBack(p *modelled, code string) string {
	switch {
	case p == nil:
		return "not found: PAYMENT_NOT_FOUND"
	case p.status == "returned":
		return refusals[p.status]
	case p.status != "submitted":
		return "precondition: PAYMENT_NEVER_SUBMITTED"
	case m.late(p, code):
		return "precondition: RETURN_TOO_LATE"
	}
	p.status, p.code, p.withheld = "returned", code, 0
	m.lastReturn, m.returned = m.now(), true
	m.moves++
	return "returned " + code
}

// late counts the days from the one on which a payment was taken until now, one after the other.
func (m *model) late(p *modelled, code string) bool {
	banking, settled, calendar := 0, false, 0
	for date := p.taken.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1); !date.After(m.now()); date = date.AddDate(0, 0, 1) {
		open := date.Weekday() >= time.Monday && date.Weekday() <= time.Friday
		switch {
		case settled:
			calendar++
			if open {
				banking++
			}
		case open:
			settled = true
		}
	}
	switch code {
	case "R31":
		return false
	case "R10":
		return calendar > 60
	default:
		// The second banking day lasts until the next day begins, though it be a Saturday.
		return banking > 2 || (banking == 2 && !m.openToday())
	}
}

// openToday says whether banks are open.
func (m *model) openToday() bool {
	weekday := m.now().UTC().Weekday()
	return weekday != time.Saturday && weekday != time.Sunday
}

// amount draws an amount, often one at an edge.
func (m *model) amount(t *rapid.T) int64 {
	if rapid.Bool().Draw(t, "at an edge") {
		edges := []int64{m.spent - m.paid(), m.known - m.paid(), modelAmount, modelNewSource, modelDailyAmount}
		return max(1, rapid.SampledFrom(edges).Draw(t, "edge")+rapid.Int64Range(-1, 1).Draw(t, "beside"))
	}
	return rapid.Int64Range(1, 20000).Draw(t, "amount")
}

// some draws a payment: one of those that there are, or one that is not there.
func (m *model) some(t *rapid.T) string {
	names := []string{"none"}
	for _, p := range m.payments {
		names = append(names, p.name)
	}
	return rapid.SampledFrom(names[min(1, len(names)-1):]).Draw(t, "payment")
}

func TestPaymentsAgreeWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, b := &model{clock: noon, answered: map[string]given{}}, newBook(t)
		b.run(modelRules)
		b.known = b.standing
		if m.overpayment = rapid.Bool().Draw(t, "overpayment"); m.overpayment {
			b.run("rule allow_overpayment true")
		}
		// try performs one command and compares it with the model's answer.
		try := func(line, want string) {
			t.Helper()
			if got := b.perform(strings.Fields(line)); got != want {
				t.Fatalf("%s\n got: %s\nwant: %s", line, got, want)
			}
		}
		count := 0
		// about performs a command about a payment, sometimes with an id.
		about := func(t *rapid.T, kind, words string, decide func(*modelled) string) {
			name, id := m.some(t), ""
			line := strings.TrimSpace(kind + " " + name + " " + words)
			if rapid.Bool().Draw(t, "with an id") {
				count++
				id = fmt.Sprintf("k%d", count)
				line += " key " + id
			}
			try(line, m.answer(kind, id, line, func() string { return decide(m.payment(name)) }))
		}
		t.Repeat(map[string]func(*rapid.T){
			"spend": func(t *rapid.T) {
				amount := rapid.Int64Range(-100_00, 1000_00).Draw(t, "amount")
				m.spent += amount
				b.run("spend " + major(amount))
			},
			"submit": func(t *rapid.T) {
				name, source, amount := fmt.Sprintf("p%d", len(m.payments)+1), rapid.SampledFrom([]string{"bank-1", "bank-2"}).Draw(t, "source"), m.amount(t)
				line, owed, closed := "submit "+name+" "+major(amount)+" from "+source, m.spent-m.paid(), m.closed
				if rapid.Bool().Draw(t, "as known") {
					line, owed, closed = line+" as-known", m.known-m.paid(), m.knownClosed
				}
				try(line, m.answer("submit", name, line, func() string { return m.submit(name, source, amount, owed, closed) }))
			},
			"release": func(t *rapid.T) { about(t, "release", "", m.release) },
			"cancel":  func(t *rapid.T) { about(t, "cancel", "", m.cancel) },
			"return": func(t *rapid.T) {
				code := rapid.SampledFrom([]string{"R01", "R03", "R10", "R31"}).Draw(t, "code")
				about(t, "return", code, func(p *modelled) string { return m.sendBack(p, code) })
			},
			"repeat": func(t *rapid.T) {
				if len(m.lines) == 0 {
					t.Skip("nothing to repeat")
				}
				line := rapid.SampledFrom(m.lines).Draw(t, "line")
				words := strings.Fields(line)
				id := words[1]
				if words[0] != "submit" {
					id = words[len(words)-1]
				} else if rapid.Bool().Draw(t, "changed") {
					line += " savings"
				}
				try(line, m.answer(words[0], id, line, nil))
			},
			"post": func(t *rapid.T) {
				most := rapid.IntRange(0, 3).Draw(t, "most")
				posted := min(most, m.moves-m.posted)
				m.posted += posted
				try(fmt.Sprintf("post %d", most), fmt.Sprintf("posted %d", posted))
			},
			"know": func(*rapid.T) {
				m.known, m.knownClosed = m.spent, m.closed
				b.run("know")
			},
			"state": func(t *rapid.T) {
				m.closed = rapid.IntRange(0, 4).Draw(t, "closed") == 0
				b.run("state " + map[bool]string{true: "closed", false: "open"}[m.closed])
			},
			"wait": func(t *rapid.T) {
				d := rapid.SampledFrom([]string{"1s", "6h", "12h", "1d", "2d", "3d", "29d", "-1h"}).Draw(t, "for")
				b.run("wait " + d)
				m.clock = m.clock.Add(b.duration(d))
			},
			// After every step.
			"": func(t *rapid.T) { compareWithModel(t, m, b) },
		})
		b.checkReplay()
	})
}

// compareWithModel compares all that can be seen of the account.
func compareWithModel(t *rapid.T, m *model, b *book) {
	checkAccount(t, b.account)
	if owed, err := b.account.owed(b.standing); err != nil || owed != m.spent-m.paid() {
		t.Fatalf("owed %d (%v), the model has %d", owed, err, m.spent-m.paid())
	}
	// What was moved is what is taken, and what the ledger will have when it has posted all of it.
	var moved int64
	for _, e := range b.log {
		moved += moves(b.decode(e.data))
	}
	if moved != -m.paid() {
		t.Fatalf("the movements add up to %d, the payments that are taken to %d", moved, m.paid())
	}
	var names []string
	var withheld int64
	for _, p := range m.payments {
		names = append([]string{p.name}, names...)
		if p.until.After(m.now()) {
			withheld += p.withheld
		}
		got, _ := b.account.Payment(p.name)
		s := got.Snapshot
		if word(s.GetStatus(), "PAYMENT_STATUS_") != p.status || s.GetAmount().GetMinorUnits() != p.amount || s.GetWithheld() != p.withheld || s.GetReturnCode() != p.code {
			t.Fatalf("payment %s is %s, the model has %+v", p.name, paymentWords(s), *p)
		}
	}
	if got := b.withheld(); got != withheld {
		t.Fatalf("%d is withheld, the model has %d", got, withheld)
	}
	if got := b.page([]string{"1000"}); got != strings.Join(names, " ") {
		t.Fatalf("the payments are %s, the model has %s", got, strings.Join(names, " "))
	}
}
