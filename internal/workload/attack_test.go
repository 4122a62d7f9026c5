package workload

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWellBehaved has clients that behave well send what a server takes whole, and no more of it than they
// are to.
func TestWellBehaved(t *testing.T) {
	for _, a := range attacks {
		if a.behaved == nil {
			if _, err := Attack(t.Context(), a.name, Target{}, 1); err == nil {
				t.Errorf("%s: there are none that behave well, and no error", a.name)
			}
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			got := make(chan error, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case got <- whole(r):
				default: // the first tells
				}
				_, _ = io.WriteString(w, "{}\n")
			}))
			defer server.Close()
			ended := make(chan error, 1)
			go func() {
				did, err := Attack(ctx, a.name, Target{Addr: server.Listener.Addr().String(), Token: "rht_token"}, 0.001)
				if err == nil && did.Requests != 1 {
					err = fmt.Errorf("%d requests, want the one that was allowed", did.Requests)
				}
				ended <- err
			}()
			if err := <-got; err != nil {
				t.Error(err)
			}
			end()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// whole reads a request's body.
func whole(r *http.Request) error {
	if want := "Bearer rht_token"; r.URL.Path != "/healthz" && r.Header.Get("Authorization") != want {
		return fmt.Errorf("%s: token %q", r.URL, r.Header.Get("Authorization"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			return err
		}
	}
	text, err := io.ReadAll(body)
	if first, _, _ := strings.Cut(string(text), "\n"); err == nil && r.Method == http.MethodPost && strings.TrimSpace(strings.Trim(first, "{}")) != "" {
		err = fmt.Errorf("a body begins with %.20q", first)
	}
	return err
}

func TestSpread(t *testing.T) {
	for want, of := range map[string][]float64{"0.00 (0.00 to 0.00)": nil, "2.00 (2.00 to 2.00)": {2}, "2.00 (1.00 to 3.00)": {3, 1, 2}, "3.00 (2.00 to 4.00)": {5, 4, 3, 2, 1}} {
		if _, text := spread(of, 2); text != want {
			t.Errorf("%v: %s, want %s", of, text, want)
		}
	}
}
