package bench

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// The phases that are measured beside others.
const (
	phaseEcho  = "echo"
	phaseQuiet = "feed_off"
)

// Report is what a run measured.
type Report struct {
	// Began is when.
	Began time.Time `json:"began"`
	// Machine that it ran on.
	Machine Machine `json:"machine"`
	// Server says how the server under load was started.
	Server string `json:"server"`
	// Given says that the user named the server.
	Given bool `json:"given"`
	// Accounts that the load was spread over.
	Accounts int `json:"accounts"`
	// Connections that the callers shared.
	Connections int `json:"connections"`
	// Seconds of each measurement, in Turns.
	Seconds float64 `json:"seconds"`
	// Turns of each measurement.
	Turns int `json:"turns"`
	// Results, in the order in which they were measured.
	Results []*Result `json:"results"`
	// BytesPerAuthorization is what an authorization takes in the ledger's stream, checks and headers included; 0: not measured.
	BytesPerAuthorization float64 `json:"bytes_per_authorization"`
	// Ratios between results.
	Ratios []Ratio `json:"ratios"`
	// Check says whether the accounts hold what was answered; nil: not checked.
	Check *Check `json:"check,omitempty"`
	// Notes say what was left out, and why.
	Notes []string `json:"notes,omitempty"`
}

// Machine is the machine that a report is about.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
	// BusyBefore is the share of all processors' time that was in use in the second before the run; below zero: unknown.
	BusyBefore float64 `json:"busy_before"`
}

// Result is one measurement. Latencies are in microseconds; those of an open loop count from when a call was due.
type Result struct {
	Phase       string      `json:"phase"`
	What        string      `json:"what"`
	Callers     int         `json:"callers"`
	OfferedRate float64     `json:"offered_rate,omitempty"`
	Seconds     float64     `json:"seconds"`
	Operations  int64       `json:"operations"`
	Errors      int64       `json:"errors"`
	FirstError  string      `json:"first_error,omitempty"`
	Rate        float64     `json:"rate"`
	TurnRates   []float64   `json:"turn_rates,omitempty"`
	Latency     Percentiles `json:"latency_us"`
	// CPUSeconds and RSS (the most seen at a turn's end, in bytes) of the server; 0: unknown. ClientCPUSeconds are those of the callers.
	CPUSeconds       float64 `json:"cpu_seconds"`
	RSS              int64   `json:"rss"`
	ClientCPUSeconds float64 `json:"client_cpu_seconds"`
	// OfEcho and OfAppend are the rate as a share of the ceilings with as many callers; 0: not measured.
	OfEcho float64 `json:"of_echo,omitempty"`
	// OfEchoCPU is what the rate's share would be if nothing else had run and all processors had been busy: the processor time of one echo, callers included, as a
	// share of one operation's. On a machine with other load it is the steadier figure.
	OfEchoCPU float64 `json:"of_echo_cpu,omitempty"`
	OfAppend  float64 `json:"of_append,omitempty"`
}

// Percentiles of a latency, in microseconds.
type Percentiles struct {
	P50  int64 `json:"p50"`
	P95  int64 `json:"p95"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
	Max  int64 `json:"max"`
}

// Ratio compares two results.
type Ratio struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	// Unit is empty for a plain ratio.
	Unit string `json:"unit,omitempty"`
	// ByCPU is the same of the processor time that an operation takes, callers included; 0: unknown.
	ByCPU float64 `json:"by_cpu,omitempty"`
}

// Check holds what the accounts hold, in minor units, against what was answered.
type Check struct {
	Acknowledged int64 `json:"acknowledged"`
	Found        int64 `json:"found"`
	// Unknown is in calls that failed: it may or may not be in what was found.
	Unknown int64 `json:"unknown"`
}

func newReport(o Options) *Report {
	return &Report{
		Began: time.Now().UTC().Truncate(time.Second), Server: o.Server, Given: o.Given, Accounts: o.Accounts, Connections: o.Connections, Seconds: o.Duration.Seconds(), Turns: o.Turns,
		Machine: thisMachine(),
	}
}

// add adds a result and tells of it.
func (r *run) add(result *Result) {
	r.report.Results = append(r.report.Results, result)
	r.report.compare()
	r.tell(true, "%s, %d callers: %s/s, p50 %s ms, p99 %s ms%s", result.What, result.Callers, grouped(result.Rate), milliseconds(result.Latency.P50), milliseconds(result.Latency.P99), result.failures())
}

func (r *Result) failures() string {
	if r.Errors == 0 {
		return ""
	}
	return fmt.Sprintf(", %d errors, the first: %s", r.Errors, r.FirstError)
}

// find returns the result of a phase with so many callers, or nil.
func (r *Report) find(phase string, callers int) *Result {
	for _, result := range r.Results {
		if result.Phase == phase && result.Callers == callers {
			return result
		}
	}
	return nil
}

// best returns the result of a phase with the highest rate, or nil.
func (r *Report) best(phase string) (best *Result) {
	for _, result := range r.Results {
		if result.Phase == phase && (best == nil || result.Rate > best.Rate) {
			best = result
		}
	}
	return best
}

// compare holds results against the ceilings, and against one another.
func (r *Report) compare() {
	r.Ratios = nil
	ratio := func(what string, a, b *Result) {
		if a != nil && b != nil && b.Rate > 0 {
			compared := Ratio{What: what, Value: a.Rate / b.Rate}
			if each := a.cpuEach(); each > 0 {
				compared.ByCPU = b.cpuEach() / each
			}
			r.Ratios = append(r.Ratios, compared)
		}
	}
	if lone, fsync := r.find(phaseAuthorize, 1), r.find(phaseFsync, 1); lone != nil && fsync != nil {
		r.Ratios = append(r.Ratios, Ratio{What: "p50 of one caller less that of fsync", Value: float64(lone.Latency.P50-fsync.Latency.P50) / 1000, Unit: "ms"})
	}
	for _, result := range r.Results {
		if echo := r.find(phaseEcho, result.Callers); echo != nil && result.overGRPC() {
			result.OfEcho = result.Rate / echo.Rate
			if each := result.cpuEach(); each > 0 {
				result.OfEchoCPU = echo.cpuEach() / each
			}
		}
		if appended := r.find(phaseAppend, result.Callers); appended != nil && result.overGRPC() && result.Phase != phaseBalance {
			result.OfAppend = result.Rate / appended.Rate
		}
		uniform := r.find(phaseAuthorize, result.Callers)
		switch result.Phase {
		case phaseHot:
			ratio(fmt.Sprintf("one hot account / uniform, %d callers", result.Callers), result, uniform)
		case phaseStream:
			ratio(fmt.Sprintf("AuthorizeStream, %d streams / the best unary rate", result.Callers), result, r.best(phaseAuthorize))
		case phasePairs:
			ratio(fmt.Sprintf("authorize + present / authorize, %d callers", result.Callers), result, uniform)
		case phaseFeed:
			ratio(fmt.Sprintf("feed on and log at info / without, %d callers", result.Callers), result, r.find(phaseQuiet, result.Callers))
		}
	}
}

// overGRPC says whether a result is of closed-loop unary calls to cardlog, which the ceilings bound.
func (r *Result) overGRPC() bool {
	return r.Phase != phaseEcho && r.Phase != phaseAppend && r.Phase != phaseFsync && r.Phase != phaseStream && r.OfferedRate == 0
}

// cpuEach is the processor time of one operation, server and callers together, in seconds; 0: unknown.
func (r *Result) cpuEach() float64 {
	if r.CPUSeconds == 0 || r.ClientCPUSeconds == 0 || r.Operations == 0 {
		return 0
	}
	return (r.CPUSeconds + r.ClientCPUSeconds) / float64(r.Operations)
}

// appendedResult is the result of appending to JetStream alone.
func appendedResult(callers int, rounds Rounds, a *Appended) *Result {
	return &Result{
		Phase: phaseAppend, What: fmt.Sprintf("JetStream append + sync, %d B, rounds of %d", rounds.Bytes, rounds.Events), Callers: callers, Seconds: a.Seconds, Operations: a.Events,
		Rate: float64(a.Events) / a.Seconds, Latency: a.Rounds, CPUSeconds: a.CPUSeconds, RSS: a.RSS,
	}
}

// WriteTable writes the report for a person to read. The error is the writer's.
func (r *Report) WriteTable(w io.Writer) error {
	text := &strings.Builder{}
	fmt.Fprintf(text, "cardlog bench, %s\n", r.Machine.describe(r.Began))
	fmt.Fprintf(text, "server: %s\n", r.Server)
	fmt.Fprintf(text, "%s accounts, %d connections, %.3g s a measurement in %d turns\n\n", grouped(float64(r.Accounts)), r.Connections, r.Seconds, r.Turns)
	columns := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(columns, "callers\trate/s\tp50 ms\tp95\tp99\tp99.9\tmax\tserver CPU\tµs/op\tclient µs/op\tRSS MiB\tof echo\tby CPU\tof append\terrors\t  what\n")
	for _, result := range r.Results {
		result.write(columns)
	}
	_ = columns.Flush() // a strings.Builder never fails
	r.writeSummary(text)
	_, err := io.WriteString(w, text.String())
	return err
}

// thisMachine is the one that this runs on. How busy it was is not known yet.
func thisMachine() Machine {
	return Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), BusyBefore: -1}
}

// describe says what the machine is, and how busy it was before.
func (m Machine) describe(began time.Time) string {
	busy := ""
	if m.BusyBefore >= 0 {
		busy = fmt.Sprintf(", %.0f %% busy before", 100*m.BusyBefore)
	}
	return fmt.Sprintf("%s: %d CPUs shared by server and clients, %s/%s, %s%s", began.Format(time.RFC3339), m.CPUs, m.OS, m.Arch, m.Go, busy)
}

func (r *Result) write(columns io.Writer) {
	l := r.Latency
	fmt.Fprintf(columns, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t", r.Callers, grouped(r.Rate), milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99), milliseconds(l.P999), milliseconds(l.Max))
	cpu, each, client, rss := "-", "-", "-", "-"
	if r.CPUSeconds > 0 && r.Seconds > 0 && r.Operations > 0 {
		cpu, each, rss = fmt.Sprintf("%.2f", r.CPUSeconds/r.Seconds), fmt.Sprintf("%.1f", 1e6*r.CPUSeconds/float64(r.Operations)), fmt.Sprintf("%d", r.RSS>>20)
	}
	if r.ClientCPUSeconds > 0 && r.Operations > 0 {
		client = fmt.Sprintf("%.1f", 1e6*r.ClientCPUSeconds/float64(r.Operations))
	}
	fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t  %s\n", cpu, each, client, rss, share(r.OfEcho), share(r.OfEchoCPU), share(r.OfAppend), r.Errors, r.What)
}

func (r *Report) writeSummary(text *strings.Builder) {
	for _, ratio := range r.Ratios {
		fmt.Fprintf(text, "\n%-60s %6.2f %s", ratio.What, ratio.Value, ratio.Unit)
		if ratio.ByCPU > 0 {
			fmt.Fprintf(text, "(by CPU %.2f)", ratio.ByCPU)
		}
	}
	if r.BytesPerAuthorization > 0 {
		fmt.Fprintf(text, "\n%-60s %6.0f", "bytes on disk for an authorization", r.BytesPerAuthorization)
	}
	text.WriteByte('\n')
	for _, result := range r.Results {
		if result.Errors > 0 {
			fmt.Fprintf(text, "\n%s, %d callers%s", result.What, result.Callers, result.failures())
		}
	}
	r.Check.write(text)
	for _, note := range r.Notes {
		fmt.Fprintf(text, "\nnote: %s", note)
	}
	text.WriteByte('\n')
}

func (c *Check) write(text *strings.Builder) {
	if c != nil {
		fmt.Fprintf(text, "\nchecked: %s minor units were answered, the accounts hold %s (%s in calls that failed)", grouped(float64(c.Acknowledged)), grouped(float64(c.Found)), grouped(float64(c.Unknown)))
	}
}

func share(of float64) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", of)
}

func milliseconds(microseconds int64) string { return fmt.Sprintf("%.2f", float64(microseconds)/1000) }

// grouped writes a number without decimals and with thousands separators.
func grouped(number float64) string {
	digits := fmt.Sprintf("%.0f", number)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
