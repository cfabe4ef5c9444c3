package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardlog/cardlog/services/feed"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// defaultServer is where up listens, and where clients look for it.
const defaultServer = "127.0.0.1:7070"

// upOptions are the flags of up, and of serve.
type upOptions struct {
	config
	dir                 string
	demo                bool
	logLevel, logFormat string
	readyFile           string
}

func newUpCommand() *cobra.Command {
	options := &upOptions{}
	command := &cobra.Command{
		Use:   "up",
		Short: "Run all services in one process, with NATS JetStream embedded",
		Long: `Run all services in one process, with NATS JetStream embedded or on an outside server.

With --manual-clock time stands still until somebody moves it, and never goes back:

  grpcurl -plaintext -d '{"duration":"604800s"}' 127.0.0.1:7070 cardlog.admin.v1.ClockService/Advance
  grpcurl -plaintext -d '{"time":"2027-01-31T12:00:00Z"}' 127.0.0.1:7070 cardlog.admin.v1.ClockService/Set

Each answers when every hold and withholding that came due by then has ended. At the start the clock stands at the later of the machine's time and the newest event
in the log. What was decided in the future stays decided: a cardlog that is started again without the flag decides at the time of the newest event until the
machine's clock has passed it. So give such a log a directory of its own, for tests, demonstrations and conformance only.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	options.register(command.Flags(), defaultServer)
	flags := command.Flags()
	flags.StringVar(&options.nats, "nats", "", "URL of an outside NATS server to use instead of the embedded one")
	flags.StringVar(&options.consoleListen, "console-listen", defaultConsole, "address of the web console, or off")
	flags.StringSliceVar(&options.consoleHosts, "console-hosts", nil, consoleHostsHelp)
	flags.StringVar(&options.natsListen, "nats-listen", "127.0.0.1:4222", "address of the embedded NATS for readers, or off")
	flags.Var(&options.sync, "sync", "when to sync to disk: always (before each answer), or every interval such as 2m: a power cut can then lose that much, and may make a repair or a backup necessary")
	options.diskReserve = defaultReserve << 20
	flags.Var(mebibytes{&options.diskReserve}, "disk-reserve", "room on the log's disk below which nothing more is stored: writes are refused, reads go on")
	flags.BoolVar(&options.manualClock, "manual-clock", false, "for tests and demonstrations only: a clock that stands until cardlog.admin.v1.ClockService moves it")
	flags.BoolVar(&options.manualOutside, "manual-clock-outside-nats", false, "with --nats, take --manual-clock all the same: events from the future stay in that server's streams for ever")
	flags.BoolVar(&options.noFeed, "no-feed", false, "do not publish the public feed; started again without this, it catches up")
	flags.BoolVar(&options.demo, "demo", false, "replay a month of real purchases at a visible pace, tell a story with payments, and keep running")
	return command
}

// register makes the flags that up and serve have in common.
func (o *upOptions) register(flags *pflag.FlagSet, listen string) {
	flags.StringVar(&o.dir, "dir", "cardlog-data", "directory for the log, the key and all else")
	flags.StringVar(&o.listen, "listen", listen, "address of the gRPC services")
	flags.StringVar(&o.metricsListen, "metrics-listen", "off", "address of the metrics for Prometheus (/metrics), or off")
	flags.StringVar(&o.debugListen, "debug-listen", "off", "loopback address of profiles (/debug/pprof/) and runtime metrics (/debug/metrics), or off")
	flags.IntVar(&o.shards, "shards", 0, "shards of the ledger, when it is created (default 1)")
	flags.IntVar(&o.replicas, "replicas", 0, "with --nats: on how many servers of the cluster each stream is kept, such as 3 (default: streams as they are, new ones on 1)")
	flags.IntVar(&o.checkpoints.inMemory, "account-cache", defaultAccountCache, "how many accounts of the ledger are in memory, of the other services a tenth; the others are read from checkpoints when they are needed")
	flags.Uint64Var(&o.checkpoints.every, "checkpoint-every", defaultCheckpointEvery, "after how many events of a service its checkpoints are written; a start reads the events since")
	flags.StringVar(&o.rules, "rules", "", "YAML file of rules profiles (see cardlog rules); SIGHUP has it read again")
	flags.StringVar(&o.keyFile, "key-file", "", "file of the master key (default cardlog.key in the directory, made on the first start)")
	flags.StringVar(&o.bin, "bin", defaultBIN, "bank identification number that card numbers begin with")
	flags.DurationVar(&o.feedRetention, "feed-retention", feed.DefaultRetention, "how long the public feed keeps events")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "", "text or json (default text on a terminal, else json)")
	flags.StringVar(&o.readyFile, "ready-file", "", "file to write the addresses to, as JSON, once everything serves")
}

func (o *upOptions) run(ctx context.Context, out io.Writer) error {
	began := time.Now()
	keepHeadroom()
	if o.feedRetention < time.Minute {
		return errors.New("--feed-retention is at least 1m")
	}
	if o.replicas < 0 || o.replicas > eventlog.MaxReplicas {
		return fmt.Errorf("--replicas is 1 to %d, and better odd: a stream is written while more than half of its servers are there", eventlog.MaxReplicas)
	}
	if o.replicas != 0 && o.nats == "" {
		return errors.New("--replicas is about the servers of a NATS cluster: name it with --nats")
	}
	if o.checkpoints.inMemory < 1 || o.checkpoints.every < 1 {
		return errors.New("--account-cache and --checkpoint-every are at least 1")
	}
	logger, err := telemetry.NewLogger(os.Stderr, o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	if o.journal, err = telemetry.NewJournal(os.Stderr, o.logLevel, o.logFormat); err != nil {
		return err
	}
	defer o.journal.Close()
	if o.traces, err = telemetry.StartTraces(ctx, o.serviceName(), logger); err != nil {
		return err
	}
	defer o.traces.Close()
	hangup := make(chan os.Signal, 1) // also while it starts: it must not end the process
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	o.logger, o.config.dir = logger, directory(o.dir)
	p, err := start(ctx, o.config)
	if err != nil {
		return err
	}
	defer p.stop()
	e := p.endpoints()
	if o.only == "" {
		if err := e.write(o.config.dir.running()); err != nil {
			return err
		}
		defer func() { _ = os.Remove(o.config.dir.running()) }()
	}
	if o.readyFile != "" {
		if err := e.write(o.readyFile); err != nil {
			return err
		}
	}
	o.greet(out, p, e, time.Since(began))
	if o.demo {
		go runDemo(ctx, e.GRPC, out)
	}
	return o.await(ctx, p, hangup, out)
}

// serviceName is what traces call the process.
func (o *upOptions) serviceName() string {
	if o.only == "" {
		return "cardlog"
	}
	return "cardlog-" + string(o.only)
}

// await reads the rules again at each hangup, and returns when the end is asked for, or the disk fails. A stream that is found damaged is not served any more; the process stays, for the reads that still can be.
func (o *upOptions) await(ctx context.Context, p *process, hangup <-chan os.Signal, out io.Writer) error {
	for {
		select {
		case <-hangup:
			p.reloadRules(ctx)
		case <-ctx.Done():
			_, _ = fmt.Fprintln(out, "stopping")
			return nil
		case err := <-p.failed:
			if errors.Is(err, eventlog.ErrSyncFailed) {
				return err
			}
			_, _ = fmt.Fprintln(out, "not serving all any more:", err)
		}
	}
}

// greet says where everything listens, and what to try next.
func (o *upOptions) greet(out io.Writer, p *process, e endpoints, took time.Duration) {
	if o.only != "" {
		_, _ = fmt.Fprintf(out, "cardlog %s is ready after %.1f s: gRPC on %s, NATS at %s\n", o.only, took.Seconds(), e.GRPC, e.NATS)
		return
	}
	durable := "every answer is on disk before it is given"
	switch {
	case o.nats != "":
		durable = "on the NATS server at " + o.nats + "; set sync_interval: always there, or a power cut can lose answers"
	case o.sync.interval != 0:
		durable = "synced every " + o.sync.String() + ": a power cut can lose the answers since"
	}
	_, _ = fmt.Fprintf(out, "cardlog is ready after %.1f s\n\n", took.Seconds())
	_, _ = fmt.Fprintf(out, "  gRPC   %-22s accounts, payments, transactions, operations, health, reflection\n", e.GRPC)
	if e.Console != "" {
		_, _ = fmt.Fprintf(out, "  web    %-22s the console: open http://%s in a browser\n", e.Console, e.Console)
	}
	if e.NATS != "" && o.nats == "" {
		_, _ = fmt.Fprintf(out, "  NATS   %-22s to read and subscribe, not to publish; the feed is the stream EVENTS\n", e.NATS)
	}
	_, _ = fmt.Fprintf(out, "  data   %-22s %s\n", o.dir, durable)
	if o.keyFile == "" {
		_, _ = fmt.Fprintf(out, "  key    %-22s keep a copy elsewhere: without it the log cannot be opened\n", o.config.dir.key())
	}
	if p.clock != nil {
		_, _ = fmt.Fprintf(out, "  CLOCK  %-22s MANUAL: it stands until cardlog.admin.v1.ClockService moves it; for tests and demonstrations only\n", p.clock)
	}
	if e.Metrics != "" {
		_, _ = fmt.Fprintf(out, "  HTTP   %-22s /metrics for Prometheus\n", e.Metrics)
	}
	if e.Debug != "" {
		_, _ = fmt.Fprintf(out, "  HTTP   %-22s /debug/pprof/ and /debug/metrics: go tool pprof http://%s/debug/pprof/profile\n", e.Debug, e.Debug)
	}
	_, _ = fmt.Fprintf(out, "\nNext, in another terminal:\n\n  grpcurl -plaintext %s list\n", e.GRPC)
	_, _ = fmt.Fprintf(out, "  grpcurl -plaintext -d '{\"account_id\":\"alice\",\"holder\":{\"full_name\":\"Alice\",\"address\":{\"country_code\":\"GB\"}},\"credit_limit\":{\"currency_code\":\"GBP\",\"minor_units\":100000}}' %s cardlog.accounts.v1.AccountsService/OpenAccount\n", e.GRPC)
	if e.NATS != "" {
		what := "events.>"
		if o.noFeed {
			what = "ledger.>"
		} else {
			_, _ = fmt.Fprintf(out, "  cardlog tail --nats %s\n", e.NATS)
		}
		_, _ = fmt.Fprintf(out, "  nats --server %s sub '%s'\n", e.NATS, what)
	}
	_, _ = fmt.Fprintln(out)
}

// defaultBIN begins card numbers that no bank has: the range is kept for tests.
const defaultBIN = "400000"
