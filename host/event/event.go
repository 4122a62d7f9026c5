// Package event says what happens in a host and its network, as it happens.
//
// A [Bus] hands every [Event] to its subscribers. Each has a buffer of its own; one
// that is slower than the events loses the oldest of them, which is counted, and
// delays nobody: publishing never waits.
//
// All methods may be called concurrently. A nil *Bus is one that nobody hears, and whose
// subscriptions are closed.
package event

import (
	"encoding/json"
	"time"
	"unsafe"
)

// Kind is what sort of thing happened.
type Kind uint8

// Kinds of events, each with the body that it has. NodesProgressed, TaskCompleted,
// TickCompleted and StateSaved come as fast as the work is done, or say nothing new: they are made
// only while somebody subscribes to them, and are not kept in the history. PluginLogged has a
// history of each plugin's own, see [Bus.Logged].
const (
	KindNodeCreated           Kind = iota // NodeCreated
	KindNodesProgressed                   // NodesProgressed
	KindNodeChanged                       // NodeChanged
	KindConnectionEstablished             // ConnectionEstablished
	KindNetworkActivated                  // NetworkActivated
	KindTickCompleted                     // TickCompleted
	KindTaskCompleted                     // TaskCompleted
	KindPluginChanged                     // PluginChanged
	KindBroadcast                         // Broadcast
	KindPluginLogged                      // PluginLogged
	KindStateSaved                        // StateSaved
	KindStateOutage                       // StateOutage
	kinds
)

var kindNames = [kinds]string{
	"node.created", "nodes.progressed", "node.changed", "connection.established", "network.activated",
	"tick.completed", "task.completed", "plugin.changed", "broadcast", "plugin.logged",
	"state.saved", "state.outage",
}

// String returns the kind's name in JSON.
func (k Kind) String() string {
	if k >= kinds {
		return "unknown"
	}
	return kindNames[k]
}

// Transient reports whether events of the kind are made only for subscribers: they come with every task, tick
// or save, and no history keeps them.
func (k Kind) Transient() bool {
	return k == KindNodesProgressed || k == KindTickCompleted || k == KindTaskCompleted || k == KindStateSaved
}

// ForTenants reports whether events of the kind may go to who sees one tenant's tasks alone. Those of other
// kinds may tell of all tenants: plugins' logs, and what happens to the store of states.
func (k Kind) ForTenants() bool {
	switch k { // a further kind is for no tenant until it stands here
	case KindNodeCreated, KindNodesProgressed, KindNodeChanged, KindConnectionEstablished, KindNetworkActivated,
		KindTickCompleted, KindTaskCompleted, KindPluginChanged, KindBroadcast:
		return true
	}
	return false
}

// Kinds returns all kinds.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for k := range kinds {
		all[k] = k
	}
	return all
}

// Event is something that happened. Subscribers share it: nobody changes it.
type Event struct {
	// Seq counts the events of a bus from 1, in the order of their publication.
	Seq  uint64
	Time time.Time
	Body Body
}

// MarshalJSON implements [json.Marshaler]. The body's members stand below "body". The
// zero Event is of the kind "unknown".
func (e Event) MarshalJSON() ([]byte, error) {
	kind := kinds
	if e.Body != nil {
		kind = e.Body.Kind()
	}
	return json.Marshal(struct {
		Seq  uint64    `json:"seq"`
		Time time.Time `json:"time"`
		Kind string    `json:"kind"`
		Body Body      `json:"body"`
	}{e.Seq, e.Time, kind.String(), e.Body})
}

// Body is what an event tells: one of the types of this package, which state their
// kind.
type Body interface{ Kind() Kind }

// size is how many bytes a body brings along, other than names.
func size(b Body) int {
	switch b := b.(type) {
	case NodesProgressed:
		return len(b.Nodes) * int(unsafe.Sizeof(Progress{}))
	case TaskCompleted:
		return len(b.Output) + len(b.Error)
	case PluginChanged:
		return len(b.Detail)
	case StateOutage:
		return len(b.Detail)
	case Broadcast:
		return len(b.Payload)
	case PluginLogged:
		return len(b.Text)
	}
	return 0
}

// NodeCreated tells of a new node.
type NodeCreated struct {
	ID string `json:"id"`
	// Frequency is in Hz.
	Frequency float64 `json:"frequency"`
	// Index is the node's place on the spiral, from 0.
	Index int `json:"index"`
}

// NodesProgressed tells of nodes whose strength after a tick, in thousandths and rounded
// down, is a multiple of 100, in node order. So a node can be in several in a row, and
// one whose strength is 1 is in each. A tick has such an event for each chunk of nodes
// that has any.
type NodesProgressed struct {
	// NowMS is the tick's time on the network's clock.
	NowMS float64    `json:"now_ms"`
	Nodes []Progress `json:"nodes"`
}

// Progress is a node with the strength it has reached.
type Progress struct {
	ID       string  `json:"id" doc:"The node's ID."`
	Strength float64 `json:"resonance_strength" doc:"The strength that it has reached, from 0 to 1."`
}

// Change is what became of a node or plugin.
type Change string

// Changes of nodes, and those of plugins.
const (
	NodeStopped Change = "stopped"
	NodeResumed Change = "resumed"
	NodeRemoved Change = "removed"

	PluginReady      Change = "ready"
	PluginSwapped    Change = "swapped" // a new version serves
	PluginRefused    Change = "refused" // a source could not serve; what served does so still
	PluginCanary     Change = "canary"  // a new version does a share of the tasks
	PluginPromoted   Change = "promoted"
	PluginRolledBack Change = "rolled back"
	PluginPaused     Change = "paused"
	PluginResumed    Change = "resumed"
	PluginSuspended  Change = "suspended"
	PluginRecovered  Change = "recovered"
	PluginMismatch   Change = "mismatch" // the interpreter answered a task differently
	PluginUnloaded   Change = "unloaded"
	PluginClosed     Change = "closed"
)

// NodeChanged tells that a node was stopped, resumed or removed.
type NodeChanged struct {
	ID     string `json:"id"`
	Change Change `json:"change"`
}

// ConnectionEstablished tells of a new connection, or an old one measured anew.
type ConnectionEstablished struct {
	A        string  `json:"a"`
	B        string  `json:"b"`
	Strength float64 `json:"resonance_strength"`
	Quality  float64 `json:"connection_quality"`
}

// NetworkActivated tells that a network ticks from now on: it was started, or another was
// restored in its place.
type NetworkActivated struct {
	Nodes int `json:"nodes"`
}

// TickCompleted tells that all nodes of one period, or the network, were advanced.
type TickCompleted struct {
	// Network is whether it is the network's tick.
	Network bool          `json:"network"`
	Period  time.Duration `json:"period_ns"`
	// NowMS is the tick's time on the network's clock.
	NowMS float64 `json:"now_ms"`
	// Lag is from when the tick was due to when the scheduler began it, Took from
	// then to when its results were merged.
	Lag  time.Duration `json:"lag_ns"`
	Took time.Duration `json:"took_ns"`
	// Coalesced is how many earlier ticks this one stands for besides itself.
	Coalesced uint64 `json:"coalesced"`
	// Failed is how many of its tasks failed, and left their nodes as they were.
	Failed int `json:"failed"`
}

// TaskCompleted tells that a task has ended. Each task that took a place in the queue has one
// such event, whether it ran, or left the queue because it was cancelled, dropped or too
// late. A task that was refused at once has none.
type TaskCompleted struct {
	Plugin    string `json:"plugin,omitempty"`
	Transform string `json:"transform"`
	Tenant    string `json:"tenant,omitempty"`
	Stream    string `json:"stream,omitempty"`
	// Output is a copy of what the task returned.
	Output []byte `json:"output,omitempty"`
	// Latency is from the task's submission to its end.
	Latency time.Duration `json:"latency_ns"`
	Fuel    uint64        `json:"fuel,omitempty"`
	// Error is the message of a task that failed, and ErrorKind the kind of its error.
	Error     string `json:"error,omitempty"`
	ErrorKind string `json:"error_kind,omitempty"`
}

// PluginChanged tells that a plugin became ready, was swapped, suspended and so on.
type PluginChanged struct {
	// Plugin is its name; of one that was refused, its source's.
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Hash    string `json:"hash"`
	Change  Change `json:"change"`
	// Detail says why, where there is more to say.
	Detail string `json:"detail,omitempty"`
}

// PluginLogged is a line that a plugin has written: by a function of its kind's for that, or on its
// standard output or error. What a task wrote last that failed is in the task's error instead.
type PluginLogged struct {
	// Plugin is its name; its source's, before the plugin has told its name.
	Plugin string `json:"plugin"`
	// Source is its source's name, which each plugin has for itself.
	Source string `json:"source"`
	// Hash is that of the binary, which says which of a plugin's versions it was.
	Hash string `json:"hash"`
	// Level is debug, info, warn or error.
	Level string `json:"level"`
	// Stream is log, stdout or stderr; host for what the host says of the log, such as that lines are
	// dropped.
	Stream string `json:"stream"`
	// Text is valid UTF-8, may have control characters, and has at most [MaxLogLine] bytes.
	Text string `json:"text"`
	// Dropped is how many lines of the plugin are missing before this one, since it wrote more than it may.
	Dropped uint64 `json:"dropped,omitempty"`
}

// StateSaved tells that changed states of streams were saved.
type StateSaved struct {
	// Records is how many states were saved, and Deleted how many that are gone were deleted.
	Records int `json:"records"`
	Deleted int `json:"deleted"`
	// Bytes is of the states.
	Bytes int64 `json:"bytes"`
	// What had changed until then is saved.
	Until time.Time     `json:"until"`
	Took  time.Duration `json:"took_ns"`
}

// StateOutage tells that states of streams cannot be saved from now on, or loaded, or that they can
// be again.
type StateOutage struct {
	// Loading is whether they cannot be loaded; else they cannot be saved.
	Loading bool `json:"loading"`
	// Ended is whether that is over, after it has Lasted so long.
	Ended  bool          `json:"ended"`
	Lasted time.Duration `json:"lasted_ns,omitempty"`
	// Unsaved is how many changes wait.
	Unsaved int `json:"unsaved"`
	// Detail is the first failure.
	Detail string `json:"detail,omitempty"`
}

// Broadcast is a message of the program to whoever listens.
type Broadcast struct {
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Kind implements [Body].
func (NodeCreated) Kind() Kind { return KindNodeCreated }

// Kind implements [Body].
func (NodesProgressed) Kind() Kind { return KindNodesProgressed }

// Kind implements [Body].
func (NodeChanged) Kind() Kind { return KindNodeChanged }

// Kind implements [Body].
func (ConnectionEstablished) Kind() Kind { return KindConnectionEstablished }

// Kind implements [Body].
func (NetworkActivated) Kind() Kind { return KindNetworkActivated }

// Kind implements [Body].
func (TickCompleted) Kind() Kind { return KindTickCompleted }

// Kind implements [Body].
func (TaskCompleted) Kind() Kind { return KindTaskCompleted }

// Kind implements [Body].
func (PluginChanged) Kind() Kind { return KindPluginChanged }

// Kind implements [Body].
func (PluginLogged) Kind() Kind { return KindPluginLogged }

// Kind implements [Body].
func (StateSaved) Kind() Kind { return KindStateSaved }

// Kind implements [Body].
func (StateOutage) Kind() Kind { return KindStateOutage }

// Kind implements [Body].
func (Broadcast) Kind() Kind { return KindBroadcast }
