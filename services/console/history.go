package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	eventsv1 "github.com/cardlog/cardlog/gen/cardlog/events/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

const (
	// historiesBound is how many accounts' histories are kept at hand.
	historiesBound = 32
	// momentsBound is how many events of one account are: the newest.
	momentsBound = 200_000
	// seriesPoints is how many points a chart gets at most.
	seriesPoints = 600
)

// histories keep what the chart and the slider need to know of an account's log, so that going through it again reads only what is new.
type histories struct {
	transactions transactionsv1.TransactionsServiceClient

	mu    sync.Mutex
	known map[string]*history
	used  []string // the account asked for last comes last
}

// history is an account's log in short.
type history struct {
	mu       sync.Mutex
	currency string
	moments  []moment
	before   int           // how many events come before the first one here
	cards    []cardsMoment // those that changed cards
}

// moment is one event in short: the balances after it, in minor units.
type moment struct {
	sequence                         uint64
	at                               int64 // milliseconds since 1970
	limit, posted, pending, withheld int64
	fact                             string
}

func (m moment) available() int64 { return m.limit - m.posted - m.pending - m.withheld }

// cardsMoment is an event that changed cards.
type cardsMoment struct {
	sequence uint64
	cards    []*eventsv1.LedgerCard
}

// glimpse is a history at one time. It does not change any more.
type glimpse struct {
	currency string
	moments  []moment
	before   int
	cards    []cardsMoment
}

// of returns an account's history up to now.
func (h *histories) of(ctx context.Context, accountID string) (glimpse, error) {
	one := h.entry(accountID)
	one.mu.Lock()
	defer one.mu.Unlock()
	stream, err := h.transactions.ListEvents(ctx, &transactionsv1.ListEventsRequest{
		Account: &transactionsv1.ListEventsRequest_AccountId{AccountId: accountID}, AfterSequence: one.last()})
	if err != nil {
		return glimpse{}, err
	}
	for {
		stored, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return glimpse{currency: one.currency, moments: one.moments[:len(one.moments):len(one.moments)], before: one.before, cards: one.cards[:len(one.cards):len(one.cards)]}, nil
		}
		if err != nil {
			return glimpse{}, err // what was read is kept: the next try goes on from there
		}
		one.add(stored)
	}
}

// entry returns an account's history as far as it is known, and forgets the one that was not asked for the longest.
func (h *histories) entry(accountID string) *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.used, accountID); i >= 0 {
		h.used = slices.Delete(h.used, i, i+1)
	}
	h.used = append(h.used, accountID)
	if h.known == nil {
		h.known = map[string]*history{}
	}
	if len(h.used) > historiesBound {
		delete(h.known, h.used[0])
		h.used = slices.Delete(h.used, 0, 1)
	}
	if h.known[accountID] == nil {
		h.known[accountID] = &history{}
	}
	return h.known[accountID]
}

func (h *history) last() uint64 {
	if len(h.moments) == 0 {
		return 0
	}
	return h.moments[len(h.moments)-1].sequence
}

func (h *history) add(stored *transactionsv1.ListEventsResponse) {
	event := stored.GetEvent()
	after := event.GetBalances()
	h.currency = after.GetCurrencyCode()
	if len(h.moments) == momentsBound {
		const half = momentsBound / 2
		h.moments, h.before = slices.Clone(h.moments[half:]), h.before+half // a clone, because glimpses have the other
	}
	h.moments = append(h.moments, moment{sequence: stored.GetSequence(), at: event.GetEnvelope().GetDecidedAt().AsTime().UnixMilli(),
		limit: after.GetCreditLimit(), posted: after.GetPosted(), pending: after.GetPending(), withheld: after.GetWithheld(), fact: factName(event)})
	if changed := event.GetCardChanged(); changed != nil {
		h.cards = append(h.cards, cardsMoment{sequence: stored.GetSequence(), cards: changed.GetCards()})
	}
}

// find returns the index of the last event at or before a sequence; the first one where there is none.
func (g glimpse) find(sequence uint64) int {
	after := sort.Search(len(g.moments), func(i int) bool { return g.moments[i].sequence > sequence })
	return max(after-1, 0)
}

// cardBefore is a card as it was before a sequence; nil where there was none.
func (g glimpse) cardBefore(cardID string, sequence uint64) (card *eventsv1.LedgerCard) {
	for _, changed := range g.cards {
		if changed.sequence >= sequence {
			break
		}
		for _, one := range changed.cards {
			if one.GetCardId() == cardID {
				card = one
			}
		}
	}
	return card
}

// series is what a chart of balances is drawn from. Amounts are in minor units.
type series struct {
	Currency  string   `json:"currency"`
	Symbol    string   `json:"symbol"`
	Exponent  int      `json:"exponent"`
	Events    int      `json:"events"` // of which these are a choice, where they are more
	Last      uint64   `json:"last"`
	Sequence  []uint64 `json:"sequence"`
	Position  []int    `json:"position"` // in the account's log, from 1
	At        []int64  `json:"at"`
	Limit     []int64  `json:"limit"`
	Posted    []int64  `json:"posted"`
	Pending   []int64  `json:"pending"`
	Withheld  []int64  `json:"withheld"`
	Available []int64  `json:"available"`
}

// showSeries answers with the balances over time, after a sequence where one is given.
func (c *Console) showSeries(w http.ResponseWriter, r *http.Request) error {
	g, err := c.histories.of(r.Context(), r.PathValue("account"))
	if err != nil {
		return err
	}
	from := 0
	if after, err := strconv.ParseUint(r.FormValue("after"), 10, 64); err == nil {
		from = sort.Search(len(g.moments), func(i int) bool { return g.moments[i].sequence > after })
	}
	return writeJSON(w, g.series(from))
}

// series takes at most seriesPoints of the moments from an index on, evenly, with the first and the last.
func (g glimpse) series(from int) *series {
	moments := g.moments[from:]
	s := &series{Currency: g.currency, Symbol: symbol(g.currency), Exponent: exponent(g.currency), Events: len(moments)}
	points := min(len(moments), seriesPoints)
	for i := range points {
		at := i
		if len(moments) > seriesPoints {
			at = i * (len(moments) - 1) / (points - 1)
		}
		m := moments[at]
		s.Last = m.sequence
		s.Sequence, s.At = append(s.Sequence, m.sequence), append(s.At, m.at)
		s.Position = append(s.Position, from+at+1)
		s.Limit, s.Posted, s.Pending = append(s.Limit, m.limit), append(s.Posted, m.posted), append(s.Pending, m.pending)
		s.Withheld, s.Available = append(s.Withheld, m.withheld), append(s.Available, m.available())
	}
	return s
}

func writeJSON(w http.ResponseWriter, answer any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
	return nil
}

// time is when it was decided.
func (m moment) time() time.Time { return time.UnixMilli(m.at) }
