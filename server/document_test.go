package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/server"
)

// TestTransforms lists transforms with the schemas of their JSON, which cascade has from its codec.
func TestTransforms(t *testing.T) {
	s := serve(t, withCascade(t))
	status, header, body := s.do(t, http.MethodGet, "/v1/transforms", "", "")
	var list api.Transforms
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %v, %v", status, header, err)
	}
	first, second := list.Transforms[0], list.Transforms[1]
	if first.Name != "cascade" || first.Plugin != "cascade" || first.Version != "1.0.0" || first.Hash == "" || first.TimeoutS == 0 ||
		strings.Join(first.Takes, " ") != "application/json application/x-ndjson application/vnd.resonhost.cascade.state" ||
		!strings.Contains(string(first.InputSchema), "phiValue") || !strings.Contains(string(first.OutputSchema), "harmonicScore") {
		t.Errorf("%s: %v, %s", first.Name, first.Takes, first.InputSchema)
	}
	if second.Name != "hostile.badmagic" || !strings.Contains(string(second.OutputSchema), "base64") {
		t.Errorf("%s %s", second.Name, second.OutputSchema)
	}
}

// TestTransformsOfCallers shows each caller the transforms that it may call, and no other.
func TestTransformsOfCallers(t *testing.T) {
	c := newCallers().with(t, "some", "scopes=read transforms=n.b*").with(t, "all", "scopes=read")
	s := serve(t, func(cfg *host.Config, o *server.Options) {
		withNative(nil)(cfg, o)
		o.Identity = c
	})
	for who, want := range map[string]bool{"some": false, "all": true} {
		for _, path := range []string{"/v1/transforms", "/v1/openapi.json"} {
			status, _, body := s.as(t, c, who, http.MethodGet, path, "")
			if status != http.StatusOK || !strings.Contains(body, "n.blow") || strings.Contains(body, "n.own") != want {
				t.Errorf("%s sees in %s: status %d, %s", who, path, status, body)
			}
		}
	}
}

// TestDocumentIsOfTheMoment has a plugin swapped for one with other schemas, then for one whose schema
// cannot be within a document, and then unloaded.
func TestDocumentIsOfTheMoment(t *testing.T) {
	version := func(schema string) host.Source {
		return host.Source{Name: "swap", WASM: guesttest.Swap(t, guesttest.Version{
			Manifest: `{"name":"swap","version":"1.0.0","transforms":[{"name":"swap","input":"application/json","output":"application/json","input_schema":` + schema + `}]}`,
		})}
	}
	s := serve(t, func(cfg *host.Config, _ *server.Options) {
		cfg.Plugins, cfg.Overrides = []host.Source{version(`{"$ref":"#/$defs/a","$defs":{"a":{"type":"integer"}}}`)}, nil
	})
	of := func() string {
		status, header, body := s.do(t, http.MethodGet, "/v1/openapi.json", "", "")
		var doc struct {
			OpenAPI    string                    `json:"openapi"`
			Paths      map[string]map[string]any `json:"paths"`
			Components struct {
				Schemas map[string]json.RawMessage `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
			t.Fatalf("status %d, %v, %s, %v", status, header, body, err)
		}
		if doc.OpenAPI != "3.1.0" || doc.Paths["/v1/transforms/{name}"]["post"] == nil || doc.Paths["/"]["get"] == nil {
			t.Errorf("%s", body)
		}
		schema := doc.Components.Schemas["swap.input"]
		if (schema != nil) != (doc.Paths["/v1/transforms/swap"]["post"] != nil) {
			t.Errorf("a schema without a path, or a path without one: %s", body)
		}
		return string(schema)
	}
	if got, want := of(), `{"$ref":"#/components/schemas/swap.input.DEF.a"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, c := range [][2]string{{`{"type":"string"}`, `{"type":"string"}`}, {`{"$id":"mine"}`, `names of its own`}} {
		if _, err := s.host.Deploy(t.Context(), version(c[0])); err != nil {
			t.Fatal(err)
		}
		if got := of(); !strings.Contains(got, c[1]) {
			t.Errorf("%s, want %s", got, c[1])
		}
	}
	if err := s.host.Unload(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	if got := of(); got != "" {
		t.Errorf("unloaded: %s", got)
	}
}
