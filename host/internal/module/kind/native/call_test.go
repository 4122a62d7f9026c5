package native

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/experimental/wazerotest"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// caller is an instance whose guest calls a function.
type caller struct {
	contract.Instance

	guest   guest
	charged int
}

func (c *caller) Guest() contract.Guest        { return &c.guest }
func (c *caller) Embedder() *contract.Embedder { return &contract.Embedder{} }
func (c *caller) Charge(bytes int)             { c.charged += bytes }

// TestLongName has a guest billed for a name that no function has, which is not copied.
func TestLongName(t *testing.T) {
	const size, calls = 1 << 20, 10
	mod := wazerotest.NewModule(wazerotest.NewMemory(size))
	copy(mod.ExportMemory.Bytes, strings.Repeat("x", size))
	in := &caller{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		stack := []uint64{0, size, 0, 0}
		call(context.Background(), in, mod, stack)
		status, n := abi.Unpack(stack[0])
		if want := `there is no function "` + strings.Repeat("x", 80) + `"…; `; abi.CallStatus(status) != abi.CallUnknown || int(n) != len(in.guest.result) || !strings.HasPrefix(string(in.guest.result), want) {
			t.Fatalf("status %d, %s", status, in.guest.result)
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; in.charged != size*calls || got > size {
		t.Errorf("%d bytes are billed, and %d of the host's memory taken", in.charged, got)
	}
}
