package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// directory is where one cardlog keeps everything.
type directory string

func (d directory) file(name string) string { return filepath.Join(string(d), name) }

func (d directory) store() string       { return d.file("jetstream") } // JetStream itself makes this folder
func (d directory) durable() string     { return d.file("durable") }
func (d directory) key() string         { return d.file("cardlog.key") }
func (d directory) checkpoints() string { return d.file("checkpoints") } // derived from the log: may be deleted while nothing runs
func (d directory) running() string     { return d.file("running.json") }

// errInUse means that another cardlog runs in the directory.
var errInUse = errors.New("another cardlog is running in this directory")

// lockWait is how long a start waits for a process that was just killed to be gone.
const lockWait = 2 * time.Second

// lock takes the directory for this process, until the lock is given back or the process ends.
func (d directory) lock() (*flock.Flock, error) {
	waiting, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	lock := flock.New(d.file("lock"))
	locked, err := lock.TryLockContext(waiting, lockWait/20)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("lock %s: %w", d, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w; stop it first, or name another directory with --dir", d, errInUse)
	}
	return lock, nil
}

// endpoints are where a running cardlog listens.
type endpoints struct {
	// GRPC is the address of the services.
	GRPC string `json:"grpc"`
	// NATS is the URL for readers; empty where there is none.
	NATS string `json:"nats,omitempty"`
	// Metrics is the address of the metrics; empty where there are none.
	Metrics string `json:"metrics,omitempty"`
	// Debug is the address of the profiles; empty where there are none.
	Debug string `json:"debug,omitempty"`
	// Console is the address of the web console; empty where there is none.
	Console string `json:"console,omitempty"`
	// PID of the process.
	PID int `json:"pid"`
}

// write puts the endpoints into a file, whole or not at all.
func (e endpoints) write(path string) error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	half := path + ".new"
	if err := os.WriteFile(half, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(half, path)
}

func readEndpoints(path string) (endpoints, error) {
	var e endpoints
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	return e, err
}
