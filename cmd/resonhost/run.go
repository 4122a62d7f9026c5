package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/systemd"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/collect"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/resonance/view"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/dashboard"
	"github.com/resonhost/resonhost/server/events"
	"github.com/resonhost/resonhost/server/replay"
	"github.com/resonhost/resonhost/timeslice"
)

func runCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "run",
		Usage:     "serve transforms over HTTP until SIGTERM or SIGINT",
		UsageText: "resonhost run --plugins DIR [options]",
		Description: "The plugin directory has plugins NAME.wasm, each with its companion file\n" +
			"NAME.plugin.yaml if there is one, and manifests of Extism's, NAME.json.\n" +
			"Logs the address once it serves. A file of the plugin directory that is new or\n" +
			"changed is checked, and serves in the stead of its predecessor if it can; resonhost\n" +
			"plugins says what became of it. One that cannot serve at the start ends the command\n" +
			"only if none can, or with --no-watch. At SIGTERM or SIGINT /readyz answers 503, new\n" +
			"tasks are refused and those under way finish, as long as --drain-timeout lets them.\n" +
			"A second signal, more than 1 s after the first, ends the process at once. SIGHUP has\n" +
			"a service read its log level, tokens and certificates anew; in a terminal it drains.\n\n" + exitCodes,
		Flags:        flags(o.ofRun(), o.config()),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("run takes no arguments, got %q", c.Args().First())
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.run(c.Context, std)
		},
	}
}

func (o *options) run(ctx context.Context, std stdio) (err error) {
	if err := o.lacking(); err != nil {
		return err
	}
	log, traces, err := o.openTracing(o.logger(std.err))
	if err != nil {
		return err
	}
	defer traces.end(ctx)
	if err := o.setTimeSlice(log); err != nil {
		return err
	}
	keeper, trail, err := o.access.openAccess(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trail.Close()) }()
	defer keeper.Close()
	var asked <-chan struct{}
	if hangupReloads(os.Getenv) {
		asked = std.hangups.take()
	}
	manager, err := newSupervised(log)
	if err != nil {
		return err
	}
	// A port that is taken is soon known; plugins take a while to compile.
	listener, err := o.openListener(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it already, if it came to be
	if err := o.access.guard(listener.Addr(), o.listen, log); err != nil {
		return err
	}
	work, err := o.fleetWork()
	if err != nil {
		return err
	}
	member, err := o.fleet.reach(ctx, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, member.close(context.WithoutCancel(ctx))) }() // again, if it came to serve
	closeState, err := o.openState(ctx, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, closeState()) }()
	o.host.Watch = !o.noWatch
	o.host.Events = event.New(eventHistory)
	h, err := o.startHost(ctx, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end before there was anything to drain
		}
		return err
	}
	member.add(h, o.host.Events, work)
	f := &front{log: log, traces: traces, keeper: keeper, trail: trail, manager: manager, asked: asked, member: member}
	return f.serve(ctx, o, listener, h)
}

// front is what stands before a host that serves over HTTP.
type front struct {
	log     *slog.Logger
	traces  *tracing // nil for none
	keeper  *auth.Keeper
	trail   *auth.Trail
	manager *supervised
	asked   <-chan struct{} // to reload
	member  *member         // nil for none
}

// serve serves the host until ctx ends, and closes it.
func (f *front) serve(ctx context.Context, o *options, listener net.Listener, h *host.Host) error {
	opts := server.Options{Logger: f.log, Audit: f.trail, Collectors: append(f.keeper.Collectors(), collect.NewCascade(h))}
	if id := f.keeper.Identity(); id != nil {
		opts.Identity = id
	}
	f.traces.server(&opts)
	member := f.member
	member.serve(&opts)
	o.jobs.Elsewhere = member.jobs()
	srv, networks, err := o.newServer(h, opts)
	if err != nil {
		return errors.Join(err, member.close(ctx), h.Close(context.WithoutCancel(ctx)))
	}
	if err = networks.Resume(ctx); err == nil {
		err = member.start(ctx) // last: from then on there are frames under way
	}
	if err != nil {
		if ctx.Err() != nil {
			err, ctx = nil, context.WithoutCancel(ctx) // told to end before there was anything to drain
		}
		return errors.Join(err, networks.Close(ctx), srv.Close(ctx), member.close(ctx), h.Close(context.WithoutCancel(ctx)))
	}
	defer f.manager.watch(func() { h.Stats() })()
	d := &daemon{
		log: f.log, host: h,
		ready: func() { f.manager.tell(systemd.Ready, "STATUS=serving at "+listener.Addr().String()) },
		draining: func() {
			f.manager.tell(systemd.Stopping, "STATUS=draining")
			srv.SetDraining()
		},
		background: func(ctx context.Context) error {
			err := errors.Join(srv.Close(ctx), member.close(ctx)) // jobs need the fleet to their end
			if stopped := networks.Close(ctx); ctx.Err() == nil { // else it is told that tasks were interrupted
				err = errors.Join(err, stopped)
			}
			return err
		},
		gone:    member.gone(),
		tls:     f.keeper.TLS(),
		reloads: reloads{log: f.log, trail: f.trail, manager: f.manager, asked: f.asked, all: o.reloaders(f.log, f.keeper, h)},
	}
	return d.serve(ctx, srv.Listener(listener), f.traces.handler(srv.Handler()), o.drainTimeout)
}

// newServer returns the server of a host, which need not be started, and the networks of nodes that
// it serves. The settings are added to what opts has.
func (o *options) newServer(h *host.Host, opts server.Options) (*server.Server, *serve.Service, error) {
	pages, err := dashboard.Routes(dashboard.Options{
		Views: []dashboard.View{
			{Transform: "cascade", Module: view.Cascade()}, {Transform: "tick.node", Module: view.TickNode()},
			{Transform: "tick.network", Module: view.TickNetwork()}, {Transform: "tick.connection", Module: view.TickConnection()},
		},
		Pages: []dashboard.Page{{ID: "network", Title: "Networks", Module: view.Network()}},
		Kinds: eventKinds,
	})
	if err != nil {
		return nil, nil, err
	}
	hub := events.NewHub(events.Options{})
	o.networks.Hub, o.networks.Logger = hub, opts.Logger
	if known, ok := opts.Identity.(*auth.Identity); ok {
		o.networks.Principals = known.Named
	}
	networks, err := serve.New(h, o.networks)
	if f := (*abi.FieldError)(nil); errors.As(err, &f) {
		return nil, nil, usagef("--max-network-nodes: %s", f.Rule)
	}
	opts.EventHub, opts.Routes, opts.Home = hub, slices.Concat(networks.Routes(), pages), dashboard.Path
	opts.TrustTenant, opts.MaxBody, opts.MaxHeld = o.trustTenant, int64(o.maxBody()), o.maxHeld
	opts.MaxConnections = o.maxConnections
	opts.Jobs, opts.Idempotency, opts.Events, opts.EventKinds = o.jobs, o.replays, o.host.Events, eventKinds
	opts.Collectors = append(opts.Collectors, networks.Collectors()...)
	srv, err := server.New(h, o.codecs(), opts)
	f := (*abi.FieldError)(nil)
	switch {
	case errors.As(err, &f) && f.Field == "Idempotency.MaxBytes":
		return nil, nil, usagef("--idempotency-bytes: must be at least %s", humanize.IBytes(replay.MinBytes))
	case errors.As(err, &f):
		return nil, nil, usagef("--max-held: must be at least 8 times the longest body, which is %s by --max-input", humanize.IBytes(uint64(o.maxBody())))
	}
	return srv, networks, err
}

// eventKinds are those that come on the host's bus. Those of networks come on each network's own.
var eventKinds = []event.Kind{
	event.KindPluginChanged, event.KindPluginLogged, event.KindTaskCompleted, event.KindStateSaved, event.KindStateOutage,
}

// eventHistory is how many events are kept for clients that come again. What comes as fast as the
// work is not kept.
const eventHistory = 1024

// maxBody is how long a body or a line may be: the longest input that a plugin takes, or the
// server's own bound.
func (o *options) maxBody() int {
	most := max(server.DefaultMaxBody, o.host.Defaults.MaxInput)
	for _, c := range o.host.Overrides {
		most = max(most, c.MaxInput)
	}
	return most
}

// codecs are those of tasks as long as plugins take them.
func (o *options) codecs() *codec.Set {
	set := resonance.Codecs()
	set.Allow(max(codec.MaxBytes, o.maxBody()))
	return set
}

// setTimeSlice has the process's threads run in short turns. Where it cannot, tasks are late
// more often, which is no reason not to serve.
func (o *options) setTimeSlice(log *slog.Logger) error {
	if err := o.checkTimeSlice(); err != nil || o.timeSlice < 0 {
		return err
	}
	switch err := timeslice.Set(o.timeSlice); {
	case errors.Is(err, errors.ErrUnsupported):
		log.Debug("threads take turns as the system has it", "error", err)
	case err != nil:
		log.Warn("threads take turns as the system has it", "error", err)
	}
	return nil
}

func (o *options) checkTimeSlice() error {
	if d := o.timeSlice; d >= 0 && (d < timeslice.Shortest || d > timeslice.Longest) {
		return usagef("--time-slice: must be %v to %v, or none", timeslice.Shortest, timeslice.Longest)
	}
	return nil
}

func listenError(addr string, err error) error {
	what := err
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		what = op.Err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return usagef("--listen %s: the address is in use; choose another, or port 0 for any", addr)
	}
	if _, err := strconv.ParseUint(addr, 10, 16); err == nil {
		return usagef("--listen %s: must be an address such as 127.0.0.1:%s", addr, addr)
	}
	return usagef("--listen %s: %w", addr, what)
}

// daemon serves HTTP until it is told to end, and then drains.
type daemon struct {
	log  *slog.Logger
	host interface {
		Close(ctx context.Context) error
	}
	ready    func() // called once it serves; nil for nothing
	draining func() // called when it begins to drain
	// background waits for what is done for no request, and ends it when its context does.
	background func(ctx context.Context) error
	gone       <-chan struct{} // closed once the host is of its fleet no more; nil without one
	tls        *tls.Config     // nil for none
	reloads    reloads
}

func (d *daemon) serve(ctx context.Context, listener net.Listener, handler http.Handler, patience time.Duration) error {
	// Requests outlive ctx, by as long as they may drain.
	outlive := context.WithoutCancel(ctx)
	requests, interrupt := context.WithCancelCause(outlive)
	defer interrupt(nil)
	var active inflight
	s := d.server(requests, active.count(handler))
	ended := make(chan error, 1)
	go func() { // until Shutdown or Close
		if d.tls != nil {
			ended <- s.ServeTLS(listener, "", "")
			return
		}
		ended <- s.Serve(listener)
	}()
	d.log.Info("listening", "addr", listener.Addr().String())
	if d.ready != nil {
		d.ready()
	}

	var errs []error
	if err := d.reloads.until(ctx, ended, d.gone); err != nil {
		errs = append(errs, fmt.Errorf("serving HTTP: %w", err))
		ended <- nil
	}
	select {
	case <-d.gone:
		errs = append(errs, errGone)
	default:
	}
	drain, cancel := context.WithTimeout(outlive, patience)
	defer cancel()
	d.draining()
	d.log.Info("draining", "timeout", patience)
	// The listener stays open meanwhile: who asks is told that there is no
	// service any more.
	// Jobs go before requests: their ends are what requests may wait for.
	if err := d.background(drain); err != nil {
		errs = append(errs, err)
	}
	active.wait(drain)
	if drain.Err() != nil {
		errs = append(errs, fmt.Errorf("tasks were interrupted: they took longer than the drain timeout, %v", patience))
		interrupt(errInterrupted)
	}
	// Interrupts what tasks are left, and waits for them.
	if err := d.host.Close(drain); err != nil && drain.Err() == nil {
		errs = append(errs, err)
	}
	// Handlers have their tasks' ends to tell; connections that only lie open
	// need no patience.
	last, cancel := context.WithTimeout(outlive, time.Second)
	defer cancel()
	if err := s.Shutdown(last); err != nil {
		errs = append(errs, s.Close())
	}
	<-ended
	if err := errors.Join(errs...); err != nil {
		return &exit{api.ExitFailed, err}
	}
	d.log.Info("drained")
	return nil
}

// server is of requests whose contexts are of one. It has no timeout for a whole request or answer: JSON lines take as long as
// their writer likes. The handler minds those that stall.
func (d *daemon) server(requests context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ConnContext:       server.ConnContext,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(newQuiet(d.log.Handler()), slog.LevelWarn),
		TLSConfig:         d.tls,
	}
}

// inflight counts requests.
type inflight struct {
	mu   sync.Mutex
	n    int           // guarded by mu
	idle chan struct{} // guarded by mu; closed when n comes to 0, nil without a waiter
}

func (f *inflight) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.n++
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.n--; f.n == 0 && f.idle != nil {
				close(f.idle)
				f.idle = nil
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// wait returns when there is a moment without a request, or when ctx ends.
func (f *inflight) wait(ctx context.Context) {
	f.mu.Lock()
	if f.n == 0 {
		f.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	f.idle = idle
	f.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
