// Command cardlog is the event-sourced core of a card issuer: one binary for the services and the tools around them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cardlog:", err)
		os.Exit(1)
	}
}

// newCommand makes the command line.
func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "cardlog",
		Short: "The event-sourced core of a card issuer: it decides, clears and accounts for card transactions",
		Long: `cardlog decides card purchases against a credit limit, holds and clears them, takes payments,
and keeps every account's balance and history as an auditable log in NATS JetStream.

Every flag can also come from the environment: CARDLOG_ and its name in capitals, such as CARDLOG_NATS_LISTEN.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(command *cobra.Command, _ []string) error { return takeEnvironment(command.Flags(), os.LookupEnv) },
	}
	root.AddCommand(newUpCommand(), newServeCommand(), newStatusCommand(), newTailCommand(), newReplayCommand(), newRulesCommand(), newRebuildCommand(), newVerifyCommand(), newRepairCommand(), newBenchCommand())
	return root
}

// writeJSON writes a report for machines.
func writeJSON(out io.Writer, report any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// takeEnvironment sets the flags that the command line did not.
func takeEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var broken error
	flags.VisitAll(func(flag *pflag.Flag) {
		name := "CARDLOG_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, given := lookup(name)
		if !given || flag.Changed || broken != nil {
			return
		}
		if err := flags.Set(flag.Name, value); err != nil {
			broken = fmt.Errorf("%s: %w", name, err)
		}
	})
	return broken
}
