package api

import (
	"encoding/json"
	"time"

	"github.com/resonhost/resonhost/host"
)

// Plugin is a plugin in answers of /v1/plugins.
type Plugin struct {
	// Name, Version and Hash are empty while nothing serves under the source's name.
	Name    string `json:"name"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
	// Kind is the kind of guest, such as native; it is left out while nothing serves.
	Kind       string      `json:"kind,omitempty"`
	Source     string      `json:"source"`
	Transforms []Transform `json:"transforms"`
	Paused     bool        `json:"paused"`
	// Suspended is whether it is given a rest, for failing in a row.
	Suspended bool `json:"suspended"`
	// Mismatch is of the last task that the interpreter answered differently.
	Mismatch string `json:"mismatch,omitempty"`
	// Since is when that version began to serve, and By what had it do so: loaded, swapped,
	// promoted or rolled_back.
	Since time.Time         `json:"since,omitzero"`
	By    host.DeployResult `json:"by,omitempty"`
	// Previous is the hash of the version that a rollback goes back to.
	Previous string       `json:"previous,omitempty"`
	Canary   *Canary      `json:"canary,omitempty"`
	Failure  *LoadFailure `json:"failure,omitempty"`
}

// Transform is a transform of a [Plugin].
type Transform struct {
	Name       string  `json:"name"`
	Input      string  `json:"input"`
	Output     string  `json:"output"`
	StateBytes int     `json:"state_bytes"`
	TimeoutS   float64 `json:"timeout_seconds"`
	// InputSchema and OutputSchema are JSON Schemas of what the payloads are in JSON.
	InputSchema  json.RawMessage `json:"input_schema,omitempty"`
	OutputSchema json.RawMessage `json:"output_schema,omitempty"`
}

// ServedTransform is a transform in answers of /v1/transforms. Its schemas are those of its manifest,
// and without these those of its JSON form's codec.
type ServedTransform struct {
	Transform

	// Plugin, Version and Hash say what serves it.
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
	// Takes are the media types that bodies of its tasks may have.
	Takes []string `json:"takes"`
}

// Transforms is the answer of GET /v1/transforms.
type Transforms struct {
	Transforms []ServedTransform `json:"transforms"`
}

// Canary is a version on trial.
type Canary struct {
	Version string    `json:"version"`
	Hash    string    `json:"hash"`
	Share   float64   `json:"share"`
	Since   time.Time `json:"since"`
	Tasks   uint64    `json:"tasks"`
	Failed  uint64    `json:"failed"`
}

// LoadFailure is why the newest version does not serve.
type LoadFailure struct {
	Hash  string    `json:"hash,omitempty"`
	Step  host.Step `json:"step"`
	Error string    `json:"error"`
	Time  time.Time `json:"time"`
}

// Plugins is the answer of GET /v1/plugins.
type Plugins struct {
	Plugins []Plugin `json:"plugins"`
}

// Changed is the answer of POST /v1/plugins/{name}/{action}.
type Changed struct {
	Result host.DeployResult `json:"result,omitempty"` // of reload
	Plugin *Plugin           `json:"plugin,omitempty"`
}
