package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// soundRequests has a request that succeeds for each rpc. Sent in the order of soundWrites they tell Alice's story; all ids that may be the same are the same.
func soundRequests() map[string]string {
	return map[string]string{
		"OpenAccount": `account_id: "alice" credit_limit {currency_code: "GBP" minor_units: 100000}
			holder {full_name: "Alice Able" address {street: "1 Long Lane" postal_code: "EC1A 9HF" country_code: "GB"} phone_number: "+44 20 7946 0123" email: "alice@example.org"}`,
		"IssueCard":         `account_id: "alice" card_id: "alice-card" activate: true`,
		"ReplaceCard":       `account_id: "alice" card_id: "alice-card" new_card_id: "alice-card-2" reason: "worn out"`,
		"SetCardState":      `account_id: "alice" card_id: "alice-card-2" state: CARD_STATE_ACTIVE reason: "arrived" request_id: "same"`,
		"SetAccountState":   `account_id: "alice" state: ACCOUNT_STATE_OPEN reason: "checked" request_id: "same"`,
		"UpdateCreditLimit": `account_id: "alice" credit_limit {currency_code: "GBP" minor_units: 200000} request_id: "same"`,
		"SetSpendingControls": `account_id: "alice" card_id: "alice-card-2" request_id: "same" controls {max_amount {currency_code: "GBP" minor_units: 50000} blocked_mccs: "7995"
			limits {window: WINDOW_DAY max_count: 20} limits {trailing_hours: 48 max_amount {currency_code: "GBP" minor_units: 90000}}}`,
		"UpdateHolder": `account_id: "alice" holder {full_name: "Alice Abel"} update_mask {paths: "full_name"} request_id: "same"`,
		"Authorize": `card_id: "alice-card-2" transaction_id: "same" amount {currency_code: "GBP" minor_units: 10000} entry_mode: ENTRY_MODE_CHIP
			merchant {name: "Corner shop" merchant_id: "shop-1" mcc: "5411" country_code: "GB" postal_code: "N1 9GU"}
			network {network: "visa" acquirer_id: "476173" stan: "000123" rrn: "606010000123" transmitted_at {seconds: 4000000000}}`,
		"ReverseAuthorization": `card_id: "alice-card-2" transaction_id: "same" reversal_id: "same" amount {currency_code: "GBP" minor_units: 1000}`,
		"Present": `card_id: "alice-card-2" transaction_id: "same" presentment_id: "same" amount {currency_code: "GBP" minor_units: 5000}
			more_to_come: true presented_at {seconds: 1770000000} merchant {name: "Corner shop"}`,
		"Refund":           `card_id: "alice-card-2" transaction_id: "same" refund_id: "same" amount {currency_code: "GBP" minor_units: 2000} merchant {name: "Corner shop"}`,
		"GetAccount":       `account_id: "alice"`,
		"ListAccounts":     `page_size: 10 page_token: "a"`,
		"GetBalance":       `account_id: "alice"`,
		"ListTransactions": `account_id: "alice" page_size: 10`,
		"GetTransaction":   `account_id: "alice" transaction_id: "same"`,
		"ListEvents":       `account_id: "alice"`,
		"WatchAccount":     `account_id: "alice" after_sequence: 0`,
	}
}

// soundWrites are the rpcs that write, in the order in which the sound requests make sense.
func soundWrites() []string {
	return []string{"OpenAccount", "IssueCard", "ReplaceCard", "SetCardState", "SetAccountState", "UpdateCreditLimit", "UpdateHolder", "SetSpendingControls",
		"Authorize", "ReverseAuthorization", "Present", "Refund"}
}

// aNumber is a card number that nobody has.
const aNumber = "4999990000000011"

func TestBadInput(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	for _, write := range soundWrites() {
		must(b.invoke(t.Context(), write, changed(t, write, "")))(t)
	}
	b.wantBalances("alice", 3_000, 4_000, 193_000)
	before := p.lastSequences(t)
	t.Run("refused", func(t *testing.T) { testRefusals(t, b) })
	if after := p.lastSequences(t); !maps.Equal(after, before) {
		t.Errorf("refused calls left something in the log: it went from %v to %v", before, after)
	}
	for what, holds := range map[string]func(*testing.T, *bank){
		"a purchase of nothing verifies the card":           purchaseOfNothing,
		"a purchase in another currency is declined":        purchaseInAnotherCurrency,
		"a fact in another currency is refused":             factInAnotherCurrency,
		"a card that nobody has is declined":                cardThatNobodyHas,
		"amounts that together are too large are refused":   amountsTooLargeTogether,
		"a call that is cancelled counts once":              cancelledCallsCountOnce,
		"the same id on another account is another command": sameIDsOnAnotherAccount,
	} {
		t.Run(what, func(t *testing.T) { holds(t, b.in(t)) })
	}
	b.wantBalances("alice", 3_000, 4_000, 193_000)
	wantSound(t, &logSource{log: p.store.log, recorded: p.store.barrier.Recorded(), close: func() {}})
}

// testRefusals sends calls that must be refused and leave nothing behind.
func testRefusals(t *testing.T, b *bank) {
	for _, row := range slices.Concat(malformedFields(), malformedIDs()) {
		t.Run(row.rpc+": "+row.change, func(t *testing.T) {
			t.Parallel()
			_, err := b.invoke(t.Context(), row.rpc, changed(t, row.rpc, row.change))
			wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
			if fields := blamedFields(err); fields != row.fields {
				t.Errorf("it blames %q, want %q: %v", fields, row.fields, err)
			}
			wantNoNumber(t, err)
		})
	}
	for _, row := range otherContents() {
		t.Run(row.rpc+" repeated with "+row.change, func(t *testing.T) {
			t.Parallel()
			_, err := b.invoke(t.Context(), row.rpc, changed(t, row.rpc, row.change))
			wantError(t, err, codes.AlreadyExists, row.reason)
		})
	}
	for _, row := range unknownThings() {
		t.Run(row.rpc+": "+row.change, func(t *testing.T) {
			t.Parallel()
			_, err := b.invoke(t.Context(), row.rpc, changed(t, row.rpc, row.change))
			wantError(t, err, codes.NotFound, row.reason)
			wantNoNumber(t, err)
		})
	}
	for _, write := range soundWrites() {
		t.Run(write+" repeated", func(t *testing.T) {
			t.Parallel()
			if answer := must(b.invoke(t.Context(), write, changed(t, write, "")))(t); !strings.Contains(prototext.Format(answer), "duplicate:") {
				t.Errorf("it is not marked as a duplicate: %v", answer)
			}
		})
	}
	t.Run("a message over the size limit", func(t *testing.T) {
		t.Parallel()
		_, err := b.invoke(t.Context(), "Authorize", changed(t, "Authorize", fmt.Sprintf(`merchant {name: %q}`, strings.Repeat("x", rpc.MessageBound))))
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("got %v", err)
		}
	})
}

// malformed is a change to a sound request, and the fields that are then to blame.
type malformed struct{ rpc, change, fields string }

// malformedFields are fields that are missing, or have a value that they cannot have. Ids are in malformedIDs.
func malformedFields() []malformed {
	long := strings.Repeat("x", 201)
	rows := []malformed{
		{"OpenAccount", `without holder`, "holder"},
		{"OpenAccount", `holder {address {country_code: "GB"}}`, "holder.full_name"},
		{"OpenAccount", `holder {full_name: "` + long + `"}`, "holder.full_name"},
		{"OpenAccount", `holder {full_name: "A" address {}}`, "holder.address.country_code"},
		{"OpenAccount", `holder {full_name: "A" address {country_code: "gb"}}`, "holder.address.country_code"},
		{"OpenAccount", `holder {full_name: "A" address {country_code: "GB" street: "` + long + `"}}`, "holder.address.street"},
		{"OpenAccount", `holder {full_name: "A" address {country_code: "GB" postal_code: "seventeen letters"}}`, "holder.address.postal_code"},
		{"OpenAccount", `holder {full_name: "A" email: "at nowhere"}`, "holder.email"},
		{"OpenAccount", `holder {full_name: "A" phone_number: "` + long + `"}`, "holder.phone_number"},
		{"OpenAccount", `without credit_limit`, "credit_limit"},
		{"OpenAccount", `credit_limit {currency_code: "GBP" minor_units: -1}`, "credit_limit"},
		{"OpenAccount", `account_id: "new" rules_profile: "no-such-profile"`, "rules_profile"},
		{"OpenAccount", `holder {} credit_limit {currency_code: "GBP" minor_units: -1}`, "credit_limit, holder.full_name"},
		{"UpdateCreditLimit", `without credit_limit`, "credit_limit"},
		{"UpdateCreditLimit", `credit_limit {currency_code: "GBP" minor_units: -1} request_id: "new"`, "credit_limit"},
		{"UpdateCreditLimit", `credit_limit {currency_code: "EUR" minor_units: 1} request_id: "new"`, "credit_limit.currency_code"},
		{"UpdateHolder", `without update_mask`, "update_mask"},
		{"UpdateHolder", `update_mask {} request_id: "new"`, "update_mask"},
		{"UpdateHolder", `update_mask {paths: "holder.full_name"} request_id: "new"`, "update_mask"},
		{"UpdateHolder", `update_mask {paths: "full_name" paths: "shoe_size"} request_id: "new"`, "update_mask"},
		{"UpdateHolder", `holder {} request_id: "new"`, "holder.full_name"},
		{"UpdateHolder", `without holder`, "holder.full_name"},
		{"UpdateHolder", `holder {email: "at nowhere"} update_mask {paths: "email"} request_id: "new"`, "holder.email"},
		{"UpdateHolder", `holder {} update_mask {paths: "address"} request_id: "new"`, "holder.address.country_code"},
		{"SetAccountState", `without state`, "state"},
		{"SetAccountState", `state: 99`, "state"},
		{"SetAccountState", `reason: "` + long + `"`, "reason"},
		{"SetCardState", `without state`, "state"},
		{"SetCardState", `state: -1`, "state"},
		{"SetCardState", `reason: "` + long + `"`, "reason"},
		{"ReplaceCard", `reason: "` + long + `"`, "reason"},
		{"ListAccounts", `page_size: -1`, "page_size"},
		{"ListAccounts", `page_size: 501`, "page_size"},
		{"Authorize", `without merchant`, "merchant"},
		{"Authorize", `merchant {name: "` + long + `"}`, "merchant.name"},
		{"Authorize", `merchant {merchant_id: "` + long + `"}`, "merchant.merchant_id"},
		{"Authorize", `merchant {mcc: "541"}`, "merchant.mcc"},
		{"Authorize", `merchant {mcc: "54l1"}`, "merchant.mcc"},
		{"Authorize", `merchant {country_code: "GBR"}`, "merchant.country_code"},
		{"Authorize", `merchant {postal_code: "seventeen letters"}`, "merchant.postal_code"},
		{"Authorize", `network {network: "` + long + `"}`, "network.network"},
		{"Authorize", `network {acquirer_id: "` + long + `"}`, "network.acquirer_id"},
		{"Authorize", `network {stan: "12345"}`, "network.stan"},
		{"Authorize", `network {rrn: "606010000 23"}`, "network.rrn"},
		{"Authorize", `entry_mode: 99`, "entry_mode"},
		{"Present", `merchant {mcc: "5"}`, "merchant.mcc"},
		{"Refund", `merchant {country_code: "xx"}`, "merchant.country_code"},
		{"GetBalance", `as_of_sequence: 0`, "as_of_sequence"},
		{"GetBalance", `as_of_time {seconds: 200000000000}`, "as_of_time"},
		{"ListTransactions", `page_size: -1`, "page_size"},
		{"ListTransactions", `page_size: 501`, "page_size"},
		{"ListTransactions", `page_token: "page two"`, "page_token"},
		{"ListTransactions", `page_token: "99999999999999999999"`, "page_token"},
		// Times that no calendar has.
		{"Authorize", `transaction_id: "new" network {transmitted_at {nanos: -1}}`, "network.transmitted_at"},
		{"Authorize", `transaction_id: "new" network {transmitted_at {seconds: 9223372036854775807}}`, "network.transmitted_at"},
		{"Present", `presentment_id: "new" presented_at {nanos: 1000000000}`, "presented_at"},
		{"Present", `presentment_id: "new" presented_at {seconds: -9223372036854775808}`, "presented_at"},
		{"GetBalance", `as_of_time {nanos: -1}`, "as_of_time"},
		{"GetBalance", `as_of_time {seconds: 9223372036854775807}`, "as_of_time"},
	}
	return slices.Concat(rows, malformedControls(), malformedAmounts())
}

// malformedControls are spending controls that are none, that contradict each other, or that this account cannot have.
func malformedControls() []malformed {
	var rows []malformed
	for _, row := range []struct{ controls, field string }{
		{`max_amount {currency_code: "GBP"}`, "max_amount"},
		{`max_amount {currency_code: "gbp" minor_units: 1}`, "max_amount.currency_code"},
		{`max_amount {currency_code: "EUR" minor_units: 1}`, "max_amount.currency_code"},
		{`limits {max_count: 1}`, "limits[0].period"},
		{`limits {window: WINDOW_UNSPECIFIED max_count: 1}`, "limits[0].window"},
		{`limits {window: 99 max_count: 1}`, "limits[0].window"},
		{`limits {trailing_hours: 0 max_count: 1}`, "limits[0].trailing_hours"},
		{`limits {trailing_hours: 745 max_count: 1}`, "limits[0].trailing_hours"},
		{`limits {window: WINDOW_DAY}`, "limits[0]"},
		{`limits {window: WINDOW_DAY max_count: -1}`, "limits[0], limits[0].max_count"},
		{`limits {window: WINDOW_DAY max_amount {currency_code: "GBP" minor_units: -1}}`, "limits[0].max_amount"},
		{`limits {window: WINDOW_DAY max_count: 1} limits {window: WINDOW_DAY max_amount {currency_code: "EUR" minor_units: 1}}`, "limits[1].max_amount.currency_code"},
		{strings.Repeat(`limits {window: WINDOW_DAY max_count: 1} `, 17), "limits"},
		{`allowed_mccs: "541"`, "allowed_mccs[0]"},
		{`blocked_mccs: ["7995", "7995"]`, "blocked_mccs"},
		{`allowed_countries: "GBR"`, "allowed_countries[0]"},
		{`allowed_countries: ["GB", "QX"]`, "allowed_countries[1]"},
		{`blocked_countries: "UK"`, "blocked_countries[0]"},
		{`locked_merchant_id: "` + strings.Repeat("m", 65) + `"`, "locked_merchant_id"},
		{`locked_merchant_id: "shop-1" lock_to_first_merchant: true`, "lock_to_first_merchant"},
		{`allowed_mccs: ["5411", "5812"] blocked_mccs: ["7995", "5812"]`, "blocked_mccs[1]"},
		{`allowed_countries: "GB" blocked_countries: "GB"`, "blocked_countries[0]"},
	} {
		fields := "controls." + strings.ReplaceAll(row.field, ", ", ", controls.")
		rows = append(rows, malformed{"SetSpendingControls", `request_id: "new" controls {` + row.controls + `}`, fields})
	}
	return rows
}

// malformedAmounts are amounts that are missing, have no sign or the wrong one, do not fit, or are in no currency.
func malformedAmounts() []malformed {
	var rows []malformed
	for _, rpc := range []string{"Authorize", "ReverseAuthorization", "Present", "Refund", "UpdateCreditLimit", "OpenAccount"} {
		field := "amount"
		if rpc == "UpdateCreditLimit" || rpc == "OpenAccount" {
			field = "credit_limit"
		}
		if rpc != "ReverseAuthorization" { // which may leave it out: all that is held
			rows = append(rows, malformed{rpc, "without " + field, field})
		}
		for _, pence := range []int64{math.MaxInt64, 1_000_000_000_000_001} {
			rows = append(rows, malformed{rpc, fmt.Sprintf(`%s {currency_code: "GBP" minor_units: %d}`, field, pence), field + ".minor_units"})
		}
		rows = append(rows,
			malformed{rpc, fmt.Sprintf(`%s {currency_code: "GBP" minor_units: -5}`, field), field},
			malformed{rpc, fmt.Sprintf(`%s {currency_code: "GBP" minor_units: %d}`, field, math.MinInt64), field + ", " + field + ".minor_units"})
		for _, currency := range []string{"", "gbp", "POUND", "£"} {
			rows = append(rows, malformed{rpc, fmt.Sprintf(`%s {currency_code: %q minor_units: 5}`, field, currency), field + ".currency_code"})
		}
	}
	for _, rpc := range []string{"ReverseAuthorization", "Present", "Refund"} {
		rows = append(rows, malformed{rpc, `amount {currency_code: "GBP"}`, "amount"})
	}
	return rows
}

// malformedIDs are, for each rpc, each of its ids missing or with something in it that an id cannot have.
func malformedIDs() []malformed {
	optional := []string{"OpenAccount.account_id", "SetSpendingControls.card_id", "IssueCard.card_id", "ReplaceCard.new_card_id", "Present.transaction_id", "Refund.transaction_id", "ListAccounts.page_token"}
	var rows []malformed
	for _, rpc := range slices.Sorted(maps.Keys(soundRequests())) {
		request := method(rpc).Input()
		if request.Oneofs().ByName("account") != nil {
			rows = append(rows, malformed{rpc, "without account", "account"})
		}
		for i := range request.Fields().Len() {
			field := request.Fields().Get(i)
			name := string(field.Name())
			isID := strings.HasSuffix(name, "_id") || rpc+"."+name == "ListAccounts.page_token"
			switch {
			case name == "card_number":
				for _, number := range []string{"", "4999 9900 0000 0011", "4999-9900-0000-0011", aNumber + "0000", "49999900000", "499999000000001x"} {
					rows = append(rows, malformed{rpc, fmt.Sprintf("card_number: %q", number), "card_number"})
				}
			case isID && !slices.Contains(optional, rpc+"."+name) && name != "request_id" && field.ContainingOneof() == nil:
				rows = append(rows, malformed{rpc, "without " + name, name})
			}
			if !isID {
				continue
			}
			for _, id := range []string{"two words", "dot.ted", "st*r", "ledger.>", "a/b", "tab\t", "ends\n", "naïve", strings.Repeat("a", 65)} {
				rows = append(rows, malformed{rpc, fmt.Sprintf("%s: %q", name, id), name})
			}
		}
	}
	return rows
}

// refusal is a change to a sound request, and the reason with which it is refused.
type refusal struct{ rpc, change, reason string }

// otherContents are sound requests with one thing changed that the id does not cover.
func otherContents() []refusal {
	return []refusal{
		{"OpenAccount", `credit_limit {currency_code: "GBP" minor_units: 100001}`, "ID_REUSED"},
		{"OpenAccount", `credit_limit {currency_code: "EUR" minor_units: 100000}`, "ID_REUSED"},
		{"OpenAccount", `holder {full_name: "Alice Able"}`, "ID_REUSED"},
		{"IssueCard", `without activate`, "ID_REUSED"},
		{"ReplaceCard", `reason: "lost"`, "ID_REUSED"},
		{"ReplaceCard", `card_id: "alice-card-2"`, "ID_REUSED"},
		{"SetCardState", `card_id: "alice-card"`, "ID_REUSED"},
		{"SetCardState", `state: CARD_STATE_STOLEN`, "ID_REUSED"},
		{"SetCardState", `reason: "left"`, "ID_REUSED"},
		{"SetSpendingControls", `without card_id`, "ID_REUSED"},
		{"SetSpendingControls", `without controls`, "ID_REUSED"},
		{"SetSpendingControls", `controls {max_amount {currency_code: "GBP" minor_units: 50000} blocked_mccs: "7995"}`, "ID_REUSED"},
		{"SetAccountState", `state: ACCOUNT_STATE_CLOSED`, "ID_REUSED"},
		{"SetAccountState", `without reason`, "ID_REUSED"},
		{"UpdateCreditLimit", `credit_limit {currency_code: "GBP" minor_units: 1}`, "ID_REUSED"},
		{"UpdateCreditLimit", `credit_limit {currency_code: "EUR" minor_units: 200000}`, "ID_REUSED"},
		{"UpdateHolder", `holder {full_name: "Bob Abel"}`, "ID_REUSED"},
		{"UpdateHolder", `holder {full_name: "Alice Abel" email: "a@example.org"} update_mask {paths: "full_name" paths: "email"}`, "ID_REUSED"},
		{"Authorize", `amount {currency_code: "GBP" minor_units: 10001}`, "ID_REUSED"},
		{"Authorize", `amount {currency_code: "GBP"}`, "ID_REUSED"},
		{"Authorize", `amount {currency_code: "EUR" minor_units: 10000}`, "ID_REUSED"},
		{"Authorize", `account_id: "alice"`, "ID_REUSED"},
		{"Authorize", `card_id: "alice-card"`, "ID_REUSED"},
		{"Authorize", `merchant {name: "Corner shop" merchant_id: "shop-2" mcc: "5411" country_code: "GB" postal_code: "N1 9GU"}`, "ID_REUSED"},
		{"Authorize", `without network`, "ID_REUSED"},
		{"Authorize", `partial_approval_allowed: true`, "ID_REUSED"},
		{"Authorize", `without entry_mode`, "ID_REUSED"},
		{"ReverseAuthorization", `without amount`, "ID_REUSED"},
		{"ReverseAuthorization", `amount {currency_code: "GBP" minor_units: 999}`, "ID_REUSED"},
		{"ReverseAuthorization", `transaction_id: "another"`, "ID_REUSED"},
		{"Present", `amount {currency_code: "GBP" minor_units: 5001}`, "ID_REUSED"},
		{"Present", `amount {currency_code: "EUR" minor_units: 5000}`, "ID_REUSED"},
		{"Present", `transaction_id: "another"`, "ID_REUSED"},
		{"Present", `without transaction_id`, "ID_REUSED"},
		{"Present", `without more_to_come`, "ID_REUSED"},
		{"Present", `without presented_at`, "ID_REUSED"},
		{"Present", `without merchant`, "ID_REUSED"},
		{"Refund", `amount {currency_code: "GBP" minor_units: 1999}`, "ID_REUSED"},
		{"Refund", `transaction_id: "another"`, "ID_REUSED"},
		{"Refund", `account_id: "alice"`, "ID_REUSED"},
		{"Refund", `without merchant`, "ID_REUSED"},
	}
}

// unknownThings are sound requests that name what does not exist.
func unknownThings() []refusal {
	rows := []refusal{
		{"ReverseAuthorization", `reversal_id: "new" transaction_id: "nothing"`, "TRANSACTION_NOT_FOUND"},
		{"GetTransaction", `transaction_id: "nothing"`, "TRANSACTION_NOT_FOUND"},
		{"SetCardState", `card_id: "no-card" request_id: "new"`, "CARD_NOT_FOUND"},
		{"SetSpendingControls", `card_id: "no-card" request_id: "new"`, "CARD_NOT_FOUND"},
		{"ReplaceCard", `card_id: "no-card" new_card_id: "new"`, "CARD_NOT_FOUND"},
		{"GetBalance", `as_of_sequence: 1 account_id: "nobody"`, "ACCOUNT_NOT_FOUND"},
		{"GetBalance", `as_of_time {seconds: 1}`, "NO_EVENTS_YET"},
	}
	for _, rpc := range slices.Sorted(maps.Keys(soundRequests())) {
		request := method(rpc).Input()
		if rpc != "OpenAccount" && request.Fields().ByName("account_id") != nil {
			rows = append(rows, refusal{rpc, `account_id: "nobody"`, "ACCOUNT_NOT_FOUND"})
		}
		if request.Oneofs().ByName("account") != nil && rpc != "Authorize" { // which declines instead
			rows = append(rows, refusal{rpc, `card_id: "no-card"`, "CARD_NOT_FOUND"}, refusal{rpc, `card_number: "` + aNumber + `"`, "CARD_NOT_FOUND"})
		}
	}
	return rows
}

func purchaseOfNothing(t *testing.T, b *bank) {
	b.open("verena", 0)
	b.wantAnswer("verena", "verification", 0, "VERIFIED 85")
	b.wantAnswer("verena", "verification", 0, "VERIFIED 85 duplicate")
	b.setCard("verena", typev1.CardState_CARD_STATE_STOLEN)
	b.wantAnswer("verena", "verification-2", 0, "DECLINED 43 CARD_STOLEN")
	b.wantBalances("verena", 0, 0, 0)
	reversed, err := b.reverse(t.Context(), "verena", "verification", "reversal", 1)
	if got := decisionWords(reversed); err != nil || got != "REJECTED 21 AUTHORIZATION_NOT_OPEN" {
		t.Errorf("a reversed verification is %s, %v", got, err)
	}
}

func purchaseInAnotherCurrency(t *testing.T, b *bank) {
	b.open("eurydice", 10_000)
	request := &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: "eurydice-card"},
		TransactionId: "paris", Amount: &typev1.Money{CurrencyCode: "EUR", MinorUnits: 1}, Merchant: shop()}
	for _, want := range []string{"DECLINED 57 CURRENCY_NOT_SUPPORTED", "DECLINED 57 CURRENCY_NOT_SUPPORTED duplicate"} {
		if got := decisionWords(must(b.Authorize(t.Context(), request))(t).GetDecision()); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	b.wantBalances("eurydice", 0, 0, 10_000)
}

func factInAnotherCurrency(t *testing.T, b *bank) {
	b.open("frank", 10_000)
	b.wantAnswer("frank", "groceries", 1_000, "APPROVED 00")
	const euros = ` amount {currency_code: "EUR" minor_units: 100}`
	for rpc, text := range map[string]string{
		"Present":              `account_id: "frank" presentment_id: "new" transaction_id: "groceries"` + euros,
		"Refund":               `account_id: "frank" refund_id: "new" transaction_id: "groceries"` + euros,
		"ReverseAuthorization": `account_id: "frank" reversal_id: "new" transaction_id: "groceries"` + euros,
	} {
		for range 2 { // it is not remembered either
			_, err := b.invoke(t.Context(), rpc, requestOf(t, rpc, text))
			wantError(t, err, codes.InvalidArgument, "INVALID_FIELD")
			if fields := blamedFields(err); fields != "amount.currency_code" {
				t.Errorf("%s blames %q", rpc, fields)
			}
		}
	}
	b.wantBalances("frank", 0, 1_000, 9_000)
	if events := b.listEvents("frank", 0); len(events) != 3 {
		t.Errorf("%d events are stored, want the opening, the card and the purchase", len(events))
	}
}

func cardThatNobodyHas(t *testing.T, b *bank) {
	for _, card := range []string{`card_id: "no-card"`, `card_number: "` + aNumber + `"`} {
		answer := must(b.invoke(t.Context(), "Authorize", changed(t, "Authorize", card)))(t)
		decision := answer.(*transactionsv1.AuthorizeResponse).GetDecision()
		if got := decisionWords(decision); got != "DECLINED 14 UNKNOWN_CARD" || decision.GetSequence() != 0 {
			t.Errorf("%s: %s, event %d", card, got, decision.GetSequence())
		}
	}
}

// amountsTooLargeTogether posts the largest amount until no more fits, either way.
func amountsTooLargeTogether(t *testing.T, b *bank) {
	const largest = 1_000_000_000_000_000
	const fit = ledger.AmountBound / largest
	b.open("croesus", largest)
	post := func(kind string, times int, send func(i int) error) (posted int64) {
		var done atomic.Int64
		inParallel(16, times, func(i int) {
			switch err := send(i); status.Code(err) {
			case codes.OK:
				done.Add(1)
			default:
				wantError(t, err, codes.FailedPrecondition, "BALANCE_OVERFLOW")
			}
		})
		t.Logf("%d of %d %s posted", done.Load(), times, kind)
		return done.Load()
	}
	claims := post("claims", fit+5, func(i int) error {
		_, err := b.present(t.Context(), "croesus", "", fmt.Sprint("claim-", i), largest)
		return err
	})
	b.wantBalances("croesus", fit*largest, 0, largest-fit*largest)
	refunds := post("refunds", 2*fit+5, func(i int) error {
		_, err := b.refund(t.Context(), "croesus", "", fmt.Sprint("refund-", i), largest)
		return err
	})
	b.wantBalances("croesus", -fit*largest, 0, largest+fit*largest)
	if claims != fit || refunds != 2*fit {
		t.Errorf("%d claims and %d refunds were posted, %d and %d fit", claims, refunds, fit, 2*fit)
	}
	b.wantAnswer("croesus", "palace", largest, "APPROVED 00")
}

// cancelledCallsCountOnce gives up calls before, during and after their time, and repeats them.
func cancelledCallsCountOnce(t *testing.T, b *bank) {
	const purchases = 150
	b.open("hasty", 1_000_000)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.authorize(gone, "hasty", "never-sent", 1); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled before it was sent: %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := b.authorize(late, "hasty", "never-sent", 1); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("sent after its deadline: %v", err)
	}
	var gaveUp atomic.Int64
	inParallel(8, purchases, func(i int) {
		id := fmt.Sprint("purchase-", i)
		if err := b.impatiently(t, "hasty", id); err != nil {
			gaveUp.Add(1)
		}
		answer, err := b.authorize(t.Context(), "hasty", id, 1)
		again, againErr := b.authorize(t.Context(), "hasty", id, 1)
		if err != nil || againErr != nil || !again.GetDuplicate() || again.GetSequence() != answer.GetSequence() || answer.GetResponseCode() != "00" {
			t.Errorf("%s repeated: %v, %v, then %v, %v", id, answer, err, again, againErr)
		}
	})
	t.Logf("%d of %d callers gave up", gaveUp.Load(), purchases)
	b.wantBalances("hasty", 0, purchases, 1_000_000-purchases)
}

// impatiently asks for a purchase and gives up after a moment: by itself, or by its deadline.
func (b *bank) impatiently(t *testing.T, account, id string) error {
	patience := time.Duration(rand.IntN(12_000)) * time.Microsecond
	ctx, cancel := context.WithCancel(t.Context())
	want := codes.Canceled
	if rand.IntN(2) == 0 {
		ctx, cancel = context.WithTimeout(t.Context(), patience)
		want = codes.DeadlineExceeded
	} else {
		time.AfterFunc(patience, cancel)
	}
	defer cancel()
	_, err := b.authorize(ctx, account, id, 1)
	if code := status.Code(err); code != codes.OK && code != want {
		t.Errorf("%s: given up with %v", id, err)
	}
	return err
}

// sameIDsOnAnotherAccount uses Alice's ids for Bob, and one id for commands of each kind.
func sameIDsOnAnotherAccount(t *testing.T, b *bank) {
	b.open("bob", 10_000)
	b.wantAnswer("bob", "same", 4_000, "APPROVED 00")
	for kind, send := range map[string]func() (*transactionsv1.Decision, error){
		"reversal":    func() (*transactionsv1.Decision, error) { return b.reverse(t.Context(), "bob", "same", "same", 1_000) },
		"presentment": func() (*transactionsv1.Decision, error) { return b.present(t.Context(), "bob", "same", "same", 2_000) },
		"refund":      func() (*transactionsv1.Decision, error) { return b.refund(t.Context(), "bob", "same", "same", 500) },
	} {
		if decision, err := send(); err != nil || decision.GetDuplicate() {
			t.Errorf("%s: %v, %v", kind, decision, err)
		}
	}
	posted, _, _ := b.balances("bob")
	if posted != 1_500 {
		t.Errorf("posted is %d", posted)
	}
}

// method finds an rpc of either service.
func method(rpc string) protoreflect.MethodDescriptor {
	for _, file := range []protoreflect.FileDescriptor{accountsv1.File_cardlog_accounts_v1_accounts_proto, transactionsv1.File_cardlog_transactions_v1_transactions_proto} {
		if found := file.Services().Get(0).Methods().ByName(protoreflect.Name(rpc)); found != nil {
			return found
		}
	}
	panic("there is no rpc " + rpc)
}

// requestOf reads the request of an rpc from the text form of protobuf.
func requestOf(t *testing.T, rpc, text string) proto.Message {
	t.Helper()
	request := messageOf(method(rpc).Input())
	if err := prototext.Unmarshal([]byte(text), request); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return request
}

func messageOf(descriptor protoreflect.MessageDescriptor) proto.Message {
	found, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		panic(err)
	}
	return found.New().Interface()
}

// changed is the sound request of an rpc with the given fields instead of its own, or "without" one of them.
func changed(t *testing.T, rpc, change string) proto.Message {
	t.Helper()
	request := requestOf(t, rpc, soundRequests()[rpc]).ProtoReflect()
	name, without := strings.CutPrefix(change, "without ")
	if !without {
		requestOf(t, rpc, change).ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			request.Set(field, value)
			return true
		})
		return request.Interface()
	}
	field := request.Descriptor().Fields().ByName(protoreflect.Name(name))
	if field == nil {
		field = request.WhichOneof(request.Descriptor().Oneofs().ByName(protoreflect.Name(name)))
	}
	request.Clear(field)
	return request.Interface()
}

// invoke sends a request to an rpc and returns its answer, of a stream the first.
func (b *bank) invoke(ctx context.Context, rpc string, request proto.Message) (proto.Message, error) {
	called := method(rpc)
	path, answer := fmt.Sprintf("/%s/%s", called.Parent().FullName(), called.Name()), messageOf(called.Output())
	if !called.IsStreamingServer() {
		return answer, b.connection.Invoke(ctx, path, request, answer)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := b.connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, path)
	if err != nil {
		return nil, err
	}
	return answer, errors.Join(stream.SendMsg(request), stream.CloseSend(), stream.RecvMsg(answer))
}

// blamedFields are the fields of google.rpc.BadRequest, sorted.
func blamedFields(err error) string {
	var fields []string
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range bad.GetFieldViolations() {
				fields = append(fields, violation.GetField())
				if violation.GetDescription() == "" {
					fields = append(fields, "(nothing said)")
				}
			}
		}
	}
	slices.Sort(fields)
	return strings.Join(fields, ", ")
}

// wantNoNumber fails the test when an error repeats a card number that was sent.
func wantNoNumber(t *testing.T, err error) {
	t.Helper()
	said := prototext.Format(status.Convert(err).Proto()) + status.Convert(err).Message()
	for _, number := range []string{aNumber, "4999 9900 0000 0011", "4999-9900-0000-0011", "49999900000", "499999000000001x"} {
		if strings.Contains(said, number) {
			t.Errorf("the card number that was sent is repeated: %s", said)
		}
	}
}

// lastSequences are the last sequences of all streams of facts.
func (p *process) lastSequences(t *testing.T) map[string]uint64 {
	t.Helper()
	last := map[string]uint64{}
	for _, name := range []string{"ACCOUNTS", "LEDGER_00"} {
		stream := must(p.store.log.ReadStream(t.Context(), name))(t)
		last[name] = must(stream.Last(t.Context()))(t)
	}
	return last
}

// inParallel does something a number of times, several at once.
func inParallel(workers, times int, do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < times; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	working.Wait()
}
