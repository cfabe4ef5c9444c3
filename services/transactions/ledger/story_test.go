package ledger

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// A story is a table of steps, one a line, in three columns: what happens | the answer | the balances after it. An empty column is not checked.
// All begin with an account in GBP with a limit of 1000.00, its holder in GB, and the active card c1, unless the first line opens another one.
//
// What happens:
//
//	authorize t1 45.00     also: EUR, card c2, no-card, mcc 7995, merchant shop-2, country US, partial (may be approved in part), sent 45d (ago), pre-auth,
//	                       entry ecommerce, credit (a merchant credit), message m1 (the network's, which can be told from all others)
//	increment i1 10.00     of t1, always; also: EUR, card c2, sent 45d, message m1
//	advise a1 30.00        of t1, always; stand-in, or else a completion; also: EUR, card c2, mcc 5542, message m1
//	reverse r1 of t1       a reversal of all that is held; also an amount, EUR, message m1
//	present p1 45.00       a presentment; also: EUR, of t1, more-to-come, card c2
//	unpresent u1 of p1     takes the presentment p1 back
//	refund f1 20.00        also: EUR, of t1
//	unrefund u1 of f1      takes the refund f1 back
//	dispute d1 20.00       of t1, always: credits it; also: EUR
//	undispute d1           takes that credit back; also: an amount, EUR, of t1
//	wait 6d23h59m59s       the clock goes on
//	due                    the engine's timer rings
//	open 1000.00 GBP       ACCOUNTS tells the ledger that the account was opened; also: home GB, profile strict
//	pay m1 100.00          PAYMENTS tells the ledger that a payment was taken; also: EUR, withheld 3d (all of it, or: only 60.00), reviewed
//	return m1 R01          that it came back
//	unwithhold m1          that what was withheld of it may be spent
//	again                  what PAYMENTS told last, once more
//	controls c1 max=9.00   ACCOUNTS tells the spending controls of a card, or of the account: max=9.00 day=50.00/3 24h=/2 (amount/count), mcc=5411,5812 no-mcc=7995
//	                       country=GB,FR no-country=KP merchant=shop-1 first-merchant single-use; nothing: none
//	limit 500.00, state suspended, home FR, card c2 inactive, card c2 active 12/2030, replace c1 by c2
//	balance                what a balance inquiry answers now
//	show t1                the sums of a transaction that are not zero, as they are now; of a payment: payment/m1
//
// A transaction that nobody names is called new-1, new-2, ...
type story struct {
	name, script string
}

func tell(t *testing.T, rules *Rules, stories []story) {
	t.Helper()
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			newBook(t, rules).run(s.script).checkReplay()
		})
	}
}

// run performs the steps of a script and compares what each of them says.
func (b *book) run(script string) *book {
	b.Helper()
	lines := slices.DeleteFunc(strings.Split(script, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	if len(b.log) == 0 && !strings.HasPrefix(strings.TrimSpace(lines[0]), "open") {
		lines = append([]string{"open 1000.00 GBP", "card c1 active 12/2030"}, lines...)
	}
	for _, line := range lines {
		columns := append(strings.Split(line, "|"), "", "")
		balances := b.account.Balances
		if strings.HasPrefix(strings.TrimSpace(line), "balance") {
			balances = func() Balances { return b.account.BalancesAt(b.next().Time) }
		}
		b.expect(line, b.perform(strings.Fields(columns[0])), columns[1])
		b.expect(line, balanceWords(balances()), columns[2])
	}
	return b
}

func (b *book) expect(line, got, column string) {
	b.Helper()
	if want := strings.Join(strings.Fields(column), " "); want != "" && got != want {
		b.Fatalf("%s\n got: %s\nwant: %s", strings.TrimSpace(line), got, want)
	}
}

// perform performs one step and says what came of it.
func (b *book) perform(words []string) string {
	b.Helper()
	switch words[0] {
	case "wait":
		b.clock = b.clock.Add(b.duration(words[1]))
		return ""
	case "due":
		return orNothing(answer{expired: b.expire()}.String())
	case "balance":
		return ""
	case "show":
		if t := b.transaction(words[1]); t != nil {
			return orNothing(transactionWords(t.At(b.next().Time)))
		}
		return "no such transaction"
	case "open", "limit", "state", "home", "card", "replace", "controls":
		return b.do(b.follow(words)).String()
	case "pay", "return", "unwithhold":
		return b.do(b.move(words)).String()
	case "again":
		return b.do(b.movements[len(b.movements)-1]).String()
	default:
		return b.do(b.command(words)).String()
	}
}

func orNothing(words string) string {
	if words == "" {
		return "nothing"
	}
	return words
}

// options are the words of a step after its name and id.
type options struct {
	amount   int64
	part     int64
	currency string
	flags    []string
	named    map[string]string
}

func (b *book) options(words []string) options {
	b.Helper()
	o := options{currency: "GBP", named: map[string]string{}}
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case strings.Contains(w, "."):
			o.amount = b.minor(w)
		case len(w) == 3 && strings.ToUpper(w) == w:
			o.currency = w
		case slices.Contains([]string{"partial", "more-to-come", "no-card", "reviewed", "pre-auth", "credit", "stand-in"}, w):
			o.flags = append(o.flags, w)
		case w == "only":
			i++
			o.part = b.minor(words[i])
		case slices.Contains([]string{"withheld", "of", "card", "mcc", "merchant", "country", "sent", "home", "profile", "entry", "message"}, w):
			i++
			o.named[w] = words[i]
		default:
			b.Fatalf("%q is not a word of the stories", w)
		}
	}
	return o
}

func (o options) has(flag string) bool { return slices.Contains(o.flags, flag) }

// or returns a named option, or what it is when it is not given.
func (o options) or(name, absent string) string {
	if given, ok := o.named[name]; ok {
		return given
	}
	return absent
}

// command makes the command of a step.
func (b *book) command(words []string) Command {
	b.Helper()
	id, o := words[1], b.options(words[2:])
	b.names++
	of := o.named["of"]
	switch words[0] {
	case "authorize":
		return b.authorize(id, o)
	case "increment":
		return &IncrementAuthorization{AccountID: testAccount, TransactionID: of, IncrementID: id, CardID: o.named["card"], Amount: o.amount, Currency: o.currency, Network: b.network(o)}
	case "advise":
		c := &AdviseAuthorization{AccountID: testAccount, TransactionID: of, AdviceID: id, CardID: o.named["card"], Amount: o.amount, Currency: o.currency,
			Merchant: &typev1.Merchant{MerchantId: o.or("merchant", "shop-1"), Mcc: o.or("mcc", "5411"), CountryCode: "GB"}, Network: b.network(o),
			Advice: typev1.AdviceKind_ADVICE_KIND_COMPLETION}
		if o.has("stand-in") {
			c.Advice = typev1.AdviceKind_ADVICE_KIND_STAND_IN
		}
		return c
	case "present":
		return &Present{AccountID: testAccount, PresentmentID: id, TransactionID: of, NewTransactionID: b.newName(), CardID: o.named["card"],
			Amount: o.amount, Currency: o.currency, MoreToCome: o.has("more-to-come")}
	case "unpresent":
		return &ReversePresentment{AccountID: testAccount, PresentmentID: of, ReversalID: id}
	case "reverse":
		return &ReverseAuthorization{AccountID: testAccount, ReversalID: id, TransactionID: of, Amount: o.amount, Currency: o.currency, Network: b.network(o)}
	case "refund":
		return &Refund{AccountID: testAccount, RefundID: id, TransactionID: of, NewTransactionID: b.newName(), CardID: o.named["card"],
			Amount: o.amount, Currency: o.currency}
	case "unrefund":
		return &ReverseRefund{AccountID: testAccount, RefundID: of, ReversalID: id}
	case "dispute":
		return &CreditDispute{AccountID: testAccount, DisputeID: id, TransactionID: of, Amount: o.amount, Currency: o.currency}
	case "undispute":
		return &ReverseDisputeCredit{AccountID: testAccount, DisputeID: id, TransactionID: of, Amount: o.amount, Currency: o.currency}
	}
	b.Fatalf("%q is not a step of the stories", words[0])
	return nil
}

func (b *book) authorize(id string, o options) *Authorize {
	c := &Authorize{AccountID: testAccount, TransactionID: id, CardID: o.or("card", "c1"), Amount: o.amount, Currency: o.currency,
		Merchant:               &typev1.Merchant{MerchantId: o.or("merchant", "shop-1"), Mcc: o.or("mcc", "5411"), CountryCode: o.or("country", "GB")},
		PartialApprovalAllowed: o.has("partial"), PreAuthorization: o.has("pre-auth"), Refund: o.has("credit"), Network: b.network(o),
		EntryMode: typev1.EntryMode(typev1.EntryMode_value["ENTRY_MODE_"+strings.ToUpper(strings.ReplaceAll(o.named["entry"], "-", "_"))])}
	if o.has("no-card") {
		c.CardID = ""
	}
	return c
}

// network makes the network's message of a step, or nil.
func (b *book) network(o options) *typev1.NetworkMessage {
	b.Helper()
	if name, ok := o.named["message"]; ok {
		return &typev1.NetworkMessage{Network: "visa", AcquirerId: "acquirer", Stan: name, Rrn: name, TransmittedAt: timestamppb.New(noon.AddDate(9, 0, 0))}
	}
	if sent, ok := o.named["sent"]; ok {
		return &typev1.NetworkMessage{TransmittedAt: timestamppb.New(b.next().Time.Add(-b.duration(sent)))}
	}
	return nil
}

func (b *book) newName() string { return "new-" + strconv.Itoa(b.names) }

// follow makes the command that carries the next event of ACCOUNTS.
func (b *book) follow(words []string) *FollowAccounts {
	b.Helper()
	event := &eventsv1.AccountEvent{Account: &eventsv1.AccountSnapshot{State: typev1.AccountState_ACCOUNT_STATE_OPEN}}
	if b.told != nil {
		event.Account = proto.CloneOf(b.told.GetAccount())
	}
	event.Envelope = &eventsv1.Envelope{AccountId: testAccount, PreviousSequence: b.toldAt}
	after := event.GetAccount()
	switch words[0] {
	case "open":
		o := b.options(words[1:])
		after.CreditLimit = &typev1.Money{CurrencyCode: o.currency, MinorUnits: o.amount}
		after.HomeCountryCode, after.RulesProfile = o.or("home", "GB"), o.or("profile", DefaultProfile)
		event.Fact = &eventsv1.AccountEvent_AccountOpened{AccountOpened: &eventsv1.AccountOpened{}}
	case "limit":
		after.CreditLimit.MinorUnits = b.minor(words[1])
		event.Fact = &eventsv1.AccountEvent_CreditLimitChanged{CreditLimitChanged: &eventsv1.CreditLimitChanged{}}
	case "state":
		after.State = accountState(words[1])
		event.Fact = &eventsv1.AccountEvent_AccountStateChanged{AccountStateChanged: &eventsv1.AccountStateChanged{}}
	case "home":
		after.HomeCountryCode = words[1]
		event.Fact = &eventsv1.AccountEvent_HolderUpdated{HolderUpdated: &eventsv1.HolderUpdated{}}
	case "card":
		b.setCard(event, words[1:])
	case "controls":
		b.setControls(event, words[1], words[2:])
	case "replace":
		b.setCard(event, []string{words[1], "closed"})
		b.setCard(event, []string{words[3], "active"})
		old, replacement := cardOf(after, words[1]), cardOf(after, words[3])
		replacement.ReplacesCardId, replacement.Controls = words[1], old.GetControls()
		event.Fact = &eventsv1.AccountEvent_CardReplaced{CardReplaced: &eventsv1.CardReplaced{CardId: words[1], NewCardId: words[3]}}
	}
	b.told, b.toldAt = event, b.toldAt+5
	return &FollowAccounts{Event: event, Sequence: b.toldAt}
}

// setCard issues a card or sets its state.
func (b *book) setCard(event *eventsv1.AccountEvent, words []string) {
	id, state := words[0], typev1.CardState(typev1.CardState_value["CARD_STATE_"+strings.ToUpper(words[1])])
	changed := cardOf(event.GetAccount(), id)
	event.Fact = &eventsv1.AccountEvent_CardStateChanged{CardStateChanged: &eventsv1.CardStateChanged{CardId: id}}
	if changed == nil {
		changed = &eventsv1.CardSnapshot{CardId: id, ExpiryMonth: 12, ExpiryYear: 2030}
		event.Account.Cards = append(event.Account.Cards, changed)
		event.Fact = &eventsv1.AccountEvent_CardIssued{CardIssued: &eventsv1.CardIssued{CardId: id}}
	}
	changed.State = state
	if len(words) > 2 {
		month, year, _ := strings.Cut(words[2], "/")
		changed.ExpiryMonth, changed.ExpiryYear = int32(b.number(month)), int32(b.number(year))
	}
}

func cardOf(account *eventsv1.AccountSnapshot, id string) *eventsv1.CardSnapshot {
	for _, c := range account.GetCards() {
		if c.GetCardId() == id {
			return c
		}
	}
	return nil
}

// setControls sets the spending controls of a card, or of the account.
func (b *book) setControls(event *eventsv1.AccountEvent, id string, words []string) {
	b.Helper()
	set := &eventsv1.SpendingControlsSet{}
	event.Fact = &eventsv1.AccountEvent_SpendingControlsSet{SpendingControlsSet: set}
	controls := b.controls(words)
	if id == "account" {
		event.Account.Controls = controls
		return
	}
	set.CardId = id
	cardOf(event.GetAccount(), id).Controls = controls
}

// controls reads spending controls; none are nil.
func (b *book) controls(words []string) *typev1.SpendingControls {
	b.Helper()
	if len(words) == 0 {
		return nil
	}
	c := &typev1.SpendingControls{}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		list := strings.Split(value, ",")
		switch key {
		case "max":
			c.MaxAmount = &typev1.Money{CurrencyCode: "GBP", MinorUnits: b.minor(value)}
		case "mcc":
			c.AllowedMccs = list
		case "no-mcc":
			c.BlockedMccs = list
		case "country":
			c.AllowedCountries = list
		case "no-country":
			c.BlockedCountries = list
		case "merchant":
			c.LockedMerchantId = value
		case "first-merchant":
			c.LockToFirstMerchant = true
		case "single-use":
			c.SingleUse = true
		default:
			c.Limits = append(c.Limits, b.spendingLimit(key, value))
		}
	}
	return c
}

// spendingLimit reads a limit: an amount, a slash and a count, either of which can be left out.
func (b *book) spendingLimit(period, bounds string) *typev1.SpendingLimit {
	b.Helper()
	limit := &typev1.SpendingLimit{}
	if window := typev1.Window_value["WINDOW_"+strings.ToUpper(period)]; window != 0 {
		limit.Period = &typev1.SpendingLimit_Window{Window: typev1.Window(window)}
	} else {
		limit.Period = &typev1.SpendingLimit_TrailingHours{TrailingHours: int32(b.number(strings.TrimSuffix(period, "h")))}
	}
	amount, count, _ := strings.Cut(bounds, "/")
	if amount != "" {
		limit.MaxAmount = &typev1.Money{CurrencyCode: "GBP", MinorUnits: b.minor(amount)}
	}
	if count != "" {
		limit.MaxCount = int32(b.number(count))
	}
	return limit
}

// move makes the command that carries the next movement of PAYMENTS. Between two of them are other events.
func (b *book) move(words []string) *FollowPayments {
	b.Helper()
	id := words[1]
	event := &eventsv1.PaymentEvent{Envelope: &eventsv1.Envelope{AccountId: testAccount}}
	switch payment := b.payments[id]; words[0] {
	case "pay":
		o := b.options(words[2:])
		event.Payment = &eventsv1.PaymentSnapshot{PaymentId: id, Amount: &typev1.Money{CurrencyCode: o.currency, MinorUnits: o.amount}}
		if lasts, ok := o.named["withheld"]; ok {
			event.Payment.Withheld, event.Payment.ReleaseAt = o.amount, timestamppb.New(b.next().Time.Add(b.duration(lasts)))
			if o.part != 0 {
				event.Payment.Withheld = o.part
			}
		}
		event.Fact = &eventsv1.PaymentEvent_Submitted{Submitted: &eventsv1.PaymentSubmitted{}}
		if o.has("reviewed") {
			event.Fact = &eventsv1.PaymentEvent_Released{Released: &eventsv1.PaymentReleased{}}
		}
	case "return":
		event.Payment = proto.CloneOf(payment)
		event.Payment.Withheld, event.Payment.ReturnCode = 0, words[2]
		event.Fact = &eventsv1.PaymentEvent_Returned{Returned: &eventsv1.PaymentReturned{}}
	case "unwithhold":
		event.Payment = proto.CloneOf(payment)
		event.Payment.Withheld = 0
		event.Fact = &eventsv1.PaymentEvent_WithholdingEnded{WithholdingEnded: &eventsv1.PaymentWithholdingEnded{Amount: payment.GetWithheld()}}
	}
	next := &FollowPayments{Event: event, Sequence: 7}
	if told := len(b.movements); told > 0 {
		event.PreviousMovementSequence = b.movements[told-1].Sequence
		next.Sequence = event.GetPreviousMovementSequence() + 7
	}
	b.payments[id], b.movements = event.GetPayment(), append(b.movements, next)
	return next
}

func accountState(name string) typev1.AccountState {
	return typev1.AccountState(typev1.AccountState_value["ACCOUNT_STATE_"+strings.ToUpper(name)])
}

// minor reads an amount with two decimals: 45.00 is 4500.
func (b *book) minor(text string) int64 {
	b.Helper()
	if at := strings.IndexByte(text, '.'); at != len(text)-3 {
		b.Fatalf("%q is not an amount with two decimals", text)
	}
	return b.number(strings.Replace(text, ".", "", 1))
}

func (b *book) number(text string) int64 {
	b.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		b.Fatalf("%v", err)
	}
	return n
}

// duration reads days, hours, minutes and seconds: 6d23h59m59s.
func (b *book) duration(text string) time.Duration {
	b.Helper()
	var days time.Duration
	if before, after, ok := strings.Cut(text, "d"); ok {
		days, text = time.Duration(b.number(before))*24*time.Hour, after+"0s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		b.Fatalf("%v", err)
	}
	return days + d
}
