package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// serveAddresses are where each service listens when it runs alone.
var serveAddresses = map[serviceName]string{
	accountsName: "127.0.0.1:7071", paymentsName: "127.0.0.1:7072", transactionsName: "127.0.0.1:7073", feedName: "127.0.0.1:7074",
}

func newServeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "serve SERVICE",
		Short: "Run one service alone, against an outside NATS",
		Long: `Run one service alone, against an outside NATS. The services can be started and stopped in any order: each waits for what it needs,
and takes up what happened while it was away. accounts and transactions need the same key file.`,
	}
	for _, service := range serviceNames {
		options := &upOptions{}
		alone := &cobra.Command{
			Use:   string(service),
			Short: fmt.Sprintf("Run %s alone", service),
			Args:  cobra.NoArgs,
			RunE: func(command *cobra.Command, _ []string) error {
				options.only = service
				return options.run(command.Context(), command.OutOrStdout())
			},
		}
		options.register(alone.Flags(), serveAddresses[service])
		alone.Flags().StringVar(&options.nats, "nats", defaultNATS, "URL of the NATS server")
		command.AddCommand(alone)
	}
	command.AddCommand(newServeConsoleCommand())
	command.Args = func(_ *cobra.Command, args []string) error {
		var names []string
		for _, service := range serviceNames {
			names = append(names, string(service))
		}
		names = append(names, consoleName)
		if len(args) == 1 && slices.Contains(names, args[0]) {
			return nil
		}
		return fmt.Errorf("name one service: %s", strings.Join(names, ", "))
	}
	command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
	return command
}
