package payment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
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

// noon is when every book is opened: a Monday.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// tb is what a book needs of *testing.T, *testing.F and *rapid.T.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// book keeps the payments of one account as the engine does: a repeated id is answered from the log, and every event is stored. Beside it stands a ledger that
// follows the movements when it is told to. Each event is checked as it is stored.
type book struct {
	tb
	rules    *Rules
	account  *Account
	clock    time.Time // of the wall; it may go backwards
	log      []entry
	movement uint64 // the newest movement in the log

	standing Standing // by the ledger and the accounts
	known    Standing // as it was when the story said so
}

// entry is one stored event, encoded, with all of the account after it.
type entry struct {
	sequence uint64
	data     []byte
	after    string
}

// newBook returns a book without events, with the default rules.
func newBook(t tb) *book {
	profile := DefaultRules()
	return &book{tb: t, account: New(testAccount), clock: noon, rules: &Rules{Version: "v1", Profiles: map[string]*Profile{DefaultProfile: &profile}},
		standing: Standing{Currency: "GBP", State: typev1.AccountState_ACCOUNT_STATE_OPEN, Profile: DefaultProfile}}
}

// answer is what became of a command.
type answer struct {
	event     *eventsv1.PaymentEvent
	duplicate bool
	err       error
}

// do has a command answered.
func (b *book) do(c Command) answer {
	b.Helper()
	if c.Account() != testAccount {
		b.Fatalf("%T is about account %s", c, c.Account())
	}
	if c.ID() != "" {
		if first := b.account.Answered(c.Kind(), c.ID()); first != 0 {
			return b.repeat(c, first)
		}
	}
	before := dump(b.account)
	event, err := b.account.Decide(c, b.rules, b.next())
	if after := dump(b.account); after != before {
		b.Fatalf("%T changed the account without an event:\n%s\nwas\n%s", c, after, before)
	}
	if err != nil {
		return answer{err: err}
	}
	b.store(event)
	envelope := event.GetEnvelope()
	if !bytes.Equal(envelope.GetCommandDigest(), c.Digest()) || envelope.GetCommandKind() != c.Kind() || envelope.GetCommandId() != c.ID() || envelope.GetActor() != "tester" {
		b.Fatalf("the event does not say which command it answers: %v", envelope)
	}
	return answer{event: event}
}

// repeat answers a command whose id was answered before, as the engine does.
func (b *book) repeat(c Command, first uint64) answer {
	b.Helper()
	event := b.read(first)
	if event.GetEnvelope().GetCommandKind() != c.Kind() || event.GetEnvelope().GetCommandId() != c.ID() {
		b.Fatalf("event %d is remembered as the answer to %s, which it is not", first, c.ID())
	}
	if !bytes.Equal(event.GetEnvelope().GetCommandDigest(), c.Digest()) {
		return answer{err: failure.New(failure.AlreadyExists, "ID_REUSED", "the id was used before with other content")}
	}
	return answer{event: event, duplicate: true}
}

// next is where the next event will be. Other accounts' events lie between; the time is the later of the clock and the last event's.
func (b *book) next() command.Position {
	at := command.Position{Sequence: b.account.View().Sequence + 3, Time: b.clock}
	if last := b.lastTime(); last.After(at.Time) {
		at.Time = last
	}
	return at
}

func (b *book) lastTime() time.Time {
	if len(b.log) == 0 {
		return time.Time{}
	}
	return b.decode(b.log[len(b.log)-1].data).GetEnvelope().GetDecidedAt().AsTime()
}

// store applies an event, keeps it, and checks what must be true of every event.
func (b *book) store(event *eventsv1.PaymentEvent) {
	b.Helper()
	at, before := b.next(), b.account.View()
	data, err := proto.Marshal(event)
	if err != nil {
		b.Fatalf("encode: %v", err)
	}
	b.account.Apply(event, at.Sequence)
	b.log = append(b.log, entry{at.Sequence, data, dump(b.account)})

	envelope, after := event.GetEnvelope(), event.GetPayment()
	if envelope.GetAccountId() != testAccount || envelope.GetPreviousSequence() != before.Sequence || !envelope.GetDecidedAt().AsTime().Equal(at.Time) ||
		!after.GetUpdatedAt().AsTime().Equal(at.Time) {
		b.Fatalf("the envelope of event %d is %v, the payment changed at %v", at.Sequence, envelope, after.GetUpdatedAt())
	}
	if event.GetPreviousMovementSequence() != b.movement {
		b.Fatalf("event %d names movement %d as the one before it, that is %d", at.Sequence, event.GetPreviousMovementSequence(), b.movement)
	}
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted, *eventsv1.PaymentEvent_Released, *eventsv1.PaymentEvent_Returned, *eventsv1.PaymentEvent_WithholdingEnded:
		b.movement = at.Sequence
	default: // nothing for the ledger
	}
	if view := b.account.View(); view != (View{Sequence: at.Sequence, Movement: b.movement}) {
		b.Fatalf("after event %d the account shows %+v", at.Sequence, view)
	}
	p, _ := b.account.Payment(after.GetPaymentId())
	if first := after.GetFirstSequence(); p.Last != at.Sequence || !proto.Equal(p.Snapshot, after) || (first != 0 && p.First != first) || (first == 0 && p.First != at.Sequence) {
		b.Fatalf("payment %s is %v, from %d to %d", after.GetPaymentId(), p.Snapshot, p.First, p.Last)
	}
}

// moves returns by how much a stored event changes what is owed.
func moves(event *eventsv1.PaymentEvent) int64 {
	switch event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted, *eventsv1.PaymentEvent_Released:
		return -event.GetPayment().GetAmount().GetMinorUnits()
	case *eventsv1.PaymentEvent_Returned:
		return event.GetPayment().GetAmount().GetMinorUnits()
	default:
		return 0
	}
}

// post has the ledger follow up to so many movements that it has not posted yet, and says how many there were.
func (b *book) post(most int) (posted int) {
	for _, e := range b.log {
		event := b.decode(e.data)
		if e.sequence <= b.standing.PostedSequence || !Movement(event) || posted == most {
			continue
		}
		if event.GetPreviousMovementSequence() != b.standing.PostedSequence {
			b.Fatalf("event %d comes after movement %d, the ledger has seen %d", e.sequence, event.GetPreviousMovementSequence(), b.standing.PostedSequence)
		}
		b.standing.PostedSequence = e.sequence
		b.standing.Owed += moves(event)
		b.standing.LedgerSequence += 2
		posted++
	}
	return posted
}

// read returns a stored event.
func (b *book) read(sequence uint64) *eventsv1.PaymentEvent {
	b.Helper()
	at, found := slices.BinarySearchFunc(b.log, sequence, func(e entry, want uint64) int { return int(e.sequence) - int(want) })
	if !found {
		b.Fatalf("there is no event %d", sequence)
	}
	return b.decode(b.log[at].data)
}

func (b *book) decode(data []byte) *eventsv1.PaymentEvent {
	event := &eventsv1.PaymentEvent{}
	if err := proto.Unmarshal(data, event); err != nil {
		b.Fatalf("decode: %v", err)
	}
	return event
}

// checkReplay folds the stored events into a new account and compares it after each of them with what it was then.
func (b *book) checkReplay() {
	b.Helper()
	replayed := New(testAccount)
	for _, e := range b.log {
		replayed.Apply(b.decode(e.data), e.sequence)
		var err error
		if replayed, err = Decode(replayed.Encode(nil)); err != nil { // it must come to the same with a checkpoint between any two
			b.Fatalf("%v", err)
		}
		if got := dump(replayed); got != e.after {
			b.Fatalf("the replay of the log differs after event %d:\n%s\nwas\n%s", e.sequence, got, e.after)
		}
	}
}

// dump writes all that an account knows.
func dump(a *Account) string {
	var said strings.Builder
	fmt.Fprintln(&said, a.id, a.sequence, a.movement, a.decidedAt.UnixMicro(), len(a.payments), a.paid, a.sources, a.lastReturn.UnixMicro(), a.answered)
	for _, p := range a.order {
		encoded, _ := proto.MarshalOptions{Deterministic: true}.Marshal(p.Snapshot)
		fmt.Fprintln(&said, p.First, p.Last, a.payments[p.Snapshot.GetPaymentId()] == p, hex.EncodeToString(encoded))
	}
	return said.String()
}

// String says what became of a command, in the words of the tables.
func (a answer) String() string {
	if a.err != nil {
		return failureWords(a.err)
	}
	after := a.event.GetPayment()
	var said string
	switch fact := a.event.GetFact().(type) {
	case *eventsv1.PaymentEvent_Submitted:
		said = "submitted"
	case *eventsv1.PaymentEvent_Held:
		said = "held: " + strings.Join(holdWords(after), ", ")
	case *eventsv1.PaymentEvent_Rejected:
		said = "rejected: " + word(after.GetRejectReason(), "PAYMENT_REJECT_REASON_")
	case *eventsv1.PaymentEvent_Released:
		said = "released"
	case *eventsv1.PaymentEvent_Cancelled:
		said = "cancelled"
	case *eventsv1.PaymentEvent_Returned:
		said = "returned " + after.GetReturnCode()
	case *eventsv1.PaymentEvent_WithholdingEnded:
		said = "withholding ended " + major(fact.WithholdingEnded.GetAmount())
	default:
		said = "nothing that is known"
	}
	if after.GetWithheld() != 0 {
		said += ", withheld " + major(after.GetWithheld())
	}
	if a.duplicate {
		said += ", duplicate"
	}
	return said
}

func holdWords(p *eventsv1.PaymentSnapshot) (reasons []string) {
	for _, reason := range p.GetHoldReasons() {
		reasons = append(reasons, word(reason, "HOLD_REASON_"))
	}
	return reasons
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

// balanceWords says what is owed, and what is withheld of the payments where anything is.
func (b *book) balanceWords() string {
	b.Helper()
	owed, err := b.account.owed(b.standing)
	if err != nil {
		return failureWords(err)
	}
	said := "owed " + major(owed)
	if withheld := b.withheld(); withheld != 0 {
		said += " withheld " + major(withheld)
	}
	return said
}

// withheld is the sum of what is withheld now.
func (b *book) withheld() (sum int64) {
	for _, p := range b.account.order {
		sum += WithheldAt(p.Snapshot, b.next().Time)
	}
	return sum
}

// paymentWords says how a payment is.
func paymentWords(p *eventsv1.PaymentSnapshot) string {
	moment := func(t interface{ AsTime() time.Time }) string { return t.AsTime().Format("02 15:04") }
	said := []string{word(p.GetStatus(), "PAYMENT_STATUS_"), major(p.GetAmount().GetMinorUnits()), "from", word(p.GetSourceType(), "PAYMENT_SOURCE_TYPE_"), p.GetSourceId(),
		"by", p.GetRulesProfile(), p.GetRulesVersion(), "made", moment(p.GetCreatedAt())}
	if p.GetSubmittedAt() != nil {
		said = append(said, "taken", moment(p.GetSubmittedAt()))
	}
	if p.GetReleaseAt() != nil {
		said = append(said, "withheld", major(p.GetWithheld()), "until", moment(p.GetReleaseAt()))
	}
	if reasons := holdWords(p); len(reasons) > 0 {
		said = append(said, "held for", strings.Join(reasons, " and "))
	}
	if p.GetRejectReason() != 0 {
		said = append(said, "for", word(p.GetRejectReason(), "PAYMENT_REJECT_REASON_"))
	}
	for _, text := range []string{p.GetReturnCode(), p.GetReason()} {
		if text != "" {
			said = append(said, text)
		}
	}
	return strings.Join(said, " ")
}

// checkWords says what the rules of a payment saw and what it was held against; those that fired have a bang.
func checkWords(assessment *eventsv1.PaymentAssessment) string {
	var said []string
	for _, c := range assessment.GetChecks() {
		seen, bound := fmt.Sprint(c.GetSeen()), fmt.Sprint(c.GetBound())
		switch c.GetKind() {
		case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_ACCOUNT_STATE:
			seen, bound = word(typev1.AccountState(c.GetSeen()), "ACCOUNT_STATE_"), word(typev1.AccountState(c.GetBound()), "ACCOUNT_STATE_")
		case typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_RECENT_RETURN, typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_DAILY_COUNT, typev1.PaymentCheckKind_PAYMENT_CHECK_KIND_SOURCE_FAILED:
		default:
			seen, bound = major(c.GetSeen()), major(c.GetBound())
		}
		text := fmt.Sprintf("%s %s/%s", word(c.GetKind(), "PAYMENT_CHECK_KIND_"), seen, bound)
		if c.GetFired() {
			text += "!"
		}
		said = append(said, text)
	}
	return strings.Join(said, ", ")
}

// word turns an enum value into words: PAYMENT_STATUS_HELD is "held".
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
