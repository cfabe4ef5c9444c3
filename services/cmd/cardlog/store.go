package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/cardlog/cardlog/services/accounts"
	"github.com/cardlog/cardlog/services/feed"
	"github.com/cardlog/cardlog/services/internal/embeddednats"
	"github.com/cardlog/cardlog/services/internal/eventlog"
	"github.com/cardlog/cardlog/services/payments"
	"github.com/cardlog/cardlog/services/transactions"
)

// syncMode is when what is stored is synced to disk.
type syncMode struct {
	interval time.Duration // 0: always, before each answer
}

// String is always, or the interval.
func (m *syncMode) String() string {
	if m.interval == 0 {
		return "always"
	}
	return m.interval.String()
}

// Set reads always, or an interval.
func (m *syncMode) Set(text string) error {
	if text == "always" {
		m.interval = 0
		return nil
	}
	interval, err := time.ParseDuration(text)
	if err != nil || interval < time.Second || interval > time.Hour {
		return errors.New("it is always, or an interval from 1s to 1h such as 2m")
	}
	m.interval = interval
	return nil
}

// Type is for package pflag.
func (m *syncMode) Type() string { return "always|interval" }

// serverSyncInterval is how often the embedded JetStream syncs by itself where the barrier does it before each answer: its own default.
const serverSyncInterval = 2 * time.Minute

// store is the event log with what is beneath it: an embedded server, or connections to one outside.
type store struct {
	log     *eventlog.Log
	feed    *eventlog.Log        // where EVENTS is kept: in the embedded server it is apart from the facts
	server  *embeddednats.Server // nil where NATS is outside
	barrier *eventlog.Barrier    // nil where acks are durable by themselves, or need not be
	close   func()

	recorded map[string]uint64 // what was durable when it was opened, by stream
}

// openStore opens the log. fail is called when the store breaks while the process runs.
func openStore(ctx context.Context, c config, fail func(error)) (*store, error) {
	if c.nats != "" {
		return connectStore(ctx, c)
	}
	options := embeddednats.Options{StoreDir: string(c.dir), Streams: factStreams(), Feed: feed.StreamName, Logger: c.logger, SyncInterval: c.sync.interval}
	if c.natsListen != "off" {
		options.Listen = c.natsListen
	}
	recorded, err := readRecord(c.dir)
	if err != nil {
		return nil, err
	}
	s := &store{recorded: recorded}
	exclusive := c.sync.interval != 0
	if eventlog.BarrierSupported {
		exclusive = true
		options.SyncInterval = serverSyncInterval
		if s.barrier, err = eventlog.OpenBarrier(string(c.dir), c.dir.durable(), fail); err != nil {
			return nil, err
		}
	}
	s.server, err = embeddednats.Start(options)
	if errors.Is(err, embeddednats.ErrAddressTaken) {
		return nil, fmt.Errorf("%s is taken by another program; choose another address for NATS with --nats-listen HOST:PORT (port 0 picks a free one), or none with --nats-listen off", c.natsListen)
	}
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	s.close = func() {
		close(ended)
		if s.log != nil {
			_ = s.log.Sync() // the barrier itself has told of a failure
		}
		s.server.Stop()
		if s.barrier != nil {
			_ = s.barrier.Close()
		}
	}
	settings := eventlog.Options{Barrier: s.barrier, AckFirst: c.sync.interval != 0, Recorded: recorded, Exclusive: exclusive}
	if s.log, err = s.server.OpenLog(settings); err != nil {
		return s, err
	}
	if s.feed, err = s.server.OpenFeed(settings); err != nil {
		return s, err
	}
	if c.sync.interval != 0 {
		go s.syncEvery(c.sync.interval, ended)
	}
	return s, nil
}

// syncEvery makes what was answered durable, and records it, again and again until the end.
func (s *store) syncEvery(interval time.Duration, ended <-chan struct{}) {
	look := time.NewTicker(interval)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if s.log.Sync() != nil {
				return
			}
		case <-ended:
			return
		}
	}
}

// readRecord reads the record of what is durable, and makes an empty one for a new log. A log whose record is gone is not opened: a loss at its end could not be noticed.
func readRecord(dir directory) (map[string]uint64, error) {
	recorded, err := eventlog.ReadDurable(dir.durable())
	if !errors.Is(err, os.ErrNotExist) {
		return recorded, err
	}
	if _, err := os.Stat(dir.store()); err == nil {
		return nil, fmt.Errorf("%s, the record of what is durable, is missing: restore it from a backup; or, if you accept that events lost at the end of the log go unnoticed, create an empty file of that name", dir.durable())
	}
	return nil, os.WriteFile(dir.durable(), nil, 0o600)
}

// address is where readers reach the embedded server; empty where they cannot.
func (s *store) address() string {
	if s.server == nil {
		return ""
	}
	return s.server.Address()
}

// factStreams are the names of all streams of facts that there can be.
func factStreams() []string {
	names := []string{accounts.StreamName, payments.StreamName}
	for shard := range transactions.MaxShards {
		names = append(names, transactions.StreamName(shard))
	}
	return names
}

// natsWait is how often an outside server that cannot be reached is tried again.
const natsWait = time.Second

// connectStore opens the log on an outside server, and waits until there is one.
func connectStore(ctx context.Context, c config) (*store, error) {
	for {
		log, closeLog, err := eventlog.Connect(c.nats, eventlog.Options{Replicas: c.replicas})
		if err == nil {
			err = log.Reach(ctx)
			if err == nil {
				return &store{log: log, feed: log, close: closeLog}, nil
			}
			closeLog()
		}
		if !errors.Is(err, eventlog.ErrUnreachable) {
			return nil, err
		}
		c.logger.WarnContext(ctx, "waiting for NATS with JetStream", slog.String("nats", c.nats), slog.Any("error", err))
		select {
		case <-time.After(natsWait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
