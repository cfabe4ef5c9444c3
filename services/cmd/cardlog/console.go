package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/cardlog/cardlog/services/console"
	"github.com/cardlog/cardlog/services/feed"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

const (
	// consoleName is the console as the command line calls it.
	consoleName = "console"
	// defaultConsole is where the console listens.
	defaultConsole   = "127.0.0.1:9000"
	consoleHostsHelp = "names under which browsers may ask for the console, beside localhost and bare addresses"
)

// consoleServer serves the web console. A nil one is none.
type consoleServer struct {
	listener net.Listener
	server   *http.Server
	closers  []func()
}

// consoleOptions say what a console asks, and where it listens.
type consoleOptions struct {
	listen  string
	hosts   []string
	servers []string
	log     *eventlog.Log // with the feed; nil: none
	logger  *slog.Logger
	traces  *telemetry.Traces
}

// openConsole serves the console of a process that runs all services.
func (p *process) openConsole() (*consoleServer, error) {
	if p.config.consoleListen == "" || p.config.consoleListen == "off" {
		return nil, nil
	}
	return serveConsole(consoleOptions{listen: p.config.consoleListen, hosts: p.config.consoleHosts, servers: []string{p.listener.Addr().String()},
		log: p.store.feed, logger: p.config.logger, traces: p.config.traces}, p.fail)
}

// serveConsole serves a console in the background. fail is told when it ends by itself.
func serveConsole(o consoleOptions, fail func(error)) (_ *consoleServer, err error) {
	c := &consoleServer{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if c.listener, err = net.Listen("tcp", o.listen); err != nil {
		return nil, listenError("--console-listen", o.listen, err)
	}
	var servers []console.Server
	for _, address := range o.servers {
		connection, err := dial(address, tracedCalls(o.traces)...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		c.closers = append(c.closers, func() { _ = connection.Close() })
		servers = append(servers, console.Server{Address: address, Connection: connection})
	}
	made, err := console.New(servers, console.Options{Feed: feedOf(o.log), Hosts: o.hosts, Logger: o.logger, Traces: o.traces.Provider()})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	c.closers = append(c.closers, stop)
	go made.Run(running)
	c.server = made.Server()
	c.server.BaseContext = func(net.Listener) context.Context { return running } // ends the pages that are kept up to date
	go func() {
		if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(err)
		}
	}()
	return c, nil
}

// tracedCalls are the options of a client whose calls are traced where anything is.
func tracedCalls(traces *telemetry.Traces) []grpc.DialOption {
	if traces == nil {
		return nil
	}
	return []grpc.DialOption{rpc.TraceClient(traces.Provider())}
}

func (c *consoleServer) address() string {
	if c == nil {
		return ""
	}
	return c.listener.Addr().String()
}

// close ends the console. Whoever reads a page just then loses nothing: all that a form does is done by the services.
func (c *consoleServer) close() {
	if c == nil {
		return
	}
	if c.server != nil {
		_ = c.server.Close()
	}
	if c.listener != nil {
		_ = c.listener.Close()
	}
	for _, end := range c.closers {
		end()
	}
}

// feedOf is the public feed as the console follows it; nil where there is no log to read.
func feedOf(log *eventlog.Log) *console.Feed {
	if log == nil {
		return nil
	}
	public := &console.Feed{}
	for _, service := range feed.Services() {
		public.Services = append(public.Services, console.FeedService{Name: service, Events: feed.EventNames(service)})
	}
	public.Follow = func(ctx context.Context, filter console.FeedFilter, each func(console.FeedEvent) error) error {
		follow := tailOptions{account: filter.Account, service: filter.Service, event: filter.Event}
		subject, err := follow.filter()
		if err != nil {
			return err
		}
		return log.FollowFiltered(ctx, feed.StreamName, eventlog.Start{Last: filter.Last}, subject, func(m eventlog.Message) error {
			event, err := feedEvent(m)
			if err != nil {
				return err
			}
			return each(event)
		})
	}
	return public
}

// feedEvent is an event of the feed as the console shows it.
func feedEvent(m eventlog.Message) (console.FeedEvent, error) {
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("ce-time"))
	if err != nil {
		return console.FeedEvent{}, fmt.Errorf("event %d of %s has no time: %w", m.Sequence, feed.StreamName, err)
	}
	words := strings.SplitN(m.Subject, ".", 4)
	if len(words) != 4 {
		return console.FeedEvent{}, fmt.Errorf("event %d of %s has the subject %s", m.Sequence, feed.StreamName, m.Subject)
	}
	return console.FeedEvent{Sequence: m.Sequence, Service: words[1], Event: words[2], Account: words[3], Time: at, Data: m.Data}, nil
}

// serveConsoleOptions are the flags of serve console.
type serveConsoleOptions struct {
	consoleOptions
	nats                string
	logLevel, logFormat string
}

func newServeConsoleCommand() *cobra.Command {
	options := &serveConsoleOptions{}
	command := &cobra.Command{
		Use:   consoleName,
		Short: "Run the web console alone, against any cardlog",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.listen, "console-listen", defaultConsole, "address of the web console")
	flags.StringSliceVar(&options.hosts, "console-hosts", nil, consoleHostsHelp)
	flags.StringSliceVar(&options.servers, "server", []string{defaultServer}, "addresses of the services, with commas between where they run apart")
	flags.StringVar(&options.nats, "nats", "", "URL of the NATS server that has the feed; empty: the page Live shows no events")
	flags.StringVar(&options.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&options.logFormat, "log-format", "", "text or json (default text on a terminal, else json)")
	return command
}

func (o *serveConsoleOptions) run(ctx context.Context, out io.Writer) error {
	var err error
	if o.logger, err = telemetry.NewLogger(os.Stderr, o.logLevel, o.logFormat); err != nil {
		return err
	}
	if o.traces, err = telemetry.StartTraces(ctx, "cardlog-"+consoleName, o.logger); err != nil {
		return err
	}
	defer o.traces.Close()
	if o.nats != "" {
		log, disconnect, err := eventlog.Connect(o.nats, eventlog.Options{})
		if err != nil {
			return err
		}
		defer disconnect()
		o.log = log
	}
	failed := make(chan error, 1)
	served, err := serveConsole(o.consoleOptions, func(err error) { failed <- err })
	if err != nil {
		return err
	}
	defer served.close()
	_, _ = fmt.Fprintf(out, "the console of %s is ready: open http://%s in a browser\n", strings.Join(o.servers, ", "), served.address())
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(out, "stopping")
		return nil
	case err := <-failed:
		return err
	}
}
