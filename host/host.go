// Package host runs CPU-heavy transforms as sandboxed WebAssembly plugins, and is
// the package to embed.
//
//	h, err := host.New(host.Config{PluginDir: "bin/examples/shout"}) // as make examples builds it
//	if err != nil { … }
//	if err := h.Start(ctx); err != nil { … }
//	defer h.Close(ctx)
//	out, err := h.Run(ctx, "shout", []byte("hello")) // "HELLO!"
//
// The directory examples/minimal has that as a whole program, and docs/how-to/embed.md its go.mod and a
// plugin of your own. [New] has a runnable example.
//
// A [Host] loads the plugins of a directory ([Config]), keeps a pool of instances of each, and
// gives tasks to a bounded number of workers. A task is bytes in and bytes out, in the media types
// that the plugin's manifest states: see [Host.Plugins]. [Call] and [CallJSON] are for Go values. The error
// of a task is an [*Error], whose Kind says what to do; that of a plugin that cannot serve is a
// [*LoadError].
//
// Four types run tasks. Host has the plain ways: Run waits for the task, Submit does not, and
// RunBatch runs many. A [Client] has them too, and what takes more care: memory of the caller's
// ([Client.RunAppend] and the like), full queues ([Client.Drain]); it is for a tenant, at a
// priority. A [Stream] has the ways of a client that run one task, since its tasks run one after
// the other. A [Runner] has Run alone, and is what functions take.
//
// Plugins change while tasks run: [Host.Deploy], or Config.Watch. [Inspect] tries a plugin without
// a host. [Host.Stats] counts, package event tells.
//
// All methods may be called concurrently.
package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/resonhost/resonhost/host/internal/watch"
	"github.com/resonhost/resonhost/state"
)

// Host runs transforms. Make one with [New].
type Host struct {
	cfg      Config
	life     *life
	runner   *runner
	plugins  *plugins
	follower *follower
	self     *Client

	loaded chan struct{} // closed when Start has ended
	closed chan struct{} // closed when Close's work is done
	err    error         // of freeing plugins, set before closed is closed
}

// New returns a host. It validates the configuration, all faults at once, and
// starts nothing.
func New(cfg Config) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("host configuration: %w", err)
	}
	h := &Host{cfg: cfg, life: newLife(), loaded: make(chan struct{}), closed: make(chan struct{})}
	h.runner = newRunner(&h.cfg, h.life)
	h.plugins = newPlugins(&h.cfg, h.runner)
	h.follower = &follower{plugins: h.plugins}
	h.self = h.Client("", PriorityNormal)
	return h, nil
}

// Start loads all plugins and makes their first instances. ctx bounds the start, not the
// host's life. A host is started once: when Start fails the host is closed, and a new one is
// to be made.
//
// If plugins cannot serve, the error joins a [*LoadError] for each. It wraps [ErrCacheDir] if
// Config.CacheDir cannot be used, the store's error if Config.State cannot be read, the cause of
// ctx if that ends first, and [ErrClosed] if [Host.Close] comes first. A second Start fails with
// [ErrStarted] and changes nothing.
//
// With Config.Watch, an earlier version of a plugin serves where the newest was rolled
// back or cannot serve, if Config.CacheDir has one. Where there is none, the plugin is refused as
// if it came later, as long as any other can serve. There need be no plugin yet, as with
// Config.StartEmpty.
func (h *Host) Start(ctx context.Context) error {
	if err := h.life.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(h.life.ending, func() { cancel(ErrClosed) })()
	s := &startup{plugins: h.plugins}
	err := h.runner.recall(ctx)
	if err == nil {
		err = s.load(ctx)
	}
	var watcher *watch.Watcher
	if err == nil && h.cfg.Watch {
		watcher = watch.New(dirConfig(&h.cfg), s.files, s.strays)
		err = watcher.Start()
	}
	err = s.serve(err)
	switch {
	case watcher == nil:
	case err == nil:
		h.follower.follow(watcher, s.again())
	default:
		watcher.Close()
	}
	if err == nil {
		s.refuseClashed() // while Close waits: it frees what is not retired
		h.plugins.records.saveBy(h.runner.keeper)
		h.runner.keep()
	}
	close(h.loaded)
	if err != nil {
		return errors.Join(err, h.Close(context.WithoutCancel(ctx)))
	}
	s.tell(ctx)
	return nil
}

// Run runs one task and returns its output, which is the caller's. It waits for
// a worker, as Config.QueuePolicy and QueueTimeout say. When ctx ends first, the guest is
// interrupted, and Run returns once the guest has stopped. Errors are [*Error]s.
func (h *Host) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	return h.self.Run(ctx, transform, input)
}

// Submit is [Host.Run] without waiting for the task. It still waits for room in a full
// queue, if Config.QueuePolicy is [QueueBlock]. Tasks take their places in the order of
// Submit's calls. The host reads input until the task has ended: the caller must not change
// it before. Tasks that are refused at once may have one Pending in common.
func (h *Host) Submit(ctx context.Context, transform string, input []byte) *Pending {
	return h.self.Submit(ctx, transform, input)
}

// RunBatch runs the inputs as independent tasks of one transform and returns
// their results, in order. It is faster than as many [Host.Run]: up to 64 tasks
// share a place in the queue. If the plugin's isolation is [IsolationFrame] or
// [IsolationShared], they share a crossing into the guest and a run timeout too,
// and may burn the fuel of all.
//
// A task that fails harms no other: if a shared crossing ends in a trap, a
// timeout or the like, its tasks are run again, each by itself, unless ctx is done.
func (h *Host) RunBatch(ctx context.Context, transform string, inputs [][]byte) []Result {
	return h.self.RunBatch(ctx, transform, inputs)
}

// Stream returns the stream of that key, of 1 to [MaxStreamKey] bytes. It costs
// nothing, and need not be kept: the state is the host's.
func (h *Host) Stream(key string) *Stream { return h.self.Stream(key) }

// Client returns a client for a tenant, of at most [MaxTenant] bytes. It costs nothing
// and need not be kept. With a longer name, or a priority that there is none of, its tasks
// fail with [KindInvalidArgument].
func (h *Host) Client(tenant string, p Priority) *Client {
	return newClient(h.runner, &h.cfg, tenant, p)
}

func (h *Host) sign(e *Error) { h.self.sign(e) }

// Lookup describes the transform of that name. Its error is an [*Error].
func (h *Host) Lookup(transform string) (Transform, error) {
	t, err := h.runner.lookup(transform, 0)
	if err != nil {
		return Transform{}, err
	}
	v := t.current()
	d := v.describe(v.spec(t.slot))
	d.failures = t
	return d, nil
}

// Plugins returns the plugins that serve, sorted by name, and behind them the sources that
// could not, of which Hash is "". There are none before [Host.Start] and after
// [Host.Close].
func (h *Host) Plugins() []Plugin {
	if !h.life.is(stageStarted) {
		return nil
	}
	return h.plugins.describe()
}

// Workers returns how many tasks can run at once, as [Stats] has it. It takes no lock.
func (h *Host) Workers() int { return h.cfg.Workers }

// Waiting returns how many tasks wait for a worker, as [Stats] has it in QueueDepth, and costs less.
func (h *Host) Waiting() int { return h.runner.sched.Stats().Depth }

// Stats returns a snapshot.
func (h *Host) Stats() Stats {
	s := h.runner.stats()
	h.plugins.stats(&s)
	return s
}

// SaveState saves now what has changed: in streams' states, in what was decided about plugins, and
// what [Host.OnSave] has added. It returns when what had changed before the call is saved. One save
// goes on at a time, so it waits for the one before it. Tasks go on meanwhile.
//
// Without Config.State the error is [ErrNoState], and once [Host.Close] has begun it is [ErrClosed]: Close
// saves by itself. Else it wraps the errors of the store and of OnSave's functions, or the cause of ctx if
// that ends first. What is not saved waits for the next save.
func (h *Host) SaveState(ctx context.Context) error {
	switch {
	case h.runner.keeper == nil:
		return ErrNoState
	case h.life.is(stageClosing):
		return ErrClosed
	}
	return h.runner.keeper.Save(ctx)
}

// State returns the store in Config.State; nil without. [Host.SaveState] saves to it.
func (h *Host) State() state.Store { return h.cfg.State }

// OnSave has the host call save at each save of state: every Config.StateInterval, by [Host.SaveState], and
// by [Host.Close]. It is for programs that keep more in Config.State. Without Config.State save is never
// called. Calls come one after the other, behind the save of streams. The host does not log the error of
// save; it calls save again sooner then, after 1 s, 2 s, 4 s and so on.
//
// remove ends the calls. It ends the context of a call under way, and waits for that call. It may be
// called again.
//
// save must return soon after its context has ended, which it does after 1 min at most: until it returns
// nothing else is saved. It must call neither remove nor [Host.SaveState], which would wait for it for ever.
func (h *Host) OnSave(save func(ctx context.Context) error) (remove func()) {
	if h.runner.keeper == nil {
		return func() {}
	}
	return h.runner.keeper.Add(save)
}

// NoteUnreadable has [Stats] tell how many stored records of a kind could not be read, for programs that keep more in
// Config.State, such as jobs. Without Config.State it does nothing.
func (h *Host) NoteUnreadable(kind state.Kind, n int) {
	if h.runner.keeper != nil {
		h.runner.keeper.NoteUnreadable(kind, n)
	}
}

// Close ends the host. It refuses new tasks with [ErrClosed] and waits for those
// it took. When ctx ends first, it interrupts them, still waits for them to end,
// and its error wraps ctx's cause. It saves the states of streams in Config.State, at once and
// after the last task. When ctx ends first, it gives that up a second later.
//
// The first call also returns what went wrong when states were saved and plugins were freed.
// Calling it again, or without [Host.Start], is fine: each call waits until the
// host has ended, and whichever ctx ends first interrupts.
func (h *Host) Close(ctx context.Context) error {
	h.runner.sched.Close()
	before := h.life.close()
	switch before {
	case stageCreated:
		close(h.loaded) // there will be no Start
	case stageStarting:
		h.life.cancel(ErrClosed) // no task runs yet, and nobody waits for plugins
	}
	h.life.end()
	if before != stageClosing {
		go h.finish()
	}
	var errs []error
	select {
	case <-h.closed:
	case <-ctx.Done():
		errs = append(errs, h.runner.interrupt(context.Cause(ctx)))
		if h.runner.keeper != nil {
			h.runner.keeper.Hurry()
		}
		<-h.closed
	}
	if before != stageClosing {
		errs = append(errs, h.err)
	}
	return errors.Join(errs...)
}

// finish waits for all tasks and frees everything. Those who call Close wait for it.
func (h *Host) finish() {
	<-h.loaded
	h.follower.group.Wait()
	h.plugins.deploys.Wait()
	if h.runner.keeper != nil {
		h.runner.keeper.Wake() // for what changes no more
	}
	<-h.runner.sched.Drained()
	h.runner.pending.Wait()
	saved := h.runner.settleStates()
	h.life.cancel(ErrClosed)
	h.plugins.retiring.Wait()
	h.err = errors.Join(saved, h.plugins.close())
	close(h.closed)
}
