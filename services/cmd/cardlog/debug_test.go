package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestProfilesAreShownOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	if _, p := startBank(t, c); p.endpoints().Debug != "" {
		t.Error("profiles are shown although nobody asked for it")
	}
	c.dir, c.debugListen = directory(t.TempDir()), "127.0.0.1:0"
	b, p := startBank(t, c)
	b.open("alice", 10_000)
	for path, want := range map[string]string{"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "services/internal/engine", "/debug/metrics": "go_gc_heap_live_bytes"} {
		answer, err := http.Get("http://" + p.endpoints().Debug + path)
		if err != nil {
			t.Fatal(err)
		}
		page := string(must(io.ReadAll(answer.Body))(t))
		_ = answer.Body.Close()
		if !strings.Contains(page, want) {
			t.Errorf("%s does not have %q", path, want)
		}
	}
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:6060", "example.com:0"} {
		c.dir, c.debugListen = directory(t.TempDir()), address
		if _, err := start(t.Context(), c); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--debug-listen %s: profiles are shown on loopback only", address)) {
			t.Errorf("%s: %v", address, err)
		}
	}
	c.dir, c.debugListen = directory(t.TempDir()), p.endpoints().Debug
	if _, err := start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "choose another address with --debug-listen") {
		t.Errorf("an address that is taken: %v", err)
	}
}
