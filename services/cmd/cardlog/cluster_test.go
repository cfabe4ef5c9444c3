package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	"github.com/cardlog/cardlog/services/internal/eventlog"
)

// startNATSCluster runs three NATS servers that are one cluster, each with every ack on disk. The last one hears of the others' messages with a lag.
func startNATSCluster(t *testing.T, lag time.Duration) (nodes []*server.Server, urls string) {
	t.Helper()
	const size = 3
	addresses := make([]*net.TCPAddr, size)
	for i := range addresses {
		listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		addresses[i] = listener.Addr().(*net.TCPAddr)
		_ = listener.Close() // the server takes the port
	}
	var clients []string
	for i := range size {
		var routes []*url.URL
		for other, address := range addresses {
			host := address.String()
			switch late := size - 1; {
			case lag == 0, i < late && other < late:
			case other == late: // nobody calls the late one, which calls everybody
				continue
			default:
				host = startLaggingWire(t, host, lag)
			}
			routes = append(routes, &url.URL{Scheme: "nats", Host: host})
		}
		node := must(server.NewServer(&server.Options{ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(),
			SyncAlways: true, NoSigs: true, Routes: routes, Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: addresses[i].Port, NoAdvertise: true}}))(t)
		node.Start()
		t.Cleanup(func() {
			node.Shutdown()
			node.WaitForShutdown()
		})
		nodes = append(nodes, node)
	}
	for _, node := range nodes {
		if !node.ReadyForConnections(waitBound) {
			t.Fatal("NATS did not start")
		}
		clients = append(clients, node.ClientURL())
	}
	eventually(t, "the cluster has a leader, and all of its servers", func() error {
		leader := slices.IndexFunc(nodes, (*server.Server).JetStreamIsLeader)
		if leader < 0 || len(nodes[leader].JetStreamClusterPeers()) < size {
			return errNotYet("no")
		}
		return nil
	})
	return nodes, strings.Join(clients, ",")
}

// startLaggingWire carries connections to an address; what comes back arrives later.
func startLaggingWire(t *testing.T, to string, lag time.Duration) (address string) {
	t.Helper()
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(far, near)
				_ = far.Close()
			}()
			go copyLate(near, far, lag)
		}
	}()
	return listener.Addr().String()
}

// copyLate copies what comes, each piece a while after it came.
func copyLate(to io.WriteCloser, from io.Reader, lag time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 4096)
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if err != nil {
				return
			}
			pieces <- piece{time.Now().Add(lag), data[:n]}
		}
	}()
	for p := range pieces {
		<-time.After(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	_ = to.Close()
}

// leaderOf is the server that leads a stream, and on how many servers the stream is kept.
func leaderOf(t *testing.T, urls, stream string) (leader string, replicas int) {
	t.Helper()
	connection := must(nats.Connect(urls))(t)
	defer connection.Close()
	js := must(jetstream.New(connection))(t)
	eventually(t, stream+" has a leader", func() error {
		handle, err := js.Stream(t.Context(), stream)
		if err != nil {
			return err
		}
		info := handle.CachedInfo()
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return errNotYet("none")
		}
		leader, replicas = info.Cluster.Leader, info.Config.Replicas
		return nil
	})
	return leader, replicas
}

// TestAClusterLosesAServerAndNothingElse stops the server that leads the ledger, in the middle of purchases.
func TestAClusterLosesAServerAndNothingElse(t *testing.T) {
	t.Parallel()
	nodes, urls := startNATSCluster(t, 0)
	c := testConfig(t)
	c.nats, c.replicas = urls, 3
	b, _ := startBank(t, c)
	b.open("alice", 1_000_000)
	ctx, cancel := context.WithTimeout(t.Context(), 2*waitBound)
	defer cancel()
	const purchases = 60
	for i := range purchases {
		if i == purchases/3 {
			leader, _ := leaderOf(t, urls, "LEDGER_00")
			stopped := slices.IndexFunc(nodes, func(node *server.Server) bool { return node.Name() == leader })
			nodes[stopped].Shutdown()
		}
		must(b.untilAnswered(ctx, "alice", fmt.Sprint("purchase-", i), 100))(t)
	}
	b.wantBalances("alice", 0, purchases*100, 1_000_000-purchases*100)
	for i := range purchases { // every answer can be had again, from whatever server answers
		if decision := must(b.untilAnswered(ctx, "alice", fmt.Sprint("purchase-", i), 100))(t); !decision.GetDuplicate() {
			t.Errorf("purchase %d was decided twice", i)
		}
	}
	for _, stream := range []string{"ACCOUNTS", "PAYMENTS", "LEDGER_00", "EVENTS", "KV_KEYS"} {
		if _, replicas := leaderOf(t, urls, stream); replicas != 3 {
			t.Errorf("%s is kept on %d servers", stream, replicas)
		}
	}
}

// TestWhatIsReadIsNeverOld reads from a server that lags what was stored just now: direct gets are answered by any server that keeps the stream.
func TestWhatIsReadIsNeverOld(t *testing.T) {
	t.Parallel()
	nodes, _ := startNATSCluster(t, 200*time.Millisecond)
	current, late := nodes[0], nodes[2]
	connections := make([]*nats.Conn, 2)
	for i, node := range []*server.Server{current, late} {
		connections[i] = must(nats.Connect(node.ClientURL()))(t)
		t.Cleanup(connections[i].Close)
	}
	log := must(eventlog.Open(connections[0], connections[1], eventlog.Options{Replicas: 3}))(t)
	stream := must(log.OpenStream(t.Context(), eventlog.StreamSpec{Name: "LEDGER_00", Subjects: "ledger.00.*"}))(t)
	eventually(t, "a server that does not lag leads", func() error {
		if leader, _ := leaderOf(t, current.ClientURL(), "LEDGER_00"); leader == late.Name() {
			_ = must(connections[0].Request("$JS.API.STREAM.LEADER.STEPDOWN.LEDGER_00", nil, waitBound))(t)
			return errNotYet(leader)
		}
		return nil
	})
	answered := func(read func() error) (err error) { // a server that does not answer yet may be asked again; one that answers is never behind
		eventually(t, "the stream answers", func() error {
			if err = read(); errors.Is(err, eventlog.ErrUnreachable) {
				return err
			}
			return nil
		})
		return err
	}
	var last uint64
	for last < 4 {
		record := eventlog.Record{Subject: "ledger.00.alice", Data: []byte{byte(last)}}
		if err := stream.Append(t.Context(), last, []eventlog.Record{record}); err != nil {
			t.Fatal(err)
		}
		last++
		var m eventlog.Message
		err := answered(func() (err error) { m, err = stream.Get(t.Context(), last); return err })
		if err != nil || m.Sequence != last {
			t.Fatalf("event %d, stored just now: %d, %v", last, m.Sequence, err)
		}
		err = answered(func() (err error) { m, err = stream.LastAtOrBefore(t.Context(), record.Subject, last); return err })
		if err != nil || m.Sequence != last {
			t.Fatalf("the last event at %d: %d, %v", last, m.Sequence, err)
		}
		for _, subject := range []string{"", record.Subject} {
			var read []byte
			err := answered(func() error {
				read = nil
				return stream.Read(t.Context(), eventlog.Range{Subject: subject, Through: last}, func(m eventlog.Message) error {
					read = append(read, m.Data...)
					return nil
				})
			})
			if err != nil || len(read) != int(last) || read[last-1] != byte(last-1) {
				t.Fatalf("of %d events of %q %v are read: %v", last, subject, read, err)
			}
		}
	}
}

// TestStreamsAreSpreadWhenAsked starts on one server, and again on three.
func TestStreamsAreSpreadWhenAsked(t *testing.T) {
	t.Parallel()
	_, urls := startNATSCluster(t, 0)
	c := testConfig(t)
	c.nats = urls
	for _, row := range []struct{ asked, kept int }{{0, 1}, {3, 3}, {0, 3}} { // what is not asked stays as it is
		c.replicas = row.asked
		b, p := startBank(t, c)
		if row.kept == 1 {
			b.open("alice", 1_000)
		}
		eventually(t, "the ledger has caught up", func() error { // over a cluster that may take longer than a call waits
			_, err := b.GetBalance(t.Context(), &transactionsv1.GetBalanceRequest{Account: &transactionsv1.GetBalanceRequest_AccountId{AccountId: "alice"}})
			return err
		})
		b.wantBalances("alice", 0, 0, 1_000)
		for _, stream := range []string{"ACCOUNTS", "PAYMENTS", "LEDGER_00", "EVENTS", "KV_KEYS"} {
			if _, replicas := leaderOf(t, urls, stream); replicas != row.kept {
				t.Errorf("asked for %d, %s is kept on %d servers, want %d", row.asked, stream, replicas, row.kept)
			}
		}
		p.stop()
	}
}
