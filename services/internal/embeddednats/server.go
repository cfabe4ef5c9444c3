// Package embeddednats runs a NATS server with JetStream inside this process.
//
// The server has three accounts. CARDLOG owns the streams of facts, FEED owns EVENTS, and only this process can log in to either, over an in-process pipe. READERS
// is where everybody who connects from outside lands: it sees the streams through exported read requests, may have consumers on EVENTS, and may publish nothing
// else. Accounts of their own, and not one account with permissions, because a client that may ask for a message may name any subject for the answer: within one
// account, naming ledger.<shard>.<account> as the reply would store the answer as an event (tried with nats-server 2.15.2). An answer that crosses accounts cannot
// land on a stream's subject. FEED is apart from CARDLOG, because a consumer may name any subject to deliver to.
package embeddednats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// readyTimeout bounds the start: a store that was not closed is scanned first.
const readyTimeout = 10 * time.Minute

// ErrAddressTaken means that another program listens on the address.
var ErrAddressTaken = errors.New("the address is taken")

// Options say how the server runs.
type Options struct {
	// StoreDir is where JetStream keeps its streams.
	StoreDir string
	// Listen is the address for outside readers, host:port; none where empty.
	Listen string
	// Streams are the names of the streams of facts that readers may read.
	Streams []string
	// Feed is the name of the stream that readers may have consumers on; empty where there is none.
	Feed string
	// SyncInterval is how often JetStream syncs by itself; it syncs every message before its ack where 0.
	SyncInterval time.Duration
	// Logger gets the server's own log.
	Logger *slog.Logger
}

// Server is a running server.
type Server struct {
	server *server.Server
	keys   keys
	logger *slog.Logger

	mu          sync.Mutex
	connections []*nats.Conn
}

// keys are made anew at each start and known to this process only.
type keys struct {
	writer nkeys.KeyPair // of CARDLOG
	feed   nkeys.KeyPair // of FEED
	reader nkeys.KeyPair // of READERS: nobody logs in with it, it stands for who does not log in
}

func newKeys() (k keys, err error) {
	for _, key := range []*nkeys.KeyPair{&k.writer, &k.feed, &k.reader} {
		if *key, err = nkeys.CreateUser(); err != nil {
			return k, fmt.Errorf("make a key of the embedded NATS: %w", err)
		}
	}
	return k, nil
}

// Start runs a server until Stop. It returns ErrAddressTaken when it cannot listen.
func Start(options Options) (*Server, error) {
	if options.Listen != "" {
		if err := probe(options.Listen); err != nil {
			return nil, err
		}
	}
	keys, err := newKeys()
	if err != nil {
		return nil, err
	}
	settings, err := configure(options, keys)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(settings)
	if err != nil {
		return nil, fmt.Errorf("configure the embedded NATS: %w", err)
	}
	s.SetLoggerV2(serverLog{options.Logger}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) {
		s.Shutdown()
		return nil, errors.New("the embedded NATS did not start")
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, fmt.Errorf("JetStream could not open its store in %s: its log says why", options.StoreDir)
	}
	return &Server{server: s, keys: keys, logger: options.Logger}, nil
}

// OpenLog opens the event log on this server. Its connections are closed by Stop.
func (s *Server) OpenLog(options eventlog.Options) (*eventlog.Log, error) {
	return s.openLog(s.keys.writer, "log", options)
}

// OpenFeed opens the log that holds nothing but the public feed. Its connections are closed by Stop.
func (s *Server) OpenFeed(options eventlog.Options) (*eventlog.Log, error) {
	return s.openLog(s.keys.feed, "feed", options)
}

func (s *Server) openLog(key nkeys.KeyPair, name string, options eventlog.Options) (*eventlog.Log, error) {
	reads, err := s.connect(key, name+" reads")
	if err != nil {
		return nil, err
	}
	if options.Exclusive {
		return eventlog.OpenExclusive(func() (net.Conn, error) { return s.dial(key, name+" appends") }, reads, options)
	}
	appends, err := s.connect(key, name+" appends")
	if err != nil {
		return nil, err
	}
	return eventlog.Open(appends, reads, options)
}

// connect opens an in-process connection that may do anything within an account.
func (s *Server) connect(key nkeys.KeyPair, name string) (*nats.Conn, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	connection, err := nats.Connect("", nats.InProcessServer(s.server), nats.Name(name), nats.Nkey(public, key.Sign), nats.SyncQueueLen(eventlog.AnswersBound),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.logger.LogAttrs(context.Background(), slog.LevelWarn, "nats", slog.String("connection", name), slog.Any("error", err))
		}))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections = append(s.connections, connection)
	return connection, nil
}

// Address returns where outside readers connect; empty where they cannot.
func (s *Server) Address() string {
	if address, ok := s.server.Addr().(*net.TCPAddr); ok && address != nil {
		return address.String()
	}
	return ""
}

// Stop closes the connections and ends the server in good order.
func (s *Server) Stop() {
	s.mu.Lock()
	for _, connection := range s.connections {
		connection.Close()
	}
	s.mu.Unlock()
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// probe reports in plain words when an address cannot be listened on: the server itself would end the process.
func probe(address string) error {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s", ErrAddressTaken, address)
	}
	if err != nil {
		return err
	}
	return listener.Close()
}

// The subjects of JetStream's API that readers may ask. What can be listed is the feed; the streams of facts are asked for by name, and the wrapped data keys not at all.
var (
	// aboutFacts changes nothing.
	aboutFacts = []string{"$JS.API.STREAM.INFO.%s", "$JS.API.STREAM.MSG.GET.%s", "$JS.API.DIRECT.GET.%s", "$JS.API.DIRECT.GET.%s.>"}
	// aboutFeed also makes, uses and deletes consumers.
	aboutFeed = append([]string{
		"$JS.API.CONSUMER.CREATE.%s", "$JS.API.CONSUMER.CREATE.%s.>", "$JS.API.CONSUMER.DURABLE.CREATE.%s.*", "$JS.API.CONSUMER.DELETE.%s.*",
		"$JS.API.CONSUMER.INFO.%s.*", "$JS.API.CONSUMER.LIST.%s", "$JS.API.CONSUMER.NAMES.%s", "$JS.API.CONSUMER.MSG.NEXT.%s.*",
		"$JS.API.CONSUMER.RESET.%s.*", "$JS.API.CONSUMER.PAUSE.%s.*", "$JS.API.CONSUMER.UNPIN.%s.*", "$JS.ACK.%s.>",
	}, aboutFacts...)
	// aboutAll is about no stream.
	aboutAll = []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST"}
)

// requests puts the names of streams into the subjects.
func requests(subjects []string, streams ...string) []string {
	var filled []string
	for _, stream := range streams {
		for _, subject := range subjects {
			filled = append(filled, fmt.Sprintf(subject, stream))
		}
	}
	return filled
}

// account is what an account lets readers ask, and subscribe to.
type account struct {
	name, user string
	asked      []string
	live       []string
}

// exports and imports say the same from both sides, in NATS' own configuration language.
func (a account) exports() string {
	var lines []string
	for _, subject := range a.asked {
		lines = append(lines, fmt.Sprintf("{service: %q, response_type: stream}", subject))
	}
	for _, subject := range a.live {
		lines = append(lines, fmt.Sprintf("{stream: %q}", subject))
	}
	return strings.Join(lines, ",")
}

func (a account) imports() string {
	var lines []string
	for _, subject := range a.asked {
		lines = append(lines, fmt.Sprintf("{service: {account: %s, subject: %q}}", a.name, subject))
	}
	for _, subject := range a.live {
		lines = append(lines, fmt.Sprintf("{stream: {account: %s, subject: %q}}", a.name, subject))
	}
	return strings.Join(lines, ",")
}

// configure makes the server's settings. NATS' own configuration language says accounts, exports and imports best.
func configure(options Options, keys keys) (*server.Options, error) {
	var users []string
	for _, key := range []nkeys.KeyPair{keys.writer, keys.feed, keys.reader} {
		public, err := key.PublicKey()
		if err != nil {
			return nil, err
		}
		users = append(users, public)
	}
	facts := account{name: "CARDLOG", user: users[0], asked: requests(aboutFacts, options.Streams...), live: []string{"accounts.>", "payments.>", "ledger.>"}}
	feed := account{name: "FEED", user: users[1], asked: aboutAll, live: []string{"events.>"}}
	if options.Feed != "" {
		feed.asked = append(requests(aboutFeed, options.Feed), aboutAll...)
	}
	settings := &server.Options{}
	err := settings.ProcessConfigString(fmt.Sprintf(`
		accounts {
			%s { jetstream: enabled, users: [{nkey: %q}], exports: [%s] }
			%s { jetstream: enabled, users: [{nkey: %q}], exports: [%s] }
			READERS { users: [{nkey: %q, permissions: {publish: {allow: [%s]}}}], imports: [%s,%s] }
		}
		no_auth_user: %q`,
		facts.name, facts.user, facts.exports(), feed.name, feed.user, feed.exports(),
		users[2], quoted(append(feed.asked, facts.asked...)), facts.imports(), feed.imports(), users[2]))
	if err != nil {
		return nil, fmt.Errorf("configure the embedded NATS: %w", err)
	}
	settings.ServerName = "cardlog"
	settings.NoSigs = true // signals are ours
	settings.JetStream = true
	settings.StoreDir = options.StoreDir
	settings.SyncAlways = options.SyncInterval == 0
	settings.SyncInterval = options.SyncInterval
	settings.DontListen = options.Listen == ""
	if options.Listen != "" {
		host, port, err := net.SplitHostPort(options.Listen)
		if err != nil {
			return nil, err
		}
		settings.Host = host
		if settings.Port, err = net.LookupPort("tcp", port); err != nil {
			return nil, err
		}
		if settings.Port == 0 {
			settings.Port = server.RANDOM_PORT
		}
	}
	return settings, nil
}

func quoted(words []string) string {
	quotes := make([]string, len(words))
	for i, word := range words {
		quotes[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(quotes, ",")
}
