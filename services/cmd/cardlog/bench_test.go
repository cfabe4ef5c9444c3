package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/bench"
)

// TestBenchMeasuresEveryPhase runs all of bench, briefly, as a process of its own.
func TestBenchMeasuresEveryPhase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printed, progress := inProcess(t, "bench", "--json", "--dir", dir, "--accounts", "20", "--callers", "8", "--duration", "600ms", "--turns", "2", "--rate", "200")
	var report bench.Report
	if err := json.Unmarshal(printed, &report); err != nil {
		t.Fatalf("--json prints %s: %v", printed, err)
	}
	for _, phase := range append(bench.Phases(), "echo", "feed_off") {
		measured := slices.DeleteFunc(slices.Clone(report.Results), func(r *bench.Result) bool { return r.Phase != phase })
		if len(measured) == 0 {
			t.Errorf("%s was not measured", phase)
		}
		for _, r := range measured {
			if r.Operations == 0 || r.Errors != 0 || r.Rate <= 0 || r.Latency.P50 <= 0 || r.Latency.Max < r.Latency.P999 || r.Latency.P999 < r.Latency.P50 {
				t.Errorf("%s is measured as %+v", phase, r)
			}
			if grpc := phase != "fsync" && phase != "append"; grpc && runtime.GOOS == "linux" && r.RSS == 0 {
				t.Errorf("%s does not have the server's memory", phase)
			}
			if !strings.Contains(progress, r.What) {
				t.Errorf("nobody was told of %s", r.What)
			}
		}
	}
	if report.Check == nil || report.Check.Acknowledged == 0 || report.Check.Found != report.Check.Acknowledged || report.Check.Unknown != 0 {
		t.Errorf("the balances are %+v", report.Check)
	}
	if report.BytesPerAuthorization < 300 || report.BytesPerAuthorization > 1500 {
		t.Errorf("an authorization takes %.0f bytes", report.BytesPerAuthorization)
	}
	if hot := slices.IndexFunc(report.Results, func(r *bench.Result) bool { return r.Phase == "hot" && r.Callers == 8 }); hot < 0 || report.Results[hot].OfEcho <= 0 || report.Results[hot].OfAppend <= 0 {
		t.Error("the hot account is not held against the ceilings")
	}
	if left := must(os.ReadDir(dir))(t); len(left) > 0 {
		t.Errorf("it left %s behind", left[0].Name())
	}
}

func TestBenchMeasuresARunningCardlog(t *testing.T) {
	t.Parallel()
	b, p := startBank(t, testConfig(t))
	printed, _ := inProcess(t, "bench", "--server", p.endpoints().GRPC, "--only", "authorize,pairs,feed", "--accounts", "3", "--callers", "4", "--duration", "200ms", "--turns", "1")
	table := string(printed)
	for _, want := range []string{"server: " + p.endpoints().GRPC, "authorize, uniform", "authorize + present", "note: the price of the feed and the log was not measured"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not have %q:\n%s", want, table)
		}
	}
	if posted, pending, _ := b.balances("bench-0000000"); posted == 0 || pending == 0 {
		t.Errorf("the account has %d posted and %d pending", posted, pending)
	}
	if _, err := inShell(t, "bench", "--server", "192.0.2.1:7070"); err == nil || !strings.Contains(err.Error(), "load is sent to this machine only") {
		t.Errorf("a server elsewhere: %v", err)
	}
	for flag, want := range map[string]string{"--only=sleep": "there is no phase", "--callers=0": "callers are 1 to", "--accounts=0": "accounts are 1 to", "--duration=24h": "a measurement takes", "--turns=0": "has 1 to", "--rate=-1": "open loop's rate", "--connections=0": "connections are"} {
		if _, err := inShell(t, "bench", flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

func TestBenchGrowsALedgerAndFindsAllOfItAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printed, progress := inProcess(t, "bench", "grow", "--json", "--dir", dir, "--accounts", "1200", "--events", "9000", "--steps", "2", "--duration", "1s")
	var report bench.GrowReport
	if err := json.Unmarshal(printed, &report); err != nil {
		t.Fatalf("--json prints %s: %v", printed, err)
	}
	if len(report.Steps) != 2 || report.Empty == nil || report.Empty.Rate <= 0 {
		t.Fatalf("the report is %s", printed)
	}
	for i, step := range report.Steps {
		// Each account has an event for its limit and one for its card.
		if least := uint64(2*1200 + 4500*(i+1)); step.Events < least || step.BuildRate <= 0 || step.Errors != 0 || step.Result.Rate <= 0 || step.Result.Errors != 0 {
			t.Errorf("step %d is %+v", i, step)
		}
		if step.LedgerBytesPerEvent < 300 || step.LedgerBytesPerEvent > 1500 || step.DiskBytes < int64(step.LedgerBytesPerEvent)*9000/2 {
			t.Errorf("step %d takes %.0f bytes for an event and %d of the disk", i, step.LedgerBytesPerEvent, step.DiskBytes)
		}
	}
	if report.StartSeconds <= 0 || report.Cold == nil || report.Cold.Operations == 0 || report.Cold.Errors != 0 || report.OthersMeanwhile == nil || report.OthersMeanwhile.Operations == 0 {
		t.Errorf("after the kill: %s", printed)
	}
	if c := report.Check; c == nil || c.Acknowledged == 0 || c.Found < c.Acknowledged || c.Found > c.Acknowledged+c.Unknown {
		t.Errorf("the balances are %+v", c)
	}
	if !strings.Contains(progress, "killed and started again") {
		t.Errorf("it told of %s", progress)
	}
	if left := must(os.ReadDir(dir))(t); len(left) > 0 {
		t.Errorf("it left %s behind", left[0].Name())
	}
	for flag, want := range map[string]string{"--events=0": "events are 1 to", "--steps=0": "steps are 1 to", "--accounts=0": "accounts are 1 to"} {
		if _, err := inShell(t, "bench", "grow", flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// TestTheEchoIsAsLargeAsADecision holds the message of the ceiling against a real one.
func TestTheEchoIsAsLargeAsADecision(t *testing.T) {
	t.Parallel()
	b, _ := startBank(t, testConfig(t))
	b.open("alice", 1_000_000_000_000)
	request := &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: "alice-card"}, TransactionId: "lunch", Amount: pounds(5_000), Merchant: shop()}
	decided, echo := must(b.Authorize(t.Context(), request))(t), must(bench.Echo{}.Authorize(t.Context(), request))(t)
	if a, b := len(must(proto.Marshal(decided))(t)), len(must(proto.Marshal(echo))(t)); b < a*9/10 || b > a*11/10 {
		t.Errorf("a decision has %d bytes, the echo %d", a, b)
	}
}

// inProcess runs a command line as a process of its own.
func inProcess(t *testing.T, arguments ...string) (printed []byte, progress string) {
	t.Helper()
	var out, problems bytes.Buffer
	command := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(arguments, " "), err, problems.String())
	}
	return out.Bytes(), problems.String()
}
