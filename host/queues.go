package host

import (
	"cmp"
	"slices"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// Queue is a queue of tasks that wait: those of one tenant for one transform at one priority.
type Queue struct {
	Transform string
	Priority  Priority
	// Tenant is whose tasks wait. Where more than 1,024 tenants have tasks, the further ones
	// share a queue: Shared is whether it is that one, and Tenant is "" then.
	Tenant string
	Shared bool
	// Tasks is how many wait.
	Tasks int
}

// Queues returns the queues in which tasks wait, the longest first, and of those that are as long
// by names. There are at most as many as most says; all for 0. [Stats] has the sums, and costs less.
func (h *Host) Queues(most int) []Queue {
	names := h.runner.names.Load()
	if names == nil {
		return nil
	}
	var list []Queue
	for _, t := range *names {
		for _, q := range h.runner.sched.Queued(t.group) {
			list = append(list, Queue{t.name, priorityOf(q.Level), q.Tenant, q.Shared, q.Tasks})
		}
	}
	slices.SortFunc(list, func(a, b Queue) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Transform, b.Transform),
			cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Priority, b.Priority))
	})
	if most > 0 && len(list) > most {
		list = slices.Clip(list[:most])
	}
	return list
}

func priorityOf(l sched.Level) Priority {
	switch l {
	case sched.Urgent:
		return PriorityUrgent
	case sched.Bulk:
		return PriorityBulk
	}
	return PriorityNormal
}
