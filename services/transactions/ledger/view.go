package ledger

import "time"

// View is what a balance inquiry sees of an account. It does not change once made.
type View struct {
	// Balances after the event with the Sequence, decided at DecidedAt.
	Balances  Balances
	Sequence  uint64
	DecidedAt time.Time
	// NextDue is when the first hold or withholding comes due; zero when there is none. Until then Balances are those of now.
	NextDue time.Time
	// AccountsSequence is the newest event of ACCOUNTS that was carried in.
	AccountsSequence uint64
	// PaymentsSequence is the newest movement of PAYMENTS that was carried in.
	PaymentsSequence uint64
}

// View returns what a balance inquiry sees now.
func (a *Account) View() View {
	due, _ := a.NextDue()
	return View{
		Balances: a.balances, Sequence: a.sequence, DecidedAt: a.decidedAt, NextDue: due,
		AccountsSequence: a.accountsSequence, PaymentsSequence: a.paymentsSequence,
	}
}
