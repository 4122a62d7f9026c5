package docs

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/collect"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/telemetry"
)

var (
	metricRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (gauge|counter|histogram) \\| (.*?) \\| ")
	metricOf  = regexp.MustCompile(`^Desc\{fqName: "(\w+)", help: ".*", constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)
	word      = regexp.MustCompile(`\w+`)
)

// TestMetrics holds docs/reference/metrics.md to what is collected: each metric with its labels.
func TestMetrics(t *testing.T) {
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{cascade.New(), tick.New()}})
	if err != nil {
		t.Fatal(err)
	}
	networks, err := serve.New(h, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pair := certtest.New(t).Server(t, "x")
	certtest.Write(t, dir, map[string][]byte{"tokens": []byte("# none\n"), "cert": pair.Chain, "key": pair.Key})
	keeper, err := auth.Open(auth.Files{Tokens: filepath.Join(dir, "tokens"), Certificate: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")})
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	traces, err := telemetry.New(telemetry.Options{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	if _, err := server.New(h, resonance.Codecs(), server.Options{
		Registry: registry, Events: event.New(0), Collectors: slices.Concat(networks.Collectors(), keeper.Collectors(), []prometheus.Collector{collect.NewCascade(h), traces.Collector(), fleet.NewCollector(nil), fleet.NewMemberCollector(nil)}),
	}); err != nil {
		t.Fatal(err)
	}
	ch := make(chan *prometheus.Desc)
	go func() {
		defer close(ch)
		registry.Describe(ch)
	}()
	collected := make(map[string]string)
	for d := range ch {
		m := metricOf.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("a description of another form: %s", d)
		}
		collected[m[1]] = strings.Join(word.FindAllString(m[2], -1), ", ")
	}

	documented := make(map[string]string)
	for _, m := range metricRow.FindAllStringSubmatch(read(t, "docs/reference/metrics.md").text, -1) {
		if _, twice := documented[m[1]]; twice {
			t.Errorf("%s is documented twice", m[1])
		}
		documented[m[1]] = strings.Join(word.FindAllString(m[3], -1), ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(collected)) {
		if labels, ok := documented[name]; !ok {
			t.Errorf("docs/reference/metrics.md lacks %s, of the labels %q", name, collected[name])
		} else if labels != collected[name] {
			t.Errorf("docs/reference/metrics.md: %s has the labels %q, the document says %q", name, collected[name], labels)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if _, ok := collected[name]; !ok {
			t.Errorf("docs/reference/metrics.md: nothing collects %s", name)
		}
	}
}
