package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/fleet/embedded"
	"github.com/resonhost/resonhost/fleet/fleetlines"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/filewatch"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/jobs"
)

// ownServer is the value of --nats for a server in this process.
const ownServer = "embedded"

// maxNATSFile is the largest file that shows who somebody is to NATS, in bytes.
const maxNATSFile = 1 << 20

// errGone ends the command: what supervises it starts it again, and it joins the fleet anew.
var errGone = errors.New("the connection to the fleet has ended for good; the log says why")

// fleetOptions say which fleet a host is of.
type fleetOptions struct {
	fleet.Config

	ca          string // a file
	dir, listen string // of a server in this process
}

// fleetSettings are about the fleet and its servers.
func (o *options) fleetSettings() []setting {
	f := &o.fleet
	return []setting{
		{"nats", "reach the fleet at `URL` of NATS, such as nats://127.0.0.1:4222, all servers of a cluster with commas", "", value.Text(&f.URLs)},
		{"fleet", "be of the fleet `NAME`", fleet.DefaultFleet, value.Text(&f.Fleet)},
		{"nats-creds", "show NATS the credentials of `FILE`", "", value.Text(&f.Credentials)},
		{"nats-nkey", "show NATS the NKey whose seed is in `FILE`", "", value.Text(&f.NKey)},
		{"nats-ca", "trust the authorities of `FILE` for NATS, in PEM, and encrypt", "the system's, as the URL says", value.Text(&f.ca)},
	}
}

// memberSettings are about a host of the fleet.
func (o *options) memberSettings() []setting {
	f := &o.fleet
	return []setting{
		{"host-name", "be `NAME` to the fleet", "the machine's name", value.Text(&f.Name)},
		{"nats-dir", "with --nats embedded, which starts a server in this process, store in `DIR`", "", value.Text(&f.dir)},
		{"nats-listen", "with --nats embedded, listen at the loopback `ADDRESS`", embedded.DefaultListen, value.Text(&f.listen)},
		{"fleet-replicas", "store what is of the fleet on `N` servers: 1, 3 or 5; heeded where a stream is made", "1", value.Count(&f.Replicas)},
		{"fleet-task-bytes", "let frames that wait have `SIZE` together; heeded where the stream is made", value.Bytes(fleet.DefaultTaskBytes), value.Size(&f.TaskBytes)},
		{"fleet-result-bytes", "let answers have `SIZE` together; heeded where the stream is made", value.Bytes(fleet.DefaultResultBytes), value.Size(&f.ResultBytes)},
		{"fleet-result-age", "keep answers for `TIME`, and know for as long that a frame is done; heeded where the stream is made", fleet.DefaultResultAge.String(), value.Duration(&f.ResultAge)},
		{"fleet-ack-wait", "count a host as dead after `TIME` without a sign of life, 1s to 30m; heeded of the first host of a fleet", fleet.DefaultAckWait.String(), value.Duration(&f.AckWait)},
		{"fleet-max-deliver", "give a frame to hosts `N` times at most; heeded of the first host of a fleet", fmt.Sprint(fleet.DefaultMaxDeliver), value.Count(&f.MaxDeliver)},
	}
}

// check returns what is wrong with the settings of the fleet, also of those that have no effect without --nats. It reaches no server.
func (f *fleetOptions) check() error {
	c := f.Config
	if c.URLs == "" || c.URLs == ownServer {
		c.URLs = "nats://" + embedded.DefaultListen
	}
	var errs []error
	if !strings.Contains(c.URLs, "://") { // it is not shown: it may have a password
		errs = append(errs, usagef("--nats: must be a URL such as nats://127.0.0.1:4222, or %s%s", ownServer, spell.DidYouMean(c.URLs, []string{ownServer})))
		c.URLs = "nats://" + embedded.DefaultListen
	}
	errs = append(errs, inFleetFlags(c.Check()))
	if f.URLs == ownServer && f.dir == "" {
		errs = append(errs, usagef("--nats embedded: say where it stores: --nats-dir DIR"))
	}
	if f.dir != "" {
		if err := checkWritableDir(f.dir); err != nil {
			errs = append(errs, usagef("--nats-dir %s: %w", f.dir, err))
		}
	}
	if f.listen != "" {
		if err := embedded.CheckListen(f.listen); err != nil {
			errs = append(errs, usagef("--nats-listen %s: %w", f.listen, err))
		}
	}
	for flag, file := range map[string]string{"--nats-creds": f.Credentials, "--nats-nkey": f.NKey} {
		if file != "" {
			if _, err := filewatch.Read([]string{file}, maxNATSFile); err != nil {
				errs = append(errs, usagef("%s %s: %w", flag, file, reason(err)))
			}
		}
	}
	_, err := f.roots()
	return errors.Join(append(errs, err)...)
}

// roots are the authorities of --nats-ca, nil without.
func (f *fleetOptions) roots() (*x509.CertPool, error) {
	if f.ca == "" {
		return nil, nil //nolint:nilnil // as it says
	}
	files, err := filewatch.Read([]string{f.ca}, maxNATSFile)
	if err != nil {
		return nil, usagef("--nats-ca %s: %w", f.ca, reason(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(files[0]) {
		return nil, usagef("--nats-ca %s: has no certificate in PEM", f.ca)
	}
	return pool, nil
}

// fleetFlags are the settings by which fields of fleet.Config are set that have other names.
var fleetFlags = map[string]string{ //nolint:gosec // names of flags, no secrets
	"URLs": "--nats", "Fleet": "--fleet", "Name": "--host-name", "Credentials": "--nats-creds", "NKey": "--nats-nkey",
}

// inFleetFlags says what is wrong with a fleet's configuration in terms of settings.
func inFleetFlags(err error) error {
	var list interface{ Unwrap() []error }
	if err == nil || !errors.As(err, &list) {
		return err
	}
	var errs []error
	for _, e := range list.Unwrap() {
		if f := (*abi.FieldError)(nil); errors.As(e, &f) {
			flag := fleetFlags[f.Field]
			if flag == "" {
				flag = "--fleet-" + separated(f.Field, '-')
			}
			e = usagef("%s: %s", flag, f.Rule)
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// open reaches the fleet.
func (f *fleetOptions) open(ctx context.Context, log *slog.Logger) (*fleet.Fleet, error) {
	c := f.Config
	c.Logger = log
	switch pool, err := f.roots(); {
	case err != nil:
		return nil, err
	case pool != nil:
		c.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if err := inFleetFlags(c.Check()); err != nil {
		return nil, err
	}
	return fleet.Open(ctx, c)
}

// member is a host's part of a fleet; nil without one.
type member struct {
	server  *embedded.Server // nil without one
	fleet   *fleet.Fleet
	control *fleet.Control
	worker  *fleet.Worker // nil before add, as member
	member  *fleet.Member
	seen    *fleetSeen
	log     *slog.Logger
}

// fleetWork says how a host does the fleet's frames, and has both trace them.
func (o *options) fleetWork() (w fleet.WorkerOptions, err error) {
	w.Codecs, w.StreamAge = o.codecs(), o.host.StreamAge
	if o.tracer != nil {
		o.fleet.Trace, w.Trace = o.tracer.Parent, o.tracer.Frame
	}
	w.States, err = o.state.codec()
	return w, err
}

// reach reaches the fleet, if there is to be one. What is wrong with it is so known before plugins are compiled, which takes a while.
func (f *fleetOptions) reach(ctx context.Context, log *slog.Logger) (_ *member, err error) {
	if err := f.check(); err != nil || f.URLs == "" {
		return nil, err
	}
	if f.Name == "" {
		f.Name, _ = os.Hostname() // without, it has none
	}
	m := &member{}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close(ctx))
		}
	}()
	member := *f
	if f.URLs == ownServer {
		if m.server, err = embedded.Start(ctx, embedded.Options{Listen: f.listen, Dir: f.dir, Logger: log}); err != nil {
			return nil, fmt.Errorf("--nats embedded: %w", err)
		}
		member.URLs = m.server.URL()
		log.Info("a server of NATS", "url", member.URLs)
	}
	if m.fleet, err = member.open(ctx, log); err != nil {
		return nil, err
	}
	if m.control, err = m.fleet.Control(ctx); err != nil {
		return nil, err
	}
	m.seen = newFleetSeen(m.control, m.fleet.Name())
	m.log = log
	return m, nil
}

// add has the host be of the fleet, and the fleet told of events. The host does no tasks of it before start.
func (m *member) add(h *host.Host, events *event.Bus, o fleet.WorkerOptions) {
	if m == nil {
		return
	}
	m.worker = m.fleet.NewWorker(h, o)
	m.member = m.control.NewMember(h, m.worker)
	m.member.Tell(events)
}

// start has the host serve what the fleet wants, and do tasks of the fleet.
func (m *member) start(ctx context.Context) error {
	if m == nil {
		return nil
	}
	if err := m.member.Start(ctx); err != nil {
		return err
	}
	if err := m.worker.Start(ctx); err != nil {
		return err
	}
	m.log.Info("of a fleet", "fleet", m.fleet.Name())
	return nil
}

// jobs does the tasks of HTTP's jobs by the fleet; nil without one.
func (m *member) jobs() jobs.Elsewhere {
	if m == nil {
		return nil
	}
	return func(ctx context.Context, p *jobs.Part) error {
		client := m.fleet.Client(p.Spec.Owner.Tenant, p.Spec.Priority)
		sub, err := client.Submit(ctx, "", jobWindow)
		if err == nil {
			defer sub.Close()
			_, err = fleetlines.Run(ctx, sub, p.Spec.Transform, bytes.NewReader(p.Input), p.Out, fleetlines.Options{
				Line: p.Line, Stream: p.Spec.Stream, StreamField: p.Spec.StreamField, Failed: p.Failed, Memory: p.Memory,
			})
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, fleet.ErrFull):
			return &host.Error{Kind: host.KindQueueFull, Transform: p.Spec.Transform, Message: err.Error(), Err: host.ErrQueueFull}
		}
		return &host.Error{Kind: host.KindUnavailable, Transform: p.Spec.Transform, Message: "the fleet: " + err.Error(), Err: err}
	}
}

// jobWindow is how many frames of a job are without an answer at most.
const jobWindow = 8

// gone is closed if the connection to the fleet has ended for good.
func (m *member) gone() <-chan struct{} {
	if m == nil {
		return nil
	}
	return m.fleet.Gone()
}

// serve has a server show the fleet, with its metrics.
func (m *member) serve(o *server.Options) {
	if m == nil {
		return
	}
	o.Fleet = m.seen
	o.Collectors = append(o.Collectors, fleet.NewCollector(m.worker), fleet.NewMemberCollector(m.member))
}

// close takes no more frames, and waits for those under way as long as ctx lasts.
func (m *member) close(ctx context.Context) (err error) {
	if m == nil {
		return nil
	}
	if m.worker != nil {
		if m.worker.Close(ctx) != nil {
			err = errors.New("frames of the fleet were given up; other hosts do them")
		}
	}
	if m.member != nil {
		err = errors.Join(err, m.member.Close(ctx))
	}
	if m.fleet != nil {
		err = errors.Join(err, m.fleet.Close())
	}
	if m.server != nil {
		m.server.Close()
	}
	return err
}
