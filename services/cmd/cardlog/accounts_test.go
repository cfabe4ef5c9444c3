package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/vault"
)

func TestAccountsAndCards(t *testing.T) {
	t.Parallel()
	shared, _ := startBank(t, testConfig(t))
	for what, holds := range map[string]func(*testing.T, *bank){
		"an account opened under an id of the caller's is opened once":        accountIsOpenedOnce,
		"an account opened without an id is opened once per request":          accountIsOpenedOncePerRequest,
		"a changed limit counts at once":                                      limitCounts,
		"the holder's details change one by one":                              holderChangesOneByOne,
		"two people who change different details both succeed":                holderChangesBothSurvive,
		"a state of the account decides purchases until it is closed":         accountStateDecides,
		"a card's number is shown once":                                       numberIsShownOnce,
		"a card id belongs to one account":                                    cardIDBelongsToOneAccount,
		"a state of the card decides purchases until it is closed":            cardStateDecides,
		"a replaced card stops and its successor works":                       replacementWorks,
		"a lost card that is replaced stays lost":                             lostCardStaysLost,
		"spending controls are set at once and go on with the next card":      controlsGoOn,
		"a change that was made on old knowledge is refused":                  oldKnowledgeIsRefused,
		"a change that is repeated with its request id is made once":          changesAreMadeOnce,
		"accounts are listed in the order of their ids":                       listIsInOrder,
		"an account remembers all it went through, and its times and numbers": accountKeepsItsHistory,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			holds(t, shared.in(t))
		})
	}
}

// someHolder is a person with all details.
func someHolder(name string) *accountsv1.Holder {
	return &accountsv1.Holder{FullName: name, PhoneNumber: "+44 20 7946 0123", Email: "post@example.org",
		Address: &accountsv1.Address{Street: "1 Long Lane", PostalCode: "EC1A 9HF", CountryCode: "GB"}}
}

func accountIsOpenedOnce(t *testing.T, b *bank) {
	request := &accountsv1.OpenAccountRequest{AccountId: "once", Holder: someHolder("Olive Once"), CreditLimit: pounds(50_000)}
	first := must(b.OpenAccount(t.Context(), request))(t)
	opened := first.GetAccount()
	if first.GetDuplicate() || opened.GetAccountId() != "once" || opened.GetState() != typev1.AccountState_ACCOUNT_STATE_OPEN ||
		opened.GetRulesProfile() != "default" || opened.GetSequence() != first.GetSequence() ||
		!proto.Equal(opened.GetHolder(), request.GetHolder()) || !proto.Equal(opened.GetCreditLimit(), request.GetCreditLimit()) {
		t.Errorf("opened as %v", first)
	}
	again := must(b.OpenAccount(t.Context(), request))(t)
	if !again.GetDuplicate() || again.GetSequence() != first.GetSequence() || !proto.Equal(again.GetAccount(), opened) {
		t.Errorf("the second time it is %v", again)
	}
	request.CreditLimit = pounds(50_001)
	_, err := b.OpenAccount(t.Context(), request)
	wantError(t, err, codes.AlreadyExists, "ID_REUSED")
	request.CreditLimit, request.Holder = pounds(50_000), someHolder("Oliver Once")
	_, err = b.OpenAccount(t.Context(), request)
	wantError(t, err, codes.AlreadyExists, "ID_REUSED")
	if now := b.account("once"); !proto.Equal(now, opened) {
		t.Errorf("it is now %v", now)
	}
}

func accountIsOpenedOncePerRequest(t *testing.T, b *bank) {
	request := &accountsv1.OpenAccountRequest{RequestId: "web-form-1", Holder: someHolder("Anna Nym"), CreditLimit: pounds(50_000)}
	first := must(b.OpenAccount(t.Context(), request))(t)
	again := must(b.OpenAccount(t.Context(), request))(t)
	if first.GetDuplicate() || first.GetAccount().GetAccountId() == "" || !again.GetDuplicate() || !proto.Equal(first.GetAccount(), again.GetAccount()) {
		t.Errorf("opened %v, then %v", first, again)
	}
	request.CreditLimit = pounds(1)
	_, err := b.OpenAccount(t.Context(), request)
	wantError(t, err, codes.AlreadyExists, "ID_REUSED")
	request.RequestId = ""
	one, other := must(b.OpenAccount(t.Context(), request))(t), must(b.OpenAccount(t.Context(), request))(t)
	if one.GetAccount().GetAccountId() == other.GetAccount().GetAccountId() || other.GetDuplicate() {
		t.Errorf("two requests without any id opened %v and %v", one, other)
	}
}

func limitCounts(t *testing.T, b *bank) {
	b.open("limit", 10_000)
	limit := &accountsv1.UpdateCreditLimitRequest{AccountId: "limit", CreditLimit: pounds(25_000)}
	if changed := must(b.UpdateCreditLimit(t.Context(), limit))(t); changed.GetAccount().GetCreditLimit().GetMinorUnits() != 25_000 {
		t.Errorf("changed to %v", changed)
	}
	b.wantBalances("limit", 0, 0, 25_000)
	b.wantAnswer("limit", "sofa", 20_000, "APPROVED 00")
	limit.CreditLimit = pounds(5_000) // below what is held
	must(b.UpdateCreditLimit(t.Context(), limit))(t)
	b.wantBalances("limit", 0, 20_000, -15_000)
	b.wantAnswer("limit", "cushion", 1, "DECLINED 51 INSUFFICIENT_CREDIT")
	limit.CreditLimit = &typev1.Money{CurrencyCode: "EUR", MinorUnits: 5_000}
	_, err := b.UpdateCreditLimit(t.Context(), limit)
	wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	limit.AccountId = "nobody"
	_, err = b.UpdateCreditLimit(t.Context(), limit)
	wantError(t, err, codes.NotFound, "ACCOUNT_NOT_FOUND")
}

func holderChangesOneByOne(t *testing.T, b *bank) {
	holder := someHolder("Hannah Moves")
	must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "moves", Holder: holder, CreditLimit: pounds(1)}))(t)
	for _, step := range []struct {
		paths  []string
		given  *accountsv1.Holder
		change func()
	}{
		{[]string{"full_name"}, &accountsv1.Holder{FullName: "Hannah Moved", Email: "ignored@example.org"}, func() { holder.FullName = "Hannah Moved" }},
		{[]string{"address.street", "address.postal_code"}, &accountsv1.Holder{Address: &accountsv1.Address{Street: "2 Short Street", PostalCode: "N1 9GU", CountryCode: "FR"}},
			func() { holder.Address.Street, holder.Address.PostalCode = "2 Short Street", "N1 9GU" }},
		{[]string{"phone_number", "email"}, &accountsv1.Holder{Email: "hannah@example.org"}, func() { holder.PhoneNumber, holder.Email = "", "hannah@example.org" }},
		{[]string{"address"}, &accountsv1.Holder{Address: &accountsv1.Address{CountryCode: "FR"}}, func() { holder.Address = &accountsv1.Address{CountryCode: "FR"} }},
		{[]string{"address.country_code"}, &accountsv1.Holder{Address: &accountsv1.Address{CountryCode: "GB"}}, func() { holder.Address.CountryCode = "GB" }},
	} {
		step.change()
		changed := must(b.UpdateHolder(t.Context(), &accountsv1.UpdateHolderRequest{AccountId: "moves", Holder: step.given, UpdateMask: &fieldmaskpb.FieldMask{Paths: step.paths}}))(t)
		if !proto.Equal(changed.GetAccount().GetHolder(), holder) || !proto.Equal(b.account("moves"), changed.GetAccount()) {
			t.Errorf("after %v the holder is %v, want %v", step.paths, changed.GetAccount().GetHolder(), holder)
		}
	}
	for _, paths := range [][]string{{"shoe_size"}, {"*"}, {"full_name", "Email"}, {}} {
		_, err := b.UpdateHolder(t.Context(), &accountsv1.UpdateHolderRequest{AccountId: "moves", Holder: someHolder("Nobody"), UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
	}
	if now := b.account("moves").GetHolder(); !proto.Equal(now, holder) {
		t.Errorf("after refused changes the holder is %v", now)
	}
}

func holderChangesBothSurvive(t *testing.T, b *bank) {
	const rounds = 10
	must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "couple", Holder: someHolder("Chris Couple"), CreditLimit: pounds(1)}))(t)
	for round := range rounds {
		name, phone, street := fmt.Sprint("Chris ", round), fmt.Sprint("+44 ", round), fmt.Sprint(round, " Long Lane")
		var people sync.WaitGroup
		for path, given := range map[string]*accountsv1.Holder{
			"full_name": {FullName: name}, "phone_number": {PhoneNumber: phone}, "address.street": {Address: &accountsv1.Address{Street: street}},
		} {
			people.Go(func() {
				_, err := b.UpdateHolder(t.Context(), &accountsv1.UpdateHolderRequest{AccountId: "couple", Holder: given, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}}})
				if err != nil {
					t.Errorf("%s: %v", path, err)
				}
			})
		}
		people.Wait()
		if now := b.account("couple").GetHolder(); now.GetFullName() != name || now.GetPhoneNumber() != phone || now.GetAddress().GetStreet() != street {
			t.Fatalf("round %d: the holder is %v", round, now)
		}
	}
}

func accountStateDecides(t *testing.T, b *bank) {
	b.open("states", 10_000)
	for i, step := range []struct {
		state typev1.AccountState
		want  string
	}{
		{typev1.AccountState_ACCOUNT_STATE_SUSPENDED, "DECLINED 62 ACCOUNT_SUSPENDED"},
		{typev1.AccountState_ACCOUNT_STATE_OPEN, "APPROVED 00"},
		{typev1.AccountState_ACCOUNT_STATE_CHARGED_OFF, "DECLINED 62 ACCOUNT_CHARGED_OFF"},
		{typev1.AccountState_ACCOUNT_STATE_CLOSED, "DECLINED 46 ACCOUNT_CLOSED"},
	} {
		changed := must(b.SetAccountState(t.Context(), &accountsv1.SetAccountStateRequest{AccountId: "states", State: step.state, Reason: "as the table says"}))(t)
		if changed.GetAccount().GetState() != step.state {
			t.Errorf("asked for %v: %v", step.state, changed)
		}
		b.wantAnswer("states", fmt.Sprint("purchase-", i), 100, step.want)
	}
	for _, state := range []typev1.AccountState{typev1.AccountState_ACCOUNT_STATE_OPEN, typev1.AccountState_ACCOUNT_STATE_CLOSED} {
		_, err := b.SetAccountState(t.Context(), &accountsv1.SetAccountStateRequest{AccountId: "states", State: state})
		wantError(t, err, codes.FailedPrecondition, "ACCOUNT_CLOSED")
	}
	_, err := b.UpdateCreditLimit(t.Context(), &accountsv1.UpdateCreditLimitRequest{AccountId: "states", CreditLimit: pounds(1)})
	wantError(t, err, codes.FailedPrecondition, "ACCOUNT_CLOSED")
	_, err = b.IssueCard(t.Context(), &accountsv1.IssueCardRequest{AccountId: "states"})
	wantError(t, err, codes.FailedPrecondition, "ACCOUNT_CLOSED")
	must(b.present(t.Context(), "states", "purchase-1", "claim", 100))(t) // a fact is posted in any state
	must(b.refund(t.Context(), "states", "purchase-1", "regret", 40))(t)
	b.wantBalances("states", 60, 0, 9_940)
}

func numberIsShownOnce(t *testing.T, b *bank) {
	must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "issued", Holder: someHolder("Ian Issued"), CreditLimit: pounds(10_000)}))(t)
	for name, request := range map[string]*accountsv1.IssueCardRequest{
		"with a card id":    {AccountId: "issued", CardId: "issued-card", Activate: true},
		"with a request id": {AccountId: "issued", RequestId: "counter-7", Activate: true},
	} {
		first := must(b.IssueCard(t.Context(), request))(t)
		number, card := first.GetCardNumber(), first.GetCard()
		if len(number) != 16 || !strings.HasPrefix(number, defaultBIN) || !vault.LuhnValid(number) || !strings.HasSuffix(number, card.GetLastFour()) || len(card.GetLastFour()) != 4 {
			t.Errorf("%s: the number is %s of card %v", name, number, card)
		}
		expiry := time.Now().UTC().AddDate(4, 0, 0)
		if card.GetState() != typev1.CardState_CARD_STATE_ACTIVE || card.GetExpiryYear() != int32(expiry.Year()) || card.GetExpiryMonth() < 1 || card.GetExpiryMonth() > 12 {
			t.Errorf("%s: the card is %v", name, card)
		}
		again := must(b.IssueCard(t.Context(), request))(t)
		if !again.GetDuplicate() || again.GetCardNumber() != "" || again.GetSequence() != first.GetSequence() || !proto.Equal(again.GetCard(), card) {
			t.Errorf("%s: the second time it is %v", name, again)
		}
		request.Activate = false
		_, err := b.IssueCard(t.Context(), request)
		wantError(t, err, codes.AlreadyExists, "ID_REUSED")
	}
	if cards := b.account("issued").GetCards(); len(cards) != 2 {
		t.Errorf("the account has %d cards: %v", len(cards), cards)
	}
	_, err := b.IssueCard(t.Context(), &accountsv1.IssueCardRequest{AccountId: "nobody"})
	wantError(t, err, codes.NotFound, "ACCOUNT_NOT_FOUND")
}

func cardIDBelongsToOneAccount(t *testing.T, b *bank) {
	b.open("owner", 100)
	must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "other", Holder: someHolder("Otto Other"), CreditLimit: pounds(100)}))(t)
	_, err := b.IssueCard(t.Context(), &accountsv1.IssueCardRequest{AccountId: "other", CardId: "owner-card", Activate: true})
	wantError(t, err, codes.AlreadyExists, "CARD_EXISTS")
	_, err = b.ReplaceCard(t.Context(), &accountsv1.ReplaceCardRequest{AccountId: "owner", CardId: "owner-card", NewCardId: "owner-card"})
	wantError(t, err, codes.AlreadyExists, "CARD_EXISTS")
	_, err = b.SetCardState(t.Context(), &accountsv1.SetCardStateRequest{AccountId: "other", CardId: "owner-card", State: typev1.CardState_CARD_STATE_CLOSED})
	wantError(t, err, codes.NotFound, "CARD_NOT_FOUND")
	if cards := b.account("other").GetCards(); len(cards) != 0 {
		t.Errorf("the other account has %v", cards)
	}
	b.wantAnswer("owner", "still-works", 100, "APPROVED 00")
}

func cardStateDecides(t *testing.T, b *bank) {
	b.open("plastic", 10_000)
	for i, step := range []struct {
		state typev1.CardState
		want  string
	}{
		{typev1.CardState_CARD_STATE_INACTIVE, "DECLINED 78 CARD_NOT_ACTIVATED"},
		{typev1.CardState_CARD_STATE_ACTIVE, "APPROVED 00"},
		{typev1.CardState_CARD_STATE_PAUSED, "DECLINED 62 CARD_PAUSED"},
		{typev1.CardState_CARD_STATE_LOST, "DECLINED 41 CARD_LOST"},
		{typev1.CardState_CARD_STATE_STOLEN, "DECLINED 43 CARD_STOLEN"},
		{typev1.CardState_CARD_STATE_ACTIVE, "APPROVED 00"},
		{typev1.CardState_CARD_STATE_CLOSED, "DECLINED 14 CARD_CLOSED"},
	} {
		changed := b.setCard("plastic", step.state)
		if changed.GetCard().GetState() != step.state || changed.GetCard().GetCardId() != "plastic-card" {
			t.Errorf("asked for %v: %v", step.state, changed)
		}
		b.wantAnswer("plastic", fmt.Sprint("purchase-", i), 100, step.want)
	}
	_, err := b.SetCardState(t.Context(), &accountsv1.SetCardStateRequest{AccountId: "plastic", CardId: "plastic-card", State: typev1.CardState_CARD_STATE_ACTIVE})
	wantError(t, err, codes.FailedPrecondition, "CARD_CLOSED")
	_, err = b.SetCardState(t.Context(), &accountsv1.SetCardStateRequest{AccountId: "plastic", CardId: "no-such-card", State: typev1.CardState_CARD_STATE_ACTIVE})
	wantError(t, err, codes.NotFound, "CARD_NOT_FOUND")
}

func replacementWorks(t *testing.T, b *bank) {
	oldNumber := b.open("replaced", 10_000)
	request := &accountsv1.ReplaceCardRequest{AccountId: "replaced", CardId: "replaced-card", NewCardId: "replaced-card-2", Reason: "worn out"}
	first := must(b.ReplaceCard(t.Context(), request))(t)
	number := first.GetCardNumber()
	if number == oldNumber || !vault.LuhnValid(number) || first.GetCard().GetReplacesCardId() != "replaced-card" || first.GetCard().GetState() != typev1.CardState_CARD_STATE_ACTIVE {
		t.Errorf("replaced by %v", first)
	}
	again := must(b.ReplaceCard(t.Context(), request))(t)
	if !again.GetDuplicate() || again.GetCardNumber() != "" || !proto.Equal(again.GetCard(), first.GetCard()) {
		t.Errorf("the second time it is %v", again)
	}
	for cardNumber, want := range map[string]string{oldNumber: "DECLINED 14 CARD_CLOSED", number: "APPROVED 00"} {
		answer := must(b.Authorize(t.Context(), &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardNumber{CardNumber: cardNumber},
			TransactionId: "with-" + cardNumber[12:], Amount: pounds(100), Merchant: shop()}))(t)
		if got := decisionWords(answer.GetDecision()); got != want {
			t.Errorf("by number: %s, want %s", got, want)
		}
	}
	request.NewCardId = "replaced-card-3"
	_, err := b.ReplaceCard(t.Context(), request)
	wantError(t, err, codes.FailedPrecondition, "CARD_CLOSED")
	byRequest := must(b.ReplaceCard(t.Context(), &accountsv1.ReplaceCardRequest{AccountId: "replaced", CardId: "replaced-card-2", RequestId: "counter-8"}))(t)
	cards := b.account("replaced").GetCards()
	if len(cards) != 3 || cards[2].GetCardId() != byRequest.GetCard().GetCardId() || cards[1].GetState() != typev1.CardState_CARD_STATE_CLOSED {
		t.Errorf("the cards are %v", cards)
	}
}

func lostCardStaysLost(t *testing.T, b *bank) {
	b.open("loser", 10_000)
	b.setCard("loser", typev1.CardState_CARD_STATE_LOST)
	must(b.ReplaceCard(t.Context(), &accountsv1.ReplaceCardRequest{AccountId: "loser", CardId: "loser-card", NewCardId: "loser-card-2"}))(t)
	b.wantAnswer("loser", "with-the-lost-card", 100, "DECLINED 41 CARD_LOST")
	_, err := b.ReplaceCard(t.Context(), &accountsv1.ReplaceCardRequest{AccountId: "loser", CardId: "loser-card", NewCardId: "loser-card-3"})
	wantError(t, err, codes.FailedPrecondition, "CARD_REPLACED")
}

func controlsGoOn(t *testing.T, b *bank) {
	b.open("careful", 10_000)
	ofCard := &typev1.SpendingControls{MaxAmount: pounds(2_000), BlockedMccs: []string{"7995", "7994"}, AllowedCountries: []string{"GB", "IE"}, LockToFirstMerchant: true,
		Limits: []*typev1.SpendingLimit{{Period: &typev1.SpendingLimit_Window{Window: typev1.Window_WINDOW_WEEK}, MaxAmount: pounds(5_000)},
			{Period: &typev1.SpendingLimit_TrailingHours{TrailingHours: 24}, MaxCount: 5}}}
	ofAccount := &typev1.SpendingControls{LockedMerchantId: "shop-1"}
	request := &accountsv1.SetSpendingControlsRequest{AccountId: "careful", CardId: "careful-card", Controls: ofCard, RequestId: "web-1"}
	first := must(b.SetSpendingControls(t.Context(), request))(t)
	if set := first.GetAccount().GetCards()[0].GetControls(); first.GetDuplicate() || !proto.Equal(set, ofCard) || first.GetAccount().GetControls() != nil {
		t.Errorf("set %v", first)
	}
	must(b.SetSpendingControls(t.Context(), &accountsv1.SetSpendingControlsRequest{AccountId: "careful", Controls: ofAccount}))(t)
	replaced := must(b.ReplaceCard(t.Context(), &accountsv1.ReplaceCardRequest{AccountId: "careful", CardId: "careful-card", NewCardId: "careful-card-2"}))(t)
	if now := b.account("careful"); !proto.Equal(replaced.GetCard().GetControls(), ofCard) || !proto.Equal(now.GetCards()[1], replaced.GetCard()) || !proto.Equal(now.GetControls(), ofAccount) {
		t.Errorf("replaced by %v, the account is %v", replaced.GetCard(), now)
	}
	again := must(b.SetSpendingControls(t.Context(), request))(t)
	if !again.GetDuplicate() || again.GetSequence() != first.GetSequence() || !proto.Equal(again.GetAccount(), first.GetAccount()) {
		t.Errorf("the second time it is %v", again)
	}
	off := must(b.SetSpendingControls(t.Context(), &accountsv1.SetSpendingControlsRequest{AccountId: "careful", CardId: "careful-card-2", Controls: &typev1.SpendingControls{}}))(t)
	if card := off.GetAccount().GetCards()[1]; card.GetControls() != nil {
		t.Errorf("controls of nothing are kept as %v", card)
	}
	request.RequestId = "web-2"
	_, err := b.SetSpendingControls(t.Context(), request)
	wantError(t, err, codes.FailedPrecondition, "CARD_CLOSED")
	must(b.SetAccountState(t.Context(), &accountsv1.SetAccountStateRequest{AccountId: "careful", State: typev1.AccountState_ACCOUNT_STATE_CLOSED}))(t)
	_, err = b.SetSpendingControls(t.Context(), &accountsv1.SetSpendingControlsRequest{AccountId: "careful"})
	wantError(t, err, codes.FailedPrecondition, "ACCOUNT_CLOSED")
}

// accountWrite is a write as all of them look to a test: expect sets its expected_sequence, send sends it.
type accountWrite struct {
	expect func(sequence uint64)
	send   func() (sequence uint64, duplicate bool, err error)
}

// accountWrites are all writes to an existing account, each under a request id.
func accountWrites(ctx context.Context, b *bank, account string) map[string]accountWrite {
	limit := &accountsv1.UpdateCreditLimitRequest{AccountId: account, CreditLimit: pounds(777), RequestId: "same"}
	holder := &accountsv1.UpdateHolderRequest{AccountId: account, Holder: someHolder("New Name"), UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"full_name"}}, RequestId: "same"}
	state := &accountsv1.SetAccountStateRequest{AccountId: account, State: typev1.AccountState_ACCOUNT_STATE_SUSPENDED, RequestId: "same"}
	issue := &accountsv1.IssueCardRequest{AccountId: account, RequestId: "same-1"}
	card := &accountsv1.SetCardStateRequest{AccountId: account, CardId: account + "-card", State: typev1.CardState_CARD_STATE_PAUSED, RequestId: "same"}
	controls := &accountsv1.SetSpendingControlsRequest{AccountId: account, CardId: account + "-card", Controls: &typev1.SpendingControls{MaxAmount: pounds(50)}, RequestId: "same"}
	replace := &accountsv1.ReplaceCardRequest{AccountId: account, CardId: account + "-card", RequestId: "same-2"}
	return map[string]accountWrite{
		"UpdateCreditLimit": {func(s uint64) { limit.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.UpdateCreditLimit(ctx, limit)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
		"UpdateHolder": {func(s uint64) { holder.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.UpdateHolder(ctx, holder)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
		"SetAccountState": {func(s uint64) { state.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.SetAccountState(ctx, state)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
		"IssueCard": {func(s uint64) { issue.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.IssueCard(ctx, issue)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
		"SetCardState": {func(s uint64) { card.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.SetCardState(ctx, card)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
		"SetSpendingControls": {func(s uint64) { controls.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.SetSpendingControls(ctx, controls)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
		"ReplaceCard": {func(s uint64) { replace.ExpectedSequence = s }, func() (uint64, bool, error) {
			r, err := b.ReplaceCard(ctx, replace)
			return r.GetSequence(), r.GetDuplicate(), err
		}},
	}
}

// accountWriteRPCs names them, in an order in which all can be done to one account.
func accountWriteRPCs() []string {
	return []string{"UpdateCreditLimit", "UpdateHolder", "SetAccountState", "IssueCard", "SetCardState", "SetSpendingControls", "ReplaceCard"}
}

func oldKnowledgeIsRefused(t *testing.T, b *bank) {
	for _, rpc := range accountWriteRPCs() {
		account := "seen-" + rpc
		b.open(account, 100)
		seen := b.account(account)
		write := accountWrites(t.Context(), b, account)[rpc]
		for _, wrong := range []uint64{seen.GetSequence() - 1, seen.GetSequence() + 1} {
			write.expect(wrong)
			_, _, err := write.send()
			wantError(t, err, codes.FailedPrecondition, "SEQUENCE_MISMATCH")
		}
		if now := b.account(account); !proto.Equal(now, seen) {
			t.Errorf("%s: a refused change made it %v", rpc, now)
		}
		write.expect(seen.GetSequence())
		sequence, _, err := write.send()
		if err != nil || sequence <= seen.GetSequence() || b.account(account).GetSequence() != sequence {
			t.Errorf("%s at the right sequence: %d, %v", rpc, sequence, err)
		}
		again, duplicate, err := write.send() // the sequence it expects has passed, by its own doing
		if err != nil || !duplicate || again != sequence {
			t.Errorf("%s repeated: %d, duplicate %v, %v", rpc, again, duplicate, err)
		}
	}
}

func changesAreMadeOnce(t *testing.T, b *bank) {
	b.open("repeats", 100)
	for _, rpc := range accountWriteRPCs() {
		write := accountWrites(t.Context(), b, "repeats")[rpc]
		first, firstDuplicate, err := write.send()
		if err != nil || firstDuplicate {
			t.Fatalf("%s: duplicate %v, %v", rpc, firstDuplicate, err)
		}
		second, duplicate, err := write.send()
		if err != nil || !duplicate || second != first {
			t.Errorf("%s repeated: event %d then %d, duplicate %v, %v", rpc, first, second, duplicate, err)
		}
	}
	if now := b.account("repeats"); len(now.GetCards()) != 3 {
		t.Errorf("it has %d cards", len(now.GetCards()))
	}
}

func listIsInOrder(t *testing.T, b *bank) {
	const accounts = 7
	var opened []string
	for i := range accounts {
		id := fmt.Sprintf("zz-list-%d", (i*3)%accounts) // not in order
		opened = append(opened, id)
		must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: id, Holder: someHolder("Lista"), CreditLimit: pounds(1)}))(t)
	}
	slices.Sort(opened)
	var listed []string
	token := "zz-list" // before all of ours, and behind everybody else's
	for range accounts {
		page := must(b.ListAccounts(t.Context(), &accountsv1.ListAccountsRequest{PageSize: 3, PageToken: token}))(t)
		for _, account := range page.GetAccounts() {
			listed = append(listed, account.GetAccountId())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
		if token != listed[len(listed)-1] {
			t.Errorf("the token is %s, the last id is %s", token, listed[len(listed)-1])
		}
	}
	if !slices.Equal(listed, opened) {
		t.Errorf("listed %v, want %v", listed, opened)
	}
	all := must(b.ListAccounts(t.Context(), &accountsv1.ListAccountsRequest{PageSize: 500, PageToken: "zz-list"}))(t)
	if len(all.GetAccounts()) != accounts || all.GetNextPageToken() != "" {
		t.Errorf("one page lists %d, its token is %q", len(all.GetAccounts()), all.GetNextPageToken())
	}
	if first := all.GetAccounts()[0]; !proto.Equal(first, b.account(opened[0])) || first.GetHolder().GetFullName() != "Lista" {
		t.Errorf("listed as %v", first)
	}
}

func accountKeepsItsHistory(t *testing.T, b *bank) {
	b.open("history", 100)
	opened := b.account("history")
	changed := b.setCard("history", typev1.CardState_CARD_STATE_PAUSED)
	now := b.account("history")
	if !proto.Equal(now.GetOpenedAt(), opened.GetOpenedAt()) || now.GetUpdatedAt().AsTime().Before(opened.GetUpdatedAt().AsTime()) || now.GetSequence() != changed.GetSequence() {
		t.Errorf("it was %v, it is %v", opened, now)
	}
	_, err := b.GetAccount(t.Context(), &accountsv1.GetAccountRequest{AccountId: "nobody"})
	wantError(t, err, codes.NotFound, "ACCOUNT_NOT_FOUND")
}

func TestEveryChangeNamesItsActor(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	for i, actor := range []struct{ said, recorded string }{
		{"teller-7", "teller-7"}, {"anna@bank.example", "anna@bank.example"}, {"two words", "127.0.0.1"}, {strings.Repeat("a", 65), "127.0.0.1"}, {"", "127.0.0.1"},
	} {
		ctx := t.Context()
		if actor.said != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "cardlog-actor", actor.said)
		}
		account := fmt.Sprint("acted-", i)
		opened := must(b.OpenAccount(ctx, &accountsv1.OpenAccountRequest{AccountId: account, Holder: someHolder("Actor"), CreditLimit: pounds(1)}))(t)
		issued := must(b.IssueCard(ctx, &accountsv1.IssueCardRequest{AccountId: account, CardId: account + "-card"}))(t)
		sequences := map[string]uint64{"OpenAccount": opened.GetSequence(), "IssueCard with an id": issued.GetSequence()}
		writes := accountWrites(ctx, b, account)
		for _, rpc := range accountWriteRPCs() {
			sequence, _, err := writes[rpc].send()
			if err != nil {
				t.Fatal(rpc, err)
			}
			sequences[rpc] = sequence
		}
		for rpc, sequence := range sequences {
			if stored := p.accountEvent(t, sequence).GetEnvelope().GetActor(); stored != actor.recorded {
				t.Errorf("%s by %q is stored as by %q, want %q", rpc, actor.said, stored, actor.recorded)
			}
		}
	}
}

// accountEvent reads one stored event of ACCOUNTS.
func (p *process) accountEvent(t *testing.T, sequence uint64) *eventsv1.AccountEvent {
	t.Helper()
	event := &eventsv1.AccountEvent{}
	err := p.accounts.Stream().Read(t.Context(), eventlog.Range{After: sequence - 1, Through: sequence}, func(m eventlog.Message) error {
		return proto.Unmarshal(m.Data, event)
	})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func TestNamesAndCardNumbersAreNeitherStoredNorLogged(t *testing.T) {
	t.Parallel()
	logged := &lockedBuffer{}
	c := testConfig(t)
	c.logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b, p := startBank(t, c)
	holder := &accountsv1.Holder{FullName: "Wilhelmina Zapperdockel", PhoneNumber: "+49 30 5550199", Email: "zapperdockel@example.org",
		Address: &accountsv1.Address{Street: "Quittenstrasse 77", PostalCode: "Q7Z-XJ", CountryCode: "DE"}}
	must(b.OpenAccount(t.Context(), &accountsv1.OpenAccountRequest{AccountId: "private", Holder: holder, CreditLimit: pounds(10_000)}))(t)
	must(b.UpdateHolder(t.Context(), &accountsv1.UpdateHolderRequest{AccountId: "private", RequestId: "same", Holder: &accountsv1.Holder{FullName: "Wilhelmina Neubauer"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"full_name"}}}))(t)
	number := must(b.IssueCard(t.Context(), &accountsv1.IssueCardRequest{AccountId: "private", CardId: "private-card", Activate: true}))(t).GetCardNumber()
	replaced := must(b.ReplaceCard(t.Context(), &accountsv1.ReplaceCardRequest{AccountId: "private", CardId: "private-card"}))(t).GetCardNumber()
	foreign, malformed := "4999990000000011", number+"0000"
	for _, cardNumber := range []string{number, replaced, foreign, malformed} {
		useEverywhere(t.Context(), b, cardNumber)
	}
	p.stop()
	secrets := []string{"Wilhelmina", "Zapperdockel", "Neubauer", "5550199", "zapperdockel@", "Quittenstrasse", "Q7Z-XJ", number, replaced, foreign}
	for _, secret := range secrets {
		for _, file := range filesWith(t, string(c.dir), secret) {
			t.Errorf("%s is stored in %s", secret, file)
		}
		if strings.Contains(logged.String(), secret) {
			t.Errorf("%s is logged", secret)
		}
	}
	if !strings.Contains(logged.String(), "recovered") || len(filesWith(t, string(c.dir), "private-card")) == 0 {
		t.Error("the search finds nothing that is there")
	}
}

// useEverywhere sends a card number wherever one can be sent. Some calls fail: what is said about that is the point.
func useEverywhere(ctx context.Context, b *bank, number string) {
	_, _ = b.Authorize(ctx, &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardNumber{CardNumber: number},
		TransactionId: "coffee-" + number[len(number)-3:], Amount: pounds(300), Merchant: shop()})
	_, _ = b.Present(ctx, &transactionsv1.PresentRequest{Account: &transactionsv1.PresentRequest_CardNumber{CardNumber: number}, PresentmentId: "claim", Amount: pounds(300)})
	_, _ = b.Refund(ctx, &transactionsv1.RefundRequest{Account: &transactionsv1.RefundRequest_CardNumber{CardNumber: number}, RefundId: "refund", Amount: pounds(300)})
	_, _ = b.ReverseAuthorization(ctx, &transactionsv1.ReverseAuthorizationRequest{Account: &transactionsv1.ReverseAuthorizationRequest_CardNumber{CardNumber: number},
		TransactionId: "tea", ReversalId: "reversal"})
	_, _ = b.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_CardNumber{CardNumber: number}})
	_, _ = b.GetTransaction(ctx, &transactionsv1.GetTransactionRequest{Account: &transactionsv1.GetTransactionRequest_CardNumber{CardNumber: number}, TransactionId: "tea"})
	_, _ = b.ListTransactions(ctx, &transactionsv1.ListTransactionsRequest{Account: &transactionsv1.ListTransactionsRequest_CardNumber{CardNumber: number}})
}

// filesWith names the files below a directory that contain a text.
func filesWith(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(os.DirFS(dir), path)
		if bytes.Contains(content, []byte(text)) || strings.Contains(path, text) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write is for package slog.
func (b *lockedBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(line)
}

// String is all that was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// account reads an account.
func (b *bank) account(id string) *accountsv1.Account {
	b.t.Helper()
	return must(b.GetAccount(b.t.Context(), &accountsv1.GetAccountRequest{AccountId: id}))(b.t).GetAccount()
}

// setCard sets the state of an account's card.
func (b *bank) setCard(account string, state typev1.CardState) *accountsv1.SetCardStateResponse {
	b.t.Helper()
	return must(b.SetCardState(b.t.Context(), &accountsv1.SetCardStateRequest{AccountId: account, CardId: account + "-card", State: state}))(b.t)
}

// wantAnswer asks for a purchase with an account's card and fails the test when the answer is another.
func (b *bank) wantAnswer(account, transaction string, pence int64, want string) {
	b.t.Helper()
	if got := decisionWords(must(b.authorize(b.t.Context(), account, transaction, pence))(b.t)); got != want {
		b.t.Errorf("%s: purchase %s of %d: %s, want %s", account, transaction, pence, got, want)
	}
}
