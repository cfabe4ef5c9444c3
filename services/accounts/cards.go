package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/accounts/account"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
	"github.com/cardlog/cardlog/services/internal/vault"
)

// cardLife is how long a new card is valid.
const cardLife = 4 // years

// numberAttempts bounds how often another number is made for a card. With a long BIN most numbers may be taken.
const numberAttempts = 20

// IssueCard issues a card.
func (s *Service) IssueCard(ctx context.Context, r *accountsv1.IssueCardRequest) (*accountsv1.IssueCardResponse, error) {
	cardID := s.nameFor(r.GetCardId(), "card-", r.GetRequestId(), r.GetAccountId())
	content := command.NewDigest().Flag(r.GetActivate())
	issued, number, stored, err := s.submitNewCard(ctx, cardID, func(card account.NewCard) account.Command {
		return &account.IssueCard{Header: header(ctx, r, content), NewCard: card, Activate: r.GetActivate()}
	})
	return &accountsv1.IssueCardResponse{Card: issued, CardNumber: number, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// ReplaceCard closes a card and issues another in its place.
func (s *Service) ReplaceCard(ctx context.Context, r *accountsv1.ReplaceCardRequest) (*accountsv1.ReplaceCardResponse, error) {
	cardID := s.nameFor(r.GetNewCardId(), "card-", r.GetRequestId(), r.GetAccountId())
	content := command.NewDigest().Text(r.GetCardId(), r.GetReason())
	issued, number, stored, err := s.submitNewCard(ctx, cardID, func(card account.NewCard) account.Command {
		return &account.ReplaceCard{Header: header(ctx, r, content), NewCard: card, ReplacedID: r.GetCardId(), Reason: r.GetReason()}
	})
	return &accountsv1.ReplaceCardResponse{Card: issued, CardNumber: number, Duplicate: stored.Duplicate, Sequence: stored.Sequence}, err
}

// submitNewCard makes a card number, has the command decided, and makes another number while the one made is taken. The number is returned only for a card that was
// issued just now: it is kept nowhere.
func (s *Service) submitNewCard(ctx context.Context, cardID string, with func(account.NewCard) account.Command) (*accountsv1.Card, string, result, error) {
	expiry := s.options.Clock().UTC().AddDate(cardLife, 0, 0)
	for attempt := 1; ; attempt++ {
		number := vault.NewCardNumber(s.options.BIN)
		stored, err := s.engine.Submit(ctx, with(account.NewCard{CardID: cardID, Fingerprint: s.options.Key.Fingerprint(number), LastFour: number[len(number)-4:],
			ExpiryMonth: int32(expiry.Month()), ExpiryYear: int32(expiry.Year())}))
		var f *failure.Error
		if attempt < numberAttempts && errors.As(err, &f) && f.Reason == account.ReasonNumberTaken {
			continue
		}
		if err != nil {
			return nil, "", result{}, err
		}
		if stored.Duplicate {
			number = ""
		}
		return cardIn(stored.Event.GetAccount(), cardID), number, stored, nil
	}
}

// SetCardState sets a card's state.
func (s *Service) SetCardState(ctx context.Context, r *accountsv1.SetCardStateRequest) (*accountsv1.SetCardStateResponse, error) {
	content := command.NewDigest().Text(r.GetCardId(), r.GetReason()).Number(int64(r.GetState()))
	stored, err := s.engine.Submit(ctx, &account.SetCardState{Header: header(ctx, r, content), CardID: r.GetCardId(), State: r.GetState(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &accountsv1.SetCardStateResponse{Card: cardIn(stored.Event.GetAccount(), r.GetCardId()), Duplicate: stored.Duplicate, Sequence: stored.Sequence}, nil
}

// nameFor returns the id that the caller gave for a new thing, else one that follows from the request id, else a random one.
func (s *Service) nameFor(given, prefix, requestID string, scope ...string) string {
	switch {
	case given != "":
		return given
	case requestID != "":
		return s.options.Key.Name(prefix, append(slices.Clone(scope), requestID)...)
	default:
		return prefix + rand.Text()
	}
}

// cardIn returns a card of a snapshot.
func cardIn(snapshot *eventsv1.AccountSnapshot, cardID string) *accountsv1.Card {
	for _, c := range snapshot.GetCards() {
		if c.GetCardId() == cardID {
			return cardOf(c)
		}
	}
	return nil
}

func cardOf(c *eventsv1.CardSnapshot) *accountsv1.Card {
	return &accountsv1.Card{CardId: c.GetCardId(), LastFour: c.GetLastFour(), State: c.GetState(), Controls: c.GetControls(),
		ExpiryMonth: c.GetExpiryMonth(), ExpiryYear: c.GetExpiryYear(), ReplacesCardId: c.GetReplacesCardId()}
}
