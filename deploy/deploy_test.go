// Package deploy has what runs resonhost as a service, and tests that hold it to the product and to the
// programs that read it.
package deploy

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// metric is what docs/reference/metrics.md says of one, which tests of the product hold to the code.
type metric struct {
	kind   string
	labels []string
}

var (
	metricRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (gauge|counter|histogram) \\| (.*?) \\| ")
	word      = regexp.MustCompile(`\w+`)
)

// metrics are those that a scrape may have: the product's, and some of Prometheus's and of its client.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{"up": {kind: "gauge"}, "process_start_time_seconds": {kind: "gauge"}, "process_resident_memory_bytes": {kind: "gauge"}}
	rows := metricRow.FindAllStringSubmatch(read(t, "../docs/reference/metrics.md"), -1)
	if len(rows) < 50 {
		t.Fatalf("docs/reference/metrics.md has %d metrics", len(rows))
	}
	for _, m := range rows {
		has := word.FindAllString(m[3], -1)
		if m[2] == "histogram" {
			all[m[1]+"_count"], all[m[1]+"_sum"] = metric{"counter", has}, metric{"counter", has}
			all[m[1]+"_bucket"] = metric{"counter", append(slices.Clone(has), "le")}
			continue
		}
		all[m[1]] = metric{m[2], has}
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// faults are what is wrong with an expression: what it asks for that no scrape has.
func faults(all map[string]metric, expr string) error {
	e, err := parser.ParseExpr(expr)
	if err != nil {
		return err
	}
	var errs []error
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			m, ok := all[n.Name]
			if !ok {
				errs = append(errs, fmt.Errorf("there is no metric %s", n.Name))
				return nil
			}
			for _, l := range n.LabelMatchers {
				if l.Name != "__name__" && !slices.Contains(labelsOf(all, n), l.Name) {
					errs = append(errs, fmt.Errorf("%s has no label %s", n.Name, l.Name))
				}
			}
			rated := slices.ContainsFunc(path, func(p parser.Node) bool {
				c, ok := p.(*parser.Call)
				return ok && slices.Contains([]string{"rate", "increase", "irate"}, c.Func.Name)
			})
			if rated && m.kind != "counter" {
				errs = append(errs, fmt.Errorf("%s is a %s, and has no rate", n.Name, m.kind))
			}
		case *parser.AggregateExpr:
			for _, l := range n.Grouping {
				if !slices.Contains(labelsOf(all, n.Expr), l) {
					errs = append(errs, fmt.Errorf("%s: nothing there has the label %s", n, l))
				}
			}
		}
		return nil
	})
	return errors.Join(errs...)
}

// labelsOf are the labels that the results of an expression may have.
func labelsOf(all map[string]metric, n parser.Node) (has []string) {
	switch n := n.(type) {
	case *parser.VectorSelector:
		return append([]string{"job", "instance"}, all[n.Name].labels...) // the first are Prometheus's
	case *parser.AggregateExpr:
		if !n.Without {
			return n.Grouping
		}
	}
	for _, part := range parser.Children(n) {
		has = append(has, labelsOf(all, part)...)
	}
	return has
}

// TestFaults has faults see what they are for.
func TestFaults(t *testing.T) {
	all := metrics(t)
	for expr, want := range map[string]string{
		"resonhost_streams": "",
		`sum by (transform, instance) (rate(resonhost_tasks_total{outcome="ok", job="x"}[5m]))`: "",
		"resonhost_stream":                                              "there is no metric resonhost_stream",
		`resonhost_streams{plugin="x"}`:                                 "resonhost_streams has no label plugin",
		"rate(resonhost_streams[5m])":                                   "resonhost_streams is a gauge, and has no rate",
		"sum by (transform) (sum by (outcome) (resonhost_tasks_total))": "sum by (transform) (sum by (outcome) (resonhost_tasks_total)): nothing there has the label transform",
		"sum by (plugin) (resonhost_streams)":                           "sum by (plugin) (resonhost_streams): nothing there has the label plugin",
		"rate(resonhost_queue_wait_seconds[5m])":                        "there is no metric resonhost_queue_wait_seconds",
		"sum by (le) (resonhost_queue_wait_seconds_sum)":                "sum by (le) (resonhost_queue_wait_seconds_sum): nothing there has the label le",
	} {
		got := ""
		if err := faults(all, expr); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", expr, got, want)
		}
	}
	if faults(all, "sum(") == nil {
		t.Error("what is no expression has no fault")
	}
}

type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// TestAlerts holds the alerts to the metrics that there are, to the runbook and to their tests.
func TestAlerts(t *testing.T) {
	var file ruleFile
	if err := yaml.UnmarshalStrict([]byte(read(t, "prometheus/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	runbook, tests := read(t, "../RUNBOOK.md"), read(t, "prometheus/rules_test.yaml")
	sections := make(map[string]string)
	for _, s := range strings.Split(runbook, "\n## `")[1:] {
		name, text, _ := strings.Cut(s, "`\n")
		sections[name] = text
	}
	all := metrics(t)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if err := faults(all, r.Expr); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			section, ok := sections[r.Alert]
			delete(sections, r.Alert)
			if !ok {
				t.Errorf("RUNBOOK.md has no section %s", r.Alert)
			}
			for _, part := range []string{"**Means.** ", "**See.** ", "**Do.** "} {
				if ok && !strings.Contains(section, part) {
					t.Errorf("RUNBOOK.md: %s lacks %s", r.Alert, part)
				}
			}
			if want := "https://github.com/resonhost/resonhost/blob/main/RUNBOOK.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
			if r.Annotations["summary"] == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
				t.Errorf("%s lacks a summary, or a severity", r.Alert)
			}
			quiet := regexp.MustCompile(`alertname: ` + r.Alert + `, eval_time: \w+, exp_alerts: \[\]`)
			fires := regexp.MustCompile(`alertname: ` + r.Alert + `\n +eval_time: \w+\n +exp_alerts:\n +- exp_labels`)
			if !quiet.MatchString(tests) || !fires.MatchString(tests) {
				t.Errorf("rules_test.yaml lacks a moment at which %s is quiet, or one at which it fires", r.Alert)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		t.Errorf("RUNBOOK.md: there is no alert %s", name)
	}
}

// TestPromtool has Prometheus's own tool run the unit tests of the alerts.
func TestPromtool(t *testing.T) {
	run(t, "prometheus", "prometheus", "promtool", "test", "rules", "rules_test.yaml")
	run(t, "prometheus", "prometheus", "promtool", "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")
}

// built is the command, built once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "resonhost")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "resonhost")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/resonhost")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// binary is the path of the command.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program of a Debian package in a directory, and returns what it prints.
func run(t *testing.T, dir, debian, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: install Debian's %s", name, debian)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
