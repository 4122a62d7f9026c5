// Package server is the HTTP face of a host: tasks, plugins, health and metrics.
// An embedder need not import it.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/time/rate"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/host/metrics"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/events"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/server/pack"
	"github.com/resonhost/resonhost/server/replay"
)

// Defaults of Options.
const (
	DefaultMaxBody      = 8 << 20
	DefaultMaxHeld      = 512 << 20
	DefaultStallTimeout = 30 * time.Second
	// DefaultMaxConnections is far more than clients need who keep their connections, and takes less
	// memory than DefaultMaxHeld.
	DefaultMaxConnections = 10000
)

// Options are how a server behaves. The zero value of a field is its default.
type Options struct {
	// Logger receives what goes wrong beyond the request; default discards it.
	Logger *slog.Logger
	// MaxBody is the longest body of a request in bytes; default 8 MiB. Of
	// JSON lines, which are not bounded together, it is the longest line, at
	// most what the codecs decode.
	MaxBody int64
	// MaxHeld is how many bytes all requests may hold together: of bodies and lines
	// as they come, of payloads, of outputs, and of answers until their clients have
	// taken them; default 512 MiB, or 8 × MaxBody if that is more, and at least
	// that and 1088 KiB. Beyond it requests are refused with 429, and lines with an error of kind
	// queue_full. The last quarter is for requests that hold less than an eighth.
	// One that answers JSON lines reads no further ones while it holds an eighth.
	MaxHeld int64
	// StallTimeout is how long a client may take for each 64 KiB of a body and of
	// an answer, or what there is of less; default 30 s. JSON lines may pause for as
	// long as they like between two: no task waits for the next.
	StallTimeout time.Duration
	// MaxConnections is how many connections of [Server.Listener] are served at once, idle ones included;
	// default 10000. Requests of further ones get 503.
	MaxConnections int
	// Compression is which answers are packed for clients that accept it; default those to other
	// machines. Bodies of requests may be packed in any case.
	Compression Compression
	// TrustTenant is whether the header Resonhost-Tenant is believed, by which tenants
	// have queues, shares of the workers' time and streams of their own; default it is
	// ignored, and all requests are the tenant's whose name is "". Anybody who can send
	// requests can set it, so it is for servers behind something that does, and removes
	// what clients have set.
	TrustTenant bool
	// Identity says who sends requests, of routes with a scope; default nobody is asked, and all may
	// do everything. With it a principal's tenant holds, whatever TrustTenant is.
	Identity auth.Authenticator
	// Audit keeps what administrators did; default a trail in Logger.
	Audit *auth.Trail
	// Registry is what /metrics shows and where the host's metrics are
	// registered; default one of its own, with those of Go and the process.
	Registry *prometheus.Registry
	// Collectors are registered there as well: metrics that the host and the server do not
	// have, such as a plugin's own.
	Collectors []prometheus.Collector
	// Exemplars returns traced tasks for the histograms of /metrics, as [metrics.Exemplars] takes it;
	// default none.
	Exemplars func(transform string, s metrics.Series) []metrics.Exemplar
	// Jobs bound the jobs of POST /v1/jobs; their lines are bounded by MaxBody. By default their Logger is
	// the server's, which logs the tasks that failed, too.
	Jobs jobs.Options
	// Idempotency bounds the answers that are kept for requests with an Idempotency-Key. Its Logger is by default the
	// server's.
	Idempotency replay.Options
	// Events, if set, is the bus that GET /v1/events streams; most often the host's
	// (host.Config.Events). It is the caller's.
	Events *event.Bus
	// EventKinds are the kinds of events that come on Events: a client that asks for another is told that
	// there are none. Default all kinds.
	EventKinds []event.Kind
	// EventHub bounds the streams of Events, and of what else the caller streams with it; default
	// one of its own. SetDraining drains it.
	EventHub *events.Hub
	// Fleet is the fleet that the host is of, for GET /v1/fleet; default none.
	Fleet Fleet
	// Routes are served beside the server's own, and as these are: they are in what GET / lists,
	// their parameters and methods are checked, and their requests are counted.
	Routes []Route
	// Sends are headers that answers have of what stands around the server, such as a trace's. The
	// OpenAPI document has them; the server sends none of them.
	Sends []Header
	// Home is the path to which GET / leads those who ask for HTML, such as that of a dashboard
	// among Routes; default all get the list of paths.
	Home string
}

// Server serves a host over HTTP.
type Server struct {
	host        *host.Host
	codecs      *codec.Set
	opts        Options
	log         *slog.Logger
	started     time.Time
	mux         *http.ServeMux
	routes      []Route
	jobs        *jobs.Manager
	flushed     func() // ends the saving of results by the host; nil without
	replays     *replay.Keeper
	feed        *events.Feed  // nil without Options.Events
	draining    chan struct{} // closed by SetDraining
	drain       func()
	delayed     chan struct{} // has a place for each refusal that waits
	rests       *rate.Limiter // of bytes, see linger
	held        *budget
	connections *connections
	packs       *pack.Pool
	pieces      sync.Pool // see pieces
	requests    *prometheus.CounterVec
	inFlight    prometheus.Gauge
	panics      prometheus.Counter
	refused     *prometheus.CounterVec // admin actions
}

// New returns a server of a host, which need not be started yet. It starts
// nothing.
func New(h *host.Host, codecs *codec.Set, o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		host: h, codecs: codecs, opts: o, held: newBudget(o.MaxHeld), connections: newConnections(o.MaxConnections), packs: pack.New(), log: o.Logger, started: time.Now().UTC(), mux: http.NewServeMux(), draining: make(chan struct{}),
		delayed: make(chan struct{}, maxDelayed), rests: rate.NewLimiter(lingerRate, lingerBurst),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "resonhost_http_requests_total", Help: "HTTP requests that ended, by route and status; aborted are those whose answer was cut short.",
		}, []string{"route", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "resonhost_http_requests_in_flight", Help: "HTTP requests under way.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "resonhost_http_panics_total", Help: "Handlers of HTTP requests that panicked, which is a defect.",
		}),
	}
	s.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "resonhost_audit_refused_total", Help: "Requests for admin actions by who may not do them, by whether they have an audit record of their own.",
	}, []string{"recorded"})
	for _, recorded := range []string{"true", "false"} {
		s.refused.WithLabelValues(recorded)
	}
	holding := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "resonhost_http_held_bytes", Help: "Bytes of bodies, lines, payloads, outputs, and answers that clients have not taken yet.",
	}, func() float64 { return float64(s.held.held()) })
	limit := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "resonhost_http_held_limit_bytes", Help: "How many bytes requests may hold together.",
	}, func() float64 { return float64(o.MaxHeld) })
	s.drain = sync.OnceFunc(func() {
		close(s.draining)
		if o.EventHub != nil {
			o.EventHub.Drain()
		}
	})
	if o.Idempotency.Logger == nil {
		o.Idempotency.Logger = s.log
	}
	s.replays = replay.New(o.Idempotency)
	if err := s.addJobs(); err != nil {
		return nil, err
	}
	if o.Events != nil {
		s.feed = o.EventHub.Feed(o.Events)
	}
	if err := s.addRoutes(s.table()); err != nil {
		return nil, err
	}
	own := []prometheus.Collector{metrics.New(h, metrics.Exemplars(o.Exemplars)), s.requests, s.inFlight, s.panics, s.refused, holding, limit, s.held.refused}
	own = append(own, s.connections.collectors()...)
	if err := register(o.Registry, slices.Concat(own, s.jobs.Collectors(), s.replays.Collectors(), s.eventCollectors(), o.Collectors)); err != nil {
		return nil, err
	}
	return s, nil
}

// complete fills in the defaults, and looks whether what is set can be.
func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxHeld <= 0 {
		o.MaxHeld = max(DefaultMaxHeld, 8*o.MaxBody)
	}
	if o.MaxHeld < 8*o.MaxBody {
		return &abi.FieldError{Field: "MaxHeld", Rule: fmt.Sprintf("must be at least 8 × MaxBody, which is %d bytes, is %d", 8*o.MaxBody, o.MaxHeld)}
	}
	if o.MaxHeld < 8*linesOverhead {
		return &abi.FieldError{Field: "MaxHeld", Rule: fmt.Sprintf("must be at least %d bytes, 8 × what JSON lines take, is %d", 8*linesOverhead, o.MaxHeld)}
	}
	if b := o.Idempotency.MaxBytes; b > 0 && b < replay.MinBytes {
		return &abi.FieldError{Field: "Idempotency.MaxBytes", Rule: fmt.Sprintf("must be at least %d bytes, is %d", replay.MinBytes, b)}
	}
	if o.Audit == nil {
		o.Audit, _ = auth.NewTrail(o.Logger, "") // which opens nothing
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	if o.StallTimeout <= 0 {
		o.StallTimeout = DefaultStallTimeout
	}
	if o.Events != nil && o.EventHub == nil {
		o.EventHub = events.NewHub(events.Options{StallTimeout: o.StallTimeout})
	}
	if len(o.EventKinds) == 0 {
		o.EventKinds = event.Kinds()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
		o.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return nil
}

// addJobs makes the manager of jobs.
func (s *Server) addJobs() (err error) {
	o := s.opts.Jobs
	if o.Logger == nil {
		o.Logger = s.log
	}
	o.MaxLine = int(min(s.opts.MaxBody, int64(s.codecs.MaxBytes())))
	if o.Failed == nil {
		o.Failed = s.logFailure // with the trace of the job
	}
	s.jobs, err = jobs.New(context.Background(), s.host, s.codecs, o)
	if err == nil {
		s.flushed = s.host.OnSave(s.jobs.Flush)
	}
	return err
}

// register registers all collectors, or none.
func register(r *prometheus.Registry, all []prometheus.Collector) error {
	for i, c := range all {
		if err := metrics.Register(r, c); err != nil {
			for _, before := range all[:i] {
				r.Unregister(before)
			}
			return err
		}
	}
	return nil
}

// Handler returns the server's handler. Browsers' requests from other origins are
// refused, also by a page that has a name of its own resolve to this machine.
func (s *Server) Handler() http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem(api.KindCrossOrigin, "", "a browser sent a cross-origin request"))
	}))
	next := refuseForeignHosts(origins.Handler(s.mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.boundBody(w, r)
		next.ServeHTTP(w, r)
	})
}

// boundBody has what the handler leaves of a body come within StallTimeout: net/http reads it before
// it answers, or after, and would wait for ever.
func (s *Server) boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 { // else its passing would have the client seem gone
		// A connection without deadlines has none to miss.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.opts.StallTimeout))
	}
}

// SetDraining has /readyz say that the server is going. Routes that take tasks refuse them with 503
// from then on; JSON lines take no further line, and say so in a last one. Streams of events end. Tasks
// under way go on. Calling it again is fine.
func (s *Server) SetDraining() { s.drain() }

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// refuseForeignHosts refuses requests over the loopback interface that do not name
// it. A page whose name was made to resolve to 127.0.0.1 would otherwise be of the
// same origin as a daemon that listens there.
func refuseForeignHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ok && local.IP.IsLoopback() && !namesLoopback(r.Host) {
			writeProblem(w, problem(api.KindForeignHost, "", "the Host header must name the loopback interface, such as localhost"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// namesLoopback takes an empty name too: no browser sends one, but health checks
// of HTTP/1.0 do.
func namesLoopback(hostport string) bool {
	name, _, err := net.SplitHostPort(hostport)
	if err != nil {
		name = hostport
	}
	ip := net.ParseIP(trimBrackets(name))
	return name == "" || strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

func trimBrackets(name string) string {
	if len(name) > 1 && name[0] == '[' && name[len(name)-1] == ']' {
		return name[1 : len(name)-1]
	}
	return name
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	switch {
	case s.isDraining():
		s.unavailable(w, "draining")
	case len(s.host.Stats().Plugins) == 0:
		s.unavailable(w, "no plugin is loaded yet")
	default:
		s.readyBut(w)
	}
}

// readyBut says which plugins take no tasks. If none does, the server is not ready.
func (s *Server) readyBut(w http.ResponseWriter) {
	var idle []string
	plugins := s.host.Stats().Plugins
	for i := range plugins {
		switch p := &plugins[i]; {
		case p.Paused:
			idle = append(idle, "plugin "+p.Name+" is paused")
		case p.Suspended:
			idle = append(idle, "plugin "+p.Name+" is suspended for failing in a row")
		}
	}
	if len(idle) == len(plugins) {
		s.unavailable(w, strings.Join(idle, "; "))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ready\n"))
	for _, line := range idle {
		_, _ = w.Write([]byte(line + "\n"))
	}
}
