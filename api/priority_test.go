package api_test

import (
	"testing"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

func TestPriorities(t *testing.T) {
	for name, want := range map[string]host.Priority{"normal": host.PriorityNormal, "urgent": host.PriorityUrgent, "bulk": host.PriorityBulk} {
		if p, ok := api.ParsePriority(name); p != want || !ok || api.PriorityName(want) != name {
			t.Errorf("%s is %v, %t, and %v is %q", name, p, ok, want, api.PriorityName(want))
		}
	}
	if len(api.Priorities()) != 3 {
		t.Errorf("the names are %q", api.Priorities())
	}
	for _, name := range []string{"", "Urgent", "high"} {
		if p, ok := api.ParsePriority(name); ok {
			t.Errorf("%q is %v", name, p)
		}
	}
	if name := api.PriorityName(99); name != "" {
		t.Errorf("99 is %q", name)
	}
}
