package console

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// tryView is the page on which things are tried.
type tryView struct {
	Account  *accountsv1.Account
	Balances *balancesView
	Groups   []actionGroup
	Action   *action
	Form     *form
	Missing  string // why there is nothing to fill in
	Result   *result
}

// actionGroup is a part of the list of actions.
type actionGroup struct {
	Name    string
	Actions []actionLink
}

type actionLink struct {
	Title, Path string
	Chosen      bool
}

func actionPath(accountID, name string) string {
	return "/accounts/" + url.PathEscape(accountID) + "/try/" + name
}

// trying is what is known when a form is made.
type trying struct {
	account      *accountsv1.Account
	balances     *balancesView
	transactions []*transactionsv1.Transaction // the newest
	payments     []*paymentsv1.Payment         // likewise
	of           string                        // the transaction, payment or card that was chosen before
}

func (t *trying) id() string       { return t.account.GetAccountId() }
func (t *trying) currency() string { return t.account.GetCreditLimit().GetCurrencyCode() }

// tryAccounts is how many accounts are offered.
const tryAccounts = 8

// tryPage is how many transactions and payments are offered.
const tryPage = 50

func (c *Console) trying(ctx context.Context, accountID, of string) (*trying, error) {
	t := &trying{of: of}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		answer, err := c.accounts.GetAccount(ctx, &accountsv1.GetAccountRequest{AccountId: accountID})
		t.account = answer.GetAccount()
		return err
	})
	group.Go(func() (err error) {
		t.balances, err = c.balance(ctx, accountID)
		return err
	})
	group.Go(func() error {
		answer, err := c.transactions.ListTransactions(ctx, &transactionsv1.ListTransactionsRequest{
			Account: &transactionsv1.ListTransactionsRequest_AccountId{AccountId: accountID}, PageSize: tryPage})
		t.transactions = answer.GetTransactions()
		return err
	})
	group.Go(func() error {
		answer, err := c.payments.ListPayments(ctx, &paymentsv1.ListPaymentsRequest{AccountId: accountID, PageSize: tryPage})
		t.payments = answer.GetPayments()
		return err
	})
	return t, group.Wait()
}

// showTry offers accounts to try things on.
func (c *Console) showTry(w http.ResponseWriter, r *http.Request) error {
	accounts, _, err := c.listAccounts(r.Context(), "", tryAccounts)
	if err != nil {
		return err
	}
	rows, err := c.withBalances(r.Context(), accounts)
	if err != nil {
		return err
	}
	return c.show(w, r, "try", view{Title: "Try it", Section: "try", Content: struct {
		AccountID, CardID string
		Rows              []accountRow
	}{newID("acct"), newID("card"), rows}})
}

// openToTry opens an account with a card. Sent twice it opens one.
func (c *Console) openToTry(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	accountID := r.PostForm.Get("account_id")
	_, err := c.accounts.OpenAccount(r.Context(), &accountsv1.OpenAccountRequest{AccountId: accountID,
		Holder:      &accountsv1.Holder{FullName: "Robin Example", Address: &accountsv1.Address{CountryCode: "GB"}},
		CreditLimit: &typev1.Money{CurrencyCode: "GBP", MinorUnits: 1_000_00}})
	if err != nil {
		return err
	}
	if _, err := c.accounts.IssueCard(r.Context(), &accountsv1.IssueCardRequest{AccountId: accountID, CardId: r.PostForm.Get("card_id"), Activate: true}); err != nil {
		return err
	}
	http.Redirect(w, r, actionPath(accountID, "purchase"), http.StatusSeeOther)
	return nil
}

// showAction shows the form of one action.
func (c *Console) showAction(w http.ResponseWriter, r *http.Request) error {
	chosen := actionNamed(r.PathValue("action"))
	if chosen == nil {
		return c.showNothing(w, r)
	}
	t, err := c.trying(r.Context(), r.PathValue("account"), r.FormValue("of"))
	if err != nil {
		return err
	}
	c.writeTry(w, r, http.StatusOK, t, chosen, c.formOf(r.Context(), t, chosen), nil)
	return nil
}

// formOf makes an action's form; nil where there is nothing to do it to.
func (c *Console) formOf(ctx context.Context, t *trying, chosen *action) *form {
	f := newForm(chosen, t)
	if f != nil {
		f.Line = c.line(ctx, chosen, t.id(), f)
	}
	return f
}

// currencyField is the account's currency, sent unseen with each form: it says how many decimals amounts have.
const currencyField = "currency"

func newForm(chosen *action, t *trying) *form {
	fields := chosen.fields(t)
	if fields == nil {
		return nil
	}
	fields = append(fields, &field{Name: currencyField, Kind: kindID, Value: t.currency()})
	return &form{Path: actionPath(t.id(), chosen.Name), Call: "/accounts/" + url.PathEscape(t.id()) + "/call/" + chosen.Name, Fields: fields, Button: chosen.Button}
}

// line is the call that a form makes as it is filled in.
func (c *Console) line(ctx context.Context, chosen *action, accountID string, f *form) string {
	draft := &form{Fields: make([]*field, len(f.Fields))}
	for i, one := range f.Fields {
		same := *one
		draft.Fields[i] = &same // what is wrong with it is not for the form that is shown
	}
	return grpcurl(c.router.address(ctx, chosen.method), chosen.method, chosen.request(accountID, draft))
}

// act does an action. Sent twice it is done once: the ids were made when the form was shown.
func (c *Console) act(w http.ResponseWriter, r *http.Request) error {
	chosen := actionNamed(r.PathValue("action"))
	if chosen == nil {
		return c.showNothing(w, r)
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	accountID := r.PathValue("account")
	f := filled(chosen, accountID, r.PostForm)
	request := chosen.request(accountID, f)
	var done *result
	var refused error
	if !f.wrong() {
		if done, refused = c.make(r.Context(), chosen, accountID, request); refused != nil {
			f.refuse(refused)
		}
	}
	t, err := c.trying(r.Context(), accountID, f.chosen())
	if err != nil { // whatever became of it is shown all the same, without what there is on the account now
		t = anything(accountID, r.PostForm)
	}
	code := http.StatusOK
	if done == nil {
		code = codeOfForm(refused)
		f.offer(chosen.fields(t))
		f.Line = c.line(r.Context(), chosen, accountID, f)
	} else {
		f = c.anew(r.Context(), t, chosen, f)
	}
	c.writeTry(w, r, code, t, chosen, f, done)
	return nil
}

// make makes the call of an action.
func (c *Console) make(ctx context.Context, chosen *action, accountID string, request proto.Message) (*result, error) {
	response := chosen.response()
	if err := c.router.Invoke(ctx, chosen.method, request, response); err != nil {
		return nil, err
	}
	done := resultOf(accountID, response)
	done.Line = grpcurl(c.router.address(ctx, chosen.method), chosen.method, request)
	return done, nil
}

// anew is an action's form after it was done: with new ids, and with what was typed before.
func (c *Console) anew(ctx context.Context, t *trying, chosen *action, before *form) *form {
	f := c.formOf(ctx, t, chosen)
	if f != nil {
		f.keep(before)
		f.Line = c.line(ctx, chosen, t.id(), f)
	}
	return f
}

// filled is an action's form as it was filled in. What there is to choose from is not asked for: the services know what exists.
func filled(chosen *action, accountID string, values url.Values) *form {
	f := newForm(chosen, anything(accountID, values))
	f.take(values)
	return f
}

// anything is an account on which whatever was sent can be chosen, so that each action has its form.
func anything(accountID string, values url.Values) *trying {
	in := func(minor int64) *typev1.Money {
		return &typev1.Money{CurrencyCode: values.Get(currencyField), MinorUnits: minor}
	}
	return &trying{
		account:      &accountsv1.Account{AccountId: accountID, CreditLimit: in(0), Cards: []*accountsv1.Card{{CardId: values.Get("card_id")}}},
		transactions: []*transactionsv1.Transaction{{TransactionId: values.Get("transaction_id"), Held: in(1), Cleared: in(1), Refunded: in(0)}},
		payments: []*paymentsv1.Payment{
			{PaymentId: values.Get("payment_id"), Status: typev1.PaymentStatus_PAYMENT_STATUS_SUBMITTED},
			{PaymentId: values.Get("payment_id"), Status: typev1.PaymentStatus_PAYMENT_STATUS_HELD},
		},
	}
}

// chosen is the transaction or payment that a form was about.
func (f *form) chosen() string {
	for _, name := range []string{"transaction_id", "payment_id"} {
		if one := f.named(name); one != nil && one.Kind == kindSelect {
			return one.Value
		}
	}
	return ""
}

// keep takes into a form what was typed into the one before it, save ids, choices of what has changed since, and amounts that go with them.
func (f *form) keep(before *form) {
	for _, one := range f.Fields {
		old := before.named(one.Name)
		if old == nil || one.Kind == kindID || one.Kind == kindSelect || f.filledByChoice(one.Name) {
			continue
		}
		one.Value = old.Value
	}
}

// filledByChoice says whether a field takes its amount from what is chosen in another.
func (f *form) filledByChoice(name string) bool {
	for _, one := range f.Fields {
		if one.Fills == name {
			return true
		}
	}
	return false
}

// offer gives a form that was filled in the choices that there are now.
func (f *form) offer(fields []*field) {
	for _, now := range fields {
		if one := f.named(now.Name); one != nil {
			one.Options = now.Options
		}
	}
}

// showCall shows the call that a form would make as it is filled in now.
func (c *Console) showCall(w http.ResponseWriter, r *http.Request) error {
	chosen := actionNamed(r.PathValue("action"))
	if chosen == nil {
		return c.showNothing(w, r)
	}
	if err := r.ParseForm(); err != nil {
		return err
	}
	f := filled(chosen, r.PathValue("account"), r.PostForm)
	return c.showFragment(w, "line", c.line(r.Context(), chosen, r.PathValue("account"), f))
}

func (c *Console) writeTry(w http.ResponseWriter, r *http.Request, code int, t *trying, chosen *action, f *form, done *result) {
	content := &tryView{Account: t.account, Balances: t.balances, Action: chosen, Form: f, Result: done}
	if f == nil {
		content.Missing = chosen.missing
	}
	for _, one := range actions {
		if len(content.Groups) == 0 || content.Groups[len(content.Groups)-1].Name != one.group {
			content.Groups = append(content.Groups, actionGroup{Name: one.group})
		}
		group := &content.Groups[len(content.Groups)-1]
		group.Actions = append(group.Actions, actionLink{Title: one.Title, Path: actionPath(t.id(), one.Name), Chosen: one.Name == chosen.Name})
	}
	c.write(w, r, code, "action", view{Title: chosen.Title, Section: "try", Account: t.id(), Tab: "try", Content: content})
}
