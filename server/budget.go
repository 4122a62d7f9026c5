package server

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/invoke"
	"github.com/resonhost/resonhost/lines"
)

// budget is what all requests may hold together: bodies, lines, payloads, outputs and answers
// that were not taken yet.
type budget struct {
	limit   int64
	share   int64 // of one request, beyond which it leaves room to others
	refused prometheus.Counter

	mu   sync.Mutex // guards the rest, and what accounts have
	used int64
}

func newBudget(limit int64) *budget {
	return &budget{
		limit: limit, share: limit / 8,
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_http_held_refused_total", Help: "How often there was no room for bytes of requests or answers.",
		}),
	}
}

func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// account is what one request holds.
type account struct {
	of *budget

	held   int64 // guarded by of.mu, as is closed
	closed bool
}

var _ lines.Memory = (*account)(nil)

// Take implements lines.Memory. Of the whole budget the last quarter is for requests that have
// less than their share, so that those who have much leave others able to go on. An answer has
// room in any case if all others together hold no more than a quarter, and its request no more
// than half: idle connections must not refuse it for ever.
func (a *account) Take(n int, answer bool) bool {
	b, more := a.of, int64(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.closed {
		return false
	}
	most := b.limit
	if a.held+more > b.share {
		most -= b.limit / 4
	}
	alone := answer && b.used-a.held <= b.limit/4 && a.held <= b.limit/2
	if b.used+more > most && !alone {
		b.refused.Inc()
		return false
	}
	b.used += more
	a.held += more
	return true
}

// Add implements lines.Memory.
func (a *account) Add(n int) {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	if a.closed {
		return
	}
	a.of.used += int64(n)
	a.held += int64(n)
}

// Tight implements lines.Memory.
func (a *account) Tight() bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	return a.of.used > a.of.limit/2
}

// close gives back all there is. Nothing is taken or given back after it: a reader of lines may
// outlive its request.
func (a *account) close() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	a.of.used -= a.held
	a.held, a.closed = 0, true
}

// open returns an account that holds n bytes, to be closed by the caller. It has answered if ok
// is false.
func (s *Server) open(w http.ResponseWriter, t host.Transform, n int) (a *account, ok bool) {
	a = &account{of: s.held}
	if !a.Take(n, false) {
		noRoom(w, t.Name)
		return nil, false
	}
	return a, true
}

// noRoom refuses a request that would hold more than it may, of a task of the transform if that is not "".
func noRoom(w http.ResponseWriter, transform string) {
	writeProblem(w, api.Of(transform, invoke.NoMemory(transform)))
}
