package ledger

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

func TestFollowAccounts(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"opens the ledger with the account's limit and currency", `
			open 250.00 EUR            | ledger opened                                | posted 0.00 pending 0.00 available 250.00
			card c1 active             | card changed
			authorize t1 250.00 EUR    | 00 approved 250.00, held 250.00
			authorize t2 1.00          | 57 declined, currency not supported`},
		{"raises the limit, and what was declined before would fit", `
			authorize t1 1000.01       | 51 declined, insufficient credit
			limit 1000.01              | limit changed                                | posted 0.00 pending 0.00 available 1000.01
			authorize t2 1000.01       | 00 approved 1000.01, held 1000.01`},
		{"cuts the limit below what is owed; available falls below zero", `
			authorize t1 500.00
			present p1 300.00
			limit 100.00               | limit changed                                | posted 300.00 pending 500.00 available -700.00
			authorize t2 0.01          | 51 declined, insufficient credit
			present p2 500.00 of t1    | 00 recorded 500.00                           | posted 800.00 pending 0.00 available -700.00
			refund f1 700.01 of t1     |                                              | posted 99.99 pending 0.00 available 0.01
			authorize t3 0.01          | 00 approved 0.01, held 0.01`},
		{"sets the limit to the same amount", `
			limit 1000.00              | limit changed                                | posted 0.00 pending 0.00 available 1000.00`},
		{"suspends the account and opens it again", `
			state suspended            | account changed
			authorize t1 1.00          | 62 declined, account suspended
			state open                 | account changed
			authorize t2 1.00          | 00 approved 1.00, held 1.00`},
		{"activates, pauses and closes a card", `
			card c2 inactive           | card changed
			authorize t1 1.00 card c2  | 78 declined, card not activated
			card c2 active             | card changed
			authorize t2 1.00 card c2  | 00 approved 1.00, held 1.00
			card c2 paused             | card changed
			authorize t3 1.00 card c2  | 62 declined, card paused
			authorize t4 1.00 card c1  | 00 approved 1.00, held 1.00
			card c2 closed
			authorize t5 1.00 card c2  | 14 declined, card closed                     | posted 0.00 pending 2.00 available 998.00`},
		{"replaces a card: two cards change in one event", `
			replace c1 by c2           | card changed
			authorize t1 1.00 card c1  | 14 declined, card closed
			authorize t2 1.00 card c2  | 00 approved 1.00, held 1.00`},
		{"leaves holds as they are when the card is closed", `
			authorize t1 45.00
			card c1 closed             | card changed                                 | posted 0.00 pending 45.00 available 955.00`},
		{"lets what is due expire first", `
			authorize t1 45.00
			wait 7d
			limit 2000.00              | expired t1 45.00; limit changed              | posted 0.00 pending 0.00 available 2000.00`},
	})
}

func TestFollowAccountsKeepsTheOrderOfAccounts(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules())
	opened := b.follow([]string{"open", "1000.00", "GBP"})
	raised := b.follow([]string{"limit", "2000.00"})
	lowered := b.follow([]string{"limit", "1500.00"})
	for _, step := range []struct {
		what    string
		command *FollowAccounts
		want    string
	}{
		{"a later event first", raised, "precondition: FOLLOWED_OUT_OF_ORDER"},
		{"the first event", opened, "ledger opened"},
		{"the first event again", opened, "already exists: ALREADY_FOLLOWED"},
		{"the third event before the second", lowered, "precondition: FOLLOWED_OUT_OF_ORDER"},
		{"the second event", raised, "limit changed"},
		{"the third event", lowered, "limit changed"},
		{"the second event again", raised, "already exists: ALREADY_FOLLOWED"},
	} {
		b.expect(step.what, b.do(step.command).String(), step.want)
	}
	b.expect("balances", balanceWords(b.account.Balances()), "posted 0.00 pending 0.00 available 1500.00")
	if b.account.View().AccountsSequence != lowered.Sequence {
		t.Errorf("followed up to %d, want %d", b.account.View().AccountsSequence, lowered.Sequence)
	}
	b.checkReplay()
}

// Whatever else an event of ACCOUNTS changes, the ledger event says all controls that are in force.
func TestFollowAccountsCarriesSpendingControls(t *testing.T) {
	t.Parallel()
	small, online := &typev1.SpendingControls{SingleUse: true}, &typev1.SpendingControls{AllowedMccs: []string{"5816"}}
	b := newBook(t, BuiltInRules()).run(`card c2 active`)
	set := func(card string, controls *typev1.SpendingControls) {
		t.Helper()
		event := &eventsv1.AccountEvent{Envelope: &eventsv1.Envelope{AccountId: testAccount, PreviousSequence: b.toldAt}, Account: proto.CloneOf(b.told.GetAccount()),
			Fact: &eventsv1.AccountEvent_SpendingControlsSet{SpendingControlsSet: &eventsv1.SpendingControlsSet{CardId: card}}}
		if card == "" {
			event.Account.Controls = controls
		}
		for _, c := range event.GetAccount().GetCards() {
			if c.GetCardId() == card {
				c.Controls = controls
			}
		}
		b.told, b.toldAt = event, b.toldAt+5
		want := map[bool]string{true: "account changed", false: "card changed"}[card == ""]
		b.expect("controls of "+card, b.do(&FollowAccounts{Event: event, Sequence: b.toldAt}).String(), want)
	}
	for _, step := range []struct {
		name                string
		do                  func()
		account, card, next *typev1.SpendingControls // of the account, of c2, and of c3 once it is there
	}{
		{"none at first", func() {}, nil, nil, nil},
		{"the account's", func() { set("", online) }, online, nil, nil},
		{"the card's", func() { set("c2", small) }, online, small, nil},
		{"the card is paused", func() { b.run("card c2 paused") }, online, small, nil},
		{"the account is suspended", func() { b.run("state suspended") }, online, small, nil},
		{"the holder moves", func() { b.run("home FR") }, online, small, nil},
		{"the card is issued", func() { b.run("card c3 active") }, online, small, nil},
		{"the next card's", func() { set("c3", online) }, online, small, online},
		{"none of the card any more", func() { set("c2", nil) }, online, nil, online},
		{"none any more", func() { set("", nil) }, nil, nil, online},
	} {
		step.do()
		if got := b.account.controls; !proto.Equal(got, step.account) {
			t.Errorf("%s: the account's controls are %v, want %v", step.name, got, step.account)
		}
		for id, want := range map[string]*typev1.SpendingControls{"c2": step.card, "c3": step.next} {
			if c := b.account.card(id); c != nil && !proto.Equal(c.controls, want) {
				t.Errorf("%s: the controls of %s are %v, want %v", step.name, id, c.controls, want)
			}
		}
	}
	b.checkReplay()
}

func TestFollowAccountsRefusesAnUnknownFact(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`limit 900.00`)
	next := &FollowAccounts{Sequence: b.toldAt + 1, Event: &eventsv1.AccountEvent{Envelope: &eventsv1.Envelope{AccountId: testAccount, PreviousSequence: b.toldAt}}}
	b.expect("no fact", b.do(next).String(), "internal: EVENT_UNKNOWN")
}

// Every fact of ACCOUNTS becomes a ledger event, so a new one without a rule here is noticed.
func TestEveryFactOfAccountsIsFollowed(t *testing.T) {
	t.Parallel()
	facts := (&eventsv1.AccountEvent{}).ProtoReflect().Descriptor().Oneofs().ByName("fact").Fields()
	for i := range facts.Len() {
		b := newBook(t, BuiltInRules()).run(`limit 900.00`)
		event := &eventsv1.AccountEvent{Envelope: &eventsv1.Envelope{AccountId: testAccount, PreviousSequence: b.toldAt}, Account: proto.CloneOf(b.told.GetAccount())}
		event.ProtoReflect().Set(facts.Get(i), event.ProtoReflect().NewField(facts.Get(i)))
		if event.GetAccountOpened() != nil {
			continue // only the first one opens
		}
		if got := b.do(&FollowAccounts{Event: event, Sequence: b.toldAt + 1}); got.err != nil {
			t.Errorf("%s: %v", facts.Get(i).Name(), got.err)
		}
	}
}

func TestNothingIsDecidedForAnAccountThatIsNotOpen(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"authorize t1 1.00", "present p1 1.00", "reverse r1 of t1", "refund f1 1.00"} {
		b := newBook(t, BuiltInRules())
		b.expect(step, b.perform(strings.Fields(step)), "not found: ACCOUNT_NOT_FOUND")
		if len(b.log) != 0 {
			t.Errorf("%s: something was stored", step)
		}
	}
}

func TestViewAndPage(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`
		authorize t1 10.00
		authorize t2 2000.00
		refund f1 5.00
		wait 1h
		present p1 10.00 of t1
		authorize t3 20.00`)
	view := b.account.View()
	if view.Sequence != b.log[len(b.log)-1].sequence || !view.DecidedAt.Equal(noon.Add(time.Hour)) || !view.NextDue.Equal(view.DecidedAt.Add(holdLife)) || view.Balances != b.account.Balances() {
		t.Errorf("view %+v", view)
	}
	// Newest first, by where they began; each with its last event, also when it left memory.
	names := func(last []uint64) (ids []string) {
		for _, sequence := range last {
			ids = append(ids, b.read(sequence).GetTransaction().GetTransactionId())
		}
		return ids
	}
	last, from, more := b.account.Page(0, 3)
	if got := names(last); !slices.Equal(got, []string{"t3", "new-3", "t2"}) || !more {
		t.Errorf("first page %v, more %v", got, more)
	}
	b.run(`authorize t4 30.00`) // does not shift the next page
	last, _, more = b.account.Page(from, 3)
	if got := names(last); !slices.Equal(got, []string{"t1"}) || more || b.read(last[0]).GetPresentmentPosted() == nil {
		t.Errorf("second page %v, more %v", got, more)
	}
	if last, _, more := b.account.Page(0, 5); len(last) != 5 || more {
		t.Errorf("a page of exactly all: %d, more %v", len(last), more)
	}
}

// A stored event that does not follow from the state stops the fold.
func TestApplyPanicsOnABrokenEvent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, step, problem string
		change              func(*eventsv1.LedgerEvent)
	}{
		{"another posted balance", "present p1 45.00 of t1", "the event carries", func(e *eventsv1.LedgerEvent) { e.Balances.Posted++ }},
		{"another pending balance", "present p1 45.00 of t1", "the event carries", func(e *eventsv1.LedgerEvent) { e.Balances.Pending-- }},
		{"another limit", "present p1 45.00 of t1", "the event carries", func(e *eventsv1.LedgerEvent) { e.Balances.CreditLimit++ }},
		{"another currency", "present p1 45.00 of t1", "the event carries", func(e *eventsv1.LedgerEvent) { e.Balances.CurrencyCode = "EUR" }},
		{"no balances", "authorize t2 5000.00", "the event carries", func(e *eventsv1.LedgerEvent) { e.Balances = nil }},
		{"another amount", "present p1 45.00 of t1", "the event carries", func(e *eventsv1.LedgerEvent) { e.GetPresentmentPosted().Amount++ }},
		{"another release", "reverse r1 of t1 10.00", "the event carries", func(e *eventsv1.LedgerEvent) { e.GetAuthorizationReversed().ReleasedAmount++ }},
		{"more released than is held", "reverse r1 of t1", "pending -1", func(e *eventsv1.LedgerEvent) {
			e.GetAuthorizationReversed().ReleasedAmount, e.Balances.Pending = 4501, -1
		}},
		{"an amount beyond the bounds", "present p1 45.00 of t1", "overflows", func(e *eventsv1.LedgerEvent) { e.GetPresentmentPosted().Amount = AmountBound + 1 }},
		{"a hold below zero", "present p1 45.00 of t1", "transaction t1 holds -1", func(e *eventsv1.LedgerEvent) { e.Transaction.Held = -1 }},
		{"no fact", "authorize t2 5000.00", "unknown fact", func(e *eventsv1.LedgerEvent) { e.Fact = nil }},
		{"an older event of ACCOUNTS", "state suspended", "of ACCOUNTS was followed after", func(e *eventsv1.LedgerEvent) { e.GetAccountChanged().AccountsSequence = 1 }},
		{"an event that comes out of order", "authorize t2 5000.00", "comes after event", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := newBook(t, BuiltInRules()).run("authorize t1 45.00")
			after := newBook(t, BuiltInRules()).run("authorize t1 45.00")
			after.perform(strings.Fields(test.step))
			event, sequence := after.last(), after.account.sequence
			if test.change != nil {
				test.change(event)
			} else {
				sequence = before.account.sequence
			}
			if problem := before.applyOrPanic(event, sequence); !strings.Contains(problem, test.problem) {
				t.Errorf("it says %q, want %q", problem, test.problem)
			}
		})
	}
}
