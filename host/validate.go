package host

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
)

// validate lists every fault of a configuration with its defaults.
func (c Config) validate() error {
	var errs []error
	check := func(ok bool, field, rule string, values ...any) {
		if !ok {
			errs = append(errs, &abi.FieldError{Field: field, Rule: fmt.Sprintf(rule, values...)})
		}
	}
	check(c.Mode == ModeSandbox || c.Mode == ModeInline, "Mode", "must be ModeSandbox or ModeInline")
	check(c.Mode != ModeInline || len(c.Native) > 0, "Native", "must have a plugin in ModeInline")
	check(c.Mode != ModeSandbox || c.PluginDir != "" || len(c.Plugins) > 0 || c.StartEmpty, "PluginDir", "must be set, or Plugins, in ModeSandbox")
	limit := MaxWorkersPerCPU * runtime.GOMAXPROCS(0)
	check(c.Workers >= 1 && c.Workers <= limit, "Workers", "must be between 1 and %d", limit)
	if c.Workers < 1 {
		c.Workers = limit // or what depends on it would be faults as well
	}
	check(c.QueueCapacity >= 1, "QueueCapacity", "must be at least 1")
	check(c.QueuePolicy >= QueueBlock && c.QueuePolicy <= QueueDropOldest, "QueuePolicy", "must be QueueBlock, QueueReject or QueueDropOldest")
	for tenant, w := range c.TenantWeights {
		check(w >= 1 && w <= MaxWeight && len(tenant) <= MaxTenant, fmt.Sprintf("TenantWeights[%q]", tenant), "must be between 1 and %d, of a name of at most %d bytes", MaxWeight, MaxTenant)
	}
	check(!c.Watch || c.PluginDir != "" && c.Mode == ModeSandbox, "Watch", "needs PluginDir, in ModeSandbox")
	check(c.Settle > 0 && c.Settle <= time.Minute, "Settle", "must be positive, and at most 1m")
	check(c.Poll >= 10*time.Millisecond && c.Poll <= time.Hour, "Poll", "must be between 10ms and 1h")
	check(c.CacheBytes > 0, "CacheBytes", "must be positive")
	check(c.MemoryBudget >= 64<<10, "MemoryBudget", "must be at least 64 KiB")
	check(c.MaxStreams >= 1, "MaxStreams", "must be at least 1")
	check(c.MaxStreamBytes >= 64<<10, "MaxStreamBytes", "must be at least 64 KiB")
	check(c.StateInterval >= 100*time.Millisecond && c.StateInterval <= time.Hour, "StateInterval", "must be between 100ms and 1h")
	seen := make(map[string]bool)
	for i, s := range c.Plugins {
		field := fmt.Sprintf("Plugins[%d].Name", i)
		check(s.Name != "", field, "must not be empty")
		check(!seen[s.Name], field, "%q is there twice", s.Name)
		seen[s.Name] = true
	}
	c.Defaults.validate(c, "Defaults", check)
	for name, o := range c.Overrides {
		c.Defaults.overriddenBy(o).validate(c, fmt.Sprintf("Overrides[%q]", name), check)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (p PluginConfig) validate(c Config, path string, check func(ok bool, field, rule string, values ...any)) {
	p = p.withDefaults(c)
	check(p.MaxInstances >= 1 && p.MaxInstances <= c.Workers, path+".MaxInstances", "must be between 1 and the number of workers, %d", c.Workers)
	check(p.MinInstances <= p.MaxInstances, path+".MinInstances", "must be at most MaxInstances, %d", p.MaxInstances)
	check(p.Weight >= 1 && p.Weight <= MaxWeight, path+".Weight", "must be between 1 and %d", MaxWeight)
	check(p.MemoryLimit >= 64<<10 && p.MemoryLimit <= MaxMemoryLimit, path+".MemoryLimit", "must be between 64 KiB and 2 GiB")
	check(p.RunTimeout >= 0, path+".RunTimeout", "must not be negative")
	check(p.InitTimeout > 0, path+".InitTimeout", "must be positive")
	check(p.MaxInput >= 1<<10 && p.MaxInput <= MaxFrameBytes, path+".MaxInput", "must be between 1 KiB and 256 MiB")
	check(p.MaxOutput >= 1<<10 && p.MaxOutput <= MaxFrameBytes, path+".MaxOutput", "must be between 1 KiB and 256 MiB")
	check(p.MaxModule >= 1, path+".MaxModule", "must be positive")
	check(p.LogBytesPerSecond >= 1, path+".LogBytesPerSecond", "must be positive")
	check(p.Isolation >= IsolationPristine && p.Isolation <= IsolationFresh, path+".Isolation", "must be IsolationPristine, IsolationFrame, IsolationShared or IsolationFresh")
	check(p.Interrupt >= InterruptMetered && p.Interrupt <= InterruptOff, path+".Interrupt", "must be InterruptMetered, InterruptRuntime or InterruptOff")
	check(p.MaxFuel <= 1<<56, path+".MaxFuel", "must be at most 2^56")
	check(p.MaxFuel == 0 || p.Interrupt == InterruptMetered, path+".MaxFuel", "needs metered interrupts, which count fuel")
	for i, g := range p.Grants {
		check(g == GrantClock || g == GrantRandom || g == GrantNetwork, fmt.Sprintf("%s.Grants[%d]", path, i), "must be GrantClock, GrantRandom or GrantNetwork")
	}
	check(c.Fetch != nil || c.Mode == ModeInline || !slices.Contains(p.Grants, GrantNetwork), path+".Grants", "has GrantNetwork, which is of no use without Config.Fetch")
	validateFunctions(p.Functions, path, check)
	check(p.CompileTimeout > 0, path+".CompileTimeout", "must be positive")
	p.BinaryLimits.validate(path, check)
	check(p.MaxStack >= 64<<10 && p.MaxStack <= 80<<20, path+".MaxStack", "must be between 64 KiB and 80 MiB")
	check(p.MaxCallDepth >= 1 && p.MaxCallDepth <= 1_000_000, path+".MaxCallDepth", "must be between 1 and 1,000,000")
	check(p.Verify >= VerifySelfTests && p.Verify <= VerifySample, path+".Verify", "must be VerifySelfTests, VerifyOff or VerifySample")
	check(p.VerifyEvery >= 1, path+".VerifyEvery", "must be positive")
	check(p.SwapTimeout > 0, path+".SwapTimeout", "must be positive")
	check(p.StateRule == StateRefuse || p.StateRule == StateReset, path+".StateRule", "must be StateRefuse or StateReset")
	check(p.Canary >= 0 && p.Canary <= 1, path+".Canary", "must be at most 1")
	check(p.CanaryTime > 0, path+".CanaryTime", "must be positive")
	check(p.CanaryErrors >= 0 && p.CanaryErrors <= 1, path+".CanaryErrors", "must be at most 1")
	check(p.CanarySlowdown > 1, path+".CanarySlowdown", "must be more than 1")
	check(p.Engine == EngineCompiler || p.Engine == EngineInterpreter, path+".Engine", "must be EngineCompiler or EngineInterpreter")
}

func (l BinaryLimits) validate(path string, check func(ok bool, field, rule string, values ...any)) {
	check(l.MaxFunctions >= 1, path+".MaxFunctions", "must be positive")
	check(l.MaxGlobals >= 1, path+".MaxGlobals", "must be positive")
	check(l.MaxExports >= 1, path+".MaxExports", "must be positive")
	check(l.MaxTable >= 1, path+".MaxTable", "must be positive")
	check(l.MaxTypes >= 1, path+".MaxTypes", "must be positive")
	check(l.MaxImports >= 1, path+".MaxImports", "must be positive")
	check(l.MaxTables >= 1, path+".MaxTables", "must be positive")
	check(l.MaxSegments >= 1, path+".MaxSegments", "must be positive")
	check(l.MaxElements >= 1, path+".MaxElements", "must be positive")
	check(l.MaxFunctionSize >= 1, path+".MaxFunctionSize", "must be positive")
	check(l.MaxLocals >= 1 && l.MaxLocals <= 1_000_000, path+".MaxLocals", "must be between 1 and 1,000,000")
	check(l.MaxArity >= 1, path+".MaxArity", "must be positive")
	check(l.MaxJumps >= 1, path+".MaxJumps", "must be positive")
	check(l.MaxFlow >= 1, path+".MaxFlow", "must be positive")
}
