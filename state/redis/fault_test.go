package redis_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/certtest"
	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestCauses has servers that refuse a store at its opening. The error says why, and what is to be done.
func TestCauses(t *testing.T) {
	const rights = "; give the user the keys resonhost:*, and the commands get, set, del, strlen, getrange, exists, pttl, scan, eval, evalsha and info; also wait if the URL says replicas, and cluster|slots in a cluster"
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "keys", "on", ">hush", "~other:*", "+@all")
	server.Do("ACL", "SETUSER", "commands", "on", ">hush", "~resonhost:*", "+info", "+eval", "+evalsha")
	locked := redistest.Start(t)
	locked.Do("CONFIG", "SET", "requirepass", "hush")
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 1")
	stale := redistest.Start(t, "--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
	renamed := redistest.Start(t, "--rename-command", "EVAL", "")
	member := redistest.Start(t, "--cluster-enabled", "yes")
	sentinel := redistest.StartSentinel(t, "sentinel monitor main 127.0.0.1 1 1")
	few := redistest.Start(t, "--min-replicas-to-write", "1")
	for name, c := range map[string]struct {
		url   string
		fault state.Fault
		want  string
	}{
		"no password":       {"redis://" + locked.Addr, state.FaultUnavailable, "ask URL: store is unavailable: NOAUTH Authentication required; say the server's password in the URL, as in redis://:PASSWORD@HOST, or name a file that has it with password_file"},
		"wrong password":    {"redis://:wrong@" + locked.Addr, state.FaultUnavailable, "ask URL: store is unavailable: WRONGPASS invalid username-password pair or user is disabled; correct the user and the password in the URL, or in the file of password_file"},
		"keys":              {"redis://keys:hush@" + server.Addr, state.FaultReadOnly, "take URL: store is read-only: NOPERM this user has no permissions to access one of the keys used as arguments" + rights},
		"commands":          {"redis://commands:hush@" + server.Addr, state.FaultReadOnly, "take URL: store is read-only: ERR The user executing the script can't run this command or subcommand" + rights},
		"database":          {"redis://" + server.Addr + "/99", state.FaultUnavailable, "ask URL: store is unavailable: ERR DB index is out of range; say a lower number of database in the URL, or raise the server's databases"},
		"no TLS":            {"rediss://" + server.Addr + "?timeout=300ms", state.FaultUnavailable, "ask URL: store is unavailable: no TLS with the server: context deadline exceeded; if the server speaks no TLS, begin the URL with redis in place of rediss"},
		"replica":           {"redis://" + replica.Addr, state.FaultReadOnly, "take URL: store is read-only: READONLY You can't write against a read only replica; the server is a replica: name its master in the URL, or have Sentinels or a cluster find it with redis+sentinel or redis+cluster"},
		"replica alone":     {"redis://" + stale.Addr, state.FaultUnavailable, "take URL: store is unavailable: MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'; the server is a replica that has lost its master: name the master in the URL"},
		"too few replicas":  {"redis://" + few.Addr, state.FaultReadOnly, "take URL: store is read-only: NOREPLICAS Not enough good replicas to write; the server takes no saves while it has too few replicas: mend them, or lower its min-replicas-to-write"},
		"no eval":           {"redis://" + renamed.Addr, state.FaultUnavailable, "take URL: store is unavailable: ERR unknown command 'eval'; a store needs this command: name a server of Redis 6.2 or newer, no Sentinel, and one that has it under its own name"},
		"cluster":           {"redis+cluster://" + member.Addr, state.FaultUnavailable, "take URL: store is unavailable: CLUSTERDOWN Hash slot not served; the cluster has no server for the slot of the store: give every slot a server"},
		"no cluster":        {"redis+cluster://" + server.Addr, state.FaultUnavailable, "ask URL: store is unavailable: ERR This instance has cluster support disabled; the server is none of a cluster: begin the URL with redis or rediss"},
		"database of one":   {"redis://" + member.Addr + "/1", state.FaultUnavailable, "ask URL: store is unavailable: ERR SELECT is not allowed in cluster mode; leave the number of the database out of the URL"},
		"sentinel":          {"redis://" + sentinel.Addr, state.FaultUnavailable, "take URL: store is unavailable: ERR unknown command 'evalsha'; a store needs this command: name a server of Redis 6.2 or newer, no Sentinel, and one that has it under its own name"},
		"no sentinel":       {"redis+sentinel://" + server.Addr + "/main", state.FaultUnavailable, "ask URL: store is unavailable: redis: all sentinels specified in configuration are unreachable: ERR unknown command 'sentinel'; the server is no Sentinel: begin the URL with redis or rediss, or say where the Sentinels are"},
		"master of no name": {"redis+sentinel://" + sentinel.Addr + "/mian", state.FaultUnavailable, "ask URL: store is unavailable: redis: all sentinels specified in configuration are unreachable: redis: nil; no Sentinel knows a master of this name: say behind the addresses the one that Sentinel has for it"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := redis.Open(t.Context(), redis.Options{URL: c.url})
			if err == nil {
				shut(t, s)
			}
			shown, _, _ := redis.Shown(c.url)
			if want := strings.Replace(c.want, "URL", shown, 1); err == nil || err.Error() != want || state.FaultOf(err) != c.fault {
				t.Errorf("error %v [%s],\nwant  %s", err, state.FaultOf(err), want)
			}
		})
	}
}

// TestCauseOfTLS has servers that speak TLS, to who does not and to who does not know their certificates.
func TestCauseOfTLS(t *testing.T) {
	authority, dir := certtest.New(t), t.TempDir()
	pair := authority.Server(t, "redis")
	for name, b := range map[string][]byte{"ca.pem": authority.PEM, "cert.pem": pair.Chain, "key.pem": pair.Key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := redistest.StartTLS(t, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	for url, want := range map[string]string{
		"redis://" + server.Addr:  "; if the server speaks TLS, begin the URL with rediss in place of redis",
		"rediss://" + server.Addr: "certificate signed by unknown authority; name the certificates that sign the server's with ca=FILE in the URL",
	} {
		if _, err := redis.Open(t.Context(), redis.Options{URL: url}); state.FaultOf(err) != state.FaultUnavailable || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", url, err, want)
		}
	}
	shut(t, open(t, redis.Options{URL: "rediss://" + server.Addr + "?ca=" + url.QueryEscape(filepath.Join(dir, "ca.pem"))}))
}

// TestRefusedRead has a user who may not do part of what reading takes: no record is damaged for that.
func TestRefusedRead(t *testing.T) {
	server := redistest.Start(t)
	server.Do("ACL", "SETUSER", "host", "on", ">hush", "~resonhost:*", "+get", "+set", "+del", "+pttl", "+eval", "+evalsha")
	s := open(t, redis.Options{URL: "redis://host:hush@" + server.Addr})
	statetest.Save(t, s, statetest.Change("a", "1"))
	_, load := s.Load(t.Context(), statetest.Key("a"))
	list := s.List(t.Context(), state.Filter{}, func(state.Record) error { return nil })
	for name, err := range map[string]error{"load": load, "list": list} {
		if state.FaultOf(err) != state.FaultUnavailable || errors.Is(err, state.ErrReadOnly) || !strings.Contains(err.Error(), "; give the user the keys resonhost:*") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	shut(t, s)
}

// TestLoading opens a store while its server reads its file.
func TestLoading(t *testing.T) {
	server := redistest.Start(t)
	server.Do("CONFIG", "SET", "appendonly", "no")
	server.Do("CONFIG", "SET", "rdbcompression", "no")
	for i := range 500 {
		server.Do("SET", strconv.Itoa(i), strings.Repeat("x", 4096))
	}
	server.Do("SAVE")
	server.Kill()
	server.Again("--appendonly", "no", "--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
	_, err := redis.Open(t.Context(), redis.Options{URL: urlOf(server, "")})
	if want := "store is unavailable: LOADING Redis is loading the dataset in memory; the server still reads its own file: try again when it has"; state.FaultOf(err) != state.FaultUnavailable || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}
