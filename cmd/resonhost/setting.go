package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/timeslice"
)

// setting is one thing that can be set: by the flag --a-b, by the environment
// variable RESONHOST_A_B, and by a_b in the file of configuration, of which the
// first goes before the others.
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
	if b, ok := s.value.(toggle); ok {
		return &cli.BoolFlag{
			Name: s.name, Usage: s.usage, EnvVars: []string{s.env()},
			Destination: b.p, DisableDefaultText: true,
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
	var known []string
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
	return setting{name: "json", usage: usage, value: toggle{p}}.flag()
}

// options are what all commands can be told.
type options struct {
	host       host.Config
	configFile string
	json       bool
	logLevel   slog.Level

	given     given            // by readConfig
	overrides map[string]given // likewise, of plugin_overrides
	weights   given            // likewise, of tenant_weights, by tenant
	unread    bool             // the file was no YAML, or could not be read

	listen       string
	drainTimeout time.Duration
	trustTenant  bool
	maxHeld      int64
	timeSlice    time.Duration // none if negative

	input, output, streamField string

	noWatch  bool
	cacheDir string
	trust    string
	// privateHosts are those that may have addresses that are not public.
	privateHosts []string
	url          string
}

func newOptions() *options {
	return &options{given: make(given), overrides: make(map[string]given), weights: make(given), listen: "127.0.0.1:8080", drainTimeout: 30 * time.Second, timeSlice: timeslice.Default, url: "http://127.0.0.1:8080"}
}

// config is the one setting that no file has.
func (o *options) config() []setting {
	return []setting{{name: "config", usage: "take settings from the YAML `FILE`, named as these with _ for -", value: text{&o.configFile}}}
}

// logSettings are about what goes to stderr.
func (o *options) logSettings(level slog.Level) []setting {
	o.logLevel = level
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	return []setting{
		{"json", "log JSON", "", toggle{&o.json}},
		{
			"log-level", "log from `LEVEL` debug, info, warn or error", strings.ToLower(level.String()),
			choice[slog.Level]{&o.logLevel, []string{"debug", "info", "warn", "error"}, levels},
		},
	}
}

func inBytes(n uint64) string {
	return strings.NewReplacer(" ", "", ".0", "").Replace(humanize.IBytes(n))
}

// hostSettings are the host's. queueTimeout is what holds without one.
func (o *options) hostSettings(queueTimeout string) []setting {
	c := &o.host
	return []setting{
		{"plugins", "load every plugin of `DIR`: its files that end in .wasm", "", text{&c.PluginDir}},
		{
			"mode", "run in `MODE` sandbox, or inline: the built-in transforms natively, one task at a time, no plugins", "sandbox",
			choice[host.Mode]{&c.Mode, []string{"sandbox", "inline"}, []host.Mode{host.ModeSandbox, host.ModeInline}},
		},
		{"workers", "run `N` tasks at once", "the number of CPUs", count{p: &c.Workers}},
		{"queue-capacity", "let at most `N` tasks of one transform, priority and tenant wait", fmt.Sprint(host.DefaultQueueCapacity), count{p: &c.QueueCapacity}},
		{
			"queue-policy", "when a queue is full, `DO` block, reject or drop-oldest", "block",
			choice[host.QueuePolicy]{
				&c.QueuePolicy, []string{"block", "reject", "drop-oldest"},
				[]host.QueuePolicy{host.QueueBlock, host.QueueReject, host.QueueDropOldest},
			},
		},
		{"queue-timeout", "let a task wait `TIME` at most, or none for ever", queueTimeout, duration{&c.QueueTimeout, true}},
		{"memory-budget", "let the instances of all plugins have memory of `SIZE` together", inBytes(host.DefaultMemoryBudget), size[int64]{&c.MemoryBudget}},
		{"max-streams", "keep the state of `N` streams at most", fmt.Sprint(host.DefaultMaxStreams), count{p: &c.MaxStreams}},
		{"max-stream-bytes", "keep states of `SIZE` together at most", inBytes(host.DefaultStreamBytes), size[int]{&c.MaxStreamBytes}},
		{"stream-age", "keep the state of an unused stream for `TIME`, or none for ever", host.DefaultStreamAge.String(), duration{&c.StreamAge, true}},
	}
}

// loadSettings are about how plugins come to a host.
func (o *options) loadSettings() []setting {
	return slices.Concat(o.cacheSettings(), o.networkSettings(), []setting{{"trust", "take only plugins that a minisign key of `FILE` has signed, a file of keys or a directory of *.pub", "all", text{&o.trust}}})
}

// networkSettings are about requests that plugins send.
func (o *options) networkSettings() []setting {
	return []setting{{"private-hosts", "let the hosts of `LIST` have private addresses where plugins with --grant network send requests: names or patterns, with commas", "none", hostNames{&o.privateHosts}}}
}

func (o *options) cacheSettings() []setting {
	return []setting{
		{"cache-dir", "keep compiled plugins, and those that served, in `DIR`, or none", "resonhost in the user's cache directory", text{&o.cacheDir}},
		{"cache-bytes", "keep `SIZE` of each there", inBytes(host.DefaultCacheBytes), size[int64]{&o.host.CacheBytes}},
	}
}

// watchSettings are about the plugin directory while a host serves.
func (o *options) watchSettings() []setting {
	return []setting{
		{"no-watch", "load plugins at the start alone", "", toggle{&o.noWatch}},
		{"settle", "take a plugin's file once it has been unchanged for `TIME`", host.DefaultSettle.String(), duration{&o.host.Settle, false}},
		{"poll", "look at the plugin directory every `TIME`, whatever the file system tells", host.DefaultPoll.String(), duration{&o.host.Poll, false}},
	}
}

// pluginSettings are those that plugin_overrides has too.
func pluginSettings(c *host.PluginConfig) []setting {
	return []setting{
		{"min-instances", "keep `N` instances of a plugin ready, or 0", fmt.Sprint(host.DefaultMinInstances), count{&c.MinInstances, true}},
		{"max-instances", "make at most `N` instances of a plugin", "the number of workers", count{p: &c.MaxInstances}},
		{"weight", "give each of a plugin's transforms a share of `N` in the workers' time while others wait", "1", count{p: &c.Weight}},
		{"idle-timeout", "free an instance that lies idle for `TIME`, or none to keep it", host.DefaultIdleTimeout.String(), duration{&c.IdleTimeout, true}},
		{"max-calls", "replace an instance after `N` calls", "no limit", count{p: &c.MaxCalls}},
		{"max-age", "replace an instance after `TIME`", "no limit", duration{&c.MaxAge, false}},
		{"max-memory", "replace an instance whose memory has grown to `SIZE`", "no limit", size[int64]{&c.MaxMemory}},
		{"memory-limit", "let the memory of an instance grow to `SIZE` at most", inBytes(host.DefaultMemoryLimit), size[int64]{&c.MemoryLimit}},
		{"run-timeout", "let a task run for `TIME` at most", "the plugin's own, else " + host.DefaultRunTimeout.String(), duration{&c.RunTimeout, false}},
		{"init-timeout", "let the making of an instance take `TIME` at most", host.DefaultInitTimeout.String(), duration{&c.InitTimeout, false}},
		{"max-input", "pass inputs of `SIZE` at most", inBytes(host.DefaultMaxInput), size[int]{&c.MaxInput}},
		{"max-output", "take outputs of `SIZE` at most", inBytes(host.DefaultMaxOutput), size[int]{&c.MaxOutput}},
		{"max-module", "load plugins of `SIZE` at most", inBytes(host.DefaultMaxModule), size[int]{&c.MaxModule}},
		{"log-bytes-per-second", "let a plugin log `SIZE` a second", inBytes(host.DefaultLogBytesPerSecond), size[int]{&c.LogBytesPerSecond}},
		{
			"isolation", "have a task start with `WHAT` pristine, frame, shared or fresh instances", "pristine",
			choice[host.Isolation]{
				&c.Isolation, []string{"pristine", "frame", "shared", "fresh"},
				[]host.Isolation{host.IsolationPristine, host.IsolationFrame, host.IsolationShared, host.IsolationFresh},
			},
		},
		{
			"interrupt", "stop a guest that does not return by `MEANS` metered, runtime, or off for trusted plugins", "metered",
			choice[host.Interrupt]{
				&c.Interrupt, []string{"metered", "runtime", "off"},
				[]host.Interrupt{host.InterruptMetered, host.InterruptRuntime, host.InterruptOff},
			},
		},
		{"max-fuel", "let a task burn `N` units of fuel at most, each about an instruction, or none for no limit", "none", fuel{&c.MaxFuel}},
		{"batch-target", "go on with waiting tasks of a transform for `TIME`, or none for one at a time", host.DefaultBatchTarget.String(), duration{&c.BatchTarget, true}},
		{"grant", "grant plugins the system's clock, its randomness, or HTTP requests to their allowed hosts: `LIST` has clock, random and network, with commas, or is none", "none", grants{&c.Grants}},
		{"compile-timeout", "let the compiling of a plugin take `TIME` at most", host.DefaultCompileTimeout.String(), duration{&c.CompileTimeout, false}},
		{"max-functions", "load plugins of `N` functions at most", fmt.Sprint(host.DefaultMaxFunctions), count{p: &c.MaxFunctions}},
		{"max-globals", "load plugins of `N` globals at most", fmt.Sprint(host.DefaultMaxGlobals), count{p: &c.MaxGlobals}},
		{"max-exports", "load plugins of `N` exports at most", fmt.Sprint(host.DefaultMaxExports), count{p: &c.MaxExports}},
		{"max-table", "let a plugin's tables have `N` entries at most", fmt.Sprint(host.DefaultMaxTable), count{p: &c.MaxTable}},
		{"max-types", "load plugins of `N` types at most", fmt.Sprint(host.DefaultMaxTypes), count{p: &c.MaxTypes}},
		{"max-imports", "load plugins of `N` imports at most", fmt.Sprint(host.DefaultMaxImports), count{p: &c.MaxImports}},
		{"max-tables", "load plugins of `N` tables at most", fmt.Sprint(host.DefaultMaxTables), count{p: &c.MaxTables}},
		{"max-segments", "load plugins of `N` segments of data and elements at most", fmt.Sprint(host.DefaultMaxSegments), count{p: &c.MaxSegments}},
		{"max-elements", "load plugins whose segments have `N` elements at most", fmt.Sprint(host.DefaultMaxElements), count{p: &c.MaxElements}},
		{"max-arity", "load plugins whose types have `N` parameters and results at most", fmt.Sprint(host.DefaultMaxArity), count{p: &c.MaxArity}},
		{"max-function-size", "load plugins whose functions have `SIZE` at most", inBytes(host.DefaultMaxFunctionSize), size[int]{&c.MaxFunctionSize}},
		{"max-locals", "load plugins whose functions have `N` variables at most", fmt.Sprint(host.DefaultMaxLocals), count{p: &c.MaxLocals}},
		{"max-jumps", "load plugins whose functions have at most `N` jumps; the time to compile grows with its square", fmt.Sprint(host.DefaultMaxJumps), count{p: &c.MaxJumps}},
		{"max-flow", "load plugins whose functions have at most `N` jumps times variables; the time to compile grows with it", fmt.Sprint(host.DefaultMaxFlow), count{p: &c.MaxFlow}},
		{"max-call-depth", "let a plugin's calls nest `N` deep at most, of those that can recurse", fmt.Sprint(host.DefaultMaxCallDepth), count{p: &c.MaxCallDepth}},
		{"max-stack", "let a plugin's calls take `SIZE` of native stack at most, which counts in the memory budget", inBytes(host.DefaultMaxStack), size[int64]{&c.MaxStack}},
		{"swap-timeout", "give tasks of a version that was replaced `TIME` to end; then they begin anew in the new version", host.DefaultSwapTimeout.String(), duration{&c.SwapTimeout, false}},
		{
			"state-rule", "`DO` refuse a version that cannot read its streams' states, or reset them", "refuse",
			choice[host.StateRule]{&c.StateRule, []string{"refuse", "reset"}, []host.StateRule{host.StateRefuse, host.StateReset}},
		},
		{"canary", "have a new version do a `SHARE` of the tasks first, such as 10%, or none", "none", share{&c.Canary}},
		{"canary-time", "promote a canary after `TIME`", host.DefaultCanaryTime.String(), duration{&c.CanaryTime, false}},
		{"canary-errors", "roll a canary back if it fails a larger `SHARE` of its tasks than this, counting those that the other version then does", "1%", share{&c.CanaryErrors}},
		{"canary-slowdown", "roll a canary back if its tasks take `N` times as long", fmt.Sprint(host.DefaultCanarySlowdown), factor{&c.CanarySlowdown}},
		{"verify", "run once more in an interpreter, to compare, `WHAT` self-tests, sample:N for one in N tasks too, or off", "self-tests", verify{c}},
		{"verify-suspend", "pause a plugin at the first task that the interpreter answers differently, or roll its canary back", "", toggle{&c.VerifySuspend}},
		{
			"engine", "run guests with `ENGINE` compiler, or interpreter: slow, with at most 2000 nested calls of any kind", "compiler",
			choice[host.Engine]{&c.Engine, []string{"compiler", "interpreter"}, []host.Engine{host.EngineCompiler, host.EngineInterpreter}},
		},
	}
}

func (o *options) runSettings() []setting {
	return append([]setting{
		{"listen", "serve HTTP at `ADDRESS`; port 0 takes a free one, and systemd the socket that systemd passes", o.listen, text{&o.listen}},
		o.drainSetting("give tasks under way `TIME` to finish once the command is to end"),
		{"trust-tenant", "believe the header Resonhost-Tenant, by which tenants have queues and shares of their own; something in front must set it", "", toggle{&o.trustTenant}},
		{"max-held", "hold `SIZE` of requests and of answers that clients have not taken, all together; beyond it they are refused", inBytes(server.DefaultMaxHeld), size[int64]{&o.maxHeld}},
	}, o.processSettings()...)
}

// ofRun are all settings of run but for the file's.
func (o *options) ofRun() []setting {
	return slices.Concat(o.runSettings(), o.hostSettings(host.DefaultQueueTimeout.String()), o.loadSettings(), o.watchSettings(), pluginSettings(&o.host.Defaults), o.logSettings(slog.LevelInfo))
}

func (o *options) drainSetting(usage string) setting {
	return setting{"drain-timeout", usage, o.drainTimeout.String(), duration{&o.drainTimeout, false}}
}

// processSettings are about the process of a host that serves.
func (o *options) processSettings() []setting {
	return []setting{{"time-slice", "have the kernel let threads run for `TIME` at a time, where it can, or none for its own way", o.timeSlice.String(), duration{&o.timeSlice, true}}}
}

func (o *options) callSettings() []setting {
	return []setting{
		{"input", "read JSON lines from `FILE`", "standard input", text{&o.input}},
		{"output", "write JSON lines to `FILE`", "standard output", text{&o.output}},
		{"stream-field", "take the key of a line's stream from its member `NAME`", "the transform's own", text{&o.streamField}},
	}
}

// all are the settings that a file can have, those of other commands included:
// one file serves all.
func (o *options) all() []setting {
	return slices.Concat(o.hostSettings(""), pluginSettings(&o.host.Defaults), o.runSettings(), o.callSettings(), o.loadSettings(), o.watchSettings(), o.logSettings(o.logLevel))
}
