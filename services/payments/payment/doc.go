// Package payment is the rules of payments: whether a payment is taken, held for review or rejected, and how it is released, cancelled or returned.
// It is pure: state and command in, one event or an error out. Time and ids are arguments; it does no I/O, reads no clock and rolls no dice.
//
// An [Account] is the fold of its events. [Account.Decide] answers a command with exactly one event and changes nothing; [Account.Apply] folds the event in.
// Every event carries the whole payment after it. A rejection is an event too: a rejected id stays rejected. What can never succeed as it stands
// (another currency, a payment that is not there) is an error, and nothing is stored.
//
// # Words
//
// Amounts are int64 in minor units of the account's currency.
//
//   - submitted: the payment is taken and on its way: what is owed falls by it. Its bank can return it, nobody can cancel it.
//   - held: it waits for a review, and nothing has moved. A release takes it, a cancel gives it up.
//   - returned: its bank sent it back: what is owed rose again.
//   - rejected, cancelled, returned: the end. Another payment has another id.
//   - withheld: of a payment that was taken, what cannot be spent yet. It ends by itself after withhold_days, or by a release before.
//   - movement: an event that moves money or ends a withholding: submitted, released, returned, withholding ended. The ledger follows these. Each event names the
//     movement before it, so a missing one is noticed.
//   - owed: posted + pending by the ledger, less the account's own movements that the ledger had not posted by then. So two payments of what is owed, one right
//     behind the other, are not both taken. How old the ledger's word is does not matter, as long as it says which movements are in it: see [Standing].
//
// # Rules
//
// SubmitPayment runs all of these rules, in this order, and records each with what it saw and the bound it was held against. The first that rejects does; else
// all that fired hold the payment, with all their reasons; else it is taken. The bounds are those of the account's profile in the rules file.
//
//	rule           fires when                                                                  the payment is
//	account state  the account is closed; one that is suspended or charged off may be paid     rejected: account closed
//	owed           the amount is above what is owed, unless allow_overpayment                  rejected: more than owed
//	amount         the amount is at or above review_amount                                     held: large amount
//	recent return  the last return was less than review_after_return_days ago                  held: recent return
//	new source     the amount is above review_new_source_amount, none from the source taken    held: new source
//	daily count    more payments within 24 hours than review_daily_count                       held: daily count
//	daily amount   payments of more within 24 hours than review_daily_amount                   held: daily amount
//	source failed  a return from the source said that it cannot pay at all                     held: source failed
//
// A review bound of 0 turns its rule off: then it is not run and not recorded. Nor is the recent return where none came back, or the new source where one from it
// was taken, whatever became of it. The last rule has no bound and is never off. The daily rules count this payment, those that were submitted less than 24 hours
// before and taken or held, and those of them that came back; not the rejected and the cancelled.
//
// # Returns
//
// A payment comes back with the code of its bank, within the time that the Nacha Operating Rules give for the code. What comes later is refused, and the payment
// stands. Settlement is the first banking day after the day on which the payment was taken; days are UTC, banking days are Monday to Friday.
//
//	code                                       last day
//	R01 R02 R03 R04 R08 R09 R16 R20 R29        the second banking day after settlement
//	R05 R07 R10 R11                            the 60th day after settlement
//	R31                                        none: the banks agreed on it
//
// R02, R03, R04 and R20 say that the source cannot pay at all.
//
// # Example
//
// A cardholder who owes 100.00 pays 80.00, and 80.00 again before the ledger has posted the first. The first comes back, so the next one is reviewed.
//
//	spend 100.00       |                             | owed 100.00
//	submit p1 80.00    | submitted                   | owed 20.00
//	submit p2 80.00    | rejected: more than owed    | owed 20.00
//	post               | posted 1                    | owed 20.00
//	return p1 R01      | returned R01                | owed 100.00
//	submit p3 100.00   | held: recent return         | owed 100.00
//	release p3         | released                    | owed 0.00
//
// The tests are tables like this one, and run these too; story_test.go says how to read them.
package payment
