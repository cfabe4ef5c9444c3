package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
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
	command.Flags().StringSliceVar(&servers, "server", []string{defaultServer}, "addresses of running processes, with commas between; of a console, the URL of one of its pages")
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

// askPage asks a console for a page, and returns an error when it does not show it.
func askPage(ctx context.Context, page string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", page, answer.Status)
	}
	return nil
}

// showStatus asks every server and prints what they say.
func showStatus(ctx context.Context, servers []string, asJSON bool, out io.Writer) error {
	whole := &adminv1.GetStatusResponse{}
	for _, server := range servers {
		if strings.HasPrefix(server, "http://") {
			if err := askPage(ctx, server); err != nil {
				return err
			}
			continue
		}
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
		if answer.GetDisk() != nil {
			whole.Disk = answer.GetDisk() // one process has the log, the others of it a NATS outside
		}
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
	services := newTable("SERVICE", "STATE")
	for _, service := range s.GetServices() {
		state := "serving"
		if !service.GetServing() {
			state = "NOT SERVING"
		}
		services.row(service.GetService(), state)
	}
	streams := newTable("STREAM", "WRITER", " LAST", " DURABLE", " SUBJECTS", " MiB", " IN MEMORY", " CHECKPOINT", " AGE")
	for _, stream := range s.GetStreams() {
		inMemory, checkpoint, age := "-", "-", "-"
		if state := stream.GetState(); state != nil {
			inMemory = strconv.FormatUint(state.GetInMemory(), 10)
			if state.GetCheckpointAge() != nil {
				checkpoint, age = strconv.FormatUint(state.GetCheckpointSequence(), 10), state.GetCheckpointAge().AsDuration().Round(time.Second).String()
			}
		}
		streams.row(stream.GetStream(), stream.GetWriter(), stream.GetLastSequence(), stream.GetDurableSequence(), stream.GetSubjects(), inMiB(stream.GetBytes()),
			inMemory, checkpoint, age)
	}
	followers := newTable("FOLLOWER", "STREAM", " POSITION", " LAST", " LAG", "STATE")
	for _, f := range s.GetFollowers() {
		followers.row(f.GetFollower(), f.GetStream(), f.GetPosition(), f.GetLastSequence(), f.GetLag(), strings.ToLower(strings.TrimPrefix(f.GetState().String(), "FOLLOWER_STATE_")))
	}
	for i, table := range []*table{services, streams, followers} {
		if i > 0 {
			_, _ = fmt.Fprintln(out)
		}
		if err := table.write(out); err != nil {
			return err
		}
	}
	for _, f := range s.GetFollowers() {
		if f.GetProblem() != "" {
			_, _ = fmt.Fprintf(out, "\n%s of %s: %s\n", f.GetFollower(), f.GetStream(), f.GetProblem())
		}
	}
	if disk := s.GetDisk(); disk != nil {
		low := ""
		if disk.GetLow() {
			low = ": WRITES ARE REFUSED until there is more room"
		}
		_, _ = fmt.Fprintf(out, "\ndisk: %s MiB free, %s MiB are kept free%s\n", inMiB(disk.GetFreeBytes()), inMiB(disk.GetReserveBytes()), low)
	}
	return nil
}

// inMiB writes a number of bytes in MiB.
func inMiB(bytes uint64) string { return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) }
