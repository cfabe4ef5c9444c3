package ledger

import (
	"fmt"
	"math"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	"github.com/cardlog/cardlog/services/internal/codec"
	"github.com/cardlog/cardlog/services/internal/failure"
)

// AmountBound is the most that any balance may reach, either way, in minor units: far above any line, far below what int64 holds.
const AmountBound = math.MaxInt64 / 16

// Balances are an account's balances in minor units of its currency.
type Balances struct {
	// Currency is an ISO 4217 code.
	Currency string
	// CreditLimit is the most the account may owe by purchases.
	CreditLimit int64
	// Posted is what is owed; below zero is a credit balance.
	Posted int64
	// Pending is the sum of open holds.
	Pending int64
	// Withheld is the part of recent payments that cannot be spent yet.
	Withheld int64
}

// Available is what can be spent.
func (b Balances) Available() int64 { return b.CreditLimit - b.Posted - b.Pending - b.Withheld }

// effect is what an event moves.
type effect struct {
	currency                         string // set once, when the ledger opens
	limit, posted, pending, withheld int64
}

// plus returns the balances after an effect. It panics when a balance leaves the bounds, or when more is released than was held.
func (b Balances) plus(e effect) Balances {
	if e.currency != "" {
		b.Currency = codec.Shared(e.currency)
	}
	for _, move := range []struct {
		balance *int64
		by      int64
	}{{&b.CreditLimit, e.limit}, {&b.Posted, e.posted}, {&b.Pending, e.pending}, {&b.Withheld, e.withheld}} {
		sum, ok := add(*move.balance, move.by)
		if !ok {
			panic("a balance overflows")
		}
		*move.balance = sum
	}
	if b.Pending < 0 || b.Withheld < 0 {
		panic(fmt.Sprintf("pending %d and withheld %d cannot be below zero", b.Pending, b.Withheld))
	}
	return b
}

var errOverflow = failure.New(failure.Precondition, "BALANCE_OVERFLOW", "the amount would take a balance beyond what can be kept; nothing was changed; check the amount")

// fits returns an error when a balance would leave the bounds.
func (b Balances) fits(e effect) error {
	for _, move := range [][2]int64{{b.CreditLimit, e.limit}, {b.Posted, e.posted}, {b.Pending, e.pending}, {b.Withheld, e.withheld}} {
		if _, ok := add(move[0], move[1]); !ok {
			return errOverflow
		}
	}
	return nil
}

// add returns a + b, and whether it is within the bounds.
func add(a, b int64) (int64, bool) {
	if (b > 0 && a > AmountBound-b) || (b < 0 && a < -AmountBound-b) {
		return 0, false
	}
	return a + b, true
}

func balancesOf(record *eventsv1.LedgerBalances) Balances {
	return Balances{Currency: record.GetCurrencyCode(), CreditLimit: record.GetCreditLimit(),
		Posted: record.GetPosted(), Pending: record.GetPending(), Withheld: record.GetWithheld()}
}

// BalancesOf returns the balances that a stored event carries.
func BalancesOf(event *eventsv1.LedgerEvent) Balances { return balancesOf(event.GetBalances()) }

func (b Balances) record() *eventsv1.LedgerBalances {
	return &eventsv1.LedgerBalances{CurrencyCode: b.Currency, CreditLimit: b.CreditLimit,
		Posted: b.Posted, Pending: b.Pending, Withheld: b.Withheld, Available: b.Available()}
}

// effectOf returns what an event moves. It is the one place where facts become money.
func effectOf(event *eventsv1.LedgerEvent) effect {
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_LedgerOpened:
		return effect{currency: fact.LedgerOpened.GetCurrencyCode(), limit: fact.LedgerOpened.GetCreditLimit()}
	case *eventsv1.LedgerEvent_LimitChanged:
		return effect{limit: fact.LimitChanged.GetCreditLimit() - fact.LimitChanged.GetPreviousCreditLimit()}
	case *eventsv1.LedgerEvent_AuthorizationApproved:
		return effect{pending: event.GetDecision().GetHeldAmount() - fact.AuthorizationApproved.GetAlreadyHeld()}
	case *eventsv1.LedgerEvent_AuthorizationIncremented:
		return effect{pending: fact.AuthorizationIncremented.GetAddedAmount()}
	case *eventsv1.LedgerEvent_AuthorizationAdvised:
		return effect{pending: fact.AuthorizationAdvised.GetHeldChange()}
	case *eventsv1.LedgerEvent_AuthorizationReversed:
		return effect{pending: -fact.AuthorizationReversed.GetReleasedAmount()}
	case *eventsv1.LedgerEvent_AuthorizationExpired:
		return effect{pending: -fact.AuthorizationExpired.GetReleasedAmount()}
	case *eventsv1.LedgerEvent_PresentmentPosted:
		return effect{posted: fact.PresentmentPosted.GetAmount(), pending: -fact.PresentmentPosted.GetReleasedAmount()}
	case *eventsv1.LedgerEvent_RefundPosted:
		return effect{posted: -fact.RefundPosted.GetAmount()}
	case *eventsv1.LedgerEvent_PresentmentReversed:
		return effect{posted: -fact.PresentmentReversed.GetAmount()}
	case *eventsv1.LedgerEvent_RefundReversed:
		return effect{posted: fact.RefundReversed.GetAmount()}
	case *eventsv1.LedgerEvent_DisputeCredited:
		return effect{posted: -fact.DisputeCredited.GetAmount()}
	case *eventsv1.LedgerEvent_DisputeCreditReversed:
		return effect{posted: fact.DisputeCreditReversed.GetAmount()}
	case *eventsv1.LedgerEvent_PaymentPosted:
		return effect{posted: -fact.PaymentPosted.GetAmount(), withheld: fact.PaymentPosted.GetWithheldAmount()}
	case *eventsv1.LedgerEvent_PaymentReturned:
		return effect{posted: fact.PaymentReturned.GetAmount(), withheld: -fact.PaymentReturned.GetReleasedAmount()}
	case *eventsv1.LedgerEvent_WithholdingEnded:
		return effect{withheld: -fact.WithholdingEnded.GetReleasedAmount()}
	case *eventsv1.LedgerEvent_AuthorizationDeclined, *eventsv1.LedgerEvent_IncrementDeclined, *eventsv1.LedgerEvent_CommandRejected,
		*eventsv1.LedgerEvent_AccountChanged, *eventsv1.LedgerEvent_CardChanged:
		return effect{}
	default:
		panic(fmt.Sprintf("unknown fact %T", event.GetFact()))
	}
}
