package host

import (
	"math"
	"sync/atomic"

	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// States are states of streams that their owner keeps in place of the host, as one who stores them
// with the results of their tasks: see [Client.WithStates]. Neither bounds nor age of the host's streams hold
// for them, and Config.State has nothing of them. Their methods may be called concurrently.
type States struct {
	streams    *stream.Store[sched.Serial]
	unreadable atomic.Int64
}

// NewStates returns no states.
func NewStates() *States {
	return &States{streams: stream.New(stream.Config[sched.Serial]{Max: math.MaxInt, MaxBytes: math.MaxInt})}
}

// StreamState is the state of a stream.
type StreamState struct {
	Tenant, Transform, Key string
	// State is empty if the stream has none. Nobody writes into it.
	State []byte
	// Format is the number that the manifest gives State's format.
	Format int
}

// Set gives a stream a state to go on from. No task of the stream is under way.
func (s *States) Set(to StreamState) {
	e, _ := s.streams.Acquire(stream.Key{Tenant: to.Tenant, Transform: to.Transform, Name: to.Key})
	e.Set(to.State, to.Format)
	s.streams.Done(e)
}

// Of returns the state of a stream as its last task has left it.
func (s *States) Of(tenant, transform, key string) StreamState {
	e, _ := s.streams.Acquire(stream.Key{Tenant: tenant, Transform: transform, Name: key})
	defer s.streams.Release(e)
	return StreamState{Tenant: tenant, Transform: transform, Key: key, State: e.State(), Format: e.Format()}
}

// look counts a task of a version that does not read the state of its stream, whatever came of it.
func (s *States) look(v *version, of *spec, e *stream.Entry[sched.Serial]) {
	if of != nil && !of.takes(e) && v.cfg.StateRule != StateReset {
		s.unreadable.Add(1)
	}
}

// Unreadable returns how many tasks have begun their streams anew because their version does not read what
// was [States.Set], although it is to refuse such states (PluginConfig.StateRule). The host refuses such a
// version when it is loaded, and cannot here, as it does not know the states. Their owner lets go of
// what came of them.
func (s *States) Unreadable() int { return int(s.unreadable.Load()) }
