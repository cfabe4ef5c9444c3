package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cardlog/cardlog/services/bench"
)

// benchStarter starts the processes that bench measures, each in a folder of its own.
type benchStarter struct {
	dir     directory
	up      []string // further flags of a cardlog
	started int
}

// quietFlags are those of a cardlog of which only the engine is measured.
func quietFlags() []string { return []string{"--no-feed", "--log-level=warn"} }

// Quiet starts a cardlog of which only the engine is measured.
func (s *benchStarter) Quiet(ctx context.Context) (*bench.Process, error) {
	return s.cardlog(ctx, quietFlags()...)
}

// Loud starts a cardlog as it is by default, whose log goes to a file.
func (s *benchStarter) Loud(ctx context.Context) (*bench.Process, error) { return s.cardlog(ctx) }

func (s *benchStarter) cardlog(ctx context.Context, flags ...string) (*bench.Process, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, dir, upCommand(dir, append(flags, s.up...)))
	if err != nil {
		return nil, err
	}
	return c.process(), nil
}

// upCommand is the command line of a cardlog with its data in a folder.
func upCommand(dir directory, flags []string) []string {
	return append([]string{"up", "--listen=127.0.0.1:0", "--nats-listen=off", "--console-listen=off", "--dir=" + dir.file("data")}, flags...)
}

// folder makes a new one.
func (s *benchStarter) folder() (directory, error) {
	s.started++
	dir := directory(s.dir.file(strconv.Itoa(s.started)))
	return dir, os.Mkdir(string(dir), 0o700)
}

// Echo starts the echo ceiling.
func (s *benchStarter) Echo(ctx context.Context) (*bench.Process, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	c, err := startChild(ctx, dir, []string{"bench", "echo"})
	if err != nil {
		return nil, err
	}
	return c.process(), nil
}

// Append appends to a JetStream in a process of its own.
func (s *benchStarter) Append(ctx context.Context, rounds bench.Rounds, duration time.Duration) (*bench.Appended, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(string(dir)) }()
	command, err := ownCommand(ctx, "bench", "append", "--dir="+string(dir), fmt.Sprintf("--events=%d", rounds.Events), fmt.Sprintf("--bytes=%d", rounds.Bytes), "--duration="+duration.String())
	if err != nil {
		return nil, err
	}
	var problems bytes.Buffer
	command.Stderr = &problems
	printed, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("append to JetStream: %w: %s", err, problems.String())
	}
	appended := &bench.Appended{}
	if err := json.Unmarshal(printed, appended); err != nil {
		return nil, fmt.Errorf("append to JetStream: %w", err)
	}
	used := command.ProcessState
	appended.CPUSeconds = (used.UserTime() + used.SystemTime()).Seconds()
	return appended, nil
}

// givenStarter measures the cardlog that the user named.
type givenStarter struct {
	benchStarter
	server bench.Process
}

// Quiet returns the cardlog that the user named, as it is.
func (s *givenStarter) Quiet(context.Context) (*bench.Process, error) { return &s.server, nil }

// Loud returns none.
func (s *givenStarter) Loud(context.Context) (*bench.Process, error) { return nil, nil }

// child is a process of this program.
type child struct {
	command   *exec.Cmd
	endpoints endpoints
	log       string
	stdin     io.Closer
	exited    chan struct{} // closed when it is gone
}

const (
	// childStartBound is how long a process may take until it serves.
	childStartBound = 10 * time.Minute
	// childStopBound is how long it may take to end in good order.
	childStopBound = 20 * time.Second
	// childLook is how often it is looked at meanwhile.
	childLook = 5 * time.Millisecond
)

// ownCommand is a command of this program, with no flags from the environment.
func ownCommand(ctx context.Context, arguments ...string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = childStopBound
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CARDLOG_") || strings.HasPrefix(variable, "CARDLOG_TEST_") {
			command.Env = append(command.Env, variable)
		}
	}
	return command, nil
}

// startChild starts a process that writes a ready file, and returns when it has. Its log is a file in the folder.
func startChild(ctx context.Context, dir directory, arguments []string) (*child, error) {
	ready := dir.file("ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	command, err := ownCommand(ctx, append(arguments, "--ready-file="+ready)...)
	if err != nil {
		return nil, err
	}
	c := &child{command: command, log: dir.file("log"), exited: make(chan struct{})}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	command.Stderr = log
	if c.stdin, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait()
		close(c.exited)
	}()
	if err := c.awaitReady(ctx, ready); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *child) awaitReady(ctx context.Context, ready string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, childStartBound)
	defer cancel()
	look := time.NewTicker(childLook)
	defer look.Stop()
	for {
		if c.endpoints, err = readEndpoints(ready); err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-c.exited:
			said, _ := os.ReadFile(c.log)
			return fmt.Errorf("%s ended before it served: %s", strings.Join(c.command.Args, " "), bytes.TrimSpace(said[max(0, len(said)-2000):]))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve yet: %w", strings.Join(c.command.Args, " "), ctx.Err())
		}
	}
}

func (c *child) process() *bench.Process {
	return &bench.Process{Address: c.endpoints.GRPC, PID: c.command.Process.Pid, Stop: c.stop}
}

// stop ends the process in good order, if it can.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(childStopBound):
		c.kill()
	}
}

// kill ends the process as a power switch would.
func (c *child) kill() {
	_ = c.command.Process.Kill()
	<-c.exited
}
