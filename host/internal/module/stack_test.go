package module_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module"
)

// deep runs the guest of that name so many calls deep.
func deep(t *testing.T, in *module.Instance, calls int) error {
	t.Helper()
	payload := binary.LittleEndian.AppendUint32(nil, uint32(calls))
	var got [1]abi.Result
	_, err := in.Run(t.Context(), &module.Call{Items: []abi.Item{{Payload: payload}}, Results: got[:]})
	return err
}

// held is how much memory Go has of the system's for its heap, where native stacks lie, after what
// is garbage has gone. What is resident has the race detector's in it.
func held() uint64 {
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapSys - stats.HeapReleased
}

// TestStackFields has what package module reads of wazero's functions. Whoever takes another
// version of wazero looks there what became of them.
func TestStackFields(t *testing.T) {
	for _, interpret := range []bool{false, true} {
		opts := options()
		opts.Interpret = interpret
		in := instantiate(t, load(t, "deep", opts))
		size, addresses := module.StackFields(in)
		if size == 0 && !interpret || addresses == interpret {
			t.Errorf("interpreter %v: a stack of %d bytes, with addresses %v", interpret, size, addresses)
		}
	}
}

// TestStack has calls nest deep. Their stack is bounded, counts in the memory budget while they
// run, and is gone after them.
func TestStack(t *testing.T) {
	const calls = 60_000
	opts := options()
	opts.CallDepth, opts.StackLimit = 65_536, 80<<20
	m := load(t, "deep", opts)
	in := instantiate(t, m)
	taken := opts.Budget.Held()
	before := held()
	for range 2 {
		if err := deep(t, in, calls); err != nil {
			t.Fatal(err)
		}
		if got := opts.Budget.Held(); got != taken {
			t.Errorf("%d bytes of the budget are taken, %d before", got, taken)
		}
		if size, _ := module.StackFields(in); size > 256<<10 {
			t.Errorf("a stack of %d bytes is kept", size)
		}
		if !in.Reset() {
			t.Fatal("cannot be reset")
		}
	}
	if after := held(); after > before+16<<20 {
		t.Errorf("%d bytes are held, %d before", after, before)
	}
}

// TestTidy has the stack of a deep call go back to the system once no call lets go of another.
func TestTidy(t *testing.T) {
	opts := options()
	opts.CallDepth, opts.StackLimit = 65_536, 80<<20
	in := instantiate(t, load(t, "deep", opts))
	resident := func() uint64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapSys - stats.HeapReleased
	}
	if opts.Budget.Tidy() {
		t.Error("there was something to free before the first call")
	}
	before := held()
	if err := deep(t, in, 60_000); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false} { // at the first look it may be that calls go on
		if got := opts.Budget.Tidy(); got != want {
			t.Errorf("look %d: freed %v", i, got)
		}
	}
	if after := resident(); after > before+16<<20 {
		t.Errorf("%d bytes are held, %d before", after, before)
	}
}

func TestStackLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		depth  int32
		limit  uint64
		budget uint64
		calls  int
		kind   module.FaultKind
		want   string
	}{
		{"depth", 1000, 80 << 20, 1 << 30, 1100, module.Trap, "resonhost_run: calls nest deeper than 1000, the limit (MaxCallDepth, --max-call-depth)"},
		{"depth below the first look", 100, 80 << 20, 1 << 30, 110, module.Trap, "resonhost_run: calls nest deeper than 100, the limit"},
		{"bytes", 1_000_000, 1 << 20, 7 << 20, 100_000, module.Trap, "and take more native stack than 1048576 bytes, the limit (MaxStack, --max-stack)"},
		{"budget", 1_000_000, 80 << 20, 4 << 20, 100_000, module.OutOfMemory, "bytes of native stack, for which the memory budget of 4194304 bytes has no room (MemoryBudget, --memory-budget)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := options()
			opts.CallDepth, opts.StackLimit, opts.Budget = c.depth, c.limit, module.NewBudget(c.budget)
			m := load(t, "deep", opts)
			in := instantiate(t, m)
			err := deep(t, in, c.calls)
			f := (*module.Fault)(nil)
			if !errors.As(err, &f) || f.Kind != c.kind || !strings.Contains(f.Message, c.want) || !strings.Contains(f.Stack, "deep(i32) i64") {
				t.Fatalf("%v, with the stack %.200s", err, f.Stack)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
			if err := deep(t, instantiate(t, m), int(c.depth)/2%500); err != nil {
				t.Errorf("the next instance: %v", err)
			}
		})
	}
}

// TestStackOverflow has what is left where the host does not come to look.
func TestStackOverflow(t *testing.T) {
	for _, c := range []struct {
		name      string
		interrupt module.Interrupt
		interpret bool
		want      string
	}{
		{"runtime", module.Runtime, false, "resonhost_run: stack overflow: calls nest so deep that their native stack reached wazero's bound of 100 MB"},
		{"off", module.Off, false, "resonhost_run: stack overflow: calls nest so deep that their native stack reached wazero's bound of 100 MB"},
		{"interpreter", module.Metered, true, "resonhost_run: stack overflow: calls nest deeper than 2000, the interpreter's limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := options()
			opts.Interrupt, opts.Interpret, opts.CallDepth = c.interrupt, c.interpret, 1_000_000
			in := instantiate(t, load(t, "deep", opts))
			if err := deep(t, in, 1_000_000); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			if size, _ := module.StackFields(in); size > 256<<10 {
				t.Errorf("a stack of %d bytes is kept", size)
			}
		})
	}
}

// TestStackStart has calls of a start function nest no deeper than the host can do without a look
// at their stack.
func TestStackStart(t *testing.T) {
	m, err := module.Load(t.Context(), read(t, "start-deep"), options())
	if want := "the module's start: calls nest deeper than 256, the limit of a start function"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("loaded %v: %v", m != nil, err)
	}
}
