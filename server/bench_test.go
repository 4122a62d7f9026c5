package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/server"
)

// nowhere takes an answer and forgets it.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w *nowhere) WriteHeader(int)             {}

// BenchmarkRequest is a task of 1 KiB without its connection: what the server itself costs.
func BenchmarkRequest(b *testing.B) {
	h, err := host.New(host.Config{CacheDir: compiled, Plugins: []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(b, "hostile")}}})
	if err != nil {
		b.Fatal(err)
	}
	s, err := server.New(h, codec.New(), server.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	handler, body := s.Handler(), bytes.Repeat([]byte("x"), 1<<10)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "http://localhost/v1/transforms/hostile.echo", nil)
	r.Header.Set("Content-Type", octets)
	r.Header.Set("Accept-Encoding", "gzip") // as Go's client sends it
	r.RemoteAddr = "127.0.0.1:1234"
	r.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(&nowhere{http.Header{}}, r)
	}
}
