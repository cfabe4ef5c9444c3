package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

const testAccount = "acct-1"

// holdLife is how long the holds of most purchases live.
const holdLife = defaultHoldDays * day

// noon is when every book is opened.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// tb is what a book needs of *testing.T, *testing.F and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// book keeps the ledger of one account as the engine does: a repeated id is answered from the log, what is due ends before a decision,
// a closed transaction is recalled from its last event, and every event is stored. Each event is checked as it is stored.
type book struct {
	tb
	rules   *Rules
	account *Account
	clock   time.Time // of the wall; it may go backwards
	log     []entry
	names   int // of transactions that nobody named

	told   *eventsv1.AccountEvent // the newest event of ACCOUNTS
	toldAt uint64

	payments  map[string]*eventsv1.PaymentSnapshot // by payment id, as PAYMENTS has them
	movements []*FollowPayments                    // of PAYMENTS, as they were told
}

// entry is one stored event, encoded.
type entry struct {
	sequence uint64
	data     []byte
}

// newBook returns a book without events.
func newBook(t tb, rules *Rules) *book {
	return &book{tb: t, rules: rules, account: New(testAccount), clock: noon, payments: map[string]*eventsv1.PaymentSnapshot{}}
}

// answer is what became of a command.
type answer struct {
	expired   []*eventsv1.LedgerEvent // what was due and is stored before it
	event     *eventsv1.LedgerEvent
	duplicate bool
	err       error
}

// do has a command answered.
func (b *book) do(c Command) answer {
	b.Helper()
	before, length := b.account.View(), len(b.log)
	if first := b.account.Lookup(c).Answer; first != 0 {
		repeated := b.repeat(c, first)
		b.unchanged(before, length)
		return repeated
	}
	expired := b.expire()
	// Only now: what expired has left memory.
	for asked := 0; b.account.Lookup(c).Needs != 0; asked++ {
		if asked > mostRecalled {
			b.Fatalf("%s %s needs to see event %d for ever", c.Kind(), c.ID(), b.account.Lookup(c).Needs)
		}
		needs := b.account.Lookup(c).Needs
		b.account.Recall(b.read(needs), needs)
	}
	before, length = b.account.View(), len(b.log)
	event, err := b.account.Decide(c, b.rules, b.next())
	b.unchanged(before, length)
	if err != nil {
		return answer{expired: expired, err: err}
	}
	b.store(event)
	if c.Account() != testAccount || string(event.GetEnvelope().GetCommandDigest()) != string(c.Digest()) || event.GetEnvelope().GetCommandKind() != c.Kind() || event.GetEnvelope().GetCommandId() != c.ID() {
		b.Fatalf("the event does not say which command it answers: %v", event.GetEnvelope())
	}
	return answer{expired: expired, event: event}
}

// repeat answers a command whose id was answered before, as the engine does.
func (b *book) repeat(c Command, first uint64) answer {
	event := b.read(first)
	if carrier, carries := c.(messenger); carries && b.account.Answered(c.Kind(), c.ID()) == 0 {
		key, digest := carrier.Message()
		if !bytes.Equal(key, event.GetEnvelope().GetMessageKey()) || len(key) == 0 {
			b.Fatalf("event %d is remembered as the answer to the message of %s, which it is not", first, c.ID())
		}
		if !bytes.Equal(digest, event.GetEnvelope().GetMessageDigest()) {
			return answer{err: failure.New(failure.AlreadyExists, "MESSAGE_REUSED", "the message was answered before with other content")}
		}
		return answer{event: event, duplicate: true}
	}
	if event.GetEnvelope().GetCommandKind() != c.Kind() || event.GetEnvelope().GetCommandId() != c.ID() {
		b.Fatalf("event %d is remembered as the answer to %s, which it is not", first, c.ID())
	}
	if string(event.GetEnvelope().GetCommandDigest()) != string(c.Digest()) {
		return answer{err: failure.New(failure.AlreadyExists, "ID_REUSED", "the id was used before with other content")}
	}
	return answer{event: event, duplicate: true}
}

func (b *book) unchanged(before View, length int) {
	b.Helper()
	if after := b.account.View(); after != before || len(b.log) != length {
		b.Fatalf("the account changed without an event: %+v, was %+v", after, before)
	}
}

// expire stores what is due, as the engine does before a decision and when its timer rings.
func (b *book) expire() []*eventsv1.LedgerEvent {
	b.Helper()
	var expired []*eventsv1.LedgerEvent
	for {
		event, due := b.account.Expire(b.next())
		if !due {
			return expired
		}
		b.store(event)
		expired = append(expired, event)
	}
}

// next is where the next event will be. Other accounts' events lie between; the time is the later of the clock and the last event's.
func (b *book) next() command.Position {
	at := command.Position{Sequence: b.account.sequence + 3, Time: b.clock}
	if b.account.decidedAt.After(at.Time) {
		at.Time = b.account.decidedAt
	}
	return at
}

// store applies an event, keeps it, and checks what must be true of every event.
func (b *book) store(event *eventsv1.LedgerEvent) {
	b.Helper()
	at, before := b.next(), b.account.sequence
	data, err := proto.Marshal(event)
	if err != nil {
		b.Fatalf("encode: %v", err)
	}
	b.account.Apply(event, at.Sequence)
	b.log = append(b.log, entry{at.Sequence, data})

	envelope, carried := event.GetEnvelope(), event.GetBalances()
	if envelope.GetAccountId() != testAccount || envelope.GetPreviousSequence() != before || !envelope.GetDecidedAt().AsTime().Equal(at.Time) {
		b.Fatalf("the envelope of event %d is %v", at.Sequence, envelope)
	}
	if BalancesOf(event) != b.account.Balances() || carried.GetAvailable() != carried.GetCreditLimit()-carried.GetPosted()-carried.GetPending()-carried.GetWithheld() {
		b.Fatalf("event %d carries the balances %v, the account has %+v", at.Sequence, carried, b.account.Balances())
	}
	held, withheld := b.open()
	if carried.GetPending() != held || carried.GetWithheld() != withheld {
		b.Fatalf("pending is %d and withheld %d, the open holds are %d and the withholdings %d", carried.GetPending(), carried.GetWithheld(), held, withheld)
	}
	granted := event.GetAuthorizationApproved() != nil || event.GetAuthorizationIncremented() != nil
	profile, _ := b.rules.profile(b.account.profile)
	if beyond := carried.GetCreditLimit() * profile.OverLimitPercent / 100; granted && effectOf(event).pending > 0 && carried.GetAvailable() < -beyond {
		b.Fatalf("event %d approves beyond the line: %v", at.Sequence, carried)
	}
}

// checkSpending adds up what was spent from the last events of all transactions, and compares.
func (b *book) checkSpending() {
	b.Helper()
	var want tally
	byCard := map[string]tally{}
	for _, began := range b.account.order {
		t := TransactionOf(b.read(began.last), began.last)
		want = want.plus(t.spent())
		byCard[t.CardID] = byCard[t.CardID].plus(t.spent())
	}
	if got := b.account.spending.since(beginning, nil); got != want {
		b.Fatalf("%+v was spent, the transactions come to %+v", got, want)
	}
	for card, want := range byCard {
		if got := b.account.spending.since(beginning, []string{card}); got != want {
			b.Fatalf("%+v was spent with card %q, its transactions come to %+v", got, card, want)
		}
	}
}

// open returns the sums of what is held and withheld by the transactions in memory, after it checked that none of them is there for nothing.
func (b *book) open() (held, withheld int64) {
	b.Helper()
	for _, open := range b.account.open.heap {
		t, key := open.transaction(), ""
		if key = t.Key(); open.mark != fingerprintOf(transactionID, key) || open.held != t.Held || open.withheld != t.Withheld || !open.due().Equal(t.ExpiresAt) {
			b.Fatalf("transaction %s is kept as %+v", key, open)
		}
		purchase := t.Held > 0 && t.Withheld == 0 && t.Paid == 0 && key == t.ID
		payment := t.Withheld > 0 && t.Held == 0 && t.Paid-t.Returned >= t.Withheld && key == PaymentKey(t.ID)
		if !purchase && !payment {
			b.Fatalf("transaction %s is open with %s", key, transactionWords(t))
		}
		held, withheld = held+t.Held, withheld+t.Withheld
	}
	return held, withheld
}

// read returns a stored event.
func (b *book) read(sequence uint64) *eventsv1.LedgerEvent {
	b.Helper()
	at, found := slices.BinarySearchFunc(b.log, sequence, func(e entry, want uint64) int { return int(e.sequence) - int(want) })
	if !found {
		b.Fatalf("there is no event %d", sequence)
	}
	return b.decode(b.log[at].data)
}

func (b *book) decode(data []byte) *eventsv1.LedgerEvent {
	event := &eventsv1.LedgerEvent{}
	if err := proto.Unmarshal(data, event); err != nil {
		b.Fatalf("decode: %v", err)
	}
	return event
}

// transaction returns a transaction as its last event left it, or nil.
func (b *book) transaction(key string) *Transaction {
	last := b.account.LastEventOf(key)
	if last == 0 {
		return nil
	}
	return TransactionOf(b.read(last), last)
}

// checkReplay folds the stored events into a new account and compares. It goes on with an account that was encoded and decoded.
func (b *book) checkReplay() {
	b.Helper()
	replayed := New(testAccount)
	for _, e := range b.log {
		replayed.Apply(b.decode(e.data), e.sequence)
	}
	if difference := compare(b.account, replayed); difference != "" {
		b.Fatalf("the replay of the log differs: %s", difference)
	}
	decoded, err := Decode(b.account.Encode(nil))
	if err != nil {
		b.Fatalf("%v", err)
	}
	if difference := compare(b.account, decoded); difference != "" {
		b.Fatalf("the encoded account differs: %s", difference)
	}
	b.account = decoded
	b.checkSpending()
}

// compare says how two accounts differ; empty when they do not.
func compare(a, b *Account) string {
	switch {
	case a.View() != b.View():
		return fmt.Sprintf("%+v and %+v", a.View(), b.View())
	case a.state != b.state, a.homeCountry != b.homeCountry, a.profile != b.profile, !proto.Equal(a.controls, b.controls), !slices.EqualFunc(a.cards, b.cards, sameCard):
		return "what is known of account and cards"
	case !sameSpending(&a.spending, &b.spending):
		return fmt.Sprintf("what was spent: %+v and %+v", a.spending, b.spending)
	case !maps.Equal(maps.Collect(a.ids.each), maps.Collect(b.ids.each)):
		return "the commands remembered"
	case !slices.Equal(a.order, b.order):
		return "the order of transactions"
	}
	same := func(s, t *Transaction) bool { return s.last == t.last && proto.Equal(s.record(), t.record()) }
	if !maps.EqualFunc(openByKey(a), openByKey(b), same) {
		return "the open transactions"
	}
	return ""
}

func sameSpending(a, b *spending) bool {
	return a.through == b.through && slices.Equal(a.cards, b.cards) && slices.Equal(a.recent, b.recent) && slices.Equal(a.firsts, b.firsts)
}

// openByKey returns the open transactions of an account.
func openByKey(a *Account) map[string]*Transaction {
	open := map[string]*Transaction{}
	for _, o := range a.open.heap {
		open[o.transaction().Key()] = o.transaction()
	}
	return open
}

// sameCard compares two cards by what their controls say, not by where they are.
func sameCard(a, b card) bool {
	same := proto.Equal(a.controls, b.controls)
	a.controls, b.controls = nil, nil
	return same && a == b
}

// String says what became of a command, in the words of the tables: the DE39 first, then the outcome with its reason or amount, then whatever is not zero.
func (a answer) String() string {
	var said []string
	for _, event := range a.expired {
		id, expired := event.GetTransaction().GetTransactionId(), event.GetTransaction().GetExpired()
		if ended := event.GetWithholdingEnded(); ended != nil {
			said = append(said, fmt.Sprintf("released %s %s", id, major(ended.GetReleasedAmount())))
			continue
		}
		said = append(said, fmt.Sprintf("expired %s %s", id, major(expired)))
	}
	slices.Sort(said)
	switch decision := a.event.GetDecision(); {
	case a.err != nil:
		said = append(said, failureWords(a.err))
	case decision != nil:
		said = append(said, decisionWords(decision, a.duplicate))
	case a.event.GetTransaction().GetPaid() != 0:
		said = append(said, paymentWords(a.event))
	case a.event != nil:
		fact := a.event.ProtoReflect().WhichOneof(a.event.ProtoReflect().Descriptor().Oneofs().ByName("fact"))
		said = append(said, strings.ReplaceAll(string(fact.Name()), "_", " "))
	}
	return strings.Join(said, "; ")
}

func paymentWords(event *eventsv1.LedgerEvent) string {
	posted, returned, ended := event.GetPaymentPosted(), event.GetPaymentReturned(), event.GetWithholdingEnded()
	words := "payment posted " + major(posted.GetAmount())
	if returned != nil {
		words = fmt.Sprintf("payment returned %s, %s", major(returned.GetAmount()), returned.GetReturnCode())
	}
	if ended != nil {
		words = "withholding ended"
	}
	if withheld := posted.GetWithheldAmount(); withheld != 0 {
		words += ", withheld " + major(withheld)
	}
	if released := returned.GetReleasedAmount() + ended.GetReleasedAmount(); released != 0 {
		words += ", released " + major(released)
	}
	return words
}

func decisionWords(d *eventsv1.DecisionRecord, duplicate bool) string {
	words := d.GetResponseCode() + " " + word(d.GetOutcome(), "OUTCOME_")
	if d.GetApprovedAmount() != 0 {
		words += " " + major(d.GetApprovedAmount())
	}
	if d.GetDeclineReason() != 0 {
		words += ", " + word(d.GetDeclineReason(), "DECLINE_REASON_")
	}
	if d.GetRejectionReason() != 0 {
		words += ", " + word(d.GetRejectionReason(), "REJECTION_REASON_")
	}
	for _, amount := range []struct {
		name  string
		minor int64
	}{{"held", d.GetHeldAmount()}, {"over-capture", d.GetOverCaptureAmount()}} {
		if amount.minor != 0 {
			words += ", " + amount.name + " " + major(amount.minor)
		}
	}
	late := "late"
	if d.GetDaysLate() > 0 {
		late += fmt.Sprintf(" by %dd", d.GetDaysLate())
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{"tolerated", d.GetOverCaptureTolerated()}, {late, d.GetLate()}, {"unmatched", d.GetUnmatched()}, {"capped", d.GetReversalCapped()}, {"duplicate", duplicate}} {
		if flag.set {
			words += ", " + flag.name
		}
	}
	return words
}

func failureWords(err error) string {
	var f *failure.Error
	if !errors.As(err, &f) {
		return "an error of no kind: " + err.Error()
	}
	kind := map[failure.Kind]string{failure.Internal: "internal", failure.Invalid: "invalid", failure.NotFound: "not found",
		failure.AlreadyExists: "already exists", failure.Precondition: "precondition"}[f.Kind]
	return strings.TrimSpace(kind + ": " + f.Reason + " " + f.Field)
}

// balanceWords leaves withheld out where nothing is.
func balanceWords(b Balances) string {
	withheld := ""
	if b.Withheld != 0 {
		withheld = " withheld " + major(b.Withheld)
	}
	return fmt.Sprintf("posted %s pending %s%s available %s", major(b.Posted), major(b.Pending), withheld, major(b.Available()))
}

// transactionWords lists the sums of a transaction that are not zero.
func transactionWords(t *Transaction) string {
	var words []string
	for _, sum := range []struct {
		name  string
		minor int64
	}{{"authorized", t.Authorized}, {"reversed", t.Reversed}, {"expired", t.Expired}, {"cleared", t.Cleared}, {"taken back", t.ClearingReversed},
		{"credit", t.RefundAuthorized}, {"refunded", t.Refunded}, {"refund taken back", t.RefundReversed}, {"disputed", t.Disputed}, {"held", t.Held}, {"surplus", t.HoldSurplus},
		{"paid", t.Paid}, {"returned", t.Returned}, {"withheld", t.Withheld}} {
		if sum.minor != 0 {
			words = append(words, sum.name+" "+major(sum.minor))
		}
	}
	return strings.Join(words, ", ")
}

// checkWords says what a check saw and what it was held against.
func checkWords(c *eventsv1.CheckRecord) string {
	var seen, bound string
	switch c.GetKind() {
	case typev1.CheckKind_CHECK_KIND_MESSAGE_AGE, typev1.CheckKind_CHECK_KIND_CARD_EXPIRY, typev1.CheckKind_CHECK_KIND_SINGLE_USE, typev1.CheckKind_CHECK_KIND_WINDOW_COUNT:
		seen, bound = fmt.Sprint(c.GetSeen()), fmt.Sprint(c.GetBound())
	case typev1.CheckKind_CHECK_KIND_CREDIT_LIMIT, typev1.CheckKind_CHECK_KIND_MAX_AMOUNT, typev1.CheckKind_CHECK_KIND_WINDOW_AMOUNT:
		seen, bound = major(c.GetSeen()), major(c.GetBound())
	case typev1.CheckKind_CHECK_KIND_ACCOUNT_STATE:
		seen, bound = word(typev1.AccountState(c.GetSeen()), "ACCOUNT_STATE_"), word(typev1.AccountState(c.GetBound()), "ACCOUNT_STATE_")
	case typev1.CheckKind_CHECK_KIND_CARD_STATE:
		seen, bound = word(typev1.CardState(c.GetSeen()), "CARD_STATE_"), word(typev1.CardState(c.GetBound()), "CARD_STATE_")
	default:
		seen, bound = c.GetSeenCode(), c.GetBoundCode()
	}
	outcome := "passed"
	if c.GetFailed() {
		outcome = "failed, " + word(c.GetDeclineReason(), "DECLINE_REASON_")
	}
	name := word(c.GetKind(), "CHECK_KIND_")
	if c.GetScope() != 0 {
		name += " of " + word(c.GetScope(), "CHECK_SCOPE_")
	}
	if c.GetWindow() != 0 {
		name += " a " + word(c.GetWindow(), "WINDOW_")
	}
	if c.GetTrailingHours() != 0 {
		name += fmt.Sprintf(" in %dh", c.GetTrailingHours())
	}
	return strings.Join(strings.Fields(fmt.Sprintf("%s: %s / %s: %s", name, seen, bound, outcome)), " ")
}

// word turns an enum value into words: OUTCOME_PARTIALLY_APPROVED is "partially approved".
func word(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value.String(), prefix), "_", " "))
}

// major writes minor units with two decimals: 4500 is 45.00.
func major(minor int64) string {
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	return fmt.Sprintf("%s%d.%02d", sign, minor/100, minor%100)
}
