package bench

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample is a report with numbers of all lengths.
func sample() *Report {
	r := &Report{Began: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), Accounts: 100_000, Connections: 8, Seconds: 10, Turns: 5, BytesPerAuthorization: 412.4}
	add := func(phase string, callers int, rate, cpu float64, p50 int64) {
		r.Results = append(r.Results, &Result{Phase: phase, What: phase, Callers: callers, Seconds: 10, Operations: int64(10 * rate), Rate: rate,
			CPUSeconds: cpu, ClientCPUSeconds: cpu, RSS: 123 << 20, Latency: Percentiles{P50: p50, P95: 2 * p50, P99: 3 * p50, P999: 4 * p50, Max: 500 * p50}})
	}
	add(phaseFsync, 1, 4000, 0, 200)
	add(phaseEcho, 1, 10_000, 5, 90)
	add(phaseAuthorize, 1, 2000, 4, 600)
	add(phaseEcho, 256, 40_000, 10, 6000)
	add(phaseAuthorize, 256, 20_000, 10, 12_000)
	add(phaseHot, 256, 21_000, 10, 11_000)
	add(phaseAppend, 256, 100_000, 10, 2500)
	r.Results[5].Errors, r.Results[5].FirstError = 3, "Authorize: Unavailable: later"
	r.compare()
	return r
}

func TestTheTableIsAligned(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	if err := sample().WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	ends := map[int]int{} // the last column begins where "what" does, in each line
	lines := 0
	for line := range strings.Lines(text.String()) {
		for _, phase := range []string{"what", phaseFsync, phaseEcho, phaseAuthorize, phaseHot, phaseAppend} {
			if before, found := strings.CutSuffix(line, "  "+phase+"\n"); found {
				lines++
				ends[utf8.RuneCountInString(before)]++
			}
		}
	}
	if lines != 8 || len(ends) != 1 {
		t.Errorf("the last column of %d lines begins at %v:\n%s", lines, ends, text.String())
	}
	for _, want := range []string{"0.40 ms", "one hot account / uniform, 256 callers", "1.05", "412", "3 errors, the first: Authorize: Unavailable: later", "40,000", "100,000 accounts"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table does not have %q:\n%s", want, text.String())
		}
	}
}

func TestResultsAreHeldAgainstTheCeilingsOfAsManyCallers(t *testing.T) {
	t.Parallel()
	r := sample()
	authorize, hot, lone := r.find(phaseAuthorize, 256), r.find(phaseHot, 256), r.find(phaseAuthorize, 1)
	if authorize.OfEcho != 0.5 || authorize.OfAppend != 0.2 || hot.OfEcho != 0.525 {
		t.Errorf("authorize is %v of echo and %v of append, hot %v of echo", authorize.OfEcho, authorize.OfAppend, hot.OfEcho)
	}
	if got := authorize.OfEchoCPU; got < 0.499 || got > 0.501 { // 100 µs an operation, 50 µs an echo
		t.Errorf("authorize is %v of echo by CPU", got)
	}
	if lone.OfEcho != 0.2 || lone.OfAppend != 0 {
		t.Errorf("a lone caller is %v of echo and %v of append", lone.OfEcho, lone.OfAppend)
	}
	if fsync := r.find(phaseFsync, 1); fsync.OfEcho != 0 {
		t.Error("the disk is held against gRPC")
	}
}
