package ledger

import "github.com/cardlog/cardlog/services/internal/codec"

// FoldVersion numbers what Apply makes of events and how Encode writes it. It must grow whenever either changes: what was encoded under another version is not read.
const FoldVersion = 1

// Encode appends the account to bytes, as Decode reads it. What was recalled for a command is left out.
func (a *Account) Encode(to []byte) []byte { return codec.Write(to, a.code) }

// Decode returns the account that Encode wrote. Its error is codec.ErrUnreadable.
func Decode(encoded []byte) (*Account, error) {
	a := New("")
	if err := codec.Read(encoded, a.code); err != nil {
		return nil, err
	}
	return a, nil
}

// code writes the account, or reads it.
func (a *Account) code(c *codec.Coder) {
	c.Text(&a.id)
	c.Word(&a.balances.Currency)
	for _, number := range []*int64{&a.balances.CreditLimit, &a.balances.Posted, &a.balances.Pending, &a.balances.Withheld} {
		c.Number(number)
	}
	codec.Small(c, &a.state)
	c.Word(&a.homeCountry)
	c.Word(&a.profile)
	codec.Message(c, &a.controls)
	codec.List(c, &a.cards, func(card *card) { card.code(c) })
	a.spending.code(c)
	if c.Reading() {
		a.ownCards()
	}
	for _, sequence := range []*uint64{&a.accountsSequence, &a.paymentsSequence, &a.sequence} {
		c.Unsigned(sequence)
	}
	c.Time(&a.decidedAt)
	a.open.code(c)
	a.ids.code(c)
	codec.List(c, &a.order, func(b *began) {
		first, authorized := b.first(), b.start&authorizedFirst != 0
		c.Unsigned(&first)
		c.Flag(&authorized)
		c.Unsigned(&b.last)
		if b.start = first; authorized {
			b.start |= authorizedFirst
		}
	})
}

// ownCards has the id of each card in memory once.
func (a *Account) ownCards() {
	for i := range a.cards {
		a.cards[i].replaces = a.own(a.cards[i].replaces)
	}
	for i := range a.spending.cards {
		a.spending.cards[i].id = a.own(a.spending.cards[i].id)
	}
	for i := range a.spending.firsts {
		a.spending.firsts[i].cardID = a.own(a.spending.firsts[i].cardID)
	}
}

func (k *card) code(c *codec.Coder) {
	c.Text(&k.id)
	codec.Small(c, &k.state)
	codec.Small(c, &k.expiryYear)
	codec.Small(c, &k.expiryMonth)
	c.Text(&k.replaces)
	codec.Message(c, &k.controls)
}

func (s *spending) code(c *codec.Coder) {
	codec.List(c, &s.cards, func(card *cardSpending) {
		c.Text(&card.id)
		for _, number := range []*int64{&card.ever.amount, &card.ever.count, &card.inYear.amount, &card.inYear.count} {
			c.Number(number)
		}
		codec.Small(c, &card.year)
	})
	codec.List(c, &s.recent, func(m *moment) {
		c.Number(&m.at)
		c.Number(&m.amount)
		codec.Small(c, &m.card)
		codec.Small(c, &m.count)
	})
	c.Number(&s.through)
	codec.List(c, &s.firsts, func(first *firstPurchase) {
		c.Text(&first.cardID)
		c.Text(&first.merchantID)
	})
}

func (h *openTransactions) code(c *codec.Coder) {
	codec.List(c, &h.heap, func(o *openTransaction) {
		c.Fixed((*uint64)(&o.mark))
		c.Unsigned(&o.last)
		c.Number(&o.held)
		c.Number(&o.withheld)
		c.Number(&o.dueAt)
		c.Data(&o.record)
	})
	if c.Reading() {
		h.index()
	}
}

func (r *remembered) code(c *codec.Coder) {
	count := c.Length(r.count)
	if !c.Reading() {
		for mark, number := range r.each {
			c.Fixed((*uint64)(&mark))
			c.Unsigned(&number)
		}
		return
	}
	if count > 0 {
		r.grow(count*16/15 + 1)
	}
	for range count {
		var mark fingerprint
		var number uint64
		c.Fixed((*uint64)(&mark))
		if c.Unsigned(&number); number == 0 || c.Broken() {
			c.Break()
			return
		}
		r.set(mark, number)
	}
}
