// Package jobs does tasks in the background: a caller hands them over, and comes back for the
// results.
//
// A [Manager] bounds what all jobs hold: in number, in bytes of inputs and results, and in age once
// they are over. It runs a few jobs at a time, in turn among tenants. A [Store] keeps records and
// results; [MemoryStore] is one.
package jobs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/lines"
	"github.com/resonhost/resonhost/state"
)

// Defaults of Options.
const (
	DefaultMaxJobs  = 10_000
	DefaultMaxBytes = 256 << 20
	DefaultAge      = time.Hour
)

// CancelledAge is how long a job is kept that was cancelled, at most: nobody waits for its results any
// more, but who reads them learns that they end.
const CancelledAge = time.Minute

// overhead is what a job takes beside its input and results, in bytes, about.
const overhead = 1 << 10

// Options bound the jobs of a manager. The zero value of a field is its default.
type Options struct {
	// MaxJobs is how many jobs are kept at most, those that are over included; default 10,000.
	MaxJobs int
	// MaxBytes is how many bytes they hold at most: inputs until they are over, and results;
	// default 256 MiB. Of this and of MaxJobs the last quarter is for tenants that have less than an
	// eighth.
	MaxBytes int64
	// Age is how long a job is kept once it is over; default 1 h. See also [CancelledAge].
	Age time.Duration
	// Running is how many jobs run at once; default four for each worker. A tenant has half of
	// them at most.
	Running int
	// MaxLine is the longest line in bytes; default, and at most, what the codecs decode.
	MaxLine int
	// Store keeps the jobs; default a new [MemoryStore].
	Store Store
	// Logger receives what goes wrong beyond a job; default discards it.
	Logger *slog.Logger
	// Failed, if set, is told of each task that failed, with the context of its job's tasks.
	Failed func(ctx context.Context, err error)
	// Elsewhere, if set, does the tasks of jobs in place of the host, as a fleet does.
	Elsewhere Elsewhere
	// Trace, if set, is asked of each job whether it is followed, with the context of the request that
	// submits it. If so it returns what makes the context of the job's tasks, and what is called once the
	// job is over, with the kind of its error or "".
	Trace func(request context.Context, transform string) (carry func(context.Context) context.Context, end func(host.Kind))
}

// Elsewhere does tasks of a job. It returns once all have their results, or with an error, also when ctx ends.
type Elsewhere func(ctx context.Context, p *Part) error

// Part is tasks of a job that are done together.
type Part struct {
	Spec *Spec
	// Input has a JSON line for each task, and blank ones. Line is the number of the first.
	Input []byte
	Line  int
	// Out receives a line for each task, in their order, and Failed, before that, why one has failed.
	Out    io.Writer
	Failed func(line int, err error)
	// Memory is where the bytes of results come from until they are written to Out.
	Memory lines.Memory
}

// Errors.
var (
	// ErrNotFound is of a job that there is not, or that is another's.
	ErrNotFound = errors.New("there is no such job, or not any more")

	errCancelled = errors.New("the job was cancelled")
	errFull      = errors.New("the results are more than there is room for (MaxBytes, --max-job-bytes); those so far are kept")
	errTimeout   = errors.New("the job took longer than its timeout; the results so far are kept")
	errLost      = errors.New("the server ended before the job was over")
	errStore     = errors.New("the job could not be stored; the server has logged why")
)

// endTimeout is how long the store has for what is written when a job ends or is forgotten, whatever
// else has ended. Once Close has ended the jobs that are left, it has so long for all of them.
const endTimeout = 10 * time.Second

// Manager has jobs. Make one with [New]. Its methods may be called concurrently.
type Manager struct {
	host   *host.Host
	codecs *codec.Set
	opts   Options
	log    *slog.Logger

	ctx     context.Context // of jobs that run
	end     context.CancelCauseFunc
	last    context.Context // of what is written when a job ends or is forgotten
	giveUp  context.CancelFunc
	running sync.WaitGroup

	ended   *prometheus.CounterVec
	refused *prometheus.CounterVec

	mu      sync.Mutex // guards the rest, and the records of jobs
	jobs    map[string]*job
	over    []*job // in the order in which they expire
	tenants map[string]*tenant
	queued  int
	active  int
	resting int // jobs that wait for their pace
	held    int64
	dropped []*job        // that the store is still to forget
	drops   bool          // whether somebody sees to them
	outage  outage.Outage // in which it forgets none
	kept    int64         // of held, what is not of tasks under way
	closed  bool
}

// tenant is what a tenant has.
type tenant struct {
	waiting []*job // the first is next
	active  int
	jobs    int
	held    int64
}

// New returns a manager, which takes over what its store has. Jobs that were not over there have
// failed. It starts nothing.
func New(ctx context.Context, h *host.Host, codecs *codec.Set, o Options) (*Manager, error) {
	o.MaxJobs = cmp.Or(max(o.MaxJobs, 0), DefaultMaxJobs)
	o.MaxBytes = cmp.Or(max(o.MaxBytes, 0), DefaultMaxBytes)
	o.Age = cmp.Or(max(o.Age, 0), DefaultAge)
	o.Running = cmp.Or(max(o.Running, 0), max(4*h.Workers(), 2))
	if o.Store == nil {
		o.Store = NewMemoryStore()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		host: h, codecs: codecs, opts: o, log: o.Logger, jobs: make(map[string]*job), tenants: make(map[string]*tenant),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "resonhost_jobs_ended_total", Help: "Jobs that are over, by how they ended; lost are those that the end of the server cut short.",
		}, []string{"outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "resonhost_jobs_refused_total", Help: "Jobs that were refused, by the bound that they would have broken.",
		}, []string{"bound"}),
	}
	m.ctx, m.end = context.WithCancelCause(context.Background())
	m.last, m.giveUp = context.WithCancel(context.Background())
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// load takes over what the store has.
func (m *Manager) load(ctx context.Context) error {
	records, err := m.opts.Store.All(ctx)
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	if s, ok := m.opts.Store.(interface{ Unreadable() int }); ok {
		m.host.NoteUnreadable(state.KindJob, s.Unreadable())
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(a.Job.Expires.Compare(b.Job.Expires), strings.Compare(a.Job.ID, b.Job.ID))
	})
	for _, r := range records {
		j := &job{record: r, done: make(chan struct{}), changed: make(chan struct{})}
		close(j.done)
		if !r.Job.State.Over() {
			if err := m.lose(ctx, j); err != nil {
				return fmt.Errorf("jobs: %w", err)
			}
		}
		m.jobs[r.Job.ID] = j
		m.over = append(m.over, j)
		m.chargeLocked(j, overhead+j.record.Job.ResultBytes)
		m.keepLocked(j, j.held)
		m.tenantLocked(j).jobs++
	}
	// Those that were lost are kept for as long as others.
	slices.SortStableFunc(m.over, func(a, b *job) int { return a.record.Job.Expires.Compare(b.record.Job.Expires) })
	return nil
}

// lose ends a job that was not over when its process ended.
func (m *Manager) lose(ctx context.Context, j *job) error {
	m.ended.WithLabelValues(m.settle(j, errLost)).Inc()
	last := lastLine(j.record.Job.Error)
	if err := m.opts.Store.Append(ctx, j.record.Job.ID, last); err != nil {
		return err
	}
	j.record.Job.ResultBytes += int64(len(last))
	return m.opts.Store.Put(ctx, j.record)
}

// Spec is what a job is to do.
type Spec struct {
	Owner     Owner
	Transform string
	// Input is a JSON line for each task. It is the manager's then.
	Input []byte
	// Stream is the key of the stream of all tasks, StreamField the member of a line that is the key of
	// its task's; at most one is set.
	Stream, StreamField string
	// Priority is that of all tasks, and Timeout how long the job may take from its start, 0 for
	// as long as it likes.
	Priority host.Priority
	Timeout  time.Duration
	// Pace, if set, is that of [lines.Options]. A job that is to wait lets others run.
	Pace func() (wait time.Duration, undo func(), err error)
	// Withdrawn, once closed, ends such a wait: Pace is asked again, whose error ends the job.
	Withdrawn <-chan struct{}
}

// MaxInput is how long the input of a job may be that has room: what leaves some to others.
func (m *Manager) MaxInput() int64 { return m.opts.MaxBytes / 8 }

// Submit takes a job, whose tasks will be done in its turn. The error is a [*host.Error]: there is
// no such transform, no room for the job, the store does not take it, or the manager is closed.
func (m *Manager) Submit(ctx context.Context, s Spec) (api.Job, error) {
	if _, err := m.host.Lookup(s.Transform); err != nil {
		return api.Job{}, err
	}
	j := &job{spec: s, done: make(chan struct{}), changed: make(chan struct{})}
	j.record = Record{Owner: s.Owner, Job: api.Job{
		ID: strings.ToLower(rand.Text()), State: api.JobQueued, Transform: s.Transform, Priority: api.PriorityName(s.Priority),
		Tasks: count(s.Input), InputBytes: int64(len(s.Input)), Created: time.Now().UTC(),
	}}
	if err := m.admit(j); err != nil {
		return api.Job{}, err
	}
	j.traced = m.trace(ctx, s.Transform)
	record := j.record
	if err := m.opts.Store.Put(ctx, record); err != nil {
		m.log.Error("a job could not be stored", "job", record.Job.ID, "error", err)
		refused := storeError(s.Transform, err)
		m.abandon(j, refused)
		return api.Job{}, refused
	}
	m.mu.Lock()
	if m.closed { // meanwhile
		m.mu.Unlock()
		m.abandon(j, errLost)
		return api.Job{}, m.closedError(s.Transform)
	}
	if j.cancelled { // likewise
		m.mu.Unlock()
		m.finish(j, errCancelled)
		return m.state(j), nil
	}
	defer m.mu.Unlock()
	j.stored = true
	t := m.tenantLocked(j)
	t.waiting = append(t.waiting, j)
	m.beginLocked(t)
	return j.record.Job, nil
}

// abandon forgets a job that Submit does not take after all. Others may wait for it already.
func (m *Manager) abandon(j *job, err error) {
	m.mu.Lock()
	m.settle(j, err)
	m.forgetLocked(j)
	j.changedLocked()
	close(j.done)
	m.mu.Unlock()
	j.traced.over(j)
	if err := m.delete(m.last, j); err != nil { // the store may have it nevertheless
		m.dropAgain(m.last, j, err)
	}
}

// ending is the context of what is written at a job's end.
func (m *Manager) ending() (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.last, endTimeout)
}

// beginLocked has one more job run, if one may. One of the tenant has just come to wait for its turn.
func (m *Manager) beginLocked(t *tenant) {
	m.queued++
	if m.active < m.opts.Running && t.active < m.most() {
		m.active++
		m.running.Go(m.work)
	}
}

// count returns how many tasks lines are: those that are not blank.
func count(input []byte) (n int) {
	for line := range bytes.Lines(input) {
		if len(bytes.TrimSpace(line)) > 0 {
			n++
		}
	}
	return n
}

func (m *Manager) closedError(transform string) error {
	return &host.Error{Kind: host.KindUnavailable, Transform: transform, Message: "draining: no further job is taken"}
}

// admit makes room for a job.
func (m *Manager) admit(j *job) error {
	m.dropLater(m.sweep())
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenantLocked(j)
	refuse := func(bound, format string, args ...any) error {
		m.idleLocked(j)
		m.refused.WithLabelValues(bound).Inc()
		return &host.Error{Kind: host.KindQueueFull, Transform: j.spec.Transform, Err: host.ErrQueueFull, Message: fmt.Sprintf(format, args...)}
	}
	most := m.opts.MaxJobs
	if t.jobs >= most/8 {
		most -= most / 4
	}
	switch {
	case m.closed:
		m.idleLocked(j)
		return m.closedError(j.spec.Transform)
	case !m.outage.Since().IsZero() && len(m.dropped) >= m.opts.MaxJobs: // they take memory, too
		m.idleLocked(j)
		return &host.Error{Kind: host.KindStateUnavailable, Transform: j.spec.Transform, Message: "the job cannot be stored now, since the store does not delete jobs that are gone; the server has logged why"}
	case len(m.jobs) >= most:
		return refuse("jobs", "there are %d jobs already, of %d (MaxJobs, --max-jobs), the last quarter of which is for tenants that have few; remove some that are over, or try again when they have expired", len(m.jobs), m.opts.MaxJobs)
	case !m.takeLocked(t, overhead+int64(len(j.spec.Input))):
		return refuse("bytes", "the jobs hold all the memory that they may (MaxBytes, --max-job-bytes), of which the last quarter is for tenants that hold little; remove some that are over, or try again when they have expired")
	}
	j.held = overhead + int64(len(j.spec.Input))
	m.keepLocked(j, j.held)
	t.jobs++
	m.jobs[j.record.Job.ID] = j
	return nil
}

// takeLocked takes n bytes for a tenant, and reports whether there was room.
func (m *Manager) takeLocked(t *tenant, n int64) bool {
	if m.held+n > m.mostLocked(t, n) {
		return false
	}
	m.held += n
	t.held += n
	return true
}

// mostLocked is how many bytes all may hold for a tenant to take n more.
func (m *Manager) mostLocked(t *tenant, n int64) int64 {
	most := m.opts.MaxBytes
	if t.held+n > most/8 {
		most -= most / 4
	}
	return most
}

// keepLocked says how much of what a job holds is not of tasks under way.
func (m *Manager) keepLocked(j *job, n int64) {
	m.kept += n - j.kept
	j.kept = n
}

// chargeLocked takes n bytes that are there already, or gives them back if n is negative.
func (m *Manager) chargeLocked(j *job, n int64) {
	m.held += n
	m.tenantLocked(j).held += n
	j.held += n
}

// tenantLocked returns what a job's tenant has.
func (m *Manager) tenantLocked(j *job) *tenant {
	name := j.record.Owner.Tenant
	t := m.tenants[name]
	if t == nil {
		t = new(tenant)
		m.tenants[name] = t
	}
	return t
}

// idleLocked forgets a job's tenant if it has nothing.
func (m *Manager) idleLocked(j *job) {
	if t := m.tenantLocked(j); t.jobs == 0 && t.active == 0 && len(t.waiting) == 0 {
		delete(m.tenants, j.record.Owner.Tenant)
	}
}

// forgetLocked takes a job out of all but the store.
func (m *Manager) forgetLocked(j *job) {
	if m.jobs[j.record.Job.ID] != j {
		return
	}
	delete(m.jobs, j.record.Job.ID)
	m.chargeLocked(j, -j.held)
	m.keepLocked(j, 0)
	m.tenantLocked(j).jobs--
	m.idleLocked(j)
}

// overLocked takes note of a job that is over, which those behind it outlive.
func (m *Manager) overLocked(j *job) {
	i := len(m.over)
	for i > 0 && j.record.Job.Expires.Before(m.over[i-1].record.Job.Expires) {
		i--
	}
	m.over = slices.Insert(m.over, i, j)
}

// find returns a job of the owner's.
func (m *Manager) find(o Owner, id string) (*job, error) {
	m.dropLater(m.sweep())
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[id]
	if j == nil || j.record.Owner != o {
		return nil, ErrNotFound
	}
	return j, nil
}

// Get returns a job of the owner's, or [ErrNotFound].
func (m *Manager) Get(o Owner, id string) (api.Job, error) {
	j, err := m.find(o, id)
	if err != nil {
		return api.Job{}, err
	}
	return m.state(j), nil
}

func (m *Manager) state(j *job) api.Job {
	m.mu.Lock()
	defer m.mu.Unlock()
	return j.record.Job
}

// Wait is [Manager.Get] once the job is over, or ctx has ended.
func (m *Manager) Wait(ctx context.Context, o Owner, id string) (api.Job, error) {
	j, err := m.find(o, id)
	if err != nil {
		return api.Job{}, err
	}
	select {
	case <-j.done:
	case <-ctx.Done():
	}
	return m.state(j), nil
}

// Len returns how many jobs are kept.
func (m *Manager) Len() int {
	m.dropLater(m.sweep())
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.jobs)
}

// Cancel ends a job of the owner's that is not over, and returns it once it is, or ctx has ended. A
// job that is over stays as it is.
func (m *Manager) Cancel(ctx context.Context, o Owner, id string) (api.Job, error) {
	j, err := m.find(o, id)
	if err != nil {
		return api.Job{}, err
	}
	m.mu.Lock()
	switch i := slices.Index(m.tenantLocked(j).waiting, j); {
	case i >= 0:
		t := m.tenantLocked(j)
		t.waiting = slices.Delete(t.waiting, i, i+1)
		m.queued--
		m.mu.Unlock()
		m.finish(j, errCancelled)
		m.mu.Lock()
	case j.cancel != nil: // it runs, or rests
		j.cancel(errCancelled)
	case !j.stored: // Submit is about to see it
		j.cancelled = true
	}
	m.idleLocked(j)
	m.mu.Unlock()
	return m.Wait(ctx, o, id)
}

// Close takes no further job, and waits until all are over. When ctx ends first, it ends those that
// are left, still waits, and returns how many there were. Then the store has 10 s: what it has not stored
// or deleted by then it keeps as it was, and the next start sees to.
func (m *Manager) Close(ctx context.Context) (lost int) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		m.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		m.mu.Lock()
		lost = m.queued + m.active + m.resting
		m.mu.Unlock()
	}
	m.end(errLost)
	timer := time.AfterFunc(endTimeout, m.giveUp)
	defer timer.Stop() // whoever still submits or removes a job has a time of its own
	<-ended
	_ = m.dropRest(m.last) // it tells by itself
	return lost
}
