package api

import (
	"encoding/json"
	"time"

	"github.com/resonhost/resonhost/host/event"
)

// Event is one event of a stream of events. Its data depends on its type.
type Event struct {
	// Type is the event's kind with the version of the form of its data, such as
	// plugin.changed.v1. Members may be added to a form; one that changes otherwise has the next
	// version.
	Type string `json:"type"`
	// ID is where the event stands in its stream; the stream's own events have none.
	ID   string    `json:"id,omitempty"`
	Time time.Time `json:"time"`
	Data any       `json:"data"`
}

// Kinds of events that a stream has beside those of package event.
const (
	// KindStreamBegin has a [StreamBegin].
	KindStreamBegin = "stream.begin"
	// KindStreamGap has a [StreamGap].
	KindStreamGap = "stream.gap"
	// KindStreamEnd has a [StreamEnd].
	KindStreamEnd = "stream.end"
)

// EventVersion is what follows the kind in an event's type.
const EventVersion = ".v1"

// StreamBegin is the first event of each stream.
type StreamBegin struct {
	// Kinds are the kinds of the events that follow.
	Kinds []string `json:"kinds"`
}

// StreamGap tells that events are missing before the next one.
type StreamGap struct {
	// Reason is slow: the client took events more slowly than they came, and Missed of them were
	// dropped. Or forgotten: some after Last-Event-ID are no longer kept, or never were. Or
	// unknown_id: Last-Event-ID is of another stream, most often one before a restart.
	Reason GapReason `json:"reason"`
	// Missed is how many events are missing; it is left out if that is not known.
	Missed uint64 `json:"missed,omitempty"`
	// Kinds are those of which some may be missing.
	Kinds []string `json:"kinds"`
}

// GapReason is why events are missing.
type GapReason string

// Reasons of gaps.
const (
	GapSlow      GapReason = "slow"
	GapForgotten GapReason = "forgotten"
	GapUnknownID GapReason = "unknown_id"
)

// StreamEnd is the last event of a stream that the server ends.
type StreamEnd struct {
	// Reason is draining: the server is about to end. Or closed: what the events tell of is gone. Or
	// withdrawn: the client may no longer have them.
	Reason EndReason `json:"reason"`
}

// EndReason is why a stream ends.
type EndReason string

// Reasons of ends.
const (
	EndDraining EndReason = "draining"
	EndClosed   EndReason = "closed"
	// EndWithdrawn: who asked for the stream has lost the right to it.
	EndWithdrawn EndReason = "withdrawn"
)

// TaskCompleted is the data of task.completed: a task ended which had been admitted.
type TaskCompleted struct {
	Plugin    string `json:"plugin"`
	Transform string `json:"transform"`
	Tenant    string `json:"tenant,omitempty"`
	Stream    string `json:"stream,omitempty"`
	// LatencyS is from the task's submission to its end.
	LatencyS float64 `json:"latency_seconds"`
	Fuel     uint64  `json:"fuel,omitempty"`
	// Error and Kind are of a task that failed, as in [Error].
	Error string `json:"error,omitempty"`
	Kind  string `json:"kind,omitempty"`
	// Output is what the task returned, in base64. Only a stream that asks for outputs has it.
	Output []byte `json:"output,omitempty"`
}

// PluginChanged is the data of plugin.changed.
type PluginChanged struct {
	Plugin  string       `json:"plugin"`
	Version string       `json:"version,omitempty"`
	Hash    string       `json:"hash,omitempty"`
	Change  event.Change `json:"change"`
	// Detail says why, where there is more to say.
	Detail string `json:"detail,omitempty"`
}

// PluginLogged is the data of plugin.logged: a line that a plugin has written.
type PluginLogged struct {
	Plugin string `json:"plugin"`
	// Source is the name of its file, without .wasm.
	Source string `json:"source"`
	// Hash is that of the binary, which says which of a plugin's versions it was.
	Hash string `json:"hash"`
	// Level is debug, info, warn or error.
	Level string `json:"level"`
	// Stream is log, stdout or stderr; host for what the host says of the log.
	Stream string `json:"stream"`
	// Text may have control characters.
	Text string `json:"text"`
	// Dropped is how many lines are missing before this one, as the plugin wrote more than it may.
	Dropped uint64 `json:"dropped,omitempty"`
}

// Logs is the answer of GET /v1/logs/{name}.
type Logs struct {
	// Plugin is its name, or its source's.
	Plugin string `json:"plugin"`
	// Source is the name of its file, without .wasm.
	Source string `json:"source"`
	// LastEventID is where the lines end: a stream of events goes on behind them from there.
	LastEventID string `json:"last_event_id"`
	// Lines are the last that are kept, the oldest first.
	Lines []LogLine `json:"lines"`
}

// LogLine is a line of a plugin's log.
type LogLine struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Hash    string    `json:"hash"`
	Level   string    `json:"level"`
	Stream  string    `json:"stream"`
	Text    string    `json:"text"`
	Dropped uint64    `json:"dropped,omitempty"`
}

// NodeCreated is the data of node.created.
type NodeCreated struct {
	ID string `json:"id"`
	// Frequency is in Hz.
	Frequency float64 `json:"frequency"`
	// Index is the node's place on the spiral, from 0.
	Index int `json:"index"`
}

// NodesProgressed is the data of nodes.progressed: nodes whose strength has come to a multiple of
// a tenth.
type NodesProgressed struct {
	// NowMS is the tick's time on the network's clock.
	NowMS float64          `json:"now_ms"`
	Nodes []event.Progress `json:"nodes"`
}

// NodeChanged is the data of node.changed.
type NodeChanged struct {
	ID     string       `json:"id"`
	Change event.Change `json:"change"`
}

// ConnectionEstablished is the data of connection.established.
type ConnectionEstablished struct {
	A        string  `json:"a"`
	B        string  `json:"b"`
	Strength float64 `json:"resonance_strength"`
	Quality  float64 `json:"connection_quality"`
}

// NetworkActivated is the data of network.activated.
type NetworkActivated struct {
	Nodes int `json:"nodes"`
}

// TickCompleted is the data of tick.completed: all nodes of one period, or the network, were
// advanced.
type TickCompleted struct {
	Network bool `json:"network"`
	// NowMS is the tick's time on the network's clock.
	NowMS   float64 `json:"now_ms"`
	PeriodS float64 `json:"period_seconds"`
	// LagS is from when the tick was due to its beginning, and TookS from then to its end.
	LagS  float64 `json:"lag_seconds"`
	TookS float64 `json:"took_seconds"`
	// Coalesced is how many earlier ticks this one stands for besides itself.
	Coalesced uint64 `json:"coalesced,omitempty"`
	// Failed is how many of its tasks failed, and left their nodes as they were.
	Failed int `json:"failed,omitempty"`
}

// StateSaved is the data of state.saved: changed states of streams were saved.
type StateSaved struct {
	// Records is how many states were saved, and Deleted how many that are gone were deleted.
	Records int   `json:"records"`
	Deleted int   `json:"deleted"`
	Bytes   int64 `json:"bytes"`
	// What had changed until then is saved.
	Until time.Time `json:"until"`
	TookS float64   `json:"took_seconds"`
}

// StateOutage is the data of state.outage: states of streams cannot be saved from now on, or loaded,
// or that has ended.
type StateOutage struct {
	Loading bool `json:"loading"`
	Ended   bool `json:"ended"`
	// LastedS is how long it lasted, if it has ended.
	LastedS float64 `json:"lasted_seconds,omitempty"`
	// Unsaved is how many changes wait to be saved.
	Unsaved int    `json:"unsaved"`
	Detail  string `json:"detail,omitempty"`
}

// Broadcast is the data of broadcast: a message of the program that embeds the server.
type Broadcast struct {
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// EventOf returns the event as HTTP has it. It has no ID yet.
func EventOf(e event.Event) Event {
	out := Event{Type: e.Body.Kind().String() + EventVersion, Time: e.Time.UTC()}
	switch b := e.Body.(type) {
	case event.TaskCompleted:
		out.Data = TaskCompleted{
			Plugin: b.Plugin, Transform: b.Transform, Tenant: b.Tenant, Stream: b.Stream,
			LatencyS: b.Latency.Seconds(), Fuel: b.Fuel, Error: b.Error, Kind: b.ErrorKind, Output: b.Output,
		}
	case event.PluginChanged:
		out.Data = PluginChanged(b)
	case event.PluginLogged:
		out.Data = PluginLogged(b)
	case event.NodeCreated:
		out.Data = NodeCreated(b)
	case event.NodesProgressed:
		out.Data = NodesProgressed(b)
	case event.NodeChanged:
		out.Data = NodeChanged(b)
	case event.ConnectionEstablished:
		out.Data = ConnectionEstablished(b)
	case event.NetworkActivated:
		out.Data = NetworkActivated(b)
	case event.TickCompleted:
		out.Data = TickCompleted{
			Network: b.Network, NowMS: b.NowMS, PeriodS: b.Period.Seconds(), LagS: b.Lag.Seconds(), TookS: b.Took.Seconds(),
			Coalesced: b.Coalesced, Failed: b.Failed,
		}
	case event.StateSaved:
		out.Data = StateSaved{Records: b.Records, Deleted: b.Deleted, Bytes: b.Bytes, Until: b.Until.UTC(), TookS: b.Took.Seconds()}
	case event.StateOutage:
		out.Data = StateOutage{Loading: b.Loading, Ended: b.Ended, LastedS: b.Lasted.Seconds(), Unsaved: b.Unsaved, Detail: b.Detail}
	case event.Broadcast:
		out.Data = Broadcast(b)
	default: // an embedder's own body
		out.Data = b
	}
	return out
}
