package host

import (
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
	DefaultStreamBytes       = 256 << 20
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

// orDefault returns v, or the default for zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// noneBelowZero turns a negative value, which means none, into 0.
func noneBelowZero[T int | int64 | float64 | time.Duration](v T) T { return max(v, 0) }

// withDefaults returns the configuration with every default filled in.
func (c Config) withDefaults() Config {
	c.Workers = orDefault(c.Workers, runtime.GOMAXPROCS(0))
	c.TenantWeights = maps.Clone(c.TenantWeights)
	if c.Mode == ModeInline {
		c.Workers = 1
	}
	c.QueueCapacity = orDefault(c.QueueCapacity, DefaultQueueCapacity)
	c.QueueTimeout = noneBelowZero(orDefault(c.QueueTimeout, DefaultQueueTimeout))
	c.MemoryBudget = orDefault(c.MemoryBudget, DefaultMemoryBudget)
	c.MaxStreams = orDefault(c.MaxStreams, DefaultMaxStreams)
	c.MaxStreamBytes = orDefault(c.MaxStreamBytes, DefaultStreamBytes)
	c.StreamAge = noneBelowZero(orDefault(c.StreamAge, DefaultStreamAge))
	c.StateInterval = orDefault(c.StateInterval, DefaultStateInterval)
	c.Settle, c.Poll = orDefault(c.Settle, DefaultSettle), orDefault(c.Poll, DefaultPoll)
	c.CacheBytes = orDefault(c.CacheBytes, DefaultCacheBytes)
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
		Weight:            orDefault(o.Weight, p.Weight),
		MinInstances:      orDefault(o.MinInstances, p.MinInstances),
		MaxInstances:      orDefault(o.MaxInstances, p.MaxInstances),
		IdleTimeout:       orDefault(o.IdleTimeout, p.IdleTimeout),
		MaxCalls:          orDefault(o.MaxCalls, p.MaxCalls),
		MaxAge:            orDefault(o.MaxAge, p.MaxAge),
		MaxMemory:         orDefault(o.MaxMemory, p.MaxMemory),
		MemoryLimit:       orDefault(o.MemoryLimit, p.MemoryLimit),
		RunTimeout:        orDefault(o.RunTimeout, p.RunTimeout),
		InitTimeout:       orDefault(o.InitTimeout, p.InitTimeout),
		MaxInput:          orDefault(o.MaxInput, p.MaxInput),
		MaxOutput:         orDefault(o.MaxOutput, p.MaxOutput),
		MaxModule:         orDefault(o.MaxModule, p.MaxModule),
		LogBytesPerSecond: orDefault(o.LogBytesPerSecond, p.LogBytesPerSecond),
		Isolation:         orDefault(o.Isolation, p.Isolation),
		Interrupt:         orDefault(o.Interrupt, p.Interrupt),
		MaxFuel:           orDefault(o.MaxFuel, p.MaxFuel),
		BreakAfter:        orDefault(o.BreakAfter, p.BreakAfter),
		BatchTarget:       orDefault(o.BatchTarget, p.BatchTarget),
		Grants:            grants,
		Functions:         unite(p.Functions, o.Functions),
		CompileTimeout:    orDefault(o.CompileTimeout, p.CompileTimeout),
		MaxCallDepth:      orDefault(o.MaxCallDepth, p.MaxCallDepth),
		MaxStack:          orDefault(o.MaxStack, p.MaxStack),
		Engine:            orDefault(o.Engine, p.Engine),
		Verify:            orDefault(o.Verify, p.Verify),
		VerifyEvery:       orDefault(o.VerifyEvery, p.VerifyEvery),
		VerifySuspend:     o.VerifySuspend || p.VerifySuspend,
		SwapTimeout:       orDefault(o.SwapTimeout, p.SwapTimeout),
		StateRule:         orDefault(o.StateRule, p.StateRule),
		Canary:            orDefault(o.Canary, p.Canary),
		CanaryTime:        orDefault(o.CanaryTime, p.CanaryTime),
		CanaryErrors:      orDefault(o.CanaryErrors, p.CanaryErrors),
		CanarySlowdown:    orDefault(o.CanarySlowdown, p.CanarySlowdown),
	}
}

func (p PluginConfig) withDefaults(c Config) PluginConfig {
	p.Weight = orDefault(p.Weight, 1)
	p.MaxInstances = orDefault(p.MaxInstances, c.Workers)
	if c.Mode == ModeInline {
		p.MinInstances, p.MaxInstances = 1, 1
	}
	p.MinInstances = noneBelowZero(orDefault(p.MinInstances, min(DefaultMinInstances, p.MaxInstances)))
	p.IdleTimeout = noneBelowZero(orDefault(p.IdleTimeout, DefaultIdleTimeout))
	p.MaxCalls, p.MaxAge, p.MaxMemory = noneBelowZero(p.MaxCalls), noneBelowZero(p.MaxAge), noneBelowZero(p.MaxMemory)
	p.MemoryLimit = orDefault(p.MemoryLimit, DefaultMemoryLimit)
	p.InitTimeout = orDefault(p.InitTimeout, DefaultInitTimeout)
	p.MaxInput = orDefault(p.MaxInput, DefaultMaxInput)
	p.MaxOutput = orDefault(p.MaxOutput, DefaultMaxOutput)
	p.MaxModule = orDefault(p.MaxModule, DefaultMaxModule)
	p.LogBytesPerSecond = orDefault(p.LogBytesPerSecond, DefaultLogBytesPerSecond)
	p.Isolation = orDefault(p.Isolation, IsolationPristine)
	p.Interrupt = orDefault(p.Interrupt, InterruptMetered)
	p.MaxFuel = noneBelowZero(p.MaxFuel)
	p.BreakAfter = noneBelowZero(orDefault(p.BreakAfter, DefaultBreakAfter))
	p.BatchTarget = noneBelowZero(orDefault(p.BatchTarget, DefaultBatchTarget))
	p.CompileTimeout = orDefault(p.CompileTimeout, DefaultCompileTimeout)
	p.BinaryLimits = defaultLimits.overriddenBy(p.BinaryLimits)
	p.MaxCallDepth = orDefault(p.MaxCallDepth, DefaultMaxCallDepth)
	p.MaxStack = orDefault(p.MaxStack, DefaultMaxStack)
	p.Engine = orDefault(p.Engine, EngineCompiler)
	p.Verify = orDefault(p.Verify, VerifySelfTests)
	p.VerifyEvery = orDefault(p.VerifyEvery, DefaultVerifyEvery)
	p.SwapTimeout = orDefault(p.SwapTimeout, DefaultSwapTimeout)
	p.StateRule = orDefault(p.StateRule, StateRefuse)
	p.Canary = noneBelowZero(p.Canary)
	p.CanaryTime = orDefault(p.CanaryTime, DefaultCanaryTime)
	p.CanaryErrors = noneBelowZero(orDefault(p.CanaryErrors, DefaultCanaryErrors))
	p.CanarySlowdown = orDefault(p.CanarySlowdown, DefaultCanarySlowdown)
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
		MaxFunctions:    orDefault(o.MaxFunctions, l.MaxFunctions),
		MaxGlobals:      orDefault(o.MaxGlobals, l.MaxGlobals),
		MaxExports:      orDefault(o.MaxExports, l.MaxExports),
		MaxTable:        orDefault(o.MaxTable, l.MaxTable),
		MaxTypes:        orDefault(o.MaxTypes, l.MaxTypes),
		MaxImports:      orDefault(o.MaxImports, l.MaxImports),
		MaxTables:       orDefault(o.MaxTables, l.MaxTables),
		MaxSegments:     orDefault(o.MaxSegments, l.MaxSegments),
		MaxElements:     orDefault(o.MaxElements, l.MaxElements),
		MaxFunctionSize: orDefault(o.MaxFunctionSize, l.MaxFunctionSize),
		MaxLocals:       orDefault(o.MaxLocals, l.MaxLocals),
		MaxArity:        orDefault(o.MaxArity, l.MaxArity),
		MaxJumps:        orDefault(o.MaxJumps, l.MaxJumps),
		MaxFlow:         orDefault(o.MaxFlow, l.MaxFlow),
	}
}
