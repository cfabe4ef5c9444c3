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
	var checks []string
	var examples []string // each a script: what interrupts the tables begins the next
	check, inExample := "", false
	for line := range strings.Lines(string(text)) {
		row, table := strings.CutPrefix(strings.TrimRight(line, "\n"), "//\t")
		switch example := table && strings.Contains(row, "|"); {
		case example && inExample:
			examples[len(examples)-1] += row + "\n"
		case example:
			examples = append(examples, row+"\n")
		case table && !strings.HasPrefix(row, "check "):
			if name := strings.TrimSpace(row[:19]); name != "" {
				check = name
			}
			checks = append(checks, strings.Join(strings.Fields(check+" "+row[19:]), " "))
		}
		inExample = table
	}
	var tested []string // by TestAuthorizeDeclines
	for _, d := range declines {
		tested = append(tested, strings.Join([]string{d.check, d.reason, d.code}, " "))
	}
	if !slices.Equal(checks, tested) {
		t.Errorf("the documented checks are\n%s\nthe tested ones\n%s", strings.Join(checks, "\n"), strings.Join(tested, "\n"))
	}
	for _, life := range []string{"mcc 5812", "mcc 7011", "mcc 5542", "refund", "late"} {
		if !slices.ContainsFunc(examples, func(example string) bool { return strings.Contains(example, life) }) {
			t.Errorf("no example has %q", life)
		}
	}
	for _, example := range examples {
		newBook(t, BuiltInRules()).run(example).checkReplay()
	}
}
