package server

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/resonhost/resonhost/host"
)

// metrics is GET /metrics. They are gathered first: promhttp would answer a failure with text, and with what a
// collector says of the server's inside.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	families, err := s.opts.Registry.Gather()
	if err != nil {
		s.log.ErrorContext(r.Context(), "metrics cannot be gathered", "error", err)
		writeProblem(w, problem(host.KindHost, "", "metrics cannot be gathered; the server has logged why"))
		return
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	promhttp.HandlerFor(gathered, promhttp.HandlerOpts{
		// Mostly of clients that left.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Which has exemplars, for who asks for it.
		EnableOpenMetrics: true,
	}).ServeHTTP(w, r)
}
