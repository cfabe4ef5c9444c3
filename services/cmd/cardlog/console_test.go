package main

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/console"
)

// visitor reads the console as a browser would, without running its scripts.
type visitor struct {
	t    *testing.T
	base string
}

// servedPage is a page with how it came.
type servedPage struct {
	code   int
	header http.Header
	body   string
}

// startConsole starts a bank with a console.
func startConsole(t *testing.T) (*bank, *visitor) {
	t.Helper()
	c := testConfig(t)
	c.consoleListen = "127.0.0.1:0"
	b, p := startBank(t, c)
	return b, &visitor{t: t, base: "http://" + p.endpoints().Console}
}

// visit asks for a page; with a form, sends it.
func (v *visitor) visit(path string, form url.Values, header ...string) servedPage {
	v.t.Helper()
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return servedPage{code: response.StatusCode, header: response.Header, body: string(text)}
}

// want fails the test unless an answer has a status and all these words.
func (v *visitor) want(got servedPage, code int, words ...string) {
	v.t.Helper()
	if got.code != code {
		v.t.Errorf("answered %d, want %d: %.2000s", got.code, code, got.body)
		return
	}
	for _, word := range words {
		if !strings.Contains(got.body, word) {
			v.t.Errorf("the page does not say %q: %s", word, got.body)
		}
	}
}

var inputs = regexp.MustCompile(`<input[^>]* name="([^"]+)" value="([^"]*)"`)

// form opens a page with a form and returns what it would send, with these fields filled in.
func (v *visitor) form(path string, fill ...string) url.Values {
	v.t.Helper()
	page := v.visit(path, nil)
	v.want(page, http.StatusOK)
	values := url.Values{}
	for _, input := range inputs.FindAllStringSubmatch(page.body, -1) {
		values.Set(input[1], input[2])
	}
	for i := 0; i < len(fill); i += 2 {
		values.Set(fill[i], fill[i+1])
	}
	return values
}

// TestConsoleKeepsOtherSitesOut tries what a page of another site can make a browser do.
func TestConsoleKeepsOtherSitesOut(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	b.open("alice", 100_000)
	form := v.form("/accounts/alice/try/limit", "credit_limit", "1.00")
	for name, header := range map[string][]string{
		"sent by another site":                 {"Sec-Fetch-Site", "cross-site"},
		"sent by a sibling of the host":        {"Sec-Fetch-Site", "same-site"},
		"sent by an old browser, another site": {"Origin", "https://evil.example"},
		"by a name that is not ours":           {"Host", "evil.example"},
	} {
		if got := v.visit("/accounts/alice/try/limit", form, header...); got.code != http.StatusForbidden && got.code != http.StatusMisdirectedRequest {
			t.Errorf("a form %s is answered %d", name, got.code)
		}
	}
	if got := v.visit("/accounts/alice", nil, "Host", "rebound.example:9000"); got.code != http.StatusMisdirectedRequest || strings.Contains(got.body, "Holder of alice") {
		t.Errorf("a page asked for by another name is answered %d", got.code)
	}
	b.wantBalances("alice", 0, 0, 100_000)
	v.want(v.visit("/accounts/alice/try/limit", form, "Sec-Fetch-Site", "same-origin"), http.StatusOK, "The limit is set")
	page := v.visit("/accounts/alice", nil)
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got := page.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := page.header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || !strings.Contains(got, "script-src 'self';") || strings.Contains(got, "unsafe") {
		t.Errorf("the policy is %q", got)
	}
	if large := v.visit("/accounts/alice/try/limit", url.Values{"reason": {strings.Repeat("x", 1<<20)}}); large.code != http.StatusRequestEntityTooLarge {
		t.Errorf("a form of a megabyte is answered %d", large.code)
	}
}

// inline is what the policy would not run, and what must therefore not be there.
var inline = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|<[^>]*\s(style|on[a-z]+)=`)

// quoted are the values of attributes.
var quoted = regexp.MustCompile(`"[^"]*"`)

// TestConsoleEscapes puts HTML wherever a caller can put words.
func TestConsoleEscapes(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`
	ctx := t.Context()
	holder := &accountsv1.Holder{FullName: evil, Address: &accountsv1.Address{CountryCode: "GB"}}
	must(b.OpenAccount(ctx, &accountsv1.OpenAccountRequest{AccountId: "mallory", Holder: holder, CreditLimit: pounds(100_000)}))(t)
	must(b.IssueCard(ctx, &accountsv1.IssueCardRequest{AccountId: "mallory", CardId: "mallory-card", Activate: true}))(t)
	must(b.Authorize(ctx, &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_AccountId{AccountId: "mallory"}, TransactionId: "evil",
		Amount: pounds(100), Merchant: &typev1.Merchant{Name: evil, MerchantId: evil[:40], Mcc: "5411", CountryCode: "GB"}}))(t)
	refused := v.visit("/accounts/mallory/try/purchase", v.form("/accounts/mallory/try/purchase", "merchant.name", evil, "merchant.mcc", evil, "amount", evil))
	v.want(refused, http.StatusUnprocessableEntity)
	for path, page := range map[string]servedPage{
		"/accounts": v.visit("/accounts", nil), "/accounts/mallory": v.visit("/accounts/mallory", nil), "search": v.visit("/accounts?q="+url.QueryEscape(evil), nil),
		"transaction": v.visit("/accounts/mallory/transactions/evil", nil), "time": v.visit("/accounts/mallory/time", nil), "refused": refused,
		"form": v.visit("/accounts/mallory/try/clear", nil), "live": v.visit("/live?account="+url.QueryEscape(evil)+"&service="+url.QueryEscape(evil), nil),
		"no such account": v.visit("/accounts/"+url.PathEscape(evil), nil), "line": v.visit("/accounts/mallory/call/purchase", url.Values{"merchant.name": {evil}}),
	} {
		if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") {
			t.Errorf("%s has what was put in as it was: %s", path, page.body)
		}
		if found := inline.FindString(quoted.ReplaceAllString(page.body, `""`)); found != "" {
			t.Errorf("%s has %q, which the policy does not run", path, found)
		}
	}
}

// TestConsoleFormsCountOnce sends forms twice, as a reload or an impatient finger does.
func TestConsoleFormsCountOnce(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	opening := v.form("/accounts/new", "account_id", "alice", "holder.full_name", "Alice Example")
	for range 2 {
		if got := v.visit("/accounts/new", opening); got.code != http.StatusSeeOther || got.header.Get("Location") != "/accounts/alice" {
			t.Fatalf("opening an account is answered %d: %s", got.code, got.body)
		}
	}
	issuing := v.form("/accounts/alice/try/issue", "activate", "on")
	first := v.visit("/accounts/alice/try/issue", issuing)
	v.want(first, http.StatusOK, "The card is issued", `id="card-number"`)
	second := v.visit("/accounts/alice/try/issue", issuing)
	v.want(second, http.StatusOK, "Done before", "cannot be shown again")
	if strings.Contains(second.body, `id="card-number"`) {
		t.Error("the card's number is shown twice")
	}
	number := regexp.MustCompile(`id="card-number"[^>]*>([0-9 ]+)<`).FindStringSubmatch(first.body)
	if number == nil {
		t.Fatalf("no card number on %s", first.body)
	}
	cards := must(b.GetAccount(t.Context(), &accountsv1.GetAccountRequest{AccountId: "alice"}))(t).GetAccount().GetCards()
	if len(cards) != 1 {
		t.Fatalf("%d cards were issued", len(cards))
	}
	buying := v.form("/accounts/alice/try/purchase", "amount", "12.50", "card_id", cards[0].GetCardId(), "merchant.mcc", "5411 Grocery Stores, Supermarkets")
	v.want(v.visit("/accounts/alice/try/purchase", buying), http.StatusOK, "Approved", "£12.50 was allowed")
	v.want(v.visit("/accounts/alice/try/purchase", buying), http.StatusOK, "Approved", "Done before")
	b.wantBalances("alice", 0, 1_250, 98_750)
	buying.Set("amount", "13.00")
	v.want(v.visit("/accounts/alice/try/purchase", buying), http.StatusUnprocessableEntity, "was used before with other content")
	b.wantBalances("alice", 0, 1_250, 98_750)
	for _, page := range []servedPage{second, v.visit("/accounts/alice", nil), v.visit("/accounts/alice/time", nil), v.visit("/accounts/alice/try/purchase", nil)} {
		if plain := strings.ReplaceAll(number[1], " ", ""); strings.Contains(page.body, plain) || strings.Contains(page.body, number[1]) {
			t.Error("the card's number is on a page that does not issue it")
		}
	}
}

// TestConsoleSaysWhatIsWrongWhere fills forms in wrongly.
func TestConsoleSaysWhatIsWrongWhere(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	b.open("alice", 100_000)
	payment := &paymentsv1.SubmitPaymentRequest{AccountId: "alice", PaymentId: "early", Amount: pounds(100),
		Source: &paymentsv1.Source{Type: typev1.PaymentSourceType_PAYMENT_SOURCE_TYPE_CHECKING, SourceId: "bank"}}
	must(paymentsv1.NewPaymentsServiceClient(b.connection).SubmitPayment(t.Context(), payment))(t)
	must(b.authorize(t.Context(), "alice", "tea", 500))(t)
	for name, row := range map[string]struct {
		path            string
		fill            []string
		field, sentence string
	}{
		"an amount that is none":       {"/accounts/alice/try/purchase", []string{"amount", "a lot"}, "amount", "such as 12.34"},
		"an amount with many decimals": {"/accounts/alice/try/purchase", []string{"amount", "1.234"}, "amount", "at most 2 decimals"},
		"an amount below zero":         {"/accounts/alice/try/purchase", []string{"amount", "-1"}, "amount", "must not be below zero"},
		"a category that is none":      {"/accounts/alice/try/purchase", []string{"merchant.mcc", "groceries"}, "merchant-mcc", "four digits"},
		"a country of three letters":   {"/accounts/alice/try/purchase", []string{"merchant.country_code", "GBR"}, "merchant-country_code", "two capital letters"},
		"nothing to clear":             {"/accounts/alice/try/clear", []string{"transaction_id", "tea", "amount", "0"}, "amount", "must be above zero"},
		"a hold that is not there":     {"/accounts/alice/try/reverse", []string{"transaction_id", "coffee", "amount", ""}, "transaction_id", "has no transaction coffee"},
		"a bank without a name":        {"/accounts/alice/try/pay", []string{"source.type", "SAVINGS", "source.source_id", "my bank"}, "source-source_id", "1 to 64 letters"},
		"an id that is taken":          {"/accounts/new", []string{"account_id", "alice", "holder.full_name", "Another"}, "account_id", "used before"},
		"nobody's account":             {"/accounts/new", []string{"holder.full_name", ""}, "holder-full_name", "fill this in"},
		"a country that is none":       {"/accounts/new", []string{"holder.full_name", "A", "holder.address.country_code", "XX"}, "holder-address-country_code", "not a country"},
		"a currency of two letters":    {"/accounts/new", []string{"holder.full_name", "A", "credit_limit.currency_code", "GB"}, "credit_limit-currency_code", "three capital letters"},
		"a profile that is none":       {"/accounts/new", []string{"holder.full_name", "A", "rules_profile", "nope"}, "rules_profile", "no such profile"},
		"a card that is none":          {"/accounts/alice/try/card", []string{"card_id", "nope", "state", "PAUSED"}, "card_id", "has no card nope"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &visitor{t: t, base: v.base}
			page := v.visit(row.path, v.form(row.path, row.fill...))
			if page.code != http.StatusUnprocessableEntity {
				t.Fatalf("answered %d: %s", page.code, page.body)
			}
			said := regexp.MustCompile(`id="field-` + row.field + `-error">([^<]*)<`).FindStringSubmatch(page.body)
			if len(said) < 2 || !strings.Contains(said[1], row.sentence) {
				t.Errorf("at %s it says %q, want %q", row.field, said, row.sentence)
			}
		})
	}
	v.want(v.visit("/accounts/alice/try/purchase", v.form("/accounts/alice/try/purchase", "amount", "5000", "card_id", "alice-card")), http.StatusOK,
		"Declined", "does not fit into the credit limit", "response code 51")
}

// TestConsoleFindsAccounts searches.
func TestConsoleFindsAccounts(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	for i := range 45 {
		b.open(fmt.Sprintf("acct-%02d", i), 100_000)
	}
	number := b.open("Zoe", 100_000)
	has := func(page servedPage) (found []string) {
		for _, row := range regexp.MustCompile(`<small class="mono">([^<]+)</small>`).FindAllStringSubmatch(page.body, -1) {
			found = append(found, row[1])
		}
		return found
	}
	for query, want := range map[string]string{
		"acct-44": "[acct-44]", "acct-1": "[acct-10 acct-11 acct-12 acct-13 acct-14 acct-15 acct-16 acct-17 acct-18 acct-19]",
		"holder of zo": "[Zoe]", "Zoe-card": "[Zoe]", number[12:]: "[Zoe]", "nobody": "[]",
	} {
		if got := fmt.Sprint(has(v.visit("/accounts?q="+url.QueryEscape(query), nil))); got != want && query != number[12:] || !strings.Contains(got, strings.Trim(want, "[]")) {
			t.Errorf("%q finds %s, want %s", query, got, want)
		}
	}
	page := v.visit("/accounts?q="+number, nil)
	v.want(page, http.StatusOK, "looks like a card number")
	if strings.Contains(page.body, number) {
		t.Error("a card number that was searched for is on the page")
	}
	var listed []string
	for path := "/accounts"; path != ""; {
		page := v.visit(path, nil)
		listed = append(listed, has(page)...)
		next := regexp.MustCompile(`href="(/accounts\?after=[^"]+)"`).FindStringSubmatch(page.body)
		if path = ""; next != nil {
			path = next[1]
		}
	}
	if len(listed) != 46 || listed[0] != "Zoe" {
		t.Errorf("paging lists %d accounts: %v", len(listed), listed)
	}
}

// TestConsoleOverServicesApart has the console ask the services where they run: here accounts and the rest are behind two addresses, and one behind none.
func TestConsoleOverServicesApart(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	b.open("alice", 100_000)
	gone := must(dial("127.0.0.1:1"))(t)
	t.Cleanup(func() { _ = gone.Close() })
	servers := []console.Server{{Address: "127.0.0.1:1", Connection: gone}, {Address: "the bank", Connection: b.connection}}
	apart := must(console.New(servers, console.Options{}))(t)
	v := serveVisitor(t, apart)
	v.want(v.visit("/accounts/alice", nil), http.StatusOK, "Holder of alice")
	v.want(v.visit("/health", nil), http.StatusOK, "127.0.0.1:1 does not answer", "the bank")
	v.want(v.visit("/live", nil), http.StatusOK, "The feed is not connected")
	alone := must(console.New(servers[:1], console.Options{}))(t)
	v.want(serveVisitor(t, alone).visit("/accounts", nil), http.StatusServiceUnavailable, "cardlog cannot be reached", "Try again")
	none := must(console.New([]console.Server{servers[0], servers[0]}, console.Options{}))(t)
	v.want(serveVisitor(t, none).visit("/accounts", nil), http.StatusServiceUnavailable, "no other server has accounts")
	if _, err := console.New(nil, console.Options{}); err == nil {
		t.Error("a console that asks nobody is made")
	}
}

// serveVisitor serves a console until the test ends.
func serveVisitor(t *testing.T, c *console.Console) *visitor {
	t.Helper()
	listener := must((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	server := c.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return &visitor{t: t, base: "http://" + listener.Addr().String()}
}

// TestConsoleDecidesByTheCallItShows makes the call that a form shows instead of sending the form: both do the same.
func TestConsoleDecidesByTheCallItShows(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	b.open("alice", 100_000)
	form := v.form("/accounts/alice/try/purchase", "amount", "7.25", "card_id", "alice-card", "merchant.name", "O'Hara & Sons", "merchant.mcc", "5812")
	shown := v.visit("/accounts/alice/call/purchase", form)
	v.want(shown, http.StatusOK)
	line := strings.ReplaceAll(html.UnescapeString(shown.body), `'\''`, "\x00")
	call := regexp.MustCompile(`^<code>grpcurl -plaintext -d '([^']+)' \S+ (\S+)</code>$`).FindStringSubmatch(line)
	if call == nil {
		t.Fatalf("the line is %q", shown.body)
	}
	if err := b.call(call[2], strings.ReplaceAll(call[1], "\x00", "'")); err != nil {
		t.Fatal(err)
	}
	b.wantBalances("alice", 0, 725, 99_275)
	v.want(v.visit("/accounts/alice/try/purchase", form), http.StatusOK, "Approved", "Done before")
	b.wantBalances("alice", 0, 725, 99_275)
}

// TestStatusTellsOfDecisions counts what was decided.
func TestStatusTellsOfDecisions(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	b.open("alice", 100_000)
	for i := range 5 {
		must(b.authorize(t.Context(), "alice", fmt.Sprint("tea-", i), 100))(t)
	}
	decisions := must(adminv1.NewOperationsServiceClient(b.connection).GetStatus(t.Context(), &adminv1.GetStatusRequest{}))(t).GetDecisions()
	var counted uint64
	for _, bucket := range decisions.GetLatency() {
		counted += bucket.GetDecided()
	}
	if decisions.GetDecided() != 5 || counted != 5 {
		t.Errorf("%d decisions are told of, %d of them with how long they took; want 5", decisions.GetDecided(), counted)
	}
}

// TestConsoleTriesWhatComesBetween sets controls that decline a purchase, and does to another what can happen before and after it is cleared.
func TestConsoleTriesWhatComesBetween(t *testing.T) {
	t.Parallel()
	b, v := startConsole(t)
	b.open("alice", 100_000)
	try := func(action string, fill ...string) servedPage {
		t.Helper()
		return v.visit("/accounts/alice/try/"+action, v.form("/accounts/alice/try/"+action, fill...))
	}
	refused := try("controls", "card_id", "alice-card", "day_count", "often", "controls.max_amount", "no money")
	v.want(refused, http.StatusUnprocessableEntity, "It is a whole number, 1 or more.")
	v.want(try("controls", "card_id", "alice-card", "controls.allowed_countries", "France"), http.StatusUnprocessableEntity, `id="field-controls-allowed_countries`)
	v.want(try("controls", "card_id", "alice-card", "controls.max_amount", "60.00", "day_amount", "100", "day_count", "3", "controls.blocked_mccs", "7995", "controls.allowed_countries", "gb, fr"),
		http.StatusOK, "The controls are set")
	v.want(v.visit("/accounts/alice", nil), http.StatusOK, "up to £60.00 for one purchase", "up to £100.00 a day", "3 purchases a day", "only in GB, FR")
	v.want(try("purchase", "card_id", "alice-card", "amount", "60.01"), http.StatusOK, "Nothing moved: amount limit exceeded")

	v.want(try("purchase", "card_id", "alice-card", "amount", "50.00", "transaction_id", "hotel"), http.StatusOK, "£50.00 was allowed")
	v.want(try("increment", "transaction_id", "hotel", "amount", "10.00"), http.StatusOK, "£10.00 more was allowed", "£60.00 is held")
	v.want(try("increment", "transaction_id", "hotel", "amount", "0.01"), http.StatusOK, "Nothing moved: amount limit exceeded")
	v.want(try("complete", "transaction_id", "hotel", "amount", "42.00"), http.StatusOK, "The purchase came to £42.00", "£42.00 is held")
	v.want(try("complete", "transaction_id", "hotel", "amount", "41.00"), http.StatusOK, "Nothing moved", "completion already received")
	v.want(try("clear", "transaction_id", "hotel", "amount", "42.00"), http.StatusOK, "£42.00 was posted")
	v.want(try("dispute", "transaction_id", "hotel", "amount", "12.00"), http.StatusOK, "£12.00 is not owed while the dispute is open")
	b.wantBalances("alice", 3_000, 0, 97_000)
}
