package account

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/codec"
)

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
	return a, nil
}

// code writes the account, or reads it.
func (a *Account) code(c *codec.Coder) {
	c.Text(&a.id)
	codec.Message(c, &a.snapshot)
	c.Unsigned(&a.sequence)
	codec.Map(c, &a.answered, func(id *commandID, sequence *uint64) {
		codec.Small(c, &id.kind)
		c.Text(&id.id)
		c.Unsigned(sequence)
	})
}

// Cards returns what Restore must be told of an account.
func Cards(snapshot *eventsv1.AccountSnapshot) string {
	var marks []byte
	for _, card := range snapshot.GetCards() {
		for _, mark := range marksOf(card) {
			marks = append(marks, mark[:]...)
		}
	}
	return string(marks)
}

// Restore takes note of the cards of an account.
func (r *Register) Restore(cards string) {
	for ; len(cards) >= len(cardMark{}); cards = cards[len(cardMark{}):] {
		r.taken[cardMark([]byte(cards[:len(cardMark{})]))] = struct{}{}
	}
}
