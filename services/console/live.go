package console

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

const (
	// feedShown is how many events the feed shows at most.
	feedShown = 40
	// Within how many of the last events of the whole feed the first ones are looked for: of all events, of those of one kind, and of those of one account.
	feedWithin, feedWithinKind, feedWithinAccount = 200, 20_000, 10_000_000
	// feedEvery is how often the feed is shown anew at most.
	feedEvery = 400 * time.Millisecond
	// feedQueue is how many events wait to be shown.
	feedQueue = 1024
)

// liveView is the page of what happens now.
type liveView struct {
	On       bool // there is a feed
	Services []FeedService
	Filter   FeedFilter
	Feed     feedView
	Paces    []pace
	Health   *healthView
}

// Query is the filter as the query of an address.
func (v *liveView) Query() string {
	return "service=" + v.Filter.Service + "&event=" + v.Filter.Event + "&account=" + v.Filter.Account
}

// feedView are the newest events of the feed, the newest first.
type feedView struct {
	Rows     []feedRow
	Waiting  bool // for the first one
	Filtered bool
}

// feedRow is one event of the feed.
type feedRow struct {
	FeedEvent
	Title, Outcome, Tone, Amount, Available, About string
}

// showLive shows what happens now.
func (c *Console) showLive(w http.ResponseWriter, r *http.Request) error {
	v := &liveView{Filter: c.feedFilter(r), Paces: c.gauge.paces(), Health: c.healthOf(c.gauge.last())}
	v.Feed = feedView{Waiting: true, Filtered: v.Filter != FeedFilter{}}
	if c.options.Feed != nil {
		v.On, v.Services = true, c.options.Feed.Services
	}
	return c.show(w, r, "live", view{Title: "Live", Section: "live", Content: v})
}

// feedFilter reads the filter of the page. What nothing is called matches all.
func (c *Console) feedFilter(r *http.Request) FeedFilter {
	var filter FeedFilter
	if c.options.Feed == nil {
		return filter
	}
	for _, service := range c.options.Feed.Services {
		if service.Name == r.FormValue("service") {
			filter.Service = service.Name
		}
	}
	for _, service := range c.options.Feed.Services {
		if (filter.Service == "" || filter.Service == service.Name) && slices.Contains(service.Events, r.FormValue("event")) {
			filter.Event = r.FormValue("event")
		}
	}
	if account := r.FormValue("account"); idPattern.MatchString(account) {
		filter.Account = account
	}
	return filter
}

// showGauge answers with what the charts are drawn from.
func (c *Console) showGauge(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, c.gauge.series())
}

// streamLive keeps the page up to date.
func (c *Console) streamLive(ctx context.Context, r *http.Request, s *stream) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	filter := c.feedFilter(r)
	feed := feedView{Waiting: true, Filtered: filter != FeedFilter{}}
	heard, broken := make(chan FeedEvent, feedQueue), make(chan error, 1)
	if c.options.Feed != nil {
		filter.Last = within(filter)
		go func() { broken <- c.options.Feed.Follow(ctx, filter, hand(ctx, heard)) }()
	}
	if err := c.showPaces(s); err != nil {
		return err
	}
	paces, rows := time.NewTicker(gaugeEvery), time.NewTicker(feedEvery)
	defer paces.Stop()
	defer rows.Stop()
	changed := false
	for {
		var err error
		select {
		case event := <-heard:
			feed.add(event)
			changed = true
		case <-rows.C:
			if changed {
				err, changed = s.show(map[string]any{"feed": feed}), false
			}
		case <-paces.C:
			err = c.showPaces(s)
		case ended := <-broken:
			c.options.Logger.WarnContext(ctx, "feed ended", slog.String("error", fmt.Sprint(ended)))
			err = &pageError{code: http.StatusServiceUnavailable, title: "The feed cannot be read just now"}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// showPaces shows how it goes, and has the charts drawn anew.
func (c *Console) showPaces(s *stream) error {
	if err := s.show(map[string]any{"paces": c.gauge.paces(), "followers": c.healthOf(c.gauge.last())}); err != nil {
		return err
	}
	return s.event("moved", "")
}

// within is how far back to look for the first events.
func within(filter FeedFilter) uint64 {
	switch {
	case filter.Account != "":
		return feedWithinAccount
	case filter.Service != "" || filter.Event != "":
		return feedWithinKind
	default:
		return feedWithin
	}
}

// hand hands events on. A page that cannot follow holds its own stream up and nobody else's.
func hand(ctx context.Context, to chan<- FeedEvent) func(FeedEvent) error {
	return func(event FeedEvent) error {
		select {
		case to <- event:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add puts an event on top.
func (v *feedView) add(event FeedEvent) {
	v.Waiting = false
	v.Rows = slices.Insert(v.Rows, 0, newFeedRow(event))
	if len(v.Rows) > feedShown {
		v.Rows = slices.Clip(v.Rows[:feedShown])
	}
}

// feedBody is what a row shows of an event's body. What an event does not have stays empty.
type feedBody struct {
	TransactionID   string        `json:"transaction_id"`
	PaymentID       string        `json:"payment_id"`
	Outcome         string        `json:"outcome"`
	Status          string        `json:"status"`
	State           string        `json:"state"`
	DeclineReason   string        `json:"decline_reason"`
	RejectionReason string        `json:"rejection_reason"`
	ReturnCode      string        `json:"return_code"`
	Amount          *typev1.Money `json:"amount"`
	ReleasedAmount  *typev1.Money `json:"released_amount"`
	CreditLimit     *typev1.Money `json:"credit_limit"`
	Merchant        struct {
		Name string `json:"name"`
	} `json:"merchant"`
	Card struct {
		CardID string `json:"card_id"`
		State  string `json:"state"`
	} `json:"card"`
	Balances struct {
		Available *typev1.Money `json:"available"`
	} `json:"balances"`
}

// newFeedRow makes a row of an event. One whose body this version cannot read is shown without it.
func newFeedRow(event FeedEvent) feedRow {
	row := feedRow{FeedEvent: event, Title: factWords(event.Event)}
	var body feedBody
	if err := json.Unmarshal(event.Data, &body); err != nil {
		return row
	}
	row.Outcome, row.Tone = outcomeWords(&body)
	for _, amount := range []*typev1.Money{body.Amount, body.ReleasedAmount, body.CreditLimit} {
		if row.Amount == "" && amount.GetCurrencyCode() != "" {
			row.Amount = formatMoney(amount)
		}
	}
	if body.Balances.Available.GetCurrencyCode() != "" {
		row.Available = formatMoney(body.Balances.Available)
	}
	for _, about := range []string{body.Merchant.Name, body.Card.CardID, body.PaymentID, body.TransactionID} {
		if row.About == "" {
			row.About = about
		}
	}
	return row
}

// outcomeWords says how an event ended, and in which tone.
func outcomeWords(body *feedBody) (words, tone string) {
	switch {
	case body.DeclineReason != "":
		return sentenceCase(body.DeclineReason), "bad"
	case body.RejectionReason != "":
		return sentenceCase(body.RejectionReason), "bad"
	case body.ReturnCode != "":
		return body.ReturnCode, "bad"
	case body.Outcome == "APPROVED" || body.Outcome == "RECORDED":
		return "", "" // the event's name says so
	case body.Outcome != "":
		return sentenceCase(body.Outcome), "wait"
	}
	for _, state := range []string{body.Status, body.State, body.Card.State} {
		if state != "" {
			return sentenceCase(state), ""
		}
	}
	return "", ""
}

// sentenceCase writes a name such as INSUFFICIENT_CREDIT.
func sentenceCase(name string) string {
	words := stateWords(name)
	return string(words[0]-'a'+'A') + words[1:]
}

// Rate is the pace as people read it.
func (p pace) Rate() string {
	switch {
	case !p.Known:
		return "–"
	case p.PerSecond >= 100:
		return count(int64(p.PerSecond + 0.5))
	default:
		return fmt.Sprintf("%.1f", p.PerSecond)
	}
}

// Half is how fast half of all were answered.
func (p pace) Half() string { return latencyWords(p.Median) }

// Most is how fast 99 of 100 were answered.
func (p pace) Most() string { return latencyWords(p.Worst) }

func latencyWords(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}
