package server

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// checkQuery refuses parameters that a route does not have, or that are there twice: who
// misspells one would otherwise not learn that it was without effect.
func checkQuery(r *http.Request, known []string) error {
	if r.URL.RawQuery == "" || slices.Contains(known, AnyParameter) {
		return nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &abi.FieldError{Field: "query", Rule: "is malformed: " + foreign.Cut(err.Error())}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(known, name):
			instead := spell.DidYouMean(name, known)
			switch {
			case instead != "":
			case len(known) == 0:
				instead = "; there are none here"
			default:
				instead = spell.ThereAre(slices.Sorted(slices.Values(known)))
			}
			return &abi.FieldError{Field: shown(name), Rule: "is not a known parameter" + instead}
		case len(values[name]) > 1 && !strings.HasSuffix(name, "[]"):
			return &abi.FieldError{Field: name, Rule: "must not be there twice"}
		}
	}
	return nil
}

// headers are those that this server defines, or heeds where it would be missed.
var headers = []string{HeaderStream, HeaderTenant, HeaderIdempotencyKey}

// once are headers that decide how a body is read.
var once = []string{"Content-Type", "Content-Encoding"}

// checkHeaders refuses headers that are nearly this server's, and those that are there twice where
// the first or the last would decide. Content-Length net/http has seen to.
func checkHeaders(h http.Header) error {
	for _, name := range once {
		if len(h[name]) > 1 {
			return &abi.FieldError{Field: name, Rule: "must not be there twice"}
		}
	}
	refused, rule := "", "" // the first by name: a map has no order
	for name := range h {
		near := strings.Contains(name, "Reson") || strings.HasPrefix(name, "Idempot") || strings.HasPrefix(name, "X-Idempot")
		if !near || slices.Contains(headers, name) {
			continue
		}
		did := spell.DidYouMean(name, headers)
		if known := did == "" && !strings.HasPrefix(strings.TrimPrefix(name, "X-"), "Resonhost"); !known && (refused == "" || name < refused) {
			if did == "" {
				did = spell.ThereAre(headers)
			}
			refused, rule = name, "is not a known header"+did
		}
	}
	if refused != "" {
		return &abi.FieldError{Field: shown(refused), Rule: rule}
	}
	return nil
}

// shown is a name as it is shown that may be anybody's.
func shown(name string) string {
	q := fmt.Sprintf("%q", foreign.Cut(name))
	return q[1 : len(q)-1]
}
