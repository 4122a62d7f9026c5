package fleet_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// passwordOf is the password of a user of a server's configuration.
func passwordOf(t *testing.T, o *server.Options, user string) string {
	t.Helper()
	for _, u := range o.Users {
		if u.Username == user {
			return u.Password
		}
	}
	t.Fatalf("there is no user %s", user)
	return ""
}

// asUser returns URLs with a user and its password.
func asUser(t *testing.T, o *server.Options, user, urls string) string {
	t.Helper()
	return strings.ReplaceAll(urls, "nats://", "nats://"+user+":"+passwordOf(t, o, user)+"@")
}

// TestRoles has each role of deploy/nats/permissions.conf do what it is there for, and nothing of the others.
func TestRoles(t *testing.T) {
	file, err := server.ProcessConfigFile(filepath.Join(guesttest.Root(), "deploy/nats/permissions.conf"))
	if err != nil {
		t.Fatal(err)
	}
	url := natstest.Start(t, func(o *server.Options) { o.Users = file.Users }).URL()
	as := func(user, name string) fleet.Config { return small(asUser(t, file, user, url), name) }
	_, bus := telling(t, as("host", "a"))
	submitter, viewer, operator := open(t, as("submitter", "")), open(t, as("viewer", "")), open(t, as("operator", ""))

	s := submit(t, submitter, "")
	replies(t, s, send(t, s, submitter.Client("", host.PriorityNormal).Frames("swap", inputs(100, 10))...))
	if _, err := submitter.Client("", host.PriorityNormal).Run(t.Context(), "swap", nil); err != nil {
		t.Error(err)
	}
	if err := submitter.Serves(t.Context(), "swap"); err != nil {
		t.Error(err)
	}
	if err := submitter.Serves(t.Context(), "swop"); !errors.Is(err, host.ErrUnknownTransform) {
		t.Errorf("error %v", err)
	}
	c := control(t, operator)
	push(t, c, guesttest.Version{Tag: "v2"}, time.Millisecond)
	if w := over(t, c); w.Rollout.State != fleet.RolloutDone {
		t.Errorf("%+v", w)
	}
	dotted := swap(t, guesttest.Version{Tag: "v2"})
	dotted.Name = "swap.next" // whose transform a host has already, and says so in the record
	if _, _, err := c.Push(t.Context(), dotted, fleet.PushOptions{}); err != nil {
		t.Error(err)
	}
	eventually(t, "what a host says of a plugin with a dot in its name", func() bool {
		w, err := c.Plugin(t.Context(), "swap.next")
		return err == nil && w.Rollout.State == fleet.RolloutStopped && len(w.Rollout.Places) == 1
	})
	push(t, c, guesttest.Version{Tag: "v3"}, time.Millisecond)
	over(t, c)
	if _, err := c.Rollback(t.Context(), "swap"); err != nil {
		t.Error(err)
	}
	for _, drained := range []bool{true, false} {
		if err := c.Drain(t.Context(), "a", drained); err != nil {
			t.Error(err)
		}
	}
	view := control(t, viewer)
	hosts, err := view.Hosts(t.Context())
	if err != nil || len(hosts) != 1 {
		t.Errorf("%+v, error %v", hosts, err)
	}
	if list, err := view.Plugins(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("%+v, error %v", list, err)
	}
	if _, err := view.Queue(t.Context()); err != nil {
		t.Error(err)
	}
	reader := events(t, viewer)
	bus.Publish(event.Broadcast{Topic: "news"})
	nextBroadcast(t, reader)
	if _, err := events(t, submitter).Next(t.Context()); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("who may submit reads events: %v", err)
	}
	if err := view.Drain(t.Context(), "a", true); err == nil {
		t.Error("who may look drains a host")
	}
	if names, err := c.Drained(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("%q, error %v", names, err)
	}
	if c, err := submitter.Control(t.Context()); err == nil {
		if _, _, err := c.Push(t.Context(), swap(t, guesttest.Version{Tag: "v4"}), fleet.PushOptions{}); err == nil {
			t.Error("who may submit pushes a plugin")
		}
	}
	w, err := c.Plugin(t.Context(), "swap")
	if err != nil || w.Rollout.Release.Version != "v3" {
		t.Errorf("%+v, error %v", w, err)
	}
}
