package fleet_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// deployed is a file below deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(guesttest.Root(), "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// configuration reads a configuration of a server, beside which the users of deploy/nats lie, by the server's own parser.
func configuration(t *testing.T, text string) *server.Options {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"nats.conf": text, "permissions.conf": deployed(t, "nats/permissions.conf")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// local has a server of a configuration listen where one of a test does, and store there.
func local(file, o *server.Options) {
	next := file.Clone()
	next.Host, next.Port, next.HTTPPort, next.StoreDir, next.PidFile, next.NoLog, next.NoSigs = o.Host, o.Port, server.RANDOM_PORT, o.StoreDir, "", true, true
	next.Cluster.Host, next.Cluster.Port = o.Cluster.Host, o.Cluster.Port
	*o = *next
}

// healthy fails a test unless a server answers a probe with 200.
func healthy(t *testing.T, s *natstest.Server, probe string) {
	t.Helper()
	eventually(t, "the answer to "+probe, func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Monitor()+probe, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Close = true
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// pods are what a test needs of a StatefulSet of Kubernetes, and of a ConfigMap.
type pods struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		ServiceName string `yaml:"serviceName"`
		Replicas    int
		Template    struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Ports []struct {
						Name string
						Port int `yaml:"containerPort"`
					}
					Mounts []struct {
						Path string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
					Lifecycle struct {
						PreStop struct{ Exec struct{ Command []string } } `yaml:"preStop"`
					}
					Startup   probe `yaml:"startupProbe"`
					Readiness probe `yaml:"readinessProbe"`
					Liveness  probe `yaml:"livenessProbe"`
				}
			}
		}
		Claims []struct {
			Spec struct {
				Resources struct {
					Requests struct{ Storage string }
				}
			}
		} `yaml:"volumeClaimTemplates"`
	}
}

type probe struct {
	Get struct{ Path, Port string } `yaml:"httpGet"`
}

// manifest returns the StatefulSet and the ConfigMap of a file.
func manifest(t *testing.T, text string) (set, config pods) {
	t.Helper()
	for docs := yaml.NewDecoder(strings.NewReader(text)); ; {
		var p pods
		switch err := docs.Decode(&p); {
		case err == io.EOF: //nolint:errorlint // Decode returns it as it is
			return set, config
		case err != nil:
			t.Fatal(err)
		case p.Kind == "StatefulSet":
			set = p
		case p.Kind == "ConfigMap":
			config = p
		}
	}
}

// suits fails a test unless a configuration suits the pods that have it.
func suits(t *testing.T, o *server.Options, set *pods, routes []string) {
	t.Helper()
	c := &set.Spec.Template.Spec.Containers[0]
	ports := make(map[string]int)
	for _, p := range c.Ports {
		ports[p.Name] = p.Port
	}
	if want := map[string]int{"nats": o.Port, "cluster": o.Cluster.Port, "monitor": o.HTTPPort}; !maps.Equal(ports, want) {
		t.Errorf("the pods have the ports %v, the servers %v", ports, want)
	}
	var to []string
	for _, r := range o.Routes {
		to = append(to, r.Host)
	}
	if !slices.Equal(to, routes) {
		t.Errorf("routes lead to %q, want %q", to, routes)
	}
	for _, dir := range []string{path.Dir(o.StoreDir), path.Dir(o.PidFile)} {
		if !slices.ContainsFunc(c.Mounts, func(m struct {
			Path string `yaml:"mountPath"`
		}) bool {
			return m.Path == dir
		}) {
			t.Errorf("%s is no volume", dir)
		}
	}
	if command := strings.Join(c.Lifecycle.PreStop.Exec.Command, " "); command != "nats-server -sl=ldm="+o.PidFile {
		t.Errorf("before a pod ends it does %q", command)
	}
	if grace := time.Duration(set.Spec.Template.Spec.Grace) * time.Second; grace < o.LameDuckGracePeriod+o.LameDuckDuration+10*time.Second {
		t.Errorf("the grace is %v", grace)
	}
	if size, err := humanize.ParseBytes(set.Spec.Claims[0].Spec.Resources.Requests.Storage + "B"); err != nil || int64(size) < o.JetStreamMaxStore+1<<30 {
		t.Errorf("the volume has %d bytes, error %v", size, err)
	}
}

// TestKubernetes has three servers as deploy/kubernetes/nats.yaml has them, but for addresses and directories. Hosts join by the URL
// that the file has, with their three replicas, and the probes are answered.
func TestKubernetes(t *testing.T) {
	text := deployed(t, "kubernetes/nats.yaml")
	set, config := manifest(t, text)
	var names []string
	for i := range set.Spec.Replicas {
		names = append(names, fmt.Sprintf("%s-%d.%s", set.Metadata.Name, i, set.Spec.ServiceName))
	}
	var file *server.Options
	c := natstest.StartCluster(t, len(names), func(i int, o *server.Options) {
		t.Setenv("POD_NAME", fmt.Sprintf("%s-%d", set.Metadata.Name, i))
		file = configuration(t, config.Data["nats.conf"])
		var routes []string
		for _, name := range names {
			routes = append(routes, fmt.Sprintf("%s:%d", name, file.Cluster.Port))
		}
		suits(t, file, &set, routes)
		local(file, o)
	})
	for _, s := range c.Servers {
		for _, p := range []probe{set.Spec.Template.Spec.Containers[0].Startup, set.Spec.Template.Spec.Containers[0].Readiness, set.Spec.Template.Spec.Containers[0].Liveness} {
			healthy(t, s, p.Get.Path)
		}
	}
	m := regexp.MustCompile(`--from-literal=RESONHOST_NATS=(\S+)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("there is no command for the URL")
	}
	// Who has the URL has the password of a host, and reaches the servers by their names.
	urls := strings.ReplaceAll(m[1], ":PASSWORD@", ":"+passwordOf(t, file, "host")+"@")
	for i, s := range c.Servers {
		at, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		urls = strings.ReplaceAll(urls, fmt.Sprintf("%s:%d", names[i], file.Port), at.Host)
	}
	three := func(urls, name string) fleet.Config {
		cfg := small(urls, name)
		cfg.Replicas = len(names)
		return cfg
	}
	f := open(t, three(urls, "a"))
	does(t, f, open(t, three(asUser(t, file, "submitter", c.URL()), "client")))
}
