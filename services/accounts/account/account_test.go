package account

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
	"github.com/cardlog/cardlog/services/internal/command"
	"github.com/cardlog/cardlog/services/internal/failure"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// system keeps accounts as the engine does: repeats are answered from the log, every event is stored and noted in the register of cards.
type system struct {
	*testing.T
	register *Register
	accounts map[string]*Account
	last     command.Position
	log      map[uint64][]byte
}

func newSystem(t *testing.T) *system {
	return &system{T: t, register: NewRegister(), accounts: map[string]*Account{}, last: command.Position{Time: noon}, log: map[uint64][]byte{}}
}

func (s *system) account(id string) *Account {
	if s.accounts[id] == nil {
		s.accounts[id] = New(id)
	}
	return s.accounts[id]
}

// do has a command answered.
func (s *system) do(c Command) (event *eventsv1.AccountEvent, duplicate bool, err error) {
	s.Helper()
	a := s.account(c.Account())
	if c.ID() != "" {
		if first := a.Answered(c.Kind(), c.ID()); first != 0 {
			if event = s.read(first); !bytes.Equal(event.GetEnvelope().GetCommandDigest(), c.Digest()) {
				return nil, false, failure.New(failure.AlreadyExists, "ID_REUSED", "used before")
			}
			return event, true, nil
		}
	}
	at := command.Position{Sequence: s.last.Sequence + 1, Time: s.last.Time.Add(time.Minute)}
	view, before := a.View(), proto.CloneOf(a.View().Snapshot)
	event, err = a.Decide(c, s.register, at)
	if a.View() != view || !proto.Equal(a.View().Snapshot, before) {
		s.Fatalf("%T changed the account without an event", c)
	}
	if err != nil {
		return nil, false, err
	}
	envelope := event.GetEnvelope()
	if envelope.GetAccountId() != c.Account() || envelope.GetPreviousSequence() != view.Sequence || envelope.GetActor() != "tester" || envelope.GetCommandId() != c.ID() ||
		!envelope.GetDecidedAt().AsTime().Equal(at.Time) || !event.GetAccount().GetUpdatedAt().AsTime().Equal(at.Time) {
		s.Fatalf("%T: the event says %v, updated at %v", c, envelope, event.GetAccount().GetUpdatedAt())
	}
	if s.log[at.Sequence], err = proto.Marshal(event); err != nil {
		s.Fatal(err)
	}
	a.Apply(event, at.Sequence)
	s.register.Apply(event)
	s.last = at
	return event, false, nil
}

func (s *system) read(sequence uint64) *eventsv1.AccountEvent {
	s.Helper()
	event := &eventsv1.AccountEvent{}
	if err := proto.Unmarshal(s.log[sequence], event); err != nil {
		s.Fatal(err)
	}
	return event
}

// checkReplay folds the stored events anew and compares.
func (s *system) checkReplay() {
	s.Helper()
	replayed, register := map[string]*Account{}, NewRegister()
	for sequence := uint64(1); sequence <= s.last.Sequence; sequence++ {
		event := s.read(sequence)
		id := event.GetEnvelope().GetAccountId()
		if replayed[id] == nil {
			replayed[id] = New(id)
		}
		replayed[id].Apply(event, sequence)
		register.Apply(event)
	}
	for id, a := range replayed {
		decoded, err := Decode(a.Encode(nil))
		if err != nil {
			s.Fatal(err)
		}
		a = decoded
		if was := s.accounts[id]; !proto.Equal(a.View().Snapshot, was.View().Snapshot) || a.sequence != was.sequence || fmt.Sprint(a.answered) != fmt.Sprint(was.answered) {
			s.Fatalf("the replay of account %s differs: %v, was %v", id, a.View(), was.View())
		}
	}
	if fmt.Sprint(register) != fmt.Sprint(s.register) {
		s.Fatalf("the replay of the register differs: %v, was %v", register, s.register)
	}
}

// Each line is a step in three columns: the command | the answer | the account after it. An empty column is not checked.
// The first word names the account. The number of a card is n-<card> unless the step says another; "key k1" is a request id, "at 3" an expected sequence.
func TestAccounts(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"opens with a limit, without cards": `
			a open 1000.00 GBP         | account opened                               | open 1000.00 GBP`,
		"opens with a limit of nothing": `
			a open 0.00 GBP            | account opened                               | open 0.00 GBP`,
		"opens once": `
			a open 1000.00 GBP         | account opened
			a open 1000.00 GBP         | account opened, duplicate                    | open 1000.00 GBP
			a open 2000.00 GBP         | already exists: ID_REUSED                    | open 1000.00 GBP`,
		"does nothing before an account is opened": `
			a limit 10.00 GBP          | not found: ACCOUNT_NOT_FOUND
			a state suspended          | not found: ACCOUNT_NOT_FOUND
			a holder FR                | not found: ACCOUNT_NOT_FOUND
			a issue c1                 | not found: ACCOUNT_NOT_FOUND
			a card c1 active           | not found: ACCOUNT_NOT_FOUND
			a replace c1 by c2         | not found: ACCOUNT_NOT_FOUND
			a controls - single_use:true | not found: ACCOUNT_NOT_FOUND
			a open 10.00 GBP           | account opened                               | open 10.00 GBP`,

		"sets the limit, up and down": `
			a open 1000.00 GBP
			a limit 2000.00 GBP        | credit limit changed                         | open 2000.00 GBP
			a limit 0.00 GBP           | credit limit changed                         | open 0.00 GBP`,
		"refuses a limit in another currency": `
			a open 1000.00 GBP
			a limit 2000.00 EUR        | invalid: INVALID_FIELD credit_limit.currency_code | open 1000.00 GBP`,
		"changes the holder": `
			a open 1000.00 GBP
			a holder FR                | holder updated                               | open 1000.00 GBP`,

		"suspends, charges off, and opens again": `
			a open 1000.00 GBP
			a state suspended          | account state changed                        | suspended 1000.00 GBP
			a state charged_off        | account state changed                        | charged off 1000.00 GBP
			a state open               | account state changed                        | open 1000.00 GBP`,
		"stays closed": `
			a open 1000.00 GBP
			a issue c1 active
			a state closed             | account state changed                        | closed 1000.00 GBP, c1 active
			a state open               | precondition: ACCOUNT_CLOSED
			a state closed             | precondition: ACCOUNT_CLOSED
			a limit 1.00 GBP           | precondition: ACCOUNT_CLOSED
			a issue c2                 | precondition: ACCOUNT_CLOSED
			a replace c1 by c2         | precondition: ACCOUNT_CLOSED
			a controls - single_use:true | precondition: ACCOUNT_CLOSED
			a controls c1 single_use:true | precondition: ACCOUNT_CLOSED
			a open 1000.00 GBP         | account opened, duplicate                    | closed 1000.00 GBP, c1 active`,

		"issues cards, to be activated or active": `
			a open 1000.00 GBP
			a issue c1                 | card issued                                  | open 1000.00 GBP, c1 inactive
			a issue c2 active          | card issued                                  | open 1000.00 GBP, c1 inactive, c2 active
			a card c1 active           | card state changed                           | open 1000.00 GBP, c1 active, c2 active`,
		"issues a card to a suspended account": `
			a open 1000.00 GBP
			a state suspended
			a issue c1                 | card issued                                  | suspended 1000.00 GBP, c1 inactive`,
		"issues a card once": `
			a open 1000.00 GBP
			a issue c1                 | card issued
			a issue c1                 | card issued, duplicate                       | open 1000.00 GBP, c1 inactive
			a issue c1 active          | already exists: ID_REUSED                    | open 1000.00 GBP, c1 inactive`,
		"keeps card ids apart across accounts": `
			a open 1000.00 GBP
			b open 1000.00 GBP
			a issue c1                 | card issued
			b issue c1 number x        | already exists: CARD_EXISTS                  | open 1000.00 GBP
			b issue c2                 | card issued
			b replace c2 by c1 number x | already exists: CARD_EXISTS                 | open 1000.00 GBP, c2 inactive
			b issue c3                 | card issued`,
		"keeps a replaced card's id taken": `
			a open 1000.00 GBP
			a issue c1
			a replace c1 by c2         | card replaced
			a replace c2 by c1 number x | already exists: CARD_EXISTS`,
		"keeps card numbers apart across accounts": `
			a open 1000.00 GBP
			b open 1000.00 GBP
			a issue c1 number 4111
			b issue c2 number 4111     | already exists: CARD_NUMBER_TAKEN            | open 1000.00 GBP
			b issue c2 number 4222     | card issued
			b replace c2 by c3 number 4111 | already exists: CARD_NUMBER_TAKEN        | open 1000.00 GBP, c2 inactive`,

		"pauses, loses and finds a card": `
			a open 1000.00 GBP
			a issue c1 active
			a card c1 paused           | card state changed                           | open 1000.00 GBP, c1 paused
			a card c1 lost             | card state changed                           | open 1000.00 GBP, c1 lost
			a card c1 stolen           | card state changed                           | open 1000.00 GBP, c1 stolen
			a card c1 active           | card state changed                           | open 1000.00 GBP, c1 active`,
		"a closed card stays closed": `
			a open 1000.00 GBP
			a issue c1 active
			a card c1 closed           | card state changed                           | open 1000.00 GBP, c1 closed
			a card c1 active           | precondition: CARD_CLOSED
			a card c1 closed           | precondition: CARD_CLOSED
			a replace c1 by c2         | precondition: CARD_CLOSED                    | open 1000.00 GBP, c1 closed`,
		"knows no other account's cards": `
			a open 1000.00 GBP
			b open 1000.00 GBP
			a issue c1
			b card c1 active           | not found: CARD_NOT_FOUND
			b replace c1 by c2         | not found: CARD_NOT_FOUND
			a card c9 active           | not found: CARD_NOT_FOUND`,

		"replaces a card: the old one is closed, the new one active": `
			a open 1000.00 GBP
			a issue c1
			a replace c1 by c2         | card replaced                                | open 1000.00 GBP, c1 closed, c2 active for c1
			a replace c2 by c3         | card replaced                                | open 1000.00 GBP, c1 closed, c2 closed for c1, c3 active for c2
			a replace c1 by c4         | precondition: CARD_CLOSED`,
		"replaces a lost or stolen card, which stays so": `
			a open 1000.00 GBP
			a issue c1 active
			a card c1 lost
			a replace c1 by c2         | card replaced                                | open 1000.00 GBP, c1 lost, c2 active for c1
			a card c2 stolen
			a replace c2 by c3         | card replaced                                | open 1000.00 GBP, c1 lost, c2 stolen for c1, c3 active for c2`,
		"replaces a card once": `
			a open 1000.00 GBP
			a issue c1 active
			a card c1 lost
			a replace c1 by c2         | card replaced
			a replace c1 by c3         | precondition: CARD_REPLACED
			a replace c1 by c2         | card replaced, duplicate                     | open 1000.00 GBP, c1 lost, c2 active for c1`,

		"sets the controls of the account and of its cards apart": `
			a open 1000.00 GBP
			a issue c1 active
			a issue c2 active
			a controls - blocked_mccs:"7995" | spending controls set              | open 1000.00 GBP [blocked_mccs], c1 active, c2 active
			a controls c2 single_use:true | spending controls set                 | open 1000.00 GBP [blocked_mccs], c1 active, c2 active [single_use]
			a limit 5.00 GBP
			a state suspended
			a card c2 paused           | card state changed                           | suspended 5.00 GBP [blocked_mccs], c1 active, c2 paused [single_use]
			a controls c1 lock_to_first_merchant:true | spending controls set     | suspended 5.00 GBP [blocked_mccs], c1 active [lock_to_first_merchant], c2 paused [single_use]`,
		"sets all controls at once, and takes them off": `
			a open 1000.00 GBP
			a controls - single_use:true | spending controls set                  | open 1000.00 GBP [single_use]
			a controls - allowed_mccs:"5411" allowed_countries:"GB" | spending controls set | open 1000.00 GBP [allowed_mccs allowed_countries]
			a controls -               | spending controls set                        | open 1000.00 GBP`,
		"keeps controls' money in the account's currency": `
			a open 1000.00 GBP
			a controls - max_amount:{currency_code:"EUR",minor_units:1} | invalid: INVALID_FIELD controls.max_amount.currency_code | open 1000.00 GBP
			a controls - limits:{window:WINDOW_DAY,max_count:1} limits:{trailing_hours:1,max_amount:{currency_code:"EUR",minor_units:1}} | invalid: INVALID_FIELD controls.limits[1].max_amount.currency_code
			a controls - max_amount:{currency_code:"GBP",minor_units:1} limits:{trailing_hours:1,max_amount:{currency_code:"GBP",minor_units:1}} | spending controls set | open 1000.00 GBP [max_amount limits]`,
		"refuses controls that contradict each other": `
			a open 1000.00 GBP
			a controls - locked_merchant_id:"m-1" lock_to_first_merchant:true | invalid: INVALID_FIELD controls.lock_to_first_merchant
			a controls - allowed_mccs:["5411","5812"] blocked_mccs:["7995","5812"] | invalid: INVALID_FIELD controls.blocked_mccs[1]
			a controls - allowed_countries:["GB"] blocked_countries:["GB"] | invalid: INVALID_FIELD controls.blocked_countries[0] | open 1000.00 GBP
			a controls - allowed_mccs:["5411"] blocked_mccs:["7995"] locked_merchant_id:"m-1" single_use:true | spending controls set`,
		"sets controls of cards that can be used, only": `
			a open 1000.00 GBP
			b open 1000.00 GBP
			a issue c1 active
			a controls c9 single_use:true | not found: CARD_NOT_FOUND
			b controls c1 single_use:true | not found: CARD_NOT_FOUND
			a card c1 lost
			a controls c1 single_use:true | spending controls set                 | open 1000.00 GBP, c1 lost [single_use]
			a replace c1 by c2
			a controls c1              | precondition: CARD_REPLACED
			a card c2 closed
			a controls c2              | precondition: CARD_CLOSED                    | open 1000.00 GBP, c1 lost [single_use], c2 closed for c1 [single_use]`,
		"gives a card's controls to the one in its place": `
			a open 1000.00 GBP
			a issue c1 active
			a controls c1 single_use:true
			a replace c1 by c2         | card replaced                                | open 1000.00 GBP, c1 closed [single_use], c2 active for c1 [single_use]
			a controls c2              | spending controls set                        | open 1000.00 GBP, c1 closed [single_use], c2 active for c1
			a issue c3                 | card issued                                  | open 1000.00 GBP, c1 closed [single_use], c2 active for c1, c3 inactive`,
		"sets controls once": `
			a open 1000.00 GBP
			a controls - single_use:true key k1 | spending controls set           | open 1000.00 GBP [single_use]
			a controls -               | spending controls set                        | open 1000.00 GBP
			a controls - single_use:true key k1 | spending controls set, duplicate | open 1000.00 GBP
			a controls - single_use:true key k2 at 3 | spending controls set      | open 1000.00 GBP [single_use]
			a controls - lock_to_first_merchant:true key k2 | already exists: ID_REUSED
			a controls - single_use:true at 3 | precondition: SEQUENCE_MISMATCH`,

		"answers a repeated request as before": `
			a open 1000.00 GBP
			a limit 10.00 GBP key k1   | credit limit changed
			a limit 20.00 GBP key k2   | credit limit changed
			a limit 10.00 GBP key k1   | credit limit changed, duplicate              | open 20.00 GBP
			a limit 30.00 GBP key k1   | already exists: ID_REUSED                    | open 20.00 GBP`,
		"tells requests without a key apart": `
			a open 1000.00 GBP
			a limit 10.00 GBP          | credit limit changed
			a limit 20.00 GBP          | credit limit changed
			a limit 10.00 GBP          | credit limit changed                         | open 10.00 GBP`,
		"keeps keys of other kinds and accounts apart": `
			a open 1000.00 GBP
			b open 1000.00 GBP
			a limit 10.00 GBP key k1   | credit limit changed
			a state suspended key k1   | account state changed
			a holder FR key k1         | holder updated
			b limit 10.00 GBP key k1   | credit limit changed`,
		"holds a change against the sequence that the caller saw": `
			a open 1000.00 GBP
			b open 1000.00 GBP
			a limit 10.00 GBP at 1     | credit limit changed
			a limit 20.00 GBP at 1     | precondition: SEQUENCE_MISMATCH              | open 10.00 GBP
			a state suspended at 2     | precondition: SEQUENCE_MISMATCH
			a issue c1 at 4            | precondition: SEQUENCE_MISMATCH
			a issue c1 at 3            | card issued                                  | open 10.00 GBP, c1 inactive`,
		"answers a repeat whatever the sequence is by now": `
			a open 1000.00 GBP
			a limit 10.00 GBP at 1 key k1 | credit limit changed
			a limit 10.00 GBP at 1 key k1 | credit limit changed, duplicate           | open 10.00 GBP`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
				columns := append(strings.Split(line, "|"), "", "")
				c := s.command(strings.Fields(columns[0]))
				s.expect(line, s.answer(c), columns[1])
				s.expect(line, words(s.account(c.Account()).View().Snapshot), columns[2])
			}
			s.checkReplay()
		})
	}
}

func (s *system) expect(line, got, column string) {
	s.Helper()
	if want := strings.Join(strings.Fields(column), " "); want != "" && got != want {
		s.Fatalf("%s\n got: %s\nwant: %s", strings.TrimSpace(line), got, want)
	}
}

// command makes the command of a step.
func (s *system) command(step []string) Command {
	s.Helper()
	h := Header{AccountID: step[0], Actor: "tester", Content: []byte(strings.Join(step, " "))}
	number := ""
	for ; len(step) > 3; step = step[:len(step)-2] {
		switch value := step[len(step)-1]; step[len(step)-2] {
		case "key":
			h.RequestID = value
			continue
		case "at":
			h.ExpectedSequence, _ = strconv.ParseUint(value, 10, 64)
			continue
		case "number":
			number = value
			continue
		}
		break
	}
	newCard := func(id string) NewCard {
		if number == "" {
			number = "n-" + id
		}
		return NewCard{CardID: id, Fingerprint: []byte(number), LastFour: "1234", ExpiryMonth: 12, ExpiryYear: 2030}
	}
	switch step[1] {
	case "open":
		return &Open{Header: h, CreditLimit: s.money(step[2:]), RulesProfile: "default", SealedHolder: []byte("sealed"), HomeCountry: "GB"}
	case "limit":
		return &SetCreditLimit{Header: h, CreditLimit: s.money(step[2:])}
	case "holder":
		return &UpdateHolder{Header: h, SealedHolder: []byte("resealed"), HomeCountry: step[2], Paths: []string{"address.country_code"}}
	case "state":
		return &SetState{Header: h, State: typev1.AccountState(typev1.AccountState_value["ACCOUNT_STATE_"+strings.ToUpper(step[2])]), Reason: "asked for"}
	case "issue":
		return &IssueCard{Header: h, NewCard: newCard(step[2]), Activate: len(step) > 3}
	case "card":
		return &SetCardState{Header: h, CardID: step[2], State: typev1.CardState(typev1.CardState_value["CARD_STATE_"+strings.ToUpper(step[3])]), Reason: "asked for"}
	case "replace":
		return &ReplaceCard{Header: h, ReplacedID: step[2], NewCard: newCard(step[4]), Reason: "worn"}
	case "controls":
		controls := &typev1.SpendingControls{}
		if err := prototext.Unmarshal([]byte(strings.Join(step[3:], " ")), controls); err != nil {
			s.Fatal(err)
		}
		return &SetSpendingControls{Header: h, CardID: strings.Trim(step[2], "-"), Controls: controls}
	}
	s.Fatalf("%q is not a step", step[1])
	return nil
}

func (s *system) money(words []string) *typev1.Money {
	s.Helper()
	minor, err := strconv.ParseInt(strings.Replace(words[0], ".", "", 1), 10, 64)
	if err != nil {
		s.Fatal(err)
	}
	return &typev1.Money{MinorUnits: minor, CurrencyCode: words[1]}
}

// answer says what became of a command.
func (s *system) answer(c Command) string {
	s.Helper()
	event, duplicate, err := s.do(c)
	var f *failure.Error
	if errors.As(err, &f) {
		kind := map[failure.Kind]string{failure.Invalid: "invalid", failure.NotFound: "not found", failure.AlreadyExists: "already exists", failure.Precondition: "precondition"}[f.Kind]
		return strings.TrimSpace(kind + ": " + f.Reason + " " + f.Field)
	}
	fact := event.ProtoReflect().WhichOneof(event.ProtoReflect().Descriptor().Oneofs().ByName("fact"))
	said := strings.ReplaceAll(string(fact.Name()), "_", " ")
	if duplicate {
		said += ", duplicate"
	}
	return said
}

// words says how an account is.
func words(a *eventsv1.AccountSnapshot) string {
	state := func(value fmt.Stringer, prefix string) string {
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value.String(), prefix), "_", " "))
	}
	minor := a.GetCreditLimit().GetMinorUnits()
	said := fmt.Sprintf("%s %d.%02d %s", state(a.GetState(), "ACCOUNT_STATE_"), minor/100, minor%100, a.GetCreditLimit().GetCurrencyCode()) + controlsWords(a.GetControls())
	for _, c := range a.GetCards() {
		said += ", " + c.GetCardId() + " " + state(c.GetState(), "CARD_STATE_")
		if c.GetReplacesCardId() != "" {
			said += " for " + c.GetReplacesCardId()
		}
		said += controlsWords(c.GetControls())
	}
	return said
}

// controlsWords names the controls that are set; empty where there are none.
func controlsWords(controls *typev1.SpendingControls) string {
	if controls == nil {
		return ""
	}
	var names []string
	for fields, i := controls.ProtoReflect().Descriptor().Fields(), 0; i < fields.Len(); i++ {
		if controls.ProtoReflect().Has(fields.Get(i)) {
			names = append(names, string(fields.Get(i).Name()))
		}
	}
	return fmt.Sprintf(" %v", names)
}

func TestEventsSayWhatWasBefore(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	event := func(step string) *eventsv1.AccountEvent {
		e, _, err := s.do(s.command(strings.Fields(step)))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	opened := event("a open 1000.00 GBP")
	if a := opened.GetAccount(); a.GetRulesProfile() != "default" || a.GetHomeCountryCode() != "GB" || string(a.GetSealedHolder()) != "sealed" || !a.GetOpenedAt().AsTime().Equal(s.last.Time) {
		t.Errorf("opened %v", a)
	}
	if f := event("a limit 5.00 GBP").GetCreditLimitChanged(); f.GetPreviousCreditLimit() != 100000 {
		t.Errorf("limit %v", f)
	}
	if f := event("a state suspended").GetAccountStateChanged(); f.GetPreviousState() != typev1.AccountState_ACCOUNT_STATE_OPEN || f.GetReason() != "asked for" {
		t.Errorf("state %v", f)
	}
	moved := event("a holder FR")
	if a := moved.GetAccount(); moved.GetHolderUpdated().GetPaths()[0] != "address.country_code" || a.GetHomeCountryCode() != "FR" || string(a.GetSealedHolder()) != "resealed" || !proto.Equal(a.GetOpenedAt(), opened.GetAccount().GetOpenedAt()) {
		t.Errorf("moved %v", moved)
	}
	issued := event("a issue c1").GetAccount().GetCards()[0]
	if issued.GetLastFour() != "1234" || string(issued.GetNumberFingerprint()) != "n-c1" || issued.GetExpiryMonth() != 12 || issued.GetExpiryYear() != 2030 {
		t.Errorf("issued %v", issued)
	}
	if f := event("a card c1 lost").GetCardStateChanged(); f.GetCardId() != "c1" || f.GetPreviousState() != typev1.CardState_CARD_STATE_INACTIVE || f.GetReason() != "asked for" {
		t.Errorf("card %v", f)
	}
	if f := event("a replace c1 by c2").GetCardReplaced(); f.GetCardId() != "c1" || f.GetNewCardId() != "c2" || f.GetReason() != "worn" {
		t.Errorf("replaced %v", f)
	}
	controlled := event(`a controls c2 limits:{window:WINDOW_DAY,max_count:3}`)
	if limits := controlled.GetAccount().GetCards()[1].GetControls().GetLimits(); controlled.GetSpendingControlsSet().GetCardId() != "c2" || len(limits) != 1 ||
		limits[0].GetWindow() != typev1.Window_WINDOW_DAY || limits[0].GetMaxCount() != 3 {
		t.Errorf("controlled %v", controlled)
	}
	if f := event("a controls - single_use:true"); f.GetSpendingControlsSet().GetCardId() != "" || !f.GetAccount().GetControls().GetSingleUse() {
		t.Errorf("the account controlled %v", f)
	}
	if opened.GetAccount().GetCreditLimit().GetMinorUnits() != 100000 || len(opened.GetAccount().GetCards()) != 0 {
		t.Error("a later command changed an earlier event")
	}
	s.checkReplay()
}

// Whatever is remembered of ids: an account is never opened over another.
func TestDecideOpensAnAccountOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	opening := s.command(strings.Fields("a open 1000.00 GBP"))
	s.expect("open", s.answer(opening), "account opened")
	var f *failure.Error
	if _, err := s.account("a").Decide(opening, s.register, command.Position{Sequence: 2, Time: noon}); !errors.As(err, &f) || f.Reason != "ACCOUNT_EXISTS" {
		t.Errorf("opened again: %v", err)
	}
}

func TestAnAccountHasAtMostSoManyCards(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.expect("open", s.answer(s.command(strings.Fields("a open 1000.00 GBP"))), "account opened")
	for i := range CardBound {
		s.expect("issue", s.answer(s.command([]string{"a", "issue", fmt.Sprint("c", i), "active"})), "card issued")
	}
	s.expect("one more", s.answer(s.command(strings.Fields("a issue more"))), "precondition: TOO_MANY_CARDS")
	s.expect("in place of one", s.answer(s.command(strings.Fields("a replace c0 by more"))), "precondition: TOO_MANY_CARDS")
	s.expect("close one", s.answer(s.command(strings.Fields("a card c0 closed"))), "card state changed")
	s.expect("one more after that", s.answer(s.command(strings.Fields("a issue more"))), "precondition: TOO_MANY_CARDS") // closed cards count
	s.checkReplay()
}

// Every event carries the controls of all cards, so what one card may have is bounded: the largest account still fits into one stored event of 1 MiB.
func TestTheLargestAccountFitsIntoAnEvent(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.expect("open", s.answer(s.command(strings.Fields("a open 1000.00 GBP"))), "account opened")
	list := func(codes int) (list []string) {
		for code := range codes {
			list = append(list, fmt.Sprintf("%04d", code))
		}
		return list
	}
	largest := &typev1.SpendingControls{AllowedMccs: list(256), BlockedCountries: list(256), LockedMerchantId: strings.Repeat("m", 64), SingleUse: true}
	for proto.Size(largest) < ControlsBound-50 {
		largest.Limits = append(largest.Limits, &typev1.SpendingLimit{Period: &typev1.SpendingLimit_TrailingHours{TrailingHours: 744},
			MaxAmount: &typev1.Money{CurrencyCode: "GBP", MinorUnits: 1e15}, MaxCount: 1 << 30})
	}
	set := func(card string, controls *typev1.SpendingControls) string {
		return s.answer(&SetSpendingControls{Header: Header{AccountID: "a", Actor: "tester"}, CardID: card, Controls: controls})
	}
	card := strings.Repeat("c", 64)
	s.expect("of the account", set("", largest), "spending controls set")
	s.expect("issue", s.answer(s.command([]string{"a", "issue", card, "active"})), "card issued")
	s.expect("of the card", set(card, largest), "spending controls set")
	event := s.read(s.last.Sequence)
	for cards := event.GetAccount(); len(cards.GetCards()) < CardBound; {
		cards.Cards = append(cards.Cards, cards.GetCards()[0])
	}
	if size := proto.Size(event); size < 800_000 || size > 900_000 {
		t.Errorf("the event has %d bytes", size)
	}
	largest = proto.CloneOf(largest)
	largest.BlockedMccs = []string{"9999", "9998", "9997", "9996", "9995", "9994", "9993", "9992", "9991", "9990"}
	s.expect("too many", set("", largest), "invalid: INVALID_FIELD controls")
}

func TestApplyPanicsOnABrokenEvent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		steps  string // the last one makes the event
		change func(event *eventsv1.AccountEvent, sequence *uint64)
	}{
		"without the account": {"a open 1.00 GBP\na limit 2.00 GBP", func(e *eventsv1.AccountEvent, _ *uint64) { e.Account = nil }},
		"out of order":        {"a open 1.00 GBP\na limit 2.00 GBP", func(_ *eventsv1.AccountEvent, sequence *uint64) { *sequence = 1 }},
		"opened twice":        {"a open 1.00 GBP\nb open 1.00 GBP", func(e *eventsv1.AccountEvent, _ *uint64) { e.Envelope.AccountId = "a" }},
		"not opened":          {"a open 1.00 GBP\na limit 2.00 GBP", func(e *eventsv1.AccountEvent, _ *uint64) { e.Envelope.AccountId = "c" }},
		"a card that exists": {"a open 1.00 GBP\na issue c1\na issue c2", func(e *eventsv1.AccountEvent, _ *uint64) {
			e.Account.Cards[1].CardId, e.GetCardIssued().CardId = "c1", "c1"
		}},
		"a card number that exists": {"a open 1.00 GBP\na issue c1\na issue c2", func(e *eventsv1.AccountEvent, _ *uint64) { e.Account.Cards[1].NumberFingerprint = []byte("n-c1") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			lines := strings.Split(test.steps, "\n")
			for _, line := range lines {
				s.answer(s.command(strings.Fields(line)))
			}
			fresh := newSystem(t)
			for _, line := range lines[:len(lines)-1] {
				fresh.answer(fresh.command(strings.Fields(line)))
			}
			event, sequence := s.read(s.last.Sequence), s.last.Sequence
			test.change(event, &sequence)
			defer func() {
				if problem, ok := recover().(string); !ok || problem == "" {
					t.Errorf("it was applied, or panics with something else: %q", problem)
				}
			}()
			fresh.account(event.GetEnvelope().GetAccountId()).Apply(event, sequence)
			fresh.register.Apply(event)
		})
	}
}
