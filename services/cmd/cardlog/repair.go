package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/internal/vault"
)

func newRepairCommand() *cobra.Command {
	var from, into string
	command := &cobra.Command{
		Use:   "repair --dir OLD --into NEW",
		Short: "Copy the durable part of a log that has a gap into a new directory",
		Long: `After a power cut a stream can come back with a gap above what was ever answered, and up then refuses to serve.
repair copies every stream up to its durable sequence, and the key, into a new directory, which up serves.
It loses no answered command; what it leaves out was never answered. The old directory is not changed.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return repair(command.Context(), directory(from), directory(into), command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&from, "dir", "cardlog-data", "directory to copy from")
	command.Flags().StringVar(&into, "into", "", "directory to make")
	if err := command.MarkFlagRequired("into"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return command
}

// repair copies what is durable in one directory into a new one.
func repair(ctx context.Context, from, into directory, out io.Writer) error {
	recorded, err := eventlog.ReadDurable(from.durable())
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	lock, err := from.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	if err := os.Mkdir(string(into), 0o700); err != nil {
		return err // an existing directory is never written over
	}
	source, err := openCopy(from, string(into))
	if err != nil {
		return err
	}
	defer source.close()
	target, err := openEmbedded(into)
	if err != nil {
		return err
	}
	defer target.close()
	barrier, err := eventlog.OpenBarrier(string(into), into.durable(), func(error) {})
	if err != nil {
		return err
	}
	defer func() { _ = barrier.Close() }()
	names, err := source.log.StreamNames(ctx)
	if err != nil {
		return err
	}
	for name := range recorded {
		if !slices.Contains(names, name) {
			return fmt.Errorf("stream %s is missing as a whole: restore the directory from a backup", name)
		}
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		if strings.HasPrefix(name, "KV_") {
			continue
		}
		if err := source.log.CopyStream(ctx, name, recorded[name], target.log); err != nil {
			return err
		}
		if err := barrier.Sync(name, recorded[name]); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%-10s  %d events copied\n", name, recorded[name])
	}
	if err := source.log.CopyKeyValue(ctx, vault.Bucket, target.log); err != nil {
		return err
	}
	if err := copyKey(from, into); err != nil {
		return err
	}
	if err := barrier.SyncAll(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nstart it with: cardlog up --dir %s\n", into)
	return err
}

// copyKey copies the master key, where it is kept in the directory.
func copyKey(from, into directory) error {
	key, err := os.ReadFile(from.key())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(into.key(), key, 0o600)
}
