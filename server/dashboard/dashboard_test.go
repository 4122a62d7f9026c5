package dashboard_test

import (
	"errors"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/dashboard"
)

// serve returns the handler of a dashboard.
func serve(t *testing.T, o dashboard.Options) http.Handler {
	t.Helper()
	routes, err := dashboard.Routes(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range routes {
		if r.Scope != auth.ScopeNone || r.Doc.Summary == "" || r.Doc.ID == "" {
			t.Errorf("%+v", r)
		}
		mux.Handle(r.Method+" "+r.Path, r.Handler)
	}
	return mux
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestFiles asks for what there is, and for what there is not.
func TestFiles(t *testing.T) {
	h := serve(t, dashboard.Options{
		Views: []dashboard.View{{Transform: "a.b/c", Module: []byte("export default 1")}},
		Pages: []dashboard.Page{{ID: "extra", Title: "Extra", Module: []byte("export default 2")}},
		Kinds: []event.Kind{event.KindPluginChanged, event.KindPluginLogged},
	})
	for path, want := range map[string]struct{ mediaType, body string }{
		"/ui/":                {"text/html; charset=utf-8", "<!doctype html>"},
		"/ui/app.js":          {"text/javascript; charset=utf-8", "import "},
		"/ui/style.css":       {"text/css; charset=utf-8", ":root"},
		"/ui/icon.svg":        {"image/svg+xml", "<svg"},
		"/ui/views/a.b-c.js":  {"text/javascript; charset=utf-8", "export default 1"},
		"/ui/extra/extra.js":  {"text/javascript; charset=utf-8", "export default 2"},
		"/ui/extensions.json": {"application/json", `{"views":{"a.b/c":"views/a.b-c.js"},"pages":[{"id":"extra","title":"Extra","module":"extra/extra.js"}],"kinds":["plugin.changed","plugin.logged"],"tenants":["plugin.changed"]}`},
	} {
		w := get(h, path)
		head := w.Header()
		if w.Code != http.StatusOK || head.Get("Content-Type") != want.mediaType || !strings.Contains(w.Body.String(), want.body) {
			t.Errorf("%s: %d %v %.60s", path, w.Code, head, w.Body)
		}
		for name, value := range map[string]string{
			"Content-Security-Policy": dashboard.Policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-cache",
		} {
			if head.Get(name) != value {
				t.Errorf("%s: %s is %q", path, name, head.Get(name))
			}
		}
		if again := get(h, path, "If-None-Match", head.Get("Etag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s a second time: %d", path, again.Code)
		}
	}
	for path, want := range map[string]int{
		"/ui/nonesuch.js": http.StatusNotFound, "/ui/pages": http.StatusNotFound, "/ui/static/app.js": http.StatusNotFound, "/ui/index.html/": http.StatusNotFound,
	} {
		if w := get(h, path); w.Code != want || w.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"kind":"not_found"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := get(h, "/ui"); w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "/ui/" {
		t.Errorf("/ui: %d %v", w.Code, w.Header())
	}
}

// TestPolicy has each directive by which the page is kept from others, and they from it.
func TestPolicy(t *testing.T) {
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !slices.Contains(strings.Split(dashboard.Policy, "; "), directive) {
			t.Errorf("the policy lacks %s", directive)
		}
	}
	if strings.Contains(dashboard.Policy, "unsafe") {
		t.Error("the policy allows what is unsafe")
	}
}

func TestOptions(t *testing.T) {
	view, page := dashboard.View{Transform: "a"}, dashboard.Page{ID: "a", Title: "A"}
	for name, c := range map[string]struct {
		options dashboard.Options
		field   string
	}{
		"no transform":   {dashboard.Options{Views: []dashboard.View{{}}}, "Views[0].Transform"},
		"a view twice":   {dashboard.Options{Views: []dashboard.View{view, view}}, "Views[1].Transform"},
		"no title":       {dashboard.Options{Pages: []dashboard.Page{{ID: "a"}}}, "Pages[0]"},
		"a page twice":   {dashboard.Options{Pages: []dashboard.Page{page, page}}, "Pages[1]"},
		"a path as page": {dashboard.Options{Pages: []dashboard.Page{{ID: "../a", Title: "A"}}}, "Pages[0]"},
	} {
		_, err := dashboard.Routes(c.options)
		if f := (*abi.FieldError)(nil); !errors.As(err, &f) || f.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestContrast has text stand out from what it is on by 4.5, and what is drawn by 3, as WCAG 2.2 has it
// at level AA, in both schemes.
func TestContrast(t *testing.T) {
	style, err := os.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllSubmatch(style, -1)
	if len(schemes) != 2 {
		t.Fatalf("%d schemes", len(schemes))
	}
	for i, scheme := range schemes {
		colors := make(map[string]float64)
		for _, m := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`).FindAllSubmatch(scheme[1], -1) {
			rgb, err := strconv.ParseUint(string(m[2]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			colors[string(m[1])] = luminance(rgb)
		}
		for _, c := range []struct {
			least    float64
			on, over string
		}{
			{4.5, "ink soft accent", "ground plate sunk wash"},
			{4.5, "ok warn bad info", "ground plate sunk"},
			{4.5, "ok", "ok-wash"}, {4.5, "warn ink", "warn-wash"}, {4.5, "bad ink", "bad-wash"}, {4.5, "info ink", "info-wash"},
			{4.5, "on-accent", "accent"}, {4.5, "plate", "bad"},
			{3, "c0 c1 c2 c3 c4 c5", "plate sunk"},
		} {
			for on := range strings.FieldsSeq(c.on) {
				for over := range strings.FieldsSeq(c.over) {
					a, okA := colors[on]
					b, okB := colors[over]
					if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); !okA || !okB || ratio < c.least {
						t.Errorf("scheme %d: %s on %s stands out by %.2f, want %g", i, on, over, ratio, c.least)
					}
				}
			}
		}
	}
}

// luminance is that of a color of sRGB, relative to white.
func luminance(rgb uint64) (l float64) {
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		v := float64(rgb>>(8*i)&0xff) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}

// TestSources holds the page's own files to what its policy and its offline use need: nothing makes
// markup or code of text, and nothing is asked for elsewhere.
func TestSources(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:|localStorage|style="|` +
		`(?:https?:)?//[a-z]+\.[a-z]`)
	imported := regexp.MustCompile(`(?:from|import\() ?'([^']*)'`)
	count := 0
	err := filepath.WalkDir("static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		count++
		source := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "") // a name, and no address
		if found := forbidden.FindString(source); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		if n := strings.Count(source, "\n"); n > 600 {
			t.Errorf("%s has %d lines", name, n)
		}
		for _, m := range imported.FindAllStringSubmatch(source, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s imports %s: %v", name, m[1], err)
			}
		}
		return nil
	})
	if err != nil || count < 10 {
		t.Errorf("%d files, err %v", count, err)
	}
}
