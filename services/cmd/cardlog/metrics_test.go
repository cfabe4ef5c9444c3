package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	transactionsv1 "github.com/cardlog/cardlog/gen/cardlog/transactions/v1"
)

const deployFolder = "../../deploy/"

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, address string) (text []byte, families map[string]*dto.MetricFamily) {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err = io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v: %s", answer.Status, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if families, err = parser.TextToMetricFamilies(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return text, families
}

// measuredBank is a cardlog that has something of everything to tell Prometheus: purchases that were approved, declined and repeated, and a payment.
func measuredBank(t *testing.T) (text []byte, families map[string]*dto.MetricFamily) {
	t.Helper()
	c := testConfig(t)
	c.metricsListen = "127.0.0.1:0"
	b, p := startBank(t, c)
	b.open("alice", 10_000)
	for _, purchase := range []string{"lunch", "lunch", "yacht"} {
		pence := int64(1_000)
		if purchase == "yacht" {
			pence = 1_000_000
		}
		must(b.authorize(t.Context(), "alice", purchase, pence))(t)
	}
	must(b.Authorize(t.Context(), &transactionsv1.AuthorizeRequest{Account: &transactionsv1.AuthorizeRequest_CardId{CardId: "nobodys-card"},
		TransactionId: "theft", Amount: pounds(1), Merchant: shop()}))(t)
	must(b.pay(t.Context(), "alice", "november", 500))(t)
	eventually(t, "all followers follow", func() error {
		text, families = scrape(t, p.endpoints().Metrics)
		following := 0
		for _, follower := range families["cardlog_follower_up"].GetMetric() {
			following += int(follower.GetGauge().GetValue())
		}
		if following != 7 { // transactions follow 2 streams, payments 2, the feed 3
			return errNotYet(fmt.Sprintf("%d follow", following))
		}
		return nil
	})
	return text, families
}

func TestMetricsAreTheOnesDescribed(t *testing.T) {
	t.Parallel()
	_, families := measuredBank(t)
	described := describedMetrics(t)
	used := map[string]bool{}
	for name, family := range families {
		description := name
		if row, _, _ := strings.Cut(name, "_"); row == "go" || row == "process" {
			description = row + "_*"
		}
		want, is := described[description]
		if !is {
			t.Errorf("%s is shown and not described in services/deploy/README.md", name)
			continue
		}
		used[description] = true
		if want[0] == "any" {
			continue
		}
		if kind := strings.ToLower(family.GetType().String()); kind != want[0] {
			t.Errorf("%s is a %s, and described as a %s", name, kind, want[0])
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetName())
			}
			if slices.Sort(labels); strings.Join(labels, ",") != want[1] {
				t.Errorf("%s has the labels %v, and is described with %s", name, labels, want[1])
			}
		}
	}
	for name := range described {
		if !used[name] {
			t.Errorf("%s is described and not shown", name)
		}
	}
}

var metricRow = regexp.MustCompile("(?m)^\\| `([a-z_*]+)` \\| (\\w+) \\| (.*?) ?\\| .* \\|$")

// describedMetrics are the metrics in the table, each with its type and its labels.
func describedMetrics(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile(deployFolder + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string][2]string{}
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		var labels []string
		if row[3] != "" {
			labels = strings.Split(strings.ReplaceAll(row[3], "`", ""), ", ")
		}
		slices.Sort(labels)
		if _, twice := described[row[1]]; twice {
			t.Errorf("%s is described twice", row[1])
		}
		described[row[1]] = [2]string{row[2], strings.Join(labels, ",")}
	}
	return described
}

// TestMetricsAreNamedByThePrometheusConventions holds ours against the linter of Prometheus; those of its own client are its own affair.
func TestMetricsAreNamedByThePrometheusConventions(t *testing.T) {
	t.Parallel()
	text, _ := measuredBank(t)
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if !strings.HasPrefix(problem.Metric, "go_") && !strings.HasPrefix(problem.Metric, "process_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	t.Parallel()
	text, families := measuredBank(t)
	for _, line := range []string{
		`cardlog_decisions_total{outcome="APPROVED",reason=""} 1`, `cardlog_decisions_total{outcome="DECLINED",reason="INSUFFICIENT_CREDIT"} 1`,
		`cardlog_decisions_total{outcome="DECLINED",reason="UNKNOWN_CARD"} 1`, `cardlog_decisions_total{outcome="DUPLICATE",reason=""} 1`, `cardlog_decision_seconds_count 3`,
		`cardlog_payment_decisions_total{event="submitted",reason=""} 1`, `cardlog_engine_accounts{stream="LEDGER_00"} 1`,
		`cardlog_stream_subjects{stream="LEDGER_00"} 1`, `cardlog_engine_step_downs_total{cause="fenced",stream="LEDGER_00"} 0`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Authorize",grpc_service="cardlog.transactions.v1.TransactionsService",grpc_type="unary"} 4`,
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	for _, stream := range []string{"ACCOUNTS", "PAYMENTS", "LEDGER_00", "EVENTS"} {
		for _, name := range []string{"cardlog_stream_append_seconds", "cardlog_stream_sync_seconds", "cardlog_stream_round_events"} {
			if counted := histogramOf(families[name], stream); counted.GetSampleCount() == 0 || counted.GetSampleSum() <= 0 {
				t.Errorf("%s of %s has counted %d, of %v together", name, stream, counted.GetSampleCount(), counted.GetSampleSum())
			}
		}
	}
}

// histogramOf is the histogram of a stream.
func histogramOf(family *dto.MetricFamily, stream string) *dto.Histogram {
	for _, metric := range family.GetMetric() {
		if metric.GetLabel()[0].GetValue() == stream {
			return metric.GetHistogram()
		}
	}
	return nil
}

// TestTheDashboardAndTheAlertsAskForMetricsThatAreShown reads every query for names of metrics.
func TestTheDashboardAndTheAlertsAskForMetricsThatAreShown(t *testing.T) {
	t.Parallel()
	_, families := measuredBank(t)
	shown := map[string]bool{"up": true, "ALERTS": true} // Prometheus' own
	for name, family := range families {
		shown[name] = true
		if family.GetType() == dto.MetricType_HISTOGRAM {
			delete(shown, name)
			shown[name+"_bucket"], shown[name+"_sum"], shown[name+"_count"] = true, true, true
		}
	}
	for file, queries := range map[string][]string{"the dashboard": dashboardQueries(t), "the alerts": alertQueries(t)} {
		asked := map[string]bool{}
		for _, query := range queries {
			for _, name := range metricsIn(query) {
				asked[name] = true
			}
		}
		if len(asked) < 8 {
			t.Errorf("%s ask for %v only", file, slices.Collect(maps.Keys(asked)))
		}
		for name := range asked {
			if !shown[name] {
				t.Errorf("%s ask for %s, which is not shown", file, name)
			}
		}
	}
}

// dashboardQueries are the queries of all panels.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile(deployFolder + "grafana/dashboards/cardlog.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("the panel %s asks nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	return queries
}

// alertQueries are the queries of all alerts.
func alertQueries(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile(deployFolder + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations struct{ Summary, Description string }
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Annotations.Summary == "" || rule.Annotations.Description == "" {
				t.Errorf("the alert %s does not say what to do", rule.Alert)
			}
			queries = append(queries, rule.Expr)
		}
	}
	return queries
}

var (
	quotedText  = regexp.MustCompile(`"[^"]*"`)
	labelList   = regexp.MustCompile(`\{[^}]*\}|\b(?:by|without|on|ignoring)\s*\([^)]*\)`)
	functionOf  = regexp.MustCompile(`\w+\s*\(`)
	rangeOf     = regexp.MustCompile(`\[[^\]]*\]`)
	nameOfThing = regexp.MustCompile(`\b[A-Za-z_]\w*\b`)
)

// metricsIn are the names in a query that are not labels, functions or aggregations.
func metricsIn(query string) (names []string) {
	query = quotedText.ReplaceAllString(query, "")
	query = labelList.ReplaceAllString(query, " ")
	query = rangeOf.ReplaceAllString(query, "")
	query = functionOf.ReplaceAllString(query, "(")
	for _, word := range nameOfThing.FindAllString(query, -1) {
		switch word {
		case "sum", "max", "min", "avg", "count", "and", "or", "unless", "bool": // an aggregation with its labels between it and its parenthesis, an operator
		default:
			names = append(names, word)
		}
	}
	return names
}
