// Package apitest holds a server to the OpenAPI document that it gives. It is a module of its own, so
// that nobody else has the validator among their dependencies.
package apitest
