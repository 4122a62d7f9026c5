package network_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
)

// TestAServerLosesItsLastSaves has the machine of a Redis server lose power before its disk has the parts of a
// network. The next save brings all of them.
func TestAServerLosesItsLastSaves(t *testing.T) {
	server := redistest.Start(t)
	opened, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + server.Addr})
	store := closing(t, opened, err)
	n := open(t, network.Config{Host: inline(t, nil)})
	k := keep(t, store, "acme", "a")
	for _, lost := range []string{"the first save", "a later save"} {
		disk := t.TempDir()
		if err := os.CopyFS(disk, os.DirFS(server.Dir)); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			create(t, n, network.NodeSpec{Frequency: 432})
		}
		save(t, k, n, "")
		server.Kill()
		if err := errors.Join(os.RemoveAll(server.Dir), os.CopyFS(server.Dir, os.DirFS(disk))); err != nil {
			t.Fatal(err)
		}
		for server.Restart(); server.Do("PING") != "+PONG"; { //nolint:revive // it reads its file
		}
		save(t, k, n, lost)
		same(t, store, "acme", "a", n, lost)
		if list := names(t, store); len(list) != 3 {
			t.Errorf("%s was lost, and then there are %v; want the head and two parts", lost, list)
		}
	}
}

// copyOf has what a store has.
func copyOf(t *testing.T, store state.Store) *state.Memory {
	t.Helper()
	m := state.NewMemory()
	err := store.List(t.Context(), state.Filter{Data: true}, func(r state.Record) error {
		return m.Save(t.Context(), []state.Change{{Record: r}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAServerGoesBack has a server go back by two saves, also in the middle of a save or before the network is
// deleted. Nothing is left over.
func TestAServerGoesBack(t *testing.T) {
	for _, when := range []string{"before a save", "during a save", "before its deletion"} {
		t.Run(when, func(t *testing.T) {
			store := &switched{Store: state.NewMemory()}
			n := open(t, network.Config{Host: inline(t, nil)})
			k := keep(t, store, "", "a")
			var before *state.Memory
			for i := range 3 {
				create(t, n, network.NodeSpec{Frequency: 432})
				save(t, k, n, "")
				if i == 0 {
					before = copyOf(t, store)
				}
			}
			switch when {
			case "before a save", "before its deletion":
				store.Store = before
			case "during a save":
				create(t, n, network.NodeSpec{})
				store.next = func() { store.Store = before }
			}
			if when == "before its deletion" {
				if err := k.Delete(t.Context()); err != nil {
					t.Fatal(err)
				}
				if list := names(t, store); len(list) > 0 {
					t.Errorf("left are %v", list)
				}
				return
			}
			save(t, k, n, "x")
			same(t, store, "", "a", n, "x")
			if list := names(t, store); len(list) != 3 {
				t.Errorf("there are %v; want the head and two parts", list)
			}
		})
	}
}

// switched is a store of which another takes the place, once a save is done if next is set.
type switched struct {
	state.Store

	next func()
}

func (s *switched) Save(ctx context.Context, changes []state.Change) error {
	err := s.Store.Save(ctx, changes)
	if s.next != nil {
		s.next()
		s.next = nil
	}
	return err
}

// unanswered is a store that keeps a head, and then says that it may not have.
type unanswered struct {
	state.Store

	loses bool
}

var errUnanswered = errors.New("no answer")

func (u *unanswered) Save(ctx context.Context, changes []state.Change) error {
	err := u.Store.Save(ctx, changes)
	isHead := slices.ContainsFunc(changes, func(c state.Change) bool { return c.Key.Name == "a" })
	if err == nil && u.loses && isHead {
		err = errUnanswered
	}
	return err
}

// TestAHeadWithoutAnswer has saves whose heads are kept without an answer. The parts are not saved again
// for that.
func TestAHeadWithoutAnswer(t *testing.T) {
	counted := &counting{Store: state.NewMemory()}
	store := &unanswered{Store: counted}
	n := open(t, network.Config{Host: inline(t, nil)})
	for range 9000 {
		create(t, n, network.NodeSpec{})
	}
	k := keep(t, store, "", "a")
	save(t, k, n, "")
	store.loses = true
	before := counted.bytes
	for range 5 {
		if err := k.Save(t.Context(), n, nil); !errors.Is(err, errUnanswered) {
			t.Errorf("error %v, want %v", err, errUnanswered)
		}
	}
	store.loses = false
	save(t, k, n, "")
	if again := counted.bytes - before; again > 12_000 {
		t.Errorf("%d bytes of 6 saves of what had not changed", again)
	}
	same(t, store, "", "a", n, "")
}
