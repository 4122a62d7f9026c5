package deploy

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// dashboard is what is looked at of a dashboard of Grafana's.
type dashboard struct {
	Title         string  `json:"title"`
	UID           string  `json:"uid"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Annotations   struct {
		List []struct {
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Type       string `json:"type"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	variable    = regexp.MustCompile(`\$(\w+)`)
	legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)
)

// TestDashboard holds the dashboard to the metrics that there are, with their labels.
func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.NewDecoder(bytes.NewReader([]byte(read(t, "grafana/dashboard.json")))).Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 {
		t.Errorf("a dashboard of uid %q, title %q, schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	all := metrics(t)
	variables := map[string]bool{"__rate_interval": true}
	check := func(where, expr string) {
		for _, v := range variable.FindAllStringSubmatch(expr, -1) {
			if !variables[v[1]] {
				t.Errorf("%s: there is no variable %s yet", where, v[1])
			}
		}
		if err := faults(all, strings.ReplaceAll(expr, "$__rate_interval", "5m")); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			m := labelValues.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Fatalf("variable %s: %s", v.Name, v.Definition)
			}
			check("variable "+v.Name, "count by ("+m[2]+") ("+m[1]+")")
		}
		variables[v.Name] = true
	}
	for _, a := range d.Annotations.List {
		check("annotation", a.Expr)
	}
	if len(d.Panels) < 20 {
		t.Errorf("%d panels", len(d.Panels))
	}
	for i, p := range d.Panels {
		for _, other := range d.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			if p.ID == other.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s has the place or the id of %s", p.Title, other.Title)
			}
		}
		if p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is wider than the page", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q lacks a title, a description, a unit, the chosen data source or a query", p.ID, p.Title)
		}
		for _, q := range p.Targets {
			check(p.Title, q.Expr)
			for _, l := range legendLabel.FindAllStringSubmatch(q.LegendFormat, -1) {
				check(p.Title+", legend", "count by ("+l[1]+") ("+strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")+")")
			}
		}
	}
}
