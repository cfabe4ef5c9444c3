package console

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// timeView is the page on which one goes through an account's log.
type timeView struct {
	Account *accountsv1.Account
	Moment  *momentView
}

// momentView is one event, with what was before it and what after it.
type momentView struct {
	AccountID       string
	Position, Count int // from 1
	Before, After   int // positions of the neighbours; 0 where there is none
	Sequence        uint64
	Time            time.Time
	Title, Sentence string
	Balances        []change
	Changes         []change // of the transaction, the account or its cards
	About           string   // what they are changes of
	TransactionPath string
	Decision        *checksView
	Nearby          []nearby
	Agreed          bool // GetBalance as of this sequence says the same
	Line            string
	Stored          string
	Left            int // events before the first that can be reached
}

// change is a value before and after an event.
type change struct {
	Name, Before, After string
	Difference          string // of amounts that changed
	Changed             bool
}

// checksView are the checks of a decision.
type checksView struct {
	Rules  string
	Checks []checkWords
}

// nearby is an event close by.
type nearby struct {
	Position int
	Sequence uint64
	Title    string
	Time     time.Time
	Here     bool
}

// nearbyEach is how many events are listed before and after the one that is shown.
const nearbyEach = 4

// showTime shows an event of an account: the one at a position, or at a sequence, else the newest.
func (c *Console) showTime(w http.ResponseWriter, r *http.Request) error {
	accountID := r.PathValue("account")
	g, err := c.histories.of(r.Context(), accountID)
	if err != nil {
		return err
	}
	if len(g.moments) == 0 {
		return &pageError{code: http.StatusNotFound, title: "No events yet", sentence: "The ledger has not heard of this account yet. Try again in a moment."}
	}
	at := len(g.moments) - 1
	if position, err := strconv.Atoi(r.FormValue("position")); err == nil {
		at = min(max(position-1, 0), at)
	} else if sequence, err := strconv.ParseUint(r.FormValue("at"), 10, 64); err == nil {
		at = g.find(sequence)
	}
	shown, err := c.momentView(r.Context(), accountID, g, at)
	if err != nil {
		return err
	}
	if byScript(r) {
		w.Header().Set("HX-Replace-Url", "/accounts/"+url.PathEscape(accountID)+"/time?at="+strconv.FormatUint(shown.Sequence, 10))
		return c.showFragment(w, "moment", shown)
	}
	account, err := c.accounts.GetAccount(r.Context(), &accountsv1.GetAccountRequest{AccountId: accountID})
	if err != nil {
		return err
	}
	return c.show(w, r, "time", view{Title: "Time travel", Section: "accounts", Account: accountID, Tab: "time", Content: timeView{Account: account.GetAccount(), Moment: shown}})
}

// momentView reads an event and says what it changed. The balances after it are those that GetBalance answers as of its sequence, those before it likewise.
func (c *Console) momentView(ctx context.Context, accountID string, g glimpse, at int) (*momentView, error) {
	here := g.moments[at]
	stored, err := c.event(ctx, accountID, here.sequence)
	if err != nil {
		return nil, err
	}
	event := stored.GetEvent()
	v := &momentView{AccountID: accountID, Position: at + 1, Count: len(g.moments), Sequence: here.sequence, Time: here.time(), Left: g.before}
	if at > 0 {
		v.Before = at
	}
	if at+1 < len(g.moments) {
		v.After = at + 2
	}
	v.Title, v.Sentence = eventWords(event)
	asOf := &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: accountID},
		AsOf: &transactionsv1.GetBalanceRequest_AsOfSequence{AsOfSequence: here.sequence}}
	after, err := c.transactions.GetBalance(ctx, asOf)
	if err != nil {
		return nil, err
	}
	v.Agreed = agree(after.GetBalances(), event.GetBalances())
	const method = transactionsv1.TransactionsService_GetBalance_FullMethodName
	v.Line = grpcurl(c.router.address(ctx, method), method, asOf)
	var before *transactionsv1.Balances
	if at > 0 {
		asOf.AsOf = &transactionsv1.GetBalanceRequest_AsOfSequence{AsOfSequence: g.moments[at-1].sequence}
		answer, err := c.transactions.GetBalance(ctx, asOf)
		if err != nil {
			return nil, err
		}
		before = answer.GetBalances()
	}
	v.Balances = balanceChanges(before, after.GetBalances())
	if err := c.addChanges(ctx, v, g, event); err != nil {
		return nil, err
	}
	if checks := event.GetDecision().GetChecks(); len(checks) > 0 {
		v.Decision = c.checksView(event)
	}
	for i := max(at-nearbyEach, 0); i <= min(at+nearbyEach, len(g.moments)-1); i++ {
		m := g.moments[i]
		v.Nearby = append(v.Nearby, nearby{Position: i + 1, Sequence: m.sequence, Title: factWords(m.fact), Time: m.time(), Here: i == at})
	}
	v.Stored = storedText(event)
	return v, nil
}

// agree says whether two tellings of balances are the same.
func agree(answered *transactionsv1.Balances, stored *eventsv1.LedgerBalances) bool {
	return answered.GetPosted().GetCurrencyCode() == stored.GetCurrencyCode() && answered.GetCreditLimit().GetMinorUnits() == stored.GetCreditLimit() &&
		answered.GetPosted().GetMinorUnits() == stored.GetPosted() && answered.GetPending().GetMinorUnits() == stored.GetPending() &&
		answered.GetWithheld().GetMinorUnits() == stored.GetWithheld() && answered.GetAvailable().GetMinorUnits() == stored.GetAvailable()
}

func balanceChanges(before, after *transactionsv1.Balances) []change {
	return []change{
		moneyChange("Credit limit", before.GetCreditLimit(), after.GetCreditLimit()),
		moneyChange("Posted", before.GetPosted(), after.GetPosted()),
		moneyChange("Pending", before.GetPending(), after.GetPending()),
		moneyChange("Withheld", before.GetWithheld(), after.GetWithheld()),
		moneyChange("Available", before.GetAvailable(), after.GetAvailable()),
	}
}

func moneyChange(name string, before, after *typev1.Money) change {
	one := change{Name: name, Before: formatMoney(before), After: formatMoney(after)}
	if moved := after.GetMinorUnits() - before.GetMinorUnits(); moved != 0 {
		one.Changed, one.Difference = true, formatMinor(moved, after.GetCurrencyCode())
		if moved > 0 {
			one.Difference = "+" + one.Difference
		}
	}
	return one
}

func textChange(name, before, after string) change {
	return change{Name: name, Before: orDash(before), After: orDash(after), Changed: before != after}
}

// addChanges adds what an event changed beside the balances: its transaction, or the account and its cards.
func (c *Console) addChanges(ctx context.Context, v *momentView, g glimpse, event *eventsv1.LedgerEvent) error {
	if after := event.GetTransaction(); after != nil {
		var before *eventsv1.TransactionRecord
		if previous := after.GetPreviousSequence(); previous != 0 {
			stored, err := c.event(ctx, v.AccountID, previous)
			if err != nil {
				return err
			}
			before = stored.GetEvent().GetTransaction()
		}
		v.About = "The transaction"
		v.TransactionPath = "/accounts/" + url.PathEscape(v.AccountID) + "/transactions/" + url.PathEscape(after.GetTransactionId())
		v.Changes = transactionChanges(before, after, event.GetBalances().GetCurrencyCode())
		return nil
	}
	switch fact := event.GetFact().(type) {
	case *eventsv1.LedgerEvent_LedgerOpened:
		v.About = "The account"
		v.Changes = []change{textChange("State", "", label(fact.LedgerOpened.GetState())), textChange("Rules profile", "", fact.LedgerOpened.GetRulesProfile())}
	case *eventsv1.LedgerEvent_AccountChanged:
		v.About = "The account"
		v.Changes = []change{{Name: "State", Before: "", After: label(fact.AccountChanged.GetState())}}
	case *eventsv1.LedgerEvent_CardChanged:
		v.About = "Cards"
		for _, card := range fact.CardChanged.GetCards() {
			was := ""
			if before := g.cardBefore(card.GetCardId(), v.Sequence); before != nil {
				was = label(before.GetState())
			}
			v.Changes = append(v.Changes, textChange(card.GetCardId(), was, label(card.GetState())))
		}
	default: // nothing else changed
	}
	return nil
}

func transactionChanges(before, after *eventsv1.TransactionRecord, currency string) []change {
	var changes []change
	add := func(name string, was, is int64) {
		if was == 0 && is == 0 {
			return
		}
		in := func(minor int64) *typev1.Money { return &typev1.Money{CurrencyCode: currency, MinorUnits: minor} }
		changes = append(changes, moneyChange(name, in(was), in(is)))
	}
	add("Authorized", before.GetAuthorized(), after.GetAuthorized())
	add("Held", before.GetHeld(), after.GetHeld())
	add("Cleared", before.GetCleared(), after.GetCleared())
	add("Refunded", before.GetRefunded(), after.GetRefunded())
	add("Reversed", before.GetReversed(), after.GetReversed())
	add("Expired", before.GetExpired(), after.GetExpired())
	add("Paid", before.GetPaid(), after.GetPaid())
	add("Returned", before.GetReturned(), after.GetReturned())
	add("Withheld", before.GetWithheld(), after.GetWithheld())
	if len(changes) == 0 {
		changes = append(changes, textChange("Outcome", "", label(after.GetAuthorizationOutcome())))
	}
	return changes
}

// checksView puts the checks that an event recorded into words.
func (c *Console) checksView(event *eventsv1.LedgerEvent) *checksView {
	decision := event.GetDecision()
	v := &checksView{Rules: decision.GetRulesProfile() + " of " + decision.GetRulesVersion()}
	for _, record := range decision.GetChecks() {
		v.Checks = append(v.Checks, c.wordsOfCheck(checkOfRecord(record), event.GetBalances().GetCurrencyCode()))
	}
	return v
}

// checkOfRecord is a stored check as GetTransaction tells it.
func checkOfRecord(record *eventsv1.CheckRecord) *transactionsv1.Check {
	check := &transactionsv1.Check{Check: record.GetKind(), Passed: !record.GetFailed(), DeclineReason: record.GetDeclineReason(),
		Seen: strconv.FormatInt(record.GetSeen(), 10), Bound: strconv.FormatInt(record.GetBound(), 10)}
	switch {
	case record.GetKind() == typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE:
		check.Seen, check.Bound = enumName(typev1.AccountState(record.GetSeen())), enumName(typev1.AccountState(record.GetBound()))
	case record.GetKind() == typev1.CheckKind_CHECK_KIND_CARD_STATE:
		check.Seen, check.Bound = enumName(typev1.CardState(record.GetSeen())), enumName(typev1.CardState(record.GetBound()))
	case record.GetSeen() == 0 && record.GetBound() == 0:
		check.Seen, check.Bound = record.GetSeenCode(), record.GetBoundCode()
	}
	return check
}

// storedText is an event as it is stored, as indented JSON.
func storedText(event *eventsv1.LedgerEvent) string {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(event)
	if err != nil {
		return ""
	}
	var indented bytes.Buffer // protojson puts spaces where it likes
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return string(text)
	}
	return indented.String()
}
