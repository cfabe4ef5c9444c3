// Package bench measures a running cardlog beside what bounds it on the same machine: a gRPC server that only answers, the disk's sync, and appends to JetStream
// alone. It is a gRPC client that knows nothing but the contract; who calls it starts the processes that are measured.
//
// Every measurement is made of several turns, and those that are compared take turns with one another, so that a machine that is busy with something else for a
// while slows all of them. Each turn begins with a part that is not counted. A call is counted when its answer came within the counted part.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// Bounds of what can be asked for.
const (
	maxAccounts    = 10_000_000
	maxCallers     = 4096
	maxConnections = 64
	maxDuration    = 10 * time.Minute
	maxTurns       = 100
	maxRate        = 1_000_000
)

// The phases, in the order in which they run.
const (
	phaseFsync     = "fsync"     // latency of a sync of the disk
	phaseAuthorize = "authorize" // over all accounts, beside the echo ceiling
	phaseAppend    = "append"    // rounds appended to JetStream alone
	phaseHot       = "hot"       // authorizations on one account
	phasePairs     = "pairs"     // an authorization and its presentment
	phaseBalance   = "balance"   // GetBalance
	phaseStream    = "stream"    // authorizations in streams
	phaseOpen      = "open"      // authorizations at a fixed rate
	phaseCold      = "cold"      // first decisions since the start: grow only
	phaseFeed      = "feed"      // the price of the feed and of the log at info
)

// Phases are the names that Options.Only takes.
func Phases() []string {
	return []string{phaseFsync, phaseAuthorize, phaseAppend, phaseHot, phasePairs, phaseBalance, phaseStream, phaseOpen, phaseFeed}
}

// Options say what is measured.
type Options struct {
	// Accounts that the load is spread over. They are opened first, as far as they are not there.
	Accounts int
	// Callers of each kind of call, one measurement for each number; none: 1, 64, 256 and 1024 for authorizations, and one fitting number for each other kind.
	Callers []int
	// Connections that the callers share.
	Connections int
	// Duration of each measurement, all its turns together.
	Duration time.Duration
	// Turns that each measurement is made of.
	Turns int
	// Rate of the open loop, calls per second; 0: half of what the most fitting closed loop of the run reached.
	Rate float64
	// Only these phases; none: all.
	Only []string
	// Dir is a directory on the disk that is measured.
	Dir string
	// Start starts what is measured.
	Start Starter
	// Server says in words how the cardlog under load is started, and Given that the user named one that runs, which others may use too.
	Server string
	Given  bool
	// Progress hears what is going on: a line, and whether it is final, else the next one replaces it. Optional.
	Progress func(line string, final bool)
}

// Starter starts the processes that are measured.
type Starter interface {
	// Quiet is a cardlog without feed and with a log at warn; or the one that the user named, as it is.
	Quiet(ctx context.Context) (*Process, error)
	// Loud is another cardlog, with the feed and the log at info. nil where there is only the one that the user named.
	Loud(ctx context.Context) (*Process, error)
	// Echo is a gRPC server that serves Echo.
	Echo(ctx context.Context) (*Process, error)
	// Append appends rounds to a new stream of a JetStream of its own, one after the other, each synced to disk, for a time.
	Append(ctx context.Context, rounds Rounds, duration time.Duration) (*Appended, error)
}

// Process is one that serves.
type Process struct {
	// Address of its gRPC server.
	Address string
	// PID to read its CPU time and memory by; 0: unknown.
	PID int
	// Stop ends it.
	Stop func()
}

// Rounds says what is appended.
type Rounds struct {
	// Events in a round.
	Events int
	// Bytes that one event takes on disk.
	Bytes int
}

// Appended says how appending went.
type Appended struct {
	// Events that were stored and synced, and in which time.
	Events  int64   `json:"events"`
	Seconds float64 `json:"seconds"`
	// CPUSeconds that the process took for it.
	CPUSeconds float64 `json:"cpu_seconds"`
	// RSS is the memory that the process had in the end, in bytes.
	RSS int64 `json:"rss"`
	// Rounds are how long each took, in microseconds, as percentiles.
	Rounds Percentiles `json:"rounds"`
}

func (o Options) check() error {
	switch {
	case o.Accounts < 1 || o.Accounts > maxAccounts:
		return fmt.Errorf("accounts are 1 to %d, not %d", maxAccounts, o.Accounts)
	case o.Connections < 1 || o.Connections > maxConnections:
		return fmt.Errorf("connections are 1 to %d, not %d", maxConnections, o.Connections)
	case o.Duration < 100*time.Millisecond || o.Duration > maxDuration:
		return fmt.Errorf("a measurement takes 100ms to %s, not %s", maxDuration, o.Duration)
	case o.Turns < 1 || o.Turns > maxTurns:
		return fmt.Errorf("a measurement has 1 to %d turns, not %d", maxTurns, o.Turns)
	case !(o.Rate >= 0 && o.Rate <= maxRate):
		return fmt.Errorf("the open loop's rate is 0 to %d calls a second, not %v", maxRate, o.Rate)
	}
	for _, callers := range o.Callers {
		if callers < 1 || callers > maxCallers {
			return fmt.Errorf("callers are 1 to %d, not %d", maxCallers, callers)
		}
	}
	for _, phase := range o.Only {
		if !slices.Contains(Phases(), phase) {
			return fmt.Errorf("there is no phase %q; the phases are %s", phase, strings.Join(Phases(), ", "))
		}
	}
	return nil
}

// callersOr returns the callers asked for, else those that fit.
func (o Options) callersOr(fitting ...int) []int {
	if len(o.Callers) > 0 {
		return o.Callers
	}
	return fitting
}

// Run opens the accounts, measures phase after phase, and checks in the end that the accounts hold what was answered. The error says that the options are wrong, that
// a process could not be started, or that ctx has ended; the report then has what was measured until then.
func Run(ctx context.Context, options Options) (report *Report, err error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	r := &run{Options: options, name: fmt.Sprintf("%06x", rand.N(1<<24)), report: newReport(options)}
	defer r.close()
	r.report.Machine.BusyBefore = busyShare(ctx, time.Second)
	if inMemory(options.Dir) {
		r.report.Notes = append(r.report.Notes, "the directory is in memory, where a sync costs nothing: name one on a disk with --dir")
	}
	for _, phase := range Phases() {
		if !r.runs(phase) {
			continue
		}
		if err := r.phase(ctx, phase); err != nil {
			return r.report, fmt.Errorf("%s: %w", phase, err)
		}
	}
	if err := r.checkBalances(ctx); err != nil {
		return r.report, err
	}
	r.report.compare()
	return r.report, nil
}

// runs says whether a phase is asked for.
func (r *run) runs(phase string) bool { return len(r.Only) == 0 || slices.Contains(r.Only, phase) }

// run is one run.
type run struct {
	Options
	name     string // in the ids of this run's transactions …
	prepared int    // … and the number of the measurement
	report   *Report

	quiet, echo *target // made when the first phase needs them
	closers     []func()
}

// target is a process with the connections to it.
type target struct {
	*Process
	connections []*grpc.ClientConn
	tally       *tally
	opened      bool // its accounts are open
}

func (r *run) close() {
	for _, end := range slices.Backward(r.closers) {
		end()
	}
}

func (r *run) tell(final bool, format string, values ...any) {
	if r.Progress != nil {
		r.Progress(fmt.Sprintf(format, values...), final)
	}
}

func (r *run) phase(ctx context.Context, phase string) error {
	switch phase {
	case phaseFsync:
		return r.measureFsync(ctx)
	case phaseAuthorize:
		return r.measureAuthorize(ctx)
	case phaseAppend:
		return r.measureAppend(ctx)
	case phaseHot:
		return r.measureKind(ctx, phase, "authorize, one hot account", authorizeHot, 256)
	case phasePairs:
		return r.measureKind(ctx, phase, "authorize + present", authorizeAndPresent, 64)
	case phaseBalance:
		return r.measureKind(ctx, phase, "get balance", getBalance, 64)
	case phaseStream:
		return r.measureStreams(ctx)
	case phaseOpen:
		return r.measureOpen(ctx)
	case phaseFeed:
		return r.measureFeed(ctx)
	}
	return errors.New("it is not written yet")
}

// connect makes a target of a process.
func (r *run) connect(p *Process) (*target, error) {
	t := &target{Process: p, tally: &tally{}}
	r.closers = append(r.closers, p.Stop)
	for range r.Connections {
		connection, err := dial(p.Address)
		if err != nil {
			return nil, err
		}
		r.closers = append(r.closers, func() { _ = connection.Close() })
		t.connections = append(t.connections, connection)
	}
	return t, nil
}

// quietTarget is the quiet cardlog with its accounts open.
func (r *run) quietTarget(ctx context.Context) (*target, error) {
	if r.quiet == nil {
		r.tell(false, "starting cardlog")
		process, err := r.Start.Quiet(ctx)
		if err != nil {
			return nil, err
		}
		if r.quiet, err = r.connect(process); err != nil {
			return nil, err
		}
	}
	if r.quiet.opened {
		return r.quiet, nil
	}
	if err := r.openAccounts(ctx, r.quiet, r.Accounts); err != nil {
		return nil, err
	}
	r.quiet.opened = true
	return r.quiet, nil
}

func (r *run) echoTarget(ctx context.Context) (*target, error) {
	if r.echo == nil {
		process, err := r.Start.Echo(ctx)
		if err != nil {
			return nil, err
		}
		if r.echo, err = r.connect(process); err != nil {
			return nil, err
		}
	}
	return r.echo, nil
}

// measureAuthorize measures authorizations over all accounts, each number of callers taking turns with the echo ceiling.
func (r *run) measureAuthorize(ctx context.Context) error {
	quiet, err := r.quietTarget(ctx)
	if err != nil {
		return err
	}
	before, err := r.ledgerExtent(ctx, quiet)
	if err != nil {
		return err
	}
	for _, callers := range r.callersOr(1, 64, 256, 1024) {
		if r.report.find(phaseAuthorize, callers) != nil {
			continue // beside fsync
		}
		if err := r.measureUniform(ctx, callers); err != nil {
			return err
		}
	}
	after, err := r.ledgerExtent(ctx, quiet)
	if err == nil && after.events > before.events {
		r.report.BytesPerAuthorization = float64(after.bytes-before.bytes) / float64(after.events-before.events)
	}
	return err
}

// measureUniform measures authorizations over all accounts in turns with the echo ceiling and with others.
func (r *run) measureUniform(ctx context.Context, callers int, others ...*measurement) error {
	quiet, err := r.quietTarget(ctx)
	if err != nil {
		return err
	}
	echo, err := r.echoTarget(ctx)
	if err != nil {
		return err
	}
	return r.measure(ctx, append(others,
		&measurement{phase: phaseEcho, what: "gRPC echo", callers: callers, target: echo, operate: authorizeUniform},
		&measurement{phase: phaseAuthorize, what: "authorize, uniform", callers: callers, target: quiet, operate: authorizeUniform})...)
}

// measureKind measures one kind of call at each number of callers.
func (r *run) measureKind(ctx context.Context, phase, what string, operate operation, fitting int) error {
	quiet, err := r.quietTarget(ctx)
	if err != nil {
		return err
	}
	for _, callers := range r.callersOr(fitting) {
		if err := r.measure(ctx, &measurement{phase: phase, what: what, callers: callers, target: quiet, operate: operate}); err != nil {
			return err
		}
	}
	return nil
}

// measureStreams measures authorizations in streams.
func (r *run) measureStreams(ctx context.Context) error {
	quiet, err := r.quietTarget(ctx)
	if err != nil {
		return err
	}
	for _, streams := range r.callersOr(64) {
		what := fmt.Sprintf("AuthorizeStream, %d under way in each", streamWindow)
		if err := r.measure(ctx, &measurement{phase: phaseStream, what: what, callers: streams, target: quiet, work: authorizeInStream}); err != nil {
			return err
		}
	}
	return nil
}

// defaultRate is that of the open loop where nothing was measured to derive it from, in calls per second.
const defaultRate = 5000

// openCallers are how many calls of the open loop may be under way: beyond that they wait, and their latency counts from when they were due.
const openCallers = 1024

// measureOpen measures authorizations that come at a fixed rate whether or not those before are answered.
func (r *run) measureOpen(ctx context.Context) error {
	quiet, err := r.quietTarget(ctx)
	if err != nil {
		return err
	}
	rate := r.Rate
	if rate == 0 {
		rate = defaultRate
		if closed := r.report.find(phaseAuthorize, 256); closed != nil && closed.Rate > 0 {
			rate = closed.Rate / 2
		}
	}
	return r.measure(ctx, &measurement{phase: phaseOpen, what: fmt.Sprintf("authorize, %.0f/s offered", rate), callers: openCallers, rate: rate, target: quiet, operate: authorizeUniform})
}

// measureAppend measures appends to JetStream alone, with events as large as an authorization's and rounds as large as so many callers can fill.
func (r *run) measureAppend(ctx context.Context) error {
	size := int(r.report.BytesPerAuthorization)
	if size == 0 {
		size = usualEventBytes
	}
	for _, callers := range r.callersOr(1, 64, 256, 1024) {
		rounds := Rounds{Events: min(callers, roundBound), Bytes: size}
		r.tell(false, "JetStream append, rounds of %d", rounds.Events)
		appended, err := r.Start.Append(ctx, rounds, r.Duration)
		if err != nil {
			return err
		}
		r.add(appendedResult(callers, rounds, appended))
	}
	return nil
}

const (
	// roundBound is how many events the server appends at once at most.
	roundBound = 1000
	// usualEventBytes is what an authorization takes on disk, where it was not measured in this run.
	usualEventBytes = 600
)

// measureFeed measures what the feed and the log at info cost: a cardlog with both takes turns with the quiet one.
func (r *run) measureFeed(ctx context.Context) error {
	process, err := r.Start.Loud(ctx)
	if err != nil {
		return err
	}
	if process == nil {
		r.report.Notes = append(r.report.Notes, "the price of the feed and the log was not measured: that takes a server of its own, without --server")
		return nil
	}
	loud, err := r.connect(process)
	if err != nil {
		return err
	}
	quiet, err := r.quietTarget(ctx)
	if err != nil {
		return err
	}
	if err := r.openAccounts(ctx, loud, r.Accounts); err != nil {
		return err
	}
	for _, callers := range r.callersOr(1024) {
		without := &measurement{phase: phaseQuiet, what: "authorize, feed off, log warn", callers: callers, target: quiet, operate: authorizeUniform}
		with := &measurement{phase: phaseFeed, what: "authorize, feed on, log info", callers: callers, target: loud, operate: authorizeUniform, settle: r.awaitFollowers}
		if err := r.measure(ctx, without, with); err != nil {
			return err
		}
	}
	return nil
}

// measureFsync measures how long it takes until 4 KiB, appended to a file, are on disk; in turns with authorizations by one caller, where those are measured.
func (r *run) measureFsync(ctx context.Context) error {
	fsync, closeFile, err := r.fsync()
	if err != nil {
		return err
	}
	defer closeFile()
	if !r.runs(phaseAuthorize) || !slices.Contains(r.callersOr(1), 1) {
		return r.measure(ctx, fsync)
	}
	return r.measureUniform(ctx, 1, fsync)
}

// fsync makes the measurement of the disk.
func (r *run) fsync() (m *measurement, closeFile func(), err error) {
	file, err := os.CreateTemp(r.Dir, "cardlog-bench-fsync-")
	if err != nil {
		return nil, nil, err
	}
	block := make([]byte, 4096)
	appendAndSync := func(context.Context, *caller) error {
		if _, err := file.Write(block); err != nil {
			return err
		}
		return file.Sync()
	}
	closeFile = func() {
		_ = file.Close()
		_ = os.Remove(file.Name())
	}
	return &measurement{phase: phaseFsync, what: "4 KiB appended + fsync", callers: 1, target: &target{Process: &Process{}}, operate: appendAndSync}, closeFile, nil
}
