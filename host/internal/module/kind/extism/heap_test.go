package extism

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// newKernel instantiates the kernel by itself.
func newKernel(t *testing.T) api.Module {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithMemoryLimitPages(64))
	t.Cleanup(func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	b := r.NewHostModuleBuilder(ownModule)
	for _, f := range hostFunctions() {
		b = b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}), f.Params, f.Results).Export(f.Name)
	}
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(t.Context(), kernel)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestHeap has host and kernel share one memory: whoever allocates and frees, blocks have their
// length, do not overlap, and are used again.
func TestHeap(t *testing.T) {
	k := newKernel(t)
	call := func(name string, params ...uint64) uint64 {
		t.Helper()
		got, err := k.ExportedFunction(name).Call(t.Context(), params...)
		if err != nil {
			t.Fatalf("%s%v: %v", name, params, err)
		}
		return append(got, 0)[0]
	}
	h := heap{k.Memory()}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		input := bytes.Repeat([]byte("i"), rng.IntN(5000)*rng.IntN(2))
		h.begin(input)
		if got := call("input_length"); got != uint64(len(input)) {
			t.Fatalf("an input of %d bytes has %d", len(input), got)
		}
		blocks := make(map[uint64][]byte)
		if len(input) > 0 {
			blocks[call("input_offset")] = input
		}
		for turn := range 500 {
			if rng.IntN(3) == 0 {
				for at := range blocks {
					if rng.IntN(2) == 0 {
						h.free(at)
					} else {
						call("free", at)
					}
					delete(blocks, at)
					break
				}
				continue
			}
			data := bytes.Repeat([]byte{byte(turn)}, 1+rng.IntN(1<<rng.IntN(14)))
			var at uint64
			if rng.IntN(2) == 0 {
				at = h.alloc(data)
			} else if at = call("alloc", uint64(len(data))); !h.mem.Write(uint32(at), data) {
				t.Fatalf("a block of %d bytes lies at %d", len(data), at)
			}
			if _, ok := blocks[at]; ok || at%16 != 0 {
				t.Fatalf("the block at %d is there twice", at)
			}
			blocks[at] = data
		}
		for at, data := range blocks {
			if got := h.block("test", at); !bytes.Equal(got, data) || call("length", at) != uint64(len(data)) || call("length_unsafe", at) != uint64(len(data)) {
				t.Fatalf("the block at %d of %d bytes has %d", at, len(data), len(got))
			}
		}
	}
	if pages, _ := h.mem.Grow(0); pages > 60 {
		t.Errorf("the memory has grown to %d pages", pages)
	}
}

// TestClasses has each length get a block that holds it, and wastes little.
func TestClasses(t *testing.T) {
	last := uint32(0)
	for n := uint32(1); n < 1<<22; n += 1 + n/100 {
		c, size := class(n)
		if size < n+header || size%16 != 0 || size > n+n/4+64 || c >= classes || c < last {
			t.Fatalf("%d bytes are of class %d, of %d", n, c, size)
		}
		last = c
	}
}

// FuzzVariables has states of any bytes refused, or be what comes of them.
func FuzzVariables(f *testing.F) {
	f.Add([]byte("\x01\x05count\x03abc"))
	f.Add([]byte("\x01\x01a\x00\x01b\x00"))
	f.Add([]byte("\x01\x01b\x00\x01a\x00"))
	f.Add([]byte("\x01\x81\x00a\x00"))
	f.Add([]byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x01"))
	f.Add([]byte("\x02"))
	f.Fuzz(func(t *testing.T, state []byte) {
		v := variables{limit: 1 << 16}
		if err := v.adopt(state); err == nil {
			if got := v.state(); !bytes.Equal(got, state) {
				t.Errorf("%q becomes %q", state, got)
			}
		}
	})
}
