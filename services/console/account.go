package console

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

const (
	// transactionsPage is how many transactions a page has.
	transactionsPage = 25
	// paymentsPage is how many payments an account's page shows: the newest.
	paymentsPage = 8
)

// accountView is the page of an account.
type accountView struct {
	Account      *accountsv1.Account
	Balances     *balancesView
	Transactions transactionsView
	Payments     []*paymentsv1.Payment
}

// transactionsView is a page of transactions.
type transactionsView struct {
	AccountID string
	Rows      []transactionRow
	First     bool   // it has the newest
	Next      string // the address of the next page; empty on the last
}

// showAccount shows an account.
func (c *Console) showAccount(w http.ResponseWriter, r *http.Request) error {
	content, err := c.accountView(r.Context(), r.PathValue("account"), r.FormValue("before"))
	if err != nil {
		return err
	}
	return c.show(w, r, "account", view{Title: content.title(), Section: "accounts", Account: content.Account.GetAccountId(), Tab: "account", Content: content})
}

// title is what an account is called: by its holder, where that is known.
func (v *accountView) title() string { return accountTitle(v.Account) }

func accountTitle(account *accountsv1.Account) string {
	if name := account.GetHolder().GetFullName(); name != "" {
		return name
	}
	return account.GetAccountId()
}

// accountView asks for all that an account's page shows.
func (c *Console) accountView(ctx context.Context, accountID, before string) (*accountView, error) {
	v := &accountView{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		answer, err := c.accounts.GetAccount(ctx, &accountsv1.GetAccountRequest{AccountId: accountID})
		v.Account = answer.GetAccount()
		return err
	})
	group.Go(func() (err error) {
		v.Balances, err = c.balance(ctx, accountID)
		return err
	})
	group.Go(func() (err error) {
		v.Transactions, err = c.transactionsView(ctx, accountID, before)
		return err
	})
	group.Go(func() error {
		answer, err := c.payments.ListPayments(ctx, &paymentsv1.ListPaymentsRequest{AccountId: accountID, PageSize: paymentsPage})
		v.Payments = answer.GetPayments()
		return err
	})
	return v, group.Wait()
}

// balance asks for an account's balances now.
func (c *Console) balance(ctx context.Context, accountID string) (*balancesView, error) {
	answer, err := c.transactions.GetBalance(ctx, &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: accountID}})
	if err != nil {
		return nil, err
	}
	return newBalancesView(accountID, answer.GetSequence(), answer.GetBalances()), nil
}

// balancesView are an account's balances, with the bar that divides the limit.
type balancesView struct {
	*transactionsv1.Balances
	AccountID string
	Sequence  uint64
	Parts     []part
	Limit     float64 // where the limit is on the bar, where that is not its end; else 0
}

// part is a part of the bar. The bar is barWidth wide.
type part struct {
	Name, Class string
	Amount      *typev1.Money
	Meaning     string
	X, Width    float64
}

const barWidth = 1000

// newBalancesView divides the bar: the limit, or what is more than it where the account is over it, or has been paid more than it owes.
func newBalancesView(accountID string, sequence uint64, b *transactionsv1.Balances) *balancesView {
	v := &balancesView{Balances: b, AccountID: accountID, Sequence: sequence, Parts: []part{
		{Name: "Posted", Class: "posted", Amount: b.GetPosted(), Meaning: "owed"},
		{Name: "Pending", Class: "pending", Amount: b.GetPending(), Meaning: "held for purchases not cleared yet"},
		{Name: "Withheld", Class: "withheld", Amount: b.GetWithheld(), Meaning: "paid, not to be spent yet"},
		{Name: "Available", Class: "available", Amount: b.GetAvailable(), Meaning: "can be spent"},
	}}
	if b.GetPosted().GetMinorUnits() < 0 {
		v.Parts[0].Meaning = "paid more than owed"
	}
	var whole float64
	for _, one := range v.Parts {
		whole += max(0, float64(one.Amount.GetMinorUnits()))
	}
	if whole == 0 {
		return v
	}
	at := 0.0
	for i := range v.Parts {
		one := &v.Parts[i]
		one.X, one.Width = at, barWidth*max(0, float64(one.Amount.GetMinorUnits()))/whole
		at += one.Width
	}
	if limit := float64(b.GetCreditLimit().GetMinorUnits()); limit < whole {
		v.Limit = barWidth * limit / whole
	}
	return v
}

// Over says by how much the account is over its limit; nil where it is not.
func (v *balancesView) Over() *typev1.Money {
	if over := -v.GetAvailable().GetMinorUnits(); over > 0 {
		return &typev1.Money{CurrencyCode: v.GetAvailable().GetCurrencyCode(), MinorUnits: over}
	}
	return nil
}

// transactionsView asks for a page of transactions.
func (c *Console) transactionsView(ctx context.Context, accountID, before string) (transactionsView, error) {
	v := transactionsView{AccountID: accountID, First: before == ""}
	answer, err := c.transactions.ListTransactions(ctx, &transactionsv1.ListTransactionsRequest{
		Account: &transactionsv1.ListTransactionsRequest_AccountId{AccountId: accountID}, PageSize: transactionsPage, PageToken: before})
	if err != nil {
		return v, err
	}
	if next := answer.GetNextPageToken(); next != "" {
		v.Next = "/accounts/" + url.PathEscape(accountID) + "?before=" + url.QueryEscape(next) + "#transactions"
	}
	v.Rows, err = c.transactionRows(ctx, accountID, answer.GetTransactions())
	return v, err
}

// transactionRow is a transaction of the list.
type transactionRow struct {
	*transactionsv1.Transaction
	AccountID string
	Amount    *typev1.Money // what it comes to for the cardholder; for one that came to nothing, what was asked
	Moved     bool          // the amount counts
}

// transactionRows makes the rows of a list. A declined purchase has no amount in the list: what was asked is in its first entry.
func (c *Console) transactionRows(ctx context.Context, accountID string, transactions []*transactionsv1.Transaction) ([]transactionRow, error) {
	rows := make([]transactionRow, len(transactions))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(callsAtOnce)
	for i, t := range transactions {
		amount, moved := amountOf(t)
		rows[i] = transactionRow{Transaction: t, AccountID: accountID, Amount: amount, Moved: moved}
		if amount != nil {
			continue
		}
		group.Go(func() error {
			whole, err := c.transaction(ctx, accountID, t.GetTransactionId())
			if err == nil && len(whole.GetEntries()) > 0 {
				rows[i].Amount = whole.GetEntries()[0].GetAmount()
			}
			return err
		})
	}
	return rows, group.Wait()
}

// amountOf is what a transaction comes to, as the balance feels it: a purchase above zero, money for the cardholder below. It is nil where nothing ever moved.
func amountOf(t *transactionsv1.Transaction) (amount *typev1.Money, moved bool) {
	currency := t.GetAuthorized().GetCurrencyCode()
	in := func(minor int64) *typev1.Money { return &typev1.Money{CurrencyCode: currency, MinorUnits: minor} }
	cleared, held, refunded := t.GetCleared().GetMinorUnits(), t.GetHeld().GetMinorUnits(), t.GetRefunded().GetMinorUnits()
	switch {
	case t.GetPaid() != nil:
		return in(-t.GetPaid().GetMinorUnits()), t.GetReturned().GetMinorUnits() == 0
	case cleared+held != 0:
		return in(cleared + held), true
	case refunded != 0:
		return in(-refunded), true
	case t.GetAuthorized().GetMinorUnits() != 0:
		return t.GetAuthorized(), false
	case t.GetStatus() == transactionsv1.TransactionStatus_TRANSACTION_STATUS_VERIFIED:
		return in(0), false
	default:
		return nil, false
	}
}

// Title is what a transaction is called.
func (t transactionRow) Title() string { return transactionTitle(t.Transaction) }

func transactionTitle(t *transactionsv1.Transaction) string {
	switch {
	case t.GetType() == transactionsv1.TransactionType_TRANSACTION_TYPE_PAYMENT:
		return "Payment"
	case t.GetMerchant().GetName() != "":
		return t.GetMerchant().GetName()
	case t.GetType() == transactionsv1.TransactionType_TRANSACTION_TYPE_REFUND:
		return "Refund"
	default:
		return "Purchase"
	}
}

// IsPayment says whether it is a payment.
func (t transactionRow) IsPayment() bool {
	return t.GetType() == transactionsv1.TransactionType_TRANSACTION_TYPE_PAYMENT
}
