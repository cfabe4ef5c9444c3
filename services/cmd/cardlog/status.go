package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
)

// statusBound is how long the servers may take to answer.
const statusBound = 10 * time.Second

// errNotServing is what status ends with when something does not serve.
var errNotServing = errors.New("not everything serves")

func newStatusCommand() *cobra.Command {
	var servers []string
	var asJSON bool
	command := &cobra.Command{
		Use:   "status",
		Short: "Show what runs: services, streams, and how far each follower is",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), statusBound)
			defer cancel()
			return showStatus(ctx, servers, asJSON, command.OutOrStdout())
		},
	}
	command.Flags().StringSliceVar(&servers, "server", []string{defaultServer}, "addresses of running processes, with commas between")
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object for each server")
	return command
}

func newRebuildCommand() *cobra.Command {
	var server string
	command := &cobra.Command{
		Use:   "rebuild VIEW",
		Short: "Throw a view away and make it again from the log, while everything runs",
		Long: `Throw a view away and make it again from the log, while everything runs. All answers are the same afterwards. The views:

  balances   the state of every account, from the ledger (transactions)
  cards      which card belongs to which account, from ACCOUNTS (transactions)
  owed       what is owed on every account, from ACCOUNTS and the ledger (payments)
  feed       how far each stream is in the public feed, from EVENTS (feed)`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			connection, err := dial(server)
			if err != nil {
				return err
			}
			defer func() { _ = connection.Close() }()
			answer, err := adminv1.NewOperationsServiceClient(connection).RebuildView(command.Context(), &adminv1.RebuildViewRequest{View: args[0]})
			if err != nil {
				return fmt.Errorf("%s: %s", server, status.Convert(err).Message())
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s: made again from %d events in %.1f s\n", args[0], answer.GetEvents(), answer.GetElapsed().AsDuration().Seconds())
			return err
		},
	}
	command.Flags().StringVar(&server, "server", defaultServer, "address of the process")
	return command
}

// showStatus asks every server and prints what they say.
func showStatus(ctx context.Context, servers []string, asJSON bool, out io.Writer) error {
	whole := &adminv1.GetStatusResponse{}
	for _, server := range servers {
		connection, err := dial(server)
		if err != nil {
			return err
		}
		answer, err := adminv1.NewOperationsServiceClient(connection).GetStatus(ctx, &adminv1.GetStatusRequest{})
		_ = connection.Close()
		if err != nil {
			return fmt.Errorf("%s: %s", server, status.Convert(err).Message())
		}
		if asJSON {
			text, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(answer)
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(out, string(text))
		}
		whole.Services = append(whole.Services, answer.GetServices()...)
		whole.Streams = append(whole.Streams, answer.GetStreams()...)
		whole.Followers = append(whole.Followers, answer.GetFollowers()...)
	}
	if !asJSON {
		if err := writeStatus(out, whole); err != nil {
			return err
		}
	}
	for _, service := range whole.GetServices() {
		if !service.GetServing() {
			return errNotServing
		}
	}
	return nil
}

func writeStatus(out io.Writer, s *adminv1.GetStatusResponse) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SERVICE\tSTATE")
	for _, service := range s.GetServices() {
		state := "serving"
		if !service.GetServing() {
			state = "NOT SERVING"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", service.GetService(), state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	table = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\nSTREAM\tWRITER\tLAST\tDURABLE\tSUBJECTS\tMiB\t")
	for _, stream := range s.GetStreams() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%.1f\t\n", stream.GetStream(), stream.GetWriter(), stream.GetLastSequence(), stream.GetDurableSequence(),
			stream.GetSubjects(), float64(stream.GetBytes())/(1<<20))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	table = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\nFOLLOWER\tSTREAM\tPOSITION\tLAST\tLAG\tSTATE\t")
	for _, f := range s.GetFollowers() {
		state := strings.ToLower(strings.TrimPrefix(f.GetState().String(), "FOLLOWER_STATE_"))
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t\n", f.GetFollower(), f.GetStream(), f.GetPosition(), f.GetLastSequence(), f.GetLag(), state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, f := range s.GetFollowers() {
		if f.GetProblem() != "" {
			_, _ = fmt.Fprintf(out, "\n%s of %s: %s\n", f.GetFollower(), f.GetStream(), f.GetProblem())
		}
	}
	return nil
}
