package replay

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/codes"

	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

const (
	// maxTableLines bounds each list in the table.
	maxTableLines = 20
	// maxLatency is the longest latency that is told apart; no call lasts longer than its budget.
	maxLatency = time.Minute
	// latencyDigits is how many digits of a latency are kept.
	latencyDigits = 3
)

// Report says what became of a file. Unless the run was stopped,
// rows = presented + declined + refunded + paid + unpaid + failed + skipped + broken.
type Report struct {
	// Rows is the lines of the file, without the header and blank lines.
	Rows int `json:"rows"`
	// Accounts is the card_last4 that have rows to be played.
	Accounts int `json:"accounts"`
	// Approved is the authorizations approved in full.
	Approved int `json:"approved"`
	// PartiallyApproved is the authorizations approved for less. Replay does not ask for that, so none is expected.
	PartiallyApproved int `json:"partially_approved"`
	// Declined is the authorizations declined; such a row is not presented.
	Declined int `json:"declined"`
	// DeclinedByReason is the same by reason, such as INSUFFICIENT_CREDIT.
	DeclinedByReason map[string]int `json:"declined_by_reason"`
	// Presented is the rows above zero that were posted.
	Presented int `json:"presented"`
	// Refunded is the rows below zero that were posted as refunds.
	Refunded int `json:"refunded"`
	// Paid is the rows below zero that were taken as payments.
	Paid int `json:"paid"`
	// Unpaid is the payments that were not taken, and moved nothing.
	Unpaid int `json:"unpaid"`
	// UnpaidByStatus is the same by status: HELD or REJECTED.
	UnpaidByStatus map[string]int `json:"unpaid_by_status"`
	// Duplicates is the rows, of those presented, declined, refunded, paid or unpaid, that the server had seen before.
	Duplicates int `json:"duplicates"`
	// Amounts is what was presented, refunded and paid, by currency.
	Amounts []Amount `json:"amounts"`

	// Skipped is the well-formed rows that have nothing to play, and SkippedRows the first MaxListed of them.
	Skipped     int         `json:"skipped"`
	SkippedRows []*RowError `json:"skipped_rows"`
	// Broken is the rows that cannot be read, and BrokenRows the first MaxListed of them.
	Broken     int         `json:"broken"`
	BrokenRows []*RowError `json:"broken_rows"`
	// Failed is the rows that ended with an error, and FailedRows MaxListed of them, in file order.
	// Such a row may have been posted all the same, or authorized only. Playing the file again settles it.
	Failed     int         `json:"failed"`
	FailedRows []FailedRow `json:"failed_rows"`

	// ElapsedSeconds is the time of the whole run, PlayedSeconds that of the rows alone:
	// without reading the file, opening accounts and reading balances.
	ElapsedSeconds float64 `json:"elapsed_seconds"`
	PlayedSeconds  float64 `json:"played_seconds"`
	// RowsPerSecond is the rows played in PlayedSeconds.
	RowsPerSecond float64 `json:"rows_per_second"`
	// Latency is how long calls took, retries and the waits between them included.
	Latency []Latency `json:"latency"`
	// ControlTotals holds the accounts against the file.
	ControlTotals ControlTotals `json:"control_totals"`
}

// Amount is what was posted in one currency, in minor units. None is below zero.
type Amount struct {
	Currency            string `json:"currency"`
	PresentedMinorUnits int64  `json:"presented_minor_units"`
	RefundedMinorUnits  int64  `json:"refunded_minor_units"`
	PaidMinorUnits      int64  `json:"paid_minor_units"`
}

// FailedRow is a row that ended with an error.
type FailedRow struct {
	// Line is the row's line number in the file.
	Line int `json:"line"`
	// Call is the rpc that failed, such as Present.
	Call string `json:"call"`
	// Code is the gRPC code, such as INVALID_ARGUMENT.
	Code string `json:"code"`
	// Message is the server's.
	Message string `json:"message"`
}

// Latency is how long the calls of one rpc took, in microseconds, to three digits.
type Latency struct {
	Call  string `json:"call"`
	Count int64  `json:"count"`
	P50   int64  `json:"p50_microseconds"`
	P95   int64  `json:"p95_microseconds"`
	P99   int64  `json:"p99_microseconds"`
	Max   int64  `json:"max_microseconds"`
}

// ControlTotals holds posted balances against the file.
type ControlTotals struct {
	// Accounts is how many accounts were checked; 0 when the run was stopped.
	Accounts int `json:"accounts"`
	// Exact is how many have the posted balance that their rows sum to. Rows that were declined, not paid, or failed, do not count.
	Exact int `json:"exact"`
	// Differences are the others, by account id.
	Differences []Difference `json:"differences"`
}

// Difference is an account whose posted balance is not what its rows sum to, or could not be read.
type Difference struct {
	AccountID          string `json:"account_id"`
	Currency           string `json:"currency"`
	ExpectedMinorUnits int64  `json:"expected_minor_units"`
	PostedMinorUnits   int64  `json:"posted_minor_units"`
	// FailedRows is how many of its rows failed, which may be why.
	FailedRows int `json:"failed_rows"`
	// Error is why its balance could not be read; empty when it was.
	Error string `json:"error,omitempty"`
}

// newReport makes lists that are empty rather than null in JSON.
func newReport() *Report {
	return &Report{
		DeclinedByReason: make(map[string]int),
		UnpaidByStatus:   make(map[string]int),
		Amounts:          []Amount{},
		SkippedRows:      []*RowError{},
		BrokenRows:       []*RowError{},
		FailedRows:       []FailedRow{},
		Latency:          []Latency{},
		ControlTotals:    ControlTotals{Differences: []Difference{}},
	}
}

func (r *Report) addBroken(row *RowError) {
	if r.Broken++; r.Broken <= MaxListed {
		r.BrokenRows = append(r.BrokenRows, row)
	}
}

func (r *Report) addSkipped(row *RowError) {
	if r.Skipped++; r.Skipped <= MaxListed {
		r.SkippedRows = append(r.SkippedRows, row)
	}
}

func (r *Report) addFailed(line int, failure *callError) {
	if r.Failed++; r.Failed <= MaxListed {
		r.FailedRows = append(r.FailedRows, FailedRow{
			Line: line, Call: failure.call, Code: codeName(failure.status.Code()), Message: failure.status.Message(),
		})
	}
}

func (r *Report) addDeclined(decision *transactionsv1.Decision) {
	r.Declined++
	r.DeclinedByReason[strings.TrimPrefix(decision.GetDeclineReason().String(), "DECLINE_REASON_")]++
	r.addDuplicate(decision.GetDuplicate())
}

func (r *Report) addPresented(minor int64, currency string, decision *transactionsv1.Decision) {
	r.Presented++
	r.amount(currency).PresentedMinorUnits += minor
	r.addDuplicate(decision.GetDuplicate())
}

func (r *Report) addRefunded(minor int64, currency string, decision *transactionsv1.Decision) {
	r.Refunded++
	r.amount(currency).RefundedMinorUnits += minor
	r.addDuplicate(decision.GetDuplicate())
}

func (r *Report) addPaid(minor int64, currency string, answer *paymentsv1.SubmitPaymentResponse) {
	r.Paid++
	r.amount(currency).PaidMinorUnits += minor
	r.addDuplicate(answer.GetDuplicate())
}

func (r *Report) addUnpaid(answer *paymentsv1.SubmitPaymentResponse) {
	r.Unpaid++
	r.UnpaidByStatus[strings.TrimPrefix(answer.GetPayment().GetStatus().String(), "PAYMENT_STATUS_")]++
	r.addDuplicate(answer.GetDuplicate())
}

func (r *Report) addDuplicate(duplicate bool) {
	if duplicate {
		r.Duplicates++
	}
}

func (r *Report) amount(currency string) *Amount {
	i, found := slices.BinarySearchFunc(r.Amounts, currency, func(a Amount, currency string) int {
		return cmp.Compare(a.Currency, currency)
	})
	if !found {
		r.Amounts = slices.Insert(r.Amounts, i, Amount{Currency: currency})
	}
	return &r.Amounts[i]
}

func (r *Report) setSpeed(rows int, elapsed time.Duration) {
	r.PlayedSeconds = elapsed.Seconds()
	if elapsed > 0 {
		r.RowsPerSecond = float64(rows) / elapsed.Seconds()
	}
}

func (c *ControlTotals) add(a *account, posted int64, err error) {
	c.Accounts++
	if err == nil && posted == a.posted {
		c.Exact++
		return
	}
	difference := Difference{
		AccountID: a.id, Currency: a.currency, ExpectedMinorUnits: a.posted, PostedMinorUnits: posted, FailedRows: a.failed,
	}
	if err != nil {
		difference.Error = err.Error()
	}
	c.Differences = append(c.Differences, difference)
}

// update changes the report, which all workers share.
func (p *player) update(change func(*Report)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.report)
}

// observe records how long a call took.
func (p *player) observe(name string, elapsed time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	histogram := p.latency[name]
	if histogram == nil {
		histogram = hdrhistogram.New(1, maxLatency.Microseconds(), latencyDigits)
		p.latency[name] = histogram
	}
	// The clamped value is within the bounds, so there is no error to tell of.
	_ = histogram.RecordValue(min(elapsed, maxLatency).Microseconds())
}

// finish completes the report after the last worker has ended.
func (p *player) finish(started time.Time, checked bool) {
	r := p.report
	if !checked {
		r.ControlTotals = ControlTotals{Differences: []Difference{}}
	}
	slices.SortFunc(r.ControlTotals.Differences, func(a, b Difference) int { return cmp.Compare(a.AccountID, b.AccountID) })
	slices.SortFunc(r.FailedRows, func(a, b FailedRow) int { return cmp.Compare(a.Line, b.Line) })
	for _, name := range slices.Sorted(maps.Keys(p.latency)) {
		histogram := p.latency[name]
		r.Latency = append(r.Latency, Latency{
			Call:  name,
			Count: histogram.TotalCount(),
			P50:   histogram.ValueAtPercentile(50),
			P95:   histogram.ValueAtPercentile(95),
			P99:   histogram.ValueAtPercentile(99),
			Max:   histogram.Max(),
		})
	}
	r.ElapsedSeconds = time.Since(started).Seconds()
}

// WriteTable writes the report for a person to read. The error is the writer's.
func (r *Report) WriteTable(w io.Writer) error {
	table := &strings.Builder{}
	r.writeCounts(table)
	r.writeLatency(table)
	r.writeLines(table)
	r.writeControlTotals(table)
	_, err := io.WriteString(w, table.String())
	return err
}

func (r *Report) writeCounts(table *strings.Builder) {
	columns := tabwriter.NewWriter(table, 0, 0, 2, ' ', 0)
	line := func(name, note string, count int) {
		if note != "" {
			note = "\t" + note
		}
		fmt.Fprintf(columns, "%s\t%12s%s\n", name, groupCount(count), note)
	}
	line("rows", fmt.Sprintf("played in %.1f s, %s rows/s (whole run %.1f s)",
		r.PlayedSeconds, groupCount(int(r.RowsPerSecond)), r.ElapsedSeconds), r.Rows)
	line("accounts", "", r.Accounts)
	line("approved", "", r.Approved)
	if r.PartiallyApproved > 0 {
		line("partially approved", "", r.PartiallyApproved)
	}
	line("declined", listCounts(r.DeclinedByReason), r.Declined)
	var presented, refunded, paid []string
	for _, amount := range r.Amounts {
		presented = append(presented, FormatMinor(amount.PresentedMinorUnits, amount.Currency))
		refunded = append(refunded, FormatMinor(amount.RefundedMinorUnits, amount.Currency))
		paid = append(paid, FormatMinor(amount.PaidMinorUnits, amount.Currency))
	}
	line("presented", strings.Join(presented, ", "), r.Presented)
	line("refunded", strings.Join(refunded, ", "), r.Refunded)
	line("paid", strings.Join(paid, ", "), r.Paid)
	if r.Unpaid > 0 {
		line("not paid", listCounts(r.UnpaidByStatus), r.Unpaid)
	}
	line("duplicates", "rows that were played before", r.Duplicates)
	line("skipped", "", r.Skipped)
	line("broken", "", r.Broken)
	line("failed", "", r.Failed)
	// A strings.Builder never fails.
	_ = columns.Flush()
}

// listCounts writes counts by name, such as HELD 1, REJECTED 2.
func listCounts(counts map[string]int) string {
	var listed []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		listed = append(listed, name+" "+groupCount(counts[name]))
	}
	return strings.Join(listed, ", ")
}

func (r *Report) writeLatency(table *strings.Builder) {
	if len(r.Latency) == 0 {
		return
	}
	table.WriteByte('\n')
	columns := tabwriter.NewWriter(table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(columns, "calls, ms\tcount\tp50\tp95\tp99\tmax\t\n")
	for _, l := range r.Latency {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\t%s\t\n", l.Call, groupCount(int(l.Count)),
			milliseconds(l.P50), milliseconds(l.P95), milliseconds(l.P99), milliseconds(l.Max))
	}
	_ = columns.Flush()
}

func (r *Report) writeLines(table *strings.Builder) {
	if r.Skipped+r.Broken+r.Failed > 0 {
		table.WriteByte('\n')
	}
	var lines []string
	for _, row := range r.SkippedRows {
		lines = append(lines, fmt.Sprintf("skipped  line %d: %s", row.Line, row.Reason))
	}
	writeList(table, lines, r.Skipped)
	lines = nil
	for _, row := range r.BrokenRows {
		lines = append(lines, fmt.Sprintf("broken   line %d: %s", row.Line, row.Reason))
	}
	writeList(table, lines, r.Broken)
	lines = nil
	for _, row := range r.FailedRows {
		lines = append(lines, fmt.Sprintf("failed   line %d: %s %s: %s", row.Line, row.Call, row.Code, row.Message))
	}
	writeList(table, lines, r.Failed)
}

func (r *Report) writeControlTotals(table *strings.Builder) {
	totals := r.ControlTotals
	table.WriteByte('\n')
	if totals.Accounts == 0 {
		table.WriteString("control totals  not checked\n")
		return
	}
	sum := "the sum of its rows"
	if r.Declined > 0 || r.Unpaid > 0 || r.Failed > 0 || r.PartiallyApproved > 0 {
		sum = "the sum of what was posted of its rows"
	}
	if len(totals.Differences) == 0 {
		fmt.Fprintf(table, "control totals  %s accounts, every posted balance equals %s\n", groupCount(totals.Accounts), sum)
		return
	}
	fmt.Fprintf(table, "control totals  %s of %s accounts: the posted balance differs from %s\n",
		groupCount(len(totals.Differences)), groupCount(totals.Accounts), sum)
	var lines []string
	for _, d := range totals.Differences {
		text := fmt.Sprintf("%s  posted %s, rows %s, failed rows %d", d.AccountID,
			FormatMinor(d.PostedMinorUnits, d.Currency), FormatMinor(d.ExpectedMinorUnits, d.Currency), d.FailedRows)
		if d.Error != "" {
			text = d.AccountID + "  not read: " + d.Error
		}
		lines = append(lines, text)
	}
	writeList(table, lines, len(lines))
}

// writeList writes the first of some lines, and how many of all there were are left out.
func writeList(table *strings.Builder, lines []string, all int) {
	shown := min(len(lines), maxTableLines)
	for _, line := range lines[:shown] {
		fmt.Fprintf(table, "  %s\n", line)
	}
	if all > shown {
		fmt.Fprintf(table, "  and %s more\n", groupCount(all-shown))
	}
}

// FormatMinor writes an amount in minor units of a currency with two decimals, such as GBP -1,234.56.
func FormatMinor(minor int64, currency string) string {
	sign, magnitude := "", uint64(minor)
	if minor < 0 {
		// Negated as unsigned, which also holds for the smallest number.
		sign, magnitude = "-", -magnitude
	}
	return fmt.Sprintf("%s %s%s.%02d", currency, sign, group(magnitude/100), magnitude%100)
}

func groupCount(count int) string { return group(uint64(max(count, 0))) }

// group writes a number with thousands separators.
func group(number uint64) string {
	digits := strconv.FormatUint(number, 10)
	grouped := digits[:len(digits)%3]
	for i := len(digits) % 3; i < len(digits); i += 3 {
		if grouped != "" {
			grouped += ","
		}
		grouped += digits[i : i+3]
	}
	return grouped
}

func milliseconds(microseconds int64) string {
	return strconv.FormatFloat(float64(microseconds)/1000, 'f', 2, 64)
}

// codeName is the code as the contract writes it, such as NOT_FOUND.
func codeName(c codes.Code) string { return code.Code(c).String() }
