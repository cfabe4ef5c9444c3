package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapeBound is how long one scrape may take.
const scrapeBound = 5 * time.Second

// metricsServer shows metrics to Prometheus. A nil one is none.
type metricsServer struct {
	listener net.Listener
	server   *http.Server
}

// serveMetrics shows the metrics of a process on an address; none where it is off or empty.
func serveMetrics(address string, p *process) (*metricsServer, error) {
	if address == "" || address == "off" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError("--metrics-listen", address, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), followerMetrics{p})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: scrapeBound}))
	m := &metricsServer{listener: listener, server: &http.Server{Handler: mux, ReadHeaderTimeout: scrapeBound}}
	go func() {
		if err := m.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.fail(err)
		}
	}()
	return m, nil
}

func (m *metricsServer) address() string {
	if m == nil {
		return ""
	}
	return m.listener.Addr().String()
}

func (m *metricsServer) close() {
	if m != nil {
		_ = m.server.Close()
	}
}

// followerMetrics are how far each follower is.
type followerMetrics struct{ process *process }

var (
	followerLabels   = []string{"follower", "stream"}
	followerPosition = prometheus.NewDesc("cardlog_follower_position", "Sequence up to which everything is applied.", followerLabels, nil)
	followerLag      = prometheus.NewDesc("cardlog_follower_lag_events", "Number of events of the stream that are not applied yet.", followerLabels, nil)
	followerUp       = prometheus.NewDesc("cardlog_follower_up", "1 while it follows, 0 while it starts, tries again or has stopped.", followerLabels, nil)
)

// Describe is for package prometheus.
func (followerMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- followerPosition
	to <- followerLag
	to <- followerUp
}

// Collect is for package prometheus.
func (m followerMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeBound)
	defer cancel()
	for _, f := range m.process.followers(ctx) {
		up := 0.0
		if f.Following() {
			up = 1
		}
		for _, gauge := range []struct {
			what  *prometheus.Desc
			value float64
		}{{followerPosition, float64(f.Position)}, {followerLag, float64(f.Last - f.Position)}, {followerUp, up}} {
			to <- prometheus.MustNewConstMetric(gauge.what, prometheus.GaugeValue, gauge.value, f.Follower, f.Stream)
		}
	}
}
