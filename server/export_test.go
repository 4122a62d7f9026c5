package server

// Held is the metric resonhost_http_held_bytes, which tests await: to gather all metrics takes long
// under the race detector.
func (s *Server) Held() int { return int(s.held.held()) }
