package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats-server/v2/server"
)

// composed is compose.yaml as far as it matters here.
type composed struct {
	Services map[string]struct {
		Image       string
		Build       string
		Command     []string
		Ports       []string
		ReadOnly    bool `yaml:"read_only"`
		Healthcheck struct{ Test []string }
	}
}

func readCompose(t *testing.T) (file composed) {
	t.Helper()
	text, err := os.ReadFile("../../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	published := 0
	for name, service := range readCompose(t).Services {
		for _, port := range service.Ports {
			published++
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is published on %s", name, port)
			}
		}
		if strings.HasPrefix(name, "nats-") && len(service.Ports) > 0 {
			t.Errorf("%s is published, and asks nobody who they are", name)
		}
	}
	if published < 8 {
		t.Errorf("only %d ports are published", published)
	}
}

// TestComposeRunsCommandsThatThereAre holds the commands against those of this cardlog, and every service against serve's.
func TestComposeRunsCommandsThatThereAre(t *testing.T) {
	t.Parallel()
	var runs []string
	for name, service := range readCompose(t).Services {
		if service.Build == "" {
			continue
		}
		for _, line := range [][]string{service.Command, service.Healthcheck.Test} {
			if len(line) > 2 && line[1] == "/cardlog" {
				line = line[2:]
			}
			if len(line) == 0 {
				continue // the image's health check
			}
			command, flags, err := newCommand().Find(line)
			if err == nil {
				err = command.ParseFlags(flags)
			}
			if err != nil {
				t.Errorf("%s runs %v: %v", name, line, err)
				continue
			}
			if replicas := command.Flags().Lookup("replicas"); replicas != nil && replicas.Value.String() != "3" {
				t.Errorf("%s keeps its streams on %s servers", name, replicas.Value)
			}
			if line[0] == "serve" {
				runs = append(runs, line[1])
			}
		}
	}
	slices.Sort(runs)
	if want := []string{"accounts", "console", "feed", "payments", "transactions"}; !slices.Equal(runs, want) {
		t.Errorf("it runs %v, want %v", runs, want)
	}
}

// TestTheNATSOfComposeSyncsBeforeItAcks has NATS read its configuration.
func TestTheNATSOfComposeSyncsBeforeItAcks(t *testing.T) {
	t.Setenv("NATS_NAME", "nats-1")
	options, err := server.ProcessConfigFile(deployFolder + "nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways || !options.JetStream || len(options.Routes) != 3 || options.HTTPHost != "127.0.0.1" {
		t.Errorf("sync always %v, JetStream %v, %d routes, monitoring on %s", options.SyncAlways, options.JetStream, len(options.Routes), options.HTTPHost)
	}
}

func TestStatusAsksAConsoleForAPage(t *testing.T) {
	t.Parallel()
	_, v := startConsole(t)
	if printed, err := inShell(t, "status", "--server", v.base+"/accounts"); err != nil {
		t.Errorf("a console that shows its pages: %v: %s", err, printed)
	}
	if printed, err := inShell(t, "status", "--server", v.base+"/nothing"); err == nil {
		t.Errorf("a page that is not there is fine: %s", printed)
	}
}
