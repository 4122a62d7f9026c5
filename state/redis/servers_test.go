package redis_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestUser has a user who may do what a store needs, and no more.
func TestUser(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "host", "on", ">hush", "~resonhost:*", "+get", "+set", "+del", "+strlen", "+getrange", "+exists", "+pttl", "+scan", "+eval", "+evalsha")
	server.Do("ACL", "SETUSER", "reader", "on", ">hush", "~resonhost:*", "+get", "+strlen", "+getrange", "+exists", "+pttl", "+scan", "+eval", "+evalsha")
	server.Do("ACL", "SETUSER", "default", "off")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	statetest.Run(t, statetest.Subject{New: func(tb testing.TB) state.Store {
		tb.Helper()
		return open(tb, redis.Options{URL: fmt.Sprintf("redis://host:hush@%s?name=n%d", server.Addr, names.Add(1))})
	}})
	shut(t, open(t, redis.Options{URL: "redis://host@" + server.Addr + "?password_file=" + url.QueryEscape(secret)}))
	for query, want := range map[string]state.Fault{
		"host:hush@":   "",
		"host:wrong@":  state.FaultUnavailable,
		"nobody:hush@": state.FaultUnavailable,
		"":             state.FaultUnavailable,
		"reader:hush@": state.FaultReadOnly,
	} {
		s, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + query + server.Addr})
		if state.FaultOf(err) != want {
			t.Errorf("%q: error %v, want %q", query, err, want)
		}
		if err == nil {
			shut(t, s)
		} else if strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "wrong@") {
			t.Errorf("%q: the error has the password: %v", query, err)
		}
	}
}

// TestUserOfMany has a user who may do what one server takes, with replicas and in a cluster. What is missing is told
// by its name, and suffices.
func TestUserOfMany(t *testing.T) {
	limit := func(server *redistest.Server, commands ...string) {
		server.Do(append([]string{"ACL", "SETUSER", "host", "on", ">hush", "~resonhost:*", "+get", "+set", "+del", "+strlen", "+getrange", "+exists", "+pttl", "+scan", "+eval", "+evalsha", "+info"}, commands...)...)
	}
	refused := func(what string, err error, fault state.Fault) {
		t.Helper()
		if state.FaultOf(err) != fault || !strings.Contains(err.Error(), "NOPERM") || !strings.HasSuffix(err.Error(), "; also wait if the URL says replicas, and cluster|slots in a cluster") {
			t.Errorf("%s: error %v [%s]", what, err, state.FaultOf(err))
		}
	}
	alone := redistest.Start(t)
	limit(alone)
	s := open(t, redis.Options{URL: "redis://host:hush@" + alone.Addr + "?replicas=1&timeout=4s"})
	refused("a save with replicas", s.Save(t.Context(), []state.Change{statetest.Change("a", "1")}), state.FaultUnavailable)
	statetest.Want(t, s, statetest.Change("a", "1"))
	limit(alone, "+wait")
	if err := s.Save(t.Context(), []state.Change{statetest.Change("a", "2")}); err == nil || !strings.Contains(err.Error(), "too few replicas") {
		t.Errorf("a save of who may wait: error %v", err)
	}
	shut(t, s)

	member := cluster(t)
	limit(member)
	_, err := redis.Open(t.Context(), redis.Options{URL: "redis+cluster://host:hush@" + member.Addr})
	refused("the opening in a cluster", err, state.FaultReadOnly)
	limit(member, "+cluster|slots")
	s = open(t, redis.Options{URL: "redis+cluster://host:hush@" + member.Addr})
	statetest.Save(t, s, statetest.Change("a", "1"))
	statetest.Want(t, s, statetest.Change("a", "1"))
	if names, err := namesOf(t.Context(), s, state.Filter{}); err != nil || len(names) != 1 {
		t.Errorf("%q are listed, error %v", names, err)
	}
	shut(t, s)
}

// TestSentinel has the master die. Sentinel makes its replica the master, to which the store goes
// on saving, and what was replicated is there.
func TestSentinel(t *testing.T) {
	master := redistest.Start(t)
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	sentinel := redistest.StartSentinel(t,
		"sentinel monitor main "+host+" "+port+" 1",
		"sentinel down-after-milliseconds main 500",
		"sentinel failover-timeout main 5000")
	eventually(t, func() error { return expect(replica.Do("ROLE"), "*5") })
	// It asks the master every ten seconds for its replicas, of which it must know.
	eventually(t, func() error {
		if reply := sentinel.All("SENTINEL", "REPLICAS", "main"); !strings.Contains(reply, strings.TrimPrefix(replica.Addr, host+":")) {
			return fmt.Errorf("the sentinel knows of no replica: %s", reply)
		}
		return nil
	})
	s := open(t, redis.Options{URL: "redis+sentinel://" + sentinel.Addr + "/main?replicas=1&timeout=2s"})
	eventually(t, func() error { return s.Save(t.Context(), []state.Change{statetest.Change("a", "1")}) })
	master.Kill()
	if err := s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}); state.FaultOf(err) != state.FaultUnavailable {
		t.Errorf("a save without a master: error %v", err)
	}
	eventually(t, func() error {
		_, err := s.Load(t.Context(), statetest.Key("a"))
		return err
	})
	statetest.Want(t, s, statetest.Change("a", "1"))
	// No replica is left, and one was asked for.
	if err := s.Save(t.Context(), []state.Change{statetest.Change("b", "1")}); state.FaultOf(err) != state.FaultUnavailable || !strings.Contains(err.Error(), "too few replicas have what was saved: 0 of 1") {
		t.Errorf("a save without a replica: error %v", err)
	}
	shut(t, s)
	s = open(t, redis.Options{URL: "redis+sentinel://" + sentinel.Addr + "/main"})
	statetest.Save(t, s, statetest.Change("c", "1"))
	shut(t, s)
}

// TestTooFewReplicas has a server without any. The save is sent and waited for once.
func TestTooFewReplicas(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "replicas=1&timeout=4s")})
	if err := s.Save(t.Context(), []state.Change{statetest.Change("a", "1")}); state.FaultOf(err) != state.FaultUnavailable || !strings.Contains(err.Error(), "too few replicas") {
		t.Errorf("error %v", err)
	}
	if stats := server.All("INFO", "commandstats"); !strings.Contains(stats, "cmdstat_wait:calls=1,") {
		t.Errorf("the server was not asked once: %s", stats)
	}
	shut(t, s)
}

func expect(got, want string) error {
	if got != want {
		return fmt.Errorf("%q, want %q", got, want)
	}
	return nil
}

// cluster is a server that is a cluster alone, with all slots.
func cluster(t *testing.T) *redistest.Server {
	t.Helper()
	server := redistest.Start(t, "--cluster-enabled", "yes")
	if reply := server.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383"); reply != "+OK" {
		t.Fatal(reply)
	}
	eventually(t, func() error {
		if reply := server.All("CLUSTER", "INFO"); !strings.Contains(reply, "cluster_state:ok") {
			return fmt.Errorf("the cluster is not up: %s", reply)
		}
		return nil
	})
	return server
}

func TestCluster(t *testing.T) {
	server := cluster(t)
	statetest.Run(t, statetest.Subject{New: func(tb testing.TB) state.Store {
		tb.Helper()
		return open(tb, redis.Options{URL: fmt.Sprintf("redis+cluster://%s?name=n%d", server.Addr, names.Add(1))})
	}})
}

// TestLeaseIsKept sees the lease renewed before it ends, and given back.
func TestLeaseIsKept(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, redis.Options{URL: urlOf(server, "lease=1s")})
	last := int64(-1)
	for renewals := 0; renewals < 4; {
		left, err := strconv.ParseInt(strings.TrimPrefix(server.Do("PTTL", "resonhost:{resonhost}:owner"), ":"), 10, 64)
		if err != nil || left < 0 {
			t.Fatalf("the lease ends in %d ms: %v", left, err)
		}
		if last >= 0 && left > last {
			renewals++
		}
		last = left
		time.Sleep(5 * time.Millisecond)
	}
	shut(t, s)
	if there := server.Do("EXISTS", "resonhost:{resonhost}:owner"); there != ":0" {
		t.Error("a store that is closed has an owner")
	}
}

func TestTLS(t *testing.T) {
	authority, dir := certtest.New(t), t.TempDir()
	pair := authority.Server(t, "redis")
	files := map[string][]byte{"ca.pem": authority.PEM, "cert.pem": pair.Chain, "key.pem": pair.Key}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := redistest.StartTLS(t, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	s := open(t, redis.Options{URL: "rediss://" + server.Addr + "?ca=" + url.QueryEscape(filepath.Join(dir, "ca.pem"))})
	statetest.Save(t, s, statetest.Change("a", "1"))
	statetest.Want(t, s, statetest.Change("a", "1"))
	shut(t, s)
	for _, u := range []string{"rediss://" + server.Addr, "redis://" + server.Addr} {
		if _, err := redis.Open(t.Context(), redis.Options{URL: u + "?timeout=1s"}); state.FaultOf(err) != state.FaultUnavailable {
			t.Errorf("%s: error %v", u, err)
		}
	}
}
