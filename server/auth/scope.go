// Package auth knows who calls a server, and what they may do.
package auth

import "github.com/resonhost/resonhost/api"

// Scope is what a caller may do. None implies another: a caller may have several.
type Scope = api.Scope

// The scopes that routes ask for.
const (
	// ScopeNone is of routes that are open to everybody.
	ScopeNone Scope = ""
	// ScopeAny is of routes for everybody who shows who they are. No line of the tokens has it.
	ScopeAny Scope = "any"
	// ScopeCall is for running tasks.
	ScopeCall Scope = "call"
	// ScopeRead is for seeing what there is and what happens.
	ScopeRead Scope = "read"
	// ScopeAdmin is for changing what serves.
	ScopeAdmin Scope = "admin"
)
