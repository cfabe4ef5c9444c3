package console

import (
	_ "embed" // The list of merchant categories is part of the binary.
	"encoding/csv"
	"fmt"
	"strings"
)

// mccCodes are the merchant category codes with a description each: greggles/mcc-codes, in the public domain (Unlicense).
//
//go:embed mcc_codes.csv
var mccCodes string

// categories are the merchant category codes.
type categories struct {
	list  []category
	names map[string]string
}

// category is one of them.
type category struct{ Code, Name string }

// String is a category as the list shows it, and as a form sends it.
func (c category) String() string { return c.Code + " " + c.Name }

func readCategories() (*categories, error) {
	rows, err := csv.NewReader(strings.NewReader(mccCodes)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("merchant categories: %w", err)
	}
	all := &categories{names: map[string]string{}}
	for _, row := range rows[1:] {
		all.list = append(all.list, category{Code: row[0], Name: row[1]})
		all.names[row[0]] = row[1]
	}
	return all, nil
}

// name is a category's name, or its bare code where the list does not have it.
func (c *categories) name(code string) string {
	if name, known := c.names[code]; known {
		return name
	}
	return code
}

// codeOf takes the code out of what was chosen or typed: 5411, or 5411 Grocery Stores.
func codeOf(typed string) string {
	code, _, _ := strings.Cut(strings.TrimSpace(typed), " ")
	return code
}
