package feed

import (
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// accountData is the body of an event of accounts. It has no personal data: no holder, no card number or part of one, and nobody's words.
type accountData struct {
	Sequence  uint64 `json:"sequence"`
	AccountID string `json:"account_id"`

	PreviousState       string `json:"previous_state,omitempty"`
	State               string `json:"state,omitempty"`
	PreviousCreditLimit money  `json:"previous_credit_limit,omitzero"`
	CreditLimit         money  `json:"credit_limit,omitzero"`
	RulesProfile        string `json:"rules_profile,omitempty"`
	// ChangedFields are names of fields of the holder, without what is in them.
	ChangedFields []string `json:"changed_fields,omitempty"`
	// Controls are the account's own; a card's are in the card.
	Controls *controls `json:"controls,omitempty"`

	Card              *card  `json:"card,omitempty"`
	PreviousCardState string `json:"previous_card_state,omitempty"`
	NewCard           *card  `json:"new_card,omitempty"`
}

// accountDataOf makes the body of an event of accounts.
func accountDataOf(event *eventsv1.AccountEvent, sequence uint64) *accountData {
	after := event.GetAccount()
	data := &accountData{Sequence: sequence, AccountID: event.GetEnvelope().GetAccountId()}
	switch fact := event.GetFact().(type) {
	case *eventsv1.AccountEvent_AccountOpened:
		data.State, data.CreditLimit, data.RulesProfile = accountState(after.GetState()), moneyOf(after.GetCreditLimit()), after.GetRulesProfile()
	case *eventsv1.AccountEvent_CreditLimitChanged:
		data.CreditLimit = moneyOf(after.GetCreditLimit())
		data.PreviousCreditLimit = money{data.CreditLimit.CurrencyCode, fact.CreditLimitChanged.GetPreviousCreditLimit()}
	case *eventsv1.AccountEvent_HolderUpdated:
		data.ChangedFields = fact.HolderUpdated.GetPaths()
	case *eventsv1.AccountEvent_AccountStateChanged:
		data.PreviousState, data.State = accountState(fact.AccountStateChanged.GetPreviousState()), accountState(after.GetState())
	case *eventsv1.AccountEvent_CardIssued:
		data.Card = cardOf(after, fact.CardIssued.GetCardId())
	case *eventsv1.AccountEvent_CardStateChanged:
		data.Card = cardOf(after, fact.CardStateChanged.GetCardId())
		data.PreviousCardState = cardState(fact.CardStateChanged.GetPreviousState())
	case *eventsv1.AccountEvent_CardReplaced:
		data.Card, data.NewCard = cardOf(after, fact.CardReplaced.GetCardId()), cardOf(after, fact.CardReplaced.GetNewCardId())
	case *eventsv1.AccountEvent_SpendingControlsSet:
		if id := fact.SpendingControlsSet.GetCardId(); id != "" {
			data.Card = cardOf(after, id)
		} else {
			data.Controls = controlsOf(after.GetControls())
		}
	default: // checked before
	}
	return data
}

// cardOf returns a card of an account.
func cardOf(account *eventsv1.AccountSnapshot, id string) *card {
	for _, c := range account.GetCards() {
		if c.GetCardId() == id {
			return cardWith(c)
		}
	}
	return &card{CardID: id}
}

// cardWith takes of a stored card what may be told.
func cardWith(c interface {
	GetCardId() string
	GetState() typev1.CardState
	GetExpiryMonth() int32
	GetExpiryYear() int32
	GetReplacesCardId() string
	GetControls() *typev1.SpendingControls
}) *card {
	return &card{CardID: c.GetCardId(), State: cardState(c.GetState()), Controls: controlsOf(c.GetControls()),
		ExpiryMonth: c.GetExpiryMonth(), ExpiryYear: c.GetExpiryYear(), ReplacesCardID: c.GetReplacesCardId()}
}

// controlsOf returns nil where there are none.
func controlsOf(c *typev1.SpendingControls) *controls {
	if c == nil {
		return nil
	}
	told := &controls{
		MaxAmount: moneyOf(c.GetMaxAmount()), AllowedMCCs: c.GetAllowedMccs(), BlockedMCCs: c.GetBlockedMccs(),
		AllowedCountries: c.GetAllowedCountries(), BlockedCountries: c.GetBlockedCountries(),
		LockedMerchantID: c.GetLockedMerchantId(), LockToFirstMerchant: c.GetLockToFirstMerchant(), SingleUse: c.GetSingleUse(),
	}
	for _, limit := range c.GetLimits() {
		told.Limits = append(told.Limits, spendingLimit{Window: window(limit.GetWindow()), TrailingHours: limit.GetTrailingHours(),
			MaxAmount: moneyOf(limit.GetMaxAmount()), MaxCount: limit.GetMaxCount()})
	}
	return told
}
