package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/systemd"
	"github.com/resonhost/resonhost/server/auth"
)

// reloader reads something anew. If it fails, what was before holds.
type reloader struct {
	name   string
	reload func() error
}

// reloads read files anew when they are asked to. The zero value never does.
type reloads struct {
	log     *slog.Logger
	trail   *auth.Trail
	manager *supervised
	asked   <-chan struct{}
	all     []reloader
}

// until reloads, each time that it is asked to, until ctx ends or something else does, whose error it
// returns.
func (r *reloads) until(ctx context.Context, ended <-chan error, gone <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return nil
		case err := <-ended:
			return err
		case <-r.asked:
			r.reload(ctx)
		}
	}
}

// reload does all there is, whatever fails of it.
func (r *reloads) reload(ctx context.Context) {
	r.manager.tell(systemd.Reloading()...)
	r.log.Info("reloading")
	rec := auth.Record{Who: auth.WhoSignal, Action: "reload", Outcome: auth.OutcomeDone}
	var names, faults []string
	for _, one := range r.all {
		names = append(names, one.name)
		if err := one.reload(); err != nil {
			r.log.Error("not reloaded; all stays as it was", "what", one.name, "error", err)
			faults = append(faults, err.Error())
		}
	}
	rec.Target = strings.Join(names, ", ")
	if len(faults) > 0 {
		rec.Outcome, rec.Detail = auth.OutcomeFailed, strings.Join(faults, "\n")
	}
	r.trail.Add(ctx, rec)
	r.log.Info("reloaded", "outcome", rec.Outcome)
	r.manager.tell(systemd.Ready)
}

// reloaders are what of a service can change while it runs.
func (o *options) reloaders(log *slog.Logger, keeper *auth.Keeper, h *host.Host) (all []reloader) {
	if o.configFile != "" {
		all = append(all, reloader{"configuration", func() error { return o.reloadConfig(log) }})
	}
	if o.access.files.Tokens != "" || o.access.files.Certificate != "" {
		// The keeper tells what comes of it, and keeps what holds.
		all = append(all, reloader{"tokens and certificates", func() error {
			keeper.Reload()
			return nil
		}})
	}
	if !o.noWatch && o.host.Mode != host.ModeInline {
		all = append(all, reloader{"plugins", h.Rescan})
	}
	return all
}

// reloadConfig reads the file of configuration anew. Its log level holds from then on, unless a flag or
// the environment sets that. What else differs from what the service was started with is logged.
func (o *options) reloadConfig(log *slog.Logger) error {
	if info, err := os.Stat(o.configFile); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--config %s: is no file that could be read again, such as a pipe", o.configFile)
	}
	now := newOptions()
	now.configFile = o.configFile
	if err := now.readFile(o.setElsewhere); err != nil {
		return err
	}
	if rest := o.needRestart(now); len(rest) > 0 {
		log.Warn("settings have changed that a restart takes over", "file", o.configFile, "settings", strings.Join(rest, ", "))
	}
	if !o.setElsewhere("log-level") && o.level.Level() != now.logLevel {
		log.Info("the log level changes", "from", o.level.Level(), "to", now.logLevel)
		o.level.Set(now.logLevel)
	}
	return nil
}

// setElsewhere reports whether a flag or the environment has set a setting.
func (o *options) setElsewhere(name string) bool { return o.given[name].by&(byFlag|byVariable) != 0 }

// needRestart are the keys of the settings of run that the file has otherwise now than when it was read
// first.
func (o *options) needRestart(now *options) (paths []string) {
	for _, s := range newOptions().ofRun() {
		if s.name != "log-level" && !o.setElsewhere(s.name) && !o.given[s.name].same(now.given[s.name]) {
			paths = append(paths, s.key())
		}
	}
	paths = append(paths, differing(o.weights, now.weights)...)
	overrides := make(given)
	for _, plugins := range []map[string]given{o.overrides, now.overrides} {
		for plugin := range plugins {
			for _, p := range differing(o.overrides[plugin], now.overrides[plugin]) {
				overrides[p] = place{}
			}
		}
	}
	for p := range overrides {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// same reports whether a file has the same for a setting as when it was read before, if both are of it.
func (p place) same(q place) bool { return p.by == q.by && p.text == q.text }

// differing are the paths of what two readings of the file have otherwise. A plugin without a setting is as
// good as none.
func differing(a, b given) (paths []string) {
	for name, p := range a {
		if name != "" && !p.same(b[name]) {
			paths = append(paths, p.word)
		}
	}
	for name, q := range b {
		if _, ok := a[name]; !ok && name != "" {
			paths = append(paths, q.word)
		}
	}
	return paths
}
