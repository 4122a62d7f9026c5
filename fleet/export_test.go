package fleet

import "time"

// Decoders of what anybody may have stored.
var (
	ParseWanted = parseWanted
	ParseHost   = parseHost
)

// Encode returns the stored form.
func (w *Wanted) Encode() ([]byte, error) { return w.encode() }

// Encode returns the stored form.
func (h *HostInfo) Encode() ([]byte, error) { return h.encode() }

// Outcome returns the entry that follows from which hosts there are.
func (w *Wanted) Outcome(hosts []HostInfo, sure bool, now time.Time) *Wanted {
	return w.outcome(hosts, sure, now)
}

// Take returns the entry with a place for a host.
func (w *Wanted) Take(instance, name string, hosts int, now time.Time) *Wanted {
	return w.take(instance, name, hosts, now)
}

// KeepOrphans says for how long an object is kept that no record names.
func (c *Control) KeepOrphans(d time.Duration) { c.objects.age = d }
