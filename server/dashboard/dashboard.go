// Package dashboard is the web page on which people see what a server does, and change it. Its
// files are embedded, ask for nothing from elsewhere and need no step of a build.
//
// The page calls the server's own routes, as any client does: it has no way around their checks.
// It knows no transform. Who knows one brings a [View] of its results, or a [Page].
package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
)

// Path is where the dashboard is. It suits [server.Options.Home].
const Path = "/ui/"

// Policy is what the page may do, by Content-Security-Policy: it runs only the scripts that
// are embedded, and talks only with the server that it came from. Nobody can frame it.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed static
var static embed.FS

// Options are what a dashboard has beside what every server has.
type Options struct {
	// Views show results of transforms, and Pages what else there is to see.
	Views []View
	Pages []Page
	// Kinds are the kinds of events that the server has, as [server.Options.EventKinds]; default all.
	Kinds []event.Kind
}

// View is an ECMAScript module that shows one transform. Each of its exports may be left out: the
// default one, a function that makes an element of a result, which it gets with what static/kit.js
// exports; input, a JSON Schema for a form where the transform has none; and example, a first input.
type View struct {
	// Transform is the transform's name.
	Transform string
	Module    []byte
}

// Page is an ECMAScript module that is a page of its own. Its default export is a function of the
// element that is the page's and of {path, retitle, signal, kit}: what follows the page's ID in the
// address, a function that sets the title, an AbortSignal of the page's end, and what static/kit.js
// exports.
type Page struct {
	// ID is a word of lower-case letters, by which the address names the page. Title is the
	// word in the navigation.
	ID, Title string
	Module    []byte
}

// file is what a path answers.
type file struct {
	content   []byte
	mediaType string
	tag       string // ETag
}

var (
	pageID    = regexp.MustCompile(`^[a-z]{1,32}$`)
	viewFiles = regexp.MustCompile(`[^A-Za-z0-9_.-]`)
)

// Routes returns the routes of a dashboard, for [server.Options.Routes]. They are open to everybody:
// they are the same for all and tell nothing of the server. What the page then asks for is not.
func Routes(o Options) ([]server.Route, error) {
	files, err := o.files()
	if err != nil {
		return nil, err
	}
	tag := []server.Header{{Name: "Etag", Description: "The tag of the file as it is.", Always: true}}
	return []server.Route{
		{
			Method: http.MethodGet, Path: "/ui", Scope: auth.ScopeNone, Handler: redirect,
			Doc: server.Operation{ID: "dashboardHome", Summary: "leads to the dashboard", Status: http.StatusPermanentRedirect, Sends: []server.Header{
				{Name: "Location", Description: "The path of the dashboard.", Always: true},
			}},
		},
		{
			Method: http.MethodGet, Path: Path + "{file...}", Scope: auth.ScopeNone, Handler: files.serve,
			Doc: server.Operation{
				ID: "dashboard", Summary: "is the dashboard, for browsers",
				Path:     []server.Parameter{{Name: "file", Description: "A file of the dashboard; none is its page."}},
				Headers:  []server.Parameter{{Name: "If-None-Match", Description: "Tags of files that the client has."}},
				Response: []server.Body{{MediaType: "*/*", Description: "The file."}}, Sends: tag,
				Others: []server.Answer{{Status: http.StatusNotModified, Description: "The client has the file already.", Sends: tag}},
				Errors: []host.Kind{api.KindNotFound},
			},
		},
	}, nil
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "ui/", http.StatusPermanentRedirect)
}

type files map[string]file

// files are all files by their paths below [Path].
func (o Options) files() (files, error) {
	out := make(files)
	root, err := fs.Sub(static, "static")
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		out.add(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	out.add("", out["index.html"].content)
	return out, o.extend(out)
}

// extend adds the modules of others, and the list of them that the page reads.
func (o Options) extend(out files) error {
	type page struct {
		ID     string `json:"id"`
		Title  string `json:"title"`
		Module string `json:"module"`
	}
	list := struct {
		Views map[string]string `json:"views"`
		Pages []page            `json:"pages"`
		Kinds []string          `json:"kinds"`
		// Tenants are those of Kinds that come to who sees one tenant's tasks alone.
		Tenants []string `json:"tenants"`
	}{make(map[string]string), []page{}, []string{}, []string{}}
	kinds := o.Kinds
	if len(kinds) == 0 {
		kinds = event.Kinds()
	}
	for _, k := range kinds {
		list.Kinds = append(list.Kinds, k.String())
		if k.ForTenants() {
			list.Tenants = append(list.Tenants, k.String())
		}
	}
	for i, v := range o.Views {
		name := "views/" + viewFiles.ReplaceAllString(v.Transform, "-") + ".js"
		if _, twice := out[name]; twice || v.Transform == "" {
			return &abi.FieldError{Field: fmt.Sprintf("Views[%d].Transform", i), Rule: "must be a transform's name, and another for each"}
		}
		out.add(name, v.Module)
		list.Views[v.Transform] = name
	}
	for i, p := range o.Pages {
		name := "extra/" + p.ID + ".js"
		if _, twice := out[name]; twice || !pageID.MatchString(p.ID) || p.Title == "" {
			return &abi.FieldError{Field: fmt.Sprintf("Pages[%d]", i), Rule: "must have a title and an ID of lower-case letters, another for each"}
		}
		out.add(name, p.Module)
		list.Pages = append(list.Pages, page{p.ID, p.Title, name})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	out.add("extensions.json", text)
	return nil
}

func (f files) add(name string, content []byte) {
	sum := sha256.Sum256(content)
	kind := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}[path.Ext(name)]
	if kind == "" { // of the others the system's tables say nothing else
		kind = mime.TypeByExtension(path.Ext(name))
	}
	if name == "" {
		kind = "text/html; charset=utf-8"
	}
	f[name] = file{content, kind, `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// serve is GET /ui/{file...}.
func (f files) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", Policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	one, ok := f[r.PathValue("file")]
	if !ok {
		server.WriteProblem(w, api.New(api.KindNotFound, "the dashboard has no such file"))
		return
	}
	header.Set("Cache-Control", "no-cache") // but asked for again by its tag: a new server has new files
	header.Set("Etag", one.tag)
	if one.among(r.Header.Get("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", one.mediaType)
	header.Set("Content-Length", strconv.Itoa(len(one.content)))
	_, _ = w.Write(one.content) // the client has gone, or it arrives
}

// among reports whether a header If-None-Match has the file's tag. A part of a file is not to be had: files
// are short.
func (f *file) among(tags string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == f.tag || tag == "*" {
			return true
		}
	}
	return false
}
