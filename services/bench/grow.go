package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what can be grown.
const (
	maxEvents = 1_000_000_000
	maxSteps  = 1000
)

// Numbers of a grown ledger.
const (
	// emptyAccounts are the most accounts over which the rate on an empty ledger is measured.
	emptyAccounts = 100_000
	// growCallers is with how many callers the rate is measured.
	growCallers = 256
	// openHolds is how many holds an account has open once it has had as many purchases: from then on each purchase clears the oldest.
	openHolds = 5
	// othersAccounts are the accounts that are in memory while first decisions on others are measured, and coldCallers how many ask for those.
	othersAccounts = 1000
	coldCallers    = 8
)

// GrowOptions say what ledger is built.
type GrowOptions struct {
	// Events that purchases and their clearing make.
	Events int
	// Accounts that they are spread over.
	Accounts int
	// Steps after which the ledger is looked at.
	Steps int
	// Connections that the callers share.
	Connections int
	// Duration of each measurement.
	Duration time.Duration
	// Server says in words how the cardlog is started.
	Server string
	// Dir is where it keeps its data.
	Dir string
	// Start starts a cardlog in Dir, also one that was killed.
	Start func(context.Context) (*Process, error)
	// Kill ends it as a power switch would.
	Kill func()
	// Progress is as in Options.
	Progress func(line string, final bool)
}

func (o GrowOptions) check() error {
	switch {
	case o.Events < 1 || o.Events > maxEvents:
		return fmt.Errorf("events are 1 to %d, not %d", maxEvents, o.Events)
	case o.Steps < 1 || o.Steps > maxSteps || o.Steps > o.Events:
		return fmt.Errorf("steps are 1 to %d and no more than events, not %d", maxSteps, o.Steps)
	}
	return Options{Accounts: o.Accounts, Connections: o.Connections, Duration: o.Duration, Turns: 1}.check()
}

// Grow builds a ledger by purchases and their clearing, as networks would, and looks at it after each step: how fast it decides, and what memory and disk it takes.
// In the end it kills the server, starts it again, and measures the first decisions on accounts while others go on. The error says that the options are wrong, that
// the server could not be started, that ctx has ended, or that the accounts do not hold what was answered; the report then has what was measured until then.
func Grow(ctx context.Context, options GrowOptions) (*GrowReport, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	g := &grower{options: options, report: newGrowReport(options)}
	g.run = &run{name: fmt.Sprintf("%06x", rand.N(1<<24)), report: &Report{},
		Options: Options{Accounts: min(options.Accounts, emptyAccounts), Connections: options.Connections, Duration: options.Duration, Turns: 1, Progress: options.Progress}}
	defer g.close()
	g.report.Machine.BusyBefore = busyShare(ctx, time.Second)
	for _, part := range []func(context.Context) error{g.begin, g.build, g.startAgain, g.askCold, g.checkBalances} {
		if err := part(ctx); err != nil {
			return g.report, err
		}
	}
	g.report.Check = g.run.report.Check
	return g.report, nil
}

// grower is one run.
type grower struct {
	*run
	options GrowOptions
	report  *GrowReport

	visits []uint32 // of each account: its purchases
	extent extent   // of the ledger when the last step began
	used   usage    // by the server, likewise
}

// begin starts the server and measures it while its ledger is empty.
func (g *grower) begin(ctx context.Context) error {
	if err := g.connectServer(ctx); err != nil {
		return err
	}
	if err := g.openAccounts(ctx, g.quiet, g.Accounts); err != nil {
		return err
	}
	empty, err := g.decide(ctx, "authorize, empty ledger")
	if err != nil {
		return err
	}
	g.report.Empty, g.report.EmptyAccounts = empty, g.Accounts
	if g.Accounts < g.options.Accounts {
		g.Accounts = g.options.Accounts
		if err := g.openAccounts(ctx, g.quiet, g.Accounts); err != nil {
			return err
		}
	}
	g.quiet.opened = true
	g.visits = make([]uint32, g.Accounts)
	return nil
}

func (g *grower) connectServer(ctx context.Context) error {
	process, err := g.options.Start(ctx)
	if err != nil {
		return err
	}
	before := g.quiet
	if g.quiet, err = g.connect(process); err != nil {
		return err
	}
	if before != nil {
		g.quiet.tally, g.quiet.opened = before.tally, before.opened
	}
	return nil
}

// decide measures authorizations over all accounts that are open.
func (g *grower) decide(ctx context.Context, what string) (*Result, error) {
	m := &measurement{phase: phaseAuthorize, what: what, callers: growCallers, target: g.quiet, operate: authorizeUniform}
	if err := g.takeTurns(ctx, m); err != nil {
		return nil, err
	}
	return m.result(), nil
}

// build adds events step by step.
func (g *grower) build(ctx context.Context) error {
	for step := range g.options.Steps {
		if err := g.step(ctx, g.options.Events*(step+1)/g.options.Steps-g.options.Events*step/g.options.Steps); err != nil {
			return err
		}
	}
	return nil
}

func (g *grower) step(ctx context.Context, events int) (err error) {
	if g.extent, err = g.ledgerExtent(ctx, g.quiet); err != nil {
		return err
	}
	g.used = usageOf(g.quiet.PID)
	began := time.Now()
	failed, problem := g.grow(ctx, events)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	took := time.Since(began)
	after, err := g.ledgerExtent(ctx, g.quiet)
	if err != nil {
		return err
	}
	added := float64(after.events - g.extent.events)
	s := &Step{Events: after.events, BuildRate: added / took.Seconds(), Errors: failed, FirstError: problem, LedgerBytesPerEvent: float64(after.bytes-g.extent.bytes) / added}
	if used := usageOf(g.quiet.PID); used.cpu > g.used.cpu {
		s.BuildCPUSeconds, s.Built = (used.cpu - g.used.cpu).Seconds(), int64(added)
	}
	if s.Result, err = g.decide(ctx, "authorize"); err != nil {
		return err
	}
	if s.DiskBytes, err = sizeOf(g.options.Dir); err != nil {
		return err
	}
	g.report.Steps = append(g.report.Steps, s)
	g.tell(true, "%s events: built %s/s, authorize %s/s, p99 %s ms, RSS %d MiB, %.0f bytes in the ledger for an event", grouped(float64(s.Events)), grouped(s.BuildRate),
		grouped(s.Result.Rate), milliseconds(s.Result.Latency.P99), s.Result.RSS>>20, s.LedgerBytesPerEvent)
	return nil
}

// sizeOf is the size of all files below a directory, in bytes.
func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was there a moment ago
		}
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total, err
}

// startAgain kills the server under load, and measures how long it takes until the next one has decided a purchase.
func (g *grower) startAgain(ctx context.Context) error {
	g.tell(false, "killing the server")
	load := &measurement{phase: phaseAuthorize, what: "load before the kill", callers: growCallers, target: g.quiet, operate: authorizeUniform}
	load.prepare(g.run)
	w := &window{from: time.Now(), until: time.Now().Add(time.Second)}
	var callers sync.WaitGroup
	for _, c := range load.workers {
		c.window = w
		callers.Go(func() {
			for ctx.Err() == nil && !w.over() {
				if authorizeUniform(ctx, c) != nil {
					return // what is under way when the server dies is unknown
				}
			}
		})
	}
	await(ctx, time.Now().Add(time.Second/2))
	g.options.Kill()
	callers.Wait()
	began := time.Now()
	g.tell(false, "starting the server again")
	if err := g.connectServer(ctx); err != nil {
		return err
	}
	first := &measurement{phase: phaseAuthorize, what: "first decision", callers: 1, target: g.quiet}
	first.prepare(g.run)
	c := first.workers[0]
	if err := insist(ctx, func(ctx context.Context) error { return c.send(ctx, c.fill(c.chance.IntN(c.accounts))) }); err != nil {
		return fmt.Errorf("the first decision after the start: %w", err)
	}
	g.report.StartSeconds = time.Since(began).Seconds()
	g.report.RSSAfterStart = usageOf(g.quiet.PID).rss
	g.tell(true, "killed and started again: the first decision came after %.2f s", g.report.StartSeconds)
	return nil
}

// askCold measures the first decisions on accounts since the start, while others go on at half of the rate that the server can do.
func (g *grower) askCold(ctx context.Context) error {
	last := g.report.Steps[len(g.report.Steps)-1].Result
	warm := min(othersAccounts, g.Accounts)
	others := func(what string) *measurement {
		return &measurement{phase: phaseOpen, what: what, callers: growCallers, rate: max(last.Rate/2, 1), target: g.quiet,
			operate: func(ctx context.Context, c *caller) error { return c.send(ctx, c.fill(c.chance.IntN(warm))) }}
	}
	alone := others("others alone")
	if err := g.takeTurns(ctx, alone); err != nil {
		return err
	}
	g.report.OthersAlone = alone.result()
	if g.Accounts <= warm {
		return nil // there are no accounts that were not asked for
	}
	together := others("others meanwhile")
	var next atomic.Int64
	order := rand.Perm(g.Accounts - warm)
	first := func(ctx context.Context, c *caller) error {
		i := next.Add(1) - 1
		if i >= int64(len(order)) {
			await(ctx, c.window.until) // each is asked for once
			return nil
		}
		return c.send(ctx, c.fill(warm+order[i]))
	}
	cold := &measurement{phase: phaseCold, what: "first decision on an account since the start", callers: coldCallers, target: g.quiet,
		work: func(ctx context.Context, c *caller) {
			await(ctx, c.window.from) // what is not counted would use accounts up
			c.loop(ctx, first)
		}}
	cold.prepare(g.run)
	together.prepare(g.run)
	var both sync.WaitGroup
	var coldErr error
	both.Go(func() { coldErr = cold.turn(ctx, g.run, 0) })
	err := together.turn(ctx, g.run, 0)
	both.Wait()
	if err := errors.Join(err, coldErr); err != nil {
		return err
	}
	g.report.Cold, g.report.OthersMeanwhile = cold.result(), together.result()
	return nil
}

// purchaseID is an account's purchase.
func (g *grower) purchaseID(account int, visit uint32) string {
	return fmt.Sprintf("%s-%d-%d", g.name, account, visit)
}

// purchaseAmount is what it costs.
func purchaseAmount(visit uint32) int64 { return 1000 + int64(visit)%1000 }

// builders is how many streams build, and builderRoom how many accounts each has a purchase of under way.
const (
	builders    = 16
	builderRoom = 64
)

// grow adds purchases, and the clearing of those that are old enough, until there are so many events more.
func (g *grower) grow(ctx context.Context, events int) (failed int64, problem string) {
	target := &growth{}
	target.left.Store(int64(events))
	var building, telling sync.WaitGroup
	for number := range min(builders, len(g.visits)) {
		building.Go(func() { (&builder{grower: g, number: number, growth: target}).build(ctx) })
	}
	built := make(chan struct{})
	telling.Go(func() {
		look := time.NewTicker(time.Second)
		defer look.Stop()
		for {
			select {
			case <-look.C:
				g.tell(false, "building: %s events to go in this step", grouped(float64(max(target.left.Load(), 0))))
			case <-built:
				return
			}
		}
	})
	building.Wait()
	close(built)
	telling.Wait()
	problem, _ = target.problem.Load().(string)
	return target.failed.Load(), problem
}

// growth is how much is still to be added in a step, and what went wrong.
type growth struct {
	left    atomic.Int64
	failed  atomic.Int64
	problem atomic.Value
}

func (g *growth) fail(err error) {
	g.failed.Add(1)
	g.problem.CompareAndSwap(nil, err.Error())
}
