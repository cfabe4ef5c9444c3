package main

import (
	"context"
	_ "embed" // axe-core is run in the pages that are tested.
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1 (MPL-2.0), which looks for what keeps people out of a page.
//
//go:embed testdata/axe.min.js
var axe string

const (
	// screenshotsVariable names a directory to keep screenshots of each page in.
	screenshotsVariable = "CARDLOG_SCREENSHOTS"
	// narrow and wide are the widths that pages are looked at in.
	narrow, wide = 360, 1280
)

// browser is a Chromium with one tab, and what the pages in it complained of.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

// startBrowser starts a Chromium for a console. Where there is none the test is skipped, except in CI, which installs one.
func startBrowser(t *testing.T, base string) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no Chromium: .ci/run installs it")
		}
		t.Skip("there is no Chromium here; on Debian: apt-get install chromium")
	}
	b := &browser{t: t, base: base}
	ctx, cancel := context.WithTimeout(t.Context(), 4*waitBound)
	t.Cleanup(cancel)
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path)}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(options...), chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	b.ctx = ctx
	b.call(func() error {
		_, err := chromedp.Call(ctx, browserlog.Enable, cdp.Empty{})
		return err
	})
	b.size(wide)
	return b
}

// call fails the test when something cannot be done.
func (b *browser) call(do func() error) {
	b.t.Helper()
	if err := do(); err != nil {
		b.t.Fatal(err)
	}
}

// do does something in the page.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.call(func() error { return chromedp.Do(b.ctx, actions...) })
}

// hear notes what a page complains of.
func (b *browser) hear(event any) {
	said := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		said = fmt.Sprint("exception: ", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type != "error" && e.Type != "warning" {
			return
		}
		for _, argument := range e.Args {
			said += fmt.Sprint(e.Type, ": ", string(argument.Value), argument.Description)
		}
	case *browserlog.EventEntryAdded:
		said = fmt.Sprint(e.Entry.Level, ": ", e.Entry.Text, " ", e.Entry.URL)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, said)
}

// wantNoComplaint fails the test when a page complained since the last time, save of pages that were refused on purpose.
func (b *browser) wantNoComplaint(except ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.complaints {
		expected := false
		for _, words := range except {
			expected = expected || strings.Contains(said, words)
		}
		if !expected {
			b.t.Errorf("the browser's console says %s", said)
		}
	}
	b.complaints = nil
}

// size makes the window so wide.
func (b *browser) size(width int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 800))
}

// theme makes the system prefer light or dark.
func (b *browser) theme(name string) {
	b.t.Helper()
	b.call(func() error {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	})
}

// visit opens a page.
func (b *browser) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// arrive waits until the address ends so and the page there is complete.
func (b *browser) arrive(address string) {
	b.t.Helper()
	eventually(b.t, "the page "+address+" is there", func() error {
		at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.readyState + ' ' + location.pathname + location.search"))
		if err == nil && at != "complete "+address {
			err = errors.New(at)
		}
		return err
	})
}

// evaluate returns what a script says.
func evaluate[T any](b *browser, script string) T {
	b.t.Helper()
	answer, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", script, err)
	}
	return answer
}

// wait waits until the page's text has all these words.
func (b *browser) wait(selector string, words ...string) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%s says %q", selector, words), func() error {
		text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector)))
		if err != nil {
			return nil //nolint:nilerr // a page is being opened: look again
		}
		for _, word := range words {
			if !strings.Contains(text, word) {
				return fmt.Errorf("it says %q", text)
			}
		}
		return nil
	})
}

// fill types into a field, in the place of what was there.
func (b *browser) fill(name, value string) {
	b.t.Helper()
	field := chromedp.CSS(fmt.Sprintf("[name=%q]", name))
	b.do(chromedp.WaitReady(field))
	if evaluate[string](b, fmt.Sprintf("document.querySelector('[name=%q]').tagName", name)) == "SELECT" {
		b.do(chromedp.SetValue(field, value))
		return
	}
	b.do(chromedp.Clear(field), chromedp.SendKeys(field, value))
}

// send presses the button of the page's form and waits for the next page.
func (b *browser) send() {
	b.t.Helper()
	b.call(func() error {
		_, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS("form[data-once] button[type=submit]")))
		return err
	})
}

// follow presses a link by its words and waits for the next page.
func (b *browser) follow(words string) {
	b.t.Helper()
	link := chromedp.Search(fmt.Sprintf("//main//a[normalize-space()=%q]", words))
	b.call(func() error {
		_, err := chromedp.RunResponse(b.ctx, chromedp.Click(link))
		return err
	})
}

// violation is something that keeps people out of a page.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// wantAccessible fails the test when axe-core finds something serious or critical on the page.
func (b *browser) wantAccessible(page string) {
	b.t.Helper()
	evaluate[chromedp.Void](b, axe)
	for _, found := range evaluate[[]violation](b, "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)") {
		if found.Impact != "serious" && found.Impact != "critical" {
			continue
		}
		for _, node := range found.Nodes {
			b.t.Errorf("%s: %s (%s): %s: %.300s", page, found.Help, found.Impact, node.FailureSummary, node.HTML)
		}
	}
}

// wantFits fails the test when the page is wider than the window.
func (b *browser) wantFits(page string, width int64) {
	b.t.Helper()
	if got := evaluate[int64](b, "document.documentElement.scrollWidth"); got > width {
		b.t.Errorf("%s is %d wide in a window of %d", page, got, width)
	}
}

// look holds the page that is open against what every page must be, in both widths and themes, and keeps screenshots where a directory is named for them.
func (b *browser) look(page string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		for _, width := range []int64{narrow, wide} {
			b.size(width)
			name := fmt.Sprintf("%s-%d-%s", page, width, theme)
			b.settle()
			b.wantFits(name, width)
			b.wantAccessible(name)
			b.keep(name)
		}
	}
}

// settle waits until what a page draws after it is there is drawn.
func (b *browser) settle() {
	b.t.Helper()
	eventually(b.t, "the page is drawn", func() error {
		if waiting := evaluate[int](b, "[...document.querySelectorAll('[data-chart]')].filter(box => !box.querySelector('canvas') && box.innerText.includes('Reading')).length"); waiting > 0 {
			return errors.New("a chart is not")
		}
		return nil
	})
	evaluate[chromedp.Void](b, "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")
}

// keep keeps a screenshot.
func (b *browser) keep(name string) {
	b.t.Helper()
	dir := os.Getenv(screenshotsVariable)
	if dir == "" {
		return
	}
	evaluate[chromedp.Void](b, "scrollTo(0, 0)")
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Errorf("no screenshot of %s: %v", name, err)
	}
}

// firstPaint returns how long after it was asked for the page showed something.
func (b *browser) firstPaint() time.Duration {
	b.t.Helper()
	var ms float64
	eventually(b.t, "the page is painted", func() error {
		if ms = evaluate[float64](b, "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"); ms == 0 {
			return errors.New("nothing is painted")
		}
		return nil
	})
	return time.Duration(ms * float64(time.Millisecond))
}
