package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statetest"
)

// door is an address behind which one server can take the place of another.
type door struct {
	addr string

	mu     sync.Mutex
	server string
	open   map[net.Conn]bool
	seen   func(b []byte) (next string) // of what a client sends; which server is to have it, "" for the same
}

func newDoor(t *testing.T, server string) *door {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{addr: l.Addr().String(), server: server, open: make(map[net.Conn]bool)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { d.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		d.watch(nil)
		d.mu.Lock()
		d.closeLocked()
		d.mu.Unlock()
		wg.Wait()
	})
	return d
}

func (d *door) closeLocked() {
	for c := range d.open {
		_ = c.Close()
	}
}

func (d *door) watch(seen func(b []byte) string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = seen
}

func (d *door) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	d.mu.Lock()
	there, err := net.Dial("tcp", d.server)
	d.open[client] = true
	d.mu.Unlock()
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = there.Close() }()
	wg.Go(func() {
		_, _ = io.Copy(client, there)
		_ = client.Close()
	})
	b := make([]byte, 1<<20)
	for {
		n, err := client.Read(b)
		if err != nil || d.passes(client, b[:n]) {
			return
		}
		if _, err := there.Write(b[:n]); err != nil {
			return
		}
	}
}

// passes has another server take the place, as its watcher says. All connections end then, the client's own last: what
// it sends again is not to come on one that is about to end.
func (d *door) passes(client net.Conn, b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		return false
	}
	next := d.seen(b)
	if next == "" || next == d.server {
		return false
	}
	d.server = next
	delete(d.open, client)
	d.closeLocked()
	return true
}

// nth returns a watcher that has another server take over at the nth time that something is sent.
func nth(what string, n int, server string) func([]byte) string {
	return func(b []byte) string {
		if !bytes.Contains(b, []byte(what)) {
			return ""
		}
		if n--; n != 0 {
			return ""
		}
		return server
	}
}

// pair is a server with many records, and another that has the same.
func pair(t *testing.T, records int) (first, second *redistest.Server) {
	t.Helper()
	first = redistest.Start(t)
	host, port, _ := strings.Cut(first.Addr, ":")
	second = redistest.Start(t, "--replicaof", host+" "+port)
	s := open(t, redis.Options{URL: urlOf(first, "")})
	changes := make([]state.Change, records)
	for i := range changes {
		changes[i] = statetest.Change(fmt.Sprintf("%05d", i), "x")
	}
	statetest.Save(t, s, changes...)
	shut(t, s)
	eventually(t, func() error { return expect(second.Do("DBSIZE"), first.Do("DBSIZE")) })
	eventually(t, func() error { return expect(second.Do("EXISTS", "resonhost:{resonhost}:owner"), ":0") })
	if reply := second.Do("REPLICAOF", "NO", "ONE"); reply != "+OK" {
		t.Fatal(reply)
	}
	return first, second
}

// namesOf returns the names that a listing has, in its order.
func namesOf(ctx context.Context, s state.Store, f state.Filter) (names []string, err error) {
	err = s.List(ctx, f, func(r state.Record) error {
		names = append(names, r.Key.Name)
		return r.Err
	})
	return names, err
}

// TestListFailover has another server take over in the middle of a listing, where a cursor of the first leads
// somewhere. What both have is listed once, and so is what only the new one has.
func TestListFailover(t *testing.T) {
	const records = 20_000
	first, second := pair(t, records)
	d := newDoor(t, first.Addr)
	s := open(t, redis.Options{URL: "redis://" + d.addr})
	extra := statetest.Change("99999 of the second", "x")
	other := open(t, redis.Options{URL: urlOf(second, "")})
	statetest.Save(t, other, extra)
	for name, c := range map[string]struct {
		what string
		data bool
	}{
		"names": {what: "\r\nscan\r\n"},
		"heads": {what: "\r\nevalsha\r\n"},
		"data":  {what: "\r\nevalsha\r\n", data: true},
	} {
		t.Run(name, func(t *testing.T) {
			d.watch(func([]byte) string { return first.Addr })
			eventually(t, func() error { // connections of before are cut
				_, err := s.Load(t.Context(), statetest.Key("00000"))
				return err
			})
			d.watch(nth(c.what, 5, second.Addr))
			got, err := namesOf(t.Context(), s, state.Filter{Data: c.data})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(got) || len(got) != records+1 || len(slices.Compact(got)) != records+1 || got[records] != extra.Key.Name {
				t.Errorf("%d records are listed of %d", len(got), records+1)
			}
		})
	}
	shut(t, other)
	shut(t, s)
}

// TestListOfGone has another server take over once the names are there, and no record of them is on it: what it has
// is listed.
func TestListOfGone(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	for server, name := range map[*redistest.Server]string{first: "a", second: "b"} {
		s := open(t, redis.Options{URL: urlOf(server, "")})
		statetest.Save(t, s, statetest.Change(name, "x"))
		shut(t, s)
	}
	d := newDoor(t, first.Addr)
	s := open(t, redis.Options{URL: "redis://" + d.addr, ReadOnly: true})
	statetest.Want(t, s, statetest.Change("a", "x"))
	d.watch(nth("\r\nevalsha\r\n", 1, second.Addr))
	if got, err := namesOf(t.Context(), s, state.Filter{}); err != nil || !slices.Equal(got, []string{"b"}) {
		t.Errorf("%q are listed, error %v, want b", got, err)
	}
	shut(t, s)
}

// TestListWithoutEnd has two servers take turns. The listing gives up, and says why.
func TestListWithoutEnd(t *testing.T) {
	first, second := pair(t, 3000)
	d := newDoor(t, first.Addr)
	s := open(t, redis.Options{URL: "redis://" + d.addr})
	scans := 0
	d.watch(func(b []byte) string {
		if !bytes.Contains(b, []byte("\r\nscan\r\n")) {
			return ""
		}
		if scans++; scans/3%2 == 0 { // a try that failed is sent again, so that each has an answer
			return first.Addr
		}
		return second.Addr
	})
	names, err := namesOf(t.Context(), s, state.Filter{})
	if want := "another server took over 9 times meanwhile, and what is listed would not be all: try again once one stays"; state.FaultOf(err) != state.FaultUnavailable || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, and %d names", err, len(names))
	}
	d.watch(func([]byte) string { return first.Addr })
	if names, err = namesOf(t.Context(), s, state.Filter{}); err != nil || len(names) != 3000 {
		t.Errorf("%d names after that, error %v", len(names), err)
	}
	shut(t, s)
}

// TestListOfMovedSlot has a cluster give the slot of a store to another server in the middle of a listing.
func TestListOfMovedSlot(t *testing.T) {
	const records = 2500
	first, second := redistest.Start(t, "--cluster-enabled", "yes"), redistest.Start(t, "--cluster-enabled", "yes")
	do := func(s *redistest.Server, args ...string) {
		t.Helper()
		if reply := s.Do(args...); reply != "+OK" {
			t.Fatalf("%s: %s", args[:2], reply)
		}
	}
	id := func(s *redistest.Server) string {
		_, id, _ := strings.Cut(s.All("CLUSTER", "MYID"), "\r\n")
		return strings.TrimSpace(id)
	}
	do(first, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	host, port, _ := strings.Cut(second.Addr, ":")
	do(first, "CLUSTER", "MEET", host, port)
	for _, s := range []*redistest.Server{first, second} {
		eventually(t, func() error {
			if info := s.All("CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:2") {
				return fmt.Errorf("the cluster is not up: %s", info)
			}
			return nil
		})
	}
	s := open(t, redis.Options{URL: "redis+cluster://" + first.Addr})
	move := []string{"MIGRATE", host, port, "", "0", "60000", "KEYS", "resonhost:{resonhost}:owner", "resonhost:{resonhost}:epoch", "resonhost:{resonhost}:turn"}
	changes := make([]state.Change, records)
	for i := range changes {
		changes[i] = statetest.Change(fmt.Sprintf("%05d", i), "x")
		move = append(move, "resonhost:{resonhost}:r:"+string(state.AppendKey(nil, changes[i].Key)))
	}
	statetest.Save(t, s, changes...)
	slot := strings.TrimPrefix(first.Do("CLUSTER", "KEYSLOT", "{resonhost}"), ":")
	var got []string
	err := s.List(t.Context(), state.Filter{}, func(r state.Record) error {
		if got = append(got, r.Key.Name); len(got) != 1500 {
			return nil
		}
		do(second, "CLUSTER", "SETSLOT", slot, "IMPORTING", id(first))
		do(first, "CLUSTER", "SETSLOT", slot, "MIGRATING", id(second))
		do(first, move...)
		do(second, "CLUSTER", "SETSLOT", slot, "NODE", id(second))
		do(first, "CLUSTER", "SETSLOT", slot, "NODE", id(second))
		eventually(t, func() error { return s.Save(t.Context(), []state.Change{statetest.Change("99999", "x")}) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(got) || len(got) != records+1 {
		t.Errorf("%d records are listed of %d", len(got), records+1)
	}
	shut(t, s)
}
