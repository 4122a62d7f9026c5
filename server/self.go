package server

import (
	"net/http"
	"slices"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/server/auth"
)

// self is GET /v1/self.
func (s *Server) self(w http.ResponseWriter, r *http.Request) {
	tenant, err := s.tenantOf(r)
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	who := auth.Of(r.Context())
	g := who.Grant()
	out := api.Self{
		Name: g.Name, Anonymous: who.Anonymous(), Scopes: g.Scopes, Tenant: tenant, Transforms: g.Transforms,
		AnyTenant: g.AnyTenant || who.Anonymous() && s.opts.TrustTenant,
	}
	if out.Scopes == nil { // of an embedder's own principal
		out.Scopes = []api.Scope{}
	}
	if out.Transforms == nil {
		out.Transforms = []string{"*"}
	}
	out.Priorities = slices.DeleteFunc(api.Priorities(), func(name string) bool {
		p, _ := api.ParsePriority(name)
		return who.MayChoose(p) != nil
	})
	if g.Rate > 0 {
		out.Rate, out.Burst = g.Rate, max(g.Burst, 1)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, out)
}

// selfRoute tells callers who they are.
func (s *Server) selfRoute() Route {
	return Route{
		Method: http.MethodGet, Path: "/v1/self", Scope: auth.ScopeAny, Handler: s.self,
		Doc: Operation{
			ID: "self", Summary: "answers who has sent the request, and what they may do",
			Headers:  []Parameter{{Name: HeaderTenant, Description: "On whose behalf the request is, where the server believes it."}},
			Response: []Body{{MediaType: manifest.MediaTypeJSON, Of: api.Self{}}},
		},
	}
}
