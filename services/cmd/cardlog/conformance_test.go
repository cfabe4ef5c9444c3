package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// The scenarios that are run: those of public documentation, and our own, which cover every rule. testdata/conformance/README.md says how to read them.
var scenarioFiles = []string{"scenarios.json", "own.json"}

// outOfScope are the capabilities that cardlog does not have, with the reason.
var outOfScope = map[string]string{
	"strict_capture_mode": "a presentment always posts; a mode that refuses it is another product",
	"fees":                "fees are not kept",
	"fuzzy_match":         "a message names its transaction; none is guessed",
}

// TestConformance runs every scenario through the public API of one cardlog with a manual clock, each with an account of its own, one after the other.
func TestConformance(t *testing.T) {
	t.Parallel()
	var scenarios []scenario
	for _, file := range scenarioFiles {
		scenarios = append(scenarios, readScenarios(t, file)...)
	}
	c := testConfig(t)
	c.manualClock = true
	c.clock = func() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }
	c.rules = writeScenarioRules(t, scenarios)
	b, _ := startBank(t, c)
	clock := adminv1.NewClockServiceClient(b.connection)
	for i := range scenarios {
		t.Run(scenarios[i].Name, func(t *testing.T) {
			for _, needed := range scenarios[i].Requires {
				if why, out := outOfScope[needed]; out {
					t.Skipf("out of scope, %s: %s", needed, why)
				}
			}
			beginScenario(b.in(t), clock, scenarioName(i), &scenarios[i]).run()
		})
	}
}

// scenario is what happens to one account, and what must be seen after each step.
type scenario struct {
	Name        string          `json:"name"`
	Source      json.RawMessage `json:"source"`
	Requires    []string        `json:"requires"`
	Note        string          `json:"note"`
	Mapping     string          `json:"mapping"`
	CaptureMode string          `json:"capture_mode"`
	CreditLimit int64           `json:"credit_limit"`
	Policy      policy          `json:"policy"`
	Steps       []step          `json:"steps"`
	Expect      []expectation   `json:"expect"`

	// How far the source goes; nothing here depends on them.
	CreditLimitChosen bool `json:"credit_limit_chosen"`
	AmountsChosen     bool `json:"amounts_chosen"`
	Inferred          bool `json:"inferred"`
}

// policy is the rules of a scenario: what of them is a rules profile, and what spending controls.
type policy struct {
	MCCHold          map[string]int64 `json:"mcc_hold"`
	ExpiryDays       map[string]int   `json:"expiry_days"`
	OverLimitPercent int              `json:"over_limit_percent"`
	CardType         string           `json:"card_type"`
	Velocity         []velocity       `json:"velocity"`
	// Of our own scenarios: keys of the profile, and controls, in their own words.
	Profile         map[string]any  `json:"profile"`
	CardControls    json.RawMessage `json:"card_controls"`
	AccountControls json.RawMessage `json:"account_controls"`
}

type velocity struct {
	Scope       string `json:"scope"`
	Period      string `json:"period"`
	LimitAmount int64  `json:"limit_amount"`
	LimitCount  int32  `json:"limit_count"`
}

// step is one message or change.
type step struct {
	Op       string   `json:"op"`
	Ref      string   `json:"ref"`
	Amount   int64    `json:"amount"`
	Day      *float64 `json:"day"` // the clock moves forward to it
	Original string   `json:"original"`
	Message  string   `json:"message_id"`
	Kind     string   `json:"kind"`
	Card     string   `json:"card"`
	State    string   `json:"state"`

	MCC             string `json:"mcc"`
	MerchantCountry string `json:"merchant_country"`
	EntryMode       string `json:"pos_entry_mode"`
	PreAuth         bool   `json:"preauth"`
	Partial         bool   `json:"partial_approval_capable"`
	Advice          bool   `json:"advice"` // an authorization that the network gave in our place
	SingleMessage   bool   `json:"single_message"`
	Final           *bool  `json:"final"` // of a clearing; absent: true
	Absolute        bool   `json:"absolute"`
	Status          string `json:"status"` // of a payment
	Hold            bool   `json:"hold"`   // of a payment: withheld
	ReturnCode      string `json:"return_code"`
	Replacement     string `json:"replacement"`

	// What the API has no field for, and what moves nothing here.
	MerchantCurrency string `json:"merchant_currency"`
	CardPresent      *bool  `json:"card_present"`
	Linked           *bool  `json:"linked"`
	TimeoutDays      int    `json:"timeout_days"`
	Provisional      bool   `json:"provisional"`

	// Of our own scenarios.
	Merchant    string          `json:"merchant"`
	Currency    string          `json:"currency"`
	SentDaysAgo float64         `json:"sent_days_ago"`
	Controls    json.RawMessage `json:"controls"`
}

// expectation is what must be seen after a step. What is absent is not looked at.
type expectation struct {
	Decision  string `json:"decision"`
	Status    string `json:"status"`
	Reason    string `json:"reason"`
	Code      string `json:"response_code"`
	Posted    int64  `json:"posted"`
	Pending   int64  `json:"pending"`
	Withheld  *int64 `json:"withheld"`
	Available int64  `json:"available"`

	ApprovedAmount   *int64 `json:"approved_amount"`
	HeldAmount       *int64 `json:"held_amount"`
	PendingCredit    *int64 `json:"pending_credit"`
	Released         *int64 `json:"released"`
	OriginalDecision string `json:"original_decision"`
	EventKind        string `json:"event_kind"`

	// How far the source goes; nothing here depends on them.
	Inferred       bool     `json:"inferred"`
	InferredFields []string `json:"inferred_fields"`

	// Of our own scenarios.
	OverCapture *int64            `json:"over_capture"`
	Tolerated   *bool             `json:"tolerated"`
	Late        *bool             `json:"late"`
	DaysLate    *int32            `json:"days_late"`
	Unmatched   *bool             `json:"unmatched"`
	Capped      *bool             `json:"capped"`
	Others      map[string]string `json:"others"` // the statuses of other transactions
	Checks      map[string]string `json:"checks"` // of a decision: check -> "seen/bound" where it failed, "ok" where it passed
}

func readScenarios(t *testing.T, file string) []scenario {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "conformance", file))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		SchemaVersion int             `json:"schema_version"`
		Title         string          `json:"title"`
		Conventions   json.RawMessage `json:"conventions"`
		Ops           json.RawMessage `json:"ops"`
		Scenarios     []scenario      `json:"scenarios"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // nothing that a scenario says may go unheard
	if err := decoder.Decode(&document); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, s := range document.Scenarios {
		if len(s.Steps) == 0 || len(s.Steps) != len(s.Expect) {
			t.Fatalf("%s: %s has %d steps and %d expectations", file, s.Name, len(s.Steps), len(s.Expect))
		}
	}
	return document.Scenarios
}

// scenarioName is the name of a scenario's account and rules profile.
func scenarioName(index int) string { return fmt.Sprintf("scenario-%02d", index+1) }

// writeScenarioRules writes a rules file with a profile for every scenario. JSON is YAML too.
func writeScenarioRules(t *testing.T, scenarios []scenario) string {
	t.Helper()
	profiles := map[string]any{"default": map[string]any{}}
	for i := range scenarios {
		profiles[scenarioName(i)] = scenarios[i].profile()
	}
	text, err := json.MarshalIndent(map[string]any{"version": "conformance", "profiles": profiles}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// profile is the scenario's rules profile. What the policy does not say is cardlog's default, but that payments above what is owed are taken.
func (s *scenario) profile() map[string]any {
	payments := map[string]any{"allow_overpayment": true}
	for _, taken := range s.Steps {
		if taken.Op == "payment" && taken.Hold {
			payments["withhold_days"] = 3
		}
		if taken.Op == "payment" && taken.Status == "submitted" {
			payments["review_amount"] = 1 // submitted and not settled: held until it is released
		}
	}
	profile := map[string]any{"payments": payments}
	if s.Policy.OverLimitPercent != 0 {
		profile["over_limit_percent"] = s.Policy.OverLimitPercent
	}
	if rows := s.Policy.expiryRows(); len(rows) > 0 {
		profile["hold_expiry"] = rows
	}
	var holds []any
	for mcc, amount := range s.Policy.MCCHold {
		holds = append(holds, map[string]any{"mcc": mcc, "fixed": amount})
	}
	if len(holds) > 0 {
		profile["hold_amount"] = holds
	}
	for key, value := range s.Policy.Profile {
		profile[key] = value
	}
	return profile
}

func (p *policy) expiryRows() []any {
	var rows []any
	for key, days := range p.ExpiryDays {
		switch key {
		case "default", "final":
			rows = append(rows, map[string]any{"days": days})
		case "preauth":
			rows = append(rows, map[string]any{"pre_authorization": true, "days": days})
		default:
			rows = append(rows, map[string]any{"mcc": key, "days": days})
		}
	}
	return rows
}

// controls are the spending controls of the card and of the account; nil where there are none.
func (p *policy) controls(t *testing.T) (card, account *typev1.SpendingControls) {
	t.Helper()
	if p.CardControls != nil {
		card = decodeControls(t, p.CardControls)
	}
	if p.AccountControls != nil {
		account = decodeControls(t, p.AccountControls)
	}
	if p.CardType == "single_use" {
		card = &typev1.SpendingControls{SingleUse: true}
	}
	for _, v := range p.Velocity {
		of := &card
		if v.Scope == "account" {
			of = &account
		}
		if *of == nil {
			*of = &typev1.SpendingControls{}
		}
		v.addTo(t, *of)
	}
	return card, account
}

func decodeControls(t *testing.T, text json.RawMessage) *typev1.SpendingControls {
	t.Helper()
	controls := &typev1.SpendingControls{}
	if err := protojson.Unmarshal(text, controls); err != nil {
		t.Fatal(err)
	}
	return controls
}

func (v velocity) addTo(t *testing.T, controls *typev1.SpendingControls) {
	t.Helper()
	if v.Period == "per_authorization" {
		controls.MaxAmount = pounds(v.LimitAmount)
		return
	}
	window, known := typev1.Window_value["WINDOW_"+strings.ToUpper(v.Period)]
	if !known {
		t.Fatalf("no window is called %q", v.Period)
	}
	limit := &typev1.SpendingLimit{Period: &typev1.SpendingLimit_Window{Window: typev1.Window(window)}, MaxCount: v.LimitCount}
	if v.LimitAmount > 0 {
		limit.MaxAmount = pounds(v.LimitAmount)
	}
	controls.Limits = append(controls.Limits, limit)
}

// scenarioRun is a scenario under way.
type scenarioRun struct {
	*bank
	*scenario

	payments paymentsv1.PaymentsServiceClient
	clock    adminv1.ClockServiceClient
	account  string
	profile  string
	start    time.Time         // day 0
	cards    map[string]string // the scenario's name of a card -> card_id
	cleared  map[string][]clearing
	step     int
}

// clearing is a presentment of a transaction.
type clearing struct {
	id        string
	amount    int64
	takenBack bool
}

// defaultCard is the card of a step that names none.
const defaultCard = "c1"

// beginScenario moves the clock to a day 0, and opens the account with its card and controls.
func beginScenario(b *bank, clock adminv1.ClockServiceClient, name string, s *scenario) *scenarioRun {
	b.t.Helper()
	r := &scenarioRun{bank: b, scenario: s, payments: paymentsv1.NewPaymentsServiceClient(b.connection), clock: clock,
		account: name, profile: name, cards: map[string]string{defaultCard: name + "-" + defaultCard}, cleared: map[string][]clearing{}}
	r.start = nextDayZero(r.now())
	r.setClock(r.start)
	must(b.OpenAccount(b.t.Context(), &accountsv1.OpenAccountRequest{AccountId: name, Holder: someHolder("Connie Formance"),
		CreditLimit: pounds(s.CreditLimit), RulesProfile: r.profile}))(b.t)
	must(b.IssueCard(b.t.Context(), &accountsv1.IssueCardRequest{AccountId: name, CardId: r.cards[defaultCard], Activate: true}))(b.t)
	card, account := s.Policy.controls(b.t)
	if card != nil {
		r.setControls(defaultCard, card)
	}
	if account != nil {
		r.setControls("", account)
	}
	return r
}

// nextDayZero is noon (UTC) of the first Monday of a month, so that a scenario knows in which week and month it begins.
func nextDayZero(now time.Time) time.Time {
	day := time.Date(now.Year(), now.Month(), now.Day(), 12, 0, 0, 0, time.UTC)
	for !day.After(now) || day.Weekday() != time.Monday || day.Day() > 7 {
		day = day.AddDate(0, 0, 1)
	}
	return day
}

func (r *scenarioRun) now() time.Time {
	r.t.Helper()
	return must(r.clock.Advance(r.t.Context(), &adminv1.AdvanceRequest{Duration: noTime}))(r.t).GetTime().AsTime()
}

func (r *scenarioRun) setClock(to time.Time) {
	r.t.Helper()
	if set := must(r.clock.Set(r.t.Context(), &adminv1.SetRequest{Time: timestamppb.New(to)}))(r.t); !set.GetTime().AsTime().Equal(to) {
		r.t.Fatalf("the clock was set to %v and stands at %v", to, set.GetTime().AsTime())
	}
}

func (r *scenarioRun) setControls(card string, controls *typev1.SpendingControls) {
	r.t.Helper()
	request := &accountsv1.SetSpendingControlsRequest{AccountId: r.account, Controls: controls}
	if card != "" {
		request.CardId = r.card(card)
	}
	must(r.SetSpendingControls(r.t.Context(), request))(r.t)
}

// card is the card_id of one of the scenario's cards.
func (r *scenarioRun) card(name string) string {
	if name == "" {
		name = defaultCard
	}
	return r.cards[name]
}

// run takes the steps one by one. It ends with the first that is not as expected: what follows would only repeat it.
func (r *scenarioRun) run() {
	r.t.Helper()
	for i := range r.Steps {
		r.step = i
		s, want := &r.Steps[i], &r.Expect[i]
		if s.Day != nil {
			r.setClock(r.start.Add(time.Duration(math.Round(*s.Day*24*60*60)) * time.Second))
		}
		before := r.balanceNow()
		differences := r.compare(want, s, r.perform(s), before)
		if len(differences) > 0 {
			r.t.Fatalf("step %d, %s %s %d:\n%s", i+1, s.Op, s.Ref, s.Amount, strings.Join(differences, "\n"))
		}
	}
}

func (r *scenarioRun) balanceNow() *transactionsv1.Balances {
	r.t.Helper()
	return must(r.GetBalance(r.t.Context(), &transactionsv1.GetBalanceRequest{
		Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: r.account}}))(r.t).GetBalances()
}

// answer is what a step was answered with, in the words of the scenarios.
type answer struct {
	decision, original, reason string
	message                    *transactionsv1.Decision // nil where the step's answer has none
}

// differences collects what is not as expected.
type differences []string

func (d *differences) look(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		*d = append(*d, fmt.Sprintf("  %s is %v, want %v", what, got, want))
	}
}

// check looks at a value that an expectation may leave open.
func check[T any](d *differences, what string, got T, want *T) {
	if want != nil {
		d.look(what, got, *want)
	}
}

func (r *scenarioRun) compare(want *expectation, s *step, got answer, before *transactionsv1.Balances) differences {
	r.t.Helper()
	var d differences
	d.look("decision", got.decision, want.Decision)
	d.look("reason", got.reason, cardlogWord(want.Reason))
	if want.Code != "" {
		d.look("response code", got.message.GetResponseCode(), want.Code)
	}
	if want.OriginalDecision != "" {
		d.look("first answer", got.original, want.OriginalDecision)
	}
	now := r.balanceNow()
	d.look("posted", now.GetPosted().GetMinorUnits(), want.Posted)
	d.look("pending", now.GetPending().GetMinorUnits(), want.Pending)
	d.look("available", now.GetAvailable().GetMinorUnits(), want.Available)
	check(&d, "withheld", now.GetWithheld().GetMinorUnits(), want.Withheld)
	if after := got.message.GetBalances(); after != nil && got.decision != "duplicate" {
		d.look("balances in the answer", balanceWords(after), balanceWords(now))
	}
	r.compareDecision(&d, want, got.message)
	r.compareTransaction(&d, want, s, before, now)
	return d
}

// cardlogWord is cardlog's word for a reason of the scenarios.
func cardlogWord(reason string) string {
	if ours, other := map[string]string{
		"spend_limit_exceeded": "amount_limit_exceeded", "velocity_count_exceeded": "count_limit_exceeded",
		"single_use_card_reattempted": "single_use_card_used", "idempotency_conflict": "id_reused",
	}[reason]; other {
		return ours
	}
	return reason
}

func (r *scenarioRun) compareDecision(d *differences, want *expectation, got *transactionsv1.Decision) {
	check(d, "approved amount", got.GetApprovedAmount().GetMinorUnits(), want.ApprovedAmount)
	check(d, "held amount", got.GetHeldAmount().GetMinorUnits(), want.HeldAmount)
	check(d, "over-capture", got.GetOverCaptureAmount().GetMinorUnits(), want.OverCapture)
	check(d, "over-capture tolerated", got.GetOverCaptureTolerated(), want.Tolerated)
	check(d, "late", got.GetLate(), want.Late)
	check(d, "days late", got.GetDaysLate(), want.DaysLate)
	check(d, "unmatched", got.GetUnmatched(), want.Unmatched)
	check(d, "reversal capped", got.GetReversalCapped(), want.Capped)
}

// compareTransaction looks at the transaction that the step's reference names.
func (r *scenarioRun) compareTransaction(d *differences, want *expectation, s *step, before, now *transactionsv1.Balances) {
	r.t.Helper()
	for other, status := range want.Others {
		d.look("status of "+other, transactionWords(r.transaction(other)), status)
	}
	if want.Status == "" {
		return
	}
	if strings.HasPrefix(s.Op, "payment") {
		d.look("status", r.paymentStatus(s.Ref), want.Status)
		return
	}
	transaction := r.transaction(s.Ref)
	d.look("status", scenarioStatus(s, transaction), want.Status)
	check(d, "pending credit", transaction.GetPendingCredit().GetMinorUnits(), want.PendingCredit)
	if want.Released != nil {
		d.look("released", released(s, transaction, before, now), *want.Released)
	}
	if want.EventKind == "issuer_expiration" {
		d.look("last entry", transaction.GetEntries()[len(transaction.GetEntries())-1].GetType(), transactionsv1.EntryType_ENTRY_TYPE_AUTHORIZATION_EXPIRED)
	}
	for kind, words := range want.Checks {
		d.look("check "+kind, checkOutcome(transaction, kind), words)
	}
}

// checkOutcome says how one check of a transaction went: ok, or what was seen and the bound.
func checkOutcome(transaction *transactionsv1.Transaction, kind string) string {
	index := slices.IndexFunc(transaction.GetChecks(), func(c *transactionsv1.Check) bool {
		return c.GetCheck().String() == "CHECK_KIND_"+strings.ToUpper(kind)
	})
	switch {
	case index < 0:
		return "not run"
	case transaction.GetChecks()[index].GetPassed():
		return "ok"
	}
	return transaction.GetChecks()[index].GetSeen() + "/" + transaction.GetChecks()[index].GetBound()
}

// transaction reads the transaction that a reference names: by its own id, or by that of one of its facts.
func (r *scenarioRun) transaction(ref string) *transactionsv1.Transaction {
	r.t.Helper()
	return must(r.GetTransaction(r.t.Context(), &transactionsv1.GetTransactionRequest{
		Account: &transactionsv1.GetTransactionRequest_AccountId{AccountId: r.account}, TransactionId: ref}))(r.t).GetTransaction()
}

// released is how much of a hold ended without having been presented.
func released(s *step, transaction *transactionsv1.Transaction, before, now *transactionsv1.Balances) int64 {
	if s.Op == "expire" {
		return transaction.GetEntries()[len(transaction.GetEntries())-1].GetAmount().GetMinorUnits()
	}
	fell := before.GetPending().GetMinorUnits() - now.GetPending().GetMinorUnits()
	return fell - (now.GetPosted().GetMinorUnits() - before.GetPosted().GetMinorUnits())
}

// transactionWords is a transaction's status in the words of the scenarios.
func transactionWords(transaction *transactionsv1.Transaction) string {
	return strings.ToLower(statusWord(transaction))
}

// scenarioStatus is the status of what a step refers to.
func scenarioStatus(s *step, transaction *transactionsv1.Transaction) string {
	words := transactionWords(transaction)
	if s.Op == "refund" && words == "partially_refunded" {
		return "refunded" // that is the purchase's status; of the refund itself the scenarios tell that it was posted
	}
	return words
}
