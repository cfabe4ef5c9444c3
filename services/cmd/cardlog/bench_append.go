package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/cardlog/cardlog/services/bench"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// benchAppendOptions are the flags of bench append.
type benchAppendOptions struct {
	dir      string
	rounds   bench.Rounds
	duration time.Duration
}

// newBenchAppendCommand is the process of the append ceiling: it appends round after round to a stream of facts, as the engine does, and nothing else.
func newBenchAppendCommand() *cobra.Command {
	options := &benchAppendOptions{}
	command := &cobra.Command{
		Use:    "append",
		Short:  "Measure appends to JetStream alone",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.dir, "dir", "", "directory for the stream")
	flags.IntVar(&options.rounds.Events, "events", 1, "events in a round")
	flags.IntVar(&options.rounds.Bytes, "bytes", 600, "bytes that an event takes on disk")
	flags.DurationVar(&options.duration, "duration", 10*time.Second, "how long")
	return command
}

func (o *benchAppendOptions) run(ctx context.Context, out io.Writer) error {
	c := config{dir: directory(o.dir), natsListen: "off", logger: slog.New(slog.DiscardHandler)}
	keepHeadroom()
	failed := make(chan error, 1)
	store, err := openStore(ctx, c, func(err error) { failed <- err })
	if err != nil {
		return err
	}
	defer store.close()
	stream, err := store.log.OpenStream(ctx, eventlog.StreamSpec{Name: "LEDGER_00", Subjects: "ledger.00.*"})
	if err != nil {
		return err
	}
	if err := stream.Append(ctx, 0, []eventlog.Record{benchRecord(1, nil)}); err != nil {
		return err
	}
	extent, err := stream.Extent(ctx)
	if err != nil {
		return err
	}
	appended, err := o.append(ctx, stream, make([]byte, max(o.rounds.Bytes-int(extent.Bytes), 1)))
	if err != nil {
		return err
	}
	return writeJSON(out, appended)
}

// append appends rounds of events with such data, to a stream that has one event.
func (o *benchAppendOptions) append(ctx context.Context, stream *eventlog.Stream, data []byte) (*bench.Appended, error) {
	took := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	records := make([]eventlog.Record, o.rounds.Events)
	last, began := uint64(1), time.Now()
	for time.Since(began) < o.duration && ctx.Err() == nil {
		for i := range records {
			records[i] = benchRecord(last+uint64(i)+1, data)
		}
		started := time.Now()
		if err := stream.Append(ctx, last, records); err != nil {
			return nil, err
		}
		last += uint64(len(records))
		if err := took.RecordValue(max(time.Since(started).Microseconds(), 1)); err != nil {
			return nil, err
		}
	}
	at := took.ValueAtPercentilesSlice([]float64{50, 95, 99, 99.9})
	return &bench.Appended{Events: int64(last) - 1, Seconds: time.Since(began).Seconds(), RSS: bench.Memory(os.Getpid()),
		Rounds: bench.Percentiles{P50: at[0], P95: at[1], P99: at[2], P999: at[3], Max: took.Max()}}, ctx.Err()
}

// benchRecord is an event as the ledger has them, with headers and an account of its own.
func benchRecord(sequence uint64, data []byte) eventlog.Record {
	event := eventlog.CloudEvent{Stream: "LEDGER_00", Sequence: sequence, Source: "/cardlog/transactions", Type: "cardlog.transactions.AuthorizationApproved", Time: time.Now()}
	return eventlog.Record{Subject: fmt.Sprintf("ledger.00.bench-%07d", sequence%100_000), Header: event.AppendTo(nil), Data: data}
}
