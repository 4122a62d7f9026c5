package host

import (
	"time"

	"github.com/resonhost/resonhost/host/internal/canary"
)

// trial is a canary: a version that does a share of its plugin's tasks, beside the one
// that does the others, until it is promoted or rolled back.
type trial struct {
	*canary.Trial

	version *version
}

func newTrial(v *version, share float64) *trial { return &trial{canary.New(share), v} }

// canaryLimits are what a canary of the plugin must keep to.
func (p *PluginConfig) canaryLimits() canary.Limits {
	return canary.Limits{Time: p.CanaryTime, Errors: p.CanaryErrors, Slowdown: p.CanarySlowdown}
}

// takes reports whether the canary does a task of the transform in that slot. Of a stream it
// does all or none.
func (c *trial) takes(slot int, inStream bool, key string) bool {
	switch {
	case c.version.spec(slot) == nil:
		return false
	case inStream:
		return c.TakesStream(key)
	}
	return c.Takes()
}

// observe takes note of tasks that a side did, and how that ended.
func (c *trial) observe(onTrial bool, how Kind, took time.Duration, tasks int, inStream bool) {
	switch how {
	case KindCancelled: // their callers' end
		c.GivenUp(onTrial, tasks)
	case "":
		c.Did(onTrial, tasks, took, inStream)
	}
}
