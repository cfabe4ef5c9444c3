package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// subscriber builds the program in the README of services/feed.
func subscriber(t *testing.T) (binary string) {
	t.Helper()
	readme, err := os.ReadFile("../../feed/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n")
	program, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("the README has no program")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "subscriber")
	if said, err := exec.Command("go", "build", "-o", binary, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		t.Fatalf("the program of the README does not build: %s", said)
	}
	return binary
}

// subscribe runs the program until it is killed.
func subscribe(t *testing.T, binary, url string) (*exec.Cmd, *screen) {
	t.Helper()
	heard := &screen{}
	command := exec.Command(binary, url)
	command.Stdout, command.Stderr = heard, os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(command) })
	return command, heard
}

// heard returns the purchases whose declines were heard.
func (s *screen) heard() (purchases []string) {
	for _, line := range s.lines() {
		if _, rest, found := strings.Cut(line, `"transaction_id":"`); found {
			purchase, _, _ := strings.Cut(rest, `"`)
			purchases = append(purchases, purchase)
		}
	}
	return purchases
}

// hears waits until the declines of purchases are heard, and nothing else.
func (s *screen) hears(t *testing.T, purchases ...string) {
	t.Helper()
	eventually(t, "the subscriber hears of "+strings.Join(purchases, ", "), func() error {
		if heard := s.heard(); !slices.Equal(heard, purchases) {
			return fmt.Errorf("heard %q", heard)
		}
		return nil
	})
}

// hearsLast waits until the declines of purchases are heard, perhaps behind some that were heard just before the subscriber or cardlog was killed:
// JetStream does not sync what it notes of a consumer.
func (s *screen) hearsLast(t *testing.T, purchases ...string) {
	t.Helper()
	eventually(t, "the subscriber hears of "+strings.Join(purchases, ", "), func() error {
		if heard := s.heard(); len(heard) < len(purchases) || !slices.Equal(heard[len(heard)-len(purchases):], purchases) {
			return fmt.Errorf("heard %q", heard)
		}
		return nil
	})
}

// TestTheReadmesSubscriberSurvivesRestarts kills the subscriber, then cardlog, and has the subscriber hear every decline all the same.
func TestTheReadmesSubscriberSurvivesRestarts(t *testing.T) {
	t.Parallel()
	binary := subscriber(t)
	dir := t.TempDir()
	cardlog, e := startProcess(t, dir)
	b := connectBank(t, e.GRPC)
	b.open("alice", 100)
	decline := func(b *bank, purchase string) {
		b.wantAnswer("alice", purchase, 101, "DECLINED 51 INSUFFICIENT_CREDIT")
	}
	decline(b, "yacht")
	program, heard := subscribe(t, binary, e.NATS)
	heard.hears(t, "yacht")
	decline(b, "castle")
	heard.hears(t, "yacht", "castle")
	kill(program)
	decline(b, "moon")
	program, heard = subscribe(t, binary, e.NATS)
	heard.hearsLast(t, "moon")
	if slices.Contains(heard.heard(), "yacht") { // which was acknowledged before the castle came
		t.Errorf("heard again: %q", heard.heard())
	}
	kill(program)

	decline(b, "mars")
	kill(cardlog)
	_, e = startProcess(t, dir)
	b = connectBank(t, e.GRPC)
	_, heard = subscribe(t, binary, e.NATS)
	heard.hearsLast(t, "mars")
	decline(b, "venus")
	heard.hearsLast(t, "mars", "venus")
}
