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
// Authorizations and increments are requests: they can be declined. Presentments, advices, refunds, disputes and what PAYMENTS tells are facts: they always count,
// whatever the state of card, account and hold. A reversal releases what is held and no more, and says when more was asked; where nothing is held it is rejected.
//
// How long a hold lives, what is held beyond what was asked, and which over-capture is normal are tables of the account's [Profile]: the most specific row decides,
// and the event records it. A hold stops counting at its due time. What was spent, for spending controls, follows a replaced card; force posts count.
//
// # Checks
//
// A request runs all of these checks, in this order, and records each with the value it saw and the bound it was held against. The first that fails declines with
// its reason. Those of lists and limits run for the profile, the account and the card, as far as each has any. The message's age is checked where the network told
// when it was sent, the card where one was named, spending and the credit limit where the amount is in the account's currency. A merchant credit is not held against
// what is spent.
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
//	single use         SINGLE_USE_CARD_USED     57
//	currency           CURRENCY_NOT_SUPPORTED   57
//	merchant country   COUNTRY_BLOCKED          62
//	mcc                MCC_BLOCKED              57
//	merchant           MERCHANT_BLOCKED         57
//	merchant lock      MERCHANT_BLOCKED         57
//	max amount         AMOUNT_LIMIT_EXCEEDED    61
//	window amount      AMOUNT_LIMIT_EXCEEDED    61
//	window count       COUNT_LIMIT_EXCEEDED     65
//	credit limit       INSUFFICIENT_CREDIT      51
//
// Where credit alone is lacking, a terminal that takes parts gets what is available (partial approval, DE39 10). Amount zero verifies the card: all checks
// run, any balance will do, nothing is held (DE39 85). Approvals and facts answer 00, rejections 21.
//
// # Examples
//
// All on a line of 1000.00 with nothing owed, by the built-in rules. A restaurant (MCC 5812): a hold of 45.00, presented with the tip as 55.00.
//
//	authorize t1 45.00 mcc 5812    | 00 approved 45.00, held 45.00                  | posted 0.00 pending 45.00 available 955.00
//	present p1 55.00 of t1         | 00 recorded 55.00, over-capture 10.00          | posted 55.00 pending 0.00 available 945.00
//
// A hotel stay (MCC 7011): two nights, one more, the deposit for the minibar given up, and the bill. Its hold would have lived for 30 days.
//
//	authorize t1 200.00 mcc 7011   | 00 approved 200.00, held 200.00                | posted 0.00 pending 200.00 available 800.00
//	wait 2d                        |                                                |
//	increment i1 100.00 of t1      | 00 approved 100.00, held 300.00                | posted 0.00 pending 300.00 available 700.00
//	reverse r1 20.00 of t1         | 00 recorded 20.00, held 280.00                 | posted 0.00 pending 280.00 available 720.00
//	wait 10d                       |                                                |
//	present p1 262.50 of t1        | 00 recorded 262.50                             | posted 262.50 pending 0.00 available 737.50
//
// A fuel pump (MCC 5542): the pump asks for 1.00, which lives for a day; its completion tells what was filled and replaces the hold.
//
//	authorize t1 1.00 mcc 5542     | 00 approved 1.00, held 1.00                    | posted 0.00 pending 1.00 available 999.00
//	advise a1 35.50 of t1          | 00 recorded 35.50, held 35.50                  | posted 0.00 pending 35.50 available 964.50
//	present p1 35.50 of t1         | 00 recorded 35.50                              | posted 35.50 pending 0.00 available 964.50
//
// A refund: a part of what was bought is given back, and the refund is taken back as a mistake.
//
//	authorize t1 60.00             | 00 approved 60.00, held 60.00                  | posted 0.00 pending 60.00 available 940.00
//	present p1 60.00 of t1         | 00 recorded 60.00                              | posted 60.00 pending 0.00 available 940.00
//	refund f1 20.00 of t1          | 00 recorded 20.00                              | posted 40.00 pending 0.00 available 960.00
//	unrefund u1 of f1              | 00 recorded 20.00                              | posted 60.00 pending 0.00 available 940.00
//
// A late presentment: the hold of seven days has ended when the merchant claims the money.
//
//	authorize t1 30.00             | 00 approved 30.00, held 30.00                  | posted 0.00 pending 30.00 available 970.00
//	wait 7d                        |                                                |
//	due                            | expired t1 30.00                               | posted 0.00 pending 0.00 available 1000.00
//	wait 2d                        |                                                |
//	present p1 30.00 of t1         | 00 recorded 30.00, late by 2d                  | posted 30.00 pending 0.00 available 970.00
//
// The tests are tables like these, and run these as well; story_test.go says how to read them.
package ledger
