package transactions

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/checkpoint"
)

// cardIndex finds the account of a card by its id or the fingerprint of its number. It is made from ACCOUNTS.
type cardIndex struct {
	// rows has the account's id by "c" and the card's id, and the card's id by "n" and the first 128 bits of the fingerprint.
	rows *checkpoint.Table
}

// cardIndexVersion numbers what is in the rows. It must grow whenever that changes.
const cardIndexVersion = 2

// cardRef names a card and its account.
type cardRef struct{ account, card string }

func newCardIndex() *cardIndex { return &cardIndex{rows: checkpoint.NewTable()} }

// add takes the cards of an account in.
func (x *cardIndex) add(event *eventsv1.AccountEvent) {
	account := event.GetEnvelope().GetAccountId()
	for _, card := range event.GetAccount().GetCards() {
		if _, known := x.rows.Get("c" + card.GetCardId()); !known {
			x.rows.Set(numberKey(card.GetNumberFingerprint()), card.GetCardId())
			x.rows.Set("c"+card.GetCardId(), account)
		}
	}
}

func numberKey(fingerprint []byte) string {
	return "n" + string(fingerprint[:min(16, len(fingerprint))])
}

func (x *cardIndex) findID(cardID string) (cardRef, bool) {
	account, known := x.rows.Get("c" + cardID)
	return cardRef{account: account, card: cardID}, known
}

func (x *cardIndex) findNumber(fingerprint []byte) (cardRef, bool) {
	card, known := x.rows.Get(numberKey(fingerprint))
	if !known {
		return cardRef{}, false
	}
	return x.findID(card)
}
