package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/state"
)

const (
	// recordFormat is the number of the form of stored records, which is JSON.
	recordFormat = 1
	// maxRecord is how long a stored record is at most, in bytes: more than any that Submit makes.
	maxRecord = 64 << 10
	// storeTimeout is how long one call of the store may take.
	storeTimeout = 10 * time.Second
)

// StateStore is a [Store] that outlives the process, in a [state.Store]. A record is stored when Put
// returns. Results are stored in segments of 64 KiB, each once it is full, and the last one with the
// record of a job that is over, or by [StateStore.Flush]. So a crash costs a job that was under way
// what came after that.
//
// All must be called before any other method.
type StateStore struct {
	store state.Store
	log   *slog.Logger

	mu     sync.Mutex
	jobs   map[string]*stored
	unread int           // jobs that All has left out
	outage outage.Outage // of Flush
}

// stored is what is kept of a job. Only who calls the methods of one job changes it, with the mutex;
// but Flush changes what is guarded by saving.
type stored struct {
	// saving is held while segments are saved: an older one is not to replace a newer.
	saving   sync.Mutex
	segments map[int]bool // that the store may have, by their numbers, which may be any
	flushed  int          // how much of tail is stored

	tenant string
	whole  int    // segments that are stored and full
	tail   []byte // what comes behind them; of a job that is over it is stored, and nil
	over   bool
	size   int64
}

var _ Store = (*StateStore)(nil)

// NewStateStore returns a store that keeps jobs in another, which its caller opens and closes. The
// log is told of records that cannot be read.
func NewStateStore(store state.Store, log *slog.Logger) *StateStore {
	return &StateStore{store: store, log: log, jobs: make(map[string]*stored)}
}

func jobKey(tenant, id string) state.Key {
	return state.Key{Kind: state.KindJob, Tenant: tenant, Name: id}
}

func segmentKey(tenant, id string, n int) state.Key {
	return state.Key{Kind: state.KindOutput, Tenant: tenant, Name: fmt.Sprintf("%s/%08x", id, n)}
}

// parseSegment returns of which job a segment is, and which.
func parseSegment(key state.Key) (id string, n int, ok bool) {
	id, number, ok := strings.Cut(key.Name, "/")
	at, err := strconv.ParseUint(number, 16, 31)
	return id, int(at), ok && err == nil && segmentKey(key.Tenant, id, int(at)) == key
}

func (s *StateStore) find(what, id string) (*stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.jobs[id]; k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("%s %s: %w", what, id, errNoJob)
}

func (s *StateStore) save(ctx context.Context, changes []state.Change) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.Save(ctx, changes)
}

// changeOf is what stores a record.
func changeOf(key state.Key, data []byte) state.Change {
	return state.Change{Record: state.Record{Key: key, Format: recordFormat, Changed: time.Now().Truncate(time.Millisecond), Data: data}}
}

// Put implements [Store].
func (s *StateStore) Put(ctx context.Context, r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	id, tenant := r.Job.ID, r.Owner.Tenant
	s.mu.Lock()
	k := s.jobs[id]
	if k == nil {
		k = &stored{tenant: tenant, segments: make(map[int]bool)}
		s.jobs[id] = k // before it is saved: what fails may be stored nevertheless, and is to be deleted
	}
	s.mu.Unlock()
	k.saving.Lock()
	defer k.saving.Unlock()
	var changes []state.Change
	over := r.Job.State.Over()
	if over && len(k.tail) > 0 {
		changes = append(changes, changeOf(segmentKey(tenant, id, k.whole), k.tail))
		k.segments[k.whole] = true
	}
	if err := s.save(ctx, append(changes, changeOf(jobKey(tenant, id), data))); err != nil {
		return err
	}
	if over {
		s.mu.Lock()
		k.over, k.tail = true, nil
		s.mu.Unlock()
	}
	return nil
}

// Append implements [Store]. Nothing is appended if it fails.
func (s *StateStore) Append(ctx context.Context, id string, lines []byte) error {
	k, err := s.find("append to", id)
	if err != nil {
		return err
	}
	if k.over {
		return fmt.Errorf("append to %s: the job is over", id)
	}
	tail := k.tail
	var changes []state.Change
	if len(tail)+len(lines) >= segment {
		k.saving.Lock()
		defer k.saving.Unlock()
		tail = append(bytes.Clone(tail), lines...)
		for ; len(tail) >= segment; tail = tail[segment:] {
			n := k.whole + len(changes)
			k.segments[n] = true
			changes = append(changes, changeOf(segmentKey(k.tenant, id, n), tail[:segment:segment]))
		}
		if err := s.save(ctx, changes); err != nil {
			return err
		}
		tail, k.flushed = bytes.Clone(tail), 0 // which holds the segments no longer
	} else {
		tail = append(tail, lines...) // behind what others read
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k.whole += len(changes)
	k.tail = tail
	k.size += int64(len(lines))
	return nil
}

// Flush saves the results of jobs that are under way as far as they have come: what is no full segment
// yet. It logs the first failure, and that it works again.
func (s *StateStore) Flush(ctx context.Context) error {
	s.mu.Lock()
	all := maps.Clone(s.jobs)
	s.mu.Unlock()
	for id, k := range all {
		err := s.flush(ctx, id, k)
		if err == nil {
			continue
		}
		s.mu.Lock()
		begins := ctx.Err() == nil && s.outage.Begin()
		s.mu.Unlock()
		if begins {
			s.log.Error("results of jobs under way are not saved; each save tries it again", "job", id, "error", err)
		}
		return fmt.Errorf("results of job %s are not saved: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if lasted, ended := s.outage.End(); ended {
		s.log.Info("results of jobs under way are saved again", "outage", lasted)
	}
	return nil
}

func (s *StateStore) flush(ctx context.Context, id string, k *stored) error {
	k.saving.Lock()
	defer k.saving.Unlock()
	s.mu.Lock()
	n, tail, due := k.whole, k.tail, s.jobs[id] == k && !k.over && len(k.tail) > k.flushed
	s.mu.Unlock()
	if !due {
		return nil
	}
	k.segments[n] = true
	if err := s.save(ctx, []state.Change{changeOf(segmentKey(k.tenant, id, n), tail)}); err != nil {
		return err
	}
	k.flushed = len(tail)
	return nil
}

// Read implements [Store].
func (s *StateStore) Read(ctx context.Context, id string, offset int64, p []byte) (n int, err error) {
	k, err := s.find("read", id)
	if err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, fmt.Errorf("read %s: offset %d is negative", id, offset)
	}
	s.mu.Lock()
	whole, tail, size, over := k.whole, k.tail, k.size, k.over
	s.mu.Unlock()
	for n < len(p) && offset+int64(n) < size {
		at := offset + int64(n)
		part := tail
		if i := int(at / segment); over || i < whole {
			if part, err = s.segment(ctx, segmentKey(k.tenant, id, i), int(min(size-int64(i)*segment, segment))); err != nil {
				return n, fmt.Errorf("read %s: %w", id, err)
			}
		}
		n += copy(p[n:], part[at%segment:])
	}
	return n, nil
}

// segment reads a segment, of which so many bytes are wanted.
func (s *StateStore) segment(ctx context.Context, key state.Key, size int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := s.store.Load(ctx, key)
	if err != nil {
		return nil, err
	}
	if r.Format != recordFormat || len(r.Data) < size {
		return nil, &state.RecordError{Key: key, Reason: fmt.Sprintf("it has format %d and %d bytes; format %d and %d bytes are wanted", r.Format, len(r.Data), recordFormat, size), Err: state.ErrCorrupt}
	}
	return r.Data[:size], nil
}

// Delete implements [Store].
func (s *StateStore) Delete(ctx context.Context, id string) error {
	k, err := s.find("delete", id)
	if err != nil {
		return nil // which is as it should be
	}
	k.saving.Lock()
	defer k.saving.Unlock()
	// The record comes first: segments without one are found at the next start.
	gone := []state.Key{jobKey(k.tenant, id)}
	for n := range k.segments {
		gone = append(gone, segmentKey(k.tenant, id, n))
	}
	if err := s.remove(ctx, gone); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, id)
	return nil
}

// All implements [Store]. Records that cannot be read are left out, and stay as they are. So does a job
// that was under way and whose results cannot be read. If none can be read because their key is another,
// or if the store fails, that is an error.
func (s *StateStore) All(ctx context.Context) ([]Record, error) {
	parts, err := s.parts(ctx)
	if err != nil {
		return nil, err
	}
	var found []Record
	var tally state.Tally
	err = s.store.List(ctx, state.Filter{Kind: state.KindJob, Data: true}, func(r state.Record) error {
		job, err := decode(&r, parts[r.Key])
		if err == nil {
			found = append(found, job)
			return nil
		}
		tally.Note(err)
		delete(parts, r.Key) // the results stay as well
		s.log.Error("a stored job cannot be read; it is left out, and stays", "error", err)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the jobs that are stored cannot be listed: %w", err)
	}
	var list []Record
	for i := range found {
		r := &found[i]
		key := jobKey(r.Owner.Tenant, r.Job.ID)
		err := s.take(ctx, r, parts[key])
		if err != nil && !errors.As(err, new(*state.RecordError)) && !errors.Is(err, state.ErrNotFound) {
			return nil, fmt.Errorf("results of the stored job %s cannot be read: %w", r.Job.ID, err)
		}
		tally.Note(err)
		delete(parts, key)
		if err != nil {
			s.log.Error("a stored job was under way, and its results cannot be read; it is left out, and stays with its results: restore the record that is named, or delete the job's", "job", r.Job.ID, "error", err)
			continue
		}
		list = append(list, *r)
	}
	if err := tally.KeyFault("jobs"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.unread = tally.Unreadable
	s.mu.Unlock()
	return list, s.sweep(ctx, parts, &tally)
}

// Unreadable returns how many jobs All has left out, since they cannot be read.
func (s *StateStore) Unreadable() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unread
}

// parts returns how long the segments are that are stored of each job.
func (s *StateStore) parts(ctx context.Context) (map[state.Key]map[int]int, error) {
	parts := make(map[state.Key]map[int]int)
	err := s.store.List(ctx, state.Filter{Kind: state.KindOutput}, func(r state.Record) error {
		id, n, ok := parseSegment(r.Key)
		if !ok {
			return nil // it is nobody's, and stays for who looks into the store
		}
		key := jobKey(r.Key.Tenant, id)
		if parts[key] == nil {
			parts[key] = make(map[int]int)
		}
		parts[key][n] = r.Size // 0 of one that cannot be read
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the results of jobs that are stored cannot be listed: %w", err)
	}
	return parts, nil
}

// decode reads the stored record of a job that has such segments.
func decode(r *state.Record, segments map[int]int) (job Record, err error) {
	fault := func(err error, form string, args ...any) error {
		return &state.RecordError{Key: r.Key, Reason: fmt.Sprintf(form, args...), Err: err}
	}
	switch {
	case r.Err != nil:
		return Record{}, r.Err
	case r.Format > recordFormat:
		return Record{}, fault(state.ErrNewer, "it has format %d, and this program reads %d", r.Format, recordFormat)
	case len(r.Data) > maxRecord:
		return Record{}, fault(state.ErrCorrupt, "it has %d bytes, more than any job", len(r.Data))
	}
	if err := json.Unmarshal(r.Data, &job); err != nil {
		return Record{}, fault(state.ErrCorrupt, "it is no job: %v", err)
	}
	room := int64(0)
	for n := 0; segments[n] > 0 && room == int64(n)*segment; n++ {
		room += int64(segments[n])
	}
	switch j := &job.Job; {
	case job.Owner.Tenant != r.Key.Tenant, j.ID != r.Key.Name, j.ID == "":
		return Record{}, fault(state.ErrCorrupt, "it is the job of another key")
	case !slices.Contains(api.JobStates(), j.State):
		return Record{}, fault(state.ErrCorrupt, "there is no state %q of jobs", j.State)
	case j.State.Over() && (j.ResultBytes < 0 || j.ResultBytes > room):
		return Record{}, fault(state.ErrCorrupt, "it has %d bytes of results, of which %d are there", j.ResultBytes, room)
	}
	return job, nil
}

// take takes a job over, with those of its segments that are of use. The record of one that is not over
// is older than they are: it is told what they have. What is appended to such a job comes behind them, so
// it is not taken over if one of them cannot be read or is not there.
func (s *StateStore) take(ctx context.Context, r *Record, segments map[int]int) error {
	k := &stored{tenant: r.Owner.Tenant, segments: make(map[int]bool)}
	for n, size := range segments {
		if size > 0 { // else it may be another's, under a key with a flipped bit, and stays as well
			k.segments[n] = true
		}
	}
	if r.Job.State.Over() {
		k.over, k.size, k.whole = true, r.Job.ResultBytes, int(r.Job.ResultBytes/segment)
	} else if err := s.takeResults(ctx, r, k, segments); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[r.Job.ID] = k
	return nil
}

// takeResults takes over the results of a job that is not over.
func (s *StateStore) takeResults(ctx context.Context, r *Record, k *stored, segments map[int]int) error {
	var c counter
	full := true // all before
	for i, n := range slices.Sorted(maps.Keys(segments)) {
		key := segmentKey(k.tenant, r.Job.ID, n)
		switch {
		case full && n != i:
			return &state.RecordError{Key: segmentKey(k.tenant, r.Job.ID, i), Reason: fmt.Sprintf("it is not there, and %v is", key), Err: state.ErrCorrupt}
		case !full && segments[n] > 0:
			continue // it is of an appending that failed
		}
		data, err := s.segment(ctx, key, min(segments[n], segment))
		if err != nil {
			return err
		}
		if !full {
			continue
		}
		full = segments[n] >= segment
		if end := c.add(data); end > 0 {
			k.whole, k.tail, k.size = n, data[:end:end], int64(n)*segment+int64(end)
		}
	}
	if len(k.tail) == segment {
		k.whole, k.tail = k.whole+1, nil
	}
	r.Job.Done, r.Job.Failed, r.Job.ResultBytes = c.lines, c.failed, k.size
	return nil
}

// failedPrefix is what lines begin with that are errors, by which clients know them, too.
const failedPrefix = `{"error":`

// counter counts lines, and those of tasks that failed.
type counter struct {
	lines, failed int
	head          []byte // of the line that is not whole yet
}

// add counts the lines that end in p, and returns where the last of them does, 0 without one.
func (c *counter) add(p []byte) (end int) {
	for line := range bytes.Lines(p) {
		c.head = append(c.head, line[:min(len(line), len(failedPrefix)-len(c.head))]...)
		if line[len(line)-1] != '\n' {
			break
		}
		c.lines++
		if string(c.head) == failedPrefix {
			c.failed++
		}
		c.head = c.head[:0]
		end += len(line)
	}
	return end
}

// sweep deletes segments of no job, which a crash leaves that interrupts a deletion. None is deleted while
// a record of a job cannot be read, whose they may be, and none that cannot be read itself.
func (s *StateStore) sweep(ctx context.Context, parts map[state.Key]map[int]int, tally *state.Tally) error {
	var gone []state.Key
	for key, segments := range parts {
		for n, size := range segments {
			if size > 0 {
				gone = append(gone, segmentKey(key.Tenant, key.Name, n))
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	switch whole, err := tally.Whole(ctx, s.store); {
	case err != nil:
		return fmt.Errorf("whether results of jobs are of none cannot be found out: %w", err)
	case !whole:
		s.log.Warn("there are results of no job that can be read; they stay until each record of a job can be read", "records", len(gone))
		return nil
	}
	if err := s.remove(ctx, gone); err != nil {
		return fmt.Errorf("results of jobs that are gone cannot be deleted: %w", err)
	}
	return nil
}

// remove deletes records, some at a time, in their order.
func (s *StateStore) remove(ctx context.Context, keys []state.Key) error {
	for some := range slices.Chunk(keys, 1024) {
		changes := make([]state.Change, len(some))
		for i, key := range some {
			changes[i] = state.Change{Record: state.Record{Key: key}, Delete: true}
		}
		if err := s.save(ctx, changes); err != nil {
			return err
		}
	}
	return nil
}
