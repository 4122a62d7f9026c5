package host

import (
	"context"
	"encoding/json"
	"time"

	"github.com/resonhost/resonhost/host/internal/schema"
)

// Plugin describes a plugin: one that serves, or a source that could not.
type Plugin struct {
	// Source is the name of its [Source].
	Source string
	// Name and Version are the manifest's, Hash the SHA-256 of the binary and of Source.Companion
	// behind it, in hexadecimal; "" while nothing serves.
	Name, Version, Hash string
	// Kind is the kind of guest, such as "native"; "" while nothing serves, and in ModeInline.
	Kind string
	// Transforms are in the manifest's order.
	Transforms []Transform
	// Since is when this version began to serve. For a version that was a canary it is when it
	// was promoted. By is how it came to serve: DeployLoaded, DeploySwapped, DeployPromoted or
	// DeployRolledBack. With Config.CacheDir and Config.Watch a restart changes neither.
	Since time.Time
	By    DeployResult
	// Loading is how long it took to make the version of its source. Compiling is the part of
	// that which compiling took: 0 if its code came from Config.CacheDir.
	Loading, Compiling time.Duration
	// Paused is whether it is, see [Host.Pause].
	Paused bool
	// Previous is the Hash of the version that [Host.Rollback] goes back to; "" without one.
	Previous string
	// Deploying is whether a source of it is being loaded, which takes as long as it takes to compile.
	Deploying bool
	// Unsaved is whether what was decided about it, such as by [Host.Pause], is not in Config.State yet, since
	// that failed or did not answer. The host goes on by it, and each save of the host tries it again.
	Unsaved bool
	// Canary does a share of the tasks; nil without one.
	Canary *Canary
	// Mismatch describes a task that the interpreter answered differently, see VerifySample: the
	// last one of this version's first 16; "" without one.
	Mismatch string
	// Failure is why the newest source does not serve; nil if it does.
	Failure *LoadError
}

// Canary is a version on trial, see PluginConfig.Canary.
type Canary struct {
	Version, Hash string
	// Share is its share of the tasks, and Since when it began.
	Share float64
	Since time.Time
	// Tasks is how many it did, and Failed how many of its tasks only the version beside
	// it did. Slowdown is how much longer its tasks take on average; 0 if that is not
	// known yet.
	Tasks, Failed uint64
	Slowdown      float64
}

// Transform describes a transform.
type Transform struct {
	Name string
	// Input and Output are the media types of its payloads.
	Input, Output string
	// StateBytes is the most it keeps for a stream; 0 without state.
	StateBytes int
	// Timeout is the run timeout in force; 0 in ModeInline, which has none.
	Timeout time.Duration
	// Plugin, Version and Hash say what served it when it was described, as those of [Plugin].
	Plugin, Version, Hash string
	// InputSchema and OutputSchema are the JSON Schemas of what the payloads are in JSON; nil without.
	InputSchema, OutputSchema json.RawMessage

	input, output *schema.Schema
	failures      failures // nil unless Lookup has made it
}

// CountFailed counts a task that has failed before the host got it, among the errors of that kind in [Stats].
// It is for programs that make payloads of what comes to them, as package invoke does of JSON: a text of which
// no payload can be made is a failed task for its sender, and the host knows nothing of it. It does nothing if
// the Transform is not from [Host.Lookup], or the host has no such kind.
func (t *Transform) CountFailed(k Kind) {
	if t.failures != nil {
		t.failures.failed(k)
	}
}

// failures counts tasks that have failed.
type failures interface{ failed(k Kind) }

// CheckInput holds the JSON of a task to the transform's InputSchema. Where payloads are JSON
// themselves, the host does it with every task: it is for who makes payloads of JSON. Its error is an
// [*abi.FieldError] whose field is the JSON pointer of the first value at fault, or "document", or ctx's
// cause. Without a schema it is nil.
func (t *Transform) CheckInput(ctx context.Context, doc []byte) error {
	return checkBy(ctx, t.input, doc)
}

// CheckOutput is likewise for OutputSchema. The host holds no output to it.
func (t *Transform) CheckOutput(ctx context.Context, doc []byte) error {
	return checkBy(ctx, t.output, doc)
}

func checkBy(ctx context.Context, s *schema.Schema, doc []byte) error {
	if s == nil {
		return nil
	}
	return s.Check(ctx, doc)
}
