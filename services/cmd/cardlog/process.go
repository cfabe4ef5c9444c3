package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/accounts"
	"github.com/cardlog/cardlog/services/feed"
	"github.com/cardlog/cardlog/services/internal/checkpoint"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/follower"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/internal/telemetry"
	"github.com/cardlog/cardlog/services/internal/vault"
	"github.com/cardlog/cardlog/services/payments"
	"github.com/cardlog/cardlog/services/rulesfile"
	"github.com/cardlog/cardlog/services/transactions"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// config says how a cardlog runs. The zero value of a field is its default where that makes sense.
type config struct {
	only          serviceName // the one service to run; empty: all
	dir           directory
	listen        string
	nats          string // URL of an outside server
	replicas      int    // servers of its cluster that keep each stream; 0: as they are
	natsListen    string // for readers of the embedded server; off or empty: none
	metricsListen string // for Prometheus; off or empty: none
	diskReserve   uint64 // bytes that are kept free; 0: it is only watched
	debugListen   string // for profiles, on loopback; off or empty: none
	consoleListen string // for the web console; off or empty: none
	consoleHosts  []string
	sync          syncMode
	shards        int
	checkpoints   checkpoints
	rules         string
	keyFile       string
	bin           string
	feedRetention time.Duration
	noFeed        bool // the feed is not published
	clock         func() time.Time
	manualClock   bool // the clock stands still until somebody moves it
	manualOutside bool // also with an outside server
	logger        *slog.Logger
	journal       *telemetry.Journal // nil: no line for each event
	traces        *telemetry.Traces  // nil: nothing is traced
}

// checkpoints say how many accounts are kept in memory, and how often states are written to files. The zero value of a field is its default.
type checkpoints struct {
	inMemory int    // accounts of the ledger; of the other services a share
	every    uint64 // events of a service, of all its streams together
	early    *checkpoint.Early
}

// Defaults of checkpoints.
const (
	defaultAccountCache = 120_000
	// defaultCheckpointEvery is two or three seconds of reading at the start. A state is twice as large as an event, and what is written waits for the same syncs: with
	// passes five times as frequent, and purchases on many accounts, every answer would wait for them.
	defaultCheckpointEvery = 250_000
)

// rarelyUsed is how many times fewer accounts are in memory where commands are rare: in accounts and payments.
const rarelyUsed = 10

// in returns them for a directory and a share of the accounts.
func (c checkpoints) in(dir directory, share int) engine.Checkpoints {
	inMemory := (cmp.Or(c.inMemory, defaultAccountCache) + share - 1) / share
	return engine.Checkpoints{Dir: dir.checkpoints(), InMemory: inMemory, Every: cmp.Or(c.every, defaultCheckpointEvery), Early: c.early}
}

// serviceName is a service as the command line calls it.
type serviceName string

// The services.
const (
	accountsName     serviceName = "accounts"
	paymentsName     serviceName = "payments"
	transactionsName serviceName = "transactions"
	feedName         serviceName = feed.ServiceName
)

// health is what gRPC health calls a service.
func (n serviceName) health() string {
	switch n {
	case accountsName:
		return accountsv1.AccountsService_ServiceDesc.ServiceName
	case paymentsName:
		return paymentsv1.PaymentsService_ServiceDesc.ServiceName
	case transactionsName:
		return transactionsv1.TransactionsService_ServiceDesc.ServiceName
	default:
		return string(n)
	}
}

// serviceNames are all services, in the order in which they are opened.
var serviceNames = []serviceName{accountsName, paymentsName, transactionsName, feedName}

// runs says whether a service runs in this process.
func (c config) runs(service serviceName) bool {
	if c.noFeed && service == feedName {
		return false
	}
	return c.only == "" || c.only == service
}

// stopTimeout bounds a graceful stop.
const stopTimeout = 10 * time.Second

// process is a running cardlog: one service or all of them, over one log. Those that do not run in it are nil.
type process struct {
	config       config
	lock         *flock.Flock
	store        *store
	listener     net.Listener
	disk         *disk // nil where NATS is outside
	metrics      *metricsServer
	debug        *debugServer
	console      *consoleServer
	server       *rpc.Server
	health       serviceHealth
	rules        atomic.Pointer[rulesfile.Rules] // in force
	key          *vault.MasterKey
	clock        *manualClock // nil where the clock is the machine's
	accounts     *accounts.Service
	payments     *payments.Service
	transactions *transactions.Service
	feed         *feed.Service
	cancel       context.CancelFunc
	unwatch      context.CancelFunc // of the disk
	services     sync.WaitGroup
	stopped      sync.Once
	failed       chan error // has the errors with which parts of it ended
}

// start makes a cardlog serve. On an error everything that was started is stopped.
func start(ctx context.Context, c config) (_ *process, err error) {
	if c.manualClock && c.nats != "" && !c.manualOutside {
		return nil, errManualOutside
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	p := &process{config: c, failed: make(chan error, 4*transactions.MaxShards)} // room for every part
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if err := os.MkdirAll(string(c.dir), 0o700); err != nil {
		return nil, err
	}
	if c.only == "" { // else the directory has nothing but the key, which several processes may read
		if p.lock, err = c.dir.lock(); err != nil {
			return nil, err
		}
	}
	if p.debug, err = serveDebug(c.debugListen, p.fail); err != nil { // before the log is read, so that a slow start can be looked into
		return nil, err
	}
	if p.listener, err = net.Listen("tcp", c.listen); err != nil {
		return nil, listenError("--listen", c.listen, err)
	}
	if c.only == "" { // else the checkpoints of other processes are beside those of this one
		p.config.checkpoints.early = checkpoint.ReadEarly(c.dir.checkpoints(), factStreams())
	}
	if p.store, err = openStore(ctx, c, p.fail); err != nil {
		return nil, err
	}
	if c.nats == "" {
		watching, cancel := context.WithCancel(context.Background())
		p.unwatch = cancel
		p.disk = watchDisk(watching, c.dir, c.diskReserve, c.logger)
	}
	if c.manualClock {
		if err := p.stopTheClock(ctx); err != nil {
			return nil, err
		}
	}
	if p.metrics, err = openMetrics(c.metricsListen); err != nil {
		return nil, err
	}
	if err := p.openServices(ctx); err != nil {
		return nil, err
	}
	p.metrics.serve(p)
	if p.console, err = p.openConsole(); err != nil {
		return nil, err
	}
	p.serve()
	if err := p.awaitReady(ctx); err != nil {
		return nil, err
	}
	p.config.checkpoints.early.Close()
	return p, nil
}

// listenError says which flag to use when an address is taken.
func listenError(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; choose another address with %s HOST:PORT (port 0 picks a free one)", address, flag)
	}
	return fmt.Errorf("%s %s: %w", flag, address, err)
}

// serviceHealth knows which services serve.
type serviceHealth struct {
	mu     sync.Mutex
	serves map[serviceName]bool
}

// all returns which services serve.
func (h *serviceHealth) all() map[serviceName]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.serves)
}

// watch makes health know a service, which does not serve yet, and returns what it is to say of itself to.
func (p *process) watch(service serviceName) func(serving bool) {
	set := func(serving bool) {
		p.health.mu.Lock()
		defer p.health.mu.Unlock()
		p.health.serves[service] = serving
		all := true
		for _, one := range p.health.serves {
			all = all && one
		}
		p.server.SetServing(service.health(), serving)
		p.server.SetServing("", all)
	}
	set(false)
	return set
}

// openServices makes the services over the log, in an order in which each has what it needs of those before it.
func (p *process) openServices(ctx context.Context) (err error) {
	if err := p.readRules(ctx); err != nil {
		return err
	}
	if p.config.runs(accountsName) || p.config.runs(transactionsName) {
		if p.key, err = p.masterKey(ctx); err != nil {
			return err
		}
	}
	if p.server, err = rpc.NewServer(rpc.Options{Logger: p.config.logger, Metrics: p.metrics.registerer(), Traces: p.config.traces.Provider()}); err != nil {
		return err
	}
	p.health.serves = map[serviceName]bool{}
	open := map[serviceName]func(context.Context, func(bool)) error{
		accountsName: p.openAccounts, paymentsName: p.openPayments, transactionsName: p.openTransactions, feedName: p.openFeed,
	}
	for _, service := range serviceNames {
		if p.config.runs(service) {
			if err := open[service](ctx, p.watch(service)); err != nil {
				return explain(err)
			}
		}
	}
	return nil
}

func (p *process) openAccounts(ctx context.Context, onHealth func(bool)) (err error) {
	p.accounts, err = accounts.Open(ctx, p.store.log, accounts.Options{
		Checkpoints: p.config.checkpoints.in(p.config.dir, rarelyUsed),
		Key:         p.key, BIN: p.config.bin, DefaultProfile: ledger.DefaultProfile, KnownProfile: p.knowsProfile,
		Clock: p.config.clock, Logger: p.config.logger, OnHealth: onHealth, Admit: p.disk.admit, Journal: journal(p.config.journal, accountLine), Tracer: p.config.traces.Tracer(),
	})
	if err == nil {
		p.accounts.Register(p.server)
	}
	return err
}

func (p *process) openPayments(ctx context.Context, onHealth func(bool)) (err error) {
	p.payments, err = payments.Open(ctx, p.store.log, payments.Options{
		Accounts: p.accountsUpstream(), Ledger: p.ledgerUpstreams, ShardOf: transactions.Shard, Rules: p.paymentRules,
		Checkpoints: p.config.checkpoints.in(p.config.dir, rarelyUsed),
		Clock:       p.config.clock, Logger: p.config.logger, OnHealth: onHealth, Admit: p.disk.admit, Journal: journal(p.config.journal, paymentLine), Tracer: p.config.traces.Tracer(),
	})
	if err == nil {
		p.payments.Register(p.server)
	}
	return err
}

func (p *process) openTransactions(ctx context.Context, onHealth func(bool)) (err error) {
	p.transactions, err = transactions.Open(ctx, p.store.log, transactions.Options{
		Accounts: p.accountsUpstream(), Payments: p.paymentsUpstream(), Key: p.key, Shards: p.config.shards, Rules: p.purchaseRules,
		Clock: p.config.clock, Logger: p.config.logger, OnHealth: onHealth, Admit: p.disk.admit, Journal: journal(p.config.journal, ledgerLine), Tracer: p.config.traces.Tracer(),
		Checkpoints: p.config.checkpoints.in(p.config.dir, 1),
	})
	if err == nil {
		p.transactions.Register(p.server)
	}
	return err
}

func (p *process) openFeed(_ context.Context, onHealth func(bool)) error {
	p.feed = feed.Open(p.store.feed, feed.Options{
		Accounts: p.accountsUpstream(), Payments: p.paymentsUpstream(), Ledger: p.ledgerUpstreams,
		Retention: p.config.feedRetention, Logger: p.config.logger, Tracer: p.config.traces.Tracer(), OnHealth: onHealth,
	})
	return nil
}

// accountsUpstream is ACCOUNTS: of the service in this process, else as another one writes it.
func (p *process) accountsUpstream() follower.Upstream {
	if p.accounts != nil {
		return p.accounts.Upstream()
	}
	return follower.Remote(p.store.log, accounts.StreamName)
}

// paymentsUpstream is PAYMENTS, likewise.
func (p *process) paymentsUpstream() follower.Upstream {
	if p.payments != nil {
		return p.payments.Upstream()
	}
	return follower.Remote(p.store.log, payments.StreamName)
}

// ledgerUpstreams are the shards of the ledger, likewise.
func (p *process) ledgerUpstreams(ctx context.Context) ([]follower.Upstream, error) {
	if p.transactions != nil {
		return p.transactions.Upstreams(), nil
	}
	first, err := p.store.log.ReadStream(ctx, transactions.StreamName(0))
	if err != nil {
		return nil, err
	}
	shards, err := transactions.Shards(first)
	if err != nil {
		return nil, err
	}
	upstreams := make([]follower.Upstream, shards)
	for shard := range upstreams {
		upstreams[shard] = follower.Remote(p.store.log, transactions.StreamName(shard))
	}
	return upstreams, nil
}

// explain puts the settings of a stream into the words of the command line.
func explain(err error) error {
	var metadata *eventlog.MetadataError
	if !errors.As(err, &metadata) {
		return err
	}
	if metadata.Key == accounts.KeyCheckMetadata {
		return errors.New("the key file is not the one that this log was written with; name the right one with --key-file")
	}
	return fmt.Errorf("the ledger was created with %s shards and keeps them; leave --shards out", metadata.Stored)
}

// masterKey reads the master key, and makes one where there is neither a key nor a log.
func (p *process) masterKey(ctx context.Context) (*vault.MasterKey, error) {
	path := p.config.keyFile
	if path == "" {
		path = p.config.dir.key()
	}
	key, err := vault.ReadKey(path)
	if !errors.Is(err, vault.ErrKeyMissing) {
		return key, err
	}
	names, listErr := p.store.log.StreamNames(ctx)
	if listErr != nil {
		return nil, listErr
	}
	if slices.Contains(names, accounts.StreamName) || len(p.store.recorded) > 0 {
		return nil, fmt.Errorf("%w; this log was written with one and cannot be opened without it: restore it, or name it with --key-file", err)
	}
	key, err = vault.CreateKey(path)
	if errors.Is(err, os.ErrExist) {
		return vault.ReadKey(path) // another service was first
	}
	return key, err
}

// serve runs the services and the gRPC server in the background.
func (p *process) serve() {
	registerOperations(p)
	registerClock(p)
	running, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	for _, service := range p.running() {
		p.services.Go(func() { service.Run(running, p.fail) })
	}
	p.services.Go(func() {
		if err := p.server.Serve(p.listener); err != nil {
			p.fail(err)
		}
	})
}

// service is what the services have in common.
type service interface {
	// Run serves until ctx ends.
	Run(ctx context.Context, fail func(error))
	// Ready is closed when it serves.
	Ready() <-chan struct{}
}

// running are the services of this process.
func (p *process) running() (running []service) {
	if p.accounts != nil {
		running = append(running, p.accounts)
	}
	if p.payments != nil {
		running = append(running, p.payments)
	}
	if p.transactions != nil {
		running = append(running, p.transactions)
	}
	if p.feed != nil {
		running = append(running, p.feed)
	}
	return running
}

// fail notes the error with which a part of the process ended.
func (p *process) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// awaitReady returns when all services serve, or one of them cannot.
func (p *process) awaitReady(ctx context.Context) error {
	for _, service := range p.running() {
		select {
		case <-service.Ready():
		case err := <-p.failed:
			return fmt.Errorf("refusing to serve: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// endpoints returns where the process listens.
func (p *process) endpoints() endpoints {
	e := endpoints{GRPC: p.listener.Addr().String(), PID: os.Getpid(), NATS: p.config.nats, Metrics: p.metrics.address(), Debug: p.debug.address(), Console: p.console.address()}
	if address := p.store.address(); address != "" {
		e.NATS = "nats://" + address
	}
	return e
}

// stop ends everything, once, in the order opposite to the start: callers first get their answers.
func (p *process) stop() { p.stopped.Do(p.stopAll) }

func (p *process) stopAll() {
	p.console.close()
	p.metrics.close()
	if p.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		p.server.Shutdown(ctx)
		cancel()
	}
	if p.cancel != nil {
		p.cancel()
		p.services.Wait()
	}
	p.config.checkpoints.early.Close()
	if p.store != nil {
		p.store.close()
	}
	if p.unwatch != nil {
		p.unwatch()
	}
	p.debug.close() // last, so that a slow stop can be looked into
	if p.listener != nil {
		_ = p.listener.Close()
	}
	if p.lock != nil {
		_ = p.lock.Unlock()
	}
}
