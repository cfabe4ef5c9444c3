package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/cardlog/cardlog/services/internal/rpc"
	"github.com/cardlog/cardlog/services/internal/telemetry"
	"github.com/cardlog/cardlog/services/replay"
)

// replayOptions are the flags of replay.
type replayOptions struct {
	server       string
	concurrency  int
	creditLimit  int64
	rulesProfile string
	json         bool
}

func newReplayCommand() *cobra.Command {
	options := &replayOptions{}
	command := &cobra.Command{
		Use:   "replay FILE.csv[.gz]",
		Short: "Play a file of card purchases against a cardlog and check every balance",
		Long: `Play a file of card purchases against a running cardlog, or, with no --server, against one that is started
in a temporary directory for it. One account and card per card_last4; a positive row is authorized and
presented, a negative one paid where the merchant begins "direct debit payment", else refunded. Ids follow from
the rows, so playing a file twice changes nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return options.run(command.Context(), args[0], command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.server, "server", "", "address of a running cardlog; without it one is started in a temporary directory")
	flags.IntVar(&options.concurrency, "concurrency", replay.DefaultConcurrency, "accounts that are played at the same time")
	flags.Int64Var(&options.creditLimit, "credit-limit", 0, "credit limit of every account in minor units (default: what lets every row through)")
	flags.StringVar(&options.rulesProfile, "rules-profile", replay.DefaultRulesProfile, "rules profile of the server that accounts are opened with")
	flags.BoolVar(&options.json, "json", false, "report as JSON")
	return command
}

func (o *replayOptions) run(ctx context.Context, path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	address := o.server
	if address == "" {
		var stop func()
		if address, stop, err = startTemporary(ctx); err != nil {
			return err
		}
		defer stop()
	}
	connection, err := dial(address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	options := replay.Options{Concurrency: o.concurrency, CreditLimit: o.creditLimit, RulesProfile: o.rulesProfile}
	if telemetry.IsTerminal(os.Stderr) {
		options.Progress = progressBar(os.Stderr)
	}
	report, err := replay.Run(metadata.AppendToOutgoingContext(ctx, rpc.ActorHeader, "replay"), connection, file, options)
	if report == nil {
		return err
	}
	return errors.Join(err, o.write(out, report))
}

func (o *replayOptions) write(out io.Writer, report *replay.Report) error {
	if o.json {
		return writeJSON(out, report)
	}
	return report.WriteTable(out)
}

// startTemporary starts a cardlog in a directory that is removed when it stops.
func startTemporary(ctx context.Context) (address string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "cardlog-replay-")
	if err != nil {
		return "", nil, err
	}
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := start(ctx, config{dir: directory(dir), listen: "127.0.0.1:0", natsListen: "off", bin: defaultBIN, logger: quiet})
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p.endpoints().GRPC, func() {
		p.stop()
		_ = os.RemoveAll(dir)
	}, nil
}

// reconnectBound bounds how long a client waits before it tries a server again that was gone.
const reconnectBound = 2 * time.Second

// dial opens a client's connection to a cardlog.
func dial(address string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	wait := backoff.DefaultConfig
	wait.BaseDelay, wait.MaxDelay = reconnectBound/20, reconnectBound
	return grpc.NewClient(address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: wait, MinConnectTimeout: reconnectBound}))...)
}

// progressBar draws a bar of 40 characters, and the numbers behind it.
func progressBar(to io.Writer) func(done, total int) {
	const width = 40
	return func(done, total int) {
		filled := width * done / max(total, 1)
		_, _ = fmt.Fprintf(to, "\r%s%s %d of %d rows", strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total)
		if done == total {
			_, _ = fmt.Fprintln(to)
		}
	}
}

// demoPace is how many rows a second the demo plays.
const demoPace = 10

// runDemo plays a month of real purchases at a visible pace and tells what else happens, until all is played or ctx ends.
func runDemo(ctx context.Context, address string, out io.Writer) {
	say := func(line string) { _, _ = fmt.Fprintf(out, "demo: %s\n", line) }
	connection, err := dial(address)
	if err != nil {
		say(err.Error())
		return
	}
	defer func() { _ = connection.Close() }()
	say(fmt.Sprintf("playing a month of real purchases, %d a second (Birmingham City Council, March 2015); alice and the payments are made up", demoPace))
	options := replay.Options{Pace: demoPace, Concurrency: 8}
	if telemetry.IsTerminal(os.Stdout) {
		options.Progress = progressBar(out)
		// In the place of the bar, which is soon drawn again below.
		say = func(line string) { _, _ = fmt.Fprintf(out, "\r\x1b[Kdemo: %s\n", line) }
	}
	report, err := replay.PlayDemo(metadata.AppendToOutgoingContext(ctx, rpc.ActorHeader, "demo"), connection, options, say)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		say(err.Error())
	default:
		say(fmt.Sprintf("all %d rows are played; cardlog goes on serving", report.Rows))
	}
}
