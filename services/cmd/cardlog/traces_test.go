package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
	typev1 "github.com/cardlog/cardlog/gen/cardlog/type/v1"
)

// collector is an OpenTelemetry collector that keeps every span.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer

	mu    sync.Mutex
	spans []*tracev1.Span
}

// Export is for the exporters.
func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// startCollector listens until the test ends.
func startCollector(t *testing.T) (c *collector, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c = &collector{}
	server := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return c, listener.Addr().String()
}

// forget forgets the spans that came.
func (c *collector) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = nil
}

// all returns the spans that came.
func (c *collector) all() []*tracev1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// paths are the spans of the trace that begins with a span of a name, each with what it is within. What a page reads to show itself is left out.
func (c *collector) paths(root string) (trace string, paths []string) {
	all := c.all()
	byID := map[string]*tracev1.Span{}
	for _, span := range all {
		byID[string(span.GetSpanId())] = span
		if len(span.GetParentSpanId()) == 0 && span.GetName() == root {
			trace = string(span.GetTraceId())
		}
	}
	for _, span := range all {
		if string(span.GetTraceId()) != trace {
			continue
		}
		path := spanName(span)
		for parent := byID[string(span.GetParentSpanId())]; parent != nil; parent = byID[string(parent.GetParentSpanId())] {
			path = spanName(parent) + " > " + path
		}
		if !strings.Contains(path, "Service/Get") && !strings.Contains(path, "Service/List") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return fmt.Sprintf("%x", trace), paths
}

// spanName is a span's name, with the stream where it is a step of an engine.
func spanName(span *tracev1.Span) string {
	name := span.GetName()
	for _, attribute := range span.GetAttributes() {
		if attribute.GetKey() == "cardlog.stream" && !strings.Contains(name, " ") {
			name += " " + attribute.GetValue().GetStringValue()
		}
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "cardlog.payments.v1."), "cardlog.transactions.v1.")
}

// engineSteps are the spans of a command within another span.
func engineSteps(within, stream string) (paths []string) {
	for _, step := range []string{"queue", "decide", "append", "sync"} {
		paths = append(paths, within+" > "+step+" "+stream)
	}
	return paths
}

// wantTrace waits for a whole trace.
func (c *collector) wantTrace(t *testing.T, root string, want []string) (trace string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, "the trace of "+root+" is whole", func() error {
		var got []string
		if trace, got = c.paths(root); !slices.Equal(got, want) {
			return errNotYet("got:\n" + strings.Join(got, "\n") + "\nwant:\n" + strings.Join(want, "\n"))
		}
		return nil
	})
	return trace
}

// TestOneTraceShowsACallFromTheConsoleToTheFeed makes a purchase and a payment with the console's forms, and looks at both in a collector.
func TestOneTraceShowsACallFromTheConsoleToTheFeed(t *testing.T) {
	t.Parallel()
	c, address := startCollector(t)
	_, e := runCardlogWith(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_BSP_SCHEDULE_DELAY=50"},
		"up", "--dir", t.TempDir(), "--nats-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0")
	b, v := connectBank(t, e.GRPC), &visitor{t: t, base: "http://" + e.Console}
	number := b.open("alice", 100_000)

	const posted = "POST /accounts/{account}/try/{action}"
	v.want(v.visit("/accounts/alice/try/purchase", v.form("/accounts/alice/try/purchase", "amount", "12.50", "card_id", "alice-card", "merchant.mcc", "5411")), http.StatusOK, "Approved")
	authorized := posted + " > TransactionsService/Authorize > TransactionsService/Authorize"
	purchase := c.wantTrace(t, posted, slices.Concat(engineSteps(authorized, "LEDGER_00"),
		[]string{posted, posted + " > TransactionsService/Authorize", authorized, authorized + " > payments follows LEDGER_00", authorized + " > feed follows LEDGER_00"}))
	wantPublished(t, e.NATS, purchase, "events.transactions.authorization_approved.alice")
	c.forget()

	v.want(v.visit("/accounts/alice/try/pay", v.form("/accounts/alice/try/pay", "amount", "5.00")), http.StatusOK)
	submitted := posted + " > PaymentsService/SubmitPayment > PaymentsService/SubmitPayment"
	followed := submitted + " > transactions follows PAYMENTS"
	payment := c.wantTrace(t, posted, slices.Concat(engineSteps(submitted, "PAYMENTS"), engineSteps(followed, "LEDGER_00"),
		[]string{posted, posted + " > PaymentsService/SubmitPayment", submitted, followed, submitted + " > feed follows PAYMENTS",
			followed + " > payments follows LEDGER_00", followed + " > feed follows LEDGER_00"}))
	wantPublished(t, e.NATS, payment, "events.payments.submitted.alice")
	wantPublished(t, e.NATS, payment, "events.transactions.payment_posted.alice")

	c.forget()

	// Each purchase of a stream is a trace of its own.
	stream := must(b.AuthorizeStream(t.Context()))(t)
	if err := stream.Send(&transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: "alice-card"}, TransactionId: "lunch", Amount: pounds(900), Merchant: shop()}); err != nil {
		t.Fatal(err)
	}
	if approved := must(stream.Recv())(t).GetDecision(); approved.GetOutcome() != typev1.Outcome_OUTCOME_APPROVED {
		t.Errorf("lunch is %v", approved)
	}
	const one = "AuthorizeStream request"
	c.wantTrace(t, one, append(engineSteps(one, "LEDGER_00"), one, one+" > payments follows LEDGER_00", one+" > feed follows LEDGER_00"))
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}

	for _, span := range c.all() {
		for _, secret := range []string{number, number[len(number)-10:], "Holder of alice"} {
			if strings.Contains(span.String(), secret) {
				t.Errorf("a span tells %s: %s", secret, span)
			}
		}
	}
}

// wantPublished fails the test unless the newest public event of a subject names a trace, for subscribers to go on with.
func wantPublished(t *testing.T, server, traceID, subject string) {
	t.Helper()
	connection, err := nats.Connect(server)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	js := must(jetstream.New(connection))(t)
	event := must(must(js.Stream(t.Context(), "EVENTS"))(t).GetLastMsgForSubject(t.Context(), subject))(t)
	if parent := event.Header.Get("traceparent"); !strings.Contains(parent, traceID) {
		t.Errorf("%s has the traceparent %q, want one of trace %s", subject, parent, traceID)
	}
}

// TestACallThatIsNotSampledLeavesNoTrace turns sampling off by the standard variable.
func TestACallThatIsNotSampledLeavesNoTrace(t *testing.T) {
	t.Parallel()
	c, address := startCollector(t)
	_, e := runCardlogWith(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_TRACES_SAMPLER=always_off"},
		"up", "--dir", t.TempDir(), "--nats-listen", "127.0.0.1:0", "--console-listen", "off")
	b := connectBank(t, e.GRPC)
	b.open("alice", 100_000)
	connection := must(nats.Connect(e.NATS))(t)
	defer connection.Close()
	js := must(jetstream.New(connection))(t)
	for subject, stream := range map[string]string{"accounts.alice": "ACCOUNTS", "ledger.00.alice": "LEDGER_00"} {
		eventually(t, stream+" has the account", func() error {
			event, err := must(js.Stream(t.Context(), stream))(t).GetLastMsgForSubject(t.Context(), subject)
			if err == nil && event.Header.Get("traceparent") != "" {
				t.Errorf("%s has the headers %v", subject, event.Header)
			}
			return err
		})
	}
	if spans := c.all(); len(spans) > 0 {
		t.Errorf("%d spans came, such as %s", len(spans), spans[0].GetName())
	}
}
