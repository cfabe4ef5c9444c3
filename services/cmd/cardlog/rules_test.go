package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// rulesFile is a file of rules for the test.
func rulesFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "rules.yaml")
	writeRules(t, path, text)
	return path
}

func writeRules(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// decidedBy asks for a purchase with an account's card and returns what decided it, and how.
func (b *bank) decidedBy(account, transaction string) string {
	b.t.Helper()
	d := must(b.authorize(b.t.Context(), account, transaction, 100))(b.t)
	told := must(b.GetTransaction(b.t.Context(), &transactionsv1.GetTransactionRequest{
		Account: &transactionsv1.GetTransactionRequest_AccountId{AccountId: account}, TransactionId: transaction}))(b.t)
	return told.GetTransaction().GetRules() + ": " + decisionWords(d)
}

// payDecidedBy submits a payment and returns what decided it, and what became of it.
func (b *bank) payDecidedBy(account, payment string, pence int64) string {
	b.t.Helper()
	p := must(b.pay(b.t.Context(), account, payment, pence))(b.t)
	return p.GetRulesProfile() + " of " + p.GetRuleVersion() + ": " + strings.TrimPrefix(p.GetStatus().String(), "PAYMENT_STATUS_")
}

// openWith opens an account that is decided by a profile.
func (b *bank) openWith(account, profile string) error {
	_, err := b.OpenAccount(b.t.Context(), &accountsv1.OpenAccountRequest{AccountId: account, CreditLimit: pounds(10_000), RulesProfile: profile,
		Holder: &accountsv1.Holder{FullName: "Holder of " + account, Address: &accountsv1.Address{CountryCode: "GB"}}})
	if err == nil {
		_, err = b.IssueCard(b.t.Context(), &accountsv1.IssueCardRequest{AccountId: account, CardId: account + "-card", Activate: true})
	}
	return err
}

func TestTheRulesOfARunningCardlogChange(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	var log lockedBuffer
	c.logger = slog.New(slog.NewTextHandler(&log, nil))
	c.rules = rulesFile(t, "version: v1\nprofiles: {default: {payments: {allow_overpayment: true}}}")
	b, p := startBank(t, c)
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	wantLogged := func(words string) {
		t.Helper()
		if !strings.Contains(log.String(), words) {
			t.Errorf("it did not log %s:\n%s", words, log.String())
		}
	}
	b.open("alice", 10_000)
	want(b.decidedBy("alice", "t1"), "default of v1: APPROVED 00")
	want(b.payDecidedBy("alice", "p1", 100), "default of v1: SUBMITTED")
	wantError(t, b.openWith("bob", "strict"), codes.InvalidArgument, "INVALID_FIELD")

	writeRules(t, c.rules, `{version: v2, profiles: {default: {payments: {allow_overpayment: true, review_amount: 100}}, strict: {blocked_mccs: ["5411"]}}}`)
	p.reloadRules(t.Context())
	wantLogged("the rules were read again")
	want(b.payDecidedBy("alice", "p2", 100), "default of v2: HELD")
	want(b.decidedBy("alice", "t2"), "default of v2: APPROVED 00")
	if err := b.openWith("bob", "strict"); err != nil {
		t.Error(err)
	}
	want(b.decidedBy("bob", "t1"), "strict of v2: DECLINED 57 MCC_BLOCKED")

	writeRules(t, c.rules, "version: v3\nprofiles: {default: {blocked_mcc: [5411], over_limit_percent: 1000}}")
	p.reloadRules(t.Context())
	wantLogged("level=ERROR msg=\"THE RULES WERE NOT CHANGED")
	wantLogged(c.rules + ":2:22: profiles.default: there is no key")
	wantLogged(c.rules + ":2:63: profiles.default.over_limit_percent: must be")
	want(b.decidedBy("alice", "t3"), "default of v2: APPROVED 00")
	want(b.decidedBy("bob", "t2"), "strict of v2: DECLINED 57 MCC_BLOCKED")
	if err := os.Remove(c.rules); err != nil {
		t.Fatal(err)
	}
	p.reloadRules(t.Context())
	want(b.decidedBy("alice", "t4"), "default of v2: APPROVED 00")

	// A repeat gets the answer that was given, by the rules that gave it.
	writeRules(t, c.rules, "version: v4\nprofiles: {default: {blocked_mccs: [5411]}}")
	p.reloadRules(t.Context())
	wantLogged("level=WARN msg=\"a profile is gone: its accounts are decided by the profile default\" profile=strict")
	want(b.decidedBy("alice", "t1"), "default of v1: APPROVED 00 duplicate")
	want(b.decidedBy("alice", "t5"), "default of v4: DECLINED 57 MCC_BLOCKED")
	want(b.decidedBy("bob", "t3"), "default of v4: DECLINED 57 MCC_BLOCKED")
	writeRules(t, c.rules, "version: v4\nprofiles: {default: {}}")
	p.reloadRules(t.Context())
	wantLogged("the rules changed and their version did not")
	want(b.decidedBy("bob", "t4"), "default of v4: APPROVED 00")
}

func TestWithoutARulesFileThereIsNothingToReadAgain(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	var log lockedBuffer
	c.logger = slog.New(slog.NewTextHandler(&log, nil))
	b, p := startBank(t, c)
	p.reloadRules(t.Context())
	if !strings.Contains(log.String(), "there are no rules to read again") {
		t.Errorf("it logged %s", log.String())
	}
	b.open("alice", 10_000)
	if got := b.decidedBy("alice", "t1"); !strings.HasPrefix(got, "default of built-in-") {
		t.Errorf("decided by %s", got)
	}
}

func TestAHangupHasTheRulesReadAgain(t *testing.T) {
	t.Parallel()
	rules := rulesFile(t, "version: v1\nprofiles: {default: {}}")
	command, e := startProcess(t, t.TempDir(), "--rules", rules)
	b := connectBank(t, e.GRPC)
	b.open("alice", 10_000)
	if got := b.decidedBy("alice", "before"); got != "default of v1: APPROVED 00" {
		t.Error(got)
	}
	writeRules(t, rules, "version: v2\nprofiles: {default: {}}")
	if err := command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	purchases := 0
	eventually(t, "the new rules decide", func() error {
		purchases++
		if got := b.decidedBy("alice", "after-"+string(rune('a'+purchases%26))+strings.Repeat("x", purchases/26)); got != "default of v2: APPROVED 00" {
			return errNotYet(got)
		}
		return nil
	})
}

// errNotYet says what is still so.
type errNotYet string

func (e errNotYet) Error() string { return string(e) }

// runCommand runs a command line and returns what it prints.
func runCommand(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := newCommand()
	command.SetOut(&out)
	command.SetArgs(arguments)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestRulesShowCanBeChecked(t *testing.T) {
	t.Parallel()
	shown, err := runCommand(t, "rules", "show")
	if err != nil {
		t.Fatal(err)
	}
	file := rulesFile(t, shown)
	explained, err := runCommand(t, "rules", "check", file)
	if err != nil || !strings.Contains(explained, "PROFILE default") || !strings.Contains(explained, "mcc 5541-5542, up to 1.00") {
		t.Errorf("checked as %s, %v", explained, err)
	}
	if b, _ := startBank(t, func() config { c := testConfig(t); c.rules = file; return c }()); b.openWith("alice", "default") != nil {
		t.Error("cardlog does not take accounts by the rules that are shown")
	}
}

func TestRulesCheckTellsMistakes(t *testing.T) {
	t.Parallel()
	file := rulesFile(t, "version: v1\nprofiles: {default: {hold_expiry: [{days: 0}], payments: {review_amount: 1.00}}}")
	mistakes := []string{file + ":2:43: profiles.default.hold_expiry[1].days: ", file + ":2:74: profiles.default.payments.review_amount: "}
	out, err := runCommand(t, "rules", "check", file)
	for _, mistake := range mistakes {
		if err == nil || !strings.Contains(err.Error(), mistake) || out != "" {
			t.Errorf("it did not tell %s but %q, %v", mistake, out, err)
		}
	}
	if out, err = runCommand(t, "rules", "check", "--json", file); err == nil {
		t.Error("in JSON it is no error")
	}
	var report rulesReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Valid || report.Rules != nil || len(report.Problems) != 2 || report.Problems[1].Column != 74 {
		t.Errorf("in JSON it tells %s, %v", out, err)
	}
	if out, err = runCommand(t, "rules", "check", "--json", rulesFile(t, "version: v1\nprofiles: {default: {over_limit_percent: 3}}")); err != nil {
		t.Error(err)
	}
	report = rulesReport{}
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.Valid || report.Rules.Version != "v1" || report.Rules.Profiles["default"].OverLimitPercent != 3 {
		t.Errorf("in JSON it tells %s, %v", out, err)
	}
	if _, err := runCommand(t, "rules", "check", file+"x"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := start(t.Context(), func() config { c := testConfig(t); c.rules = file; return c }()); err == nil || !strings.Contains(err.Error(), mistakes[0]) {
		t.Errorf("cardlog started with mistakes: %v", err)
	}
}
