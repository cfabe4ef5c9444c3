package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/accounts"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/internal/vault"
	"github.com/cardlog/cardlog/services/transactions"
	"github.com/cardlog/cardlog/services/transactions/ledger"
)

// config says how a cardlog runs. The zero value of a field is its default where that makes sense.
type config struct {
	dir        directory
	listen     string
	nats       string // URL of an outside server
	natsListen string // for readers of the embedded server; off or empty: none
	sync       syncMode
	shards     int
	rules      string
	keyFile    string
	bin        string
	clock      func() time.Time
	logger     *slog.Logger
}

// stopTimeout bounds a graceful stop.
const stopTimeout = 10 * time.Second

// process is a running cardlog: all services over one log.
type process struct {
	config       config
	lock         *flock.Flock
	store        *store
	listener     net.Listener
	server       *rpc.Server
	accounts     *accounts.Service
	transactions *transactions.Service
	cancel       context.CancelFunc
	services     sync.WaitGroup
	stopped      sync.Once
	failed       chan error // has the errors with which parts of it ended
}

// start makes a cardlog serve. On an error everything that was started is stopped.
func start(ctx context.Context, c config) (_ *process, err error) {
	if c.clock == nil {
		c.clock = time.Now
	}
	p := &process{config: c, failed: make(chan error, transactions.MaxShards+3)} // room for every part
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if err := os.MkdirAll(string(c.dir), 0o700); err != nil {
		return nil, err
	}
	if p.lock, err = c.dir.lock(); err != nil {
		return nil, err
	}
	if p.listener, err = net.Listen("tcp", c.listen); err != nil {
		return nil, listenError("--listen", c.listen, err)
	}
	if p.store, err = openStore(c, p.fail); err != nil {
		return nil, err
	}
	if err := p.openServices(ctx); err != nil {
		return nil, err
	}
	p.serve()
	return p, p.awaitReady(ctx)
}

// listenError says which flag to use when an address is taken.
func listenError(flag, address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; choose another address with %s HOST:PORT (port 0 picks a free one)", address, flag)
	}
	return fmt.Errorf("%s %s: %w", flag, address, err)
}

// The names of the services, for health.
var (
	accountsService     = accountsv1.AccountsService_ServiceDesc.ServiceName
	transactionsService = transactionsv1.TransactionsService_ServiceDesc.ServiceName
)

// openServices makes the services over the log.
func (p *process) openServices(ctx context.Context) error {
	rules := ledger.BuiltInRules()
	if p.config.rules != "" {
		var err error
		if rules, err = transactions.ReadRules(p.config.rules); err != nil {
			return err
		}
	}
	key, err := p.masterKey(ctx)
	if err != nil {
		return err
	}
	if p.server, err = rpc.NewServer(p.config.logger); err != nil {
		return err
	}
	var health sync.Mutex
	serves := map[string]bool{}
	onHealth := func(service string) func(bool) {
		return func(serving bool) {
			health.Lock()
			defer health.Unlock()
			serves[service] = serving
			p.server.SetServing(service, serving)
			p.server.SetServing("", serves[accountsService] && serves[transactionsService])
		}
	}
	p.server.SetServing("", false)
	p.server.SetServing(accountsService, false)
	p.server.SetServing(transactionsService, false)
	p.accounts, err = accounts.Open(ctx, p.store.log, accounts.Options{
		Key: key, BIN: p.config.bin, DefaultProfile: ledger.DefaultProfile,
		KnownProfile: func(name string) bool { _, known := rules.Profiles[name]; return known },
		Clock:        p.config.clock, Logger: p.config.logger, OnHealth: onHealth(accountsService),
	})
	if err != nil {
		return explain(err)
	}
	p.transactions, err = transactions.Open(ctx, p.store.log, transactions.Options{
		Accounts: p.accounts, Key: key, Shards: p.config.shards, Rules: rules,
		Clock: p.config.clock, Logger: p.config.logger, OnHealth: onHealth(transactionsService),
	})
	return explain(err)
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
	return vault.CreateKey(path)
}

// serve runs the services and the gRPC server in the background.
func (p *process) serve() {
	p.accounts.Register(p.server)
	p.transactions.Register(p.server)
	running, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.services.Go(func() { p.accounts.Run(running, p.fail) })
	p.services.Go(func() { p.transactions.Run(running, p.fail) })
	p.services.Go(func() {
		if err := p.server.Serve(p.listener); err != nil {
			p.fail(err)
		}
	})
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
	for _, ready := range []<-chan struct{}{p.accounts.Ready(), p.transactions.Ready()} {
		select {
		case <-ready:
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
	e := endpoints{GRPC: p.listener.Addr().String(), PID: os.Getpid(), NATS: p.config.nats}
	if address := p.store.address(); address != "" {
		e.NATS = "nats://" + address
	}
	return e
}

// stop ends everything, once, in the order opposite to the start: callers first get their answers.
func (p *process) stop() { p.stopped.Do(p.stopAll) }

func (p *process) stopAll() {
	if p.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		p.server.Shutdown(ctx)
		cancel()
	}
	if p.cancel != nil {
		p.cancel()
		p.services.Wait()
	}
	if p.store != nil {
		p.store.close()
	}
	if p.listener != nil {
		_ = p.listener.Close()
	}
	if p.lock != nil {
		_ = p.lock.Unlock()
	}
}
