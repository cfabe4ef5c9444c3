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
	registry *prometheus.Registry
	listener net.Listener
	server   *http.Server
}

// openMetrics listens for Prometheus; none where the address is off or empty.
func openMetrics(address string) (*metricsServer, error) {
	if address == "" || address == "off" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError("--metrics-listen", address, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: scrapeBound}))
	return &metricsServer{registry: registry, listener: listener, server: &http.Server{Handler: mux, ReadHeaderTimeout: scrapeBound}}, nil
}

// registerer is where more metrics are added; nil where nobody looks.
func (m *metricsServer) registerer() prometheus.Registerer {
	if m == nil {
		return nil
	}
	return m.registry
}

// serve answers Prometheus from now on, of the services of a process too.
func (m *metricsServer) serve(p *process) {
	if m == nil {
		return
	}
	m.registry.MustRegister(processMetrics{p})
	go func() {
		if err := m.server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			p.fail(err)
		}
	}()
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
		_ = m.listener.Close()
	}
}

// processMetrics are those of the services in a process, of the streams that they write and of those that they follow. They are made at each scrape,
// because streams and followers come when there is something to follow.
type processMetrics struct{ process *process }

var (
	serviceServing   = prometheus.NewDesc("cardlog_service_serving", "1 while the service serves, else 0.", []string{"service"}, nil)
	diskFree         = prometheus.NewDesc("cardlog_disk_free_bytes", "Room that is left on the disk of the log; not shown where NATS is outside.", nil, nil)
	diskReserve      = prometheus.NewDesc("cardlog_disk_reserve_bytes", "Room that is kept free: below it, writes are refused.", nil, nil)
	followerLabels   = []string{"follower", "stream"}
	followerPosition = prometheus.NewDesc("cardlog_follower_position", "Sequence up to which everything is applied.", followerLabels, nil)
	followerLag      = prometheus.NewDesc("cardlog_follower_lag_events", "Number of events of the stream that are not applied yet.", followerLabels, nil)
	followerUp       = prometheus.NewDesc("cardlog_follower_up", "1 while it follows, 0 while it starts, tries again or has stopped.", followerLabels, nil)
)

// Describe is for package prometheus: nothing is said beforehand.
func (processMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect is for package prometheus.
func (m processMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeBound/2)
	defer cancel()
	p := m.process
	for service, serving := range p.health.all() {
		to <- prometheus.MustNewConstMetric(serviceServing, prometheus.GaugeValue, indicator(serving), string(service))
	}
	if p.disk != nil {
		to <- prometheus.MustNewConstMetric(diskFree, prometheus.GaugeValue, float64(p.disk.free.Load()))
		to <- prometheus.MustNewConstMetric(diskReserve, prometheus.GaugeValue, float64(p.disk.reserve.Load()))
	}
	for _, service := range p.running() {
		if told, tells := service.(interface {
			Collect(to chan<- prometheus.Metric)
		}); tells {
			told.Collect(to)
		}
	}
	for _, w := range p.streams() {
		w.stream.Collect(ctx, to)
	}
	for _, f := range p.followers(ctx) {
		for _, gauge := range []struct {
			what  *prometheus.Desc
			value float64
		}{{followerPosition, float64(f.Position)}, {followerLag, float64(f.Last - f.Position)}, {followerUp, indicator(f.Following())}} {
			to <- prometheus.MustNewConstMetric(gauge.what, prometheus.GaugeValue, gauge.value, f.Follower, f.Stream)
		}
	}
}

// indicator is a yes or no as Prometheus has it.
func indicator(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
