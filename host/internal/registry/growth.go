package registry

import (
	"sync"
	"time"
)

const (
	// manyGrown instances that had to be replaced within grownWithin, since a task had grown
	// them, are worth a word: a task costs some hundred times as much then.
	manyGrown   = 64
	grownWithin = 10 * time.Second
)

// Growing is what is wrong with tasks that grow their instance's memory, and the cure.
const Growing = "tasks grow their instance's memory, so that each costs a new instance: give the plugin a self-test as large as its common tasks " +
	"or room from the start (guest.Plugin.Reserve), or let tasks share instances (isolation: shared)"

// growth notices that most tasks grow their instance's memory.
type growth struct {
	mu    sync.Mutex
	since time.Time // of the first of n
	n     int
	told  bool
}

// add counts an instance that was replaced, and reports whether somebody is to be told, which
// is once.
func (g *growth) add(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.told {
		return false
	}
	if g.n == 0 || now.Sub(g.since) > grownWithin {
		g.since, g.n = now, 0
	}
	g.n++
	g.told = g.n == manyGrown
	return g.told
}
