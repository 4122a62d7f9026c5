package redis_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statetest"
)

// relay is a way to a server that holds up one thing which a client sends, or loses the answer to it.
type relay struct {
	addr, server string
	held         chan []byte // what was held up

	mu    sync.Mutex
	mark  string        // what it is about has this; empty once it has come
	loses bool          // the server gets it, and the answer is lost
	cuts  bool          // the client's connection ends, and else nothing more comes over it
	pass  chan struct{} // once it is closed, what was held up goes on after all
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), server: server, held: make(chan []byte, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.serve(t, client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return r
}

func (r *relay) watch(mark string, cuts bool, pass chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark, r.cuts, r.pass = mark, cuts, pass
}

func (r *relay) serve(t *testing.T, client net.Conn) {
	defer func() { _ = client.Close() }()
	there, err := net.Dial("tcp", r.server)
	if err != nil {
		t.Error(err)
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = there.Close() }()
	wg.Go(func() { _, _ = io.Copy(client, there) })
	b := make([]byte, 1<<20)
	for {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		r.mu.Lock()
		is := r.mark != "" && bytes.Contains(b[:n], []byte(r.mark))
		if is {
			r.mark = ""
		}
		loses, cuts, pass := r.loses, r.cuts, r.pass
		r.mu.Unlock()
		switch {
		case is && loses:
			r.deliver(t, b[:n])
			return
		case is && pass != nil:
			r.held <- nil
			<-pass
		case is:
			r.held <- bytes.Clone(b[:n])
			if !cuts {
				_, _ = io.Copy(io.Discard, client)
			}
			return
		}
		if _, err := there.Write(b[:n]); err != nil {
			return
		}
	}
}

// deliver sends the server what was held up, and waits until it has done that.
func (r *relay) deliver(t *testing.T, b []byte) {
	t.Helper()
	c, err := net.Dial("tcp", r.server)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(b); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1024)); err != nil || n == 0 {
		t.Errorf("no answer to what was held up: %v", err)
	}
}

// TestLateSave has a save reach the server after a later one was confirmed: it changes nothing then,
// whatever made its caller give it up or send it again.
func TestLateSave(t *testing.T) {
	for name, c := range map[string]struct {
		query     string
		cuts      bool
		cancelled bool
		fault     state.Fault
	}{
		"timeout":    {query: "timeout=300ms", fault: state.FaultUnavailable},
		"replicated": {query: "timeout=300ms&replicas=1", fault: state.FaultUnavailable},
		"cancelled":  {query: "timeout=5s", cancelled: true, fault: state.FaultCancelled},
		"sent again": {query: "timeout=5s", cuts: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			if strings.Contains(c.query, "replicas") {
				host, port, _ := strings.Cut(server.Addr, ":")
				redistest.Start(t, "--replicaof", host+" "+port)
			}
			r := newRelay(t, server.Addr)
			s := open(t, redis.Options{URL: "redis://" + r.addr + "?" + c.query})
			defer shut(t, s)
			eventually(t, func() error { return s.Save(t.Context(), []state.Change{statetest.Change("a", "0")}) })
			r.watch("the first", c.cuts, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			late := make(chan []byte, 1)
			go func() {
				late <- <-r.held
				if c.cancelled {
					cancel()
				}
			}()
			if err := s.Save(ctx, []state.Change{statetest.Change("a", "the first"), statetest.Change("b", "the first")}); state.FaultOf(err) != c.fault {
				t.Errorf("the first save: error %v, want %q", err, c.fault)
			}
			eventually(t, func() error {
				return s.Save(t.Context(), []state.Change{statetest.Change("a", "the second"), {Record: state.Record{Key: statetest.Key("b")}, Delete: true}})
			})
			r.deliver(t, <-late)
			statetest.Want(t, s, statetest.Change("a", "the second"))
			statetest.WantNone(t, s, statetest.Key("b"))
		})
	}
}

// TestOvertaken has a save under way when another is given up and one more is done. What is under
// way is refused for its turn, and sent again with the turn that it is.
func TestOvertaken(t *testing.T) {
	r := newRelay(t, redistest.Start(t).Addr)
	s := open(t, redis.Options{URL: "redis://" + r.addr + "?timeout=20s"})
	statetest.Save(t, s, statetest.Change("a", "0"))
	pass := make(chan struct{})
	r.watch("slow", false, pass)
	ended := make(chan error, 1)
	go func() { ended <- s.Save(t.Context(), []state.Change{statetest.Change("b", "slow")}) }()
	<-r.held
	short, cancel := context.WithCancel(t.Context())
	r.watch("given up", false, nil)
	go func() {
		<-r.held
		cancel()
	}()
	if err := s.Save(short, []state.Change{statetest.Change("a", "given up")}); state.FaultOf(err) != state.FaultCancelled {
		t.Errorf("error %v", err)
	}
	statetest.Save(t, s, statetest.Change("a", "1"))
	close(pass)
	if err := <-ended; err != nil {
		t.Errorf("a save that was overtaken: error %v", err)
	}
	statetest.Want(t, s, statetest.Change("a", "1"))
	statetest.Want(t, s, statetest.Change("b", "slow"))
	shut(t, s)
}

// TestOpenAskedTwice loses the answer to the owner that takes a store. It does not wait for itself.
func TestOpenAskedTwice(t *testing.T) {
	server := redistest.Start(t)
	r := newRelay(t, server.Addr)
	r.mark, r.loses = "local last = ", true
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := redis.Open(ctx, redis.Options{URL: "redis://" + r.addr + "?lease=10m"})
	if err != nil {
		t.Fatal(err)
	}
	statetest.Save(t, s, statetest.Change("a", "1"))
	shut(t, s)
}
