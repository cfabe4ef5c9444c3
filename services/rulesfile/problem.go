package rulesfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a rules file.
type Problem struct {
	// Line and Column are where it is, both from 1.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is what it is about, such as profiles.default.hold_expiry[2].days, the first row being 1; empty for all of the file.
	Path string `json:"path,omitempty"`
	// Message says what is wrong and what to write instead.
	Message string `json:"message"`
}

// String is the mistake with its place, as line:column: path: message.
func (p Problem) String() string {
	where := fmt.Sprintf("%d:%d: ", p.Line, p.Column)
	if p.Path != "" {
		where += p.Path + ": "
	}
	return where + p.Message
}

// problemsBound is how many mistakes of a file are told.
const problemsBound = 100

// Error is all mistakes of a rules file.
type Error struct {
	// File is its name; empty where the text came without one.
	File string
	// Problems in the order of the file, at least one.
	Problems []Problem
	// More is how many others there are.
	More int
}

// Lines returns a line for each mistake, which begins with file:line:column.
func (e *Error) Lines() []string {
	lines := make([]string, len(e.Problems), len(e.Problems)+1)
	for i, problem := range e.Problems {
		lines[i] = problem.String()
		if e.File != "" {
			lines[i] = e.File + ":" + lines[i]
		}
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return lines
}

// Error is the lines.
func (e *Error) Error() string { return strings.Join(e.Lines(), "\n") }

// newError makes an error of mistakes; nil when there are none.
func newError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	told := min(len(problems), problemsBound)
	return &Error{Problems: problems[:told], More: len(problems) - told}
}
