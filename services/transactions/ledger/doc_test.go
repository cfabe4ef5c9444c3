package ledger

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The tables of the package's documentation are run as they stand.
func TestTheDocumentationIsTrue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var checks, example []string
	check := ""
	for line := range strings.Lines(string(text)) {
		row, table := strings.CutPrefix(strings.TrimRight(line, "\n"), "//\t")
		switch {
		case !table || strings.HasPrefix(row, "check "):
		case strings.Contains(row, "|"):
			example = append(example, row)
		default:
			if name := strings.TrimSpace(row[:19]); name != "" {
				check = name
			}
			checks = append(checks, strings.Join(strings.Fields(check+" "+row[19:]), " "))
		}
	}
	var tested []string // by TestAuthorizeDeclines
	for _, d := range declines {
		tested = append(tested, strings.Join([]string{d.check, d.reason, d.code}, " "))
	}
	if !slices.Equal(checks, tested) {
		t.Errorf("the documented checks are\n%s\nthe tested ones\n%s", strings.Join(checks, "\n"), strings.Join(tested, "\n"))
	}
	if len(example) != 3 {
		t.Errorf("the example has %d lines, want 3", len(example))
	}
	newBook(t, BuiltInRules()).run(strings.Join(example, "\n"))
}
