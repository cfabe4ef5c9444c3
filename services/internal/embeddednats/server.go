// Package embeddednats runs a NATS server with JetStream inside this process.
//
// The server has two accounts. CARDLOG owns the streams, and only this process can log in to it, over an in-process pipe. READERS is where everybody who
// connects from outside lands: it sees the streams through exported read requests and may publish nothing else. Two accounts, and not one account with
// permissions, because a client that may ask for a message may name any subject for the answer: within one account, naming ledger.<shard>.<account> as
// the reply would store the answer as an event (tried with nats-server 2.15.2). An answer that crosses accounts cannot land on a stream's subject.
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
	// SyncInterval is how often JetStream syncs by itself; it syncs every message before its ack where 0.
	SyncInterval time.Duration
	// Logger gets the server's own log.
	Logger *slog.Logger
}

// Server is a running server.
type Server struct {
	server *server.Server
	writer nkeys.KeyPair // made anew at each start, and known to this process only
	logger *slog.Logger

	mu          sync.Mutex
	connections []*nats.Conn
}

// Start runs a server until Stop. It returns ErrAddressTaken when it cannot listen.
func Start(options Options) (*Server, error) {
	if options.Listen != "" {
		if err := probe(options.Listen); err != nil {
			return nil, err
		}
	}
	writer, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("make the key of the embedded NATS: %w", err)
	}
	settings, err := configure(options, writer)
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
	return &Server{server: s, writer: writer, logger: options.Logger}, nil
}

// OpenLog opens the event log on this server. Its connections are closed by Stop.
func (s *Server) OpenLog(options eventlog.Options) (*eventlog.Log, error) {
	appends, err := s.connect("appends")
	if err != nil {
		return nil, err
	}
	reads, err := s.connect("reads")
	if err != nil {
		return nil, err
	}
	return eventlog.Open(appends, reads, options)
}

// connect opens an in-process connection that may do anything.
func (s *Server) connect(name string) (*nats.Conn, error) {
	public, err := s.writer.PublicKey()
	if err != nil {
		return nil, err
	}
	connection, err := nats.Connect("", nats.InProcessServer(s.server), nats.Name(name), nats.Nkey(public, s.writer.Sign),
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

// readRequests are the requests of JetStream's API that change nothing.
var readRequests = []string{
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*",
	"$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>",
}

// hiddenRequests would read the wrapped data keys.
var hiddenRequests = []string{"$JS.API.STREAM.MSG.GET.KV_KEYS", "$JS.API.DIRECT.GET.KV_KEYS", "$JS.API.DIRECT.GET.KV_KEYS.>"}

// liveSubjects can be subscribed to from outside.
var liveSubjects = []string{"accounts.>", "payments.>", "ledger.>", "events.>"}

// configure makes the server's settings. NATS' own configuration language says accounts, exports and imports best.
func configure(options Options, writer nkeys.KeyPair) (*server.Options, error) {
	var exports, imports []string
	for _, request := range readRequests {
		exports = append(exports, fmt.Sprintf("{service: %q, response_type: stream}", request))
		imports = append(imports, fmt.Sprintf("{service: {account: CARDLOG, subject: %q}}", request))
	}
	for _, subject := range liveSubjects {
		exports = append(exports, fmt.Sprintf("{stream: %q}", subject))
		imports = append(imports, fmt.Sprintf("{stream: {account: CARDLOG, subject: %q}}", subject))
	}
	writerKey, err := writer.PublicKey()
	if err != nil {
		return nil, err
	}
	reader, err := nkeys.CreateUser() // nobody logs in with it: it stands for who does not log in
	if err != nil {
		return nil, err
	}
	readerKey, err := reader.PublicKey()
	if err != nil {
		return nil, err
	}
	settings := &server.Options{}
	err = settings.ProcessConfigString(fmt.Sprintf(`
		accounts {
			CARDLOG { jetstream: enabled, users: [{nkey: %q}], exports: [%s] }
			READERS { users: [{nkey: %q, permissions: {publish: {allow: [%s], deny: [%s]}}}], imports: [%s] }
		}
		no_auth_user: %q`,
		writerKey, strings.Join(exports, ","), readerKey, quoted(readRequests), quoted(hiddenRequests), strings.Join(imports, ","), readerKey))
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
