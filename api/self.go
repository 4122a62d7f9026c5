package api

// Scope is what a caller may do. None implies another: a caller may have several.
type Scope string

// Self is the answer of GET /v1/self: who has sent the request, and what they may do.
type Self struct {
	Name       string   `json:"name" doc:"The caller's name, as logs and audit records have it; empty where nobody is asked who they are."`
	Anonymous  bool     `json:"anonymous" doc:"Whether nobody is asked who they are, so that all may do everything."`
	Scopes     []Scope  `json:"scopes" doc:"What the caller may do."`
	Tenant     string   `json:"tenant" doc:"On whose behalf this request was; empty for none."`
	AnyTenant  bool     `json:"any_tenant" doc:"Whether each request of the caller may name the tenant."`
	Transforms []string `json:"transforms" doc:"The names of the transforms that the caller may call. One that ends in * stands for all that begin so, and * alone for all."`
	Priorities []string `json:"priorities" doc:"Those that the caller's jobs may have."`
	Rate       float64  `json:"rate_per_second,omitzero" doc:"How many tasks the caller may begin a second; left out without a limit."`
	Burst      int      `json:"burst,omitzero" doc:"How many tasks the caller may begin at once; left out without a limit."`
}
