package api

// Scope is what a caller may do. None implies another: a caller may have several.
type Scope string

// Self is the answer of GET /v1/self: who has sent the request, and what they may do.
type Self struct {
	// Name is the caller's, as logs and audit records have it; "" where nobody is asked who they are.
	Name string `json:"name"`
	// Anonymous is whether nobody is asked who they are, so that all may do everything.
	Anonymous bool `json:"anonymous"`
	// Scopes are what the caller may do.
	Scopes []Scope `json:"scopes"`
	// Tenant is on whose behalf this request was, "" for none.
	Tenant string `json:"tenant"`
	// AnyTenant is whether each request of the caller may name the tenant.
	AnyTenant bool `json:"any_tenant"`
	// Transforms are the names of the transforms that the caller may call. One that ends in * stands
	// for all that begin so, and * alone for all.
	Transforms []string `json:"transforms"`
	// Priorities are those that the caller's jobs may have.
	Priorities []string `json:"priorities"`
	// Rate is how many tasks the caller may begin a second, and Burst how many at once; both are left
	// out where there is no limit.
	Rate  float64 `json:"rate_per_second,omitzero"`
	Burst int     `json:"burst,omitzero"`
}
