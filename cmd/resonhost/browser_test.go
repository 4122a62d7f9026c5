package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// patience is how long a browser may take for what it does in a moment: machines with other work
// take long.
const patience = 3 * time.Minute

// newBrowser starts a headless Chromium, which ends with the test.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	at := -1
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for i, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			at = i
			break
		}
	}
	if at < 0 {
		t.Fatal("there is no Chromium to look at the dashboard with; on Debian: apt-get install chromium")
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(names[at]),
		chromedp.NoSandbox, // which root has not; all that this browser sees is the test's own
		chromedp.WSURLReadTimeout(patience),
		chromedp.UserDataDir(t.TempDir()))
	allocator, end := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("Chromium does not start: ", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
		stop()
		end()
	})
	return ctx
}

// tab is a page of a browser that a test looks at.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex
	faults []string // guarded by mu: what the browser found wrong with the page
}

// watching has the page keep what its policy forbade, and how far it has jumped by itself.
const watching = `globalThis.violations = [];
addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sourceFile));
globalThis.jumped = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) jumped += e.value; }).observe({type: 'layout-shift', buffered: true});`

// newTab opens a tab with storage of its own.
func newTab(browser context.Context, t *testing.T, addr string, width, height int64, scheme string) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	b := &tab{t: t, ctx: ctx, base: "http://" + addr + "/ui/"}
	late := time.AfterFunc(patience, stop) // a browser that opens no tab ends the test, and not the time of all tests
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500,
		})
		if err == nil {
			_, err = cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
			})
		}
		if err == nil {
			_, err = cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watching})
		}
		return chromedp.Void{}, err
	})
	late.Stop()
	messages := chromedp.Console(ctx)
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the tab's end
			}
			b.hear(m)
		}
	})
	t.Cleanup(func() {
		b.check()
		stop()
		hearing.Wait()
	})
	return b
}

// hear keeps what the browser has to say of the page. That an answer was an error is the page's to
// show, and no fault of it.
func (b *tab) hear(m chromedp.ConsoleMessage) {
	if m.Source == "network" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf("%s %s: %s (%s:%d)", m.Type, m.Source, m.Text, m.URL, m.Line+1))
}

// check fails the test for what the browser found wrong so far.
func (b *tab) check() {
	b.t.Helper()
	forbidden := eval[[]string](b, `globalThis.violations ?? []`)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, fault := range append(forbidden, b.faults...) {
		b.t.Error("in the browser: " + fault)
	}
	b.faults = nil
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.ctx, context.CancelFunc(func() {})
	if chromedp.FromContext(b.ctx).Target != nil { // else the tab would end with the first of its actions
		ctx, cancel = context.WithTimeout(b.ctx, patience)
	}
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%v; the page shows:\n%s", err, b.shown())
	}
}

// eval returns what an expression of the page's script is.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// eval0 does what an expression of the page's script does.
func (b *tab) eval0(expression string) {
	b.t.Helper()
	eval[chromedp.Void](b, expression)
}

// shown is the page's text, for a test that fails.
func (b *tab) shown() string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// await waits until an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		switch {
		case eval[bool](b, `Boolean(`+expression+`)`):
			return
		case time.Now().After(until):
			b.shot("failed")
			b.t.Fatalf("not so: %s; the page shows:\n%s", expression, b.shown())
		}
	}
}

// awaitText waits until what a selector finds has a text.
func (b *tab) awaitText(selector, text string) {
	b.t.Helper()
	b.await(fmt.Sprintf(`[...document.querySelectorAll(%s)].some((e) => e.checkVisibility() && e.textContent.includes(%s))`, quoted(selector), quoted(text)))
}

// quoted is a string of the script's.
func quoted(s string) string {
	text, _ := json.Marshal(s) // of a string, which cannot fail
	return string(text)
}

// open shows a page of the dashboard.
func (b *tab) open(hash string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.base+hash)) // else only the part behind # would be another
	b.await(`document.querySelector('h1')`)
}

// click presses what has that text, or what the selector finds if there is no text.
func (b *tab) click(selector, text string) {
	b.t.Helper()
	found := fmt.Sprintf(`[...document.querySelectorAll(%s)].find((e) => e.checkVisibility() && e.textContent.includes(%s))`, quoted(selector), quoted(text))
	for until := time.Now().Add(patience); ; {
		at := b.steady(found)
		b.do(chromedp.MouseClickXY(at[0], at[1]))
		for range 50 { // who has left the page has left the answer with it
			if eval[bool](b, `globalThis.pressed !== false`) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		if time.Now().After(until) {
			b.t.Fatalf("%s moves away whenever it is pressed; the page shows:\n%s", found, b.shown())
		}
	}
}

// steady waits until an element stays where it is, as what a page loads may move it, and returns its
// middle. The script's pressed then says whether it was pressed.
func (b *tab) steady(found string) (at [2]float64) {
	b.t.Helper()
	was := [2]float64{-1, -1}
	for range 40 {
		b.await(found)
		at = eval[[2]float64](b, `(() => { const e = `+found+`; if (!e) return [-2, -2]; e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();
			if (globalThis.aim !== e) { globalThis.aim = e; e.addEventListener('click', () => { globalThis.pressed = true; globalThis.aim = null; }, {once: true, capture: true}); }
			globalThis.pressed = false; return [r.x + r.width / 2, r.y + r.height / 2]; })()`)
		if at == was && at[0] >= 0 {
			break
		}
		was = at
		time.Sleep(50 * time.Millisecond)
	}
	return at
}

// fill writes into a control, as a person does.
func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.await(`document.querySelector(` + quoted(selector) + `)`)
	b.eval0(`(() => { const e = document.querySelector(` + quoted(selector) + `); e.focus(); e.select?.(); })()`)
	b.do(chromedp.KeyEvent(text))
}

// shot keeps what the page looks like in bin/dashboard.
func (b *tab) shot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	dir := filepath.Join(guesttest.Root(), "bin", "dashboard")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
