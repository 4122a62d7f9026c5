package fleet_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/resonhost/resonhost/internal/natstest"
)

// TestComposeFleet has a server as deploy/docker/compose.fleet.yaml has it, but for addresses and directories. Hosts join by the URL
// that the file has.
func TestComposeFleet(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Hostname    string
			Environment map[string]string
			Volumes     []string
			Healthcheck struct{ Test []string }
		}
	}
	if err := yaml.Unmarshal([]byte(deployed(t, "docker/compose.fleet.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	file := configuration(t, deployed(t, "docker/nats.conf"))
	nats := compose.Services["nats"]
	if !slices.Contains(nats.Volumes, "nats:"+file.StoreDir) {
		t.Errorf("%s is no volume: %q", file.StoreDir, nats.Volumes)
	}
	s := natstest.Start(t, func(o *server.Options) { local(file, o) })
	health := nats.Healthcheck.Test[len(nats.Healthcheck.Test)-1]
	probe, ok := strings.CutPrefix(health, fmt.Sprintf("http://127.0.0.1:%d", file.HTTPPort))
	if !ok {
		t.Fatalf("the health check asks %s", health)
	}
	healthy(t, s, probe)
	at, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := open(t, small(asUser(t, file, "host", s.URL()), "client")) // which makes the streams
	for _, name := range []string{"one", "two"} {
		host := compose.Services[name]
		if host.Hostname != name {
			t.Errorf("%s is %s to the fleet", name, host.Hostname)
		}
		does(t, open(t, small(strings.ReplaceAll(host.Environment["RESONHOST_NATS"], fmt.Sprintf("@nats:%d", file.Port), "@"+at.Host), name)), client)
	}
}
