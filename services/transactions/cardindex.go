package transactions

import (
	"sync"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
)

// cardIndex finds the account of a card by its id or the fingerprint of its number. It is made from ACCOUNTS.
type cardIndex struct {
	mu       sync.RWMutex
	byID     map[string]string  // card id → account id
	byNumber map[string]cardRef // fingerprint → card
}

// cardRef names a card and its account.
type cardRef struct{ account, card string }

func newCardIndex() *cardIndex {
	return &cardIndex{byID: map[string]string{}, byNumber: map[string]cardRef{}}
}

// add takes the cards of an account in.
func (x *cardIndex) add(event *eventsv1.AccountEvent) {
	account := event.GetEnvelope().GetAccountId()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, card := range event.GetAccount().GetCards() {
		if _, known := x.byID[card.GetCardId()]; known {
			continue
		}
		x.byID[card.GetCardId()] = account
		x.byNumber[string(card.GetNumberFingerprint())] = cardRef{account: account, card: card.GetCardId()}
	}
}

func (x *cardIndex) findID(cardID string) (cardRef, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	account, known := x.byID[cardID]
	return cardRef{account: account, card: cardID}, known
}

func (x *cardIndex) findNumber(fingerprint []byte) (cardRef, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	ref, known := x.byNumber[string(fingerprint)]
	return ref, known
}
