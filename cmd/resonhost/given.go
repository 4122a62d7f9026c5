package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// origin is where a setting was set.
type origin int

// Origins, which can be added up.
const (
	byFlag origin = 1 << iota
	byVariable
	byFile
)

// given are the settings that somebody has set, by their names.
type given map[string]place

// place is where a setting was set, and to what.
type place struct {
	by   origin
	word string // how the setting is spelt there
	text string // its value as it is written there; "" where readConfig has no need of it
	line int    // of the file, 0 elsewhere
	bad  bool   // it is no value of the setting
}

// without says of those of the names that are set by one of the origins that they have no effect,
// "" if none is.
func (g given) without(effect string, by origin, names ...string) string {
	words := g.words(by, names...)
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0] + " has no effect " + effect
	}
	return strings.Join(words, ", ") + " have no effect " + effect
}

// words are how those of the names are spelt that are set by one of the origins, sorted.
func (g given) words(by origin, names ...string) (words []string) {
	for _, n := range names {
		if s := g[n]; s.by&by != 0 {
			words = append(words, s.word)
		}
	}
	slices.Sort(words)
	return words
}

// only refuses flags that are for other words of a command than the one that it is given. of has the words that each is for.
func (g given) only(command, verb string, of map[string][]string) error {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if verbs := of[name]; g[name].by == byFlag && !slices.Contains(verbs, verb) {
			last := len(verbs) - 1
			list := verbs[last]
			if last > 0 {
				list = strings.Join(verbs[:last], ", ") + " and " + list
			}
			return usagef("%s: is for %s %s", g[name].word, command, list)
		}
	}
	return nil
}

// pluginEffects are settings of plugins that do nothing by what others are.
var pluginEffects = []struct {
	without string
	when    func(c *host.PluginConfig) bool
	names   []string
}{
	{
		"without --verify sample:N", func(c *host.PluginConfig) bool { return c.VerifySuspend && c.Verify != host.VerifySample },
		[]string{"verify-suspend"},
	},
	{
		"with --engine interpreter", func(c *host.PluginConfig) bool {
			return c.Engine == host.EngineInterpreter && c.Verify != 0 && c.Verify != host.VerifyOff
		},
		[]string{"verify"},
	},
	{
		"without --grant network", func(c *host.PluginConfig) bool { return !slices.Contains(c.Grants, host.GrantNetwork) },
		[]string{"private-hosts"},
	},
	{"without --canary", func(c *host.PluginConfig) bool { return c.Canary <= 0 }, []string{"canary-time", "canary-errors", "canary-slowdown"}},
	{
		"with --interrupt runtime or off", func(c *host.PluginConfig) bool { return c.Interrupt != 0 && c.Interrupt != host.InterruptMetered },
		[]string{"max-call-depth", "max-stack"},
	},
	{"with --interrupt off", func(c *host.PluginConfig) bool { return c.Interrupt == host.InterruptOff }, []string{"run-timeout"}},
	{
		"with --isolation fresh, which has a new instance for each task", func(c *host.PluginConfig) bool { return c.Isolation == host.IsolationFresh },
		[]string{"max-calls", "max-age", "max-memory"},
	},
	{
		"with as many --min-instances as --max-instances", func(c *host.PluginConfig) bool { return c.MinInstances > 0 && c.MinInstances == c.MaxInstances },
		[]string{"idle-timeout"},
	},
}

// sandboxes are the settings of the host that are about plugins.
var sandboxes = []string{"plugins", "memory-budget", "cache-dir", "cache-bytes", "private-hosts", "trust", "no-watch", "settle", "poll"}

// commandEffects are flags that a command has, since it takes those of plugins, and can do
// nothing with.
var commandEffects = map[string][]string{
	"call":     {"weight", "swap-timeout", "state-rule", "canary", "canary-time", "canary-errors", "canary-slowdown"},
	"conform":  ofServing,
	"inspect":  ofServing,
	"validate": ofServing,
	"dev":      {"state-rule"},
}

var ofServing = []string{
	"weight", "idle-timeout", "max-calls", "max-age", "max-memory", "batch-target", "swap-timeout", "state-rule",
	"canary", "canary-time", "canary-errors", "canary-slowdown", "verify-suspend", "log-bytes-per-second",
}

// withoutEffect warns of settings that do nothing by what others are. The file and the environment
// are there for all commands: of what one command has no use for, its flags alone are told.
func (o *options) withoutEffect(command string) (warnings []string) {
	const anywhere = byFlag | byVariable | byFile
	warn := func(w string) {
		if w != "" && !slices.Contains(warnings, w) {
			warnings = append(warnings, w)
		}
	}
	if o.host.Mode == host.ModeInline {
		names := slices.Clone(sandboxes)
		for _, s := range pluginSettings(new(host.PluginConfig)) {
			if s.name != "max-input" && s.name != "max-output" {
				names = append(names, s.name)
			}
		}
		if o.host.Workers > 1 {
			names = append(names, "workers")
		}
		warn(o.given.without("in mode inline", byFlag|byFile, names...))
	} else {
		for _, e := range pluginEffects {
			if o.everywhere(e.when) {
				warn(o.given.without(e.without, anywhere, e.names...))
			}
		}
		for _, plugin := range slices.Sorted(maps.Keys(o.overrides)) {
			c := o.overridden(plugin)
			for _, e := range pluginEffects {
				if e.when(&c) {
					warn(o.overrides[plugin].without(e.without, anywhere, e.names...))
				}
			}
		}
	}
	warn(o.given.without("on "+command, byFlag, commandEffects[command]...))
	if o.noWatch {
		warn(o.given.without("with --no-watch", anywhere, "settle", "poll"))
	}
	if o.cacheDir == "none" {
		warn(o.given.without("with --cache-dir none", anywhere, "cache-bytes"))
	}
	if command == "run" && !o.state.set() {
		warn(o.given.without("without --state-dir or --state-url", anywhere, "state-interval"))
		if o.fleet.URLs == "" {
			warn(o.given.without("without --state-dir, --state-url or --nats", anywhere, "state-key"))
		}
	}
	if command == "run" {
		o.accessEffects(warn)
		for _, n := range o.needs() {
			warn(o.given.without("without "+n.flag, byVariable|byFile, n.names...))
		}
	}
	if command == "call" && o.everywhere(func(c *host.PluginConfig) bool { return c.Verify != host.VerifySample }) {
		warn(o.given.without("on call without --verify sample:N", byFlag, "drain-timeout"))
	}
	return warnings
}

// need is a setting without which others do nothing.
type need struct {
	flag  string // and its value, if it takes one
	names []string
}

// needs are settings that are not set and that others need. Of these a flag is an error: whoever types one wants its effect. A file and
// the environment may be there for other commands, too.
func (o *options) needs() (all []need) {
	if o.otlp.Endpoint == "" {
		all = append(all, need{"--otlp URL", []string{"otlp-sample", "otlp-traces"}})
	}
	own := []string{"nats-dir", "nats-listen"}
	if o.fleet.URLs != ownServer {
		all = append(all, need{"--nats embedded", own})
	}
	if o.fleet.URLs == "" {
		var names []string
		for _, s := range slices.Concat(o.fleetSettings(), o.memberSettings()) {
			if s.name != "nats" && !slices.Contains(own, s.name) {
				names = append(names, s.name)
			}
		}
		all = append(all, need{"--nats URL", names})
	}
	return all
}

// lacking returns an error for each flag of run that needs another.
func (o *options) lacking() error {
	var errs []error
	for _, n := range o.needs() {
		for _, word := range o.given.words(byFlag, n.names...) {
			errs = append(errs, usagef("%s: needs %s", word, n.flag))
		}
	}
	return errors.Join(errs...)
}

// accessEffects warns of settings that do nothing by who may call.
func (o *options) accessEffects(warn func(string)) {
	const anywhere = byFlag | byVariable | byFile
	if !o.trustTenant && !o.access.asks() && len(o.host.TenantWeights) > 0 {
		warn(weightsKey + " has no effect without --tokens, whose lines say whose requests are, or --trust-tenant, by which they do so themselves")
	}
	if o.access.asks() {
		warn(o.given.without("with --tokens or --tls-client-ca, by which a caller's tenant is known; a line with tenant=* has its caller say", anywhere, "trust-tenant"))
		warn(o.given.without("with --tokens or --tls-client-ca", anywhere, "insecure"))
	}
	if o.access.files.ClientCA == "" {
		warn(o.given.without("without --tls-client-ca", anywhere, "tls-client-scopes"))
	}
}

// everywhere reports whether a condition holds for plugins without an override and for each that
// has one. A setting that is for all of them has an effect if it has one on any.
func (o *options) everywhere(when func(c *host.PluginConfig) bool) bool {
	if !when(&o.host.Defaults) {
		return false
	}
	for plugin := range o.overrides {
		if c := o.overridden(plugin); !when(&c) {
			return false
		}
	}
	return true
}

// overridden returns how a plugin with an override is run, as far as pluginEffects ask.
func (o *options) overridden(plugin string) host.PluginConfig {
	c, d := o.host.Overrides[plugin], &o.host.Defaults
	c.Verify, c.VerifySuspend, c.Engine = cmp.Or(c.Verify, d.Verify), c.VerifySuspend || d.VerifySuspend, cmp.Or(c.Engine, d.Engine)
	c.Interrupt, c.Isolation, c.Canary = cmp.Or(c.Interrupt, d.Interrupt), cmp.Or(c.Isolation, d.Isolation), cmp.Or(c.Canary, d.Canary)
	if c.Grants == nil {
		c.Grants = d.Grants
	}
	c.MinInstances, c.MaxInstances = cmp.Or(c.MinInstances, d.MinInstances), cmp.Or(c.MaxInstances, d.MaxInstances)
	return c
}

// located says what is wrong with the configuration by where each setting was set, a file and line or a
// variable, of an error that has the names of flags.
func (o *options) located(err error) error {
	var faults []error
	for _, e := range each(err) {
		faults = append(faults, errors.New(o.locate(e.Error())))
	}
	if faults == nil {
		return nil
	}
	return &exit{api.ExitUsage, errors.Join(faults...)}
}

// locate replaces the name of a setting that a text begins with.
func (o *options) locate(text string) string {
	if flag, ok := strings.CutPrefix(text, "--"); ok {
		end := strings.IndexAny(flag, ": ,")
		if end < 0 {
			return text
		}
		switch p := o.given[flag[:end]]; p.by {
		case byFile:
			return fmt.Sprintf("%s:%d: %s%s", o.configFile, p.line, p.word, flag[end:])
		case byVariable:
			return p.word + flag[end:]
		}
		return text
	}
	for _, g := range append(slices.Collect(maps.Values(o.overrides)), o.weights) {
		for _, p := range g {
			if strings.HasPrefix(text, p.word+":") {
				return fmt.Sprintf("%s:%d: %s", o.configFile, p.line, text)
			}
		}
	}
	return text
}
