//go:build unix

// Package chaos is a test of a fleet: three hosts and three servers of NATS, each a process, under load, while one after the other is
// killed, stopped or cut off. It has no code beside its tests. make fleet-chaos runs many rounds.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/guesttest"
)

var (
	rounds = flag.Int("rounds", 6, "how many faults there are, one after the other")
	seed   = flag.Uint64("seed", uint64(time.Now().UnixNano()), "which faults")
	only   = flag.String("only", "", "have no other faults than those of the kind `NAME`, such as \"a server is stopped\"")
	report = flag.String("report", "", "write a report to `FILE`, and its plot beside it")
)

const (
	// ackWait is after how long without a sign of life a host counts as dead.
	ackWait = 2 * time.Second
	// lasts is how long what is stopped or cut off is so.
	lasts = 6 * time.Second
	// recovery is in what time all streams must have answers again, on a machine that has nothing else to do.
	recovery = 10 * time.Second
	// patience is for what never will be, also on a machine with much else to do.
	patience = 5 * time.Minute

	servers, hosts = 3, 3
)

// town is the fleet with its servers, and what can happen to them.
type town struct {
	t       *testing.T
	hosts   []*process
	servers []*process
	toHost  [hosts][servers]*link   // from a host to a server
	between [servers][servers]*link // from a server to another
	direct  string                  // URLs of the servers, which are never cut
}

// ports returns ports that are free.
func ports(t *testing.T, n int) (list []int) {
	t.Helper()
	var config net.ListenConfig
	var listeners []net.Listener // all at once, so that no port comes twice
	for range n {
		l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		list = append(list, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	return list
}

func newTown(t *testing.T) *town {
	t.Helper()
	w, dir := &town{t: t}, t.TempDir()
	free := ports(t, 2*servers)
	clients, routes := free[:servers], free[servers:]
	var urls []string
	for i := range servers {
		r := &serverRole{Name: fmt.Sprint("s", i), Port: clients[i], Routes: routes[i], Dir: filepath.Join(dir, fmt.Sprint("s", i))}
		for j := range servers {
			if i != j {
				w.between[i][j] = newLink(t, fmt.Sprint("127.0.0.1:", routes[j]))
				r.Peers = append(r.Peers, w.between[i][j].address())
			}
		}
		w.servers = append(w.servers, newProcess(t, r.Name, dir, role{Server: r}))
		urls = append(urls, fmt.Sprint("nats://127.0.0.1:", clients[i]))
	}
	w.direct = strings.Join(urls, ",")
	plugins := filepath.Join(dir, "plugins")
	if err := os.Mkdir(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plugins, "chain.wasm"), guesttest.Build(t, "./testdata/guests/chain"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range hosts {
		r := &hostRole{Name: fmt.Sprint("h", i), Plugins: plugins, Cache: filepath.Join(dir, "cache")}
		var urls []string
		for j := range servers {
			w.toHost[i][j] = newLink(t, fmt.Sprint("127.0.0.1:", clients[j]))
			urls = append(urls, "nats://"+w.toHost[i][j].address())
		}
		r.URLs = strings.Join(urls, ",")
		w.hosts = append(w.hosts, newProcess(t, r.Name, dir, role{Host: r}))
	}
	return w
}

// linksOf are those of a host, or of a server to servers and hosts.
func (w *town) linksOf(host, server int) (list []*link) {
	for i := range hosts {
		for j := range servers {
			if i == host || j == server {
				list = append(list, w.toHost[i][j])
			}
		}
	}
	return append(list, w.linksBetween(server)...)
}

// linksBetween are those of a server to the others.
func (w *town) linksBetween(server int) (list []*link) {
	for i := range servers {
		if i != server && server >= 0 {
			list = append(list, w.between[i][server], w.between[server][i])
		}
	}
	return list
}

// fault is one that begins, and ends.
type fault struct {
	what       string
	begin, end func()
}

func killed(what string, p *process) fault { return fault{what + " is killed", p.kill, p.start} }

func stopped(what string, p *process) fault {
	return fault{what + " is stopped", func() { p.signal(syscall.SIGSTOP) }, func() { p.signal(syscall.SIGCONT) }}
}

func cutOff(what string, links ...*link) fault {
	return fault{what + " is cut off", func() { each(links, (*link).cut) }, func() { each(links, (*link).mend) }}
}

func each(links []*link, do func(*link)) {
	for _, l := range links {
		do(l)
	}
}

// faults has a fault of each kind, at random places.
func (w *town) faults(r *rand.Rand) []fault {
	h, s := r.IntN(hosts), r.IntN(servers)
	other := (s + 1 + r.IntN(servers-1)) % servers
	return []fault{
		killed("a host", w.hosts[h]), stopped("a host", w.hosts[h]), cutOff("a host", w.linksOf(h, -1)...),
		killed("a server", w.servers[s]), stopped("a server", w.servers[s]), cutOff("a server", w.linksOf(-1, s)...),
		cutOff("a server from all servers", w.linksBetween(s)...),
		cutOff("a host from a server", w.toHost[h][s]), cutOff("a server from a server", w.between[s][other], w.between[other][s]),
	}
}

// at is where a server listens to clients.
func (w *town) at(server int) string {
	return fmt.Sprint("127.0.0.1:", w.servers[server].role.Server.Port)
}

// healthy waits until all servers have all of the streams.
func (w *town) healthy() {
	w.t.Helper()
	nc, js := w.jetStream()
	defer nc.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		if err := current(ctx, js); err == nil {
			return
		} else if ctx.Err() != nil {
			w.t.Fatalf("the servers are not what they were: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// current returns an error unless each stream has a leader and all its replicas.
func current(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	list := js.ListStreams(ctx)
	n := 0
	for s := range list.Info() {
		n++
		if s.Cluster == nil || s.Cluster.Leader == "" || len(s.Cluster.Replicas) != servers-1 {
			return fmt.Errorf("stream %s: %+v", s.Config.Name, s.Cluster)
		}
		for _, r := range s.Cluster.Replicas {
			if !r.Current || r.Offline {
				return fmt.Errorf("stream %s: %+v", s.Config.Name, r)
			}
		}
	}
	if err := list.Err(); err != nil {
		return err
	}
	if n < 3 {
		return fmt.Errorf("%d streams", n)
	}
	return nil
}

// open reaches the fleet once its servers are there.
func (w *town) open(urls string) *fleet.Fleet {
	w.t.Helper()
	for end := time.Now().Add(patience); ; {
		f, err := fleet.Open(w.t.Context(), config(urls, ""))
		if err == nil {
			w.t.Cleanup(func() { _ = f.Close() })
			return f
		}
		if time.Now().After(end) {
			w.t.Fatal(err)
		}
	}
}

// TestChaos has faults of each kind by turns. Every task is answered once, as if one host had done all in order.
func TestChaos(t *testing.T) {
	t.Logf("-seed %d", *seed)
	w := newTown(t)
	f := w.open(w.direct)
	l, end := newLoad(t, f)
	t.Cleanup(end)
	l.await("at first", l.since())
	w.healthy()
	random := rand.New(rand.NewPCG(*seed, 0))
	var done []round
	var kinds []fault
	for n := 0; n < *rounds && !t.Failed(); n++ {
		if len(kinds) == 0 {
			kinds = slices.DeleteFunc(w.faults(random), func(f fault) bool { return *only != "" && f.what != *only })
			if len(kinds) == 0 {
				t.Fatalf("-only %s: there is no such fault", *only)
			}
			random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		fault := kinds[0]
		kinds = kinds[1:]
		time.Sleep(time.Duration(random.Int64N(int64(500 * time.Millisecond)))) // so that it comes at any moment of what is under way
		began := time.Now()
		fault.begin()
		took := l.await(fault.what, l.since())
		select {
		case <-t.Context().Done():
		case <-time.After(lasts - time.Since(began)):
		}
		fault.end()
		after := l.await(fault.what+", and is no more", l.since())
		w.healthy()
		done = append(done, round{fault.what, took, after})
		t.Logf("round %d: %s: answers in all streams after %.1f s, and %.1f s after its end", n+1, fault.what, took.Seconds(), after.Seconds())
	}
	end()
	l.check(done)
	w.noneDead()
}

// TestIsolated has all clients and hosts on one server, which is cut off from the other servers, but not from them. They go to another
// server, and each task is answered once.
func TestIsolated(t *testing.T) {
	w := newTown(t)
	ways := []*link{newLink(t, w.at(0))} // the client knows one address, as where a balancer stands before the servers
	for _, of := range w.toHost {
		ways = append(ways, of[:]...)
	}
	each(ways, func(l *link) { l.turn(w.at(0)) })
	for _, h := range w.hosts {
		h.kill()
		h.start()
	}
	f := w.open("nats://" + ways[0].address())
	l, end := newLoad(t, f)
	t.Cleanup(end)
	l.await("at first", l.since())
	w.healthy()
	each(ways, func(l *link) { l.turn(w.at(1)) })
	links := w.linksBetween(0)
	each(links, (*link).cut)
	took := l.await("the client's server is cut off", l.since())
	each(links, (*link).mend)
	l.await("the client's server is cut off no more", l.since())
	end()
	l.check([]round{{"the client's server is cut off", took, 0}})
	w.noneDead()
}

// noneDead looks that no frame became a dead letter.
func (w *town) noneDead() {
	w.t.Helper()
	nc, js := w.jetStream()
	defer nc.Close()
	s, err := js.Stream(w.t.Context(), "RESONHOST_default_DEAD")
	if err != nil {
		w.t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n > 0 {
		w.t.Errorf("%d frames are dead letters", n)
	}
}

// jetStream reaches the servers.
func (w *town) jetStream() (*nats.Conn, jetstream.JetStream) {
	w.t.Helper()
	nc, err := nats.Connect(w.direct, nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		w.t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	return nc, js
}

// check says what came of all rounds.
func (l *load) check(done []round) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(done) == 0 {
		return
	}
	slowest := slices.MaxFunc(done, func(a, b round) int { return int(a.took - b.took) })
	l.t.Logf("%d rounds: %d tasks in %d frames, %d answered, none twice and none wrong; the slowest recovery took %.1f s (%s), the longest frame %.1f s",
		len(done), l.tasks, l.frames, l.answered, slowest.took.Seconds(), slowest.what, l.longest.Seconds())
	if l.answered != l.tasks {
		l.t.Errorf("%d tasks were submitted and %d answered", l.tasks, l.answered)
	}
	if *report != "" && !l.t.Failed() {
		if err := write(*report, done, l); err != nil {
			l.t.Error(err)
		}
	}
}
