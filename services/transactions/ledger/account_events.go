package ledger

import (
	"fmt"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/codec"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// FollowAccounts carries one event of ACCOUNTS into the account's ledger. Every such event becomes one ledger event, so a missing one is noticed.
type FollowAccounts struct {
	// Event as it is stored in ACCOUNTS, and its sequence there.
	Event    *eventsv1.AccountEvent
	Sequence uint64
}

// Reasons with which FollowAccounts and FollowPayments are refused.
const (
	// ReasonFollowed says that the event, or a later one, was carried in before.
	ReasonFollowed = "ALREADY_FOLLOWED"
	// ReasonOutOfOrder says that an event before it was not carried in yet.
	ReasonOutOfOrder = "FOLLOWED_OUT_OF_ORDER"
)

// Account is the id of the account.
func (c *FollowAccounts) Account() string { return c.Event.GetEnvelope().GetAccountId() }

// Kind is COMMAND_KIND_FOLLOW_ACCOUNTS.
func (c *FollowAccounts) Kind() eventsv1.CommandKind {
	return eventsv1.CommandKind_COMMAND_KIND_FOLLOW_ACCOUNTS
}

// ID names the event followed.
func (c *FollowAccounts) ID() string { return fmt.Sprintf("accounts-%d", c.Sequence) }

// Digest is empty: the sequence says it all.
func (c *FollowAccounts) Digest() []byte { return nil }

func (c *FollowAccounts) about() string { return "" }

func (c *FollowAccounts) decide(a *Account, _ *Transaction, _ *Rules, _ command.Position) (*eventsv1.LedgerEvent, error) {
	if c.Sequence <= a.accountsSequence {
		return nil, failure.New(failure.AlreadyExists, ReasonFollowed, "event %d of ACCOUNTS was followed before", c.Sequence)
	}
	if previous := c.Event.GetEnvelope().GetPreviousSequence(); previous != a.accountsSequence {
		return nil, failure.New(failure.Precondition, ReasonOutOfOrder, "event %d of ACCOUNTS comes after %d, the ledger has seen %d", c.Sequence, previous, a.accountsSequence)
	}
	after := c.Event.GetAccount()
	switch fact := c.Event.GetFact().(type) {
	case *eventsv1.AccountEvent_AccountOpened:
		return &eventsv1.LedgerEvent{Fact: &eventsv1.LedgerEvent_LedgerOpened{LedgerOpened: &eventsv1.LedgerOpened{
			AccountsSequence: c.Sequence, CurrencyCode: after.GetCreditLimit().GetCurrencyCode(), CreditLimit: after.GetCreditLimit().GetMinorUnits(),
			State: after.GetState(), RulesProfile: after.GetRulesProfile(), HomeCountryCode: after.GetHomeCountryCode(),
		}}}, nil
	case *eventsv1.AccountEvent_CreditLimitChanged:
		return &eventsv1.LedgerEvent{Fact: &eventsv1.LedgerEvent_LimitChanged{LimitChanged: &eventsv1.LimitChanged{
			AccountsSequence: c.Sequence, PreviousCreditLimit: a.balances.CreditLimit, CreditLimit: after.GetCreditLimit().GetMinorUnits(),
		}}}, nil
	case *eventsv1.AccountEvent_AccountStateChanged, *eventsv1.AccountEvent_HolderUpdated:
		return c.accountChanged(), nil
	case *eventsv1.AccountEvent_CardIssued:
		return c.cardChanged(fact.CardIssued.GetCardId()), nil
	case *eventsv1.AccountEvent_CardStateChanged:
		return c.cardChanged(fact.CardStateChanged.GetCardId()), nil
	case *eventsv1.AccountEvent_CardReplaced:
		return c.cardChanged(fact.CardReplaced.GetCardId(), fact.CardReplaced.GetNewCardId()), nil
	case *eventsv1.AccountEvent_SpendingControlsSet:
		if id := fact.SpendingControlsSet.GetCardId(); id != "" {
			return c.cardChanged(id), nil
		}
		return c.accountChanged(), nil
	default:
		return nil, failure.New(failure.Internal, "EVENT_UNKNOWN", "event %d of ACCOUNTS has a fact that this version does not know", c.Sequence)
	}
}

// accountChanged takes the account as the event left it.
func (c *FollowAccounts) accountChanged() *eventsv1.LedgerEvent {
	after := c.Event.GetAccount()
	return &eventsv1.LedgerEvent{Fact: &eventsv1.LedgerEvent_AccountChanged{AccountChanged: &eventsv1.AccountChanged{
		AccountsSequence: c.Sequence, State: after.GetState(), HomeCountryCode: after.GetHomeCountryCode(), Controls: after.GetControls(),
	}}}
}

// cardChanged takes the named cards as the event left them.
func (c *FollowAccounts) cardChanged(ids ...string) *eventsv1.LedgerEvent {
	changed := &eventsv1.CardChanged{AccountsSequence: c.Sequence}
	for _, id := range ids {
		for _, after := range c.Event.GetAccount().GetCards() {
			if after.GetCardId() == id {
				changed.Cards = append(changed.Cards, &eventsv1.LedgerCard{CardId: id, State: after.GetState(), Controls: after.GetControls(),
					ExpiryMonth: after.GetExpiryMonth(), ExpiryYear: after.GetExpiryYear(), ReplacesCardId: after.GetReplacesCardId()})
			}
		}
	}
	return &eventsv1.LedgerEvent{Fact: &eventsv1.LedgerEvent_CardChanged{CardChanged: changed}}
}

// applyAccountFact folds what came from ACCOUNTS, beside the money.
func (a *Account) applyAccountFact(event *eventsv1.LedgerEvent) {
	var followed uint64
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_LedgerOpened:
		if a.known() {
			panic("an account is opened once")
		}
		followed = fact.LedgerOpened.GetAccountsSequence()
		a.state, a.homeCountry, a.profile = fact.LedgerOpened.GetState(), codec.Shared(fact.LedgerOpened.GetHomeCountryCode()), codec.Shared(fact.LedgerOpened.GetRulesProfile())
	case *eventsv1.LedgerEvent_LimitChanged:
		if before := fact.LimitChanged.GetPreviousCreditLimit(); before != a.balances.CreditLimit {
			panic(fmt.Sprintf("the limit before is %d, the event says %d", a.balances.CreditLimit, before))
		}
		followed = fact.LimitChanged.GetAccountsSequence()
	case *eventsv1.LedgerEvent_AccountChanged:
		followed = fact.AccountChanged.GetAccountsSequence()
		a.state, a.homeCountry, a.controls = fact.AccountChanged.GetState(), codec.Shared(fact.AccountChanged.GetHomeCountryCode()), fact.AccountChanged.GetControls()
	case *eventsv1.LedgerEvent_CardChanged:
		followed = fact.CardChanged.GetAccountsSequence()
		for _, changed := range fact.CardChanged.GetCards() {
			a.applyCard(changed)
		}
	default:
		return
	}
	if followed <= a.accountsSequence {
		panic(fmt.Sprintf("event %d of ACCOUNTS was followed after event %d", followed, a.accountsSequence))
	}
	a.accountsSequence = followed
}

func (a *Account) applyCard(changed *eventsv1.LedgerCard) {
	after := card{id: a.own(changed.GetCardId()), state: changed.GetState(), expiryYear: changed.GetExpiryYear(), expiryMonth: changed.GetExpiryMonth(),
		replaces: a.own(changed.GetReplacesCardId()), controls: changed.GetControls()}
	if known := a.card(after.id); known != nil {
		*known = after
		return
	}
	a.cards = appendTight(a.cards, after)
}
