package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

const (
	// accountsPage is how many accounts a page has.
	accountsPage = 20
	// searchPage is how many accounts are read at a time to look for a name, and searchBound how many at most.
	searchPage, searchBound = 500, 10_000
	// callsAtOnce is how many calls one page makes at the same time.
	callsAtOnce = 8
)

// accountsView is the page of all accounts.
type accountsView struct {
	Query    string
	Rows     []accountRow
	After    string // the last account of the page before; empty on the first page
	Next     string // the address of the next page; empty on the last
	Searched string // what the search looked through, where it did not look through all
	Refused  string // why the search was not made
}

// accountRow is one account of the list.
type accountRow struct {
	*accountsv1.Account
	Balances *balancesView // nil where they cannot be told just now
}

// idPattern is what ids look like.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// numberPattern is what card numbers look like.
var numberPattern = regexp.MustCompile(`^[0-9 -]{12,23}$`)

// showAccounts shows a page of accounts, or what a search found.
func (c *Console) showAccounts(w http.ResponseWriter, r *http.Request) error {
	content := accountsView{Query: strings.TrimSpace(r.FormValue("q")), After: r.FormValue("after")}
	var found []*accountsv1.Account
	var err error
	switch {
	case numberPattern.MatchString(content.Query) && len(digits(content.Query)) >= 12:
		content.Query, content.Refused = "", "That looks like a card number. Card numbers are not searched for, since an address stays in the browser's history: search for the card's id or its last four digits."
	case content.Query != "":
		found, content.Searched, err = c.search(r.Context(), content.Query)
	default:
		var next string
		found, next, err = c.listAccounts(r.Context(), content.After, accountsPage)
		if next != "" {
			content.Next = "/accounts?after=" + url.QueryEscape(next)
		}
	}
	if err != nil {
		return err
	}
	if content.Rows, err = c.withBalances(r.Context(), found); err != nil {
		return err
	}
	return c.show(w, r, "accounts", view{Title: "Accounts", Section: "accounts", Content: content})
}

// digits are the digits of a text.
func digits(text string) string {
	return strings.Map(func(letter rune) rune {
		if letter < '0' || letter > '9' {
			return -1
		}
		return letter
	}, text)
}

func (c *Console) listAccounts(ctx context.Context, after string, size int32) ([]*accountsv1.Account, string, error) {
	answer, err := c.accounts.ListAccounts(ctx, &accountsv1.ListAccountsRequest{PageSize: size, PageToken: after})
	return answer.GetAccounts(), answer.GetNextPageToken(), err
}

// errEnough ends a search that has a page full.
var errEnough = errors.New("enough")

// search finds accounts by the beginning of their id, by the id of a card, and by a part of their id, of the holder's name, or a card's last four digits. The
// first two find whatever there is; for the rest it reads through the first accounts, and says so where there are more.
func (c *Console) search(ctx context.Context, query string) (found []*accountsv1.Account, searched string, err error) {
	known := map[string]bool{}
	add := func(account *accountsv1.Account) error {
		if account != nil && !known[account.GetAccountId()] {
			known[account.GetAccountId()] = true
			found = append(found, account)
		}
		if len(found) >= accountsPage {
			return errEnough
		}
		return nil
	}
	if idPattern.MatchString(query) {
		err = c.searchIDs(ctx, query, add)
	}
	if err == nil {
		searched, err = c.searchAll(ctx, strings.ToLower(query), add)
	}
	if errors.Is(err, errEnough) {
		return found, "These are the first " + count(len(found)) + " matches. Type more to see fewer.", nil
	}
	return found, searched, err
}

// searchIDs finds the account of that id, that of a card of that id, and those whose ids begin so: the token of a page is the account before it.
func (c *Console) searchIDs(ctx context.Context, query string, add func(*accountsv1.Account) error) error {
	for _, id := range []string{query, c.accountOfCard(ctx, query)} {
		if id == "" {
			continue
		}
		answer, err := c.accounts.GetAccount(ctx, &accountsv1.GetAccountRequest{AccountId: id})
		if err != nil && status.Code(err) != codes.NotFound {
			return err
		}
		if err := add(answer.GetAccount()); err != nil {
			return err
		}
	}
	after, _, err := c.listAccounts(ctx, query, accountsPage)
	if err != nil {
		return err
	}
	for _, account := range after {
		if strings.HasPrefix(account.GetAccountId(), query) {
			if err := add(account); err != nil {
				return err
			}
		}
	}
	return nil
}

// accountOfCard returns the account of a card; empty where there is none.
func (c *Console) accountOfCard(ctx context.Context, cardID string) string {
	answer, err := c.transactions.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_CardId{CardId: cardID}})
	if err != nil {
		return "" // whatever it is, the search goes on without
	}
	return answer.GetAccountId()
}

// searchAll reads through the accounts.
func (c *Console) searchAll(ctx context.Context, query string, add func(*accountsv1.Account) error) (searched string, err error) {
	after, read := "", 0
	for read < searchBound {
		accounts, next, err := c.listAccounts(ctx, after, searchPage)
		if err != nil {
			return "", err
		}
		for _, account := range accounts {
			if matches(account, query) {
				if err := add(account); err != nil {
					return "", err
				}
			}
		}
		read += len(accounts)
		if after = next; after == "" {
			return "", nil
		}
	}
	return "Names and last four digits were looked up in the first " + count(read) + " accounts, ids in all.", nil
}

// matches says whether an account is what is searched for, in lower case.
func matches(account *accountsv1.Account, query string) bool {
	if strings.Contains(strings.ToLower(account.GetAccountId()), query) || strings.Contains(strings.ToLower(account.GetHolder().GetFullName()), query) {
		return true
	}
	for _, card := range account.GetCards() {
		if card.GetLastFour() == query {
			return true
		}
	}
	return false
}

// withBalances asks for the balances of accounts. Where they cannot be told, as in the moment after an account was opened, the row is shown without.
func (c *Console) withBalances(ctx context.Context, accounts []*accountsv1.Account) ([]accountRow, error) {
	rows := make([]accountRow, len(accounts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(callsAtOnce)
	for i, account := range accounts {
		rows[i].Account = account
		group.Go(func() error {
			if balance, err := c.balance(ctx, account.GetAccountId()); err == nil {
				rows[i].Balances = balance
			}
			return ctx.Err()
		})
	}
	return rows, group.Wait()
}

// openForm is the form that opens an account.
func openForm() *form {
	return &form{Path: "/accounts/new", Call: "/accounts/new/call", Button: "Open the account", Fields: []*field{
		{Name: "account_id", Label: "Account id", Kind: kindText, Value: newID("acct"), Length: 64, Hint: "Letters, digits, hyphens and underscores. It cannot be changed later."},
		{Name: "holder.full_name", Label: "Holder's name", Kind: kindText, Length: 200},
		{Name: "holder.address.country_code", Label: "Country", Kind: kindText, Value: "GB", Length: 2, Hint: "Two letters, such as GB."},
		{Name: "credit_limit.currency_code", Label: "Currency", Kind: kindText, Value: "GBP", Length: 3, Hint: "Three letters, such as GBP. All of the account is kept in it."},
		{Name: "credit_limit", Label: "Credit limit", Kind: kindMoney, Value: "1000.00"},
		{Name: "rules_profile", Label: "Rules profile", Kind: kindText, Length: 64, Optional: true, Hint: "Empty: the default one."},
	}}
}

// openRequest makes the call of the form.
func openRequest(f *form) *accountsv1.OpenAccountRequest {
	currency := strings.ToUpper(f.text("credit_limit.currency_code"))
	f.named("credit_limit").Currency = currency
	return &accountsv1.OpenAccountRequest{
		AccountId: f.text("account_id"),
		Holder: &accountsv1.Holder{FullName: f.text("holder.full_name"),
			Address: &accountsv1.Address{CountryCode: strings.ToUpper(f.text("holder.address.country_code"))}},
		CreditLimit: f.money("credit_limit"), RulesProfile: f.text("rules_profile"),
	}
}

func (c *Console) showOpen(w http.ResponseWriter, r *http.Request) error {
	f := openForm()
	f.Line = c.openLine(r.Context(), f)
	return c.show(w, r, "open", view{Title: "Open an account", Section: "accounts", Content: f})
}

func (c *Console) openLine(ctx context.Context, f *form) string {
	const method = accountsv1.AccountsService_OpenAccount_FullMethodName
	return grpcurl(c.router.address(ctx, method), method, openRequest(f))
}

// open opens an account. Sent twice it opens one.
func (c *Console) open(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f := openForm()
	f.take(r.PostForm)
	request := openRequest(f)
	var err error
	if !f.wrong() {
		_, err = c.accounts.OpenAccount(r.Context(), request)
		if err == nil {
			http.Redirect(w, r, "/accounts/"+url.PathEscape(request.GetAccountId()), http.StatusSeeOther)
			return nil
		}
		f.refuse(err)
	}
	f.Line = c.openLine(r.Context(), f)
	c.write(w, r, codeOfForm(err), "open", view{Title: "Open an account", Section: "accounts", Content: f})
	return nil
}

// showOpenCall shows the call that the form would make as it is filled in now.
func (c *Console) showOpenCall(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	f := openForm()
	f.take(r.PostForm)
	return c.showFragment(w, "line", c.openLine(r.Context(), f))
}
