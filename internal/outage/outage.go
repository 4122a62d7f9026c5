// Package outage notes when something begins to fail and when it works again, so that each is told
// once.
package outage

import "time"

// Outage is a time in which something fails. The zero Outage is of something that works. Its owner
// keeps calls apart.
type Outage struct{ since time.Time }

// Begin notes a failure, and reports whether it is the first.
func (o *Outage) Begin() bool {
	if !o.since.IsZero() {
		return false
	}
	o.since = time.Now()
	return true
}

// End notes a success. It reports whether it ends an outage, and how long that has lasted.
func (o *Outage) End() (lasted time.Duration, ended bool) {
	if o.since.IsZero() {
		return 0, false
	}
	lasted, o.since = time.Since(o.since), time.Time{}
	return lasted, true
}

// Since is when the outage began; zero without one.
func (o *Outage) Since() time.Time { return o.since }
