package extism

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// response is what is left of a task's last HTTP response for the guest to ask for.
type response struct {
	status  int
	headers map[string]string
}

func (r *response) forget() { *r = response{} }

// request is how a guest asks for one.
type request struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
}

const (
	// maxRequest is the longest document that asks for a request, in bytes, and maxHeaders how many headers
	// that may have: the host decodes it at once, whatever the deadline.
	maxRequest = 64 << 10
	maxHeaders = 100
)

// httpRequest sends a request. What keeps it from that, or from a response, has the task fail.
func httpRequest(g *guest, h heap, stack []uint64) {
	asked, body := stack[0], stack[1]
	g.response.forget()
	fetch := g.in.Embedder().Fetch
	if fetch == nil {
		g.fail("http_request: this host sends no requests for its plugins")
	}
	send := g.request(h, asked, body)
	var got contract.FetchResponse
	err := g.in.Outside(func(ctx context.Context) (err error) {
		got, err = fetch(ctx, send)
		return err
	})
	if err != nil {
		g.fail("http_request: " + err.Error())
	}
	if int64(len(got.Body)) > send.MaxBytes {
		g.fail(fmt.Sprintf("http_request: the response has %d bytes, the limit is %d", len(got.Body), send.MaxBytes))
	}
	g.response = response{got.Status, got.Header}
	stack[0] = g.give(h, got.Body)
	h.free(asked)
	h.free(body)
}

// request reads what the guest asks for. The body is a copy, since a transport may read it after the
// response has come.
func (g *guest) request(h heap, asked, body uint64) contract.FetchRequest {
	doc := h.block("http_request", asked)
	if len(doc) > maxRequest {
		g.fail(fmt.Sprintf("http_request was given a request of %d bytes without its body, the limit is %d", len(doc), maxRequest))
	}
	g.in.Charge(len(doc))
	var r request
	if err := json.Unmarshal(doc, &r); err != nil {
		g.fail("http_request was given no request: " + err.Error())
	}
	if len(r.Headers) > maxHeaders {
		g.fail(fmt.Sprintf("http_request was given %d headers, the limit is %d", len(r.Headers), maxHeaders))
	}
	send := contract.FetchRequest{Method: r.Method, URL: r.URL, Header: r.Headers, MaxBytes: defaultResponse}
	if send.Method == "" {
		send.Method = "GET"
	}
	if body != 0 {
		view := h.block("http_request", body)
		if limit := g.of.binary.Frames.MaxOutput; len(view) > limit {
			g.fail(fmt.Sprintf("http_request was given a body of %d bytes, the limit is %d (MaxOutput, --max-output)", len(view), limit))
		}
		g.in.Charge(len(view))
		send.Body = bytes.Clone(view)
	}
	file := g.of.binary.Companion
	send.AllowedHosts = file.AllowedHosts
	if n := file.Limits.MaxResponseBytes; n != nil {
		send.MaxBytes = int64(*n)
	}
	return send
}

// httpHeaders gives the guest the headers of its last response, as JSON.
func httpHeaders(g *guest, h heap, stack []uint64) {
	stack[0] = 0
	if g.response.headers == nil {
		return
	}
	doc, err := json.Marshal(g.response.headers)
	if err != nil { // strings always can be
		g.fail("http_headers: " + err.Error())
	}
	stack[0] = g.give(h, doc)
}
