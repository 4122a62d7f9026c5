package module

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/store"
)

// CompileOptions are all that decides, beside its bytes, what a binary is rewritten to, and what
// that is compiled to, by this program on this processor. They are plain values, so that another
// process can be given them.
type CompileOptions struct {
	// The fields are those of [Options].
	Binary                           BinaryLimits
	Interrupt                        Interrupt
	CallDepth                        int32
	KeepTables, Unguarded, Interpret bool
}

func (o *Options) compiling() CompileOptions {
	return CompileOptions{o.Binary, o.Interrupt, o.CallDepth, o.KeepTables, o.Unguarded, o.Interpret}
}

// guest is how a guest's binary is rewritten, so that it can be stopped and put back.
func (o CompileOptions) guest() meter.Options {
	opts := o.library()
	opts.Meter, opts.Reloop, opts.Depth = o.Interrupt == Metered, !o.KeepTables, min(o.CallDepth, firstDepth)
	return opts
}

// library is how a library is rewritten, so that it can be put back.
func (o CompileOptions) library() meter.Options {
	opts := meter.Options{Guards: meter.GuardsFor(runtime.GOARCH), Reset: true}
	if o.Unguarded {
		opts.Guards = 0
	}
	return opts
}

// config is how a runtime compiles and runs.
func (o CompileOptions) config() wazero.RuntimeConfig {
	config := wazero.NewRuntimeConfig()
	if o.Interpret {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	return config.WithCloseOnContextDone(o.Interrupt == Runtime).WithDebugInfoEnabled(false).
		WithCoreFeatures(api.CoreFeaturesV2)
}

// rewriteAll rewrites a guest's binary, and then the libraries that it is linked to.
//
// What it returns depends on nothing but its arguments, and not on what the cache holds: that
// only saves the work.
func rewriteAll(wasm []byte, libraries []contract.Library, opts CompileOptions, c *Cache) (all []*rewritten, err error) {
	guest, err := c.rewrite(wasm, opts.Binary, opts.guest())
	if err != nil {
		return nil, err
	}
	all = append(all, guest)
	for _, lib := range libraries {
		r, err := c.rewrite(lib.WASM, BinaryLimits{}, opts.library())
		if err != nil {
			return nil, errors.Join(errors.New("library "+lib.Name), err)
		}
		all = append(all, r)
	}
	return all, nil
}

// program is a runtime with what was compiled in it.
type program struct {
	runtime wazero.Runtime
	cache   wazero.CompilationCache // of the runtime; nil without one
	parts   []part
	took    time.Duration // 0 if it lay in the cache
}

// part is a binary that was compiled: of the guest, which is the first, or of a library.
type part struct {
	wazero.CompiledModule

	globals, opaque []string // see meter.Module
}

// opaque are the variable globals that the host cannot set.
func (p *program) opaque() (all []string) {
	for i := range p.parts {
		all = append(all, p.parts[i].opaque...)
	}
	return all
}

// makingRuntime is held while a runtime is made: wazero 1.12 finds out its own
// version then, and keeps it in a variable without a lock.
var makingRuntime sync.Mutex

func newRuntime(ctx context.Context, config wazero.RuntimeConfig) wazero.Runtime {
	makingRuntime.Lock()
	defer makingRuntime.Unlock()
	return wazero.NewRuntimeWithConfig(ctx, config)
}

// compile compiles rewritten binaries in a runtime of their own, by way of the cache if
// there is one. Whatever the cache lacks, or a full disk, costs time and nothing else.
//
// What is compiled, and the entry of the cache in which it lies then, depend on nothing but the
// binaries and the options: it does not matter in which process that happens, or for which module.
func compile(ctx context.Context, binaries []*rewritten, opts CompileOptions, c *Cache) (*program, error) {
	// With more than one worker wazero heeds the context, between functions.
	ctx = experimental.WithCompilationWorkers(ctx, max(2, runtime.GOMAXPROCS(0)))
	if c == nil || opts.Interpret || c.build == "" { // there is nothing to keep of what is interpreted
		return compileIn(ctx, "", binaries, opts)
	}
	entry := c.entry(binaries, opts.Interrupt)
	if c.has(entry) {
		p, err := compileIn(ctx, entry, binaries, opts)
		if err == nil {
			p.took = 0
		}
		if err == nil || ctx.Err() != nil {
			return p, err
		}
		c.log.Warn("a compiled plugin of the cache cannot be used", "error", err)
		return compileIn(ctx, "", binaries, opts)
	}
	made, err := os.MkdirTemp(c.dir, store.TempPattern)
	if err != nil {
		c.log.Warn("a compiled plugin is not kept in the cache", "error", err)
		return compileIn(ctx, "", binaries, opts)
	}
	defer func() { _ = os.RemoveAll(made) }() // where it was not put in its place; store.Open gets what is left
	p, err := compileIn(ctx, made, binaries, opts)
	if err != nil && ctx.Err() == nil { // be it for the binary, or because nothing can be written
		kept := err
		if p, err = compileIn(ctx, "", binaries, opts); err == nil {
			c.log.Warn("a compiled plugin is not kept in the cache", "error", kept)
		}
		return p, err
	}
	if err == nil {
		if err := c.put(made, entry); err != nil {
			c.log.Warn("a compiled plugin is not kept in the cache", "error", err)
		}
	}
	return p, err
}

// compileIn compiles in a new runtime, with wazero's cache in a directory unless that is "".
func compileIn(ctx context.Context, dir string, binaries []*rewritten, opts CompileOptions) (_ *program, err error) {
	p, config := new(program), opts.config()
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(context.WithoutCancel(ctx)))
		}
	}()
	if dir != "" {
		if p.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
			return nil, err
		}
		config = config.WithCompilationCache(p.cache)
	}
	p.runtime = newRuntime(ctx, config)
	began := time.Now()
	for _, b := range binaries {
		compiled, err := p.runtime.CompileModule(ctx, b.WASM)
		if err == nil && ctx.Err() != nil { // wazero compiles nothing more and says nothing
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		p.parts = append(p.parts, part{compiled, slices.Clone(b.Globals), slices.Clone(b.Opaque)})
	}
	p.took = time.Since(began)
	return p, nil
}

// close frees the runtime with what was compiled in it, and all instances.
func (p *program) close(ctx context.Context) (err error) {
	if p == nil {
		return nil
	}
	if p.runtime != nil {
		err = p.runtime.Close(ctx)
	}
	if p.cache != nil {
		err = errors.Join(err, p.cache.Close(ctx))
	}
	return err
}
