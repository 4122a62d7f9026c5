package host

import (
	"errors"
	"time"

	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/internal/keeper"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// ErrNoState says that the host keeps no state beyond the process, since Config.State is not set.
var ErrNoState = errors.New("no state is kept beyond the process (Config.State, --state-dir, --state-url)")

// newStreams returns where streams have their states, and what keeps these beyond the process, if
// anything does.
func newStreams(cfg *Config, tasks *sched.Scheduler) (*stream.Store[sched.Serial], *keeper.Keeper[sched.Serial]) {
	bounds := stream.Config[sched.Serial]{Max: cfg.MaxStreams, MaxBytes: cfg.MaxStreamBytes, MaxAge: cfg.StreamAge}
	if cfg.State == nil {
		return stream.New(bounds), nil
	}
	bounds.Occupy = (*sched.Serial).Occupy
	streams := stream.New(bounds)
	return streams, keeper.New(keeper.Config[sched.Serial]{
		Store: cfg.State, Streams: streams, Max: cfg.MaxStreams, Interval: cfg.StateInterval,
		Vacate: tasks.Vacate, Fail: tasks.Fail, Log: cfg.Logger,
		Saved: func(r keeper.Report) {
			cfg.Events.Publish(event.StateSaved{Records: r.Records, Deleted: r.Deleted, Bytes: r.Bytes, Until: r.Until, Took: r.Took})
		},
		Told: func(o keeper.Outage) {
			e := event.StateOutage{Loading: o.Loading, Ended: o.Ended, Lasted: o.Lasted, Unsaved: o.Unsaved}
			if o.Err != nil {
				e.Detail = o.Err.Error()
			}
			cfg.Events.Publish(e)
		},
	})
}

func stateStats(k keeper.Stats, s stream.Stats) *StateStats {
	st := &StateStats{
		Unsaved: s.Unsaved, Saves: k.Saves, SaveFailures: k.SaveFailures, Saved: k.Saved, Deleted: k.Deleted,
		LastTook: k.Last.Took, LastBytes: k.Last.Bytes, Loads: k.Loads, LoadFailures: k.LoadFailures, Lost: k.Lost,
		Unreadable: k.Unreadable, SavingFails: !k.Saving.IsZero(), LoadingFails: !k.Loading.IsZero(),
	}
	if !s.Oldest.IsZero() {
		st.UnsavedFor = time.Since(s.Oldest)
	}
	return st
}
