package host

import (
	"cmp"
	"log/slog"
	"maps"
	"runtime"
	"time"
)

// Defaults and bounds of Config and PluginConfig.
const (
	DefaultQueueCapacity     = 1024
	DefaultQueueTimeout      = 30 * time.Second
	DefaultMaxStreams        = 10_000
	DefaultMaxStreamBytes    = 256 << 20
	DefaultStreamAge         = time.Hour
	DefaultStateInterval     = 10 * time.Second
	DefaultMinInstances      = 1
	DefaultIdleTimeout       = time.Minute
	DefaultMemoryLimit       = 64 << 20
	DefaultMemoryBudget      = 4 << 30
	DefaultRunTimeout        = 5 * time.Second
	DefaultInitTimeout       = 10 * time.Second
	DefaultMaxInput          = 8 << 20
	DefaultMaxOutput         = 8 << 20
	DefaultLogBytesPerSecond = 64 << 10
	DefaultMaxModule         = 64 << 20
	DefaultCompileTimeout    = time.Minute
	DefaultMaxFunctions      = 100_000
	DefaultMaxGlobals        = 1_000
	DefaultMaxExports        = 1_000
	DefaultMaxTable          = 100_000
	DefaultMaxTypes          = 20_000
	DefaultMaxImports        = 1_000
	DefaultMaxTables         = 10
	DefaultMaxSegments       = 200_000
	DefaultMaxElements       = 1_000_000
	DefaultMaxFunctionSize   = 4 << 20
	DefaultMaxLocals         = 10_000
	DefaultMaxArity          = 1_000
	DefaultMaxJumps          = 30_000
	DefaultMaxFlow           = 5_000_000
	DefaultMaxCallDepth      = 65_536
	DefaultMaxStack          = 16 << 20
	DefaultVerifyEvery       = 1000
	DefaultBreakAfter        = 20
	DefaultBatchTarget       = 250 * time.Microsecond
	DefaultSettle            = 10 * time.Millisecond
	DefaultPoll              = 2 * time.Second
	DefaultCacheBytes        = 1 << 30
	DefaultSwapTimeout       = 30 * time.Second
	DefaultCanaryTime        = time.Minute
	DefaultCanaryErrors      = 0.01
	DefaultCanarySlowdown    = 2

	// MaxWorkersPerCPU bounds Config.Workers: more workers than this for each
	// unit of GOMAXPROCS only add memory.
	MaxWorkersPerCPU = 8
	// MaxTenant is the longest name of a tenant, and MaxStreamKey the longest key of a
	// stream, in bytes.
	MaxTenant    = 256
	MaxStreamKey = 256
	// MaxWeight is the largest share of a plugin or tenant.
	MaxWeight = 1000
	// MaxMemoryLimit bounds PluginConfig.MemoryLimit. WebAssembly can address twice as much, but there
	// wazero's compiler is not trusted with addresses; see docs/rationale/sandbox.md.
	MaxMemoryLimit = 2 << 30
	// MaxFrameBytes bounds MaxInput and MaxOutput.
	MaxFrameBytes = 256 << 20
)

// noneBelowZero turns a negative value, which means none, into 0.
func noneBelowZero[T int | int64 | float64 | time.Duration](v T) T { return max(v, 0) }

// withDefaults returns the configuration with every default filled in.
func (c Config) withDefaults() Config {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.TenantWeights = maps.Clone(c.TenantWeights)
	if c.Mode == ModeInline {
		c.Workers = 1
	}
	c.QueueCapacity = cmp.Or(c.QueueCapacity, DefaultQueueCapacity)
	c.QueueTimeout = noneBelowZero(cmp.Or(c.QueueTimeout, DefaultQueueTimeout))
	c.MemoryBudget = cmp.Or(c.MemoryBudget, DefaultMemoryBudget)
	c.MaxStreams = cmp.Or(c.MaxStreams, DefaultMaxStreams)
	c.MaxStreamBytes = cmp.Or(c.MaxStreamBytes, DefaultMaxStreamBytes)
	c.StreamAge = noneBelowZero(cmp.Or(c.StreamAge, DefaultStreamAge))
	c.StateInterval = cmp.Or(c.StateInterval, DefaultStateInterval)
	c.Settle, c.Poll = cmp.Or(c.Settle, DefaultSettle), cmp.Or(c.Poll, DefaultPoll)
	c.CacheBytes = cmp.Or(c.CacheBytes, DefaultCacheBytes)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// pluginConfig returns how the plugin of that source's name is run.
func (c Config) pluginConfig(source string) PluginConfig {
	return c.Defaults.overriddenBy(c.Overrides[source]).withDefaults(c)
}

// reserve is how many urgent tasks run beyond Workers; one native plugin must not be
// called by two.
func (c Config) reserve() int {
	if c.Mode == ModeInline {
		return 0
	}
	return 1
}

// overriddenBy returns p with the fields of o that are not zero.
func (p PluginConfig) overriddenBy(o PluginConfig) PluginConfig {
	grants := p.Grants
	if o.Grants != nil {
		grants = o.Grants
	}
	return PluginConfig{
		BinaryLimits:      p.BinaryLimits.overriddenBy(o.BinaryLimits),
		Weight:            cmp.Or(o.Weight, p.Weight),
		MinInstances:      cmp.Or(o.MinInstances, p.MinInstances),
		MaxInstances:      cmp.Or(o.MaxInstances, p.MaxInstances),
		IdleTimeout:       cmp.Or(o.IdleTimeout, p.IdleTimeout),
		MaxCalls:          cmp.Or(o.MaxCalls, p.MaxCalls),
		MaxAge:            cmp.Or(o.MaxAge, p.MaxAge),
		MaxMemory:         cmp.Or(o.MaxMemory, p.MaxMemory),
		MemoryLimit:       cmp.Or(o.MemoryLimit, p.MemoryLimit),
		RunTimeout:        cmp.Or(o.RunTimeout, p.RunTimeout),
		InitTimeout:       cmp.Or(o.InitTimeout, p.InitTimeout),
		MaxInput:          cmp.Or(o.MaxInput, p.MaxInput),
		MaxOutput:         cmp.Or(o.MaxOutput, p.MaxOutput),
		MaxModule:         cmp.Or(o.MaxModule, p.MaxModule),
		LogBytesPerSecond: cmp.Or(o.LogBytesPerSecond, p.LogBytesPerSecond),
		Isolation:         cmp.Or(o.Isolation, p.Isolation),
		Interrupt:         cmp.Or(o.Interrupt, p.Interrupt),
		MaxFuel:           cmp.Or(o.MaxFuel, p.MaxFuel),
		BreakAfter:        cmp.Or(o.BreakAfter, p.BreakAfter),
		BatchTarget:       cmp.Or(o.BatchTarget, p.BatchTarget),
		Grants:            grants,
		Functions:         unite(p.Functions, o.Functions),
		CompileTimeout:    cmp.Or(o.CompileTimeout, p.CompileTimeout),
		MaxCallDepth:      cmp.Or(o.MaxCallDepth, p.MaxCallDepth),
		MaxStack:          cmp.Or(o.MaxStack, p.MaxStack),
		Engine:            cmp.Or(o.Engine, p.Engine),
		Verify:            cmp.Or(o.Verify, p.Verify),
		VerifyEvery:       cmp.Or(o.VerifyEvery, p.VerifyEvery),
		VerifySuspend:     o.VerifySuspend || p.VerifySuspend,
		SwapTimeout:       cmp.Or(o.SwapTimeout, p.SwapTimeout),
		StateRule:         cmp.Or(o.StateRule, p.StateRule),
		Canary:            cmp.Or(o.Canary, p.Canary),
		CanaryTime:        cmp.Or(o.CanaryTime, p.CanaryTime),
		CanaryErrors:      cmp.Or(o.CanaryErrors, p.CanaryErrors),
		CanarySlowdown:    cmp.Or(o.CanarySlowdown, p.CanarySlowdown),
	}
}

func (p PluginConfig) withDefaults(c Config) PluginConfig {
	p.Weight = cmp.Or(p.Weight, 1)
	p.MaxInstances = cmp.Or(p.MaxInstances, c.Workers)
	if c.Mode == ModeInline {
		p.MinInstances, p.MaxInstances = 1, 1
	}
	p.MinInstances = noneBelowZero(cmp.Or(p.MinInstances, min(DefaultMinInstances, p.MaxInstances)))
	p.IdleTimeout = noneBelowZero(cmp.Or(p.IdleTimeout, DefaultIdleTimeout))
	p.MaxCalls, p.MaxAge, p.MaxMemory = noneBelowZero(p.MaxCalls), noneBelowZero(p.MaxAge), noneBelowZero(p.MaxMemory)
	p.MemoryLimit = cmp.Or(p.MemoryLimit, DefaultMemoryLimit)
	p.InitTimeout = cmp.Or(p.InitTimeout, DefaultInitTimeout)
	p.MaxInput = cmp.Or(p.MaxInput, DefaultMaxInput)
	p.MaxOutput = cmp.Or(p.MaxOutput, DefaultMaxOutput)
	p.MaxModule = cmp.Or(p.MaxModule, DefaultMaxModule)
	p.LogBytesPerSecond = cmp.Or(p.LogBytesPerSecond, DefaultLogBytesPerSecond)
	p.Isolation = cmp.Or(p.Isolation, IsolationPristine)
	p.Interrupt = cmp.Or(p.Interrupt, InterruptMetered)
	p.MaxFuel = noneBelowZero(p.MaxFuel)
	p.BreakAfter = noneBelowZero(cmp.Or(p.BreakAfter, DefaultBreakAfter))
	p.BatchTarget = noneBelowZero(cmp.Or(p.BatchTarget, DefaultBatchTarget))
	p.CompileTimeout = cmp.Or(p.CompileTimeout, DefaultCompileTimeout)
	p.BinaryLimits = defaultLimits.overriddenBy(p.BinaryLimits)
	p.MaxCallDepth = cmp.Or(p.MaxCallDepth, DefaultMaxCallDepth)
	p.MaxStack = cmp.Or(p.MaxStack, DefaultMaxStack)
	p.Engine = cmp.Or(p.Engine, EngineCompiler)
	p.Verify = cmp.Or(p.Verify, VerifySelfTests)
	p.VerifyEvery = cmp.Or(p.VerifyEvery, DefaultVerifyEvery)
	p.SwapTimeout = cmp.Or(p.SwapTimeout, DefaultSwapTimeout)
	p.StateRule = cmp.Or(p.StateRule, StateRefuse)
	p.Canary = noneBelowZero(p.Canary)
	p.CanaryTime = cmp.Or(p.CanaryTime, DefaultCanaryTime)
	p.CanaryErrors = noneBelowZero(cmp.Or(p.CanaryErrors, DefaultCanaryErrors))
	p.CanarySlowdown = cmp.Or(p.CanarySlowdown, DefaultCanarySlowdown)
	return p
}

var defaultLimits = BinaryLimits{
	MaxFunctions:    DefaultMaxFunctions,
	MaxGlobals:      DefaultMaxGlobals,
	MaxExports:      DefaultMaxExports,
	MaxTable:        DefaultMaxTable,
	MaxTypes:        DefaultMaxTypes,
	MaxImports:      DefaultMaxImports,
	MaxTables:       DefaultMaxTables,
	MaxSegments:     DefaultMaxSegments,
	MaxElements:     DefaultMaxElements,
	MaxFunctionSize: DefaultMaxFunctionSize,
	MaxLocals:       DefaultMaxLocals,
	MaxArity:        DefaultMaxArity,
	MaxJumps:        DefaultMaxJumps,
	MaxFlow:         DefaultMaxFlow,
}

// overriddenBy returns l with the fields of o that are not zero.
func (l BinaryLimits) overriddenBy(o BinaryLimits) BinaryLimits {
	return BinaryLimits{
		MaxFunctions:    cmp.Or(o.MaxFunctions, l.MaxFunctions),
		MaxGlobals:      cmp.Or(o.MaxGlobals, l.MaxGlobals),
		MaxExports:      cmp.Or(o.MaxExports, l.MaxExports),
		MaxTable:        cmp.Or(o.MaxTable, l.MaxTable),
		MaxTypes:        cmp.Or(o.MaxTypes, l.MaxTypes),
		MaxImports:      cmp.Or(o.MaxImports, l.MaxImports),
		MaxTables:       cmp.Or(o.MaxTables, l.MaxTables),
		MaxSegments:     cmp.Or(o.MaxSegments, l.MaxSegments),
		MaxElements:     cmp.Or(o.MaxElements, l.MaxElements),
		MaxFunctionSize: cmp.Or(o.MaxFunctionSize, l.MaxFunctionSize),
		MaxLocals:       cmp.Or(o.MaxLocals, l.MaxLocals),
		MaxArity:        cmp.Or(o.MaxArity, l.MaxArity),
		MaxJumps:        cmp.Or(o.MaxJumps, l.MaxJumps),
		MaxFlow:         cmp.Or(o.MaxFlow, l.MaxFlow),
	}
}
