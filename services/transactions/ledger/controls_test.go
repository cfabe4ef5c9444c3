package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

func TestSpendingControls(t *testing.T) {
	t.Parallel()
	tell(t, BuiltInRules(), []story{
		{"bound one purchase", `
			controls c1 max=100.00
			authorize t1 100.00        | 00 approved 100.00, held 100.00
			authorize t2 100.01        | 61 declined, amount limit exceeded
			increment i1 0.01 of t1    | 61 declined, amount limit exceeded, held 100.00
			reverse r1 of t1 20.00
			increment i2 20.00 of t1   | 00 approved 20.00, held 100.00
			authorize t3 0.00          | 85 verified
			authorize t4 100.01 no-card | 00 approved 100.01, held 100.01`},
		{"of the account bound all its cards", `
			card c2 active
			controls account max=100.00 day=150.00
			authorize t1 100.01 card c2 | 61 declined, amount limit exceeded
			authorize t2 100.00 card c2 | 00 approved 100.00, held 100.00
			authorize t3 50.01         | 61 declined, amount limit exceeded
			authorize t4 50.00 no-card | 00 approved 50.00, held 50.00`},
		{"bound what is spent in a month, and exactly the bound passes", `
			controls c1 month=3000.00
			limit 9000.00
			authorize t1 2000.00
			authorize t2 1000.01       | 61 declined, amount limit exceeded
			authorize t3 1000.00       | 00 approved 1000.00, held 1000.00
			wait 30d11h59m59s
			authorize t4 0.01          | expired t1 2000.00; expired t3 1000.00; 00 approved 0.01, held 0.01`},
		{"bound what is spent in a day by UTC", `
			controls c1 day=100.00
			authorize t1 100.00
			wait 11h59m59s
			authorize t2 0.01          | 61 declined, amount limit exceeded
			wait 1s
			authorize t3 100.00        | 00 approved 100.00, held 100.00`},
		{"bound what is spent in a week from Monday", `
			controls c1 week=100.00
			authorize t1 100.00
			wait 12h
			authorize t2 100.00        | 00 approved 100.00, held 100.00
			wait 6d23h59m59s
			authorize t3 0.01          | expired t1 100.00; 61 declined, amount limit exceeded
			wait 1s
			authorize t4 100.00        | expired t2 100.00; 00 approved 100.00, held 100.00`},
		{"bound what is spent in a year, long ago too", `
			controls c1 year=100.00
			authorize t1 60.00
			present p1 60.00 of t1
			wait 200d
			authorize t2 40.01         | 61 declined, amount limit exceeded
			authorize t3 40.00         | 00 approved 40.00, held 40.00
			present p2 40.00 of t3
			wait 105d11h59m59s
			authorize t4 0.01          | 61 declined, amount limit exceeded
			wait 1s
			authorize t5 100.00        | 00 approved 100.00, held 100.00`},
		{"bound what is spent in a lifetime", `
			controls c1 lifetime=100.00/3
			present p1 60.00 of t1 card c1
			wait 1000d
			authorize t2 40.00         | 00 approved 40.00, held 40.00
			present p2 40.00 of t2
			wait 400d
			authorize t3 0.01          | 61 declined, amount limit exceeded`},
		{"bound what is spent in so many hours up to now", `
			controls c1 24h=100.00
			authorize t1 60.00
			wait 12h
			authorize t2 40.00
			wait 11h59m59s
			authorize t3 0.01          | 61 declined, amount limit exceeded
			wait 1s
			authorize t4 60.01         | 61 declined, amount limit exceeded
			authorize t5 60.00         | 00 approved 60.00, held 60.00`},
		{"bound it to the hour over a month", `
			controls c1 744h=100.00
			authorize t1 100.00
			present p1 100.00 of t1
			wait 30d23h59m59s
			authorize t2 0.01          | 61 declined, amount limit exceeded
			wait 1s
			authorize t3 100.00        | 00 approved 100.00, held 100.00`},
		{"count purchases, the approved and the forced", `
			controls c1 day=/2
			authorize t1 5000.00       | 51 declined, insufficient credit
			authorize t2 0.00          | 85 verified
			authorize t3 1.00
			present p1 1.00 card c1
			authorize t4 1.00          | 65 declined, count limit exceeded
			authorize t5 0.00          | 85 verified
			present p2 1.00 card c1    | 00 recorded 1.00, unmatched
			increment i1 1.00 of t3    | 00 approved 1.00, held 2.00
			reverse r1 of t3
			authorize t6 1.00          | 65 declined, count limit exceeded`},
		{"count an approval that the network took back no more", `
			controls c1 day=/1
			authorize t1 1.00
			advise a1 0.00 of t1 stand-in
			authorize t2 1.00          | 00 approved 1.00, held 1.00
			advise a2 1.00 of t3 stand-in card c1
			controls c1 day=/2
			authorize t4 1.00          | 65 declined, count limit exceeded`},
		{"count what is cleared and held, and not what was released, taken back or held beyond what was asked", `
			controls c1 day=100.00
			authorize t1 60.00
			reverse r1 of t1 20.00
			authorize t2 60.01         | 61 declined, amount limit exceeded
			present p1 70.00 of t1     | 00 recorded 70.00, over-capture 30.00
			authorize t3 30.01         | 61 declined, amount limit exceeded
			unpresent u1 of p1
			authorize t4 100.00        | 00 approved 100.00, held 100.00
			present p2 40.00 of t4
			refund f1 40.00 of t4
			authorize t5 60.01         | 61 declined, amount limit exceeded
			authorize t6 60.00         | 00 approved 60.00, held 60.00`},
		{"count a purchase to when it began", `
			controls c1 day=100.00
			authorize t1 100.00
			wait 1d
			increment i1 50.00 of t1   | 00 approved 50.00, held 150.00
			authorize t2 100.00        | 00 approved 100.00, held 100.00
			present p1 200.00 of t1    | 00 recorded 200.00, over-capture 50.00
			increment i2 0.01 of t2    | 61 declined, amount limit exceeded, held 100.00`},
		{"count force posts, which they do not stop", `
			controls c1 day=100.00 mcc=5812
			present p1 300.00 card c1  | 00 recorded 300.00, unmatched
			authorize t1 0.01 mcc 5812 | 61 declined, amount limit exceeded`},
		{"count what was spent before they were set", `
			authorize t1 60.00
			present p1 60.00 of t1
			wait 40d
			controls c1 lifetime=100.00
			authorize t2 40.01         | 61 declined, amount limit exceeded
			authorize t3 40.00         | 00 approved 40.00, held 40.00`},
		{"count with the card what was presented before its authorization told the card", `
			controls c1 day=100.00/2
			present p1 60.00 of t1
			authorize t2 50.00         | 00 approved 50.00, held 50.00
			reverse r2 of t2
			authorize t1 60.00         | 00 approved 60.00
			authorize t3 40.01         | 61 declined, amount limit exceeded
			authorize t4 40.00         | 65 declined, count limit exceeded`},
		{"follow a replaced card, with what was spent", `
			limit 9000.00
			controls c1 month=3000.00
			authorize t1 2000.00
			card c1 lost
			replace c1 by c2
			authorize t2 1500.00 card c2 | 61 declined, amount limit exceeded
			authorize t3 1000.00 card c1 | 14 declined, card closed
			replace c2 by c3
			authorize t4 1000.01 card c3 | 61 declined, amount limit exceeded
			authorize t5 1000.00 card c3 | 00 approved 1000.00, held 1000.00
			present p1 2000.00 of t1
			authorize t6 0.01 card c3  | 61 declined, amount limit exceeded`},
		{"of one card leave the others alone", `
			card c2 active
			controls c1 day=10.00/1 max=5.00
			authorize t1 100.00 card c2 | 00 approved 100.00, held 100.00
			authorize t2 5.00          | 00 approved 5.00, held 5.00
			authorize t3 5.00          | 65 declined, count limit exceeded`},
		{"are taken away again", `
			controls c1 max=1.00
			controls account max=1.00
			authorize t1 2.00          | 61 declined, amount limit exceeded
			controls c1
			controls account
			authorize t2 2.00          | 00 approved 2.00, held 2.00`},
		{"stay when the account or the card changes otherwise", `
			controls c1 max=2.00
			controls account max=1.00
			home FR
			card c1 paused
			card c1 active
			authorize t1 1.01          | 61 declined, amount limit exceeded
			controls account
			authorize t2 2.01          | 61 declined, amount limit exceeded`},
		{"allow categories and countries, or block them", `
			controls account mcc=5411,5812 no-country=KP
			controls c1 no-mcc=5812 country=GB,FR
			authorize t1 1.00 mcc 5999 | 57 declined, mcc blocked
			authorize t2 1.00 mcc 5812 | 57 declined, mcc blocked
			authorize t3 1.00 mcc 5812 no-card | 00 approved 1.00, held 1.00
			authorize t4 1.00 country KP no-card | 62 declined, country blocked
			authorize t5 1.00 country US | 62 declined, country blocked
			authorize t6 1.00 country FR | 00 approved 1.00, held 1.00
			authorize r1 1.00 mcc 5999 credit | 57 declined, mcc blocked`},
		{"lock a card to one merchant", `
			controls c1 merchant=shop-2
			authorize t1 1.00          | 57 declined, merchant blocked
			authorize t2 1.00 merchant shop-2 | 00 approved 1.00, held 1.00
			authorize r1 1.00 credit   | 57 declined, merchant blocked
			present p1 1.00 of t3 card c1 | 00 recorded 1.00, unmatched`},
		{"lock a card to its first merchant", `
			controls c1 first-merchant
			authorize t1 5000.00 merchant shop-9 | 51 declined, insufficient credit
			authorize t2 0.00 merchant shop-9 | 85 verified
			authorize t3 1.00 merchant shop-2 | 00 approved 1.00, held 1.00
			reverse r1 of t3
			authorize t4 1.00 merchant shop-9 | 57 declined, merchant blocked
			replace c1 by c2
			authorize t5 1.00 merchant shop-9 card c2 | 57 declined, merchant blocked
			authorize t6 1.00 merchant shop-2 card c2 | 00 approved 1.00, held 1.00`},
		{"lock a card to the first merchant that it had before", `
			authorize t1 1.00 merchant shop-2
			authorize t2 1.00 merchant shop-3
			wait 100d
			controls c1 first-merchant
			authorize t3 1.00 merchant shop-3 | 57 declined, merchant blocked
			authorize t4 1.00 merchant shop-2 | 00 approved 1.00, held 1.00`},
		{"lock a card to the merchant that was first, also when the network approves with the card before it", `
			controls c1 first-merchant
			authorize t1 5000.00 merchant shop-2 | 51 declined, insufficient credit
			replace c1 by c2
			authorize t2 1.00 merchant shop-3 card c2 | 00 approved 1.00, held 1.00
			advise a1 1.00 of t1       | 00 recorded 1.00, held 1.00
			authorize t3 1.00 merchant shop-2 card c2 | 57 declined, merchant blocked
			authorize t4 1.00 merchant shop-3 card c2 | 00 approved 1.00, held 1.00`},
		{"let a single-use card be used once", `
			controls c1 single-use
			authorize t1 5000.00       | 51 declined, insufficient credit
			authorize t2 0.00          | 85 verified
			authorize t3 10.00         | 00 approved 10.00, held 10.00
			authorize t4 10.00         | 57 declined, single use card used
			authorize t5 0.00          | 57 declined, single use card used
			increment i1 5.00 of t3    | 00 approved 5.00, held 15.00
			present p1 15.00 of t3     | 00 recorded 15.00
			authorize r1 15.00 credit  | 00 approved 15.00
			replace c1 by c2
			authorize t6 10.00 card c2 | 57 declined, single use card used`},
		{"do not let a single-use card take over what was begun with another one", `
			card c2 active
			controls c1 single-use
			authorize t1 10.00         | 00 approved 10.00, held 10.00
			present p1 5.00 of t2 card c2
			authorize t2 5.00          | 57 declined, single use card used`},
		{"let a single-use card's purchase be presented before it is authorized", `
			controls c1 single-use
			present p1 10.00 of t1 card c1
			authorize t1 10.00         | 00 approved 10.00
			authorize t2 10.00         | 57 declined, single use card used`},
	})
}

func TestEveryControlIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run(`
		authorize t1 20.00
		controls account max=50.00 day=60.00/2 country=GB no-mcc=7995 first-merchant
		controls c1 max=40.00 24h=30.00 lifetime=/9 mcc=5411 no-country=KP merchant=shop-2 single-use
		authorize t2 45.00 sent 1d`)
	var got []string
	for _, check := range b.last().GetDecision().GetChecks() {
		got = append(got, checkWords(check))
	}
	want := strings.Split(`message age: 86400 / 3888000: passed
account state: open / open: passed
card state: active / active: passed
card expiry: 202603 / 203012: passed
single use of card: 1 / 0: failed, single use card used
currency: GBP / GBP: passed
merchant country: GB / : passed
merchant country of account: GB / : passed
merchant country of card: GB / : passed
mcc: 5411 / : passed
mcc of account: 5411 / : passed
mcc of card: 5411 / : passed
merchant: shop-1 / : passed
merchant lock of account: shop-1 / shop-1: passed
merchant lock of card: shop-1 / shop-2: failed, merchant blocked
max amount of account: 45.00 / 50.00: passed
max amount of card: 45.00 / 40.00: failed, amount limit exceeded
window amount of account a day: 65.00 / 60.00: failed, amount limit exceeded
window amount of card in 24h: 65.00 / 30.00: failed, amount limit exceeded
window count of account a day: 2 / 2: passed
window count of card a lifetime: 2 / 9: passed
credit limit: 65.00 / 1000.00: passed`, "\n")
	for i := range want {
		want[i] = strings.Join(strings.Fields(want[i]), " ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("checks:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWindowsStart(t *testing.T) {
	t.Parallel()
	calendar := func(w typev1.Window) *typev1.SpendingLimit {
		return &typev1.SpendingLimit{Period: &typev1.SpendingLimit_Window{Window: w}}
	}
	for _, row := range []struct {
		now   string
		limit *typev1.SpendingLimit
		want  string
	}{
		{"2028-02-29T23:59:59Z", calendar(typev1.Window_WINDOW_DAY), "2028-02-29T00:00:00Z"},
		{"2028-02-29T00:00:00Z", calendar(typev1.Window_WINDOW_DAY), "2028-02-29T00:00:00Z"},
		{"2026-03-01T12:00:00Z", calendar(typev1.Window_WINDOW_WEEK), "2026-02-23T00:00:00Z"}, // a Sunday
		{"2026-03-02T00:00:00Z", calendar(typev1.Window_WINDOW_WEEK), "2026-03-02T00:00:00Z"},
		{"2027-01-01T00:00:00Z", calendar(typev1.Window_WINDOW_WEEK), "2026-12-28T00:00:00Z"},
		{"2026-03-31T23:59:59Z", calendar(typev1.Window_WINDOW_MONTH), "2026-03-01T00:00:00Z"},
		{"2026-12-31T23:59:59Z", calendar(typev1.Window_WINDOW_YEAR), "2026-01-01T00:00:00Z"},
		{"2026-03-01T12:00:00Z", &typev1.SpendingLimit{Period: &typev1.SpendingLimit_TrailingHours{TrailingHours: 24}}, "2026-02-28T12:00:00.000001Z"},
	} {
		now, err := time.Parse(time.RFC3339, row.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.UnixMicro(windowStart(row.limit, now.In(time.FixedZone("elsewhere", 5*3600)))).UTC().Format(time.RFC3339Nano); got != row.want {
			t.Errorf("%s %v: from %s, want %s", row.now, row.limit, got, row.want)
		}
	}
	if windowStart(calendar(typev1.Window_WINDOW_LIFETIME), noon) != beginning {
		t.Error("a lifetime has no beginning")
	}
}

// What is older than the longest trailing window is kept as sums, however much there is of it.
func TestSpendingStaysSmall(t *testing.T) {
	t.Parallel()
	b := newBook(t, BuiltInRules()).run("limit 100000.00")
	for i := range 500 {
		b.run(fmt.Sprintf("wait 12h\npresent p%d 1.00 of t%d card c1", i, i))
	}
	if recent, cards := len(b.account.spending.recent), len(b.account.spending.cards); recent != 62 || cards != 1 {
		t.Errorf("%d moments of %d cards in memory, want 62 of 1", recent, cards)
	}
	if got := b.account.spending.since(beginning, nil); got != (tally{amount: 500_00, count: 500}) {
		t.Errorf("%+v was spent", got)
	}
	b.checkReplay()
}
