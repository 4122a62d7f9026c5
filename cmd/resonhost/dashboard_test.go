package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/dashboard"
)

// TestDashboard looks at the dashboard of a real server in a real browser.
func TestDashboard(t *testing.T) {
	dir := guesttest.Dir(t, guesttest.Cascade, guesttest.Tick)
	put := func(t *testing.T, name string, data []byte) {
		t.Helper()
		temp := filepath.Join(dir, "."+name)
		if err := os.WriteFile(temp, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v1", Mode: 'f'}))
	put(t, "trial.wasm", trial(t, "v1"))
	put(t, "noisy.wasm", guesttest.HandWritten(t, "hostile"))
	config := filepath.Join(t.TempDir(), "resonhost.yaml")
	if err := os.WriteFile(config, []byte("compile_timeout: 1h\ninit_timeout: 1h\nrun_timeout: 1m\nplugin_overrides: {trial: {canary: 50%, canary_time: 1h}, noisy: {log_bytes_per_second: 1KiB}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startRun(t, "--plugins", dir, "--config", config)
	relay := newRelay(t, d.addr)
	dash := &dashboardTest{daemonTest: d, relay: relay, browser: newBrowser(t), dir: dir, put: put}
	for _, c := range []struct {
		name string
		test func(*testing.T, *dashboardTest)
	}{
		{"newcomer", testNewcomer}, {"buttons", testButtons}, {"form", testForm}, {"keyboard", testKeyboard},
		{"jobs", testJobs}, {"networks", testNetworks}, {"sign in", testSignIn}, {"strange answer", testStrangeAnswer}, {"events", testEvents}, {"logs", testLogs}, {"many refused", testManyRefused}, {"other origin", testOtherOrigin}, {"gone", testGone}, {"looks", testLooks}, {"markup", testMarkup},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, dash) })
	}
}

// trial is a version of a plugin whose new versions are canaries.
func trial(t *testing.T, version string) []byte {
	return guesttest.Swap(t, guesttest.Version{Tag: version, Manifest: `{"name": "trial", "version": "` + version +
		`", "transforms": [{"name": "trial", "input": "text/plain", "output": "text/plain", "state_bytes": 16}]}`})
}

type dashboardTest struct {
	*daemonTest

	relay   *relay
	browser context.Context
	dir     string // of the plugins
	// put saves a file in the plugin directory.
	put func(t *testing.T, name string, data []byte)
}

func (d *dashboardTest) tab(t *testing.T) *tab {
	return newTab(d.browser, t, d.addr, 1280, 900, "light")
}

// testNewcomer walks the path of somebody who has just started the server.
func testNewcomer(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.do(chromedp.Navigate("http://" + d.addr + "/")) // which leads there
	b.awaitText("h1", "Overview")
	b.awaitText("#foot", "Live")
	b.awaitText(".empty-title", "No task has run yet")
	b.shot("overview-empty")

	b.click("nav a", "Transforms")
	b.click("a.transform strong", "cascade")
	b.click("button", "Run")
	b.awaitText(".badge", "ok")
	b.awaitText("h3", "Octave resonance")
	b.await(`document.querySelectorAll('.drawing svg rect.column').length === 8`)
	b.await(`document.querySelectorAll('.drawing ul[aria-label="Emotional spectrum"] li').length === 5`)
	b.click("summary", "As JSON")
	b.awaitText("pre", `"harmonicScore"`)
	b.eval0(`document.querySelector('.side').scrollIntoView()`)
	b.shot("transform")

	b.click("nav a", "Overview")
	b.await(`document.querySelectorAll('.page-overview path.line').length > 0 && resonhost.live.samples.some((one) => one.transforms.get('cascade')?.ok > 0)`)
	b.await(`!document.body.innerText.includes('No task has run yet')`)

	d.put(t, "swap.wasm", guesttest.HandWritten(t, "no-run"))
	b.awaitText(".notice", "The newest version of swap does not serve: it failed at link. Version v1 goes on.")
	b.click(".notice a", "Plugins")
	b.awaitText(".callout.bad", "Refused at link")
	b.awaitText(".callout .reason", "does not export the function resonhost_run")
	b.awaitText(".badge", "newest refused")
	b.awaitText(".timeline", "refused")
	b.awaitText(".timeline .reason", "does not export the function resonhost_run")
	b.shot("plugins-refused")

	d.put(t, "swap.wasm", guesttest.Swap(t, guesttest.Version{Tag: "v2", Mode: 'f'}))
	b.awaitText("#plugin-swap + .version", "v2")
	b.await(`!document.querySelector('.callout.bad')`)
	b.click(".chips a", "swap")
	b.fill("#in", "x")
	b.click("button", "Run")
	b.awaitText("pre", `"`+guesttest.SwapTag("v2")+`"`)
}

// testButtons presses what an operator can.
func testButtons(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.open("#/plugins")
	press := func(text string) {
		t.Helper()
		b.click(`article[aria-labelledby="plugin-swap"] button`, text)
	}
	outcome := func(text string) {
		t.Helper()
		b.awaitText(`article[aria-labelledby="plugin-swap"] .outcome`, text)
	}
	press("Reload")
	outcome("swap is unchanged: the file is what serves.")
	press("Promote")
	outcome("No version is on trial.")
	press("Roll back")
	b.awaitText("dialog h2", "Roll swap back?")
	b.click("dialog button", "Cancel")
	b.await(`!document.querySelector('dialog').open`)
	outcome("No version is on trial.") // nothing was done
	press("Roll back")
	b.click("dialog button", "Roll back")
	outcome("swap was rolled back.")
	b.awaitText("#plugin-swap + .version", "v1")
	press("Pause")
	b.awaitText("dialog h2", "Pause swap?")
	b.click("dialog button", "Pause")
	outcome("swap is paused.")
	b.awaitText(`article[aria-labelledby="plugin-swap"] .badge`, "paused")

	b.open("#/transforms/swap")
	b.click("button", "Run")
	b.awaitText(".callout.bad", "unavailable (503)")
	b.awaitText(".callout.bad .reason", "plugin is paused")
	b.open("#/plugins")
	press("Resume")
	outcome("swap takes tasks again.")
	press("Reload")
	outcome("swap was replaced by a new version.")

	d.put(t, "trial.wasm", trial(t, "v2"))
	b.awaitText(`article[aria-labelledby="plugin-trial"] .callout`, "Version v2 is on trial")
	b.awaitText(`article[aria-labelledby="plugin-trial"] .callout`, "with 50 % of the tasks")
	b.click(`article[aria-labelledby="plugin-trial"] button`, "Promote")
	b.awaitText(`article[aria-labelledby="plugin-trial"] .outcome`, "trial serves by its new version alone.")
	b.awaitText("#plugin-trial + .version", "v2")
	b.await(`!document.querySelector('.callout.info')`)
}

// testForm gives a transform what it does not take.
func testForm(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.open("#/transforms/cascade")
	b.fill(`[id="in.phiValue"]`, "1e30")
	b.click("button", "Run")
	b.awaitText(`[id="in.phiValue-fault"]`, "phiValue: ")
	b.await(`document.getElementById('in.phiValue').getAttribute('aria-invalid') === 'true'`)
	b.awaitText(".callout.bad", "invalid argument (400)")
	b.fill(`[id="in.phiValue"]`, "1.618")
	b.click(".switch button", "JSON")
	b.await(`JSON.parse(document.getElementById('document').value).phiValue === 1.618`)
	b.fill("#document", "{")
	b.click("button", "Run")
	b.awaitText("#document-fault", "is no JSON")
	b.fill("#document", `{"awarenessLevel": 0.25, "detail": "summary"}`)
	b.click(".switch button", "Form")
	b.await(`document.getElementById('in.awarenessLevel').value === '0.25' && document.getElementById('in.phiValue').value === ''`)
	b.click("button", "Run")
	b.awaitText(".badge", "ok")
	for _, name := range []string{"tick.node", "tick.network", "tick.connection"} { // what they begin with runs
		b.open("#/transforms/" + name)
		b.click("button", "Run")
		b.awaitText(".badge", "ok")
	}
	b.open("#/transforms/nonesuch")
	b.awaitText(".empty-title", "There is no transform nonesuch")

	b.open("#/transforms/swap")
	b.fill("#in", "!")
	b.click("button", "Run")
	b.awaitText(".callout.bad", "failed (422)")
}

// testKeyboard does without a mouse.
func testKeyboard(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.open("#/")
	press := func(keys ...string) {
		t.Helper()
		b.do(chromedp.KeyEvent(strings.Join(keys, "")))
	}
	focused := func(what string) {
		t.Helper()
		b.await(`document.activeElement.matches(` + quoted(what) + `)`)
	}
	press(kb.Tab)
	focused("#skip")
	press(kb.Enter)
	focused("main")
	b.await(`location.hash === '#/'`)
	b.open("#/transforms")
	press(kb.Tab, kb.Tab, kb.Tab, kb.Tab)
	focused(`nav a[data-page="plugins"]`)
	b.await(`getComputedStyle(document.activeElement).outlineStyle !== 'none'`)
	press(kb.Enter)
	b.awaitText("h1", "Plugins")
	focused("h1")
	b.await(`document.querySelector('nav a[aria-current]').dataset.page === 'plugins'`)
	b.awaitText("h2", "swap")
	b.eval0(`document.querySelector('article[aria-labelledby="plugin-swap"] button[data-focus="pause"]').focus()`)
	press(kb.Enter)
	b.awaitText("dialog h2", "Pause swap?")
	press(kb.Escape)
	b.await(`!document.querySelector('dialog').open`)
	focused(`button[data-focus="pause"]`)
	b.await(`!document.querySelector('.badges .badge.warn')`)

	b.open("#/transforms/cascade")
	b.fill(`[id="in.phiValue"]`, "1")
	press(kb.Enter) // runs it
	b.awaitText(".badge", "ok")
	// All that can be pressed or filled in says what it is, and there are landmarks.
	for _, hash := range []string{"#/", "#/plugins", "#/transforms", "#/transforms/cascade", "#/network", "#/jobs", "#/events", "#/logs"} {
		b.open(hash)
		b.awaitText("#foot", "Live")
		if nameless := eval[[]string](b, `[...document.querySelectorAll('button, a, input, select, textarea, summary, svg[role=img]')]
			.filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length || e.title)).map((e) => e.outerHTML)`); len(nameless) > 0 {
			t.Errorf("%s: these have no name: %q", hash, nameless)
		}
		b.await(`document.querySelectorAll('main').length === 1 && document.querySelectorAll('h1').length === 1 && document.querySelector('nav[aria-label]') && document.title.endsWith('resonhost')`)
	}
}

// testJobs hands work over, reads what came of it, and cancels.
func testJobs(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.open("#/jobs")
	b.awaitText(".empty-title", "No job")
	b.fill("#job-transform", "nonesuch")
	b.click("button", "Hand over")
	b.awaitText(".fault", `no plugin has a transform "nonesuch"`)
	b.fill("#job-transform", "cascade")
	b.eval0(`document.getElementById('job-lines').value = '{"detail": "summary"}\n{"phiVale": 1}'`)
	b.click("button", "Hand over")
	b.awaitText("#job-said", "The server has taken the job.")
	b.awaitText(".badge", "done")
	b.awaitText("article .note", "2 of 2 tasks, 1 failed")
	b.click("article button", "Results")
	b.awaitText("article pre", `"harmonicScore"`)
	b.awaitText("article pre", `did you mean \"phiValue\"?`)
	b.shot("jobs")
	b.click("article button", "Forget")
	b.await(`!document.querySelector('article')`)
	b.click("button", "Hand over")
	b.awaitText(".badge", "done") // for those who look later
}

// testNetworks makes a network, watches it, and stops a node.
func testNetworks(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.open("#/")
	// Who leaves while the page's module comes sees nothing of it.
	b.eval0(`addEventListener('hashchange', () => { location.hash = '#/plugins'; }, {once: true}); location.hash = '#/network/left'`)
	b.awaitText("h1", "Plugins")
	b.await(`performance.getEntriesByType('resource').some((e) => e.name.endsWith('/kit.js'))`)
	b.awaitText("h2", "swap")
	if title := eval[string](b, `document.title`); title != "Plugins · resonhost" {
		t.Errorf("the title is %q, of a page that was left", title)
	}
	b.open("#/network")
	b.awaitText(".empty-title", "No network")
	b.fill("#network-id", "spiral")
	b.click("button", "Create a network")
	b.awaitText("h1", "spiral")
	b.awaitText(".note", "34 nodes with 47 bonds")
	b.await(`document.querySelectorAll('.spiral circle').length === 34 && document.querySelectorAll('.spiral line').length === 47`)
	b.eval0(`globalThis.ticks = document.querySelectorAll('.figure')[4].textContent`)
	b.await(`document.querySelectorAll('.figure')[4].textContent !== ticks`)
	b.shot("network")
	b.eval0(`document.querySelector('.spiral circle').focus()`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.click(".callout button", "Stop")
	b.awaitText(".callout", "stopped")
	b.await(`document.querySelectorAll('.spiral circle.stopped').length === 1`)
	b.click(".callout button", "Resume")
	b.awaitText(".callout", "resonating")
	b.click("summary", "Nodes as a table")
	b.awaitText("td", "Hz")

	b.open("#/network")
	b.fill("#network-id", "other")
	b.fill("#nodes", "3")
	b.click("button", "Create a network")
	b.awaitText("h1", "other")
	b.click("button", "Delete the network")
	b.click("dialog button", "Delete")
	b.awaitText("h1", "Networks")
	b.awaitText("strong", "spiral")
	b.await(`![...document.querySelectorAll('strong')].some((e) => e.textContent === 'other')`)
}

// testSignIn has a server that asks who calls, and somebody who may look and not touch.
func testSignIn(t *testing.T, d *dashboardTest) {
	kinds := []event.Kind{event.KindPluginChanged, event.KindTaskCompleted, event.KindStateSaved}
	bus := event.New(0)
	t.Cleanup(func() { _ = bus.Close(context.Background()) })
	h := hosted.Start(t, host.Config{Events: bus, Plugins: []host.Source{{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{Tag: "v1"})}}})
	pages, err := dashboard.Routes(dashboard.Options{Kinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	reader, hashed := auth.NewToken()
	wrong, _ := auth.NewToken()
	who := auth.New(auth.Options{})
	if _, err := who.SetTokens([]byte("reader " + hashed + " scopes=read\n")); err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(h, resonance.Codecs(), server.Options{Identity: who, Routes: pages, Home: dashboard.Path, Events: bus, EventKinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(srv.Handler())
	web.Config.ConnContext = server.ConnContext
	web.Start()
	t.Cleanup(func() {
		srv.SetDraining()
		web.Close()
	})
	b := newTab(d.browser, t, web.Listener.Addr().String(), 1280, 900, "light")
	b.open("#/plugins")
	b.awaitText("dialog h2", "Sign in")
	b.shot("sign-in")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.awaitText("#banner", "Nothing is shown until you sign in.")
	b.awaitText("#foot", "Not signed in")
	b.click("nav a", "Jobs") // which are asked for over and over, and nobody is asked again
	b.await(`performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/v1/jobs')).length > 1 && !document.querySelector('dialog').open`)
	b.click("nav a", "Plugins")
	// Who looks for a token may take longer than an answer may.
	b.eval0(`globalThis.kinds = []; globalThis.ends = [];
		new MutationObserver(() => kinds.push(banner.dataset.kind)).observe(banner, {attributes: true});
		globalThis.timeout = AbortSignal.timeout;
		AbortSignal.timeout = () => { const end = new AbortController(); ends.push(end); return end.signal; }`)
	b.click("#banner button", "Sign in")
	b.awaitText("dialog h2", "Sign in")
	b.eval0(`AbortSignal.timeout = timeout; for (const end of ends) end.abort(new DOMException('late', 'TimeoutError'))`)
	b.fill("#token", wrong)
	b.click("dialog button", "Sign in")
	b.awaitText("#token-fault", "The server did not take that token.")
	b.fill("#token", reader)
	b.click("dialog button", "Sign in")
	b.awaitText("#foot", "Live")
	b.awaitText("h2", "swap")
	if eval[bool](b, `kinds.includes('gone')`) {
		t.Error("the page took the time that somebody looked for a token for the server's")
	}
	b.await(`document.getElementById('banner').textContent === '' && localStorage.length === 0 && document.cookie === ''`)
	// The page knows before a button is pressed.
	b.await(`[...document.querySelectorAll('article .row button')].every((e) => e.getAttribute('aria-disabled') === 'true' && e.title.includes('admin'))`)
	b.click("article button", "Reload")
	b.awaitText(".outcome.bad", "admin")
	b.open("#/transforms/swap")
	b.awaitText(".hint", "Your token has no scope call, which runs tasks, jobs and networks.")
	b.await(`document.querySelector('button.primary').getAttribute('aria-disabled') === 'true'`)
	b.open("#/jobs")
	b.awaitText(".hint", "Your token has no scope call")
	// What may tell of all tenants is not for the reader, and the rest comes.
	b.await(`resonhost.feed.state === 'open' && resonhost.feed.kinds.join() === 'plugin.changed'`)
	b.click("button", "Sign out")
	b.awaitText("dialog h2", "Sign in")
}

// testEvents filters what happened, and has each task told of.
func testEvents(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.open("#/events")
	b.awaitText(".event-text", "swap v2 swapped")
	b.fill("#filter", "no-such-thing")
	b.awaitText(".empty-title", "No event is as you ask")
	b.fill("#filter", "cascade")
	b.awaitText(".event-text", "cascade 1.0.0 ready")
	b.await(`document.querySelectorAll('.event').length === 1`)
	b.click("summary", "All of it")
	b.awaitText("pre", `"change": "ready"`)
	b.click("label", "task.completed")
	b.await(`resonhost.feed.kinds.includes('task.completed') && resonhost.feed.state === 'open'`)
	d.post(t, "cascade", "application/json", strings.NewReader("{}"))
	b.awaitText(".event .tag", "task.completed")
	b.click("button", "Hold still")
	d.post(t, "cascade", "application/json", strings.NewReader("{}"))
	b.awaitText("p.note", "Held: 1 newer.")
	b.await(`document.querySelectorAll('.event').length === 2`)
	b.click("button", "Hold still")
	b.await(`document.querySelectorAll('.event').length === 3`)
	b.click("label", "plugin.changed")
	b.await(`document.querySelectorAll('.event').length === 2`)
	// The server writes down each task for nobody once no page shows them.
	b.click("nav a", "Plugins")
	b.await(`!resonhost.feed.kinds.includes('task.completed') && resonhost.feed.state === 'open'`)
}

// testLogs reads what a plugin writes.
func testLogs(t *testing.T, d *dashboardTest) {
	write := func(transform string) {
		t.Helper()
		if code, body := d.post(t, transform, "application/octet-stream", strings.NewReader("!")); code != http.StatusOK {
			t.Fatalf("%s: %d %s", transform, code, body)
		}
	}
	b := d.tab(t)
	b.open("#/logs/swap")
	b.awaitText("h1", "Log of swap")
	b.awaitText(".empty-title", "Nothing is written yet")
	b.open("#/plugins")
	b.click(`article[aria-labelledby="plugin-noisy"] a`, "Log")
	b.awaitText("h1", "Log of noisy")
	b.await(`document.getElementById('log-plugin').value === 'noisy'`)
	write("hostile.loglevel")
	b.awaitText(".line-of.error .badge", "error")
	// What a plugin writes as an escape sequence or markup is text.
	b.await(`[...document.querySelectorAll('.said')].some((e) => e.textContent.includes('\x1b')) && !document.querySelector('.said img')`)
	b.click("button", "Hold still")
	write("hostile.loglevel")
	b.awaitText("p.note", "Held: 1 newer.")
	b.click("button", "Hold still")
	b.await(`document.querySelectorAll('.line-of').length === 2`)
	b.fill("#log-filter", "no-such-thing")
	b.awaitText(".empty-title", "No line is as you ask")
	b.open("#/logs")
	b.awaitText(".line-of a", "hostile")
	write("hostile.write")
	b.awaitText(".said", "the plugin logs more than it may; lines are dropped and counted")
	b.eval0(`(() => { const e = document.getElementById('log-level'); e.value = '3'; e.dispatchEvent(new Event('change')); })()`)
	b.await(`document.querySelectorAll('.line-of').length === 2 && [...document.querySelectorAll('.line-of')].every((e) => e.classList.contains('error'))`)
}

// testManyRefused has more plugins refused than the overview has lines for.
func testManyRefused(t *testing.T, d *dashboardTest) {
	var names []string
	for _, name := range []string{"bad-a", "bad-b", "bad-c", "bad-d"} {
		names = append(names, name+".wasm")
		d.put(t, name+".wasm", guesttest.HandWritten(t, "no-run"))
	}
	b := d.tab(t)
	b.open("#/")
	b.awaitText(".notice", "The newest versions of 4 plugins do not serve.")
	b.await(`document.querySelectorAll('.notice').length === 1`)
	b.click(".notice a", "Plugins")
	b.await(`document.querySelectorAll('.callout.bad').length === 4`)
	for _, name := range names {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Error(err)
		}
	}
	b.await(`!document.querySelector('.callout.bad')`)
}

// testOtherOrigin has a page of another origin try what the dashboard's buttons do.
func testOtherOrigin(t *testing.T, d *dashboardTest) {
	b := d.tab(t)
	b.do(chromedp.Navigate("http://" + d.relay.addr() + "/healthz")) // where no policy forbids it
	b.eval0(`globalThis.sent = false;
		fetch(` + quoted("http://"+d.addr+"/v1/plugins/swap/pause") + `, {method: 'POST', mode: 'no-cors'}).then(() => { sent = true; })`)
	b.await(`sent`) // and answered
	if _, list := d.get(t, "/v1/plugins"); !strings.Contains(list, `"source":"swap"`) || strings.Contains(list, `"paused":true`) {
		t.Errorf("a page of another origin paused a plugin: %s", list)
	}
}

// contrast lists text that stands out too little from what is behind it: by less than 4.5, or 3 of
// what is large, as WCAG 2.2 has it at level AA.
const contrast = `(() => {
	const parse = (text) => { const m = text.match(/[\d.]+/g).map(Number); return text.startsWith('color(') ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
	const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
	const found = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('script, option, [disabled], [aria-disabled]')) continue;
		const style = getComputedStyle(e);
		const [a, b] = [light(parse(e instanceof SVGElement ? style.fill : style.color)), light(behind(e))].sort((x, y) => y - x);
		const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
		if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) found.push(((a + 0.05) / (b + 0.05)).toFixed(2) + ' ' + walker.currentNode.data.trim());
	}
	return found;
})()`

// testSteady has the page stay where it is while its figures change, and what has the focus keep it: the
// element, or the one that was made anew in its place.
func testSteady(t *testing.T, b *tab, name string) {
	t.Helper()
	b.eval0(`globalThis.jumped = 0; globalThis.aimed = document.querySelector('.steady a, main .page a, main button'); aimed.focus({preventScroll: true});
		globalThis.until = resonhost.live.samples.at(-1)`)
	b.await(`resonhost.live.samples.indexOf(until) < resonhost.live.samples.length - 2`)
	if jumped := eval[float64](b, `jumped`); jumped > 0.02 {
		t.Errorf("%s has jumped by %.3f", name, jumped)
	}
	if lost := eval[string](b, `[aimed, document.querySelector('[data-focus="' + aimed.dataset.focus + '"]')].includes(document.activeElement) ? '' : aimed.outerHTML`); lost != "" {
		t.Errorf("%s: the focus was lost from %s", name, lost)
	}
}

// testMarkup has a plugin whose words are markup.
func testMarkup(t *testing.T, d *dashboardTest) {
	const evil = `<img src=x onerror=alert(1)>`
	schema := `{"type": "string", "title": "` + evil + `", "description": "` + evil + `"}`
	d.put(t, "evil.wasm", guesttest.Swap(t, guesttest.Version{Tag: evil[:16], Manifest: `{"name": "evil", "version": "1",
		"transforms": [{"name": "evil", "input": "text/plain", "output": "text/plain", "state_bytes": 16, "input_schema": ` + schema + `}]}`}))
	b := d.tab(t)
	b.open("#/transforms/evil")
	b.awaitText("label", evil)
	b.awaitText(".hint", evil)
	b.fill("#in", "1")
	b.click("button", "Run")
	b.awaitText("pre", evil[:16])
	b.open("#/transforms/" + evil)
	b.awaitText("h1", evil)
	b.await(`!document.querySelector('main img')`)
}
