package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// debugServer shows profiles of the process (/debug/pprof/) and all that the Go runtime measures of itself (/debug/metrics). A nil one is none.
type debugServer struct {
	listener net.Listener
	server   *http.Server
}

// serveDebug shows profiles on a loopback address; none where it is off or empty. Whoever reads them sees the command line, and can slow the process down: so nobody from outside the machine.
func serveDebug(address string, fail func(error)) (*debugServer, error) {
	if address == "" || address == "off" {
		return nil, nil
	}
	if !isLoopback(address) {
		return nil, fmt.Errorf("--debug-listen %s: profiles are shown on loopback only, such as 127.0.0.1:6060; reach it from elsewhere through a tunnel (ssh -L, kubectl port-forward)", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, listenError("--debug-listen", address, err)
	}
	runtime := prometheus.NewRegistry()
	runtime.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsAll)))
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/metrics", promhttp.HandlerFor(runtime, promhttp.HandlerOpts{Timeout: scrapeBound}))
	d := &debugServer{listener: listener, server: &http.Server{Handler: mux, ReadHeaderTimeout: scrapeBound}}
	go func() {
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fail(err)
		}
	}()
	return d, nil
}

// isLoopback says whether an address to listen on can be reached from this machine only.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (d *debugServer) address() string {
	if d == nil {
		return ""
	}
	return d.listener.Addr().String()
}

func (d *debugServer) close() {
	if d != nil {
		_ = d.server.Close()
	}
}
