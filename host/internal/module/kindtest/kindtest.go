// Package kindtest is the test that every kind of guest passes.
package kindtest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/registry"
)

// Subject is a kind with a guest of it, and the transforms that the guest has. Each gets
// the payload "!". Those that are "" are not tested.
type Subject struct {
	Kind            contract.Kind
	WASM, Companion []byte
	// Echo answers with its input, of 64 KiB too.
	Echo string
	// Leave answers with what it finds of a task before it, and leaves something wherever it can.
	// An instance that has run it can be put back. Where an instance runs one item between two
	// resets it does so for each byte of its input.
	Leave string
	// Trap traps, Exit ends the module, and Spin never returns.
	Trap, Exit, Spin string
	// Grow are those that grow a memory until that is refused, and trap then.
	Grow []string
}

// Run tests all that package module promises of a kind.
func Run(t *testing.T, s Subject) {
	for name, test := range map[string]func(*testing.T, *Subject, module.Options){
		"describes": describes, "echoes": echoes, "isolates": isolates, "breaks": breaks, "ends": ends,
		"grows": grows, "budget": budget, "verifies": verifies, "pools": pools,
	} {
		t.Run(name, func(t *testing.T) {
			for _, interpret := range []bool{false, true} {
				opts := s.Options()
				opts.Interpret = interpret
				test(t, &s, opts)
			}
		})
	}
}

// memoryLimit is that of an instance, in bytes.
const memoryLimit = 16 << 20

// Options are those of the tests.
func (s *Subject) Options() module.Options {
	return module.Options{
		Kinds: []contract.Kind{s.Kind}, Companion: s.Companion,
		MemoryLimit: memoryLimit, Budget: module.NewBudget(1 << 30), Batch: 4,
		Frames:            module.FrameLimits{MaxInput: 1 << 20, MaxOutput: 4 << 20},
		LogBytesPerSecond: 4 << 10, InitTimeout: time.Minute, CompileTimeout: time.Hour,
		Interrupt: module.Metered, CallDepth: 1000, StackLimit: 16 << 20, Log: slog.New(slog.DiscardHandler),
	}
}

// Loaded is a module under test.
type Loaded struct {
	*module.Module

	t *testing.T
}

// Load loads a binary. It is closed when the test ends, and must have given its budget back then.
func Load(t *testing.T, wasm []byte, opts module.Options) Loaded {
	t.Helper()
	m, err := module.Load(t.Context(), wasm, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if held := opts.Budget.Held(); held != 0 {
			t.Errorf("%d bytes of the budget are held in the end", held)
		}
	})
	return Loaded{m, t}
}

func (s *Subject) load(t *testing.T, opts module.Options) Loaded {
	t.Helper()
	return Load(t, s.WASM, opts)
}

// With returns a kind whose binaries have a companion file that no document says.
func With(kind contract.Kind, file *companion.File) contract.Kind { return declared{kind, file} }

type declared struct {
	contract.Kind

	file *companion.File
}

// Open implements [contract.Kind].
func (d declared) Open(b contract.Binary) (contract.Plugin, error) {
	b.Companion = d.file
	return d.Kind.Open(b)
}

// Instance makes an instance, which is closed when the test ends.
func (m Loaded) Instance() *module.Instance {
	m.t.Helper()
	in, err := m.Instantiate(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := in.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return in
}

// Index returns the index of a transform.
func (m Loaded) Index(transform string) int {
	m.t.Helper()
	i := slices.IndexFunc(m.Info().Manifest.Transforms, func(t manifest.Transform) bool { return t.Name == transform })
	if i < 0 {
		m.t.Fatalf("no transform %s", transform)
	}
	return i
}

// run runs a transform on one item. An instance that runs one between two resets is put back before.
func (m Loaded) run(in *module.Instance, transform string, payload []byte, l module.Limits) (got abi.Result, fuel uint64, err error) {
	m.t.Helper()
	if m.Info().Single && in.Usable() && !in.Reset() {
		m.t.Fatal("cannot be reset")
	}
	results := make([]abi.Result, 1)
	fuel, err = in.Run(m.t.Context(), &module.Call{
		Transform: m.Index(transform), Items: []abi.Item{{Payload: payload}}, Results: results, Limits: l,
	})
	return results[0], fuel, err
}

var bang = []byte("!")

// answers runs a transform that succeeds, and returns its output.
func (m Loaded) answers(in *module.Instance, transform string, payload []byte) string {
	m.t.Helper()
	got, _, err := m.run(in, transform, payload, module.Limits{})
	if err != nil || got.Status != abi.StatusOK {
		m.t.Fatalf("%s: %v (%.100q), err %v", transform, got.Status, got.Payload, err)
	}
	return string(got.Payload)
}

// fails runs a transform that has a fault of that kind.
func (m Loaded) fails(in *module.Instance, transform string, kind module.FaultKind, l module.Limits) *module.Fault {
	m.t.Helper()
	_, _, err := m.run(in, transform, bang, l)
	f := (*module.Fault)(nil)
	if !errors.As(err, &f) || f.Kind != kind {
		m.t.Fatalf("%s: err %v, want %v", transform, err, kind)
	}
	if in.Usable() || in.Reset() {
		m.t.Errorf("%s: the instance is used again after %v", transform, err)
	}
	return f
}

func describes(t *testing.T, s *Subject, opts module.Options) {
	info := s.load(t, opts).Info()
	if info.Kind != s.Kind.Name() || info.Claim == "" || info.Memory == 0 || info.NoReset != nil {
		t.Errorf("it is of kind %q, as it %s; memory %d, no reset: %v", info.Kind, info.Claim, info.Memory, info.NoReset)
	}
}

func echoes(t *testing.T, s *Subject, opts module.Options) {
	for _, interrupt := range []module.Interrupt{module.Metered, module.Runtime, module.Off} {
		opts.Interrupt, opts.Budget = interrupt, module.NewBudget(1<<30)
		m := s.load(t, opts)
		in := m.Instance()
		for _, size := range []int{3, 0, 64 << 10, 1} { // the room is used again
			payload := bytes.Repeat([]byte("x"), size)
			if got := m.answers(in, s.Echo, payload); got != string(payload) {
				t.Errorf("interrupt %v: %d bytes are echoed as %d", interrupt, size, len(got))
			}
		}
		size := 4
		if m.Info().Single {
			size = 1
			if !in.Reset() {
				t.Fatal("cannot be reset")
			}
		}
		items, results := make([]abi.Item, size), make([]abi.Result, size)
		for i := range items {
			items[i].Payload = bytes.Repeat([]byte{'a' + byte(i)}, i)
			results[i].Payload = []byte("before ")
		}
		fuel, err := in.Run(t.Context(), &module.Call{Transform: m.Index(s.Echo), Items: items, Results: results, Behind: true})
		if err != nil || (fuel > 0) != (interrupt == module.Metered) {
			t.Fatalf("interrupt %v: a frame took %d of fuel, err %v", interrupt, fuel, err)
		}
		for i, r := range results {
			if want := "before " + string(items[i].Payload); string(r.Payload) != want {
				t.Errorf("interrupt %v: item %d is %q, want %q", interrupt, i, r.Payload, want)
			}
		}
		_, err = in.Run(t.Context(), &module.Call{Transform: m.Index(s.Echo), Items: []abi.Item{{Payload: make([]byte, opts.Frames.MaxInput)}}, Results: results[:1]})
		if !errors.Is(err, module.ErrInputSize) || !in.Usable() {
			t.Errorf("too large an input: err %v", err)
		}
	}
}

// isolates has a task leave nothing behind.
func isolates(t *testing.T, s *Subject, opts module.Options) {
	if s.Leave == "" {
		return
	}
	m := s.load(t, opts)
	in := m.Instance()
	if got := m.answers(in, s.Leave, bang); got != "" {
		t.Errorf("the first task finds %q", got)
	}
	again := bang
	if m.Info().Single {
		again = []byte("!!")
	}
	if got := m.answers(in, s.Leave, again); got == "" {
		t.Error("the second task finds nothing, so that this tests nothing")
	}
	for range 3 {
		if !in.Reset() {
			t.Fatal("cannot be reset")
		}
		if got := m.answers(in, s.Leave, bang); got != "" {
			t.Errorf("a task after a reset finds %q", got)
		}
	}
	if got := m.answers(m.Instance(), s.Leave, bang); got != "" {
		t.Errorf("a task of a new instance finds %q", got)
	}
}

// breaks has guests that end their own call.
func breaks(t *testing.T, s *Subject, opts module.Options) {
	m := s.load(t, opts)
	_ = m.fails(m.Instance(), s.Trap, module.Trap, module.Limits{})
	if s.Exit != "" {
		if f := m.fails(m.Instance(), s.Exit, module.Exit, module.Limits{}); f.ExitCode == 0 {
			t.Errorf("it ended with exit code 0: %v", f)
		}
	}
	if got := m.answers(m.Instance(), s.Echo, bang); got != "!" {
		t.Errorf("the next instance answers %q", got)
	}
}

// ends has guests end that do not by themselves.
func ends(t *testing.T, s *Subject, opts module.Options) {
	m := s.load(t, opts)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for kind, l := range map[module.FaultKind]module.Limits{
		module.Timeout: {Timeout: 10 * time.Millisecond},
		module.Fuel:    {Fuel: 1_000_000},
		module.Stopped: {Stop: stopped},
	} {
		_ = m.fails(m.Instance(), s.Spin, kind, l)
	}
	opts.Interrupt, opts.Budget = module.Runtime, module.NewBudget(1<<30)
	m = s.load(t, opts)
	_ = m.fails(m.Instance(), s.Spin, module.Timeout, module.Limits{Timeout: 10 * time.Millisecond})
}

// grows has all memories of an instance bounded together.
func grows(t *testing.T, s *Subject, opts module.Options) {
	m := s.load(t, opts)
	for _, transform := range s.Grow {
		in := m.Instance()
		f := m.fails(in, transform, module.OutOfMemory, module.Limits{})
		if f.Cause != nil || !strings.Contains(f.Message, "the limit is 16777216 (MemoryLimit, --memory-limit)") {
			t.Errorf("%s: %v", transform, f)
		}
		if got := in.Memory(); got > memoryLimit || got < memoryLimit-2<<20 || !in.Grown() {
			t.Errorf("%s: it has grown to %d bytes, grown %v", transform, got, in.Grown())
		}
	}
	opts.MemoryLimit = m.Info().Memory - 1
	if other, err := module.Load(t.Context(), s.WASM, opts); err == nil || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("with a limit of a byte less than an instance has it was loaded: %v, %v", other != nil, err)
	}
}

// budget has instances share one, with all their memories.
func budget(t *testing.T, s *Subject, opts module.Options) {
	size := s.load(t, opts).Info().Memory
	opts.Budget = module.NewBudget(2*size + 1<<20)
	m := s.load(t, opts)
	ins := []*module.Instance{m.Instance(), m.Instance()}
	if got := opts.Budget.Held(); got != 2*size {
		t.Errorf("%d bytes are held by two instances of %d", got, size)
	}
	if size > 1<<20 {
		if _, err := m.Instantiate(t.Context()); !errors.Is(err, module.ErrBudget) {
			t.Errorf("a third instance: err %v", err)
		}
	}
	for _, transform := range s.Grow {
		f := m.fails(ins[0], transform, module.OutOfMemory, module.Limits{})
		if !errors.Is(f, module.ErrBudget) || !ins[0].Starved() {
			t.Errorf("%s: %v", transform, f)
		}
		if got := opts.Budget.Held(); got <= 2*size || got > opts.Budget.Limit() {
			t.Errorf("%s: %d bytes are held", transform, got)
		}
		if err := ins[0].Close(); err != nil {
			t.Error(err)
		}
		if got := opts.Budget.Held(); got != size {
			t.Errorf("%d bytes are held by one instance of %d", got, size)
		}
		ins[0] = m.Instance()
	}
}

// verifies has answers compared with the interpreter's.
func verifies(t *testing.T, s *Subject, opts module.Options) {
	if opts.Interpret {
		return
	}
	opts.Verify = true
	m := s.load(t, opts)
	if got, want := m.Info().Verified, len(m.Info().Manifest.SelfTests); got.Tests != want || len(got.Unchecked) > 0 {
		t.Errorf("verified: %+v, want %d tests", got, want)
	}
	c, err := m.NewChecker(t.Context(), s.WASM)
	if err != nil {
		t.Fatal(err)
	}
	in := m.Instance()
	for _, transform := range []string{s.Echo, s.Leave, s.Leave} {
		if transform == "" {
			continue
		}
		got, fuel, err := m.run(in, transform, bang, module.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		call := module.Call{Transform: m.Index(transform), Items: []abi.Item{{Payload: bang}}}
		if err := c.Check(t.Context(), call, []abi.Result{got}, fuel); err != nil {
			t.Errorf("%s: %v", transform, err)
		}
		got.Payload = []byte("another")
		if err := c.Check(t.Context(), call, []abi.Result{got}, fuel); !errors.As(err, new(*module.Mismatch)) {
			t.Errorf("%s, with another answer: %v", transform, err)
		}
		if !in.Reset() {
			t.Fatal("cannot be reset")
		}
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// pools has a pool lend an instance again after a task that ended well, and replace others.
func pools(t *testing.T, s *Subject, opts module.Options) {
	p, err := registry.Open(t.Context(), s.WASM, registry.Options{
		Module: opts, Isolation: registry.Reset, Min: 1, Max: 1, IdleTimeout: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	m := Loaded{p.Module(), t}
	borrow := func() *registry.Instance {
		in, err := p.Borrow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	first := borrow()
	of := first.Instance
	for range 3 {
		if s.Leave == "" {
			m.answers(first.Instance, s.Echo, bang)
		} else if got := m.answers(first.Instance, s.Leave, bang); got != "" {
			t.Errorf("a task finds %q", got)
		}
		first.Return()
		if first = borrow(); first.Instance != of {
			t.Fatal("the instance is not lent again")
		}
	}
	if _, _, err := m.run(of, s.Trap, bang, module.Limits{}); err == nil {
		t.Error("it does not trap")
	}
	first.Return()
	second := borrow()
	if second.Instance == of || m.answers(second.Instance, s.Echo, bang) != "!" {
		t.Error("a broken instance is lent again")
	}
	second.Return()
	if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}
