package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/sync/errgroup"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// TestBrowserTellsTheStory opens an account in the browser, and goes on until a payment of it is returned. Each page on the way is looked at.
func TestBrowserTellsTheStory(t *testing.T) {
	t.Parallel()
	bank, v := startConsole(t)
	b := startBrowser(t, v.base)
	b.visit("/accounts")
	b.wait("main", "No accounts yet")
	b.look("accounts-empty")
	b.follow("Open an account")
	b.fill("account_id", "alice")
	b.fill("holder.full_name", "Alice Example")
	b.fill("credit_limit", "500.00")
	b.wait("#call-line", `"account_id":"alice"`, `"full_name":"Alice Example"`, `"minor_units":"50000"`)
	b.look("open")
	b.send()
	b.wait("main", "Alice Example", "£500.00", "No transactions yet", "No card yet")
	b.look("account-empty")

	b.follow("Issue a card")
	b.send()
	b.wait(".result", "The card is issued", "It is shown this once")
	b.look("issue")
	cards := must(bank.GetAccount(t.Context(), &accountsv1.GetAccountRequest{AccountId: "alice"}))(t).GetAccount().GetCards()
	number := strings.ReplaceAll(evaluate[string](b, "document.getElementById('card-number').innerText"), " ", "")
	if len(number) != 16 || len(cards) != 1 || !strings.HasSuffix(number, cards[0].GetLastFour()) {
		t.Errorf("the card number shown has %d digits, the cards are %v", len(number), cards)
	}

	b.follow("Make a purchase with it")
	b.fill("amount", "45.00")
	b.fill("merchant.name", "Trattoria")
	b.fill("merchant.mcc", "5812 Eating places and Restaurants")
	b.wait("#call-line", `"minor_units":"4500"`, "Trattoria", `"mcc":"5812"`, "Authorize")
	b.look("purchase")
	b.send()
	b.wait(".result", "Approved", "£45.00 was allowed")
	b.look("purchase-approved")
	bank.wantBalances("alice", 0, 4_500, 45_500)
	b.follow("Clear it")
	b.fill("amount", "55.00")
	b.look("clear")
	b.send()
	b.wait(".result", "Cleared", "£55.00 was posted", "£10.00 more than was authorized")
	bank.wantBalances("alice", 5_500, 0, 44_500)
	b.follow("Refund it")
	b.fill("amount", "15.00")
	b.send()
	b.wait(".result", "Refunded", "£15.00 was given back")
	bank.wantBalances("alice", 4_000, 0, 46_000)

	b.visit("/accounts/alice/try/purchase")
	b.fill("amount", "1,000.00")
	b.fill("merchant.name", "Piano house")
	b.send()
	b.wait(".result", "Declined", "does not fit into the credit limit")
	b.look("purchase-declined")
	b.fill("amount", "12.345")
	b.send()
	b.wait("main", "at most 2 decimals")
	b.look("purchase-refused")
	b.wantNoComplaint("422")

	b.visit("/accounts/alice/try/pay")
	b.fill("amount", "30.00")
	b.look("pay")
	b.send()
	b.wait(".result", "Payment submitted", "£30.00 was taken")
	b.wait("#balances", "£10.00") // posted, as the ledger hears of it
	b.follow("Return it")
	b.send()
	b.wait(".result", "Payment returned", "£30.00 came back", "R01")
	b.wait("#balances", "£40.00")
	bank.wantBalances("alice", 4_000, 0, 46_000)
	b.look("returned")

	b.visit("/accounts/alice")
	b.wait("#transactions", "Trattoria", "Partially refunded", "Returned", "Declined")
	b.do(chromedp.Click(chromedp.Search("//details[contains(., 'Piano house')]/summary")))
	b.wait("details[open]", "£1,000.00 was asked for and declined", "Does it fit the limit", "£1,040.00", "up to £500.00", "default of built-in-", "Authorization declined")
	b.look("account")
	b.follow("£30.00")
	b.wait("main", "came back from the payer's bank", "Is it no more than what is owed?")
	b.look("payment")
	b.visit("/accounts/alice/time")
	b.wait("#moment", "Payment returned", "answers the same")
	b.look("time")
	b.wantNoComplaint()
}

// TestBrowserPages looks at the pages that the story does not come by.
func TestBrowserPages(t *testing.T) {
	t.Parallel()
	bank, v := startConsole(t)
	for _, name := range []string{"alice", "bob", "carol"} {
		bank.open(name, 100_000)
		must(bank.authorize(t.Context(), name, "tea", 12_345))(t)
	}
	b := startBrowser(t, v.base)
	for page, at := range map[string]struct{ path, wait string }{
		"accounts": {"/accounts", "Holder of carol"}, "search-nothing": {"/accounts?q=nobody", "Nobody matches"}, "try": {"/try", "Holder of alice"},
		"transaction": {"/accounts/alice/transactions/tea", "was asked for and allowed"}, "live": {"/live", "Corner shop"},
		"live-filtered": {"/live?service=payments&event=submitted", "Nothing matches yet"}, "health": {"/health", "All is well"}, "limit": {"/accounts/alice/try/limit", "Credit limit"},
		"card": {"/accounts/alice/try/card", "Paused"}, "refund-nothing": {"/accounts/alice/try/refund", "Nothing to do here yet"}, "reverse": {"/accounts/alice/try/reverse", "all that is held"},
		"state": {"/accounts/alice/try/state", "Suspended"}, "not-found": {"/accounts/nobody", "There is no account nobody"},
	} {
		b.visit(at.path)
		b.wait("main", at.wait)
		b.look(page)
		b.wantNoComplaint("404")
	}
}

// TestBrowserSeesWhatHappens keeps pages open while other people act: they change without being read again.
func TestBrowserSeesWhatHappens(t *testing.T) {
	t.Parallel()
	bank, v := startConsole(t)
	bank.open("alice", 100_000)
	b := startBrowser(t, v.base)
	b.visit("/accounts/alice")
	b.wait("#connection", "Live")
	evaluate[chromedp.Void](b, "window.same = true")
	must(bank.authorize(t.Context(), "alice", "tea", 2_500))(t)
	b.wait("#transactions", "Corner shop", "£25.00", "Pending")
	b.wait("#balances", "£975.00")
	b.do(chromedp.Click(chromedp.CSS("details.txn summary")))
	b.wait("details[open]", "£25.00 was asked for and allowed")
	must(bank.present(t.Context(), "alice", "tea", "tea-clearing", 2_600))(t)
	b.wait("#transactions", "£26.00", "Cleared")
	b.wait("details[open]", "Presentment") // it stays open, and tells of what came to it
	b.wait("#balances", "£974.00")
	must(bank.SetCardState(t.Context(), &accountsv1.SetCardStateRequest{AccountId: "alice", CardId: "alice-card", State: 3}))(t)
	b.wait("#cards", "Paused")
	if !evaluate[bool](b, "window.same === true") {
		t.Error("the page was read again")
	}

	b.visit("/live?account=alice")
	b.wait("#feed", "Card changed", "Authorization approved")
	b.wait("#paces", "a second")
	evaluate[chromedp.Void](b, "window.same = true")
	must(bank.refund(t.Context(), "alice", "tea", "tea-refund", 600))(t)
	b.wait("#feed", "Refunded", "£6.00")
	bank.open("bob", 100_000)
	must(bank.refund(t.Context(), "alice", "tea", "tea-refund-2", 700))(t)
	b.wait("#feed", "£7.00")
	if text := evaluate[string](b, "document.getElementById('feed').innerText"); strings.Contains(text, "bob") {
		t.Errorf("the feed of alice has bob in it: %s", text)
	}
	if !evaluate[bool](b, "window.same === true") {
		t.Error("the page was read again")
	}
	b.wantNoComplaint()
}

// TestBrowserTravelsInTime moves the slider over every event of an account, by the keyboard, and holds what is shown against GetBalance.
func TestBrowserTravelsInTime(t *testing.T) {
	t.Parallel()
	bank, v := startConsole(t)
	bank.open("alice", 100_000)
	ctx := t.Context()
	must(bank.authorize(ctx, "alice", "tea", 2_500))(t)
	must(bank.present(ctx, "alice", "tea", "tea-1", 2_600))(t)
	must(bank.authorize(ctx, "alice", "hotel", 30_000))(t)
	must(bank.reverse(ctx, "alice", "hotel", "hotel-1", 10_000))(t)
	must(bank.authorize(ctx, "alice", "piano", 900_000))(t)
	must(bank.UpdateCreditLimit(ctx, &accountsv1.UpdateCreditLimitRequest{AccountId: "alice", CreditLimit: pounds(20_000), RequestId: "cut"}))(t)
	eventually(t, "the ledger knows the new limit", func() error {
		if _, _, available := bank.balances("alice"); available != -2_600 {
			return fmt.Errorf("available is %d", available)
		}
		return nil
	})
	events := bank.listEvents("alice", 0)
	b := startBrowser(t, v.base)
	b.visit("/accounts/alice/time")
	b.wait("#moment", fmt.Sprintf("Event %d of %d", len(events), len(events)), "Limit changed", "−£26.00")
	b.do(chromedp.Focus(chromedp.ID("position")))
	for i := len(events) - 1; i >= 0; i-- {
		b.wait("#moment", fmt.Sprintf("Event %d of %d", i+1, len(events)))
		asked := must(bank.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: "alice"},
			AsOf: &transactionsv1.GetBalanceRequest_AsOfSequence{AsOfSequence: events[i].GetSequence()}}))(t).GetBalances()
		got := evaluate[[]string](b, "[...document.querySelectorAll('#moment .changes')[0].querySelectorAll('tbody tr')].map(row => row.cells[2].innerText)")
		var want []string
		for _, money := range []int64{asked.GetCreditLimit().GetMinorUnits(), asked.GetPosted().GetMinorUnits(), asked.GetPending().GetMinorUnits(),
			asked.GetWithheld().GetMinorUnits(), asked.GetAvailable().GetMinorUnits()} {
			want = append(want, inPounds(money))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("event %d leaves %v, GetBalance says %v", i+1, got, want)
		}
		b.do(chromedp.KeyEvent(kb.ArrowLeft))
	}
	b.do(chromedp.KeyEvent(kb.End))
	b.wait("#moment", fmt.Sprintf("Event %d of", len(events)))
	b.do(chromedp.Click(chromedp.Search("//ol//a[.='Authorization declined']"))) // in place: the page is not read again
	b.wait("#moment", "£9,000.00 was asked for at Corner shop and declined", "Is the card still valid?")
	if at := evaluate[string](b, "location.search"); at != fmt.Sprintf("?at=%d", events[len(events)-2].GetSequence()) {
		t.Errorf("the address is %s", at)
	}
	b.wantNoComplaint()
}

// inPounds writes pence as the console does.
func inPounds(pence int64) string {
	if pence < 0 {
		return "−" + inPounds(-pence)
	}
	thousands := ""
	if pence >= 100_000 {
		thousands = fmt.Sprintf("%d,", pence/100_000)
		return fmt.Sprintf("£%s%03d.%02d", thousands, pence/100%1000, pence%100)
	}
	return fmt.Sprintf("£%d.%02d", pence/100, pence%100)
}

// TestBrowserByKeyboardAlone opens the account of a search and one of its transactions without a mouse.
func TestBrowserByKeyboardAlone(t *testing.T) {
	t.Parallel()
	bank, v := startConsole(t)
	bank.open("alice", 100_000)
	must(bank.authorize(t.Context(), "alice", "tea", 2_500))(t)
	b := startBrowser(t, v.base)
	b.visit("/accounts")
	press := func(until string, keys string) {
		t.Helper()
		for range 60 {
			b.do(chromedp.KeyEvent(keys))
			if evaluate[bool](b, fmt.Sprintf("document.activeElement.matches(%q)", until)) {
				return
			}
		}
		t.Fatalf("%s is not reached by the keyboard", until)
	}
	press(".skip", kb.Tab)
	press("#q", kb.Tab)
	b.do(chromedp.KeyEvent("alice" + kb.Enter))
	b.arrive("/accounts?q=alice")
	press("td a", kb.Tab)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.arrive("/accounts/alice")
	press("details.txn summary", kb.Tab)
	if outline := evaluate[string](b, "getComputedStyle(document.activeElement).outlineStyle"); outline == "none" {
		t.Error("what has the focus does not show it")
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.wait("details[open]", "£25.00 was asked for and allowed")
	b.wantNoComplaint()
}

// manyTransactions is how many the large account of a test has.
const manyTransactions = 5_000

// TestBrowserWithALargeAccount measures how soon the pages of an account with many transactions show something, and how much they hold.
func TestBrowserWithALargeAccount(t *testing.T) {
	bank, v := startConsole(t)
	bank.open("alice", 1_000_000_000)
	b := startBrowser(t, v.base)
	buyMuch(t, bank)
	for path, rows := range map[string]string{"/accounts/alice": "details.txn", "/accounts/alice/time": ".nearby li", "/accounts/alice/try/clear": "option"} {
		best := time.Hour
		for range 3 { // the machine may be busy with other tests
			b.visit(path)
			best = min(best, b.firstPaint())
		}
		held := evaluate[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", rows))
		t.Logf("%s: first paint after %v, %d rows", path, best.Round(time.Millisecond), held)
		if best > time.Second {
			t.Errorf("%s shows something only after %v", path, best)
		}
		if held > 100 || held == 0 {
			t.Errorf("%s holds %d rows", path, held)
		}
	}
	b.visit("/accounts/alice")
	b.settle()
	b.look("account-large")
	seen := map[string]bool{}
	for range 3 {
		for _, id := range evaluate[[]string](b, "[...document.querySelectorAll('details.txn')].map(row => row.id)") {
			if seen[id] {
				t.Errorf("%s is on two pages", id)
			}
			seen[id] = true
		}
		b.follow("Older")
	}
	b.wantNoComplaint()
}

// buyMuch makes many purchases, of which every other one is cleared.
func buyMuch(t *testing.T, bank *bank) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(64)
	for i := range manyTransactions {
		group.Go(func() error {
			id := fmt.Sprintf("tea-%04d", i)
			if _, err := bank.authorize(ctx, "alice", id, 100+int64(i%900)); err != nil || i%2 == 0 {
				return err
			}
			_, err := bank.present(ctx, "alice", id, id+"-1", 100+int64(i%900))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestBrowserIsToldOfALostConnection stops cardlog while a page is open, and starts it again.
func TestBrowserIsToldOfALostConnection(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	first := must(start(t.Context(), c))(t)
	t.Cleanup(first.stop)
	c.listen = first.endpoints().GRPC
	bank := connectBank(t, c.listen)
	bank.open("alice", 100_000)
	served := must(serveConsole(consoleOptions{listen: "127.0.0.1:0", servers: []string{c.listen}, logger: slog.New(slog.DiscardHandler)}, func(err error) { t.Error(err) }))(t)
	t.Cleanup(served.close)
	b := startBrowser(t, "http://"+served.address())
	b.visit("/accounts/alice/try/purchase")
	b.wait("#connection", "Live")
	evaluate[chromedp.Void](b, "window.same = true")
	first.stop()
	b.wait("#connection", "Disconnected")
	b.wait("#lost", "What is shown may be old; trying again")
	b.look("disconnected")
	b.fill("amount", "12.50")
	second := must(start(t.Context(), c))(t)
	t.Cleanup(second.stop)
	b.wait("#connection", "Live")
	if !evaluate[bool](b, "window.same === true") || evaluate[string](b, "document.querySelector('[name=amount]').value") != "12.50" {
		t.Error("the page did not stay as it was")
	}
	second.stop()
	b.send()
	b.wait("main", "No connection to the server", "Send the form again: it counts once")
	b.look("unreachable-form")
	third := must(start(t.Context(), c))(t)
	t.Cleanup(third.stop)
	b.wait("#connection", "Live")
	b.send()
	b.wait(".result", "Approved", "£12.50 was allowed")
	bank.wantBalances("alice", 0, 1_250, 98_750)
	third.stop()
	b.visit("/accounts/alice")
	b.wait("main", "cardlog cannot be reached", "Try again")
	b.look("unreachable")
	b.visit("/health")
	b.wait("#health", "does not answer")
	b.look("health-unreachable")
	b.wantNoComplaint("503", "504")
}
