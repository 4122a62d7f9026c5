package meter_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/resonhost/resonhost/host/internal/module/differ"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/internal/guesttest"
)

// plainSections is the binary without its custom sections, or nil if it has no
// sections. The pass takes them away with their faults.
func plainSections(wasm []byte) []byte {
	if len(wasm) < 8 {
		return nil
	}
	out := bytes.Clone(wasm[:8])
	for rest := wasm[8:]; len(rest) > 0; {
		n, shift, i := 0, 0, 1
		for ; ; i++ {
			if i >= len(rest) || shift > 28 {
				return nil
			}
			n |= int(rest[i]&0x7f) << shift
			shift += 7
			if rest[i] < 0x80 {
				break
			}
		}
		i++
		if n > len(rest)-i {
			return nil
		}
		if rest[0] != 0 {
			out = append(out, rest[:i+n]...)
		}
		rest = rest[i+n:]
	}
	return out
}

// refusable are faults of the host's own choice, besides limits.
var refusable = []string{"does not grant", "that is the host's", "unknown type", "vector instruction", "unknown limits", "uses ", ", and its table at ", ", and the memory at "}

// structural are faults of counts and sections. The compiler is not asked about
// them: it makes room for as much as a count says, gigabytes of it.
var structural = []string{"does not fit", "ends too early", "there is no section", "out of order", "custom section"}

func FuzzRewrite(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(guesttest.Root(), "testdata/guests/*.wasm"))
	if err != nil || len(files) == 0 {
		f.Fatal("no guests: ", err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 64<<10 {
			continue // the fuzzer does little with a large one
		}
		f.Add(guesttest.HandWritten(f, strings.TrimSuffix(filepath.Base(file), ".wasm")))
	}
	for seed := range uint64(20) {
		f.Add(generate(seed, false))
		parts, _ := generateParts(seed)
		f.Add(parts)
	}
	for seed := range uint64(5) {
		wasm, err := differ.Program(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wasm)
	}
	for _, m := range examples() {
		f.Add(m.encode())
	}
	vm := newMachine(f, "interpreter", wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, wasm []byte) {
		before := bytes.Clone(wasm)
		m, err := meter.Rewrite(wasm, meter.Limits{}, metered)
		if !bytes.Equal(before, wasm) {
			t.Fatal("the binary was changed")
		}
		var limit *meter.LimitError
		if errors.As(err, &limit) {
			return
		}
		if err != nil && slices.ContainsFunc(slices.Concat(structural, refusable), func(s string) bool { return strings.Contains(err.Error(), s) }) {
			return
		}
		original := plainSections(wasm)
		if original == nil {
			if err == nil {
				t.Fatal("a binary without whole sections is accepted")
			}
			return
		}
		if err != nil && large(original) {
			return
		}
		refused := refusal(t, vm, original)
		switch {
		case err != nil && refused == nil:
			t.Fatalf("a valid binary is refused: %v", err)
		case err != nil:
			if _, plainErr := meter.Rewrite(original, meter.Limits{}, metered); plainErr == nil {
				t.Fatalf("refused for its custom sections: %v", err)
			}
			return
		}
		again := vm.compiles(t, m.WASM)
		if (refused == nil) != (again == nil) {
			t.Fatalf("the original: %v, rewritten: %v", refused, again)
		}
		if m, err = meter.Rewrite(wasm, meter.Limits{}, meter.Options{Reloop: true, Reset: true}); err != nil {
			t.Fatalf("only with metering it is accepted: %v", err)
		}
		if again := vm.compiles(t, m.WASM); (refused == nil) != (again == nil) {
			t.Fatalf("the original: %v, rewritten without metering: %v", refused, again)
		}
	})
}

// large reports whether there may be a number from 2²¹ on. It may be a count, which is
// structural, also where the pass has found something else before.
func large(wasm []byte) bool {
	digits := 0
	for _, b := range wasm {
		if digits++; b < 0x80 {
			digits = 0
		}
		if digits == 3 {
			return true
		}
	}
	return false
}

// refusal is why the machine refuses a binary that was not looked at before. Then it may panic
// as well, where an index is too large.
func refusal(tb testing.TB, vm *machine, wasm []byte) (err error) {
	tb.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return vm.compiles(tb, wasm)
}

// examples has a module of each kind of section.
func examples() []*binary {
	var list []*binary
	for _, c := range controls() {
		m := new(binary)
		c.build(m)
		list = append(list, m)
	}
	return list
}
