package wasi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
	"github.com/resonhost/resonhost/internal/guesttest"
)

const gohostile = "./testdata/guests/gohostile"

// plugin is an instance that keeps the contract of package abi.
type plugin struct {
	*guest
	transforms []manifest.Transform
}

// start makes an instance and initialises it.
func start(tb testing.TB, interpret bool, wasm []byte, s *wasi.System) *plugin {
	tb.Helper()
	p := &plugin{guest: instantiate(tb, interpret, wasm, s)}
	if p.mod.ExportedFunction(abi.ExportInitialize) != nil {
		p.call(abi.ExportInitialize)
	}
	doc, _ := p.mod.Memory().Read(abi.Unpack(p.call(abi.ExportDescribe)))
	m, err := manifest.Parse(bytes.Clone(doc))
	if err != nil {
		tb.Fatal(err)
	}
	p.transforms = m.Transforms
	return p
}

// run runs a task of one item, and copies its result.
func (p *plugin) run(transform, input string) (abi.Result, error) {
	p.tb.Helper()
	index := -1
	for i, t := range p.transforms {
		if t.Name == transform {
			index = i
		}
	}
	items := []abi.Item{{Payload: []byte(input)}}
	n := abi.InputSize(items)
	ptr, err := p.try(abi.ExportAlloc, uint64(n))
	if err != nil {
		return abi.Result{}, err
	}
	in, ok := p.mod.Memory().Read(uint32(ptr), uint32(n))
	if !ok {
		return abi.Result{}, errors.New("no room")
	}
	abi.AppendInput(in[:0:n], items)
	out, err := p.try(abi.ExportRun, uint64(index), ptr, uint64(n))
	if err != nil {
		return abi.Result{}, err
	}
	frame, _ := p.mod.Memory().Read(abi.Unpack(out))
	r, err := abi.ReadOutput(bytes.Clone(frame))
	if err != nil {
		return abi.Result{}, err
	}
	return r.Next()
}

// describe writes down what became of a task.
func describe(r abi.Result, err error) string {
	exit := (*sys.ExitError)(nil)
	switch {
	case errors.As(err, &exit):
		return fmt.Sprint("exit ", exit.ExitCode())
	case err != nil:
		return err.Error()
	}
	return fmt.Sprintf("%v %q", r.Status, r.Payload)
}

// TestGoGuest has what a Go program wants of WASI, as it says itself.
func TestGoGuest(t *testing.T) {
	wasm := guesttest.Build(t, gohostile)
	for _, interpret := range []bool{false, true} {
		for _, c := range []struct{ transform, want, stdout, stderr string }{
			{"gohostile.error", `failed "cannot"`, "", ""},
			{"gohostile.sleep", `ok ""`, "", ""},
			{"gohostile.env", `ok "args [] env []"`, "", ""},
			{"gohostile.file", `failed "open /etc/hostname: `, "", ""},
			{"gohostile.exit", "exit 3", "", ""},
			{"gohostile.crash", "wasm error: unreachable", "", "panic: on purpose"},
			{"gohostile.deadlock", "wasm error: unreachable", "", "all goroutines are asleep"},
			{"gohostile.stdout", `ok "!"`, "to stdout\n" + strings.Repeat("\x00", 1<<20), "to stderr\n"},
		} {
			var out, errs bytes.Buffer
			p := start(t, interpret, wasm, &wasi.System{Stdout: &out, Stderr: &errs})
			got := describe(p.run(c.transform, "!"))
			if !strings.HasPrefix(got, c.want) || out.String() != c.stdout || !strings.Contains(errs.String(), c.stderr) {
				t.Errorf("interpret %v: %s: %s, %d bytes to stdout, %q to stderr; want %s, %d bytes, %q",
					interpret, c.transform, got, out.Len(), &errs, c.want, len(c.stdout), c.stderr)
			}
		}
	}
}

// TestDeterminism wants the same times and random bytes of either engine, and of
// an instance that was put back.
func TestDeterminism(t *testing.T) {
	wasm := guesttest.Build(t, gohostile)
	var seen [2]string
	for i, interpret := range []bool{false, true} {
		p := start(t, interpret, wasm, &wasi.System{})
		p.Mark()
		memory, _ := p.mod.Memory().Read(0, p.mod.Memory().Size())
		memory = bytes.Clone(memory)
		first, err := p.run("gohostile.clock", "!")
		if err != nil || len(first.Payload) != 16 {
			t.Fatal(first, err)
		}
		seen[i] = string(first.Payload)
		now := time.Unix(0, int64(binary.LittleEndian.Uint64(first.Payload)))
		if d := now.Sub(time.Unix(0, wasi.Epoch)); d < 0 || d > time.Second {
			t.Errorf("the guest's time is %v", now)
		}
		if describe(p.run("gohostile.sleep", "!")) != `ok ""` {
			t.Error("does not sleep")
		}
		if again, err := p.run("gohostile.clock", "!"); err != nil || string(again.Payload) == seen[i] {
			t.Errorf("without Reset the same again, err %v", err)
		}
		// The size of the memory stays what it has grown to; whether globals and
		// tables go back does not matter, as Go's are what they were between calls.
		clear(p.memory())
		copy(p.memory(), memory)
		p.Reset()
		if again, err := p.run("gohostile.clock", "!"); err != nil || string(again.Payload) != seen[i] {
			t.Errorf("interpret %v: after Reset %x, want %x; err %v", interpret, again.Payload, seen[i], err)
		}
	}
	if seen[0] != seen[1] {
		t.Errorf("compiled %x, interpreted %x", seen[0], seen[1])
	}
}

func (p *plugin) memory() []byte {
	b, _ := p.mod.Memory().Read(0, p.mod.Memory().Size())
	return b
}

// TestResetAlone puts back the System, but not the memory, of a Go guest that has
// slept: its monotonic clock goes back, which Go is to survive.
func TestResetAlone(t *testing.T) {
	p := start(t, false, guesttest.Build(t, gohostile), &wasi.System{})
	for range 20 {
		for _, transform := range []string{"gohostile.sleep", "gohostile.clock", "gohostile.stdout", "gohostile.log"} {
			if r, err := p.run(transform, "!"); err != nil || r.Status != abi.StatusOK {
				t.Fatalf("%s: %s", transform, describe(r, err))
			}
		}
		p.Reset()
	}
}

// TestGoSleeps has a Go guest sleep by the real clock, until its context is done.
func TestGoSleeps(t *testing.T) {
	p := start(t, false, guesttest.Build(t, gohostile), &wasi.System{RealClock: true, RealRandom: true})
	if r, err := p.run("gohostile.clock", "!"); err != nil || time.Since(time.Unix(0, int64(binary.LittleEndian.Uint64(r.Payload)))).Abs() > time.Minute {
		t.Errorf("the guest's time is %x, err %v", r.Payload, err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Millisecond)
	defer cancel()
	p.ctx = ctx
	if got, want := describe(p.run("gohostile.sleep", "!")), fmt.Sprint("exit ", sys.ExitCodeDeadlineExceeded); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestStarts starts the guests that others are made like.
func TestStarts(t *testing.T) {
	for _, pkg := range []string{guesttest.Cascade, guesttest.Tick, "./testdata/guests/echo"} {
		start(t, false, guesttest.Build(t, pkg), &wasi.System{})
	}
}

// TestHostile has the hand-written guest that calls WASI.
func TestHostile(t *testing.T) {
	lines := 0
	p := start(t, false, guesttest.HandWritten(t, "hostile"), &wasi.System{Stdout: writerFunc(func(b []byte) { lines += bytes.Count(b, []byte("\n")) })})
	for _, transform := range []string{"hostile.write", "hostile.writewild"} {
		if got := describe(p.run(transform, "!")); got != `ok "!"` {
			t.Errorf("%s: %s", transform, got)
		}
	}
	if lines < 100_000 {
		t.Errorf("%d lines", lines)
	}
	if got := describe(p.run("hostile.exit", "!")); got != "exit 3" {
		t.Error(got)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
