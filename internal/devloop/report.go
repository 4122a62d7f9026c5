package devloop

import (
	"fmt"

	"github.com/resonhost/resonhost/api"
)

// Results of a build, besides those of [host.DeployResult].
const (
	BuildFailed = "build_failed"
	Refused     = "refused" // by the host, or there was nothing to deploy
	Gone        = "gone"    // there is no project
)

// Report is what came of a build.
type Report struct {
	Plugin string `json:"plugin"`
	// Result is one of [host.DeployResult], BuildFailed, Refused or Gone.
	Result string `json:"result"`
	// Serving is what serves now, and Before what did at the report before.
	Serving Version `json:"serving,omitzero"`
	Before  Version `json:"before,omitzero"`
	Build   *Build  `json:"build,omitempty"`
	// Seconds is how long the deployment took.
	Seconds float64 `json:"deploy_seconds,omitempty"`
	// Error is why what was built does not serve, or what else went wrong; nil if nothing did. Those
	// of tasks are in Tasks.
	Error *api.Error `json:"error,omitempty"`
	// Tasks are the inputs that were replayed, in order.
	Tasks []Task `json:"tasks,omitempty"`
}

// Version is one of the plugin.
type Version struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
	// Memory is what an instance has once it is made, in bytes.
	Memory uint64 `json:"memory"`
}

// name is what it is called, "" of none.
func (v Version) name() string {
	if v.Hash == "" {
		return ""
	}
	return fmt.Sprintf("%s %s (%.8s)", v.Plugin, v.Version, v.Hash)
}

// deployed reports whether what was built serves.
func (r *Report) deployed() bool {
	return r.Result != BuildFailed && r.Result != Refused && r.Result != Gone
}

// Failed reports whether the plugin is not as it should be: it does not serve, its inputs
// cannot be read, or it broke down on one of them.
func (r *Report) Failed() bool {
	if !r.deployed() || r.Error != nil {
		return true
	}
	for i := range r.Tasks {
		if r.Tasks[i].Misbehaved() {
			return true
		}
	}
	return false
}

// reason is why it failed.
func (r *Report) reason() string {
	switch {
	case r.Error != nil && r.Error.Step != "":
		return r.Error.Step.In(r.Error.Detail)
	case r.Error != nil:
		return r.Error.Detail
	}
	return "a task broke it"
}
