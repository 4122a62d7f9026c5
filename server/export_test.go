package server

import (
	"net"
	"net/http"
)

// Held is the metric resonhost_http_held_bytes, which tests await: to gather all metrics takes long
// under the race detector.
func (s *Server) Held() int { return int(s.held.held()) }

// Panic adds a route whose handler has a defect.
func (s *Server) Panic(pattern string) {
	s.handle(pattern, func(http.ResponseWriter, *http.Request) { panic("a defect") })
}

// Handle adds a route of a test's own.
func (s *Server) Handle(pattern string, h http.HandlerFunc) { s.handle(pattern, h) }

// Connections is the metric resonhost_http_connections.
func (s *Server) Connections() int { return int(s.connections.open.Load()) }

// Newcomers is how many connections come at a time, and ComesFor for how long one comes that is not answered.
const (
	Newcomers = newcomers
	ComesFor  = comesFor
)

// NewBounded returns a listener of at most so many connections.
func NewBounded(l net.Listener, most int) net.Listener {
	return &bounded{Listener: listener{l}, of: newConnections(most), closed: make(chan struct{})}
}
