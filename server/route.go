package server

import (
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server/auth"
)

// Route is one row of the table of routes, which all read that must know them: who takes requests,
// who lists paths and parameters, and who describes them.
type Route struct {
	// Method and Path are those of [http.ServeMux]. GET stands for HEAD too. Several routes may
	// have a path, each with a method of its own.
	Method, Path string
	// Scope is what a caller must be allowed, where Options.Identity is set. The handler asks
	// [auth.Of] who it is.
	Scope auth.Scope
	// Query are the query parameters that are taken. Others are refused.
	Query []Parameter
	// Handler answers. The server has checked names of parameters and headers before it.
	Handler http.HandlerFunc
	// Doc is what is said of the route.
	Doc Operation
}

// Parameter is a parameter of a path or a query, or a header.
type Parameter struct {
	// Name is the parameter's; [AnyParameter] of a query stands for whatever there is. One that
	// ends with [] may be there more than once.
	Name        string
	Description string
	// Values are those that it may have; nil for any.
	Values []string
	// Example is a value as a caller may send it, "" for none.
	Example string
}

// AnyParameter stands for whatever there is, which is without effect: probes have parameters that
// others understand, or that keep caches from answering.
const AnyParameter = "*"

// Operation describes a route.
type Operation struct {
	// ID names it in generated clients, such as listPlugins.
	ID string
	// Summary says in a line what it does, as in "lists the plugins".
	Summary string
	// Path and Headers are the parameters of the path, and the headers of a request.
	Path, Headers []Parameter
	// Request are the forms of the request's body, of which one is sent; nil for none.
	Request []Body
	// NoBody is whether a request may come without a body, too.
	NoBody bool
	// Status is that of success; default 200.
	Status int
	// Response are the forms of the answer's body, of which one comes; nil for none. Sends are its headers
	// that a client may use.
	Response []Body
	Sends    []Header
	// Others are answers that are neither success nor an error, such as 304.
	Others []Answer
	// Errors are the kinds of errors that this route has, beside those of all routes.
	Errors []host.Kind
	// Members describe members of the bodies' types that have no tag doc, by what they are called in
	// JSON, as in Job.id.
	Members map[string]string
}

// Body is a form of a body.
type Body struct {
	MediaType string
	// Of is a value of the Go type that is the body's JSON; nil for a body that is any JSON, or none. Its
	// members' tags doc and example are theirs in the document.
	Of any
	// Item is, of a body that has many documents of JSON, such as JSON lines, what Of is of each; nil for
	// another body.
	Item any
	// Description says what it is.
	Description string
}

// Header is a header of an answer.
type Header struct {
	Name, Description string
	// Always is whether each answer of the status has it.
	Always bool
}

// Answer is an answer without a body.
type Answer struct {
	Status      int
	Description string
	Sends       []Header
}

// addRoutes adds all routes of the table, and answers other methods of their paths.
func (s *Server) addRoutes(table []Route) (err error) {
	defer func() {
		if v := recover(); v != nil { // the mux's, of paths that it cannot tell apart
			err = &abi.FieldError{Field: "Routes", Rule: fmt.Sprint(v)}
		}
	}()
	methods := make(map[string][]string) // of a path
	for i, r := range table {
		switch {
		case r.Method == "" || !strings.HasPrefix(r.Path, "/") || r.Handler == nil:
			return &abi.FieldError{Field: "Routes", Rule: fmt.Sprintf("must each have a method, a path that begins with / and a handler; %q does not", r.Method+" "+r.Path)}
		case slices.Contains(methods[r.Path], r.Method):
			return &abi.FieldError{Field: "Routes", Rule: fmt.Sprintf("must not have %s %s twice, or as the server has it", r.Method, r.Path)}
		}
		methods[r.Path] = append(methods[r.Path], r.Method)
		s.route(&table[i])
	}
	for _, r := range table {
		if of := methods[r.Path]; r.Method == of[0] { // once for each path
			s.otherMethods(r.Path, of)
		}
	}
	s.handle("/", notFound)
	s.routes = table
	return nil
}

// route adds a route.
func (s *Server) route(r *Route) {
	parameters, next, scope := make([]string, len(r.Query)), r.Handler, r.Scope
	for i, p := range r.Query {
		parameters[i] = p.Name
	}
	s.handle(r.Method+" "+r.Path, func(w http.ResponseWriter, r *http.Request) {
		r, ok := s.admit(w, r, scope)
		if !ok {
			return
		}
		err := checkQuery(r, parameters)
		if err == nil {
			err = checkHeaders(r.Header)
		}
		if err != nil {
			writeProblem(w, api.Of("", err))
			return
		}
		next(w, r)
	})
}

// otherMethods refuses the methods that a path does not have, and tells of those that it has.
func (s *Server) otherMethods(path string, methods []string) {
	if i := slices.Index(methods, http.MethodGet); i >= 0 {
		methods = slices.Insert(methods, i+1, http.MethodHead)
	}
	allow := strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
	s.handle(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		writeProblem(w, problem(api.KindMethodNotAllowed, "", "the method must be "+strings.Join(methods, " or ")))
	})
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeProblem(w, problem(api.KindNotFound, "", "there is nothing here; / lists what there is"))
}

// Routes returns the table: the server's own routes, and those of Options.
func (s *Server) Routes() []Route { return slices.Clone(s.routes) }

// index is GET /.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	if s.opts.Home != "" {
		w.Header().Set("Vary", "Accept")
		if wantsHTML(r.Header.Get("Accept")) {
			http.Redirect(w, r, s.opts.Home, http.StatusSeeOther)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(index(s.routes)))
}

// index lists routes as text.
func index(table []Route) string {
	line := func(r Route) string { return r.Method + " " + strings.TrimSuffix(r.Path, "{$}") }
	width := 0
	for _, r := range table {
		width = max(width, len(line(r)))
	}
	var b strings.Builder
	b.WriteString("resonhost\n\n")
	for _, r := range table {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s  %s", width, line(r), r.Doc.Summary), " ") + "\n")
	}
	return b.String()
}

// wantsHTML reports whether an Accept header names HTML, as browsers' do.
func wantsHTML(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil || kind != "text/html" {
			continue
		}
		quality, err := strconv.ParseFloat(params["q"], 64)
		return params["q"] == "" || err == nil && quality > 0
	}
	return false
}
