package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is printed with its columns aligned: numbers to the right, the rest to the left.
type table struct{ rows [][]string }

// newTable makes a table with a line of headings. A heading that begins with a blank is of a column of numbers.
func newTable(headings ...string) *table { return &table{rows: [][]string{headings}} }

// row adds a line.
func (t *table) row(cells ...any) {
	line := make([]string, len(cells))
	for i, cell := range cells {
		line[i] = fmt.Sprint(cell)
	}
	t.rows = append(t.rows, line)
}

// write prints the table, with two blanks between columns.
func (t *table) write(out io.Writer) error {
	headings := t.rows[0]
	right := make([]bool, len(headings))
	width := make([]int, len(headings))
	for i, heading := range headings {
		right[i] = strings.HasPrefix(heading, " ")
		headings[i] = strings.TrimSpace(heading)
	}
	for _, line := range t.rows {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, line := range t.rows {
		row := ""
		for i, cell := range line {
			fill := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				row += fill + cell + "  "
			} else {
				row += cell + fill + "  "
			}
		}
		text.WriteString(strings.TrimRight(row, " ") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}
