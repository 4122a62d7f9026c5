package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/lines"
	"github.com/resonhost/resonhost/server/auth"
)

// job is one job. Manager.mu guards what changes.
type job struct {
	spec   Spec
	record Record
	held   int64 // bytes
	kept   int64 // of them, what is not of tasks under way
	stored bool  // since when it waits for its turn
	// settled is whether held is what is kept alone: what a reader gives back that outlives the tasks
	// is not there any more.
	settled bool
	// cancelled is whether it was cancelled before it was stored.
	cancelled bool
	traced    traced                  // how it goes; set before it waits for its turn
	ctx       context.Context         // of its tasks, from its start on
	cancel    context.CancelCauseFunc // from its start until it is over; nil otherwise
	release   context.CancelFunc      // of ctx, likewise
	rest      *lines.Rest             // where it goes on; nil before its first wait. Not guarded: one goroutine at a time has it
	changed   chan struct{}           // closed at each change of the results, and replaced
	done      chan struct{}           // closed once it is over
	busy      chan struct{}           // set while one alone may call the store for it, once it is over; closed then
}

// most is how many jobs of a tenant run at once.
func (m *Manager) most() int { return max(m.opts.Running/2, 1) }

// work runs jobs in their turn until none may run.
func (m *Manager) work() {
	for {
		j := m.next()
		if j == nil {
			return
		}
		m.run(j)
	}
}

// next begins the job whose turn it is: of the tenant with the fewest that run, the one that has
// waited longest.
func (m *Manager) next() *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	var of *tenant
	for _, t := range m.tenants {
		if len(t.waiting) == 0 || t.active >= m.most() {
			continue
		}
		if of == nil || cmp.Or(cmp.Compare(t.active, of.active), t.waiting[0].record.Job.Created.Compare(of.waiting[0].record.Job.Created)) < 0 {
			of = t
		}
	}
	if of == nil {
		m.active--
		return nil
	}
	j := of.waiting[0]
	of.waiting[0] = nil
	of.waiting = of.waiting[1:]
	m.queued--
	of.active++
	if j.cancel == nil { // it has not begun before
		j.record.Job.State, j.record.Job.Started = api.JobRunning, time.Now().UTC()
		j.ctx, j.cancel = context.WithCancelCause(j.traced.context(m.ctx))
		j.release = func() {}
		if j.spec.Timeout > 0 {
			j.ctx, j.release = context.WithTimeoutCause(j.ctx, j.spec.Timeout, errTimeout)
		}
	}
	return j
}

// run does a job's tasks, until they are done or the next is to wait for its pace.
func (m *Manager) run(j *job) {
	rest, err := m.tasks(j)
	if cause := context.Cause(j.ctx); err != nil && cause != nil {
		err = cause // rather than what came of it
	}
	if rest == nil || err != nil {
		m.finish(j, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tenantLocked(j).active--
	if rest != nil && err == nil {
		m.resting++
		m.running.Go(func() { m.await(j) })
	}
	m.idleLocked(j)
}

// tasks does a job's tasks from where it rested. It returns where it rests next, nil if it is over.
func (m *Manager) tasks(j *job) (*lines.Rest, error) {
	offset := int64(0)
	if j.rest != nil {
		offset = j.rest.Offset
	} else if err := m.opts.Store.Put(j.ctx, m.snapshot(j)); err != nil {
		return nil, err
	}
	if m.opts.Elsewhere != nil {
		return m.elsewhere(j)
	}
	summary, err := lines.Run(j.ctx, m.host, m.codecs, j.spec.Transform, bytes.NewReader(j.spec.Input[offset:]), &results{m, j}, lines.Options{
		Stream: j.spec.Stream, StreamField: j.spec.StreamField, Priority: j.spec.Priority, Tenant: j.record.Owner.Tenant,
		MaxLine: m.opts.MaxLine, MaxHeld: int(min(m.opts.MaxBytes/8, lines.DefaultMaxHeld)), Memory: &results{m, j},
		Pace: j.spec.Pace, Wake: j.spec.Withdrawn, Yield: true, From: j.rest,
		Failed: func(_ int, err error) { m.failed(j, err) },
	})
	j.rest = summary.Rest
	return j.rest, err
}

// gathers is for how long a job waits for its pace at most, so that more tasks are done together elsewhere.
const gathers = 5 * time.Second

// elsewhere has tasks done from where the job rested, as many as may begin soon. It returns where it rests next, nil if it does not.
func (m *Manager) elsewhere(j *job) (rest *lines.Rest, err error) {
	out := &results{m, j}
	p := &Part{Spec: &j.spec, Input: j.spec.Input, Line: 1, Out: out, Memory: out, Failed: func(_ int, err error) { m.failed(j, err) }}
	taken := j.rest != nil // the place of the first task
	if taken {
		p.Input, p.Line = p.Input[j.rest.Offset:], j.rest.Line
	}
	offset, began := int64(len(j.spec.Input)-len(p.Input)), time.Now()
	j.rest = nil // it has its place, and does not give it back
	ends := error(nil)
	size, line := 0, p.Line
	for text := range bytes.Lines(p.Input) {
		if len(bytes.TrimSpace(text)) > 0 && j.spec.Pace != nil && !taken {
			wait, undo, err := j.spec.Pace()
			if ends = err; err != nil {
				break // once those before are done
			}
			if until := time.Now().Add(wait); wait > 0 && (until.Sub(began) > gathers || !m.waited(j, wait)) {
				rest = lines.NewRest(line, offset+int64(size), until, undo)
				break
			}
		}
		taken = taken && len(bytes.TrimSpace(text)) == 0
		size, line = size+len(text), line+1
	}
	if p.Input = p.Input[:size]; size > 0 {
		err = m.unlessWithdrawn(j, func(ctx context.Context) error { return m.opts.Elsewhere(ctx, p) })
	}
	j.rest = rest
	return rest, cmp.Or(err, ends)
}

// waited waits, and reports whether it was for so long.
func (m *Manager) waited(j *job, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-j.spec.Withdrawn:
	case <-j.ctx.Done():
	}
	return false
}

// unlessWithdrawn does something that ends once the job may not go on.
func (m *Manager) unlessWithdrawn(j *job, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(j.ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var watch sync.WaitGroup
	defer watch.Wait()
	defer close(done)
	watch.Go(func() {
		select {
		case <-j.spec.Withdrawn:
			_, undo, err := j.spec.Pace()
			if undo != nil { // it may go on nevertheless
				undo()
			}
			if err != nil {
				cancel(err)
			}
		case <-done:
		}
	})
	if err := do(ctx); err != nil {
		return cmp.Or(context.Cause(ctx), err) // rather than what came of it
	}
	return nil
}

// await waits until a job that rests may go on, and has it come to its turn before others of its
// tenant. It ends one that may not go on.
func (m *Manager) await(j *job) {
	timer := time.NewTimer(time.Until(j.rest.Until))
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-j.spec.Withdrawn:
		var undo func()
		if _, undo, err = j.spec.Pace(); undo != nil { // it may go on nevertheless
			undo()
		}
		j.spec.Withdrawn = nil
	case <-j.ctx.Done():
		err = context.Cause(j.ctx)
	}
	if err != nil {
		m.finish(j, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resting--
	if err == nil {
		t := m.tenantLocked(j)
		t.waiting = slices.Insert(t.waiting, 0, j)
		m.beginLocked(t)
	}
}

func (m *Manager) snapshot(j *job) Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return j.record
}

// failed takes note of a task that failed.
func (m *Manager) failed(j *job, err error) {
	m.mu.Lock()
	j.record.Job.Failed++
	m.mu.Unlock()
	if m.opts.Failed != nil {
		m.opts.Failed(j.ctx, err)
	}
}

// results are where a job's results go, and the memory that it takes.
type results struct {
	m *Manager
	j *job
}

var _ lines.Memory = (*results)(nil)

// Write keeps lines.
func (r *results) Write(p []byte) (int, error) {
	if !r.Take(len(p), true) {
		return 0, errFull
	}
	if err := r.m.opts.Store.Append(r.m.ctx, r.j.record.Job.ID, p); err != nil {
		r.Add(-len(p))
		return 0, err
	}
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.j.record.Job.ResultBytes += int64(len(p))
	r.m.keepLocked(r.j, r.j.kept+int64(len(p)))
	r.j.record.Job.Done += bytes.Count(p, []byte("\n"))
	r.j.changedLocked()
	return len(p), nil
}

// changedLocked wakes those who follow the results.
func (j *job) changedLocked() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// Take implements [lines.Memory]. A job for which there is no room ends: to keep the results of some
// tasks and not of others would be of no use.
func (r *results) Take(n int, _ bool) bool {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if r.j.settled { // a reader may outlive its job
		return false
	}
	if !r.m.takeLocked(r.m.tenantLocked(r.j), int64(n)) {
		r.j.cancel(errFull)
		return false
	}
	r.j.held += int64(n)
	return true
}

// Add implements [lines.Memory].
func (r *results) Add(n int) {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	if !r.j.settled {
		r.m.chargeLocked(r.j, int64(n))
	}
}

// Tight implements [lines.Memory].
func (r *results) Tight() bool {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	left := r.m.mostLocked(r.m.tenantLocked(r.j), 0) - r.m.kept
	return r.m.held-r.m.kept > left/2
}

// settle says how a job has ended, and why. Its owner holds it, or the manager's mutex.
func (m *Manager) settle(j *job, err error) (outcome string) {
	rec := &j.record.Job
	rec.Ended = time.Now().UTC()
	rec.Expires = rec.Ended.Add(m.opts.Age)
	rec.State = api.JobDone
	if err == nil {
		return string(rec.State)
	}
	rec.State = api.JobFailed
	outcome = string(rec.State)
	kind := host.KindHost
	switch {
	case errors.Is(err, errCancelled):
		rec.State, kind, outcome = api.JobCancelled, host.KindCancelled, string(api.JobCancelled)
		rec.Expires = rec.Ended.Add(min(m.opts.Age, CancelledAge))
	case errors.Is(err, errFull):
		kind, err = host.KindQueueFull, errFull
	case errors.Is(err, errTimeout):
		kind = host.KindTimeout
	case errors.Is(err, errLost):
		kind, outcome = host.KindUnavailable, "lost"
	}
	if refused := (*auth.Error)(nil); errors.As(err, &refused) {
		kind = refused.Kind
	}
	e := api.New(kind, err.Error())
	if task := (*host.Error)(nil); errors.As(err, &task) {
		e = api.Of(rec.Transform, err)
	}
	e.Transform = rec.Transform
	rec.Error = &e
	return outcome
}

// told is why a job ended as its owner is told. What else went wrong is for the log.
func (m *Manager) told(j *job, err error) error {
	for _, known := range []error{nil, errCancelled, errFull, errTimeout, errLost} {
		if errors.Is(err, known) {
			return err
		}
	}
	refused, task := (*auth.Error)(nil), (*host.Error)(nil)
	if errors.As(err, &refused) || errors.As(err, &task) {
		return err
	}
	m.log.Error("a job could not be stored", "job", j.record.Job.ID, "error", err)
	return storeError(j.record.Job.Transform, err)
}

// lastLine is the line of results that says why there are no more.
func lastLine(e *api.Error) []byte {
	b, _ := json.Marshal(api.Failure{Error: *e}) // which has nothing that could fail
	return append(b, '\n')
}

// finish ends a job. One that has no result for each task has a last line that says why.
func (m *Manager) finish(j *job, err error) {
	id := j.record.Job.ID
	if j.rest != nil {
		j.rest.Cancel()
	}
	err = m.told(j, err)
	m.mu.Lock()
	m.ended.WithLabelValues(m.settle(j, err)).Inc()
	e := j.record.Job.Error
	m.mu.Unlock()
	j.traced.over(j)
	ctx, cancel := m.ending()
	defer cancel()
	var last []byte
	if e != nil {
		last = lastLine(e)
		if err := m.opts.Store.Append(ctx, id, last); err != nil {
			m.log.Error("the end of a job could not be stored", "job", id, "error", err)
			last = nil
		}
	}
	m.mu.Lock()
	j.record.Job.ResultBytes += int64(len(last))
	// What the tasks under way had is given back by now, or by this; the input is of no more use.
	j.settled = true
	m.chargeLocked(j, overhead+j.record.Job.ResultBytes-j.held)
	m.keepLocked(j, j.held)
	if j.cancel != nil {
		j.cancel(nil)
		j.release()
	}
	j.spec.Input, j.rest, j.cancel = nil, nil, nil
	record := j.record
	m.mu.Unlock()
	if err := m.opts.Store.Put(ctx, record); err != nil {
		m.log.Error("the end of a job could not be stored", "job", id, "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.overLocked(j)
	j.changedLocked()
	close(j.done)
}

// Results reads the results of a job of the owner's from an offset in bytes into p, and returns how
// many bytes there were. over is whether there will be no further ones. If there are none yet, and follow
// is set, it waits until there are, or ctx ends, whose cause it returns.
func (m *Manager) Results(ctx context.Context, o Owner, id string, offset int64, p []byte, follow bool) (n int, over bool, err error) {
	for {
		j, err := m.find(o, id)
		if err != nil {
			return 0, false, err
		}
		m.mu.Lock()
		changed := j.changed
		m.mu.Unlock()
		select {
		case <-j.done:
			over = true
		default:
		}
		n, err = m.opts.Store.Read(ctx, id, offset, p)
		if err != nil && m.removed(ctx, j) {
			return 0, false, ErrNotFound // rather than what came of it
		}
		if n > 0 || err != nil || over || !follow {
			return n, over && n < len(p), err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, false, context.Cause(ctx)
		}
	}
}

// removed reports whether a job is forgotten. It waits for whoever may be about to forget it.
func (m *Manager) removed(ctx context.Context, j *job) bool {
	m.mu.Lock()
	busy := j.busy
	m.mu.Unlock()
	if busy != nil {
		select {
		case <-busy:
		case <-ctx.Done():
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs[j.record.Job.ID] != j
}

// Collectors are the manager's metrics.
func (m *Manager) Collectors() []prometheus.Collector {
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
			m.dropLater(m.sweep())
			m.mu.Lock()
			defer m.mu.Unlock()
			return f()
		})
	}
	return []prometheus.Collector{
		m.ended, m.refused,
		gauge("resonhost_jobs", "Jobs that are kept, those that are over included.", nil, func() float64 { return float64(len(m.jobs)) }),
		gauge("resonhost_jobs_queued", "Jobs whose turn is still to come.", nil, func() float64 { return float64(m.queued) }),
		gauge("resonhost_jobs_running", "Jobs whose tasks are being done.", nil, func() float64 { return float64(m.runningLocked()) }),
		gauge("resonhost_jobs_resting", "Jobs that wait until the rate of who submitted them lets them go on.", nil, func() float64 { return float64(m.resting) }),
		gauge("resonhost_job_bytes", "Bytes of inputs and results of jobs.", nil, func() float64 { return float64(m.held) }),
		gauge("resonhost_job_bytes_max", "How many bytes of inputs and results there may be.", nil, func() float64 { return float64(m.opts.MaxBytes) }),
	}
}

func (m *Manager) runningLocked() (n int) {
	for _, t := range m.tenants {
		n += t.active
	}
	return n
}
