package console

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	adminv1 "github.com/cardlog/cardlog/gen/cardlog/admin/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

func TestTheLineCanBePastedIntoAShell(t *testing.T) {
	t.Parallel()
	request := &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: "card-1"}, TransactionId: "t-1",
		Amount: &typev1.Money{CurrencyCode: "GBP", MinorUnits: 1250}, Merchant: &typev1.Merchant{Name: "O'Hara $(reboot)"}}
	got := grpcurl("127.0.0.1:7070", transactionsv1.TransactionsService_Authorize_FullMethodName, request)
	want := `grpcurl -plaintext -d '{"card_id":"card-1","transaction_id":"t-1","amount":{"currency_code":"GBP","minor_units":"1250"},"merchant":{"name":"O'\''Hara $(reboot)"}}'` +
		` 127.0.0.1:7070 cardlog.transactions.v1.TransactionsService/Authorize`
	if got != want {
		t.Errorf("the line is\n%s\nwant\n%s", got, want)
	}
}

// TestTheBarDividesTheLimit holds the parts of the bar against its whole, for accounts of every kind.
func TestTheBarDividesTheLimit(t *testing.T) {
	t.Parallel()
	money := func(minor int64) *typev1.Money { return &typev1.Money{CurrencyCode: "GBP", MinorUnits: minor} }
	for name, row := range map[string]struct {
		limit, posted, pending, withheld int64
		widths                           [4]float64
		mark                             float64
	}{
		"nothing owed":      {limit: 1000, widths: [4]float64{0, 0, 0, 1000}},
		"a bit of each":     {limit: 1000, posted: 500, pending: 200, withheld: 100, widths: [4]float64{500, 200, 100, 200}},
		"over the limit":    {limit: 1000, posted: 1500, pending: 500, widths: [4]float64{750, 250, 0, 0}, mark: 500},
		"paid too much":     {limit: 1000, posted: -1000, widths: [4]float64{0, 0, 0, 1000}, mark: 500},
		"no limit, no debt": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newBalancesView("alice", 1, &transactionsv1.Balances{CreditLimit: money(row.limit), Posted: money(row.posted), Pending: money(row.pending),
				Withheld: money(row.withheld), Available: money(row.limit - row.posted - row.pending - row.withheld)})
			at := 0.0
			for i, part := range v.Parts {
				if math.Abs(part.Width-row.widths[i]) > 0.01 || math.Abs(part.X-at) > 0.01 && part.Width > 0 {
					t.Errorf("%s is %.1f wide at %.1f, want %.1f at %.1f", part.Name, part.Width, part.X, row.widths[i], at)
				}
				at += part.Width
			}
			if math.Abs(v.Limit-row.mark) > 0.01 {
				t.Errorf("the limit is marked at %.1f, want %.1f", v.Limit, row.mark)
			}
			if over := row.posted + row.pending + row.withheld - row.limit; over > 0 != (v.Over() != nil) {
				t.Errorf("over the limit by %v", v.Over())
			}
		})
	}
}

// TestAChartIsBounded takes points from histories of several lengths: never too many, always with the first and the last.
func TestAChartIsBounded(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, 2, seriesPoints - 1, seriesPoints, seriesPoints + 1, 50_000} {
		g := glimpse{currency: "GBP"}
		for i := range length {
			g.moments = append(g.moments, moment{sequence: uint64(10 * (i + 1))})
		}
		s := g.series(0)
		if len(s.Sequence) > seriesPoints || len(s.Sequence) != len(s.Available) || s.Events != length {
			t.Errorf("%d events give %d points", length, len(s.Sequence))
		}
		if length > 0 && (s.Sequence[0] != 10 || s.Last != uint64(10*length) || s.Position[len(s.Position)-1] != length) {
			t.Errorf("%d events give points from %d to %d", length, s.Sequence[0], s.Last)
		}
	}
	g := glimpse{moments: []moment{{sequence: 3}, {sequence: 8}, {sequence: 9}}}
	for sequence, want := range map[uint64]int{1: 0, 3: 0, 7: 0, 8: 1, 9: 2, 100: 2} {
		if got := g.find(sequence); got != want {
			t.Errorf("as of %d the event is number %d, want %d", sequence, got, want)
		}
	}
}

// TestThePaceIsOfTheTimeBetween counts decisions in three samples.
func TestThePaceIsOfTheTimeBetween(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	buckets := func(fast, slow uint64) []*adminv1.LatencyBucket {
		return []*adminv1.LatencyBucket{{UpTo: durationpb.New(time.Millisecond), Decided: fast}, {UpTo: durationpb.New(time.Second), Decided: slow}}
	}
	samples := []sample{
		{at: began, decided: 1000, latency: buckets(0, 1000)},
		{at: began.Add(30 * time.Second), decided: 1300, latency: buckets(300, 1000)},
		{at: began.Add(32 * time.Second), decided: 1400, latency: buckets(398, 1002)},
	}
	for _, row := range []struct {
		over time.Duration
		want pace
	}{
		{2 * time.Second, pace{PerSecond: 50, Decided: 100, Median: time.Millisecond, Worst: time.Second}},
		{time.Minute, pace{PerSecond: 12.5, Decided: 400, Median: time.Millisecond, Worst: time.Millisecond}},
	} {
		got := paceOver("", samples, row.over)
		row.want.Known = true
		if got != row.want {
			t.Errorf("over %v the pace is %+v, want %+v", row.over, got, row.want)
		}
	}
	if got := paceOver("", samples[:1], time.Minute); got.Known {
		t.Errorf("one sample gives the pace %+v", got)
	}
}

func TestHostsThatMayAsk(t *testing.T) {
	t.Parallel()
	c := &Console{options: Options{Hosts: []string{"console.example"}}}
	for host, want := range map[string]bool{
		"localhost": true, "localhost:9000": true, "LOCALHOST:1": true, "127.0.0.1:9000": true, "[::1]:9000": true, "10.1.2.3": true, "console.example:80": true,
		"evil.example": false, "evil.example:9000": false, "localhost.evil.example": false, "": false, "127.0.0.1.evil.example:9000": false,
	} {
		if got := c.hostAllowed(host); got != want {
			t.Errorf("asked by the host %q it answers: %v, want %v", host, got, want)
		}
	}
}

// TestRulesAreSaidInSentences goes through what the contracts' rules say.
func TestRulesAreSaidInSentences(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"must be above zero": "It must be above zero.", "the account is kept in GBP": "The account is kept in GBP.",
		"does not match regex pattern `^[A-Z]{2}$`":            "Use the two capital letters of a country, such as GB.",
		"does not match regex pattern `^[A-Za-z0-9_-]{1,64}$`": "Use 1 to 64 letters, digits, hyphens or underscores.",
		"does not match regex pattern `^[0-9]{4}$`":            "Choose a category from the list, or type its four digits.",
		"must be at least 1 characters":                        "Please fill this in.",
	} {
		if got := fieldSentence(said); got != want {
			t.Errorf("%q is said as %q, want %q", said, got, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error("the policy of pages allows what is unsafe")
	}
}
