// Package ledger is the rules of the system: what becomes of an authorization, a presentment, a reversal, a refund, a hold that comes due, and of what
// ACCOUNTS tells. It is pure: state and command in, one event or an error out. Time and ids are arguments; it does no I/O, reads no clock and rolls no dice.
//
// An [Account] is the fold of its events. [Account.Decide] answers a command with exactly one event and changes nothing; [Account.Apply] folds the event in.
// Every event carries the balances after it and the whole state of its transaction, so the last event answers for either. A decline and a rejection are
// events too: a declined id stays declined. What can never succeed as it stands (another currency, an unknown transaction where one is needed) is an error,
// and nothing is stored.
//
// # Words
//
// Amounts are int64 in minor units of the account's currency.
//
//   - posted: what is owed, presentments less refunds; below zero it is a credit balance.
//   - pending: the sum of open holds; never below zero.
//   - withheld: the part of recent payments that cannot be spent yet.
//   - available: credit limit - posted - pending - withheld. Requests never take it below zero; facts and a cut limit can.
//
// Authorizations are requests: they can be declined. Presentments and refunds are facts: they always post, whatever the state of card, account and hold.
// A reversal releases what is held and no more; where nothing is held it is rejected. A hold lives for [HoldLife] and then expires.
//
// # Checks
//
// An authorization runs all of these checks, in this order, and records each with the value it saw and the bound it was held against. The first that fails
// declines with its reason. The message's age is checked where the network told when it was sent, the card where one was named (its expiry where it is known),
// and the credit limit where the amount is in the account's currency.
//
//	check              reason                   DE39
//	message age        STALE_MESSAGE            30
//	account state      ACCOUNT_SUSPENDED        62
//	                   ACCOUNT_CHARGED_OFF      62
//	                   ACCOUNT_CLOSED           46
//	card state         UNKNOWN_CARD             14
//	                   CARD_NOT_ACTIVATED       78
//	                   CARD_PAUSED              62
//	                   CARD_LOST                41
//	                   CARD_STOLEN              43
//	                   CARD_CLOSED              14
//	card expiry        CARD_EXPIRED             54
//	currency           CURRENCY_NOT_SUPPORTED   57
//	merchant country   COUNTRY_BLOCKED          62
//	mcc                MCC_BLOCKED              57
//	merchant           MERCHANT_BLOCKED         57
//	credit limit       INSUFFICIENT_CREDIT      51
//
// Where credit alone is lacking, a terminal that takes parts gets what is available (partial approval, DE39 10). Amount zero verifies the card: all checks
// run, any balance will do, nothing is held (DE39 85). Approvals and facts answer 00, rejections 21.
//
// # Example
//
// A purchase in a restaurant, on a line of 1000.00 with nothing owed: a hold of 45.00, presented with the tip as 55.00; later 20.00 are given back.
//
//	authorize t1 45.00      | 00 approved 45.00, held 45.00           | posted 0.00 pending 45.00 available 955.00
//	present p1 55.00 of t1  | 00 recorded 55.00, over-capture 10.00   | posted 55.00 pending 0.00 available 945.00
//	refund f1 20.00 of t1   | 00 recorded 20.00                       | posted 35.00 pending 0.00 available 965.00
//
// The tests are tables like this one, and run these two as well; story_test.go says how to read them.
package ledger
