package payment

import (
	"os"
	"regexp"
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
	var rules, codes, example []string
	gap := regexp.MustCompile(`  +`)
	table := ""
	for line := range strings.Lines(string(text)) {
		row, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "//\t")
		cells := gap.Split(row, -1)
		switch {
		case !ok:
			table = ""
		case strings.Contains(row, "|"):
			example = append(example, row)
		case table == "":
			table = cells[0]
		case table == "rule":
			rules = append(rules, cells[0]+" | "+cells[2])
		case table == "code":
			codes = append(codes, cells[0]+" | "+cells[1])
		}
	}
	var tested []string // by TestEveryRuleFires
	for _, f := range firings {
		tested = append(tested, f.rule+" | "+f.answer)
	}
	if !slices.Equal(rules, tested) {
		t.Errorf("the documented rules are\n%s\nthe tested ones\n%s", strings.Join(rules, "\n"), strings.Join(tested, "\n"))
	}
	if got := windowTable(); !slices.Equal(codes, got) {
		t.Errorf("the documented codes are\n%s\nthe ones there are\n%s", strings.Join(codes, "\n"), strings.Join(got, "\n"))
	}
	if len(example) != 7 {
		t.Errorf("the example has %d lines, want 7", len(example))
	}
	newBook(t).run(strings.Join(example, "\n")).checkReplay()
}

// windowTable writes the return codes as the documentation does.
func windowTable() []string {
	var rows []string
	for w, last := range []string{"the second banking day after settlement", "the 60th day after settlement", "none: the banks agreed on it"} {
		var names []string
		for _, code := range returnCodes {
			if code.window == window(w) {
				names = append(names, code.code)
			}
		}
		rows = append(rows, strings.Join(names, " ")+" | "+last)
	}
	return rows
}
