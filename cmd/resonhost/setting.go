package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/jobs"
	"github.com/resonhost/resonhost/server/replay"
	"github.com/resonhost/resonhost/telemetry"
	"github.com/resonhost/resonhost/timeslice"
)

// setting is one thing that can be set: by the flag --a-b, by the environment
// variable RESONHOST_A_B, and by a_b in the file of configuration, of which the
// first goes before the others. For one plugin plugin_overrides in the file goes before all three.
type setting struct {
	name  string
	usage string // with the placeholder of a value in backquotes
	def   string // what holds without it
	value cli.Generic
}

// envPrefix is what all variables of the environment begin with.
const envPrefix = "RESONHOST_"

func (s setting) env() string { return envPrefix + strings.ToUpper(s.key()) }
func (s setting) key() string { return strings.ReplaceAll(s.name, "-", "_") }

func (s setting) flag() cli.Flag {
	if b, ok := s.value.(value.Toggle); ok {
		return &cli.BoolFlag{
			Name: s.name, Usage: s.usage, EnvVars: []string{s.env()},
			Destination: b.P, DisableDefaultText: true,
		}
	}
	return &cli.GenericFlag{
		Name: s.name, Usage: s.usage, EnvVars: []string{s.env()}, DefaultText: s.def,
		Value: &countedValue{Generic: s.value, env: s.env()},
	}
}

// countedValue is one that knows how often its flag was given, as those of a [cli.BoolFlag] do. It
// implements [cli.Countable].
type countedValue struct {
	cli.Generic

	env string // sets the value once, if there is one
	n   int
}

func (c *countedValue) Set(s string) error {
	c.n++
	return c.Generic.Set(s)
}

func (c *countedValue) Count() int {
	if os.Getenv(c.env) != "" {
		return c.n - 1
	}
	return c.n
}

func flags(lists ...[]setting) (all []cli.Flag) {
	for _, list := range lists {
		for _, s := range list {
			all = append(all, s.flag())
		}
	}
	return all
}

// misspelt warns of variables of the environment, as [os.Environ] has them, that are no
// command's and look like one. Others, such as those that Kubernetes sets for a service of this
// name, are somebody else's.
func misspelt(app *cli.App, environment []string) (warnings []string) {
	known := []string{strings.TrimPrefix(tokenVariable, envPrefix)}
	for _, c := range app.Commands {
		for _, f := range c.Flags {
			if f, ok := f.(cli.DocGenerationFlag); ok {
				for _, v := range f.GetEnvVars() {
					known = append(known, strings.TrimPrefix(v, envPrefix))
				}
			}
		}
	}
	for _, v := range environment {
		name, _, _ := strings.Cut(v, "=")
		name, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(known, name) {
			continue
		}
		if near := spell.Nearest(name, known); near != "" {
			warnings = append(warnings, fmt.Sprintf("there is no variable %s; did you mean %s?", envPrefix+name, envPrefix+near))
		}
	}
	return warnings
}

func jsonFlag(usage string, p *bool) cli.Flag {
	return setting{name: "json", usage: usage, value: value.Toggle{P: p}}.flag()
}

// options are what all commands can be told.
type options struct {
	host       host.Config
	configFile string
	json       bool
	logLevel   slog.Level
	level      *slog.LevelVar // what the logger goes by, from logLevel on

	given     given            // by readConfig
	overrides map[string]given // likewise, of plugin_overrides
	weights   given            // likewise, of tenant_weights, by tenant
	unread    bool             // the file was no YAML, or could not be read

	listen         string
	drainTimeout   time.Duration
	access         access
	trustTenant    bool
	maxHeld        int64
	maxConnections int
	jobs           jobs.Options
	replays        replay.Options
	networks       serve.Options
	timeSlice      time.Duration // none if negative
	otlp           telemetry.Options
	tracer         *telemetry.Tracer // nil without otlp

	state  stateOptions
	fleet  fleetOptions
	submit submitOptions

	input, output, streamField string

	noWatch  bool
	cacheDir string
	trust    string
	// privateHosts are those that may have addresses that are not public.
	privateHosts []string
	remote       remote
}

func newOptions() *options {
	return &options{level: new(slog.LevelVar), given: make(given), overrides: make(map[string]given), weights: make(given), listen: "127.0.0.1:8080", drainTimeout: 30 * time.Second, timeSlice: timeslice.Default, remote: remote{url: "http://127.0.0.1:8080"}}
}

// config is the one setting that no file has.
func (o *options) config() []setting {
	return []setting{{name: "config", usage: "take settings from the YAML `FILE`, named as these with _ for -", value: value.Text(&o.configFile)}}
}

// logSettings are about what goes to stderr.
func (o *options) logSettings(level slog.Level) []setting {
	o.logLevel = level
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	return []setting{
		{"json", "log JSON", "", value.Toggle{P: &o.json}},
		{
			"log-level", "log from `LEVEL` debug, info, warn or error", strings.ToLower(level.String()),
			value.Choice(&o.logLevel, []string{"debug", "info", "warn", "error"}, levels),
		},
	}
}

// hostSettings are the host's. queueTimeout is what holds without one.
func (o *options) hostSettings(queueTimeout string) []setting {
	c := &o.host
	return []setting{
		{"plugins", "load every plugin of `DIR`: NAME.wasm with its companion file NAME.plugin.yaml, and manifests of Extism's, NAME.json", "", value.Text(&c.PluginDir)},
		{
			"mode", "run in `MODE` sandbox, or inline: the built-in transforms natively, one task at a time, no plugins", "sandbox",
			value.Choice(&c.Mode, []string{"sandbox", "inline"}, []host.Mode{host.ModeSandbox, host.ModeInline}),
		},
		{"workers", "run `N` tasks at once", "the number of CPUs", value.Count(&c.Workers)},
		{"queue-capacity", "let at most `N` tasks of one transform, priority and tenant wait", fmt.Sprint(host.DefaultQueueCapacity), value.Count(&c.QueueCapacity)},
		{
			"queue-policy", "when a queue is full, `DO` block, reject or drop-oldest", "block",
			value.Choice(&c.QueuePolicy, []string{"block", "reject", "drop-oldest"}, []host.QueuePolicy{host.QueueBlock, host.QueueReject, host.QueueDropOldest}),
		},
		{"queue-timeout", "let a task wait `TIME` at most, or none for ever", queueTimeout, value.DurationOrNone(&c.QueueTimeout)},
		o.memoryBudget(),
		{"max-streams", "keep the state of `N` streams at most", fmt.Sprint(host.DefaultMaxStreams), value.Count(&c.MaxStreams)},
		{"max-stream-bytes", "keep states of `SIZE` together at most", value.Bytes(host.DefaultMaxStreamBytes), value.Size(&c.MaxStreamBytes)},
		{"stream-age", "keep the state of an unused stream for `TIME`, or none for ever", host.DefaultStreamAge.String(), value.DurationOrNone(&c.StreamAge)},
	}
}

func (o *options) memoryBudget() setting {
	return setting{"memory-budget", "let the instances of all plugins have memory of `SIZE` together", value.Bytes(host.DefaultMemoryBudget), value.Size(&o.host.MemoryBudget)}
}

// loadSettings are about how plugins come to a host.
func (o *options) loadSettings() []setting {
	return slices.Concat(o.cacheSettings(), o.networkSettings(), []setting{{"trust", "take only plugins that a minisign key of `FILE` has signed, a file of keys or a directory of *.pub", "all", value.Text(&o.trust)}})
}

// networkSettings are about requests that plugins send.
func (o *options) networkSettings() []setting {
	return []setting{{"private-hosts", "let the hosts of `LIST` have private addresses where plugins with --grant network send requests: names or patterns, with commas", "none", hostNames{&o.privateHosts}}}
}

func (o *options) cacheSettings() []setting {
	return []setting{
		{"cache-dir", "keep compiled plugins, and those that served, in `DIR`, or none", "resonhost in the user's cache directory", value.Text(&o.cacheDir)},
		{"cache-bytes", "keep `SIZE` of compiled plugins in the cache directory, and as much of those that served", value.Bytes(host.DefaultCacheBytes), value.Size(&o.host.CacheBytes)},
	}
}

// watchSettings are about the plugin directory while a host serves.
func (o *options) watchSettings() []setting {
	return []setting{
		{"no-watch", "load plugins at the start alone", "", value.Toggle{P: &o.noWatch}},
		{"settle", "take a plugin's file once it has been unchanged for `TIME`", host.DefaultSettle.String(), value.Duration(&o.host.Settle)},
		{"poll", "look at the plugin directory every `TIME`, whatever the file system tells", host.DefaultPoll.String(), value.Duration(&o.host.Poll)},
	}
}

// pluginSettings are those that plugin_overrides has too, and companion files.
func pluginSettings(c *host.PluginConfig) (all []setting) {
	for _, s := range host.PluginSettings(c) {
		all = append(all, setting{s.Name, s.Usage, s.Default, s.Value})
	}
	return all
}

// weightSetting is a tenant's share.
func weightSetting(tenant string, p *int) setting {
	return setting{name: tenant, value: value.Count(p)}
}

func (o *options) runSettings() []setting {
	return append([]setting{
		{"listen", "serve HTTP at `ADDRESS`; port 0 takes a free one, and systemd the socket that systemd passes", o.listen, value.Text(&o.listen)},
		o.drainSetting("give tasks under way `TIME` to finish once the command is to end"),
		{"trust-tenant", "believe the header Resonhost-Tenant, by which tenants have queues and shares of their own; something in front must set it", "", value.Toggle{P: &o.trustTenant}},
		{"max-held", "hold `SIZE` of requests and of answers that clients have not taken, all together; beyond it they are refused", value.Bytes(server.DefaultMaxHeld), value.Size(&o.maxHeld)},
		{"max-connections", "serve `N` connections at once, idle ones included; requests of further ones are refused", fmt.Sprint(server.DefaultMaxConnections), value.Count(&o.maxConnections)},
	}, slices.Concat(o.jobSettings(), o.replaySettings(), o.nodeSettings(), o.telemetrySettings(), o.processSettings())...)
}

// nodeSettings bound networks of nodes.
func (o *options) nodeSettings() []setting {
	return []setting{
		{"max-networks", "keep `N` networks of nodes at most", fmt.Sprint(serve.DefaultMaxNetworks), value.Count(&o.networks.MaxNetworks)},
		{"max-network-nodes", "let a network have `N` nodes at most", fmt.Sprint(serve.DefaultMaxNodes), value.Count(&o.networks.MaxNodes)},
		{"max-network-connections", "let a network have `N` connections at most", fmt.Sprint(serve.DefaultMaxConnections), value.Count(&o.networks.MaxConnections)},
	}
}

// jobSettings bound what is done in the background.
func (o *options) jobSettings() []setting {
	return []setting{
		{"max-jobs", "keep `N` jobs at most, those that are over included", fmt.Sprint(jobs.DefaultMaxJobs), value.Count(&o.jobs.MaxJobs)},
		{"max-job-bytes", "let jobs hold `SIZE` together at most, of inputs and results; one input may have an eighth", value.Bytes(jobs.DefaultMaxBytes), value.Size(&o.jobs.MaxBytes)},
		{"job-age", "keep a job and its results for `TIME` once it is over", jobs.DefaultAge.String(), value.Duration(&o.jobs.Age)},
	}
}

// replaySettings bound what is kept for requests that are sent again.
func (o *options) replaySettings() []setting {
	return []setting{
		{"idempotency-keys", "know `N` keys of requests (Idempotency-Key) at most; beyond it the oldest are forgotten", fmt.Sprint(replay.DefaultMaxKeys), value.Count(&o.replays.MaxKeys)},
		{"idempotency-bytes", "let keys of requests and their answers hold `SIZE` together at most; one answer may have an eighth", value.Bytes(replay.DefaultMaxBytes), value.Size(&o.replays.MaxBytes)},
		{"idempotency-age", "know a key for `TIME` once its request is answered", replay.DefaultAge.String(), value.Duration(&o.replays.Age)},
	}
}

// ofRun are all settings of run but for the file's.
func (o *options) ofRun() []setting {
	return slices.Concat(o.runSettings(), o.identitySettings(), o.stateSettings(), o.fleetSettings(), o.memberSettings(), o.hostSettings(host.DefaultQueueTimeout.String()), o.loadSettings(), o.watchSettings(), pluginSettings(&o.host.Defaults), o.logSettings(slog.LevelInfo))
}

func (o *options) drainSetting(usage string) setting {
	return setting{"drain-timeout", usage, o.drainTimeout.String(), value.Duration(&o.drainTimeout)}
}

// processSettings are about the process of a host that serves.
func (o *options) processSettings() []setting {
	return []setting{{"time-slice", "have the kernel let threads run for `TIME` at a time, where it can, or none for its own way", o.timeSlice.String(), value.DurationOrNone(&o.timeSlice)}}
}

func (o *options) callSettings() []setting {
	return []setting{
		{"input", "read JSON lines from `FILE`", "standard input", value.Text(&o.input)},
		{"output", "write JSON lines to `FILE`", "standard output", value.Text(&o.output)},
		{"stream-field", "take the key of a line's stream from its member `NAME`", "the transform's own", value.Text(&o.streamField)},
	}
}

// all are the settings that a file can have, those of other commands included:
// one file serves all.
func (o *options) all() []setting {
	return slices.Concat(o.hostSettings(""), pluginSettings(&o.host.Defaults), o.runSettings(), o.identitySettings(), o.stateSettings(), o.fleetSettings(), o.memberSettings(), o.submitSettings(), o.callSettings(), o.loadSettings(), o.watchSettings(), o.logSettings(o.logLevel))
}
