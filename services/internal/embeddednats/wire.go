package embeddednats

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nkeys"
)

// dialTimeout bounds the greeting of a connection.
const dialTimeout = 5 * time.Second

// dial opens an in-process connection that may do anything within an account, and logs in: what follows is NATS' client protocol.
// https://docs.nats.io/reference/reference-protocols/nats-protocol
func (s *Server) dial(key nkeys.KeyPair, name string) (net.Conn, error) {
	conn, err := s.server.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded NATS: %w", err)
	}
	from, err := logIn(conn, key, name)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("log in to the embedded NATS: %w", err)
	}
	return &wire{Conn: conn, from: from}, nil
}

// wire is a connection of which some was read ahead.
type wire struct {
	net.Conn
	from *bufio.Reader
}

// Read reads what was read ahead first.
func (w *wire) Read(into []byte) (int, error) { return w.from.Read(into) }

// logIn answers the server's greeting, and returns when it has accepted that.
func logIn(conn net.Conn, key nkeys.KeyPair, name string) (*bufio.Reader, error) {
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	from := bufio.NewReader(conn)
	greeting, err := from.ReadString('\n')
	if err != nil {
		return nil, err
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(greeting, "INFO ")), &info); err != nil {
		return nil, err
	}
	login, err := loginOf(key, info.Nonce, name)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s\r\nPING\r\n", login); err != nil {
		return nil, err
	}
	for {
		line, err := from.ReadString('\n')
		switch {
		case err != nil:
			return nil, err
		case strings.HasPrefix(line, "-ERR"):
			return nil, fmt.Errorf("refused: %s", strings.TrimSpace(line))
		case strings.HasPrefix(line, "PONG"):
			return from, conn.SetDeadline(time.Time{})
		case strings.HasPrefix(line, "PING"):
			if _, err := fmt.Fprint(conn, "PONG\r\n"); err != nil {
				return nil, err
			}
		}
	}
}

// loginOf is the body of CONNECT.
func loginOf(key nkeys.KeyPair, nonce, name string) ([]byte, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign([]byte(nonce))
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"nkey": public, "sig": base64.RawURLEncoding.EncodeToString(signature), "name": name, "lang": "go", "version": "cardlog",
		"protocol": 1, "headers": true, "no_responders": true, "verbose": false, "pedantic": false, "echo": true,
	})
}
