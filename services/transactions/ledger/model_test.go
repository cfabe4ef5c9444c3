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
	controls    string // of the account, in the words of the stories
	purchases   map[string]*purchase
	names       []string    // of the purchases, in the order in which they began
	began       []*purchase // all of them, and the force posts
	payments    []*paid
	parts       map[string]*part // presentments, refunds and disputes, by kind and name

	presented, refunded, disputed, paid int64
	answered                            map[string]given
	messages                            map[string]given
	lines                               []string // the commands that were stored
}

type purchase struct {
	decision                                     string // of its authorization; empty when there is none
	credit                                       bool   // and it is that of a merchant credit
	authorized, surplus, reversed, expired, held int64
	cleared, takenBack, refunded, disputed       int64
	began, due                                   time.Time
	restaurant, final, completed, reversedInFull bool
}

// part is a presentment, a refund or a dispute credit, and what of it was not taken back.
type part struct {
	of     *purchase
	amount int64
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
	return &model{clock: noon, last: noon, limit: 100000, state: "open", purchases: map[string]*purchase{}, parts: map[string]*part{},
		answered: map[string]given{}, messages: map[string]given{}}
}

// modelRules grant a tenth beyond the limit, and hold a fifth more in restaurants.
func modelRules() *Rules {
	return &Rules{Version: "model", Profiles: map[string]*Profile{DefaultProfile: {
		OverLimitPercent: 10, HoldAmount: []HoldAmountRow{{Match: Match{FirstMCC: "5812", LastMCC: "5812"}, Percent: 20}},
	}}}
}

func (m *model) now() time.Time {
	if m.last.After(m.clock) {
		return m.last
	}
	return m.clock
}

// posted is presentments less refunds, dispute credits and payments.
func (m *model) posted() int64 { return m.presented - m.refunded - m.disputed - m.paid }

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

// room is what may be held: what is available, and a tenth of the limit.
func (m *model) room() int64 { return m.available() + m.limit/10 }

func (m *model) purchase(id string) *purchase {
	if m.purchases[id] == nil {
		m.purchases[id] = m.begin()
		m.names = append(m.names, id)
	}
	return m.purchases[id]
}

func (m *model) begin() *purchase {
	p := &purchase{began: m.now()}
	m.began = append(m.began, p)
	return p
}

func (p *purchase) granted() bool {
	return !p.credit && (p.decision == "approved" || p.decision == "partially approved")
}

// spent is what the purchase counts for spending controls, and whether it counts as one.
func (p *purchase) spent() (amount, count int64) {
	if p.granted() || p.cleared+p.takenBack > 0 {
		count = 1
	}
	return p.cleared + max(0, p.held-p.surplus), count
}

// over is by how much the presentments pass what was authorized.
func (p *purchase) over() int64 {
	if p.decision == "" || p.credit {
		return 0
	}
	return max(0, p.cleared-(p.authorized+p.surplus-p.reversed))
}

// hold adds to what is held, for seven days at least.
func (m *model) hold(p *purchase, amount int64) {
	p.held += amount
	if until := m.now().Add(holdLife); p.held > 0 && until.After(p.due) {
		p.due = until
	}
}

// controlled returns why the spending controls decline what makes before after, or nothing.
func (m *model) controlled(before, after purchase) string {
	bounds := map[string]struct {
		from          time.Time
		amount, count int64
	}{
		"24h=300.00/3":      {m.now().Add(-24*time.Hour + 1), 30000, 3},
		"day=300.00":        {m.now().Truncate(24 * time.Hour), 30000, 1 << 40},
		"lifetime=900.00/9": {time.Time{}, 90000, 9},
	}
	bound, controlled := bounds[m.controls]
	if !controlled {
		return ""
	}
	var amount, count, addedAmount, addedCount int64
	for _, p := range m.began {
		if !p.began.Before(bound.from) {
			a, c := p.spent()
			amount, count = amount+a, count+c
		}
	}
	if !after.began.Before(bound.from) {
		wasAmount, wasCount := before.spent()
		isAmount, isCount := after.spent()
		addedAmount, addedCount = isAmount-wasAmount, isCount-wasCount
	}
	switch {
	case addedAmount > 0 && amount+addedAmount > bound.amount:
		return "61 declined, amount limit exceeded"
	case addedCount > 0 && count+addedCount > bound.count:
		return "65 declined, count limit exceeded"
	}
	return ""
}

// suspended returns how a request is declined while the account is not open, or nothing.
func (m *model) suspended() string {
	if m.state == "open" {
		return ""
	}
	return map[string]string{"suspended": "62", "charged_off": "62", "closed": "46"}[m.state] + " declined, account " + strings.ReplaceAll(m.state, "_", " ")
}

// expire ends the holds and withholdings that are due.
func (m *model) expire() (said []string) {
	for id, p := range m.purchases {
		if p.held > 0 && !p.due.After(m.now()) {
			p.expired += p.held
			said = append(said, "expired "+id+" "+major(p.expired))
			p.held = 0
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

// answer says what a command is answered with. An id that was answered before gets the same answer, or none when it stands for something else now;
// so does a network's message.
func (m *model) answer(kind, id, line string, decide func() string) string {
	if before, known := m.answered[kind+" "+id]; known {
		if before.line != line {
			return "already exists: ID_REUSED"
		}
		return before.answer + ", duplicate"
	}
	message, content := messageOfLine(line)
	if before, known := m.messages[message]; known {
		if before.line != content {
			return "already exists: MESSAGE_REUSED"
		}
		return before.answer + ", duplicate"
	}
	said := m.expire()
	decided := decide()
	if !strings.HasPrefix(decided, "not found") {
		m.answered[kind+" "+id] = given{line, decided}
		if message != "" {
			m.messages[message] = given{content, decided}
		}
		m.lines = append(m.lines, line)
		m.last = m.now()
	} else if len(said) > 0 {
		m.last = m.now()
	}
	return strings.Join(append(said, decided), "; ")
}

// messageOfLine returns the network's message of a command with its class, and what it asks: all but the ids. The message is empty where there is none.
func messageOfLine(line string) (message, content string) {
	words := strings.Fields(line)
	class := map[string]string{"authorize": "request", "increment": "request", "advise": "advice", "reverse": "reversal"}[words[0]]
	for i := 2; i < len(words); i++ {
		switch words[i] {
		case "of":
			words[i], words[i+1] = "", ""
		case "message":
			message = class + " " + words[i+1]
		}
	}
	words[1] = ""
	return message, strings.Join(words, " ")
}

// words says an outcome with its amount, and what is held then.
func (p *purchase) words(outcome string, amount int64) string {
	if amount != 0 {
		outcome += " " + major(amount)
	}
	return outcome + p.holding()
}

func (p *purchase) holding() string {
	if p.held == 0 {
		return ""
	}
	return ", held " + major(p.held)
}

func (m *model) authorize(id string, amount int64, partial, restaurant bool) string {
	p := m.purchase(id)
	p.restaurant = restaurant
	surplus, wasGranted := int64(0), p.granted()
	if restaurant && !wasGranted {
		surplus = amount / 5
	}
	granted := *p
	granted.credit = false
	grant := func(amount, surplus int64) int64 {
		if amount == 0 {
			return 0
		}
		if !wasGranted {
			granted.decision = "approved"
		}
		if p.completed {
			return 0 // the completion told what it came to
		}
		granted.authorized = max(p.authorized, amount)
		hold := amount + surplus - p.cleared - p.held // what was presented before is owed already
		if p.final || hold <= 0 {
			return 0
		}
		granted.surplus, granted.expired, granted.reversedInFull = surplus, 0, false
		return hold
	}
	hold := grant(amount, surplus)
	granted.held += hold
	decline := m.suspended()
	if decline == "" {
		decline = m.controlled(*p, granted)
	}
	switch room := m.room(); {
	case decline != "":
	case hold > 0 && hold > room && partial && room > 0 && p.cleared == 0 && p.held == 0:
		approved := min(amount, room)
		granted = *p
		granted.credit = false
		hold = grant(approved, room-approved)
		*p = granted
		m.hold(p, hold)
		if approved == amount {
			return p.words("00 approved", approved)
		}
		p.decision = "partially approved"
		return p.words("10 partially approved", approved)
	case hold > 0 && hold > room:
		decline = "51 declined, insufficient credit"
	}
	if decline != "" {
		if !wasGranted {
			p.decision, p.credit = "declined", false
		}
		return decline + p.holding()
	}
	*p = granted
	p.held -= hold
	if hold > 0 {
		m.hold(p, hold)
	}
	if amount > 0 {
		return p.words("00 approved", amount)
	}
	if !wasGranted {
		p.decision = "verified"
	}
	return p.words("85 verified", 0)
}

func (m *model) credit(id string, amount int64) string {
	p := m.purchase(id)
	decision, words := "approved", "00 approved "+major(amount)
	switch decline := m.suspended(); {
	case decline != "":
		decision, words = "declined", decline
	case amount == 0:
		decision, words = "verified", "85 verified"
	}
	if p.decision == "" || p.credit {
		p.decision, p.credit = decision, true
	}
	return words + p.holding()
}

func (m *model) increment(id string, amount int64) string {
	p := m.purchases[id]
	switch {
	case p == nil:
		return "not found: TRANSACTION_NOT_FOUND"
	case !p.granted() || p.final || p.reversedInFull:
		return "21 rejected, authorization not open" + p.holding()
	}
	raised := *p
	reopened := min(p.expired, max(0, p.authorized+p.surplus-p.reversed-p.cleared))
	added := reopened + max(0, amount-p.over())
	raised.held += added
	decline := m.suspended()
	if decline == "" {
		decline = m.controlled(*p, raised)
	}
	if decline == "" && added > 0 && added > m.room() {
		decline = "51 declined, insufficient credit"
	}
	if decline != "" {
		return decline + p.holding()
	}
	p.expired = 0
	p.authorized += amount
	m.hold(p, added)
	return p.words("00 approved", amount)
}

func (m *model) advise(id string, amount int64, standIn bool) string {
	p := m.purchase(id)
	if p.completed && !standIn {
		return "21 rejected, completion already received" + p.holding()
	}
	if p.completed {
		return p.words("00 recorded", amount)
	}
	wasGranted := p.granted()
	p.authorized, p.surplus, p.reversed, p.expired, p.held, p.credit, p.reversedInFull = amount, 0, 0, 0, 0, false, false
	p.completed = !standIn
	switch {
	case standIn && amount == 0:
		p.decision = "declined"
	case !wasGranted:
		p.decision = "approved"
	}
	if !p.final {
		m.hold(p, max(0, amount-p.cleared))
	}
	return p.words("00 recorded", amount)
}

func (m *model) present(id, name string, amount int64, moreToCome bool) string {
	of := m.purchases[id]
	switch {
	case id == "":
		of = m.begin()
	case of == nil:
		of = m.purchase(id)
	}
	m.parts["presentment "+name] = &part{of, amount}
	before, late := of.over(), of.expired > 0
	m.presented += amount
	of.cleared += amount
	of.held -= min(of.held, amount)
	if !moreToCome {
		of.held, of.final = 0, true
	}
	words := of.words("00 recorded", amount)
	if excess := of.over() - before; excess > 0 {
		words += ", over-capture " + major(excess)
	}
	if late {
		words += ", late"
		if days := int(m.now().Sub(of.due) / (24 * time.Hour)); days > 0 {
			words += fmt.Sprintf(" by %dd", days)
		}
	}
	if of.decision == "" || of.credit {
		words += ", unmatched"
	}
	return words
}

func (m *model) reverse(id string, amount int64) string {
	p := m.purchases[id]
	capped := ""
	switch {
	case p == nil:
		return "not found: TRANSACTION_NOT_FOUND"
	case p.credit:
		return "21 rejected, nothing to reverse" + p.holding()
	case !p.granted():
		return "21 rejected, authorization not open"
	case p.held == 0:
		return "21 rejected, nothing to reverse"
	case amount > p.held:
		amount, capped = p.held, ", capped"
	case amount == 0:
		amount = p.held
	}
	p.held -= amount
	p.reversed += amount
	p.reversedInFull = p.held == 0
	return p.words("00 recorded", amount) + capped
}

func (m *model) refund(id, name string, amount int64) string {
	_, known := m.purchases[id]
	p := m.purchase(id)
	m.parts["refund "+name] = &part{p, amount}
	m.refunded += amount
	p.refunded += amount
	words := p.words("00 recorded", amount)
	if !known {
		words += ", unmatched"
	}
	return words
}

// takeBack takes a presentment or a refund back, once.
func (m *model) takeBack(kind, name string) string {
	taken := m.parts[kind+" "+name]
	if taken == nil {
		return "not found: " + strings.ToUpper(kind) + "_NOT_FOUND"
	}
	amount := taken.amount
	if amount == 0 {
		return "21 rejected, nothing to reverse" + taken.of.holding()
	}
	taken.amount = 0
	if kind == "presentment" {
		m.presented -= amount
		taken.of.cleared -= amount
		taken.of.takenBack += amount
	} else {
		m.refunded -= amount
		taken.of.refunded -= amount
	}
	return taken.of.words("00 recorded", amount)
}

func (m *model) dispute(id, name string, amount int64) string {
	p := m.purchases[id]
	if p == nil {
		return "not found: TRANSACTION_NOT_FOUND"
	}
	if amount > p.cleared-p.refunded-p.disputed {
		m.parts["dispute "+name] = &part{p, 0}
		return "21 rejected, amount exceeds cleared" + p.holding()
	}
	m.parts["dispute "+name] = &part{p, amount}
	m.disputed += amount
	p.disputed += amount
	return p.words("00 recorded", amount)
}

func (m *model) undispute(name string, amount int64) string {
	credit := m.parts["dispute "+name]
	capped := ""
	switch {
	case credit == nil:
		return "not found: DISPUTE_NOT_FOUND"
	case credit.amount == 0:
		return "21 rejected, nothing to reverse" + credit.of.holding()
	case amount > credit.amount:
		capped = ", capped"
		fallthrough
	case amount == 0:
		amount = credit.amount
	}
	m.disputed -= amount
	credit.of.disputed -= amount
	return credit.of.words("00 recorded", amount) + capped
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
	edges := []int64{m.available(), m.room(), m.posted(), 50}
	for _, p := range m.purchases {
		edges = append(edges, p.authorized, p.held, p.cleared, p.expired)
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

// message draws a network's message for a command, now and then one that came before.
func (m *model) message(t *rapid.T) string {
	if rapid.IntRange(0, 2).Draw(t, "with a message") > 0 {
		return ""
	}
	return fmt.Sprintf(" message m%d", rapid.IntRange(1, len(m.messages)+2).Draw(t, "message"))
}

func TestLedgerAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, b := newModel(), newBook(t, modelRules())
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
				id, amount, partial, restaurant := m.some(t), m.amount(t, 0), rapid.Bool().Draw(t, "partial"), rapid.Bool().Draw(t, "restaurant")
				line := "authorize " + id + " " + major(amount)
				if partial {
					line += " partial"
				}
				if restaurant {
					line += " mcc 5812"
				}
				line += m.message(t)
				try(line, m.answer("authorize", id, line, func() string { return m.authorize(id, amount, partial, restaurant) }))
			},
			"credit": func(t *rapid.T) {
				id, amount := m.some(t), m.amount(t, 0)
				line := "authorize " + id + " " + major(amount) + " credit"
				try(line, m.answer("authorize", id, line, func() string { return m.credit(id, amount) }))
			},
			"increment": func(t *rapid.T) {
				id, of, amount := next("i"), m.some(t), m.amount(t, 1)
				line := "increment " + id + " " + major(amount) + " of " + of + m.message(t)
				try(line, m.answer("increment", id, line, func() string { return m.increment(of, amount) }))
			},
			"advise": func(t *rapid.T) {
				id, of, amount, standIn := next("a"), m.some(t), m.amount(t, 0), rapid.Bool().Draw(t, "stand-in")
				line := "advise " + id + " " + major(amount) + " of " + of
				if standIn {
					line += " stand-in"
				}
				line += m.message(t)
				try(line, m.answer("advise", id, line, func() string { return m.advise(of, amount, standIn) }))
			},
			"present": func(t *rapid.T) {
				id, of, amount, more := next("p"), m.some(t), m.amount(t, 1), rapid.Bool().Draw(t, "more to come")
				line := "present " + id + " " + major(amount) + " of " + of
				if more {
					line += " more-to-come"
				}
				try(line, m.answer("present", id, line, func() string { return m.present(of, id, amount, more) }))
			},
			"force post": func(t *rapid.T) {
				id, amount := next("p"), m.amount(t, 1)
				line := "present " + id + " " + major(amount)
				try(line, m.answer("present", id, line, func() string { return m.present("", id, amount, false) }))
			},
			"take back": func(t *rapid.T) {
				id, of := next("u"), fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"p", "f"}).Draw(t, "what"), rapid.IntRange(1, count+1).Draw(t, "which"))
				word, kind := "unpresent", "presentment"
				if of[0] == 'f' {
					word, kind = "unrefund", "refund"
				}
				line := word + " " + id + " of " + of
				try(line, m.answer(word, id, line, func() string { return m.takeBack(kind, of) }))
			},
			"reverse": func(t *rapid.T) {
				id, of, amount := next("r"), m.some(t), m.amount(t, 0)
				line := "reverse " + id + " of " + of
				if amount > 0 {
					line += " " + major(amount)
				}
				line += m.message(t)
				try(line, m.answer("reverse", id, line, func() string { return m.reverse(of, amount) }))
			},
			"refund": func(t *rapid.T) {
				id, of, amount := next("f"), m.some(t), m.amount(t, 1)
				line := "refund " + id + " " + major(amount) + " of " + of
				try(line, m.answer("refund", id, line, func() string { return m.refund(of, id, amount) }))
			},
			"dispute": func(t *rapid.T) {
				id, of, amount := next("d"), m.some(t), m.amount(t, 1)
				line := "dispute " + id + " " + major(amount) + " of " + of
				try(line, m.answer("dispute", id, line, func() string { return m.dispute(of, id, amount) }))
			},
			"undispute": func(t *rapid.T) {
				id, amount := fmt.Sprintf("d%d", rapid.IntRange(1, count+1).Draw(t, "which")), m.amount(t, 0)
				line := "undispute " + id
				if amount > 0 {
					line += " " + major(amount)
				}
				try(line, m.answer("undispute", id, line, func() string { return m.undispute(id, amount) }))
			},
			"controls": func(t *rapid.T) {
				m.controls = rapid.SampledFrom([]string{"", "24h=300.00/3", "day=300.00", "lifetime=900.00/9"}).Draw(t, "controls")
				told("controls account "+m.controls, func() string { return "account changed" })
			},
			"repeat": func(t *rapid.T) {
				if len(m.lines) == 0 {
					t.Skip("nothing to repeat")
				}
				line := rapid.SampledFrom(m.lines).Draw(t, "line")
				words := strings.Fields(line)
				if words[0] != "unpresent" && words[0] != "unrefund" && rapid.Bool().Draw(t, "changed") { // those have no currency
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
				if b.account.open.Len() != holds+withholdings {
					t.Fatalf("%d transactions in memory, %d hold something, %d withhold something", b.account.open.Len(), holds, withholdings)
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

// facts draws commands that move what is owed, and some that only hold; it returns what the first come to.
func facts(t *rapid.T) (lines []string, posted int64) {
	add := func(line string, moves int64) { lines, posted = append(lines, line), posted+moves }
	for i := range rapid.IntRange(1, 12).Draw(t, "commands") {
		of, amount := rapid.SampledFrom([]string{"t1", "t2", "t3"}).Draw(t, "of"), rapid.Int64Range(1, 60000).Draw(t, "amount")
		takenBack := rapid.IntRange(0, 2).Draw(t, "taken back") == 0
		switch kind := rapid.SampledFrom([]string{"authorize", "credit", "increment", "advise", "stand-in", "reverse", "present", "part", "refund", "pay"}).Draw(t, "kind"); kind {
		case "authorize":
			add(fmt.Sprintf("authorize %s %s", of, major(amount)), 0)
		case "credit":
			add(fmt.Sprintf("authorize %s %s credit", of, major(amount)), 0)
		case "increment", "advise":
			add(fmt.Sprintf("%s i%d %s of %s", kind, i, major(amount), of), 0)
		case "stand-in":
			add(fmt.Sprintf("advise a%d %s of %s stand-in", i, major(amount), of), 0)
		case "reverse":
			add(fmt.Sprintf("reverse r%d of %s", i, of), 0)
		case "present", "part":
			more := map[string]string{"part": " more-to-come"}[kind]
			add(fmt.Sprintf("present p%d %s of %s%s", i, major(amount), of, more), amount)
			if takenBack {
				add(fmt.Sprintf("unpresent u%d of p%d", i, i), -amount)
			}
		case "refund":
			add(fmt.Sprintf("refund f%d %s of %s", i, major(amount), of), -amount)
			if takenBack {
				add(fmt.Sprintf("unrefund u%d of f%d", i, i), amount)
			}
		case "pay":
			add(fmt.Sprintf("pay t%d %s withheld 5d", i, major(amount)), -amount)
		}
	}
	return lines, posted
}

// What is owed does not depend on the order in which the facts arrive, nor on when, nor on how often. What comes before that which it names is sent again later.
func TestArrivalOrderDoesNotChangeWhatIsOwed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines, posted := facts(t)
		for _, order := range []string{"one order", "another order"} {
			b := newBook(t, BuiltInRules())
			early := rapid.Permutation(lines).Draw(t, order)
			if b.run("wait 1s"); rapid.Bool().Draw(t, "some come twice") {
				early = append(early, slices.DeleteFunc(slices.Clone(early), func(line string) bool { return strings.HasPrefix(line, "pay") })...)
			}
			for len(early) > 0 {
				var refused []string
				for _, line := range early {
					if strings.Contains(b.perform(strings.Fields(line)), "not found: ") && strings.HasPrefix(line, "un") {
						refused = append(refused, line)
					}
					if rapid.Bool().Draw(t, "wait") {
						b.run("wait 4d")
					}
				}
				early = refused
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
