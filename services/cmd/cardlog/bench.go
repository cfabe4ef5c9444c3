package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/bench"
	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/internal/telemetry"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	accounts, connections, turns int
	callers                      []int
	duration                     time.Duration
	rate                         float64
	only                         []string
	dir                          string
	server                       string
	serverPID                    int
	up                           []string
	json                         bool
}

func newBenchCommand() *cobra.Command {
	options := &benchOptions{}
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this machine decides, beside what bounds it",
		Long: `Measure how fast a cardlog on this machine decides, beside what bounds it: a gRPC server that only answers, the disk's sync, and appends to JetStream alone.
The load comes from this process; the servers are processes of their own, in a temporary directory that is removed in the end. The cardlog is a fresh one
without the feed and with its log at warn (the phase feed measures what those cost), or the one named by --server.

The phases, in order: fsync, authorize (uniform over all accounts, in turns with the echo ceiling), append, hot (one account), pairs (an authorization and its
presentment), balance, stream (AuthorizeStream), open (a fixed rate, where latency counts from when a call was due), feed. Calls are in a closed loop but for
open. With --callers every phase is measured with those; else authorizations with 1, 64, 256 and 1024, the hot account with 256, pairs, balances and streams
with 64, the feed with 1024.

In the table, server CPU is how many processors the server kept busy, and µs/op its time for one operation; an operation of pairs is two calls. "of echo" is the rate
as a share of the echo ceiling's, "by CPU" the same of the processor time that an operation takes, callers included, which other load on the machine disturbs less.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.IntVar(&options.accounts, "accounts", 100_000, "accounts that the load is spread over; they are opened first")
	flags.IntSliceVar(&options.callers, "callers", nil, "callers of every phase, with commas between (default: what fits each phase)")
	flags.IntVar(&options.connections, "connections", 8, "connections that the callers share")
	flags.DurationVar(&options.duration, "duration", 10*time.Second, "how long each measurement takes, all turns together")
	flags.IntVar(&options.turns, "turns", 5, "turns of each measurement: what is compared takes turns, so that other load on the machine slows all of it")
	flags.Float64Var(&options.rate, "rate", 0, "calls a second of the open loop (default: half of what 256 callers reached)")
	flags.StringSliceVar(&options.only, "only", nil, "only these phases: "+strings.Join(bench.Phases(), ", "))
	flags.StringVar(&options.dir, "dir", "", "directory for a temporary one, on the disk to be measured (default: the system's)")
	flags.StringVar(&options.server, "server", "", "loopback address of a running cardlog to measure instead of a fresh one; accounts bench-0000000 and on are opened there")
	flags.IntVar(&options.serverPID, "server-pid", 0, "process of --server, to read its CPU time and memory")
	flags.StringArrayVar(&options.up, "up", nil, "a further flag of the fresh cardlog, such as --up=--shards=4")
	flags.BoolVar(&options.json, "json", false, "report as JSON")
	command.AddCommand(newBenchEchoCommand(), newBenchAppendCommand(), newBenchGrowCommand())
	return command
}

func (o *benchOptions) run(ctx context.Context, out io.Writer) error {
	keepHeadroom() // collecting garbage would take processor time from the server
	if o.server != "" && !isLoopback(o.server) {
		return fmt.Errorf("--server %s: load is sent to this machine only, such as 127.0.0.1:7070", o.server)
	}
	dir, err := os.MkdirTemp(o.dir, "cardlog-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	options := bench.Options{
		Accounts: o.accounts, Callers: o.callers, Connections: o.connections, Duration: o.duration, Turns: o.turns, Rate: o.rate, Only: o.only, Dir: dir,
		Start: &benchStarter{dir: directory(dir), up: o.up}, Server: "cardlog up " + strings.Join(append(quietFlags(), o.up...), " "),
		Progress: benchProgress(os.Stderr),
	}
	if o.server != "" {
		options.Start = &givenStarter{benchStarter: benchStarter{dir: directory(dir)}, server: bench.Process{Address: o.server, PID: o.serverPID, Stop: func() {}}}
		options.Server, options.Given = o.server, true
	}
	report, err := bench.Run(ctx, options)
	if report == nil {
		return err
	}
	if o.json {
		return errors.Join(err, writeJSON(out, report))
	}
	return errors.Join(err, report.WriteTable(out))
}

// benchProgress shows a line that replaces the last one on a terminal, and elsewhere only those that are final.
func benchProgress(to *os.File) func(line string, final bool) {
	if !telemetry.IsTerminal(to) {
		return func(line string, final bool) {
			if final {
				_, _ = fmt.Fprintln(to, line)
			}
		}
	}
	return func(line string, final bool) {
		end := ""
		if final {
			end = "\n"
		}
		_, _ = fmt.Fprintf(to, "\r\x1b[K%s%s", line, end)
	}
}

// newBenchEchoCommand is the process of the echo ceiling. It ends with its standard input.
func newBenchEchoCommand() *cobra.Command {
	var readyFile string
	command := &cobra.Command{
		Use:    "echo",
		Short:  "Serve the echo ceiling of bench",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			keepHeadroom() // as the server has that it is a ceiling for
			server := grpc.NewServer(rpc.Transport()...)
			transactionsv1.RegisterTransactionsServiceServer(server, bench.Echo{})
			go func() {
				_, _ = io.Copy(io.Discard, command.InOrStdin())
				server.Stop()
			}()
			if err := (endpoints{GRPC: listener.Addr().String(), PID: os.Getpid()}).write(readyFile); err != nil {
				return err
			}
			return server.Serve(listener)
		},
	}
	command.Flags().StringVar(&readyFile, "ready-file", "", "file to write the address to")
	return command
}
