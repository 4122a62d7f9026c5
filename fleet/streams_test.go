package fleet_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/natstest"
)

// open opens a fleet, which is closed when the test has ended.
func open(tb testing.TB, cfg fleet.Config) *fleet.Fleet {
	tb.Helper()
	f, err := fleet.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// jet is a client of the servers that is none of the fleet's.
func jet(tb testing.TB, urls string) (*nats.Conn, jetstream.JetStream) {
	tb.Helper()
	nc, err := nats.Connect(urls)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return nc, js
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  fleet.Config
		want string
	}{
		{fleet.Config{}, "URLs: number 1 must be a URL such as nats://127.0.0.1:4222"},
		{fleet.Config{URLs: "nats://a", AckWait: 31 * time.Minute}, "AckWait: must be 1s to 30m0s, is 31m0s"},
		{fleet.Config{URLs: "nats://a, http://user:secret@b"}, "URLs: number 2 must be a URL such as nats://127.0.0.1:4222"},
		{
			fleet.Config{URLs: "nats://a", Fleet: "a.b", Name: "\n", Credentials: "a", NKey: "b", Replicas: 2, TaskBytes: -1, ResultBytes: -1, ResultAge: 1, DeadAge: -1, AckWait: 1, MaxDeliver: 101},
			"Fleet: must be 1 to 32 letters, digits, _ and -, is \"a.b\"\nName: must be at most 256 bytes of text without control characters\n" +
				"NKey: must not be there besides Credentials\nReplicas: must be 1, 3 or 5, is 2\nTaskBytes: must be positive\nResultBytes: must be positive\n" +
				"ResultAge: must be at least 1m0s, is 1ns\nDeadAge: must be positive\nAckWait: must be 1s to 30m0s, is 1ns\nMaxDeliver: must be between 1 and 100, is 101",
		},
	} {
		_, err := fleet.Open(t.Context(), c.cfg)
		if err == nil || err.Error() != "fleet configuration: "+c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
		if field := (*abi.FieldError)(nil); !errors.As(err, &field) {
			t.Errorf("error %v is of no field", err)
		}
	}
}

func TestShown(t *testing.T) {
	got := fleet.Shown("nats://me:secret@a:1, tls://token@b,nats://c,\x00")
	if want := "nats://me:xxxxx@a:1,tls://xxxxx@b,nats://c,a URL that is none"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestOpen makes the streams of a fleet, finds them again, and refuses one that is not as it has to be.
func TestOpen(t *testing.T) {
	s := natstest.Start(t)
	_, js := jet(t, s.URL())
	open(t, fleet.Config{URLs: s.URL(), Fleet: "a"})
	if n := open(t, fleet.Config{URLs: s.URL(), Fleet: "a", TaskBytes: 1 << 20}).MaxMessage(); n != 1<<20 {
		t.Errorf("%d bytes a message", n)
	}
	tasks, err := js.Stream(t.Context(), "RESONHOST_a_TASKS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := tasks.CachedInfo().Config
	if cfg.MaxBytes != fleet.DefaultTaskBytes {
		t.Errorf("the stream has %d bytes: who opens it again changes nothing", cfg.MaxBytes)
	}
	cfg.Duplicates = time.Second
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	_, err = fleet.Open(t.Context(), fleet.Config{URLs: s.URL(), Fleet: "a"})
	stream := (*fleet.StreamError)(nil)
	if !errors.As(err, &stream) || stream.Stream != "RESONHOST_a_TASKS" ||
		stream.Reason != "the duplicate window is 1s, and must be at least 2m0s: change it (nats stream edit), or take another name for the fleet" {
		t.Errorf("error %v", err)
	}
	_, err = fleet.Open(t.Context(), fleet.Config{URLs: s.URL(), Fleet: "b", Replicas: 3, TaskBytes: 1 << 20})
	if !errors.As(err, &stream) || stream.Err == nil || !strings.Contains(err.Error(), "replicas > 1 not supported in non-clustered mode") {
		t.Errorf("three replicas on one server: error %v", err)
	}
	_, err = fleet.Open(t.Context(), fleet.Config{URLs: s.URL(), Fleet: "c", TaskBytes: 4 << 40, ResultBytes: 1 << 40})
	if !errors.As(err, &stream) || stream.Err == nil || !strings.HasPrefix(stream.Reason, "there is no room for 4398046511104 bytes on 1 servers: the streams of a fleet reserve 6598143508480 bytes together") {
		t.Errorf("more bytes than the server has: error %v", err)
	}
}

// TestOpenDenied opens fleets whose stream of results is not as it has to be.
func TestOpenDenied(t *testing.T) {
	s := natstest.Start(t)
	_, js := jet(t, s.URL())
	open(t, fleet.Config{URLs: s.URL(), Fleet: "a", TaskBytes: 1 << 20, ResultBytes: 1 << 20})
	const denied = "it is a mirror, has sources, or lets nothing be deleted: take another name for the fleet"
	const elsewhere = "it publishes what it stores again, or changes subjects: take another name for the fleet"
	const edit = ": change it (nats stream edit), or take another name for the fleet"
	for name, c := range map[string]struct {
		stream string
		change func(c *jetstream.StreamConfig)
		want   string
	}{
		"delete":    {"RESULTS", func(c *jetstream.StreamConfig) { c.DenyDelete = true }, denied},
		"purge":     {"RESULTS", func(c *jetstream.StreamConfig) { c.DenyPurge = true }, denied},
		"sources":   {"RESULTS", func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "RESONHOST_a_DEAD"}} }, denied},
		"republish": {"RESULTS", func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{Destination: "elsewhere.>"} }, elsewhere},
		"transform": {"RESULTS", func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: c.Subjects[0], Destination: "resonhost.transform.piece.>"}
		}, elsewhere},
		"size":    {"RESULTS", func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 }, "max_msg_size is 1000, and must be unlimited, or at least 1048576" + edit},
		"subject": {"TASKS", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1 }, "max_msgs_per_subject is 1, and must be unlimited" + edit},
		"many":    {"RESULTS", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 2 }, "max_msgs_per_subject is 2, and must be 1" + edit},
		"ttl":     {"RESULTS", func(c *jetstream.StreamConfig) { c.AllowMsgTTL = false }, "allow_msg_ttl is false, and must be true" + edit},
		"atomic":  {"RESULTS", func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false }, "allow_atomic is false, and must be true" + edit},
		"states":  {"RESULTS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age is 1h0m0s, and must be unlimited" + edit},
		"age":     {"TASKS", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }, "max_age is 1h0m0s, and must be unlimited" + edit},
	} {
		stream, err := js.Stream(t.Context(), "RESONHOST_a_"+c.stream)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.Name = "RESONHOST_" + name + "_" + c.stream
		for i, subject := range cfg.Subjects {
			cfg.Subjects[i] = strings.Replace(subject, ".a.", "."+name+".", 1)
		}
		c.change(&cfg)
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(name, err)
		}
		_, err = fleet.Open(t.Context(), fleet.Config{URLs: s.URL(), Fleet: name, TaskBytes: 1 << 20, ResultBytes: 1 << 20})
		if e := (*fleet.StreamError)(nil); !errors.As(err, &e) || e.Reason != c.want {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestLimits opens fleets at servers that allow too little.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		change func(*server.Options)
		want   string
	}{
		{func(o *server.Options) { o.JetStream = false }, "the server of NATS: JetStream is not enabled: start nats-server with -js, or enable it for this account"},
		{func(o *server.Options) { o.MaxPayload = 1000 }, "the server of NATS: max_payload is 1000 bytes: a fleet needs at least 65536"},
	} {
		_, err := fleet.Open(t.Context(), fleet.Config{URLs: natstest.Start(t, c.change).URL()})
		if limit := (*fleet.LimitError)(nil); !errors.As(err, &limit) || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	s := natstest.Start(t)
	url := s.URL()
	s.Stop()
	if _, err := fleet.Open(t.Context(), fleet.Config{URLs: url}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("no server: error %v", err)
	}
}

// TestNKey opens a fleet of a server that knows one key.
func TestNKey(t *testing.T) {
	user, file := key(t)
	s := natstest.Start(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{user} })
	open(t, fleet.Config{URLs: s.URL(), NKey: file})
	if _, err := fleet.Open(t.Context(), fleet.Config{URLs: s.URL()}); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without the key: error %v", err)
	}
	if _, err := fleet.Open(t.Context(), fleet.Config{URLs: s.URL(), NKey: file + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
}

// TestOpenCluster makes the streams on three servers, from two hosts at once.
func TestOpenCluster(t *testing.T) {
	c := natstest.StartCluster(t, 3)
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			f, err := fleet.Open(t.Context(), fleet.Config{URLs: c.URL(), Replicas: 3, TaskBytes: 64 << 20, ResultBytes: 64 << 20})
			if err == nil {
				err = f.Close()
			}
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	_, js := jet(t, c.URL())
	s, err := js.Stream(t.Context(), "RESONHOST_default_RESULTS")
	if err != nil || s.CachedInfo().Config.Replicas != 3 {
		t.Errorf("stream %+v, error %v", s, err)
	}
}
