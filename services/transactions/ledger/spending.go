package ledger

import (
	"math"
	"slices"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// recentHours is for how long single purchases are remembered for spending controls: the longest trailing window, which is also the longest month.
const recentHours = 744

// beginning is the start of the window that has everything.
const beginning = math.MinInt64

// tally is an amount in minor units, and a number of purchases.
type tally struct{ amount, count int64 }

func (t tally) plus(o tally) tally { return tally{t.amount + o.amount, t.count + o.count} }
func (t tally) less(o tally) tally { return tally{t.amount - o.amount, t.count - o.count} }

// spent returns what the transaction counts for spending controls: what is cleared, and what is held but for the surplus. It is a purchase when it was approved, by us or
// by the network, or when something was presented; and it stays one when that is released or taken back.
func (t *Transaction) spent() tally {
	if t.payment() {
		return tally{}
	}
	s := tally{amount: t.Cleared + max(0, t.Held-t.HoldSurplus)}
	if t.granted() || t.Cleared+t.ClearingReversed > 0 {
		s.count = 1
	}
	return s
}

// spending is what was spent, with which card and when, as spending controls need it: what began in the last 744 hours to the moment, and what began before as sums.
// It is kept for accounts without controls too, because a limit counts from the beginning of its window, and not from when it was set.
type spending struct {
	cards  []cardSpending
	recent []moment // in order of time
	// through is the last moment that is in the sums, in microseconds of the Unix epoch.
	through int64
	// firsts are the first approved purchases, one of each card, in the order in which they were approved.
	firsts []firstPurchase
}

// firstPurchase is the first approved purchase of a card.
type firstPurchase struct{ cardID, merchantID string }

// cardSpending is what was spent with a card, before what is recent: ever, and in the newest year that has any.
type cardSpending struct {
	id           string // empty for what was spent with none
	ever, inYear tally
	year         int
}

// moment is what was spent by the purchases of a card that began in the same microsecond. There are many of them.
type moment struct {
	at     int64 // in microseconds of the Unix epoch
	amount int64
	card   int32 // its index
	count  int32
}

func (m moment) tally() tally { return tally{amount: m.amount, count: int64(m.count)} }

// since returns what the purchases come to that began at or after a moment, with some cards, or with all where cards is nil. The moment is the start of a window that
// ends now: within the recent hours, the start of a year, or the beginning.
func (s *spending) since(from int64, cards []string) tally {
	var sum tally
	counts := func(card int) bool { return cards == nil || slices.Contains(cards, s.cards[card].id) }
	for i := range slices.Backward(s.recent) {
		if s.recent[i].at < from {
			break
		}
		if counts(int(s.recent[i].card)) {
			sum = sum.plus(s.recent[i].tally())
		}
	}
	if from > s.through {
		return sum
	}
	for i := range s.cards {
		switch {
		case !counts(i):
		case from == beginning:
			sum = sum.plus(s.cards[i].ever)
		case yearOf(from) == s.cards[i].year:
			sum = sum.plus(s.cards[i].inYear)
		}
	}
	return sum
}

// merchant returns the merchant of the first approved purchase with one of some cards, or of all where cards is nil; empty when there was none.
func (s *spending) merchant(cards []string) string {
	for _, first := range s.firsts {
		if cards == nil || slices.Contains(cards, first.cardID) {
			return first.merchantID
		}
	}
	return ""
}

// card returns the index of a card, which is noted where it is new.
func (s *spending) card(id string) int {
	if i := slices.IndexFunc(s.cards, func(c cardSpending) bool { return c.id == id }); i >= 0 {
		return i
	}
	s.cards = appendTight(s.cards, cardSpending{id: id})
	return len(s.cards) - 1
}

// note adds what was spent with a card by a purchase that began at a moment.
func (s *spending) note(m moment) {
	if m.at <= s.through {
		s.sumUp(m)
		return
	}
	at := len(s.recent)
	for at > 0 && s.recent[at-1].at > m.at {
		at--
	}
	for same := at - 1; same >= 0 && s.recent[same].at == m.at; same-- {
		if s.recent[same].card == m.card {
			s.recent[same].amount += m.amount
			s.recent[same].count += m.count
			return
		}
	}
	s.recent = appendTight(s.recent, m)
	copy(s.recent[at+1:], s.recent[at:])
	s.recent[at] = m
}

// age sums up what is not recent any more at a time.
func (s *spending) age(now time.Time) {
	through := now.Add(-recentHours * time.Hour).UnixMicro()
	if through <= s.through {
		return
	}
	s.through = through
	old := 0
	for old < len(s.recent) && s.recent[old].at <= through {
		s.sumUp(s.recent[old])
		old++
	}
	s.recent = s.recent[old:]
}

func (s *spending) sumUp(m moment) {
	c := &s.cards[m.card]
	c.ever = c.ever.plus(m.tally())
	switch year := yearOf(m.at); {
	case year > c.year:
		c.year, c.inYear = year, m.tally()
	case year == c.year:
		c.inYear = c.inYear.plus(m.tally())
	}
}

func yearOf(at int64) int { return time.UnixMicro(at).UTC().Year() }

// spendingChanges returns what an event changes of what was spent, from its transaction after it and before it. The caller has looked up the latter where it has the key
// about.
func (a *Account) spendingChanges(record *eventsv1.TransactionRecord, about string, before *Transaction) []*eventsv1.SpendingChange {
	if record == nil || record.GetPaid() != 0 {
		return nil
	}
	after := transactionOf(record, 0)
	if key := after.Key(); key != about {
		before = a.transaction(key)
	}
	if before == nil {
		before = &Transaction{CardID: after.CardID}
	}
	if before.CardID != after.CardID { // the first message named none
		return append(spendingChange(tally{}.less(before.spent()), true), spendingChange(after.spent(), false)...)
	}
	return spendingChange(after.spent().less(before.spent()), false)
}

func spendingChange(change tally, withoutCard bool) []*eventsv1.SpendingChange {
	if change == (tally{}) {
		return nil
	}
	return []*eventsv1.SpendingChange{{Amount: change.amount, Count: int32(change.count), WithoutCard: withoutCard}}
}

// applySpending folds in what an event changes of what was spent.
func (a *Account) applySpending(event *eventsv1.LedgerEvent) {
	record := event.GetTransaction()
	used := a.own(record.GetCardId())
	for _, change := range event.GetSpending() {
		card := used
		if change.GetWithoutCard() {
			card = ""
		}
		a.spending.note(moment{at: record.GetOpenedAt().AsTime().UnixMicro(), card: int32(a.spending.card(card)), amount: change.GetAmount(), count: change.GetCount()})
	}
	if merchant := record.GetMerchant().GetMerchantId(); merchant != "" && approves(event) && a.spending.merchant([]string{used}) == "" {
		a.spending.firsts = appendTight(a.spending.firsts, firstPurchase{used, merchant})
	}
	a.spending.age(event.GetEnvelope().GetDecidedAt().AsTime())
}

// approves says whether an event approves a purchase: by us, or by the network in our place.
func approves(event *eventsv1.LedgerEvent) bool {
	if event.GetAuthorizationApproved() != nil {
		return grantedOutcome(event.GetDecision().GetOutcome()) && !event.GetAuthorizationApproved().GetRequest().GetRefund()
	}
	return event.GetAuthorizationAdvised() != nil && grantedOutcome(event.GetTransaction().GetAuthorizationOutcome())
}
