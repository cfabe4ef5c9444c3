package replay

import (
	_ "embed" // The demo month is part of the binary, so that the demo needs no download.
	"io"
	"strings"
)

// demoMonth is a variable because go:embed needs one. Nothing writes to it.
//
//go:embed demo/month.csv.gz
var demoMonth string

// DemoMonth returns a purchase-card file with one month of real rows: the 4,604 of March 2015 on 699 cards, gzip-compressed.
// Where they come from and under which licence: demo/README.md.
func DemoMonth() io.Reader { return strings.NewReader(demoMonth) }
