package feed

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the samples into the README")

// samplesMark is where the samples begin in the README.
const samplesMark = "<!-- samples -->\n"

func TestTheReadmeShowsWhatTheFeedDoes(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text, shown, found := strings.Cut(string(readme), samplesMark)
	if !found {
		t.Fatalf("the README does not have %q", samplesMark)
	}
	tables := sampleTables(t)
	if *update {
		if err := os.WriteFile("README.md", []byte(text+samplesMark+tables), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if shown == tables {
		return
	}
	is, should := strings.Split(shown, "\n"), strings.Split(tables, "\n")
	for i := range min(len(is), len(should)) {
		if is[i] != should[i] {
			t.Fatalf("the README shows\n%s\nand should show\n%s\nrun go test ./services/feed -update", is[i], should[i])
		}
	}
	t.Fatal("the README does not show all events, or more than there are: run go test ./services/feed -update")
}

// sampleTables has a table for each service, and a row for each sample.
func sampleTables(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, service := range Services() {
		fmt.Fprintf(&text, "\n### %s\n\n| subject | body |\n|---|---|\n", service)
		for _, event := range EventNames(service) {
			for _, s := range samples() {
				if s.event == service+"."+event {
					note := ""
					if s.note != "" {
						note = s.note + " "
					}
					fmt.Fprintf(&text, "| `events.%s.`&lt;account_id&gt; | %s`%s` |\n", s.event, note, spaced(t, s.public(t).Data))
				}
			}
		}
	}
	return text.String()
}

// spaced is compact JSON with a space after each comma and colon, so that it can be broken into lines.
func spaced(t *testing.T, compact []byte) string {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(",\n", ", ", "\n", "", "\t", "").Replace(indented.String())
}
