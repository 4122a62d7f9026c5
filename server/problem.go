package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// writeProblem answers with an error.
func writeProblem(w http.ResponseWriter, e api.Error) {
	doc := problemDocument(&e)
	h := w.Header()
	h.Set("Content-Type", api.MediaTypeProblem)
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Retry-After") == "" && retries(e.Status) {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	h.Set("Content-Length", strconv.Itoa(len(doc)))
	if out := responseOf(w); out != nil {
		out.keep(e.Status, api.MediaTypeProblem, doc)
		out.refuse()
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(doc) // the client has gone, or it arrives
}

// problemDocument returns the problem document of an error.
func problemDocument(e *api.Error) []byte {
	e.Title = titleOf(e.Status)
	var doc bytes.Buffer
	_ = json.NewEncoder(&doc).Encode(e) // which has nothing that could fail
	return doc.Bytes()
}

// titleOf is the phrase of a status.
func titleOf(status int) string {
	if status == api.StatusClientClosed {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// retries reports whether an answer of that status says when to come again.
func retries(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// retryAfter is when a refused client may come again, in seconds: a queue of
// tasks of milliseconds has drained by then.
const retryAfter = 1

// problem is the error of a kind, of a task of the transform if that is not "".
func problem(kind host.Kind, transform, detail string) api.Error {
	e := api.New(kind, detail)
	e.Transform = transform
	return e
}

func (s *Server) unavailable(w http.ResponseWriter, why string) {
	writeProblem(w, problem(host.KindUnavailable, "", why))
}
