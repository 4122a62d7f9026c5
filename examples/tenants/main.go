// Tenants is HTTP middleware that maps an API key to a tenant and a priority.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

func main() {
	plugins := flag.String("plugins", "bin/examples/shout", "directory of plugins, which make examples fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "tenants:", err)
		os.Exit(1)
	}
}

// clients has the host's client of each API key. In a program of yours the keys are secrets.
type clients map[string]*host.Client

// as is the middleware: it has next serve on behalf of the client whose key the request has.
func (c clients) as(next func(*host.Client, http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, ok := c[r.Header.Get("Api-Key")]
		if !ok {
			http.Error(w, "Api-Key is unknown", http.StatusUnauthorized)
			return
		}
		next(client, w, r)
	})
}

func rehearse(c *host.Client, w http.ResponseWriter, r *http.Request) {
	out, err := c.Run(r.Context(), "shout.rehearse", []byte(r.FormValue("text")))
	if err != nil {
		http.Error(w, err.Error(), api.RuleOf(host.KindOf(err)).Status)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(out) //nolint:gosec // it is text, and no page
}

func run(ctx context.Context, plugins, cache string) (err error) {
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache, Workers: 1})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()
	ann, bob := h.Client("ann", host.PriorityNormal), h.Client("bob", host.PriorityNormal)
	// An urgent task goes first, and beyond the one worker.
	handler := clients{"a1": ann, "b2": bob, "c3": h.Client("boss", host.PriorityUrgent)}.as(rehearse)

	// Ann floods the host until all others have their answers.
	var flooding sync.WaitGroup
	defer flooding.Wait()
	flood, stop := context.WithCancel(ctx)
	defer stop()
	for range 200 {
		flooding.Go(func() {
			for flood.Err() == nil {
				_, _ = ann.Run(flood, "shout.rehearse", []byte("ann")) // who floods does not care
			}
		})
	}
	for _, call := range []struct{ key, text string }{{"b2", "bob"}, {"c3", "boss"}, {"b2", ""}, {"d4", "eve"}} {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/?text="+call.text, http.NoBody)
		r.Header.Set("Api-Key", call.key)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Printf("%d %s\n", w.Code, strings.TrimSpace(w.Body.String()))
	}
	return nil
}
