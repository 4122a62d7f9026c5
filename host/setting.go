package host

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/value"
)

// Setting is one field of a [PluginConfig] that a text can set, as a flag or a file has it.
type Setting struct {
	// Name is in lower case, with hyphens between words. In files it has underscores instead,
	// see [Setting.Key].
	Name string
	// Usage says what the setting does, with the placeholder of its value in backquotes.
	Usage string
	// Default is what holds without it, in words; "" for false.
	Default string
	// Stricter says which values are stricter than another, in words. A companion file may set only
	// values that are stricter than the operator's.
	Stricter string
	// Value is the field. It may be a flag of package flag.
	Value SettingValue

	// rank orders values: of two the stricter has the smaller ranks. Where neither has, neither is
	// stricter. The PluginConfig that it looks at has its defaults filled in.
	rank func() []float64
}

// SettingValue is where a [Setting] is kept.
type SettingValue interface {
	// Set takes a text. Its error is a rule: it follows the setting's name.
	Set(text string) error
	// String returns what was set, "" if nothing was.
	String() string
}

// Key is the setting's name in files: with underscores.
func (s *Setting) Key() string { return strings.ReplaceAll(s.Name, "-", "_") }

// PluginSettings returns the settings of c: all of its fields that a text can set, which are all but
// BreakAfter and Functions.
func PluginSettings(c *PluginConfig) []Setting {
	return slices.Concat(settingsOfInstances(c), settingsOfTasks(c), settingsOfBinaries(&c.BinaryLimits), settingsOfVersions(c))
}

// What stricter values are, in words.
const (
	less    = "less"
	more    = "more"
	longer  = "longer"
	shorter = "shorter"
)

func settingsOfInstances(c *PluginConfig) []Setting {
	return []Setting{
		{"min-instances", "keep `N` instances of a plugin ready, or 0", strconv.Itoa(DefaultMinInstances), less, value.CountOrNone(&c.MinInstances), amount(&c.MinInstances)},
		{"max-instances", "make at most `N` instances of a plugin", "the number of workers", less, value.Count(&c.MaxInstances), amount(&c.MaxInstances)},
		{"weight", "give each of a plugin's transforms a share of `N` in the workers' time while others wait", "1", less, value.Count(&c.Weight), amount(&c.Weight)},
		{"idle-timeout", "free an instance that lies idle for `TIME`, or none to keep it", DefaultIdleTimeout.String(), shorter, value.DurationOrNone(&c.IdleTimeout), orNone(&c.IdleTimeout)},
		{"max-calls", "replace an instance after `N` calls", "no limit", less, value.Count(&c.MaxCalls), orNone(&c.MaxCalls)},
		{"max-age", "replace an instance after `TIME`", "no limit", shorter, value.Duration(&c.MaxAge), orNone(&c.MaxAge)},
		{"max-memory", "replace an instance whose memory has grown to `SIZE`", "no limit", less, value.Size(&c.MaxMemory), orNone(&c.MaxMemory)},
		{"memory-limit", "let the memory of an instance grow to `SIZE` at most", value.Bytes(DefaultMemoryLimit), less, value.Size(&c.MemoryLimit), amount(&c.MemoryLimit)},
		{"run-timeout", "let a task run for `TIME` at most", "the plugin's own, else " + DefaultRunTimeout.String(), shorter, value.Duration(&c.RunTimeout), runTimeout(c)},
		{"init-timeout", "let the making of an instance take `TIME` at most", DefaultInitTimeout.String(), shorter, value.Duration(&c.InitTimeout), amount(&c.InitTimeout)},
		{"max-input", "pass inputs of `SIZE` at most", value.Bytes(DefaultMaxInput), less, value.Size(&c.MaxInput), amount(&c.MaxInput)},
		{"max-output", "take outputs of `SIZE` at most", value.Bytes(DefaultMaxOutput), less, value.Size(&c.MaxOutput), amount(&c.MaxOutput)},
		{"max-module", "load plugins of `SIZE` at most", value.Bytes(DefaultMaxModule), less, value.Size(&c.MaxModule), amount(&c.MaxModule)},
		{"log-bytes-per-second", "let a plugin log `SIZE` a second", value.Bytes(DefaultLogBytesPerSecond), less, value.Size(&c.LogBytesPerSecond), amount(&c.LogBytesPerSecond)},
	}
}

func settingsOfTasks(c *PluginConfig) []Setting {
	return []Setting{
		{
			"isolation", "have a task start with `WHAT` pristine, frame, shared or fresh instances", "pristine", "fresh, pristine, frame, shared: the earlier",
			value.Choice(&c.Isolation, []string{"pristine", "frame", "shared", "fresh"}, []Isolation{IsolationPristine, IsolationFrame, IsolationShared, IsolationFresh}),
			place(&c.Isolation, IsolationFresh, IsolationPristine, IsolationFrame, IsolationShared),
		},
		{
			"interrupt", "stop a guest that does not return by `MEANS` metered, runtime, or off for trusted plugins", "metered", "metered, runtime, off: the earlier",
			value.Choice(&c.Interrupt, []string{"metered", "runtime", "off"}, []Interrupt{InterruptMetered, InterruptRuntime, InterruptOff}),
			place(&c.Interrupt, InterruptMetered, InterruptRuntime, InterruptOff),
		},
		{"max-fuel", "let a task burn `N` units of fuel at most, each about an instruction, or none for no limit", "none", less, value.Units(&c.MaxFuel), orNone(&c.MaxFuel)},
		{"batch-target", "go on with waiting tasks of a transform for `TIME`, or none for one at a time", DefaultBatchTarget.String(), shorter, value.DurationOrNone(&c.BatchTarget), amount(&c.BatchTarget)},
		{"grant", "grant plugins the system's clock, its randomness, or HTTP requests to their allowed hosts: `LIST` has clock, random and network, with commas, or is none", "none", "fewer", grants{&c.Grants}, granted(&c.Grants)},
		{"compile-timeout", "let the compiling of a plugin take `TIME` at most", DefaultCompileTimeout.String(), shorter, value.Duration(&c.CompileTimeout), amount(&c.CompileTimeout)},
		{"max-call-depth", "let a plugin's calls nest `N` deep at most, of those that can recurse", strconv.Itoa(DefaultMaxCallDepth), less, value.Count(&c.MaxCallDepth), amount(&c.MaxCallDepth)},
		{"max-stack", "let a plugin's calls take `SIZE` of native stack at most, which counts in the memory budget", value.Bytes(DefaultMaxStack), less, value.Size(&c.MaxStack), amount(&c.MaxStack)},
		{
			"engine", "run guests with `ENGINE` compiler, or interpreter: slow, with at most 2000 nested calls of any kind", "compiler", "interpreter",
			value.Choice(&c.Engine, []string{"compiler", "interpreter"}, []Engine{EngineCompiler, EngineInterpreter}),
			place(&c.Engine, EngineInterpreter, EngineCompiler),
		},
	}
}

func settingsOfBinaries(l *BinaryLimits) []Setting {
	all := []Setting{}
	for _, s := range []struct {
		name, usage string
		def         int
		p           *int
	}{
		{"max-functions", "load plugins of `N` functions at most", DefaultMaxFunctions, &l.MaxFunctions},
		{"max-globals", "load plugins of `N` globals at most", DefaultMaxGlobals, &l.MaxGlobals},
		{"max-exports", "load plugins of `N` exports at most", DefaultMaxExports, &l.MaxExports},
		{"max-table", "let a plugin's tables have `N` entries at most", DefaultMaxTable, &l.MaxTable},
		{"max-types", "load plugins of `N` types at most", DefaultMaxTypes, &l.MaxTypes},
		{"max-imports", "load plugins of `N` imports at most", DefaultMaxImports, &l.MaxImports},
		{"max-tables", "load plugins of `N` tables at most", DefaultMaxTables, &l.MaxTables},
		{"max-segments", "load plugins of `N` segments of data and elements at most", DefaultMaxSegments, &l.MaxSegments},
		{"max-elements", "load plugins whose segments have `N` elements at most", DefaultMaxElements, &l.MaxElements},
		{"max-arity", "load plugins whose types have `N` parameters and results at most", DefaultMaxArity, &l.MaxArity},
		{"max-locals", "load plugins whose functions have `N` variables at most", DefaultMaxLocals, &l.MaxLocals},
		{"max-jumps", "load plugins whose functions have at most `N` jumps; the time to compile grows with its square", DefaultMaxJumps, &l.MaxJumps},
		{"max-flow", "load plugins whose functions have at most `N` jumps times variables; the time to compile grows with it", DefaultMaxFlow, &l.MaxFlow},
	} {
		all = append(all, Setting{s.name, s.usage, strconv.Itoa(s.def), less, value.Count(s.p), amount(s.p)})
	}
	return append(all, Setting{"max-function-size", "load plugins whose functions have `SIZE` at most", value.Bytes(DefaultMaxFunctionSize), less, value.Size(&l.MaxFunctionSize), amount(&l.MaxFunctionSize)})
}

// settingsOfVersions are about how versions come and follow one another.
func settingsOfVersions(c *PluginConfig) []Setting {
	return []Setting{
		{"swap-timeout", "give tasks of a version that was replaced `TIME` to end; then they begin anew in the new version", DefaultSwapTimeout.String(), shorter, value.Duration(&c.SwapTimeout), amount(&c.SwapTimeout)},
		{
			"state-rule", "`DO` refuse a version that cannot read its streams' states, or reset them", "refuse", "refuse",
			value.Choice(&c.StateRule, []string{"refuse", "reset"}, []StateRule{StateRefuse, StateReset}), place(&c.StateRule, StateRefuse, StateReset),
		},
		{"canary", "have a new version do a `SHARE` of the tasks first, such as 10%, or none", "none", less, value.Share(&c.Canary), orNone(&c.Canary)},
		{"canary-time", "promote a canary after `TIME`", DefaultCanaryTime.String(), longer, value.Duration(&c.CanaryTime), func() []float64 { return []float64{-float64(c.CanaryTime)} }},
		{"canary-errors", "roll a canary back if it fails a larger `SHARE` of its tasks than this, counting those that the other version then does", "1%", less, value.Share(&c.CanaryErrors), amount(&c.CanaryErrors)},
		{"canary-slowdown", "roll a canary back if its tasks take `N` times as long", strconv.Itoa(DefaultCanarySlowdown), less, value.Factor(&c.CanarySlowdown), amount(&c.CanarySlowdown)},
		{"verify", "run once more in an interpreter, to compare, `WHAT` self-tests, sample:N for one in N tasks too, or off", "self-tests", "self-tests in place of off", verify{c}, verified(c)},
		{"verify-suspend", "pause a plugin at the first task that the interpreter answers differently, or roll its canary back", "", "true", value.Toggle{P: &c.VerifySuspend}, place(&c.VerifySuspend, true, false)},
	}
}

// amount ranks a number by itself.
func amount[T int | int64 | float64 | time.Duration](p *T) func() []float64 {
	return func() []float64 { return []float64{float64(*p)} }
}

// orNone ranks a number of which 0 is no limit.
func orNone[T int | int64 | float64 | time.Duration](p *T) func() []float64 {
	return func() []float64 {
		if *p == 0 {
			return []float64{math.Inf(1)}
		}
		return []float64{float64(*p)}
	}
}

// place ranks a word by its place among all.
func place[T comparable](p *T, all ...T) func() []float64 {
	return func() []float64 { return []float64{float64(slices.Index(all, *p))} }
}

// runTimeout ranks the time of a task. Without one the plugin's own holds, as long as manifests may
// have it.
func runTimeout(c *PluginConfig) func() []float64 {
	return func() []float64 { return []float64{float64(cmp.Or(c.RunTimeout, manifest.MaxTimeout))} }
}

// granted ranks each grant by itself.
func granted(p *[]Grant) func() []float64 {
	return func() (ranks []float64) {
		for _, g := range []Grant{GrantClock, GrantRandom, GrantNetwork} {
			rank := 0.0
			if slices.Contains(*p, g) {
				rank = 1
			}
			ranks = append(ranks, rank)
		}
		return ranks
	}
}

// verified ranks by how much is checked, and by the time beside the workers that this takes.
func verified(c *PluginConfig) func() []float64 {
	return func() []float64 {
		switch c.Verify {
		case VerifyOff:
			return []float64{2, 0}
		case VerifySample:
			every := 1 / float64(c.VerifyEvery)
			return []float64{-every, every}
		}
		return []float64{1, 0}
	}
}

// verify is Verify with VerifyEvery.
type verify struct{ c *PluginConfig }

func (v verify) String() string {
	switch v.c.Verify {
	case VerifyOff:
		return "off"
	case VerifySelfTests:
		return "self-tests"
	case VerifySample:
		return fmt.Sprintf("sample:%d", cmp.Or(v.c.VerifyEvery, DefaultVerifyEvery))
	}
	return ""
}

func (v verify) Set(s string) error {
	every, sample := strings.CutPrefix(s, "sample:")
	n, err := strconv.Atoi(every)
	switch {
	case s == "off":
		v.c.Verify = VerifyOff
	case s == "self-tests":
		v.c.Verify = VerifySelfTests
	case sample && err == nil && n >= 1 && n <= math.MaxInt32:
		v.c.Verify, v.c.VerifyEvery = VerifySample, n
	default:
		return errors.New("must be off, self-tests, or sample:N with a whole number from 1")
	}
	return nil
}

// Words are what completion offers.
func (verify) Words() []string { return []string{"off", "self-tests"} }
func (grants) Words() []string { return []string{"clock", "random", "network", "none"} }

// grants are what a plugin is granted, separated by commas, or none.
type grants struct{ p *[]Grant }

func (v grants) String() string {
	switch {
	case *v.p == nil:
		return ""
	case len(*v.p) == 0:
		return "none"
	}
	words := make([]string, len(*v.p))
	for i, g := range *v.p {
		words[i] = string(g)
	}
	return strings.Join(words, ",")
}

func (v grants) Set(s string) error {
	list := []Grant{} // not nil, which stands for the default
	for word := range strings.SplitSeq(s, ",") {
		switch g := Grant(strings.TrimSpace(word)); {
		case g == GrantClock || g == GrantRandom || g == GrantNetwork:
			list = append(list, g)
		case s != "none":
			return errors.New(`must be a list of clock, random, network, or "none"`)
		}
	}
	*v.p = list
	return nil
}
