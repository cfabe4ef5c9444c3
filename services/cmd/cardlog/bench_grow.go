package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardlog/cardlog/services/bench"
)

// benchGrowOptions are the flags of bench grow.
type benchGrowOptions struct {
	bench.GrowOptions

	under string
	up    []string
	json  bool
}

func newBenchGrowCommand() *cobra.Command {
	options := &benchGrowOptions{}
	command := &cobra.Command{
		Use:   "grow",
		Short: "Build a large ledger and measure how speed, memory, disk and start time change with it",
		Long: `Build a large ledger in a fresh cardlog, without its feed, by purchases and their clearing, as networks would (AuthorizeStream and PresentStream): each account has
five holds open, and from then on each purchase clears the oldest. After each step, how fast it decides over all accounts, and what memory and disk it takes.
In the end the server is killed under load and started again: the time until its first decision, the latency of first decisions on accounts that it has not
touched since, while others go on at half of its rate, and whether all balances are what was answered.

"of empty" is the rate as a share of that on the empty ledger with at most 100,000 accounts, "by CPU" the same of the processor time that a decision takes.
Ten million events take about 8 GB of disk, which are given back.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.IntVar(&options.Events, "events", 1_000_000, "events to add by purchases and their clearing")
	flags.IntVar(&options.Accounts, "accounts", 100_000, "accounts that they are spread over")
	flags.IntVar(&options.Steps, "steps", 10, "steps after which the ledger is looked at")
	flags.IntVar(&options.Connections, "connections", 8, "connections that the callers share")
	flags.DurationVar(&options.Duration, "duration", 5*time.Second, "how long each measurement takes")
	flags.StringVar(&options.under, "dir", "", "directory for a temporary one, on the disk to be measured (default: the system's)")
	flags.StringArrayVar(&options.up, "up", nil, "a further flag of the fresh cardlog, such as --up=--shards=4")
	flags.BoolVar(&options.json, "json", false, "report as JSON")
	return command
}

func (o *benchGrowOptions) run(ctx context.Context, out io.Writer) error {
	keepHeadroom()
	dir, err := os.MkdirTemp(o.under, "cardlog-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var running *child
	o.Start = func(ctx context.Context) (*bench.Process, error) {
		running, err = startChild(ctx, directory(dir), upCommand(directory(dir), append(quietFlags(), o.up...)))
		if err != nil {
			return nil, err
		}
		return running.process(), nil
	}
	o.Kill = func() { running.kill() }
	o.Dir, o.Server, o.Progress = directory(dir).file("data"), "cardlog up "+strings.Join(append(quietFlags(), o.up...), " "), benchProgress(os.Stderr)
	report, err := bench.Grow(ctx, o.GrowOptions)
	if report == nil {
		return err
	}
	if o.json {
		return errors.Join(err, writeJSON(out, report))
	}
	return errors.Join(err, report.WriteTable(out))
}
