// Package natstest runs servers of NATS with JetStream in the process of a test.
package natstest

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// patience is how long a server, or a cluster, may take to be ready.
const patience = time.Minute

// Server is a server of NATS. It ends with its test.
type Server struct {
	tb   testing.TB
	opts *server.Options
	s    *server.Server
}

// Start starts one server, whose options change may change.
func Start(tb testing.TB, change ...func(*server.Options)) *Server {
	tb.Helper()
	s := &Server{tb: tb, opts: options(tb)}
	for _, f := range change {
		f(s.opts)
	}
	s.Restart()
	tb.Cleanup(s.Stop)
	return s
}

func options(tb testing.TB) *server.Options {
	tb.Helper()
	return &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: tb.TempDir(), JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 4 << 30,
	}
}

// Restart starts a server that was stopped, at its address and with what it has stored.
func (s *Server) Restart() {
	s.tb.Helper()
	s.begin()
	if !s.s.ReadyForConnections(patience) {
		s.tb.Fatal("the server of NATS is not ready")
	}
}

func (s *Server) begin() {
	s.tb.Helper()
	srv, err := server.NewServer(s.opts.Clone())
	if err != nil {
		s.tb.Fatal(err)
	}
	s.s = srv
	srv.Start()
}

// Stop ends the server in good order. It keeps its directory, and its port once it had one.
func (s *Server) Stop() {
	if s.s == nil {
		return
	}
	if addr, ok := s.s.Addr().(*net.TCPAddr); ok {
		s.opts.Port = addr.Port
	}
	s.s.Shutdown()
	s.s.WaitForShutdown()
	s.s = nil
}

// URL is where the server listens.
func (s *Server) URL() string { return s.s.ClientURL() }

// Interest is how many subscriptions receive what is published on a subject.
func (s *Server) Interest(subject string) int { return s.s.GlobalAccount().Interest(subject) }

// Monitor is the address at which the server answers for its health. It has one if an option says so.
func (s *Server) Monitor() string { return s.s.MonitorAddr().String() }

// Cluster is several servers that keep streams together.
type Cluster struct{ Servers []*Server }

// StartCluster starts n servers as one cluster. Change may change the options of each, but for the routes.
func StartCluster(tb testing.TB, n int, change ...func(i int, o *server.Options)) *Cluster {
	tb.Helper()
	c := &Cluster{}
	routes := make([]*url.URL, n)
	for i := range n {
		o := options(tb)
		o.ServerName = fmt.Sprintf("s%d", i)
		o.Cluster = server.ClusterOpts{Name: "cluster", Host: "127.0.0.1", Port: freePort(tb), PoolSize: -1}
		for _, f := range change {
			f(i, o)
		}
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", o.Cluster.Port)}
		c.Servers = append(c.Servers, &Server{tb: tb, opts: o})
	}
	for _, s := range c.Servers {
		s.opts.Routes = slices.Clone(routes)
		s.begin()
		tb.Cleanup(s.Stop)
	}
	for end := time.Now().Add(patience); !c.ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatal("the cluster of NATS is not ready")
		}
	}
	return c
}

func freePort(tb testing.TB) int {
	tb.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// ready reports whether all servers know of each other and of a leader that places streams.
func (c *Cluster) ready() bool {
	leader := false
	for _, s := range c.Servers {
		if !s.s.ReadyForConnections(time.Millisecond) || !s.s.JetStreamIsCurrent() {
			return false
		}
		leader = leader || s.s.JetStreamIsLeader() && len(s.s.JetStreamClusterPeers()) == len(c.Servers)
	}
	return leader
}

// URL is where the servers listen, with commas.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		urls[i] = s.URL()
	}
	return strings.Join(urls, ",")
}
