package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/host/internal/extismfile"
	"github.com/resonhost/resonhost/host/internal/watch"
	"github.com/resonhost/resonhost/internal/foreign"
)

// dirConfig says how Config.PluginDir is read and watched.
func dirConfig(cfg *Config) watch.Config {
	c := watchConfig(cfg.PluginDir, func(name string) int { return cfg.pluginConfig(name).MaxModule })
	c.Settle, c.Poll, c.Log = cfg.Settle, cfg.Poll, cfg.Logger
	if cfg.Accept != nil {
		// A manifest decides which files are plugins before Accept has seen it. So one that is refused
		// would still take the place of a plugin that is accepted.
		c.Manifest = &watch.Manifest{Suffix: extismfile.Suffix, Yields: true,
			Files: func(doc []byte) ([]string, bool, error) {
				_, is, _ := extismfile.Files(doc)
				return nil, is, errUnaccepted
			},
			Doubt:    extismfile.Doubt,
			Assemble: func(*watch.File, []byte) error { return errUnaccepted },
		}
	}
	return c
}

var errUnaccepted = errors.New("a manifest of Extism's is no plugin where plugins have to be accepted (Config.Accept, --trust): write what it says into a companion file, and sign that file")

// readSource reads a plugin's file anew.
func readSource(ctx context.Context, cfg *Config, name string) (Source, error) {
	f, err := watch.ReadFile(ctx, dirConfig(cfg), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Source{}, fmt.Errorf("%w %q: there is no %s.wasm in the plugin directory", ErrUnknownPlugin, foreign.Cut(name), foreign.Cut(name))
	case err != nil:
		return Source{}, newLoadError(Source{Name: name}, StepRead, err)
	}
	return sourceOf(&f), nil
}

// How soon a file is tried again that may not be at fault, at first and at last.
const firstRetry, lastRetry = time.Second, time.Minute

// fileChange is a change of the plugin directory that is to be applied.
type fileChange struct {
	of    watch.Change
	due   time.Time     // zero: at once
	delay time.Duration // of the last attempt, if that may have failed for no fault of the file
	// behind is the source whose plugin's name the file waits for, "" if for none; and replaces the
	// one that it is to take over from.
	behind, replaces string
}

// follower deploys what changes in the plugin directory.
type follower struct {
	*plugins

	group   sync.WaitGroup                // what it runs
	watcher atomic.Pointer[watch.Watcher] // nil while there is none
}

// follow begins to follow the directory, until the host ends: each plugin's changes one after
// the other, of which only the newest counts. It begins with waiting.
func (f *follower) follow(w *watch.Watcher, waiting map[string]fileChange) {
	f.watcher.Store(w)
	f.group.Go(func() {
		defer w.Close()
		f.loop(w.Changes(), waiting)
	})
}

func (f *follower) loop(changes <-chan watch.Change, waiting map[string]fileChange) {
	ended := make(chan fileChange)
	busy := make(map[string]bool)
	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := f.ending.Done()
	for ending != nil || len(busy) > 0 {
		select {
		case <-ending:
			ending, changes = nil, nil
			clear(waiting)
		case c := <-changes:
			waiting[c.Name] = fileChange{of: c}
			if busy[c.Name] {
				f.mu.Lock()
				p := f.all[c.Name]
				f.mu.Unlock()
				f.supersede(p)
			}
		case c := <-ended:
			name := c.of.Name
			delete(busy, name)
			if c.of.File == nil || c.replaces != "" { // its name may be what another waits for
				for other, w := range waiting {
					w.due = time.Time{}
					waiting[other] = w
				}
			}
			c.replaces = ""
			if _, newer := waiting[name]; !newer && c.delay > 0 && ending != nil {
				c.due = time.Now().Add(c.delay)
				waiting[name] = c
			}
		case <-timer.C:
		}
		now, next := time.Now(), lastRetry
		for name, c := range waiting {
			if left := c.due.Sub(now); left > 0 {
				next = min(next, left)
				continue
			}
			if busy[name] || len(busy) >= f.cfg.Workers {
				continue
			}
			if c.of.File == nil && inherited(waiting, name) {
				continue
			}
			delete(waiting, name)
			busy[name] = true
			f.group.Go(func() {
				c.delay, c.behind = f.apply(&c)
				ended <- c
			})
		}
		timer.Reset(next)
	}
}

// inherited reports whether a file that waits has the name of the plugin whose file is gone: as a
// renamed file does. That is to take over first, so that there is no time when neither serves; the
// removal waits for it.
func inherited(waiting map[string]fileChange, gone string) bool {
	removal := waiting[gone]
	for name, heir := range waiting {
		if heir.behind != gone || heir.of.File == nil {
			continue
		}
		heir.behind, heir.replaces, heir.due = "", gone, time.Time{}
		removal.due = time.Now().Add(lastRetry)
		waiting[name], waiting[gone] = heir, removal
		return true
	}
	return false
}

// resume has a plugin whose file has come after the start go on from its record, as it would at a start: the
// version that served does so again, and a source that was rolled back stays so. p.deploying is held.
func (f *follower) resume(ctx context.Context, p *plugin, s Source) {
	if f.records == nil || p.recalled {
		return
	}
	r := f.records.recall(p.source)
	f.setPaused(p, r.Paused)
	rejected, served := fromHex(r.Rejected), f.records.read(p.source, r.Serving)
	if own := recordOf(s); own.name() == r.Serving || served != nil && served.identity == own.identity {
		served = own // which need not be kept
	}
	if served != nil {
		previous := f.records.read(p.source, r.Previous)
		f.mu.Lock()
		p.previous = previous
		f.mu.Unlock()
		if _, err := f.transaction(ctx, p, served.source, deployment{record: &r, rule: ruleOf(&r)}); err != nil {
			served = nil // which is told
		}
	}
	if rejected != s.identity() || ctx.Err() != nil {
		return
	}
	if served == nil {
		_ = f.refuse(p, s, newLoadError(s, StepRollback, errAlone), deployment{})
		f.mu.Lock()
		p.rejected, p.held = rejected, &r
		f.mu.Unlock()
		return
	}
	f.log.Warn("the newest version was rolled back; the one before it serves", "plugin", p.source)
	f.mu.Lock()
	p.failure = rolledBack(s, r.RejectedAt)
	f.mu.Unlock()
	f.remember(ctx, p) // when it was rolled back
}

// apply does what a change of the plugin directory asks for. It returns after how long to
// try that again, 0 for never, and the source whose plugin's name it waits for.
func (f *follower) apply(change *fileChange) (again time.Duration, behind string) {
	c := &change.of
	if c.File == nil {
		if err := f.unload(f.ending, c.Name, false); err != nil && f.ending.Err() == nil {
			f.log.Warn("a plugin whose file is gone is not unloaded", "plugin", c.Name, "error", err)
		}
		return 0, ""
	}
	s := sourceOf(c.File)
	ctx, done, err := f.transact(f.ending)
	if err != nil {
		return 0, ""
	}
	defer done()
	p, leave, err := f.place(ctx, c.Name)
	if err != nil {
		return 0, ""
	}
	defer leave()
	if c.File.Err == nil {
		f.resume(ctx, p, s)
	}
	identity, stamp := s.identity(), s.stamp()
	f.mu.Lock()
	p.listed = true
	settled := p.rejected == identity || p.refused == stamp && (p.failure == nil || !p.failure.Temporary)
	back := p.rejected == identity && p.failure == nil && p.current() != nil
	if back {
		p.failure = rolledBack(s, time.Time{})
	}
	f.mu.Unlock()
	if back {
		f.log.Warn("the newest version was rolled back; the one before it serves", "plugin", p.source)
	}
	switch {
	case c.File.Err != nil:
		_ = f.refuse(p, s, newLoadError(s, StepRead, c.File.Err), deployment{})
	case !settled:
		// Whatever fails is told there.
		_, err = f.transaction(ctx, p, s, deployment{canary: true, replaces: change.replaces})
	}
	if e := (*LoadError)(nil); errors.As(err, &e) && e.Temporary {
		var other clash
		errors.As(err, &other)
		return min(max(firstRetry, 2*change.delay), lastRetry), other.source
	}
	return 0, ""
}
