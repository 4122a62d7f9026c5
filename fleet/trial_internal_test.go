package fleet

import (
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
)

// TestJudge tries a release of a plugin that failed before in one of its transforms. What failed before is no fault of the release, also if
// the release lacks a transform or counts anew.
func TestJudge(t *testing.T) {
	stats := func(all ...host.TransformStats) *host.PluginStats {
		return &host.PluginStats{Plugin: host.Plugin{Hash: "h"}, Transforms: all}
	}
	of := func(name string, ok, trapped uint64) host.TransformStats {
		return host.TransformStats{Name: name, OK: ok, Errors: map[host.Kind]uint64{host.KindTrap: trapped}}
	}
	before := faultsOf(stats(of("a", 1_000_000, 0), of("b", 1000, 500)))
	for name, c := range map[string]struct {
		now  *host.PluginStats
		want verdict
	}{
		"nothing since":                {stats(of("a", 1_000_000, 0), of("b", 1000, 500)), passed},
		"a transform less":             {stats(of("b", 1100, 500)), passed},
		"a transform less, faults":     {stats(of("b", 1080, 520)), failed},
		"a transform more":             {stats(of("a", 1_000_000, 0), of("b", 1000, 500), of("c", 100, 0)), passed},
		"a transform more that faults": {stats(of("a", 1_000_000, 0), of("b", 1000, 500), of("c", 80, 20)), failed},
		"counted anew":                 {stats(of("a", 10, 0), of("b", 90, 0)), passed},
		"counted anew, faults":         {stats(of("a", 10, 0), of("b", 70, 20)), failed},
	} {
		trial := &trial{hash: "h", before: before}
		if v, why := trial.judge(c.now, &Rollout{WatchMS: 1, MaxErrors: 0.01}, time.Now()); v != c.want {
			t.Errorf("%s: verdict %d, want %d: %s", name, v, c.want, why)
		}
	}
}
