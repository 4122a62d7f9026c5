package api

import "time"

// Fleet is the answer of GET /v1/fleet: what a fleet of hosts does at a moment. resonhost fleet ls --json prints it.
type Fleet struct {
	Time    time.Time     `json:"time" doc:"When the fleet was looked at."`
	Name    string        `json:"fleet" doc:"The fleet's name." example:"default"`
	Queue   FleetQueue    `json:"queue" doc:"What waits in the fleet."`
	Hosts   []FleetHost   `json:"hosts" doc:"The hosts that have given a sign of life, by name."`
	Plugins []FleetPlugin `json:"plugins" doc:"What the fleet wants of each plugin that was pushed, by name."`
	Drained []string      `json:"drained" doc:"The names of hosts that are to take no frames, whether they are there or not."`
}

// FleetQueue is what waits in a fleet.
type FleetQueue struct {
	Waiting  uint64  `json:"waiting" doc:"How many frames wait for a host."`
	UnderWay int     `json:"under_way" doc:"How many frames hosts have."`
	Bytes    uint64  `json:"bytes" doc:"The size of both."`
	Oldest   float64 `json:"oldest_seconds" doc:"For how long the oldest frame that is not done has been there; 0 without one."`
	Dead     uint64  `json:"dead_letters" doc:"How many dead letters are kept."`
}

// FleetHostState says whether a host of a fleet takes frames.
type FleetHostState string

// States of a host.
const (
	FleetHostServing    FleetHostState = "serving"
	FleetHostDraining   FleetHostState = "draining"   // it takes no frames, and ends those that it has
	FleetHostDrained    FleetHostState = "drained"    // it takes no frames, and has none
	FleetHostGone       FleetHostState = "gone"       // it is silent, and another process has its name
	FleetHostUnreadable FleetHostState = "unreadable" // nothing more is known than that it is there
)

// FleetHostStates returns all states of a host.
func FleetHostStates() []FleetHostState {
	return []FleetHostState{FleetHostServing, FleetHostDraining, FleetHostDrained, FleetHostGone, FleetHostUnreadable}
}

// FleetHost is a host of a fleet.
type FleetHost struct {
	Name       string            `json:"host" doc:"The host's name." example:"one"`
	Instance   string            `json:"instance" doc:"The number of its process."`
	State      FleetHostState    `json:"state" doc:"Whether it takes frames. A process that is gone is silent, and another has its name. Of one that is unreadable nothing more is known than that it is there."`
	Since      time.Time         `json:"since,omitzero" doc:"When its process joined the fleet, by its clock."`
	Workers    int               `json:"workers" doc:"How many tasks it can run at once."`
	Active     int               `json:"active" doc:"How many do, those that are not of the fleet included."`
	Waiting    int               `json:"waiting" doc:"How many tasks wait in it, likewise."`
	UnderWay   int               `json:"under_way" doc:"How many frames it has."`
	Frames     uint64            `json:"frames" doc:"How many frames it has answered since it joined."`
	Tasks      uint64            `json:"tasks" doc:"How many tasks of all kinds have ended since it began."`
	Failed     uint64            `json:"failed" doc:"How many of them failed."`
	Rate       *float64          `json:"tasks_per_second,omitempty" doc:"How many tasks ended a second, of late; left out if that is not known yet."`
	Age        float64           `json:"age_seconds" doc:"How old its sign of life is."`
	Plugins    []FleetHostPlugin `json:"plugins" doc:"The plugins that it has."`
	Transforms []string          `json:"transforms,omitzero" doc:"The names of the transforms that it serves; left out where it does not say."`
	Unreadable string            `json:"unreadable,omitempty" doc:"Why its sign of life cannot be read, such as that a newer program has written it."`
}

// FleetHostPlugin is a plugin of a host.
type FleetHostPlugin struct {
	Source  string `json:"source" doc:"The name of its file without .wasm."`
	Version string `json:"version,omitempty" doc:"The version that serves."`
	Hash    string `json:"hash,omitempty" doc:"The hash of that."`
	Canary  string `json:"canary,omitempty" doc:"The hash of the version on trial."`
	Failure string `json:"failure,omitempty" doc:"Why it does not serve what the fleet wants."`
}

// FleetPlugin is what a fleet wants of a plugin.
type FleetPlugin struct {
	Plugin   string        `json:"plugin" doc:"The name of its source." example:"tick"`
	Current  *FleetRelease `json:"current,omitempty" doc:"What all hosts serve that have no place in the roll-out; left out until a first one is done."`
	Previous *FleetRelease `json:"previous,omitempty" doc:"What a rollback goes back to."`
	Rollout  FleetRollout  `json:"rollout" doc:"The last roll-out, which may be under way."`
}

// FleetRelease is a version of a plugin.
type FleetRelease struct {
	Hash    string                      `json:"hash" doc:"By which hosts tell versions apart."`
	Version string                      `json:"version,omitempty" doc:"The plugin's own, once a host has found the release good."`
	Files   map[string]FleetReleaseFile `json:"files" doc:"Its files, by name."`
}

// FleetReleaseFile is a file of a release.
type FleetReleaseFile struct {
	SHA256 string `json:"sha256" doc:"The digest of its content, in hexadecimal."`
	Bytes  int64  `json:"bytes" doc:"The length of its content."`
}

// FleetRolloutState says how far a roll-out is.
type FleetRolloutState string

// States of a roll-out.
const (
	FleetRolling FleetRolloutState = "rolling" // hosts take the release, a share of them at a time
	FleetDone    FleetRolloutState = "done"    // all hosts serve the release
	FleetStopped FleetRolloutState = "stopped" // hosts go back to the version before
)

// FleetRolloutStates returns all states of a roll-out.
func FleetRolloutStates() []FleetRolloutState {
	return []FleetRolloutState{FleetRolling, FleetDone, FleetStopped}
}

// FleetRollout is how a release comes to the hosts.
type FleetRollout struct {
	ID        string                `json:"id" doc:"Which tells it from others."`
	Release   FleetRelease          `json:"release" doc:"What is rolled out."`
	State     FleetRolloutState     `json:"state" doc:"How far it is."`
	Reason    string                `json:"reason,omitempty" doc:"Why it was stopped."`
	Began     time.Time             `json:"began" doc:"When it began."`
	Ended     time.Time             `json:"ended,omitzero" doc:"When it ended."`
	Share     float64               `json:"share" doc:"Which share of the hosts tries the release at a time, one host at least."`
	WatchMS   int64                 `json:"watch_ms" doc:"For how many milliseconds a host watches the release."`
	MaxErrors float64               `json:"max_errors" doc:"Which share of a host's tasks may fail by the plugin's fault, beyond those that did before."`
	Places    map[string]FleetPlace `json:"places,omitempty" doc:"The hosts' places in it, by the number of their process."`
}

// FleetStep says how far a host is in a roll-out.
type FleetStep string

// Steps of a host.
const (
	FleetTrying FleetStep = "trying" // it deploys the release, or watches it
	FleetGood   FleetStep = "good"   // the release has passed on this host
)

// FleetSteps returns all steps of a host.
func FleetSteps() []FleetStep { return []FleetStep{FleetTrying, FleetGood} }

// FleetPlace is a host's place in a roll-out.
type FleetPlace struct {
	Host  string    `json:"host" doc:"The host's name."`
	Step  FleetStep `json:"step" doc:"trying: the host deploys the release, or watches it. good: the release has passed there."`
	Since time.Time `json:"since" doc:"Since when."`
}
