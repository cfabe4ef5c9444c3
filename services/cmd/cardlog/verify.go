package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardlog/cardlog/services/accounts"
	"github.com/cardlog/cardlog/services/internal/embeddednats"
	"github.com/cardlog/cardlog/services/internal/engine"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/telemetry"
	"github.com/cardlog/cardlog/services/payments"
	"github.com/cardlog/cardlog/services/transactions"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	dir     string
	nats    string
	scratch string
	json    bool
}

func newVerifyCommand() *cobra.Command {
	options := &verifyOptions{}
	command := &cobra.Command{
		Use:   "verify",
		Short: "Check every stored event: links, hashes, balances, and that no command acted twice",
		Long: `Read the stored logs and check that no sequence is missing, that every event decodes, links to the one
before it by previous_sequence and chain hash, carries the balances that folding gives, and answers a command
that no other event answered; and that each payment in the ledger is one of PAYMENTS, in its order, to the cent.

A running cardlog is read over NATS. A stopped directory is read from a copy (in --scratch), so that nothing
in it changes: JetStream itself would cut a damaged file when it opens it.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.dir, "dir", "cardlog-data", "directory to verify")
	flags.StringVar(&options.nats, "nats", "", "URL of a NATS server to read instead of a directory")
	flags.StringVar(&options.scratch, "scratch", "", "where the copy of a stopped directory goes (default the system's temporary directory)")
	flags.BoolVar(&options.json, "json", false, "report as JSON")
	return command
}

// verification is what verify found.
type verification struct {
	Streams  []verifiedStream `json:"streams"`
	Problems []problem        `json:"problems"`
	// Recorded says whether the record of what is durable was at hand.
	Recorded       bool    `json:"durable_record_checked"`
	ElapsedSeconds float64 `json:"elapsed_seconds"`
}

// verifiedStream is one stream that was read.
type verifiedStream struct {
	Stream   string `json:"stream"`
	Events   uint64 `json:"events"`
	Accounts int    `json:"accounts"`
	Durable  uint64 `json:"durable"`
	Problems int    `json:"problems"`
}

// problem is one thing that is wrong.
type problem struct {
	Stream  string `json:"stream"`
	From    uint64 `json:"from_sequence"`
	To      uint64 `json:"to_sequence"`
	Account string `json:"account,omitempty"`
	Problem string `json:"problem"`
}

// problemsBound is how many problems are listed at most.
const problemsBound = 1000

// errProblems is what verify ends with when something is wrong.
var errProblems = errors.New("the log is not sound")

func (o *verifyOptions) run(ctx context.Context, out io.Writer) error {
	source, err := o.open()
	if err != nil {
		return err
	}
	defer source.close()
	found, err := verify(ctx, source)
	if err != nil {
		return err
	}
	if o.json {
		err = writeJSON(out, found)
	} else {
		err = found.writeTable(out)
	}
	if len(found.Problems) > 0 {
		return errors.Join(err, fmt.Errorf("%w: %d problems", errProblems, len(found.Problems)))
	}
	return err
}

// logSource is a log to verify.
type logSource struct {
	log      *eventlog.Log
	recorded map[string]uint64 // durable sequence by stream; nil where it is not known
	close    func()
}

// open finds the log: over NATS where a cardlog runs, else in a copy of the directory.
func (o *verifyOptions) open() (*logSource, error) {
	if o.nats != "" {
		log, closeLog, err := eventlog.Connect(o.nats, eventlog.Options{})
		return &logSource{log: log, close: closeLog}, err
	}
	dir := directory(o.dir)
	if _, err := os.Stat(dir.store()); err != nil {
		return nil, fmt.Errorf("%s holds no log; name the directory with --dir", dir)
	}
	recorded, err := eventlog.ReadDurable(dir.durable())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	lock, err := dir.lock()
	if errors.Is(err, errInUse) {
		return openRunning(dir, recorded)
	}
	if err != nil {
		return nil, err
	}
	source, err := openCopy(dir, o.scratch)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	source.recorded = recorded
	closeCopy := source.close
	source.close = func() {
		closeCopy()
		_ = lock.Unlock()
	}
	return source, nil
}

// openRunning reads the log of a running cardlog.
func openRunning(dir directory, recorded map[string]uint64) (*logSource, error) {
	e, err := readEndpoints(dir.running())
	if err != nil || e.NATS == "" {
		return nil, errors.New("a cardlog is running in the directory and lets no reader in; stop it, or start it with --nats-listen 127.0.0.1:4222")
	}
	log, closeLog, err := eventlog.Connect(e.NATS, eventlog.Options{})
	return &logSource{log: log, recorded: recorded, close: closeLog}, err
}

// openCopy copies a stopped store and opens the copy.
func openCopy(dir directory, scratch string) (_ *logSource, err error) {
	copied, err := os.MkdirTemp(scratch, "cardlog-copy-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(copied) }
	defer func() {
		if err != nil {
			remove()
		}
	}()
	if err := os.CopyFS(directory(copied).store(), os.DirFS(dir.store())); err != nil {
		return nil, fmt.Errorf("copy the store: %w", err)
	}
	s, err := openEmbedded(directory(copied))
	if err != nil {
		return nil, err
	}
	return &logSource{log: s.log, close: func() {
		s.close()
		remove()
	}}, nil
}

// openEmbedded opens a directory's log with no barrier, no listener and no log lines, to read or to make it.
func openEmbedded(dir directory) (*store, error) {
	server, err := embeddednats.Start(embeddednats.Options{StoreDir: string(dir), SyncInterval: serverSyncInterval, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	log, err := server.OpenLog(eventlog.Options{Exclusive: true})
	if err != nil {
		server.Stop()
		return nil, err
	}
	return &store{log: log, server: server, close: server.Stop}, nil
}

// verify checks every stream of facts of a log. EVENTS is made of them and can be made again, so it is not looked at.
func verify(ctx context.Context, source *logSource) (*verification, error) {
	began := time.Now()
	found := &verification{Problems: []problem{}, Recorded: source.recorded != nil}
	streams, err := examineAll(ctx, source, found)
	if err != nil {
		return nil, err
	}
	if len(streams) == 0 && len(found.Problems) == 0 {
		return nil, errors.New("there is no cardlog log: no stream " + accounts.StreamName)
	}
	known := &upstreams{accounts: accounts.NewFold(), movements: map[uint64]movement{}}
	if stream := streams[accounts.StreamName]; stream != nil {
		if known.brokenAccounts, err = verifyStream(ctx, stream, known.accounts, found, accounts.Subject, nil); err != nil {
			return nil, err
		}
	}
	if stream := streams[payments.StreamName]; stream != nil {
		if known.brokenPayments, err = verifyStream(ctx, stream, payments.NewFold(), found, payments.Subject, known.addPayment); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		if !transactions.IsStreamName(name) {
			continue
		}
		if err := verifyLedger(ctx, streams[name], known, found); err != nil {
			return nil, err
		}
	}
	found.ElapsedSeconds = time.Since(began).Seconds()
	return found, nil
}

// examineAll opens the streams of facts that there are and takes their ends: those of the ledger first, for what it has seen of the others by then they have when
// theirs are taken. It knows them by name, because readers of a running cardlog cannot list them.
func examineAll(ctx context.Context, source *logSource, found *verification) (map[string]*examined, error) {
	names, err := ledgerStreams(ctx, source.log)
	if err != nil {
		return nil, err
	}
	promised := len(names) > 1 // LEDGER_00 says that there are others
	for _, name := range append([]string{payments.StreamName, accounts.StreamName}, slices.Sorted(maps.Keys(source.recorded))...) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	streams := map[string]*examined{}
	for _, name := range names {
		stream, err := examine(ctx, source, name, found)
		switch recorded := source.recorded[name]; {
		case err == nil:
			streams[name] = stream
		case !errors.Is(err, eventlog.ErrNotFound):
			return nil, err
		case recorded > 0, promised && transactions.IsStreamName(name):
			found.add(problem{Stream: name, From: 1, To: max(recorded, 1), Problem: "the whole stream is missing"})
		}
	}
	return streams, nil
}

// ledgerStreams returns the names of the ledger's streams, as the first of them tells.
func ledgerStreams(ctx context.Context, log *eventlog.Log) ([]string, error) {
	first, err := log.ReadStream(ctx, transactions.StreamName(0))
	if errors.Is(err, eventlog.ErrNotFound) {
		return []string{transactions.StreamName(0)}, nil
	}
	if err != nil {
		return nil, err
	}
	shards, err := transactions.Shards(first)
	if err != nil {
		return nil, err
	}
	var names []string
	for shard := range shards {
		names = append(names, transactions.StreamName(shard))
	}
	return names, nil
}

func (v *verification) add(p problem) {
	if len(v.Problems) < problemsBound {
		v.Problems = append(v.Problems, p)
	}
}

// examined is a stream whose end was taken: what is appended later is not looked at.
type examined struct {
	*eventlog.Stream
	recorded, last uint64
}

// examine takes the end of a stream and what the server says of it.
func examine(ctx context.Context, source *logSource, name string, found *verification) (*examined, error) {
	stream, err := source.log.ReadStream(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &examined{Stream: stream, recorded: source.recorded[name]}
	s.last, err = stream.Intact(ctx, s.recorded)
	var lost *eventlog.LostError
	var gap *eventlog.GapError
	switch {
	case errors.As(err, &lost) && lost.From > s.last:
		found.add(problem{Stream: name, From: lost.From, To: lost.To, Problem: "acknowledged events are missing at the end"})
	case errors.As(err, &gap), errors.As(err, &lost): // reading finds each of the gaps
	case err != nil:
		return nil, err
	}
	return s, nil
}

// verifyStream folds one stream, calls each with every event that could be, and returns the accounts whose chain is broken. After a problem it goes on: with the
// next event that can be read, and without those accounts.
func verifyStream[S any, C engine.Command, E engine.Event, V any](ctx context.Context, stream *examined, fold *engine.Fold[S, C, E, V], found *verification,
	subject func(account string) string, each func(eventlog.Message)) (map[string]bool, error) {
	name, before := stream.Name(), len(found.Problems)
	broken := map[string]bool{}
	var holes missing
	report := verifiedStream{Stream: name, Durable: stream.recorded}
	err := readOn(ctx, stream.Stream, stream.last, func(m eventlog.Message) {
		report.Events++
		showProgress(name, m.Sequence, stream.last)
		account := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		if broken[account] {
			return
		}
		if m.Subject != subject(account) {
			found.add(problem{Stream: name, From: m.Sequence, To: m.Sequence, Account: account, Problem: "it is stored under " + m.Subject + ", not " + subject(account)})
		}
		var wrong *engine.EventError
		if errors.As(fold.Add(name, m), &wrong) {
			broken[account] = true
			if holes.have(wrong.Follows) {
				return // the missing event is the problem, and is listed
			}
			found.add(problem{Stream: name, From: m.Sequence, To: m.Sequence, Account: account, Problem: wrong.Problem})
		} else if each != nil {
			each(m)
		}
	}, func(from, to uint64) {
		holes = append(holes, hole{from, to})
		found.add(problem{Stream: name, From: from, To: to, Problem: "missing, or cannot be read"})
	})
	report.Accounts, report.Problems = fold.Accounts(), len(found.Problems)-before
	found.Streams = append(found.Streams, report)
	return broken, err
}

// hole is a run of sequences that are missing.
type hole struct{ from, to uint64 }

type missing []hole

func (m missing) have(sequence uint64) bool {
	return slices.ContainsFunc(m, func(h hole) bool { return h.from <= sequence && sequence <= h.to })
}

// readOn reads a stream to its end and goes on behind what is missing.
func readOn(ctx context.Context, stream *eventlog.Stream, last uint64, each func(eventlog.Message), missing func(from, to uint64)) error {
	for after := uint64(0); after < last; {
		err := stream.Read(ctx, eventlog.Range{After: after, Through: last}, func(m eventlog.Message) error {
			each(m)
			after = m.Sequence
			return nil
		})
		var lost *eventlog.LostError
		if !errors.As(err, &lost) {
			return err
		}
		next := lost.From + 1
		for ; next <= last; next++ {
			if _, err := stream.Get(ctx, next); err == nil {
				break
			} else if !errors.Is(err, eventlog.ErrNotFound) {
				return err
			}
		}
		missing(lost.From, next-1)
		after = next - 1
	}
	return nil
}

// showProgress shows a person how far a long read is.
func showProgress(stream string, sequence, last uint64) {
	const every = 50_000
	if sequence%every == 0 && telemetry.IsTerminal(os.Stderr) {
		_, _ = fmt.Fprintf(os.Stderr, "\r%s: %d of %d events", stream, sequence, last)
		if last-sequence < every {
			_, _ = fmt.Fprintln(os.Stderr)
		}
	}
}

const listedProblems = 20

func (v *verification) writeTable(out io.Writer) error {
	table := newTable("STREAM", " EVENTS", " ACCOUNTS", " DURABLE", " PROBLEMS")
	for _, s := range v.Streams {
		durable := "not recorded"
		if v.Recorded {
			durable = fmt.Sprint(s.Durable)
		}
		table.row(s.Stream, s.Events, s.Accounts, durable, s.Problems)
	}
	if err := table.write(out); err != nil {
		return err
	}
	if len(v.Problems) == 0 {
		_, err := fmt.Fprintf(out, "\nsound: every event decodes, links, and carries the balances that follow (%.1f s)\n", v.ElapsedSeconds)
		return err
	}
	_, _ = fmt.Fprintln(out)
	for _, p := range v.Problems[:min(len(v.Problems), listedProblems)] {
		_, _ = fmt.Fprintln(out, p)
	}
	if more := len(v.Problems) - listedProblems; more > 0 {
		_, _ = fmt.Fprintf(out, "and %d more; --json lists them\n", more)
	}
	return nil
}

// String says where the problem is and what it is.
func (p problem) String() string {
	where := fmt.Sprintf("%s:%d", p.Stream, p.From)
	if p.To != p.From {
		where = fmt.Sprintf("%s:%d-%d", p.Stream, p.From, p.To)
	}
	if p.Account != "" {
		where += " (account " + p.Account + ")"
	}
	return where + ": " + p.Problem
}
