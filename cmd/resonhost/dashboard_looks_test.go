package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testLooks has each page at the width of a desk and of a phone, by light and by dark, while tasks run.
func testLooks(t *testing.T, d *dashboardTest) {
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer cancel()
	load.Go(func() {
		for ctx.Err() == nil {
			d.post(t, "cascade", "application/json", strings.NewReader(`{"awarenessLevel": 0.5, "detail": "summary"}`))
			d.post(t, "swap", "text/plain", strings.NewReader("!"))
		}
	})
	d.put(t, "broken.wasm", []byte("\x00asm\x01\x00\x00\x00 and then something else that is no module"))
	for _, c := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"tablet", "light", 768, 1024}, {"phone", "light", 390, 844}, {"phone-dark", "dark", 375, 812}} {
		b := newTab(d.browser, t, d.addr, c.width, c.height, c.scheme)
		b.open("#/")
		b.await(`resonhost.live.samples.length > 2 && resonhost.live.plugins.some((p) => p.source === 'broken' && p.failure)`)
		for _, page := range []struct{ name, hash, selector, text string }{
			{"overview", "#/", ".figure", "/s"},
			{"plugins", "#/plugins", ".callout.bad", "Refused at inspect"},
			{"transforms", "#/transforms", "a.transform", "cascade"},
			{"cascade", "#/transforms/cascade", "button", "Run"},
			{"text", "#/transforms/swap", "button", "Run"},
			{"tick", "#/transforms/tick.network", "button", "Run"},
			{"networks", "#/network", "strong", "spiral"},
			{"network", "#/network/spiral", ".note", "34 nodes with 47 bonds"},
			{"jobs", "#/jobs", ".badge", "done"},
			{"events", "#/events", "label", "Contains"},
			{"logs", "#/logs", ".said", "forged"},
		} {
			b.eval0(`location.hash = ` + quoted(page.hash))
			b.awaitText(page.selector, page.text)
			if page.name == "cascade" {
				b.click("button", "Run")
				b.awaitText("h3", "Octave resonance")
			}
			if slices.Contains([]string{"overview", "plugins", "transforms", "cascade", "network"}, page.name) {
				testSteady(t, b, page.name+" of "+c.name)
			}
			looksWell(t, b, page.name+" of "+c.name)
			b.eval0(`scrollTo(0, document.body.scrollHeight)`)
			b.shot(page.name + "-below-" + c.name)
			b.eval0(`scrollTo(0, 0)`)
			b.shot(page.name + "-" + c.name)
		}
	}
	if err := os.Remove(filepath.Join(d.dir, "broken.wasm")); err != nil {
		t.Error(err)
	}
}

// looksWell has a page be no wider than its window, and all text be whole and stand out.
func looksWell(t *testing.T, b *tab, name string) {
	t.Helper()
	if wide := eval[[]string](b, `document.documentElement.scrollWidth > innerWidth ? [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll, pre')).map((e) => e.outerHTML.slice(0, 120)) : []`); len(wide) > 0 {
		t.Errorf("%s is wider than its window: %q", name, wide)
	}
	if cut := eval[[]string](b, clipped); len(cut) > 0 {
		t.Errorf("%s: text is cut off: %q", name, cut)
	}
	if pale := eval[[]string](b, contrast); len(pale) > 0 {
		t.Errorf("%s: text too pale: %q", name, pale)
	}
}

// clipped are elements with text of their own that does not fit into them, or that lies on another's.
const clipped = `(() => {
	const own = [...document.querySelectorAll('main *, .side *, #banner *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.checkVisibility() && !e.closest('.unseen, legend, pre, details:not([open]) > :not(summary), option'));
	const cut = own.filter((e) => e instanceof HTMLElement && !/^(TEXTAREA|INPUT|SELECT)$/.test(e.tagName) && getComputedStyle(e).overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1);
	const boxes = own.flatMap((e) => [...e.childNodes].filter((n) => n.nodeType === 3 && n.data.trim()).flatMap((n) => {
		const range = document.createRange();
		range.selectNodeContents(n);
		return [...range.getClientRects()].map((box) => ({e, box}));
	})).filter(({e, box}) => box.width > 1 && box.height > 1 && !e.closest('nav, .skip, .scroll, .steady'));
	const on = boxes.filter((one, i) => boxes.some((other, j) => j > i && other.e !== one.e && Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left) > 1.5 &&
		Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top) > 4));
	return [...cut, ...on.map(({e}) => e)].map((e) => e.outerHTML.slice(0, 120));
})()`
