// Package guest makes a plugin of a Go program: the transform is the author's,
// everything else of the contract in package abi is here.
//
//	const manifest = `{
//		"name": "shout", "version": "1.0.0",
//		"transforms": [{"name": "shout", "input": "text/plain", "output": "text/plain"}]
//	}`
//
//	func init() { guest.Export(guest.New(manifest, shout)) }
//
//	func shout(t *guest.Task) error {
//		t.Output = append(t.Output, bytes.ToUpper(t.Input)...)
//		return nil
//	}
//
//	func main() {} // a reactor's main is never called
//
// is a whole plugin, built by
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o shout.wasm
//
// The same [Plugin] runs natively, in the host's inline mode and in tests.
package guest

import (
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/resonhost/resonhost/abi"
)

// Task is one call of a transform, which must not keep it.
type Task struct {
	// Input is the argument. It must not be changed, nor kept after the call.
	Input []byte
	// State is what the stream's last task left, empty at its beginning. It
	// must not be kept after the call. The manifest says how long it can be, see
	// Transform.StateBytes in package abi/manifest.
	State []byte
	// Output is empty at first; the transform appends its result to it.
	Output []byte
	// NextState is what the stream's next task finds; nil keeps nothing. It is
	// read before the next task begins, so that a buffer may serve again. It may
	// share memory with Output.
	NextState []byte
}

// Transform does one task. It must depend on nothing but the task, so that any
// instance can run any task. An [*abi.FieldError] refuses the argument; any
// other error, or a panic, fails the item; the panic's message names the function
// and line, and goes to the host's log as well. Neither harms the other items of a frame. What no recover reaches, such
// as a panic in another goroutine or a deadlock, ends the instance, and the error of
// the task has what Go's runtime says then.
type Transform func(*Task) error

// Plugin is a manifest and the transforms it describes. Its methods must not be
// called concurrently.
type Plugin struct {
	manifest   string
	transforms []Transform
	input      []byte
	output     []byte // up to the current item
	items      abi.InputReader
	task       Task // the current one; a new one each time would dirty several pages
	// logPanic logs a panic that is recovered from. It is nil in programs that have this package and
	// do not export the plugin: those must not import the host's log, which other hosts lack.
	logPanic func(msg string)
}

// New returns a plugin of its JSON manifest, as package abi/manifest reads it,
// and its transforms, in the manifest's order.
func New(manifest string, transforms ...Transform) *Plugin {
	return &Plugin{manifest: manifest, transforms: transforms}
}

// Reserve makes room for frames of that many bytes in and out before the first task,
// and returns p. A guest that grows its memory in a task costs its host a new instance,
// unless it lets tasks share one; so a plugin should have from the start what its
// common tasks need, in buffers of its own too. What they leave to the garbage collector
// counts as well: a self-test like a common task has the heap grow before the first one.
func (p *Plugin) Reserve(input, output int) *Plugin {
	p.input, p.output = slices.Grow(p.input[:0], input), slices.Grow(p.output[:0], output)
	return p
}

// Manifest returns the plugin's JSON manifest.
func (p *Plugin) Manifest() string { return p.manifest }

// Len returns the number of transforms.
func (p *Plugin) Len() int { return len(p.transforms) }

// Run runs an input frame through the transform at that index and returns the
// output frame, valid until the next call. The errors are of the contract: no
// such transform, or a frame that is malformed.
func (p *Plugin) Run(transform uint32, frame []byte) ([]byte, error) {
	if uint64(transform) >= uint64(len(p.transforms)) {
		return nil, errors.New("no transform has index " + strconv.FormatUint(uint64(transform), 10))
	}
	if err := p.items.Reset(frame); err != nil {
		return nil, err
	}
	p.output = abi.AppendOutputHeader(p.output[:0], p.items.Len())
	for p.items.Len() > 0 {
		if err := p.runItems(p.transforms[transform]); err != nil {
			return nil, err
		}
	}
	return p.output, nil
}

// runItems does items up to the last, or to one that panics, which fails that one alone: to
// recover from each would take longer than all else here.
func (p *Plugin) runItems(run Transform) error {
	done := false
	defer func() {
		if done {
			return // to ask for a panic takes its time
		}
		if v := recover(); v != nil {
			err := panicked(v, origin())
			if p.logPanic != nil {
				p.logPanic(err.Error())
			}
			p.fail(err)
		}
	}()
	t := &p.task
	for p.items.Len() > 0 {
		it, err := p.items.Next()
		if err != nil {
			return err
		}
		out := abi.ReserveResult(p.output)
		t.Input, t.State, t.Output, t.NextState = it.Payload, it.State, out[len(out):], nil
		if err := run(t); err != nil {
			p.fail(err)
			continue
		}
		if room := out[len(out):cap(out)]; len(t.Output) <= len(room) && unsafe.SliceData(t.Output) == unsafe.SliceData(room) {
			out = out[:len(out)+len(t.Output)] // it lies in place already, as is usual
		} else {
			out = extend(out, t)
		}
		p.output = abi.FinishResult(out, len(p.output), abi.StatusOK, t.NextState)
	}
	done = true
	return nil
}

// fail answers the current item with an error.
func (p *Plugin) fail(err error) {
	out := append(abi.ReserveResult(p.output), err.Error()...)
	p.output = abi.FinishResult(out, len(p.output), status(err), nil)
}

// extend appends the task's output to dst. A next state that lies there makes way for it.
func extend(dst []byte, t *Task) []byte {
	if overlap(dst[len(dst):cap(dst)], t.NextState) {
		t.NextState = slices.Clone(t.NextState)
	}
	return append(dst, t.Output...)
}

func overlap(a, b []byte) bool {
	from, other := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return from < other+uintptr(len(b)) && other < from+uintptr(len(a))
}

// panicked is the error of a panic, whose value may panic when asked what it says.
func panicked(v any, where string) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("panic" + where)
		}
	}()
	switch v := v.(type) {
	case error:
		return errors.New("panic: " + v.Error() + where)
	case interface{ String() string }:
		return errors.New("panic: " + v.String() + where)
	case string:
		return errors.New("panic: " + v + where)
	case int:
		return errors.New("panic: " + strconv.Itoa(v) + where)
	}
	return errors.New("panic" + where)
}

const (
	// maxFrames is how deep a panic's origin is looked for, the runtime's calls included.
	maxFrames = 24
	// maxCallers is how many calls are named: a library's that panics is of little use
	// without who called it.
	maxCallers = 3
)

// origin says in which functions and lines a panic that was just recovered from came up, as
// it goes behind the panic's text; "" where that cannot be known, as with TinyGo. Called by
// the deferred function, it has the calls that led to the panic still on the stack. Package
// runtime knows them anyway: runtime/debug would bring in fmt.
func origin() (where string) {
	var pcs [maxFrames]uintptr
	n := runtime.Callers(3, pcs[:]) // without Callers, origin and the deferred function
	if n == 0 {
		return ""
	}
	frames := runtime.CallersFrames(pcs[:n])
	for more, named := true, 0; more && named < maxCallers; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case strings.Contains(f.Function, "abi/guest.(*Plugin)."):
			return where
		case f.Function == "", strings.HasPrefix(f.Function, "runtime."), strings.HasPrefix(f.Function, "internal/runtime/"):
			continue
		case named == 0:
			where = ", in "
		default:
			where += ", called by "
		}
		named++
		where += f.Function + " (" + short(f.File) + ":" + strconv.Itoa(f.Line) + ")"
	}
	return where
}

// short returns a file's name with its directory's: what is above is where the plugin was
// built.
func short(file string) string {
	if i := strings.LastIndexByte(file, '/'); i > 0 {
		return file[strings.LastIndexByte(file[:i], '/')+1:]
	}
	return file
}

func status(err error) abi.Status {
	if f := (*abi.FieldError)(nil); errors.As(err, &f) {
		return abi.StatusInvalidArgument
	}
	return abi.StatusFailed
}

// maxInput bounds what alloc grants, in bytes.
const maxInput = 256 << 20

// alloc returns room for an input frame of n bytes, or nil to refuse.
func (p *Plugin) alloc(n uint32) []byte {
	if n == 0 || n > maxInput {
		return nil
	}
	if uint64(n) > uint64(cap(p.input)) {
		p.input = make([]byte, (uint64(n)+7)&^7)
	}
	p.input = p.input[:n]
	return p.input
}
