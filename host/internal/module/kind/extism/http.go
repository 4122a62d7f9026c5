package extism

import (
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

// httpRequest sends a request. What keeps it from that, or from a response, has the task fail.
func httpRequest(g *guest, h heap, stack []uint64) {
	asked, body := stack[0], stack[1]
	g.response.forget()
	fetch := g.in.Embedder().Fetch
	if fetch == nil {
		g.fail("http_request: this host sends no requests for its plugins")
	}
	doc := h.block("http_request", asked)
	g.in.Charge(len(doc))
	var r request
	if err := json.Unmarshal(doc, &r); err != nil {
		g.fail("http_request was given no request: " + err.Error())
	}
	send := contract.FetchRequest{Method: r.Method, URL: r.URL, Header: r.Headers, MaxBytes: defaultResponse}
	if send.Method == "" {
		send.Method = "GET"
	}
	if body != 0 {
		send.Body = h.block("http_request", body)
	}
	if f := g.of.binary.Companion; f != nil {
		send.AllowedHosts = f.AllowedHosts
		if n := f.Limits.MaxResponseBytes; n != nil {
			send.MaxBytes = int64(*n)
		}
	}
	g.in.Charge(len(send.Body))
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
