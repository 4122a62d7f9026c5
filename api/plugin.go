package api

import (
	"encoding/json"
	"time"

	"github.com/resonhost/resonhost/host"
)

// Plugin is a plugin in answers of /v1/plugins.
type Plugin struct {
	Name       string            `json:"name" doc:"The plugin's name; empty while nothing serves."`
	Version    string            `json:"version" doc:"The version that serves; empty while none does."`
	Hash       string            `json:"hash" doc:"The SHA-256 of what serves; empty while nothing does."`
	Kind       string            `json:"kind,omitempty" doc:"The kind of guest that it is: native, extism, wapc, command or dprint; left out while nothing serves."`
	Source     string            `json:"source" doc:"The name of its file, without .wasm."`
	Transforms []Transform       `json:"transforms" doc:"What it does."`
	Paused     bool              `json:"paused" doc:"Whether an operator has it refuse tasks."`
	Suspended  bool              `json:"suspended" doc:"Whether it rests, for having failed in a row."`
	Deploying  bool              `json:"deploying,omitempty" doc:"Whether a version of it is being loaded; left out if none is."`
	Unsaved    bool              `json:"unsaved,omitempty" doc:"Whether what was decided about it, such as a pause, waits to be stored, as the store of states is away or slow. The host goes on by it, and stores it once the store is back; a host that ends before forgets it. Left out if nothing waits."`
	Mismatch   string            `json:"mismatch,omitempty" doc:"The last task that the interpreter answered differently; left out without one."`
	Since      time.Time         `json:"since,omitzero" doc:"When the version that serves began to. A restart keeps the time, if the cache directory does."`
	By         host.DeployResult `json:"by,omitempty" doc:"What had it do so."`
	Previous   string            `json:"previous,omitempty" doc:"The hash of the version that a rollback goes back to; left out without one."`
	Canary     *Canary           `json:"canary,omitempty" doc:"The version on trial; left out without one."`
	Failure    *LoadFailure      `json:"failure,omitempty" doc:"Why the newest version does not serve; left out if it does."`
}

// Transform is a transform of a [Plugin].
type Transform struct {
	Name         string          `json:"name" doc:"What it is called by."`
	Input        string          `json:"input" doc:"The media type of its payloads."`
	Output       string          `json:"output" doc:"The media type of its outputs."`
	StateBytes   int             `json:"state_bytes" doc:"The most that it keeps for a stream, in bytes; 0 without state."`
	TimeoutS     float64         `json:"timeout_seconds" doc:"How long a task may run."`
	InputSchema  json.RawMessage `json:"input_schema,omitempty" doc:"A JSON Schema of what a task is in JSON."`
	OutputSchema json.RawMessage `json:"output_schema,omitempty" doc:"A JSON Schema of what its result is in JSON."`
}

// ServedTransform is a transform in answers of /v1/transforms. Its schemas are those of its manifest,
// and without these those of its JSON form's codec.
type ServedTransform struct {
	Transform

	Plugin  string   `json:"plugin" doc:"The plugin that serves it."`
	Version string   `json:"version" doc:"The version of that plugin."`
	Hash    string   `json:"hash" doc:"The SHA-256 of that version."`
	Takes   []string `json:"takes" doc:"The media types that bodies of its tasks may have."`
}

// Transforms is the answer of GET /v1/transforms.
type Transforms struct {
	Transforms []ServedTransform `json:"transforms" doc:"Those that serve and that the caller may call, by name."`
}

// Canary is a version on trial.
type Canary struct {
	Version string    `json:"version" doc:"Its version."`
	Hash    string    `json:"hash" doc:"Its SHA-256."`
	Share   float64   `json:"share" doc:"Which part of the tasks it does, from 0 to 1."`
	Since   time.Time `json:"since" doc:"When its trial began."`
	Tasks   uint64    `json:"tasks" doc:"How many tasks it has done."`
	Failed  uint64    `json:"failed" doc:"How many of them failed that the version beside it could do."`
}

// LoadFailure is why the newest version does not serve.
type LoadFailure struct {
	Hash  string    `json:"hash,omitempty" doc:"The SHA-256 of what was refused; left out if it could not be read."`
	Step  host.Step `json:"step" doc:"At which step of the deployment it was refused."`
	Error string    `json:"error" doc:"Why."`
	Time  time.Time `json:"time" doc:"When."`
}

// Plugins is the answer of GET /v1/plugins.
type Plugins struct {
	Plugins []Plugin `json:"plugins" doc:"All plugins, by name."`
}

// Changed is the answer of POST /v1/plugins/{name}/{action}.
type Changed struct {
	Result host.DeployResult `json:"result,omitempty" doc:"What became of a reload; left out of other actions."`
	Plugin *Plugin           `json:"plugin,omitempty" doc:"The plugin as it is now; left out if it is gone."`
}
