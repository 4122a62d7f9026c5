package redis_test

import (
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/redistest"
	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/redis"
	"github.com/resonhost/resonhost/state/statetest"
)

// TestReadOnly reads a store, by a user who may only read and from a replica. No key is written.
func TestReadOnly(t *testing.T) {
	server := redistest.Start(t)
	host, port, _ := strings.Cut(server.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	s := open(t, redis.Options{URL: urlOf(server, "")})
	statetest.Save(t, s, statetest.Change("a", "1"), statetest.Change("b", "2"))
	reading := redis.Options{URL: urlOf(server, ""), ReadOnly: true}
	if _, err := redis.Open(t.Context(), reading); state.FaultOf(err) != state.FaultInUse {
		t.Errorf("with an owner: error %v", err)
	}
	shut(t, s)
	server.Do("DEL", "resonhost:{resonhost}:epoch", "resonhost:{resonhost}:turn")
	server.Do("ACL", "SETUSER", "reader", "on", ">hush", "~resonhost:*", "+get", "+strlen", "+getrange", "+exists", "+pttl", "+scan", "+eval", "+evalsha", "+info")
	eventually(t, func() error { return expect(replica.Do("DBSIZE"), ":2") })
	for name, url := range map[string]string{
		"master":  urlOf(server, ""),
		"user":    "redis://reader:hush@" + server.Addr,
		"replica": urlOf(replica, ""),
	} {
		reading.URL = url
		s := open(t, reading)
		statetest.Want(t, s, statetest.Change("a", "1"))
		if names, err := namesOf(t.Context(), s, state.Filter{Data: true}); err != nil || len(names) != 2 {
			t.Errorf("%s: %d names, error %v", name, len(names), err)
		}
		if err := s.Save(t.Context(), nil); state.FaultOf(err) != state.FaultReadOnly || !strings.Contains(err.Error(), "it was opened to be read") {
			t.Errorf("%s: a save: error %v", name, err)
		}
		shut(t, s)
	}
	if n := server.Do("DBSIZE"); n != ":2" {
		t.Errorf("the server has %s keys, and had 2", n)
	}
}
