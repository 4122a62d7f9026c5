package fleet

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Decoders of what anybody may have stored.
var (
	ParseWanted = parseWanted
	ParseHost   = parseHost
)

// ParseEvent reads an event of the default fleet that came on its subject.
func ParseEvent(kind string, text []byte) (HostEvent, error) {
	f := &Fleet{names: newNames(DefaultFleet)}
	return f.parseEvent(&nats.Msg{Subject: f.names.event(kind), Data: text})
}

// Encode returns the stored form.
func (w *Wanted) Encode() ([]byte, error) { return w.encode() }

// Encode returns the stored form.
func (h *HostInfo) Encode() ([]byte, error) { return h.encode() }

// Outcome returns the entry that follows from which hosts there are.
func (w *Wanted) Outcome(hosts []HostInfo, sure bool, now time.Time) *Wanted {
	return w.outcome(&presence{hosts: hosts, sure: sure}, now)
}

// Take returns the entry with a place for a host.
func (w *Wanted) Take(instance, name string, hosts []HostInfo, sure bool, now time.Time) *Wanted {
	return w.take(instance, name, &presence{hosts: hosts, sure: sure}, now)
}

// KeepOrphans says for how long an object is kept that no record names.
func (c *Control) KeepOrphans(d time.Duration) { c.objects.age = d }

// Look does what is wanted once, for a member that is not started.
func (m *Member) Look(ctx context.Context) error {
	all, err := entries(ctx, m.control.wanted)
	for _, e := range all {
		m.entries[e.Key()] = e
	}
	m.look(true)
	return err
}

// Complete adds the hosts that a read of all signs of life has missed.
func (c *Control) Complete(ctx context.Context, read ...HostInfo) ([]HostInfo, error) {
	return c.complete(ctx, read)
}

// Freeze has a worker give no more signs of life of its frames.
func (w *Worker) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.underWay)
}
