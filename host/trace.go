package host

import "time"

// Phase is what a followed task was in for a while.
type Phase string

// Phases of a task.
const (
	// PhaseQueue is the waiting for a worker and for an instance, one that had to be made included.
	PhaseQueue Phase = "queue"
	// PhaseRun is a crossing into the guest. A task has several if it began anew.
	PhaseRun Phase = "run"
	// PhaseReset is the giving back of the instance after a run: it was put into its first state, or let
	// go if that could not be done or the isolation is [IsolationFresh]. An instance that tasks share has
	// none after a task of a row.
	PhaseReset Phase = "reset"
)

// TaskPhase is one phase of a task.
type TaskPhase struct {
	Phase        Phase
	Began, Ended time.Time
	// Plugin, Version and Hash are of whose instance it was; empty of PhaseQueue.
	Plugin, Version, Hash string
	// Canary is whether that was a version on trial.
	Canary bool
	// Tasks is how many tasks had the phase in common, and Fuel what these burnt, of PhaseRun.
	Tasks int
	Fuel  uint64
	// Kind is how a PhaseRun failed as a whole; "" if it did not. A task can fail all the same, by the
	// guest's answer.
	Kind Kind
}

// TaskTrace is how a task went that Config.Trace follows.
type TaskTrace struct {
	// Transform is what the task was for, by the name that its caller gave, which may be of no transform
	// and as long as the caller likes. Tenant is on whose behalf it was.
	Transform, Tenant string
	// Tasks is how many tasks there were: 1, or those of a RunBatch that took a place together.
	Tasks int
	// Submitted is when the task came, and Ended when it had its outcome. The last PhaseReset may come later.
	Submitted, Ended time.Time
	// Latency is what TransformStats.Latency counts of the task, or of the last of several; 0 if it did not
	// run. Its PhaseQueue and PhaseRun took as long as Wait and Run count.
	Latency time.Duration
	// Phases are in the order in which they ended. There is none if the task was refused at once.
	Phases []TaskPhase
	// Fuel is what the tasks burnt.
	Fuel uint64
	// Err is an [*Error], or nil; of several tasks that of the first that failed. Failed is how many did.
	Err    error
	Failed int
}

// following is a task that is followed. A nil one is none.
type following struct {
	told func(TaskTrace)
	of   TaskTrace
	// also are those who share what is added, of which it may be one itself.
	also []*following
}

// add adds a phase.
func (f *following) add(p TaskPhase) {
	switch {
	case f == nil:
	case f.also != nil:
		for _, g := range f.also {
			g.add(p)
		}
	default:
		p.Began, p.Ended = f.time(p.Began), f.time(p.Ended)
		f.of.Phases = append(f.of.Phases, p)
	}
}

// time returns a time as the clock had it when the task came: the scheduler's goes its own way.
func (f *following) time(t time.Time) time.Time { return f.of.Submitted.Add(t.Sub(f.of.Submitted)) }

// ended takes note that a task that was queued at that time has its outcome.
func (f *following) ended(queued, now time.Time) {
	if f != nil {
		f.of.Ended, f.of.Latency = f.time(now), now.Sub(queued)
	}
}

// end tells how a task went.
func (f *following) end(fuel uint64, err error) {
	if f == nil {
		return
	}
	if f.of.Fuel, f.of.Err = fuel, err; err != nil {
		f.of.Failed = 1
	}
	f.tell()
}

// endAll tells how a batch went.
func (f *following) endAll(results []Result) {
	if f == nil {
		return
	}
	for i := range results {
		f.of.Fuel += results[i].Fuel
		if err := results[i].Err; err != nil {
			if f.of.Failed++; f.of.Err == nil {
				f.of.Err = err
			}
		}
	}
	f.tell()
}

func (f *following) tell() {
	if f.of.Ended.IsZero() {
		f.of.Ended = f.time(time.Now())
	}
	f.told(f.of)
}
