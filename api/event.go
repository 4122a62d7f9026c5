package api

import (
	"encoding/json"
	"time"

	"github.com/resonhost/resonhost/host/event"
)

// Event is one event of a stream of events. Its data depends on its type.
type Event struct {
	Type string    `json:"type" doc:"The event's kind, with the version of the form of its data, such as plugin.changed.v1. Members may be added to a form; one that changes otherwise has the next version." example:"plugin.changed.v1"`
	ID   string    `json:"id,omitempty" doc:"Where the event stands in its stream; the stream's own events have none."`
	Time time.Time `json:"time" doc:"When it happened."`
	Data any       `json:"data" doc:"What happened, by the type."`
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
	Kinds []string `json:"kinds" doc:"The kinds of the events that follow."`
	Notes []string `json:"notes,omitempty" doc:"What may surprise, such as that no plugin has the name that was asked for."`
}

// StreamGap tells that events are missing before the next one.
type StreamGap struct {
	Reason GapReason `json:"reason" doc:"slow: the client took events more slowly than they came. rate: there were more than the client asked for a second. forgotten: some after Last-Event-ID are no longer kept, or never were. unknown_id: Last-Event-ID is of another stream, most often one before a restart."`
	Missed uint64    `json:"missed,omitempty" doc:"How many events are missing; left out if that is not known."`
	Kinds  []string  `json:"kinds" doc:"The kinds of which some may be missing."`
}

// GapReason is why events are missing.
type GapReason string

// Reasons of gaps.
const (
	GapSlow      GapReason = "slow"
	GapRate      GapReason = "rate"
	GapForgotten GapReason = "forgotten"
	GapUnknownID GapReason = "unknown_id"
)

// StreamEnd is the last event of a stream that the server ends.
type StreamEnd struct {
	Reason EndReason `json:"reason" doc:"draining: the server is about to end. closed: what the events tell of is gone. withdrawn: the client may no longer have them."`
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
	Plugin    string  `json:"plugin" doc:"The plugin that did the task."`
	Transform string  `json:"transform" doc:"The transform that did it."`
	Tenant    string  `json:"tenant,omitempty" doc:"Whose task it was; left out without a tenant."`
	Stream    string  `json:"stream,omitempty" doc:"The key of its stream; left out without one."`
	LatencyS  float64 `json:"latency_seconds" doc:"How long it took from its submission to its end."`
	Fuel      uint64  `json:"fuel,omitempty" doc:"The fuel that it used."`
	Error     string  `json:"error,omitempty" doc:"Why it failed; left out of one that succeeded."`
	Kind      string  `json:"kind,omitempty" doc:"The kind of that error."`
	Output    []byte  `json:"output,omitempty" doc:"What it returned, in base64. Only a stream that asks for outputs has it."`
}

// PluginChanged is the data of plugin.changed.
type PluginChanged struct {
	Plugin  string       `json:"plugin" doc:"The plugin's name, or that of its file."`
	Version string       `json:"version,omitempty" doc:"The version that the change is of."`
	Hash    string       `json:"hash,omitempty" doc:"The SHA-256 of that version."`
	Change  event.Change `json:"change" doc:"What became of it."`
	Detail  string       `json:"detail,omitempty" doc:"Why, where there is more to say."`
}

// PluginLogged is the data of plugin.logged: a line that a plugin has written.
type PluginLogged struct {
	Plugin  string `json:"plugin" doc:"The plugin's name, or that of its file."`
	Source  string `json:"source" doc:"The name of its file, without .wasm."`
	Hash    string `json:"hash" doc:"The SHA-256 of the version that wrote it."`
	Level   string `json:"level" doc:"debug, info, warn or error."`
	Stream  string `json:"stream" doc:"log, stdout or stderr; host for what the host says of the log."`
	Text    string `json:"text" doc:"The line. It may have control characters, and is not to be trusted."`
	Dropped uint64 `json:"dropped,omitempty" doc:"How many lines are missing before this one, as the plugin wrote more than it may."`
}

// Logs is the answer of GET /v1/logs/{name}.
type Logs struct {
	Plugin      string    `json:"plugin" doc:"The plugin's name, or that of its file."`
	Source      string    `json:"source" doc:"The name of its file, without .wasm."`
	LastEventID string    `json:"last_event_id" doc:"Where the lines end: a stream of events goes on behind them from there."`
	Lines       []LogLine `json:"lines" doc:"The last that are kept, the oldest first."`
}

// LogLine is a line of a plugin's log.
type LogLine struct {
	ID      string    `json:"id" doc:"Where the line stands in the stream of events."`
	Time    time.Time `json:"time" doc:"When it was written."`
	Hash    string    `json:"hash" doc:"The SHA-256 of the version that wrote it."`
	Level   string    `json:"level" doc:"debug, info, warn or error."`
	Stream  string    `json:"stream" doc:"log, stdout or stderr; host for what the host says of the log."`
	Text    string    `json:"text" doc:"The line. It may have control characters, and is not to be trusted."`
	Dropped uint64    `json:"dropped,omitempty" doc:"How many lines are missing before this one, as the plugin wrote more than it may."`
}

// NodeCreated is the data of node.created.
type NodeCreated struct {
	ID        string  `json:"id" doc:"The node's ID."`
	Frequency float64 `json:"frequency" doc:"Its frequency in Hz."`
	Index     int     `json:"index" doc:"Its place on the spiral, from 0."`
}

// NodesProgressed is the data of nodes.progressed: nodes whose strength has come to a multiple of
// a tenth.
type NodesProgressed struct {
	NowMS float64          `json:"now_ms" doc:"The tick's time on the network's clock, in ms."`
	Nodes []event.Progress `json:"nodes" doc:"The nodes, in their order."`
}

// NodeChanged is the data of node.changed.
type NodeChanged struct {
	ID     string       `json:"id" doc:"The node's ID."`
	Change event.Change `json:"change" doc:"What became of it."`
}

// ConnectionEstablished is the data of connection.established.
type ConnectionEstablished struct {
	A        string  `json:"a" doc:"The ID of one node."`
	B        string  `json:"b" doc:"The ID of the other."`
	Strength float64 `json:"resonance_strength" doc:"How strong the connection is, from 0 to 1."`
	Quality  float64 `json:"connection_quality" doc:"How good it is, from 0 to 1."`
}

// NetworkActivated is the data of network.activated.
type NetworkActivated struct {
	Nodes int `json:"nodes" doc:"How many nodes the network has."`
}

// TickCompleted is the data of tick.completed: all nodes of one period, or the network, were
// advanced.
type TickCompleted struct {
	Network   bool    `json:"network" doc:"Whether the network was advanced, and not nodes."`
	NowMS     float64 `json:"now_ms" doc:"The tick's time on the network's clock, in ms."`
	PeriodS   float64 `json:"period_seconds" doc:"The period whose nodes were advanced."`
	LagS      float64 `json:"lag_seconds" doc:"How long after it was due the tick began."`
	TookS     float64 `json:"took_seconds" doc:"How long the tick took from its beginning to its end."`
	Coalesced uint64  `json:"coalesced,omitempty" doc:"How many earlier ticks this one stands for besides itself."`
	Failed    int     `json:"failed,omitempty" doc:"How many of its tasks failed, and left their nodes as they were."`
}

// StateSaved is the data of state.saved: changed states of streams were saved.
type StateSaved struct {
	Records int       `json:"records" doc:"How many states were saved."`
	Deleted int       `json:"deleted" doc:"How many that are gone were deleted."`
	Bytes   int64     `json:"bytes" doc:"The size of what was saved."`
	Until   time.Time `json:"until" doc:"What had changed until then is saved."`
	TookS   float64   `json:"took_seconds" doc:"How long that took."`
}

// StateOutage is the data of state.outage: states of streams cannot be saved from now on, or loaded,
// or that has ended.
type StateOutage struct {
	Loading bool    `json:"loading" doc:"Whether states cannot be loaded; else they cannot be saved."`
	Ended   bool    `json:"ended" doc:"Whether that has ended."`
	LastedS float64 `json:"lasted_seconds,omitempty" doc:"How long it lasted, if it has ended."`
	Unsaved int     `json:"unsaved" doc:"How many changes wait to be saved."`
	Detail  string  `json:"detail,omitempty" doc:"Why."`
}

// Broadcast is the data of broadcast: a message of the program that embeds the server.
type Broadcast struct {
	Topic   string          `json:"topic" doc:"What the message is about, as the embedding program says."`
	Payload json.RawMessage `json:"payload,omitempty" doc:"The message."`
}

// EventForm is the form of the data of a kind of events.
type EventForm struct {
	Kind string
	// Data is a value of the type that the data has.
	Data any
}

// EventForms returns those of all kinds of this package and of package event.
func EventForms() []EventForm {
	of := func(k event.Kind, data any) EventForm { return EventForm{k.String(), data} }
	return []EventForm{
		of(event.KindPluginChanged, PluginChanged{}), of(event.KindTaskCompleted, TaskCompleted{}),
		of(event.KindPluginLogged, PluginLogged{}), of(event.KindStateSaved, StateSaved{}), of(event.KindStateOutage, StateOutage{}),
		of(event.KindBroadcast, Broadcast{}), of(event.KindNodeCreated, NodeCreated{}),
		of(event.KindNodesProgressed, NodesProgressed{}), of(event.KindNodeChanged, NodeChanged{}),
		of(event.KindConnectionEstablished, ConnectionEstablished{}), of(event.KindNetworkActivated, NetworkActivated{}),
		of(event.KindTickCompleted, TickCompleted{}),
		{KindStreamBegin, StreamBegin{}}, {KindStreamGap, StreamGap{}}, {KindStreamEnd, StreamEnd{}},
	}
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
