package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
)

// operation is what a document of OpenAPI says of a route.
type operation struct {
	ID         string `json:"operationId"`
	Parameters []struct {
		Name     string          `json:"name"`
		In       string          `json:"in"`
		Required bool            `json:"required"`
		Schema   json.RawMessage `json:"schema"`
	} `json:"parameters"`
	Responses map[string]struct {
		Description string `json:"description"`
	} `json:"responses"`
}

// TestDocument holds the OpenAPI document of the whole command to OpenAPI's rules of paths and
// operations.
func TestDocument(t *testing.T) {
	d := startRun(t, "--mode", "inline")
	code, body := d.get(t, "/v1/openapi.json")
	var doc struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	var whole any
	if err := json.Unmarshal([]byte(body), &doc); err != nil || code != http.StatusOK {
		t.Fatalf("status %d, err %v, %s", code, err, body)
	}
	if err := json.Unmarshal([]byte(body), &whole); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/ui/{file}", "/v1/networks/{network}/nodes/{node}", "/v1/transforms/cascade"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is not among %q", path, slices.Sorted(maps.Keys(doc.Paths)))
		}
	}
	ids := make(map[string]string)
	shapes := make(map[string]string)
	for path, operations := range doc.Paths {
		shape := inPath.ReplaceAllString(path, "{}") // paths that differ in names alone are the same
		if before := shapes[shape]; before != "" {
			t.Errorf("%s and %s cannot be told apart", before, path)
		}
		shapes[shape] = path
		for method, op := range operations {
			at := strings.ToUpper(method) + " " + path
			if before := ids[op.ID]; op.ID == "" || before != "" {
				t.Errorf("%s has the ID %q, which %s has", at, op.ID, before)
			}
			ids[op.ID] = at
			op.check(t, at, path)
		}
	}
	checkReferences(t, whole, whole)
	checkDescribed(t, "", whole)
	http.DefaultClient.CloseIdleConnections()
	if text, code := d.rest(t); code != api.ExitOK {
		t.Errorf("exit code %d, log\n%s", code, text)
	}
}

// checkDescribed has each member of each schema say what it is, and each parameter and operation.
func checkDescribed(t *testing.T, at string, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			checkDescribed(t, fmt.Sprintf("%s/%d", at, i), item)
		}
	case map[string]any:
		properties, _ := v["properties"].(map[string]any)
		for name, member := range properties {
			m, _ := member.(map[string]any)
			if _, alternative := m["const"]; alternative || strings.Contains(at, "/oneOf/") { // of what is described beside it
				continue
			}
			if text, _ := m["description"].(string); text == "" {
				t.Errorf("%s/properties/%s has no description", at, name)
			}
		}
		if text, _ := v["description"].(string); v["in"] != nil && v["name"] != nil && text == "" {
			t.Errorf("%s has no description: %v", at, v)
		}
		if text, _ := v["summary"].(string); v["operationId"] != nil && text == "" {
			t.Errorf("%s has no summary", at)
		}
		for name, item := range v {
			checkDescribed(t, at+"/"+name, item)
		}
	}
}

// inPath finds the parameters of a path. OpenAPI's have neither slashes nor what net/http adds.
var inPath = regexp.MustCompile(`\{([A-Za-z0-9_-]+)\}`)

var anyStatus = regexp.MustCompile(`^[1-5]\d{2}$`)

func (op *operation) check(t *testing.T, at, path string) {
	t.Helper()
	if rest := inPath.ReplaceAllString(path, ""); !strings.HasPrefix(path, "/") || strings.ContainsAny(rest, "{}") {
		t.Errorf("%s: the path is no template", at)
	}
	var want, got []string
	for _, m := range inPath.FindAllStringSubmatch(path, -1) {
		want = append(want, m[1])
	}
	seen := make(map[string]bool)
	for _, p := range op.Parameters {
		if p.Name == "" || !slices.Contains([]string{"path", "query", "header"}, p.In) || p.Schema == nil || seen[p.In+p.Name] {
			t.Errorf("%s: the parameter %q in %q is there twice, or lacks a part", at, p.Name, p.In)
		}
		seen[p.In+p.Name] = true
		if p.In == "path" {
			got = append(got, p.Name)
			if !p.Required {
				t.Errorf("%s: the parameter %s is not required", at, p.Name)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s declares the parameters %q", at, got)
	}
	if len(op.Responses) == 0 {
		t.Errorf("%s has no responses", at)
	}
	for status, r := range op.Responses {
		if !anyStatus.MatchString(status) || r.Description == "" {
			t.Errorf("%s: the response %q says %q", at, status, r.Description)
		}
	}
}

// checkReferences has each $ref of a document be of a part that it has.
func checkReferences(t *testing.T, whole, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			checkReferences(t, whole, item)
		}
	case map[string]any:
		for key, item := range v {
			ref, isText := item.(string)
			if key != "$ref" || !isText {
				checkReferences(t, whole, item)
				continue
			}
			at := whole
			for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				object, _ := at.(map[string]any)
				at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
			}
			if at == nil {
				t.Errorf("nothing is at %s", ref)
			}
		}
	}
}
