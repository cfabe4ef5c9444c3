package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// GrowReport is what building a ledger has shown.
type GrowReport struct {
	// Began is when.
	Began time.Time `json:"began"`
	// Machine that it ran on.
	Machine Machine `json:"machine"`
	// Server says how the server was started.
	Server string `json:"server"`
	// Accounts that the ledger has.
	Accounts int `json:"accounts"`
	// Empty is the rate on the empty ledger, over EmptyAccounts.
	Empty         *Result `json:"empty"`
	EmptyAccounts int     `json:"empty_accounts"`
	// Steps of the building.
	Steps []*Step `json:"steps"`
	// StartSeconds is how long it took after kill -9, from the start of the process until a purchase was decided.
	StartSeconds float64 `json:"start_seconds"`
	// RSSAfterStart is the memory then, in bytes.
	RSSAfterStart int64 `json:"rss_after_start"`
	// OthersAlone are decisions on accounts in memory after that, OthersMeanwhile the same while Cold was measured: first decisions on accounts since the start.
	OthersAlone     *Result `json:"others_alone,omitempty"`
	OthersMeanwhile *Result `json:"others_meanwhile,omitempty"`
	Cold            *Result `json:"cold,omitempty"`
	// Check says whether the accounts hold what was answered.
	Check *Check `json:"check,omitempty"`
}

// Step is the ledger after a step of its building.
type Step struct {
	// Events in the ledger.
	Events uint64 `json:"events"`
	// BuildRate is at how many events a second they were added; Built are those of this step, and BuildCPUSeconds the server's CPU time for them, 0 where unknown.
	BuildRate       float64 `json:"build_rate"`
	Built           int64   `json:"built"`
	BuildCPUSeconds float64 `json:"build_cpu_seconds"`
	// Errors while building.
	Errors     int64  `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// LedgerBytesPerEvent is what an event of this step takes in the ledger's streams.
	LedgerBytesPerEvent float64 `json:"ledger_bytes_per_event"`
	// DiskBytes is the size of all of the server's files.
	DiskBytes int64 `json:"disk_bytes"`
	// Result is of authorizations over all accounts, measured after the step. Its events come on top.
	Result *Result `json:"authorize"`
}

func newGrowReport(o GrowOptions) *GrowReport {
	return &GrowReport{
		Began: time.Now().UTC().Truncate(time.Second), Server: o.Server, Accounts: o.Accounts,
		Machine: thisMachine(),
	}
}

// WriteTable writes the report for a person to read. The error is the writer's.
func (r *GrowReport) WriteTable(w io.Writer) error {
	text := &strings.Builder{}
	fmt.Fprintf(text, "cardlog bench grow, %s\n", r.Machine.describe(r.Began))
	fmt.Fprintf(text, "server: %s\n%s accounts; authorize with %d callers, uniform over all of them\n\n", r.Server, grouped(float64(r.Accounts)), growCallers)
	columns := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(columns, "events\tbuilt/s\tserver µs/event\tauthorize/s\tof empty\tp50 ms\tp99\tserver µs/op\tby CPU\tRSS MiB\tledger B/event\tdisk MiB\terrors\t\n")
	if r.Empty != nil {
		r.writeStep(columns, &Step{Result: r.Empty})
	}
	for _, step := range r.Steps {
		r.writeStep(columns, step)
	}
	_ = columns.Flush() // a strings.Builder never fails
	if r.StartSeconds > 0 {
		fmt.Fprintf(text, "\nkilled and started again: first decision after %.2f s, RSS %d MiB", r.StartSeconds, r.RSSAfterStart>>20)
	}
	for _, result := range []*Result{r.Cold, r.OthersMeanwhile, r.OthersAlone} {
		if result != nil {
			l := result.Latency
			fmt.Fprintf(text, "\n%-46s %9s  p50 %s  p95 %s  p99 %s  max %s ms%s", result.What, grouped(result.Rate)+"/s",
				milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99), milliseconds(l.Max), result.failures())
		}
	}
	for _, step := range r.Steps {
		if step.Errors > 0 {
			fmt.Fprintf(text, "\nat %s events %d errors, the first: %s", grouped(float64(step.Events)), step.Errors, step.FirstError)
		}
	}
	r.Check.write(text)
	text.WriteByte('\n')
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *GrowReport) writeStep(columns io.Writer, s *Step) {
	built, each, bytes, disk := "-", "-", "-", "-"
	if s.Events > 0 {
		built, bytes, disk = grouped(s.BuildRate), grouped(s.LedgerBytesPerEvent), fmt.Sprintf("%d", s.DiskBytes>>20)
	}
	if s.BuildCPUSeconds > 0 {
		each = fmt.Sprintf("%.1f", 1e6*s.BuildCPUSeconds/float64(s.Built))
	}
	ofEmpty, ofEmptyCPU, cpu := 0.0, 0.0, "-"
	if r.Empty.Rate > 0 {
		ofEmpty = s.Result.Rate / r.Empty.Rate
	}
	if now := s.Result.cpuEach(); now > 0 {
		cpu, ofEmptyCPU = fmt.Sprintf("%.1f", 1e6*s.Result.CPUSeconds/float64(s.Result.Operations)), r.Empty.cpuEach()/now
	}
	l := s.Result.Latency
	fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t\n", grouped(float64(s.Events)), built, each, grouped(s.Result.Rate), share(ofEmpty),
		milliseconds(l.P50), milliseconds(l.P99), cpu, share(ofEmptyCPU), s.Result.RSS>>20, bytes, disk, s.Errors+s.Result.Errors)
}
