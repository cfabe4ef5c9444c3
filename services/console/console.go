// Package console is the web console: pages for people over the gRPC services. It is a gRPC client like any other, keeps nothing, and whatever it
// changes it changes by a call that anybody could make; each form shows that call as a grpcurl line.
//
// The console has no accounts of its own and asks nobody who they are: whoever reaches it may do everything that it shows. It is made for the loopback
// address, or for a place behind something that lets only the right people through. Against other web sites it defends itself: see guard.
package console

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	accountsv1 "github.com/cardlog/cardlog/gen/cardlog/accounts/v1"
	paymentsv1 "github.com/cardlog/cardlog/gen/cardlog/payments/v1"
	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

// Options are what can be said of a console. The zero value works.
type Options struct {
	// Feed is the public feed, for the page Live; without it that page says how to turn it on.
	Feed *Feed
	// Hosts are names under which browsers may ask for the console, beside localhost and bare IP addresses.
	Hosts []string
	// Logger is told of pages that could not be made.
	Logger *slog.Logger
	// Traces gets a span of each page. Optional.
	Traces trace.TracerProvider
	// Clock is time.Now where it is nil.
	Clock func() time.Time
}

// Feed is the public feed of events.
type Feed struct {
	// Services are the services whose events it has, with the names of these.
	Services []FeedService
	// Follow calls each with the events that match, in order, beginning within the last ones of the feed, and goes on as more come, until ctx ends or each fails.
	Follow func(ctx context.Context, filter FeedFilter, each func(FeedEvent) error) error
}

// FeedService is a service with the names of its events.
type FeedService struct {
	Name   string
	Events []string
}

// FeedFilter says which events are wanted. What is empty matches all.
type FeedFilter struct {
	Service, Event, Account string
	// Last is within how many of the feed's last events to begin; with 0, at what comes next.
	Last uint64
}

// FeedEvent is an event of the feed.
type FeedEvent struct {
	Sequence                uint64
	Service, Event, Account string
	// Time is when it was decided.
	Time time.Time
	// Data is the event as JSON.
	Data []byte
}

// Console makes the pages.
type Console struct {
	options      Options
	router       *router
	accounts     accountsv1.AccountsServiceClient
	payments     paymentsv1.PaymentsServiceClient
	transactions transactionsv1.TransactionsServiceClient
	pages        map[string]*template.Template
	assets       *assets
	categories   *categories
	histories    *histories
	gauge        *gauge
	streams      chan struct{} // a token for each page that is kept up to date
}

// streamsBound is how many pages are kept up to date at the same time.
const streamsBound = 256

// New makes a console over the servers of a cardlog: one, or several where its services run apart.
func New(servers []Server, options Options) (*Console, error) {
	if len(servers) == 0 {
		return nil, errors.New("the console needs a server to ask")
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	c := &Console{options: options, router: &router{servers: servers}, streams: make(chan struct{}, streamsBound)}
	c.accounts = accountsv1.NewAccountsServiceClient(c.router)
	c.payments = paymentsv1.NewPaymentsServiceClient(c.router)
	c.transactions = transactionsv1.NewTransactionsServiceClient(c.router)
	c.histories = &histories{transactions: c.transactions}
	c.gauge = newGauge(c.router, options.Clock)
	var err error
	if c.categories, err = readCategories(); err != nil {
		return nil, err
	}
	if c.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if c.pages, err = c.readPages(); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return c, nil
}

// Run watches how much is decided, and how fast, until ctx ends: Live shows the last minutes.
func (c *Console) Run(ctx context.Context) { c.gauge.run(ctx) }

// Bounds of the web server. A page that is kept up to date extends its own time to write.
const (
	readBound   = 10 * time.Second
	writeBound  = 30 * time.Second
	idleBound   = 2 * time.Minute
	headerBound = 16 << 10
	bodyBound   = 64 << 10
)

// Server returns a web server of the console, with its bounds set.
func (c *Console) Server() *http.Server {
	return &http.Server{
		Handler: c.Handler(), ReadHeaderTimeout: readBound, ReadTimeout: readBound, WriteTimeout: writeBound, IdleTimeout: idleBound, MaxHeaderBytes: headerBound,
		ErrorLog: slog.NewLogLogger(c.options.Logger.Handler(), slog.LevelDebug),
	}
}

// Handler returns all pages, behind the guard.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler("/accounts", http.StatusFound))
	mux.HandleFunc("GET /assets/{version}/{file}", c.assets.serve)
	for pattern, show := range map[string]page{
		"GET /accounts":                                      c.showAccounts,
		"GET /accounts/new":                                  c.showOpen,
		"POST /accounts/new":                                 c.open,
		"POST /accounts/new/call":                            c.showOpenCall,
		"GET /accounts/{account}":                            c.showAccount,
		"GET /accounts/{account}/series":                     c.showSeries,
		"GET /accounts/{account}/transactions/{transaction}": c.showTransaction,
		"GET /accounts/{account}/payments/{payment}":         c.showPayment,
		"GET /accounts/{account}/time":                       c.showTime,
		"GET /try":                                           c.showTry,
		"POST /try":                                          c.openToTry,
		"GET /accounts/{account}/try/{action}":               c.showAction,
		"POST /accounts/{account}/try/{action}":              c.act,
		"POST /accounts/{account}/call/{action}":             c.showCall,
		"GET /live":                                          c.showLive,
		"GET /live/series":                                   c.showGauge,
		"GET /health":                                        c.showHealth,
		"/":                                                  c.showNothing,
	} {
		mux.Handle(pattern, c.traced(pattern, c.bounded(show)))
	}
	mux.HandleFunc("GET /accounts/{account}/stream", c.streamed(c.streamAccount))
	mux.HandleFunc("GET /live/stream", c.streamed(c.streamLive))
	mux.HandleFunc("GET /health/stream", c.streamed(c.streamHealth))
	return c.guard(mux)
}

// page answers a request. What it has not written when it returns an error is the error's page.
type page func(w http.ResponseWriter, r *http.Request) error

// pageBound is how long a page's calls may take.
const pageBound = 8 * time.Second

// bounded makes a page a handler.
func (c *Console) bounded(show page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageBound)
		defer cancel()
		if err := show(w, r.WithContext(ctx)); err != nil {
			c.showFailure(w, r, err)
		}
	}
}

// showNothing is the page that is not there.
func (c *Console) showNothing(http.ResponseWriter, *http.Request) error {
	return &pageError{code: http.StatusNotFound, title: "There is no such page", sentence: "Nothing is at this address. It may have been typed wrong, or the page is called something else now."}
}
