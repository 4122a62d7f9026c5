package api

import (
	"slices"

	"github.com/resonhost/resonhost/host"
)

// Priorities are the names of priorities in JSON and in queries, the default first.
func Priorities() []string { return []string{"normal", "urgent", "bulk"} }

// priorities are in the order of Priorities.
var priorities = []host.Priority{host.PriorityNormal, host.PriorityUrgent, host.PriorityBulk}

// PriorityName returns the name of a priority, "" if there is no such.
func PriorityName(p host.Priority) string {
	if i := slices.Index(priorities, p); i >= 0 {
		return Priorities()[i]
	}
	return ""
}

// ParsePriority returns the priority of a name, and whether there is one.
func ParsePriority(name string) (p host.Priority, ok bool) {
	i := slices.Index(Priorities(), name)
	if i < 0 {
		return 0, false
	}
	return priorities[i], true
}
