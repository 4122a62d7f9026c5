package host_test

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/host"
)

// TestQueues has tasks of several tenants and transforms wait behind one that does not end.
func TestQueues(t *testing.T) {
	h := hostile(t, func(cfg *host.Config) { cfg.Workers = 1 })
	if got := h.Queues(0); len(got) != 0 {
		t.Errorf("nothing waits, and there are %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pending := []*host.Pending{h.Submit(ctx, "hostile.spin", []byte("!"))}
	for h.Stats().Active == 0 {
		runtime.Gosched()
	}
	for _, c := range []struct {
		tenant, transform string
		priority          host.Priority
		tasks             int
	}{
		{"b", "hostile.echo", host.PriorityBulk, 2},
		{"a", "hostile.spin", host.PriorityNormal, 3},
		{"a", "hostile.echo", host.PriorityNormal, 2},
	} {
		for range c.tasks {
			pending = append(pending, h.Client(c.tenant, c.priority).Submit(ctx, c.transform, []byte("!")))
		}
	}
	for h.Stats().QueueDepth < 7 {
		runtime.Gosched()
	}
	want := []host.Queue{
		{Transform: "hostile.spin", Tenant: "a", Tasks: 3},
		{Transform: "hostile.echo", Tenant: "a", Tasks: 2},
		{Transform: "hostile.echo", Tenant: "b", Priority: host.PriorityBulk, Tasks: 2},
	}
	if got := h.Queues(0); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := h.Queues(2); !slices.Equal(got, want[:2]) {
		t.Errorf("the two longest are %+v", got)
	}
	cancel()
	for _, p := range pending {
		_, _ = p.Wait() // they were cancelled
	}
}
