package module

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Instance is one instance of a module. It must not be used concurrently.
type Instance struct {
	template       *template
	parts          []linked            // the guest, and then the libraries of its kind
	globals        []api.MutableGlobal // the programs' own, as in part.globals, of all parts
	dirty          []api.Global        // of each part
	guest          contract.Guest
	functions      []*function // of its modules, that its kind calls
	running        *function   // that the host calls; nil while none is
	quota          quota
	stackHeld      uint64 // of the budget, for the native stack
	system         wasi.System
	stdout, stderr stdio
	logged         []byte // the last error that the guest has logged in this call, or its beginning
	call           callContext
	watch          watch
	// usable is false from the beginning of a call until it has ended well.
	usable bool
	spent  bool // see [contract.Instance]
}

// linked is a part of the program, of one instance.
type linked struct {
	mod    api.Module // nil before it is linked
	mem    api.Memory // likewise, and if it has none
	memory *linear
}

// function is an exported function that the host calls. Wazero keeps the stack that a
// function's calls have needed with the object it is called by, so a large one goes with that.
type function struct {
	in    *Instance
	part  int // whose it is
	name  string
	fn    api.Function // nil before the instance is linked, or if there is none
	stack stack
}

// find looks the function up anew.
func (f *function) find() {
	f.fn = f.in.parts[f.part].mod.ExportedFunction(f.name)
	f.stack = stackOf(f.fn)
}

// context returns the context to call the guest with.
func (in *Instance) context(ctx context.Context) context.Context {
	if in.template.opts.Interrupt == Runtime {
		// A goroutine of wazero's may look at it when the call is over already.
		return &callContext{ctx, in}
	}
	in.call.Context = ctx //nolint:fatcontext // it is replaced, not wrapped
	return &in.call
}

// prepare calls the guest with no limits but those of the context, and lets go of that then.
func (in *Instance) prepare(ctx context.Context, call func(context.Context) error) error {
	in.watch.begin(ctx, &Limits{})
	err := call(ctx)
	in.watch.end()
	in.call.Context = nil //nolint:fatcontext // it is the caller's, and let go of
	return err
}

// callContext is the context that a guest is called with: it leads host functions
// to the instance, and takes no allocation.
type callContext struct {
	context.Context //nolint:containedctx // it is one

	in *Instance
}

// instanceKey is that of the instance in a [callContext].
type instanceKey struct{}

func (c *callContext) Value(key any) any {
	if _, ok := key.(instanceKey); ok {
		return c.in
	}
	if c.in.running != nil { // wazero asks for a snapshotter then, which no caller is to bring along
		return nil
	}
	return c.Context.Value(key)
}

// caller returns the instance that called a host function.
func caller(ctx context.Context) *Instance { return ctx.Value(instanceKey{}).(*Instance) }

// Memory returns the size of the linear memory in bytes, of all memories if there are several.
func (in *Instance) Memory() uint64 { return in.quota.size }

// Usable reports whether the instance can run a task: every call so far has ended
// well.
func (in *Instance) Usable() bool { return in.usable }

// Close frees the instance.
func (in *Instance) Close() error {
	var errs []error
	for i := range in.parts {
		p := &in.parts[i]
		if p.mod != nil {
			errs = append(errs, p.mod.Close(context.Background()))
		}
		if p.memory != nil {
			p.memory.Free() // wazero may have left it out
		}
	}
	in.quota.leave()
	return errors.Join(errs...)
}

// Starved reports whether the guest was denied memory that others have, or that the system has
// not, since the instance began or was [Instance.Reset]: its answers may depend on that.
func (in *Instance) Starved() bool { return in.quota.starved }

// log is what the guest logs by a function of its kind's.
func (in *Instance) log(level slog.Level, msg []byte) {
	msg = msg[:min(len(msg), maxLine)]
	in.watch.charge(lineBytes + len(msg))
	if level >= slog.LevelError { // as guests log a panic before they trap
		in.logged = append(in.logged[:0], msg[:min(len(msg), maxWords)]...)
	}
	// Levels beyond the named ones are none that a handler knows.
	in.template.log.write(min(max(level, slog.LevelDebug), slog.LevelError), "log", msg)
}

// ended disposes of what the guest wrote during what ended with err, and returns
// err: none of it reaches the next task.
func (in *Instance) ended(err error) error {
	if err != nil {
		if f := (*Fault)(nil); errors.As(err, &f) {
			in.addOutput(f)
		}
	}
	in.stdout.flush()
	in.stderr.flush()
	in.logged = in.logged[:0]
	return err
}

// fault tells from what a call of export returned what happened.
func (in *Instance) fault(ctx context.Context, export string, err error) *Fault {
	if f := (*Fault)(nil); errors.As(err, &f) { // raised by a host function
		if denied := in.quota.fault(export); denied != nil && f.Kind == OutOfMemory && f.Cause == nil {
			f = denied // which says which limit it was
		}
		if f.Kind >= Fuel {
			f.Message = export + " " + f.Message
		}
		if f.Kind != ABI {
			_, f.Stack = trace(err) // where it was
		}
		return f
	}
	// A guest can exit with any code, the runtime's own included: only the
	// context tells whether the host stopped it.
	exit := (*sys.ExitError)(nil)
	exited := errors.As(err, &exit)
	if exited && ctx.Err() != nil {
		f := interrupted(ctx)
		f.Message = export + " " + f.Message
		return f
	}
	var msg, stack string
	if !exited {
		msg, stack = trace(err)
		if value, panicked := strings.CutSuffix(msg, recovered); panicked {
			return &Fault{Kind: HostPanic, Message: export + ": a function of the host panicked", Stack: "panic: " + value + "\n" + stack}
		}
	}
	// A program that ends well has come to terms with what it was denied.
	if f := in.quota.fault(export); f != nil && (!exited || exit.ExitCode() != 0) {
		return f
	}
	if exited {
		return &Fault{
			Kind: Exit, ExitCode: exit.ExitCode(),
			Message: fmt.Sprintf("%s ended the module with exit code %d", export, exit.ExitCode()),
		}
	}
	msg = strings.TrimPrefix(msg, "wasm error: ")
	overflow := msg == "stack overflow"
	switch {
	case !overflow:
	case in.template.opts.Interpret:
		msg += ": calls nest deeper than 2000, the interpreter's limit"
	default:
		msg += ": calls nest so deep that their native stack reached wazero's bound of 100 MB"
	}
	return &Fault{Kind: Trap, Message: export + ": " + msg, Stack: stack, Engine: overflow}
}

// recovered is how wazero ends the text of what is no trap but a panic of Go code.
const recovered = " (recovered by wazero)"

// theStart is what messages call the function that wazero calls as it makes an instance.
const theStart = "the module's start"

// addOutput adds to the stack what the guest wrote last, and to the message why it ended, if
// it ended by itself and says so.
func (in *Instance) addOutput(f *Fault) {
	words := in.stderr.words()
	if words == "" {
		words = in.stdout.reason() // where TinyGo's runtime writes
	}
	if words == "" {
		words = onOneLine(bytes.Split(in.logged, []byte("\n")))
	}
	if f.Kind.ByGuest() && words != "" {
		f.Message += "; its last words: " + words
	}
	tail := in.stderr.tail()
	if f.Stack != "" && tail != "" {
		f.Stack += "\n"
	}
	f.Stack += tail
}
