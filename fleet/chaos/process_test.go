//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
)

// roleVariable is where a process of the test has its role.
const roleVariable = "RESONHOST_CHAOS_ROLE"

// role is what a process is.
type role struct {
	Server *serverRole `json:"server,omitempty"`
	Host   *hostRole   `json:"host,omitempty"`
}

// serverRole is a server of NATS.
type serverRole struct {
	Name         string
	Port, Routes int      // where it listens to clients, and to servers
	Peers        []string // addresses of links to other servers
	Dir          string
}

// hostRole is a host of the fleet.
type hostRole struct {
	Name                string
	URLs                string
	Plugins, Cache, Log string
}

func TestMain(m *testing.M) {
	text := os.Getenv(roleVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	go func() { // it does not outlive the test
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	var r role
	err := json.Unmarshal([]byte(text), &r)
	switch {
	case err != nil:
	case r.Server != nil:
		err = r.Server.run()
	case r.Host != nil:
		err = r.Host.run()
	default:
		err = errors.New("it has no role")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is a server until it is killed. Servers and clients learn of no addresses but those of the links.
func (r *serverRole) run() error {
	o := &server.Options{
		ServerName: r.Name, Host: "127.0.0.1", Port: r.Port, NoSigs: true, JetStream: true, StoreDir: r.Dir,
		JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 8 << 30,
		Cluster: server.ClusterOpts{
			Name: "chaos", Host: "127.0.0.1", Port: r.Routes, PoolSize: -1, NoAdvertise: true,
			Advertise:    "127.0.0.1:1", // where nobody listens
			PingInterval: time.Second, MaxPingsOut: 2,
		},
	}
	for _, peer := range r.Peers {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: peer})
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger() // to this process's log
	s.Start()
	s.WaitForShutdown()
	return errors.New("the server has ended by itself")
}

// run is a host until it is killed.
func (r *hostRole) run() error {
	ctx := context.Background()
	h, err := host.New(host.Config{PluginDir: r.Plugins, CacheDir: r.Cache, Workers: 1, Defaults: host.PluginConfig{
		CompileTimeout: time.Hour, RunTimeout: time.Minute, BreakAfter: -1,
	}})
	if err == nil {
		err = h.Start(ctx)
	}
	if err != nil {
		return err
	}
	var f *fleet.Fleet
	for f == nil { // servers may be away just then
		if f, err = fleet.Open(ctx, config(r.URLs, r.Name)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	w := f.NewWorker(h, fleet.WorkerOptions{})
	for err = w.Start(ctx); err != nil; err = w.Start(ctx) {
		fmt.Fprintln(os.Stderr, err)
		_ = w.Close(ctx)
		w = f.NewWorker(h, fleet.WorkerOptions{})
	}
	fmt.Fprintln(os.Stderr, "ready")
	<-f.Gone()
	return errors.New("the connection to the fleet has ended for good")
}

// config is how processes open the fleet.
func config(urls, name string) fleet.Config {
	return fleet.Config{
		URLs: urls, Name: name, Replicas: 3, AckWait: ackWait, MaxDeliver: fleet.MaxDeliverMost, TaskBytes: 256 << 20, ResultBytes: 1 << 30,
	}
}

// process is one that can be killed, stopped and started again.
type process struct {
	t    *testing.T
	name string
	role role
	log  *os.File

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{}
}

// newProcess starts a process, which is killed when the test has ended.
func newProcess(t *testing.T, name, dir string, r role) *process {
	t.Helper()
	log, err := os.Create(dir + "/" + name + ".log")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, role: r, log: log}
	p.start()
	t.Cleanup(func() {
		p.kill()
		_ = log.Close()
		if t.Failed() {
			if text, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("%s said, at last: %s", name, strings.ToValidUTF8(string(text[max(0, len(text)-4<<10):]), ""))
			}
		}
	})
	return p
}

func (p *process) start() {
	p.t.Helper()
	text, err := json.Marshal(p.role)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if _, err := p.cmd.StdinPipe(); err != nil { // which ends with this process
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}
