package server

import (
	"net/http"
	"time"

	"github.com/resonhost/resonhost/api"
)

// stats is GET /v1/stats.
func (s *Server) stats(w http.ResponseWriter, _ *http.Request) {
	out := api.StatsOf(time.Now().UTC(), s.host.Stats(), s.host.Queues(api.MaxQueues))
	out.Started, out.Draining = s.started, s.isDraining()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, out)
}
