package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a second ledger, written from the documentation and not from the code: slow, simple, and without events. It says what every answer must be.
type model struct {
	clock, last time.Time // of the wall, of the last event
	limit       int64
	state       string
	purchases   map[string]*purchase
	names       []string // of the purchases, in the order in which they began
	payments    []*paid

	presented, refunded, paid int64
	answered                  map[string]given
	lines                     []string // the commands that were stored
}

type purchase struct {
	decision                          string // of its authorization; empty when there is none
	approved, reversed, cleared, held int64
	due                               time.Time
	final, expired                    bool
}

// paid is a payment. Its name may be that of a purchase.
type paid struct {
	name             string
	amount, withheld int64
	until            time.Time
	returned         bool
}

// given is a command with the answer that it got.
type given struct{ line, answer string }

func newModel() *model {
	return &model{clock: noon, last: noon, limit: 100000, state: "open", purchases: map[string]*purchase{}, answered: map[string]given{}}
}

func (m *model) now() time.Time {
	if m.last.After(m.clock) {
		return m.last
	}
	return m.clock
}

// posted is presentments less refunds and payments.
func (m *model) posted() int64 { return m.presented - m.refunded - m.paid }

// pending is the sum of the open holds that are not due at a time.
func (m *model) pending(at time.Time) (sum int64, open int) {
	for _, p := range m.purchases {
		if p.held > 0 && p.due.After(at) {
			sum += p.held
			open++
		}
	}
	return sum, open
}

// withheld is the sum of what is withheld of payments and not due at a time.
func (m *model) withheld(at time.Time) (sum int64, open int) {
	for _, p := range m.payments {
		if p.withheld > 0 && p.until.After(at) {
			sum += p.withheld
			open++
		}
	}
	return sum, open
}

func (m *model) available() int64 {
	pending, _ := m.pending(m.now())
	withheld, _ := m.withheld(m.now())
	return m.limit - m.posted() - pending - withheld
}

func (m *model) purchase(id string) *purchase {
	if m.purchases[id] == nil {
		m.purchases[id] = &purchase{}
		m.names = append(m.names, id)
	}
	return m.purchases[id]
}

// expire ends the holds and withholdings that are due.
func (m *model) expire() (said []string) {
	for id, p := range m.purchases {
		if p.held > 0 && !p.due.After(m.now()) {
			said = append(said, "expired "+id+" "+major(p.held))
			p.held, p.expired = 0, true
		}
	}
	for _, p := range m.payments {
		if p.withheld > 0 && !p.until.After(m.now()) {
			said = append(said, "released "+p.name+" "+major(p.withheld))
			p.withheld = 0
		}
	}
	slices.Sort(said)
	return said
}

// answer says what a command is answered with. An id that was answered before gets the same answer, or none when it stands for something else now.
func (m *model) answer(kind, id, line string, decide func() string) string {
	if before, known := m.answered[kind+" "+id]; known {
		if before.line != line {
			return "already exists: ID_REUSED"
		}
		return before.answer + ", duplicate"
	}
	said := m.expire()
	decided := decide()
	if !strings.HasPrefix(decided, "not found") {
		m.answered[kind+" "+id] = given{line, decided}
		m.lines = append(m.lines, line)
		m.last = m.now()
	} else if len(said) > 0 {
		m.last = m.now()
	}
	return strings.Join(append(said, decided), "; ")
}

func (m *model) authorize(id string, amount int64, partial bool) string {
	available := m.available()
	p := m.purchase(id)
	need := max(0, amount-p.cleared) // what was presented before is owed already
	if p.final {
		need = 0 // and no more will come
	}
	hold := func(code, decision string, amount int64) string {
		p.decision, p.approved = decision, amount
		if !p.final {
			p.held, p.due = max(0, amount-p.cleared), m.now().Add(7*24*time.Hour)
		}
		if p.held == 0 {
			return fmt.Sprintf("%s %s %s", code, decision, major(amount))
		}
		return fmt.Sprintf("%s %s %s, held %s", code, decision, major(amount), major(p.held))
	}
	switch {
	case m.state != "open":
		p.decision = "declined"
		return map[string]string{"suspended": "62", "charged_off": "62", "closed": "46"}[m.state] + " declined, account " + strings.ReplaceAll(m.state, "_", " ")
	case amount == 0:
		p.decision = "verified"
		return "85 verified"
	case need == 0 || need <= available:
		return hold("00", "approved", amount)
	case partial && available > 0 && p.cleared == 0:
		return hold("10", "partially approved", available)
	default:
		p.decision = "declined"
		return "51 declined, insufficient credit"
	}
}

func (m *model) present(id string, amount int64, moreToCome bool) string {
	p := m.purchase(id)
	over := func() int64 {
		if p.decision == "" {
			return 0
		}
		return max(0, p.cleared-(p.approved-p.reversed))
	}
	before := over()
	m.presented += amount
	p.cleared += amount
	p.held -= min(p.held, amount)
	if !moreToCome {
		p.held, p.final = 0, true
	}
	words := "00 recorded " + major(amount)
	if p.held > 0 {
		words += ", held " + major(p.held)
	}
	if excess := over() - before; excess > 0 {
		words += ", over-capture " + major(excess)
	}
	if p.expired {
		words += ", late"
	}
	if p.decision == "" {
		words += ", unmatched"
	}
	return words
}

func (m *model) reverse(id string, amount int64) string {
	p := m.purchases[id]
	switch {
	case p == nil:
		return "not found: TRANSACTION_NOT_FOUND"
	case p.decision != "approved" && p.decision != "partially approved":
		return "21 rejected, authorization not open"
	case p.held == 0:
		return "21 rejected, nothing to reverse"
	case amount == 0 || amount > p.held:
		amount = p.held
	}
	p.held -= amount
	p.reversed += amount
	if p.held > 0 {
		return fmt.Sprintf("00 recorded %s, held %s", major(amount), major(p.held))
	}
	return "00 recorded " + major(amount)
}

func (m *model) refund(id string, amount int64) string {
	_, known := m.purchases[id]
	p := m.purchase(id)
	m.refunded += amount
	words := "00 recorded " + major(amount)
	if p.held > 0 {
		words += ", held " + major(p.held)
	}
	if !known {
		words += ", unmatched"
	}
	return words
}

func (m *model) pay(name string, amount, withheld int64, until time.Time) string {
	p := &paid{name: name, amount: amount}
	m.payments = append(m.payments, p)
	m.paid += amount
	if withheld > 0 && until.After(m.now()) {
		p.withheld, p.until = withheld, until
		return "payment posted " + major(amount) + ", withheld " + major(withheld)
	}
	return "payment posted " + major(amount)
}

func (m *model) sendBack(p *paid) string {
	m.paid -= p.amount
	p.returned = true
	return "payment returned " + major(p.amount) + ", R01" + p.release()
}

// release says what was withheld until now.
func (p *paid) release() string {
	released := p.withheld
	p.withheld = 0
	if released == 0 {
		return ""
	}
	return ", released " + major(released)
}

// somePayment draws one that has not come back.
func (m *model) somePayment(t *rapid.T) *paid {
	taken := slices.DeleteFunc(slices.Clone(m.payments), func(p *paid) bool { return p.returned })
	if len(taken) == 0 {
		t.Skip("no payments")
	}
	return rapid.SampledFrom(taken).Draw(t, "payment")
}

// amount draws an amount, often one at the edge of the line or of a purchase.
func (m *model) amount(t *rapid.T, least int64) int64 {
	edges := []int64{m.available(), m.posted(), 50}
	for _, p := range m.purchases {
		edges = append(edges, p.approved, p.held, p.cleared)
	}
	slices.Sort(edges) // a map has no order, a random test needs one
	if rapid.Bool().Draw(t, "at an edge") {
		return max(least, rapid.SampledFrom(edges).Draw(t, "edge")+rapid.Int64Range(-1, 1).Draw(t, "beside"))
	}
	return rapid.Int64Range(least, 60000).Draw(t, "amount")
}

// some draws a purchase: one of those that there are, or a new one.
func (m *model) some(t *rapid.T) string {
	fresh := fmt.Sprintf("t%d", len(m.names)+1)
	return rapid.SampledFrom(append([]string{fresh}, m.names...)).Draw(t, "purchase")
}

func TestLedgerAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, b := newModel(), newBook(t, BuiltInRules())
		b.run("open 1000.00 GBP\ncard c1 active")
		// try performs one step in the ledger and compares it with the model's answer.
		try := func(line, want string) {
			t.Helper()
			if got := b.perform(strings.Fields(line)); got != want {
				t.Fatalf("%s\n got: %s\nwant: %s", line, got, want)
			}
		}
		// told performs one step that another stream tells.
		told := func(line string, follow func() string) {
			t.Helper()
			said := append(m.expire(), follow())
			m.last = m.now()
			try(line, strings.Join(said, "; "))
		}
		count := 0
		next := func(letter string) string { count++; return fmt.Sprintf("%s%d", letter, count) }
		t.Repeat(map[string]func(*rapid.T){
			"authorize": func(t *rapid.T) {
				id, amount, partial := m.some(t), m.amount(t, 0), rapid.Bool().Draw(t, "partial")
				line := "authorize " + id + " " + major(amount)
				if partial {
					line += " partial"
				}
				try(line, m.answer("authorize", id, line, func() string { return m.authorize(id, amount, partial) }))
			},
			"present": func(t *rapid.T) {
				id, of, amount, more := next("p"), m.some(t), m.amount(t, 1), rapid.Bool().Draw(t, "more to come")
				line := "present " + id + " " + major(amount) + " of " + of
				if more {
					line += " more-to-come"
				}
				try(line, m.answer("present", id, line, func() string { return m.present(of, amount, more) }))
			},
			"force post": func(t *rapid.T) {
				id, amount := next("p"), m.amount(t, 1)
				line := "present " + id + " " + major(amount)
				try(line, m.answer("present", id, line, func() string {
					m.presented += amount
					return "00 recorded " + major(amount) + ", unmatched"
				}))
			},
			"reverse": func(t *rapid.T) {
				id, of, amount := next("r"), m.some(t), m.amount(t, 0)
				line := "reverse " + id + " of " + of
				if amount > 0 {
					line += " " + major(amount)
				}
				try(line, m.answer("reverse", id, line, func() string { return m.reverse(of, amount) }))
			},
			"refund": func(t *rapid.T) {
				id, of, amount := next("f"), m.some(t), m.amount(t, 1)
				line := "refund " + id + " " + major(amount) + " of " + of
				try(line, m.answer("refund", id, line, func() string { return m.refund(of, amount) }))
			},
			"repeat": func(t *rapid.T) {
				if len(m.lines) == 0 {
					t.Skip("nothing to repeat")
				}
				line := rapid.SampledFrom(m.lines).Draw(t, "line")
				words := strings.Fields(line)
				if rapid.Bool().Draw(t, "changed") {
					line += " EUR"
				}
				try(line, m.answer(words[0], words[1], line, nil))
			},
			"wait": func(t *rapid.T) {
				d := rapid.SampledFrom([]string{"1s", "1d", "3d12h", "6d23h59m59s", "7d", "-1h"}).Draw(t, "for")
				b.run("wait " + d)
				m.clock = m.clock.Add(b.duration(d))
			},
			"due": func(*rapid.T) {
				said := m.expire()
				if len(said) > 0 {
					m.last = m.now()
				}
				try("due", orNothing(strings.Join(said, "; ")))
			},
			"limit": func(t *rapid.T) {
				m.limit = m.amount(t, 0)
				told("limit "+major(m.limit), func() string { return "limit changed" })
			},
			"state": func(t *rapid.T) {
				m.state = rapid.SampledFrom([]string{"open", "open", "suspended", "charged_off", "closed"}).Draw(t, "state")
				told("state "+m.state, func() string { return "account changed" })
			},
			"pay": func(t *rapid.T) {
				name, amount := fmt.Sprintf("t%d", len(m.payments)+1), m.amount(t, 1) // the names of purchases
				line, withheld, until := "pay "+name+" "+major(amount), int64(0), time.Time{}
				if rapid.Bool().Draw(t, "withheld") {
					lasts := rapid.SampledFrom([]string{"-1s", "0s", "1s", "1d", "7d"}).Draw(t, "lasts")
					withheld, until = rapid.Int64Range(1, amount).Draw(t, "part"), m.now().Add(b.duration(lasts))
					line += " withheld " + lasts + " only " + major(withheld)
				}
				told(line, func() string { return m.pay(name, amount, withheld, until) })
			},
			"return": func(t *rapid.T) {
				p := m.somePayment(t)
				told("return "+p.name+" R01", func() string { return m.sendBack(p) })
			},
			"unwithhold": func(t *rapid.T) {
				p := m.somePayment(t)
				told("unwithhold "+p.name, func() string { return "withholding ended" + p.release() })
			},
			"again": func(t *rapid.T) {
				if len(b.movements) == 0 {
					t.Skip("nothing was told")
				}
				said := m.expire()
				if len(said) > 0 {
					m.last = m.now()
				}
				try("again", strings.Join(append(said, "already exists: ALREADY_FOLLOWED"), "; "))
			},
			// After every step.
			"": func(t *rapid.T) {
				pending, holds := m.pending(time.Time{})
				withheld, withholdings := m.withheld(time.Time{})
				want := Balances{Currency: "GBP", CreditLimit: m.limit, Posted: m.posted(), Pending: pending, Withheld: withheld}
				if got := b.account.Balances(); got != want || got.Pending < 0 || got.Withheld < 0 || got.Available() != m.limit-m.posted()-pending-withheld {
					t.Fatalf("balances %+v, the model has %+v", got, want)
				}
				want.Pending, _ = m.pending(m.now())
				want.Withheld, _ = m.withheld(m.now())
				if got := b.account.BalancesAt(b.next().Time); got != want {
					t.Fatalf("balances now %+v, the model has %+v", got, want)
				}
				if len(b.account.open) != holds+withholdings {
					t.Fatalf("%d transactions in memory, %d hold something, %d withhold something", len(b.account.open), holds, withholdings)
				}
				for _, p := range m.payments {
					if got := b.transaction(PaymentKey(p.name)); got.Paid != p.amount || got.Withheld != p.withheld || (got.Returned != 0) != p.returned {
						t.Fatalf("payment %s: %s, the model has %+v", p.name, transactionWords(got), *p)
					}
				}
			},
		})
		b.checkReplay()
	})
}

// What is owed does not depend on the order in which the facts arrive, nor on when.
func TestArrivalOrderDoesNotChangeWhatIsOwed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		var posted int64
		for i := range rapid.IntRange(1, 12).Draw(t, "commands") {
			of, amount := rapid.SampledFrom([]string{"t1", "t2", "t3"}).Draw(t, "of"), rapid.Int64Range(1, 60000).Draw(t, "amount")
			switch rapid.SampledFrom([]string{"authorize", "present", "part", "refund", "pay"}).Draw(t, "kind") {
			case "authorize":
				lines = append(lines, fmt.Sprintf("authorize %s %s", of, major(amount)))
			case "present":
				lines = append(lines, fmt.Sprintf("present p%d %s of %s", i, major(amount), of))
				posted += amount
			case "part":
				lines = append(lines, fmt.Sprintf("present p%d %s of %s more-to-come", i, major(amount), of))
				posted += amount
			case "refund":
				lines = append(lines, fmt.Sprintf("refund f%d %s of %s", i, major(amount), of))
				posted -= amount
			case "pay":
				lines = append(lines, fmt.Sprintf("pay t%d %s withheld 5d", i, major(amount)))
				posted -= amount
			}
		}
		for _, order := range []string{"one order", "another order"} {
			b := newBook(t, BuiltInRules())
			for _, line := range rapid.Permutation(lines).Draw(t, order) {
				b.run(line)
				if rapid.Bool().Draw(t, "wait") {
					b.run("wait 4d")
				}
			}
			if got := b.account.Balances().Posted; got != posted {
				t.Fatalf("posted %d, the facts add up to %d", got, posted)
			}
			b.run("wait 7d\ndue")
			if got := b.account.Balances(); got.Pending != 0 || got.Withheld != 0 || got.Posted != posted {
				t.Fatalf("when all holds and withholdings have ended: %+v, posted should be %d", got, posted)
			}
			b.checkReplay()
		}
	})
}
