package ledger

import (
	"slices"
	"strings"
	"testing"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"approves and holds the amount", `
			authorize t1 45.00         | 00 approved 45.00, held 45.00                | posted 0.00 pending 45.00 available 955.00
			show t1                    | authorized 45.00, held 45.00`},
		{"approves what takes the line exactly to its limit", `
			authorize t1 900.00        |                                              | posted 0.00 pending 900.00 available 100.00
			authorize t2 100.00        | 00 approved 100.00, held 100.00              | posted 0.00 pending 1000.00 available 0.00`},
		{"declines one penny over the limit", `
			authorize t1 900.00
			authorize t2 100.01        | 51 declined, insufficient credit             | posted 0.00 pending 900.00 available 100.00
			show t2                    | nothing`},
		{"declines a purchase larger than the line", `
			authorize t1 1000.01       | 51 declined, insufficient credit             | posted 0.00 pending 0.00 available 1000.00`},
		{"declines an amount beyond all bounds", `
			authorize t1 92233720368547758.07 | 51 declined, insufficient credit      | posted 0.00 pending 0.00 available 1000.00`},
		{"counts what is posted and what is held alike", `
			present p1 300.00
			authorize t1 300.00        |                                              | posted 300.00 pending 300.00 available 400.00
			authorize t2 400.01        | 51 declined, insufficient credit
			authorize t3 400.00        | 00 approved 400.00, held 400.00              | posted 300.00 pending 700.00 available 0.00`},
		{"can spend a credit balance beside the limit", `
			refund f1 30.00            |                                              | posted -30.00 pending 0.00 available 1030.00
			authorize t1 1030.01       | 51 declined, insufficient credit
			authorize t2 1030.00       | 00 approved 1030.00, held 1030.00            | posted -30.00 pending 1030.00 available 0.00`},
		{"declines while more is owed than the limit allows", `
			present p1 1200.00         |                                              | posted 1200.00 pending 0.00 available -200.00
			authorize t1 0.01          | 51 declined, insufficient credit             | posted 1200.00 pending 0.00 available -200.00
			authorize t2 0.01 partial  | 51 declined, insufficient credit`},
		{"declines everything on a line of nothing", `
			open 0.00 GBP
			card c1 active
			authorize t1 0.01          | 51 declined, insufficient credit             | posted 0.00 pending 0.00 available 0.00`},

		{"approves in part for a terminal that takes parts", `
			authorize t1 940.00
			authorize t2 100.00 partial | 10 partially approved 60.00, held 60.00     | posted 0.00 pending 1000.00 available 0.00
			authorize t3 1.00 partial   | 51 declined, insufficient credit
			show t2                     | authorized 60.00, held 60.00`},
		{"approves in full what fits, whether or not parts are taken", `
			authorize t1 1000.00 partial | 00 approved 1000.00, held 1000.00`},
		{"approves no part for want of anything but credit", `
			state suspended
			authorize t1 1000.01 partial | 62 declined, account suspended             | posted 0.00 pending 0.00 available 1000.00`},

		{"verifies a card with amount zero and holds nothing", `
			authorize t1 0.00          | 85 verified                                  | posted 0.00 pending 0.00 available 1000.00
			show t1                    | nothing`},
		{"verifies a card on a line that is used up", `
			present p1 1200.00
			authorize t1 0.00          | 85 verified                                  | posted 1200.00 pending 0.00 available -200.00`},
		{"declines to verify a card that may not be used", `
			card c1 stolen
			authorize t1 0.00          | 43 declined, card stolen`},

		{"checks no card where none was named", `
			card c1 lost
			authorize t1 10.00 no-card | 00 approved 10.00, held 10.00`},
		{"approves in the card's last month and declines from the first day after it", `
			card c2 active 03/2026
			wait 30d11h59m59s
			authorize t1 10.00 card c2 | 00 approved 10.00, held 10.00
			wait 1s
			authorize t2 10.00 card c2 | 54 declined, card expired`},
		{"approves with the card that replaces another, and not with the old one", `
			replace c1 by c2
			authorize t1 10.00 card c1 | 14 declined, card closed
			authorize t2 10.00 card c2 | 00 approved 10.00, held 10.00`},

		{"approves a message of exactly 45 days, declines it a second later", `
			authorize t1 10.00 sent 45d   | 00 approved 10.00, held 10.00
			authorize t2 10.00 sent 45d1s | 30 declined, stale message                | posted 0.00 pending 10.00 available 990.00`},
		{"approves a message from a clock that runs ahead", `
			authorize t1 10.00 sent -1h | 00 approved 10.00, held 10.00`},

		{"answers a repeat as before, and moves nothing", `
			authorize t1 45.00         | 00 approved 45.00, held 45.00
			authorize t1 45.00         | 00 approved 45.00, held 45.00, duplicate     | posted 0.00 pending 45.00 available 955.00
			reverse r1 of t1
			authorize t1 45.00         | 00 approved 45.00, held 45.00, duplicate     | posted 0.00 pending 0.00 available 1000.00`},
		{"keeps a declined id declined when there is room again", `
			authorize t1 1000.00
			authorize t2 10.00         | 51 declined, insufficient credit
			reverse r1 of t1
			authorize t2 10.00         | 51 declined, insufficient credit, duplicate  | posted 0.00 pending 0.00 available 1000.00
			authorize t3 10.00         | 00 approved 10.00, held 10.00`},
		{"refuses an id that was used for something else", `
			authorize t1 45.00
			authorize t1 45.01         | already exists: ID_REUSED                    | posted 0.00 pending 45.00 available 955.00
			authorize t1 45.00 card c2 | already exists: ID_REUSED
			authorize t1 45.00 partial | already exists: ID_REUSED`},
		{"keeps ids of other kinds of commands apart", `
			authorize x 45.00          | 00 approved 45.00, held 45.00
			present x 20.00 of x more-to-come | 00 recorded 20.00, held 25.00
			reverse x of x             | 00 recorded 25.00
			refund x 20.00 of x        | 00 recorded 20.00                            | posted 0.00 pending 0.00 available 1000.00`},

		{"decides at the time of the last event when the clock goes back", `
			wait 7d
			authorize t1 45.00         | 00 approved 45.00, held 45.00
			wait -1h
			authorize t2 10.00         | 00 approved 10.00, held 10.00
			wait 7d
			due                        | nothing                                      | posted 0.00 pending 55.00 available 945.00
			wait 1h
			due                        | expired t1 45.00; expired t2 10.00           | posted 0.00 pending 0.00 available 1000.00`},
	})
}

// declines are a purchase of 10.00 declined, in the order of the checks: the check that fails, the reason, DE39, and what leads to it.
var declines = []struct{ check, reason, code, script string }{
	{"message age", "STALE_MESSAGE", "30", `authorize t 10.00 sent 46d`},
	{"account state", "ACCOUNT_SUSPENDED", "62", `
		state suspended
		authorize t 10.00`},
	{"account state", "ACCOUNT_CHARGED_OFF", "62", `
		state charged_off
		authorize t 10.00`},
	{"account state", "ACCOUNT_CLOSED", "46", `
		state closed
		authorize t 10.00`},
	{"card state", "UNKNOWN_CARD", "14", `authorize t 10.00 card c9`},
	{"card state", "CARD_NOT_ACTIVATED", "78", `
		card c2 inactive
		authorize t 10.00 card c2`},
	{"card state", "CARD_PAUSED", "62", `
		card c1 paused
		authorize t 10.00`},
	{"card state", "CARD_LOST", "41", `
		card c1 lost
		authorize t 10.00`},
	{"card state", "CARD_STOLEN", "43", `
		card c1 stolen
		authorize t 10.00`},
	{"card state", "CARD_CLOSED", "14", `
		card c1 closed
		authorize t 10.00`},
	{"card expiry", "CARD_EXPIRED", "54", `
		card c1 active 02/2026
		authorize t 10.00`},
	{"single use", "SINGLE_USE_CARD_USED", "57", `
		controls c1 single-use
		present p 1.00 card c1
		authorize t 10.00`},
	{"currency", "CURRENCY_NOT_SUPPORTED", "57", `authorize t 10.00 EUR`},
	{"merchant country", "COUNTRY_BLOCKED", "62", `authorize t 10.00 country KP`},
	{"mcc", "MCC_BLOCKED", "57", `authorize t 10.00 mcc 7995`},
	{"merchant", "MERCHANT_BLOCKED", "57", `authorize t 10.00 merchant bad-shop`},
	{"merchant lock", "MERCHANT_BLOCKED", "57", `
		controls c1 merchant=shop-9
		authorize t 10.00`},
	{"max amount", "AMOUNT_LIMIT_EXCEEDED", "61", `
		controls account max=9.99
		authorize t 10.00`},
	{"window amount", "AMOUNT_LIMIT_EXCEEDED", "61", `
		controls c1 day=9.99
		authorize t 10.00`},
	{"window count", "COUNT_LIMIT_EXCEEDED", "65", `
		controls account 24h=/1
		present p 1.00
		authorize t 10.00`},
	{"credit limit", "INSUFFICIENT_CREDIT", "51", `
		limit 9.99
		authorize t 10.00`},
}

// strict is a profile with something on every list.
func strict() *Rules {
	return &Rules{Version: "2026-11", Profiles: map[string]*Profile{DefaultProfile: {
		BlockedMCCs: []string{"7995"}, BlockedMerchants: []string{"bad-shop"}, BlockedCountries: []string{"KP"},
	}}}
}

func TestAuthorizeDeclines(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range declines {
		seen[d.reason] = true
		t.Run(d.check+" "+d.reason, func(t *testing.T) {
			t.Parallel()
			b := newBook(t, strict()).run(d.script)
			b.checkReplay()
			b.expect("DE39 and reason", decisionWords(b.last().GetDecision(), false), d.code+" declined, "+strings.ToLower(strings.ReplaceAll(d.reason, "_", " ")))
			b.expect("balances", major(b.account.Balances().Pending), "0.00")
			failed := slices.DeleteFunc(b.last().GetDecision().GetChecks(), func(c *eventsv1.CheckRecord) bool { return !c.GetFailed() })
			if len(failed) != 1 || word(failed[0].GetKind(), "CHECK_KIND_") != d.check {
				t.Errorf("failed checks: %v, want only %s", failed, d.check)
			}
		})
	}
	for state := range typev1.AccountState_name {
		if name := typev1.AccountState(state).String(); state > int32(typev1.AccountState_ACCOUNT_STATE_OPEN) && !seen["ACCOUNT_"+strings.TrimPrefix(name, "ACCOUNT_STATE_")] {
			t.Errorf("no decline for %s", name)
		}
	}
	for state := range typev1.CardState_name {
		name := strings.TrimPrefix(typev1.CardState(state).String(), "CARD_STATE_")
		if !seen["CARD_"+name] && name != "UNSPECIFIED" && name != "ACTIVE" && name != "INACTIVE" { // an inactive card is CARD_NOT_ACTIVATED
			t.Errorf("no decline for a card that is %s", name)
		}
	}
}

// last returns the newest stored event.
func (b *book) last() *eventsv1.LedgerEvent { return b.decode(b.log[len(b.log)-1].data) }

// Everything is wrong at first; then one thing after the other is put right, in the order of the checks.
func TestFirstFailingCheckDeclines(t *testing.T) {
	t.Parallel()
	tell(t, strict(), []story{{"in order", `
		state suspended
		card c1 lost 02/2026
		authorize t1 1000.01 EUR country KP mcc 7995 merchant bad-shop sent 46d | 30 declined, stale message
		authorize t2 1000.01 EUR country KP mcc 7995 merchant bad-shop          | 62 declined, account suspended
		state open
		authorize t3 1000.01 EUR country KP mcc 7995 merchant bad-shop          | 41 declined, card lost
		card c1 active
		authorize t4 1000.01 EUR country KP mcc 7995 merchant bad-shop          | 54 declined, card expired
		card c1 active 03/2026
		authorize t5 1000.01 EUR country KP mcc 7995 merchant bad-shop          | 57 declined, currency not supported
		authorize t6 1000.01 country KP mcc 7995 merchant bad-shop              | 62 declined, country blocked
		authorize t7 1000.01 mcc 7995 merchant bad-shop                         | 57 declined, mcc blocked
		authorize t8 1000.01 merchant bad-shop                                  | 57 declined, merchant blocked
		authorize t9 1000.01                                                    | 51 declined, insufficient credit
		authorize t0 1000.00                                                    | 00 approved 1000.00, held 1000.00`}})
}

func TestAllChecksAreRecordedInOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, script, checks string }{
		{"approved", `
			authorize t1 100.00
			authorize t2 45.00 sent 10d`, `
			message age: 864000 / 3888000: passed
			account state: open / open: passed
			card state: active / active: passed
			card expiry: 202603 / 203012: passed
			currency: GBP / GBP: passed
			merchant country: GB / : passed
			mcc: 5411 / : passed
			merchant: shop-1 / : passed
			credit limit: 145.00 / 1000.00: passed`},
		{"all wrong", `
			state suspended
			card c1 lost 02/2026
			authorize t1 1000.01 country KP mcc 7995 merchant bad-shop sent 46d`, `
			message age: 3974400 / 3888000: failed, stale message
			account state: suspended / open: failed, account suspended
			card state: lost / active: failed, card lost
			card expiry: 202603 / 202602: failed, card expired
			currency: GBP / GBP: passed
			merchant country: KP / blocked: failed, country blocked
			mcc: 7995 / blocked: failed, mcc blocked
			merchant: bad-shop / blocked: failed, merchant blocked
			credit limit: 1000.01 / 1000.00: failed, insufficient credit`},
		{"another currency is not held against the line", `authorize t1 2000.00 EUR`, `
			account state: open / open: passed
			card state: active / active: passed
			card expiry: 202603 / 203012: passed
			currency: EUR / GBP: failed, currency not supported
			merchant country: GB / : passed
			mcc: 5411 / : passed
			merchant: shop-1 / : passed`},
		{"no card and no network message", `authorize t1 10.00 no-card`, `
			account state: open / open: passed
			currency: GBP / GBP: passed
			merchant country: GB / : passed
			mcc: 5411 / : passed
			merchant: shop-1 / : passed
			credit limit: 10.00 / 1000.00: passed`},
		{"unknown card", `authorize t1 10.00 card c9`, `
			account state: open / open: passed
			card state: unspecified / active: failed, unknown card
			currency: GBP / GBP: passed
			merchant country: GB / : passed
			mcc: 5411 / : passed
			merchant: shop-1 / : passed
			credit limit: 10.00 / 1000.00: passed`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t, strict()).run(test.script)
			var got []string
			before := typev1.CheckKind_CHECK_KIND_UNSPECIFIED
			for _, check := range b.last().GetDecision().GetChecks() {
				if check.GetKind() <= before {
					t.Errorf("%v comes after %v", check.GetKind(), before)
				}
				before = check.GetKind()
				got = append(got, checkWords(check))
			}
			want := strings.Split(strings.TrimSpace(test.checks), "\n")
			for i := range want {
				want[i] = strings.Join(strings.Fields(want[i]), " ")
			}
			if !slices.Equal(got, want) {
				t.Errorf("checks:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestAuthorizeRecordsTheRequest(t *testing.T) {
	t.Parallel()
	b := newBook(t, strict()).run(`
		authorize t1 1000.01 partial sent 1d mcc 5812 merchant shop-9 country FR
		authorize t2 0.01`)
	event := b.read(b.account.LastEventOf("t1"))
	request, decision, purchase := event.GetAuthorizationApproved().GetRequest(), event.GetDecision(), event.GetTransaction()
	if request.GetAmount() != 100001 || request.GetCurrencyCode() != "GBP" || !request.GetPartialApprovalAllowed() || !request.GetNetwork().GetTransmittedAt().AsTime().Equal(noon.AddDate(0, 0, -1)) {
		t.Errorf("request %v", request)
	}
	if decision.GetRulesProfile() != DefaultProfile || decision.GetRulesVersion() != "2026-11" || len(decision.GetApprovalCode()) != 6 || decision.GetApprovedAmount() != 100000 {
		t.Errorf("decision %v", decision)
	}
	if purchase.GetCardId() != "c1" || purchase.GetMerchant().GetMerchantId() != "shop-9" || !purchase.GetExpiresAt().AsTime().Equal(noon.AddDate(0, 0, 7)) {
		t.Errorf("transaction %v", purchase)
	}
	declined := b.read(b.account.LastEventOf("t2"))
	if declined.GetAuthorizationDeclined().GetRequest().GetAmount() != 1 || declined.GetDecision().GetApprovalCode() != "" || declined.GetTransaction().GetExpiresAt() != nil {
		t.Errorf("declined %v", declined)
	}
}

func TestEveryFieldOfACommandIsInItsDigest(t *testing.T) {
	t.Parallel()
	b := newBook(t, nil)
	steps := []string{
		"authorize x 1.00", "authorize x 1.01", "authorize x 1.00 EUR", "authorize x 1.00 card c2", "authorize x 1.00 no-card", "authorize x 1.00 mcc 5412",
		"authorize x 1.00 merchant shop-2", "authorize x 1.00 country FR", "authorize x 1.00 partial", "authorize x 1.00 sent 1d", "authorize x 1.00 sent 2d",
		"present x 2.00", "present x 2.01", "present x 2.00 EUR", "present x 2.00 of t1", "present x 2.00 of t2", "present x 2.00 card c1", "present x 2.00 more-to-come",
		"refund x 3.00", "refund x 3.01", "refund x 3.00 EUR", "refund x 3.00 of t1", "refund x 3.00 card c1",
		"reverse x of t1", "reverse x of t2", "reverse x of t1 4.00", "reverse x of t1 4.00 EUR",
	}
	seen := map[string]string{}
	for _, step := range steps {
		digest := string(b.command(strings.Fields(step)).Digest())
		if other, taken := seen[digest]; taken {
			t.Errorf("%q and %q have the same digest", step, other)
		}
		seen[digest] = step
		if again := string(b.command(strings.Fields(step)).Digest()); again != digest {
			t.Errorf("%q has another digest the second time", step)
		}
	}
}
