package server_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
)

// TestSelf tells callers who they are, by what their lines of the tokens have.
func TestSelf(t *testing.T) {
	c := newCallers().with(t, "ann", "scopes=call,read tenant=acme transforms=n.b*,n.own rate=90/m burst=5").
		with(t, "proxy", "scopes=admin tenant=* priority=urgent").with(t, "slow", "scopes=call rate=1/h")
	for name, s := range map[string]*served{
		"identity": serve(t, func(cfg *host.Config, o *server.Options) {
			withNative(nil)(cfg, o)
			o.Identity = c
		}),
		"anybody": serve(t, withNative(nil)),
		"alone": serve(t, func(cfg *host.Config, o *server.Options) {
			withNative(nil)(cfg, o)
			o.TrustTenant = false
		}),
	} {
		for _, want := range []struct {
			of, who string
			header  []string
			status  int
			self    api.Self
		}{
			{"identity", "ann", nil, 200, api.Self{
				Name: "ann", Scopes: []api.Scope{auth.ScopeCall, auth.ScopeRead}, Tenant: "acme", Transforms: []string{"n.b*", "n.own"},
				Priorities: []string{"normal", "bulk"}, Rate: 1.5, Burst: 5,
			}},
			{"identity", "proxy", []string{server.HeaderTenant, "bob"}, 200, api.Self{
				Name: "proxy", Scopes: []api.Scope{auth.ScopeAdmin}, Tenant: "bob", AnyTenant: true, Transforms: []string{"*"}, Priorities: api.Priorities(),
			}},
			{"identity", "slow", nil, 200, api.Self{
				Name: "slow", Scopes: []api.Scope{auth.ScopeCall}, Tenant: "slow", Transforms: []string{"*"}, Priorities: []string{"normal", "bulk"}, Rate: 1.0 / 3600, Burst: 1,
			}},
			{"identity", "ann", []string{server.HeaderTenant, "bob"}, 403, api.Self{}},
			{"identity", "", nil, 401, api.Self{}},
			{"anybody", "", []string{server.HeaderTenant, "bob"}, 200, api.Self{
				Anonymous: true, Scopes: auth.Scopes(), Tenant: "bob", AnyTenant: true, Transforms: []string{"*"}, Priorities: api.Priorities(),
			}},
			{"alone", "", []string{server.HeaderTenant, "bob"}, 200, api.Self{
				Anonymous: true, Scopes: auth.Scopes(), Transforms: []string{"*"}, Priorities: api.Priorities(),
			}},
		} {
			if want.of != name {
				continue
			}
			status, header, body := s.as(t, c, want.who, http.MethodGet, "/v1/self", "", want.header...)
			var got api.Self
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != want.status {
				t.Errorf("%s: %q: status %d, %v, %s", name, want.who, status, err, body)
			}
			if status != http.StatusOK {
				continue
			}
			if !reflect.DeepEqual(got, want.self) || header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %q: %+v, want %+v", name, want.who, got, want.self)
			}
		}
	}
}
