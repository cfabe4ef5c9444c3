package payment

import "github.com/cardlog/cardlog/services/internal/codec"

// FoldVersion numbers what Apply makes of events and how Encode writes it. It must grow whenever either changes: what was encoded under another version is not read.
const FoldVersion = 1

// Encode appends the account to bytes, as Decode reads it.
func (a *Account) Encode(to []byte) []byte { return codec.Write(to, a.code) }

// Decode returns the account that Encode wrote. Its error is codec.ErrUnreadable.
func Decode(encoded []byte) (*Account, error) {
	a := New("")
	if err := codec.Read(encoded, a.code); err != nil {
		return nil, err
	}
	for _, p := range a.order {
		a.payments[p.Snapshot.GetPaymentId()] = p
	}
	return a, nil
}

// code writes the account, or reads it: payments follows from order.
func (a *Account) code(c *codec.Coder) {
	c.Text(&a.id)
	c.Unsigned(&a.sequence)
	c.Unsigned(&a.movement)
	c.Time(&a.decidedAt)
	codec.List(c, &a.order, func(p **Payment) {
		if c.Reading() {
			*p = &Payment{}
		}
		codec.Message(c, &(*p).Snapshot)
		c.Unsigned(&(*p).First)
		c.Unsigned(&(*p).Last)
	})
	codec.List(c, &a.paid, func(p *paid) {
		c.Unsigned(&p.sequence)
		c.Number(&p.total)
	})
	codec.Map(c, &a.sources, func(id *string, from *source) {
		c.Text(id)
		c.Flag(&from.taken)
		c.Number(&from.failures)
	})
	c.Time(&a.lastReturn)
	codec.Map(c, &a.answered, func(id *commandID, sequence *uint64) {
		codec.Small(c, &id.kind)
		c.Text(&id.id)
		c.Unsigned(sequence)
	})
}
