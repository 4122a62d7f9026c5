package jobs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
)

// List returns the jobs of an owner in one of the states, in any if there are none, the newest
// first.
func (m *Manager) List(o Owner, states ...api.JobState) []api.Job {
	list, _, _ := m.Page(o, "", 0, states...) // which has no cursor that could be wrong
	return list
}

// Page is List of at most limit jobs, of any number if that is 0, from those on that are behind a cursor.
// next is the cursor of the page behind this one, "" if there is none. Jobs that come meanwhile are
// before all pages. The error is an [*abi.FieldError] of the cursor.
func (m *Manager) Page(o Owner, cursor string, limit int, states ...api.JobState) (list []api.Job, next string, err error) {
	var last api.Job
	if cursor != "" {
		if last, err = parseCursor(cursor); err != nil {
			return nil, "", err
		}
	}
	m.dropLater(m.sweep())
	all := m.chosen(o, states)
	if cursor != "" {
		all = slices.DeleteFunc(all, func(j *job) bool { return newer(&last, &j.record.Job) >= 0 })
	}
	// Results take the lock as they come, so there is no sorting with it. What the order is by does not change.
	slices.SortFunc(all, func(a, b *job) int { return newer(&a.record.Job, &b.record.Job) })
	if limit > 0 && len(all) > limit {
		all = all[:limit]
		next = cursorOf(&all[limit-1].record.Job)
	}
	return m.describe(all, states), next, nil
}

// chosen returns the jobs of an owner in one of the states, in no order.
func (m *Manager) chosen(o Owner, states []api.JobState) (all []*job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if j.record.Owner == o && j.isIn(states) {
			all = append(all, j)
		}
	}
	return all
}

// describe returns jobs that were chosen, without those that are in another state by now.
func (m *Manager) describe(all []*job, states []api.JobState) []api.Job {
	list := make([]api.Job, 0, len(all))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range all {
		if j.isIn(states) {
			list = append(list, j.record.Job)
		}
	}
	return list
}

// isIn reports whether a job is in one of the states, or in any if there are none. Manager.mu is held.
func (j *job) isIn(states []api.JobState) bool {
	return len(states) == 0 || slices.Contains(states, j.record.Job.State)
}

// newer is below 0 if a comes before b in lists.
func newer(a, b *api.Job) int {
	return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
}

// cursorOf returns the cursor behind a job.
func cursorOf(j *api.Job) string { return fmt.Sprintf("%x-%s", j.Created.UnixNano(), j.ID) }

// maxCursor is how long a cursor may be, in bytes: those that there are have less.
const maxCursor = 64

// parseCursor returns a job where the one of the cursor stood, which may be gone.
func parseCursor(cursor string) (j api.Job, err error) {
	at, id, ok := strings.Cut(cursor, "-")
	nanos, err := strconv.ParseInt(at, 16, 64)
	if err != nil || !ok || id == "" || len(cursor) > maxCursor {
		return api.Job{}, &abi.FieldError{Field: "cursor", Rule: "must be the member next of a list"}
	}
	return api.Job{ID: id, Created: time.Unix(0, nanos)}, nil
}
