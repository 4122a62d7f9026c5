// Metrics registers a host's metrics in the program's own Prometheus registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/collect"
)

func main() {
	plugins := flag.String("plugins", "bin/plugins", "directory of plugins, which make build fills")
	cache := flag.String("cache", "bin/cache", "directory for what plugins were compiled to")
	flag.Parse()
	if err := run(context.Background(), *plugins, *cache); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

// shown are the lines that are printed, of some hundred.
var shown = regexp.MustCompile(`^(example_|resonance_cascade_latency_ms_count|resonhost_plugin_refused|resonhost_tasks_total.*"cascade")`)

func run(ctx context.Context, plugins, cache string) (err error) {
	h, err := host.New(host.Config{PluginDir: plugins, CacheDir: cache})
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(ctx)) }()

	// The program has a registry with metrics of its own. The host's join them.
	registry := prometheus.NewRegistry()
	calls := prometheus.NewCounter(prometheus.CounterOpts{Name: "example_calls_total", Help: "Calls of this program."})
	for _, c := range []prometheus.Collector{calls, metrics.New(h), collect.NewCascade(h)} {
		if err := metrics.Register(registry, c); err != nil {
			return err
		}
	}
	for range 3 {
		calls.Inc()
		if _, err := host.Call[cascade.Result](ctx, h, "cascade", &cascade.State{AwarenessLevel: 0.8}); err != nil {
			return err
		}
	}

	// A collector reads the host when it is scraped. In a server, the handler is at /metrics.
	scrape := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", http.NoBody)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(scrape, request)
	for line := range strings.Lines(scrape.Body.String()) {
		if shown.MatchString(line) {
			fmt.Print(line)
		}
	}
	return nil
}
