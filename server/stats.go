package server

import (
	"net/http"
	"slices"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// stats is GET /v1/stats.
func (s *Server) stats(w http.ResponseWriter, r *http.Request) {
	queues, err := s.queues(r)
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	out := api.StatsOf(time.Now().UTC(), s.host.Stats(), queues)
	out.Started, out.Draining = s.started, s.isDraining()
	if s.opts.Fleet != nil {
		out.Fleet = s.opts.Fleet.Name()
	}
	w.Header().Set("Cache-Control", "no-store")
	writeList(w, out)
}

// queues are the longest that a caller may see. Who does not see all tenants' has those of its own: the
// others would tell who else is there, and what they do. What tenants share is not its own.
func (s *Server) queues(r *http.Request) ([]host.Queue, error) {
	tenant, err := s.sees(r)
	if err != nil {
		return nil, err
	}
	if tenant == nil {
		return s.host.Queues(api.MaxQueues), nil
	}
	own := slices.DeleteFunc(s.host.Queues(0), func(q host.Queue) bool { return q.Shared || q.Tenant != *tenant })
	return own[:min(len(own), api.MaxQueues)], nil
}
