package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/server"
)

// broken is a collector that fails.
type broken struct{ desc *prometheus.Desc }

func (b broken) Describe(c chan<- *prometheus.Desc) { c <- b.desc }
func (b broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(b.desc, errors.New("a secret"))
}

// TestMetricsFail has a collector that fails: the answer is a problem as all others are.
func TestMetricsFail(t *testing.T) {
	s := serve(t, func(_ *host.Config, o *server.Options) {
		o.Collectors = []prometheus.Collector{broken{prometheus.NewDesc("broken", "Fails.", nil, nil)}}
	})
	status, header, body := s.do(t, http.MethodGet, "/metrics", "", "")
	if status != http.StatusInternalServerError || header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, "metrics cannot be gathered; the server has logged why") || strings.Contains(body, "secret") {
		t.Errorf("status %d, %v, %s", status, header, body)
	}
}
