package memory_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/memory"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/vectors"
)

// plugin is a compiled guest, of which instances are made.
type plugin struct {
	tb       testing.TB
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
}

func compile(tb testing.TB, config wazero.RuntimeConfig) *plugin {
	tb.Helper()
	p := &plugin{tb: tb, runtime: wazero.NewRuntimeWithConfig(tb.Context(), config)}
	tb.Cleanup(func() { p.must(p.runtime.Close(context.Background())) })
	_, err := wasi_snapshot_preview1.Instantiate(tb.Context(), p.runtime)
	p.must(err)
	_, err = p.runtime.NewHostModuleBuilder(abi.ImportModule).NewFunctionBuilder().
		WithFunc(func(_, _, _ int32) {}).Export(abi.ImportLog).Instantiate(tb.Context())
	p.must(err)
	p.compiled, err = p.runtime.CompileModule(tb.Context(), guesttest.Build(tb, guesttest.Cascade))
	p.must(err)
	return p
}

func (p *plugin) must(err error) {
	p.tb.Helper()
	if err != nil {
		p.tb.Fatal(err)
	}
}

// instance is a guest and its memory.
type instance struct {
	*plugin
	memory     *memory.Memory
	mod        api.Module
	alloc, run api.Function
}

func (p *plugin) instantiate(mode memory.Mode) *instance {
	p.tb.Helper()
	in := &instance{plugin: p, memory: memory.New(64<<20, mode)}
	ctx := p.tb.Context()
	var err error
	in.mod, err = p.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, in.memory), p.compiled,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	p.must(err)
	in.alloc, in.run = in.mod.ExportedFunction(abi.ExportAlloc), in.mod.ExportedFunction(abi.ExportRun)
	return in
}

func (in *instance) initialize() {
	in.tb.Helper()
	_, err := in.mod.ExportedFunction(abi.ExportInitialize).Call(in.tb.Context())
	in.must(err)
}

// task runs one item, and returns the output frame, which is in the guest.
func (in *instance) task(item ...abi.Item) []byte {
	in.tb.Helper()
	size := abi.InputSize(item)
	stack := [3]uint64{uint64(size)}
	in.must(in.alloc.CallWithStack(in.tb.Context(), stack[:]))
	ptr := stack[0]
	buf, ok := in.mod.Memory().Read(uint32(ptr), uint32(size))
	if !ok {
		in.tb.Fatal("the frame is outside of the memory")
	}
	abi.AppendInput(buf[:0:size], item)
	stack = [3]uint64{0, ptr, uint64(size)}
	in.must(in.run.CallWithStack(in.tb.Context(), stack[:]))
	at, n := abi.Unpack(stack[0])
	out, ok := in.mod.Memory().Read(at, n)
	if !ok {
		in.tb.Fatal("the output is outside of the memory")
	}
	return out
}

func inputs(tb testing.TB) (items []abi.Item) {
	tb.Helper()
	for _, t := range vectors.Tasks(tb, "cascade") {
		items = append(items, abi.Item{Payload: t.Input})
	}
	return items
}

// warm is how many tasks come before the image is made of a guest. A Go guest that
// has just been initialised spends more on its first allocations, which it would
// then repeat in every task, than on a task like cascade's.
const warm = 16

// pair returns an instance whose memory is left as it is, and one that is attached
// to the image of the first, after that many tasks.
func (p *plugin) pair(e env, tasks int) (shared, pristine *instance, im *memory.Image) {
	p.tb.Helper()
	shared, pristine = p.instantiate(e.mode), p.instantiate(e.mode)
	shared.initialize()
	pristine.initialize()
	for _, item := range inputs(p.tb)[:tasks] {
		shared.task(item)
	}
	content, _ := shared.mod.Memory().Read(0, shared.mod.Memory().Size())
	im = e.image(content)
	own := pristine.mod.Memory()
	if _, ok := own.Grow((uint32(im.Size()) - own.Size()) >> 16); !ok {
		p.tb.Fatal("the memory does not grow")
	}
	p.must(pristine.memory.Attach(im))
	return shared, pristine, im
}

// TestGuest has a guest whose memory is reset compute what one does that goes on
// with its own, though the image is of another instance.
func TestGuest(t *testing.T) {
	for name, engine := range map[string]struct {
		config wazero.RuntimeConfig
		tasks  int // the interpreter takes its time
	}{
		"compiler":    {wazero.NewRuntimeConfig().WithCloseOnContextDone(true), 100},
		"interpreter": {wazero.NewRuntimeConfigInterpreter(), 3},
	} {
		t.Run(name, func(t *testing.T) {
			compiled := compile(t, engine.config)
			each(t, func(t *testing.T, e env) {
				p := &plugin{t, compiled.runtime, compiled.compiled}
				for _, tasks := range []int{0, min(warm, engine.tasks)} {
					shared, pristine, im := p.pair(e, tasks)
					for i, item := range inputs(t)[:engine.tasks] {
						want := bytes.Clone(shared.task(item))
						if got := pristine.task(item); !bytes.Equal(got, want) {
							t.Fatalf("after %d tasks, task %d: another output", tasks, i)
						}
						if !pristine.memory.Reset() {
							t.Fatalf("after %d tasks, task %d: not reset", tasks, i)
						}
						now, _ := pristine.mod.Memory().Read(0, pristine.mod.Memory().Size())
						if at := differs(now, im.Bytes()); at >= 0 {
							t.Fatalf("after %d tasks, task %d: byte %d differs", tasks, i, at)
						}
					}
				}
			})
		})
	}
}

// BenchmarkGuest runs tasks on a guest whose memory is left as it is, and on one that
// is reset after each, in turns, and reports the medians in µs: shared is a task of
// the first, pristine a task of the second with its reset.
func BenchmarkGuest(b *testing.B) {
	compiled := compile(b, wazero.NewRuntimeConfig())
	for _, v := range variants {
		for _, tasks := range []int{0, warm} {
			b.Run(fmt.Sprintf("%s/%d tasks before", v.name, tasks), func(b *testing.B) {
				e := env{b, v.mode, v.adapt}
				shared, pristine, _ := (&plugin{b, compiled.runtime, compiled.compiled}).pair(e, tasks)
				items := inputs(b)
				sharedLaps, taskLaps, resetLaps, pristineLaps := newLaps(), newLaps(), newLaps(), newLaps()
				for i := 0; b.Loop(); i++ {
					item := items[i%len(items)]
					t0 := time.Now()
					shared.task(item)
					t1 := time.Now()
					pristine.task(item)
					t2 := time.Now()
					if !pristine.memory.Reset() {
						b.Fatal("not reset")
					}
					t3 := time.Now()
					sharedLaps.add(t1.Sub(t0))
					taskLaps.add(t2.Sub(t1))
					resetLaps.add(t3.Sub(t2))
					pristineLaps.add(t3.Sub(t1))
				}
				b.ReportMetric(sharedLaps.median(), "µs/shared")
				b.ReportMetric(pristineLaps.median(), "µs/pristine")
				b.ReportMetric(taskLaps.median(), "µs/task")
				b.ReportMetric(resetLaps.median(), "µs/reset")
				b.ReportMetric(pristineLaps.median()-sharedLaps.median(), "µs/difference")
				b.ReportMetric(float64(pristine.memory.Stats().ResidentPages), "pages")
			})
		}
	}
}
