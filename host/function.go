package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Function is a function of this program's that plugins may call, see PluginConfig.Functions. How a
// guest calls it depends on its kind: a native one by abi.ImportCall, one of Extism's by an import of
// that name.
//
// A plugin that calls functions is no longer a pure transform. A task may be done again, if a canary
// failed it or its version was replaced, and self-tests are done several times before a version
// serves: functions are called then, too. They are not called where an answer is compared with the
// interpreter's, so that such tasks are not compared.
type Function struct {
	// Name is what guests call it by: 1 to 128 bytes.
	Name string
	// Call does it. It may be called concurrently. ctx ends when the task must, by its deadline, its
	// caller's end or the host's. The time that Call takes is the task's, and Call must return soon
	// after ctx has ended: nobody else can stop it.
	//
	// An error fails the call, as far as the kind of guest has a way for that, and else the task. The
	// guest is told its text. A panic is an error too, of which the guest is not told what it was; it
	// is logged with its stack. What Call returns is of MaxInput bytes at most, else that is an error,
	// and must not be changed later.
	Call func(ctx context.Context, c *FunctionCall) ([]byte, error)
}

// FunctionCall is a guest's call of a [Function].
type FunctionCall struct {
	// Plugin is the name of the plugin's source.
	Plugin string
	// Args are the arguments, of MaxOutput bytes at most together. They are copies, and the function's
	// to keep. A native guest passes one.
	Args [][]byte
}

// FunctionJSON is a [Function] of Go values: the guest passes one argument, the JSON of an In, and is
// returned the JSON of an Out, by encoding/json. What does not decode is an error, and f is not called.
//
//	lookup := host.FunctionJSON("lookup", func(ctx context.Context, id int) (User, error) { … })
func FunctionJSON[In, Out any](name string, f func(ctx context.Context, in In) (Out, error)) Function {
	return Function{Name: name, Call: func(ctx context.Context, c *FunctionCall) ([]byte, error) {
		if len(c.Args) != 1 {
			return nil, fmt.Errorf("takes 1 argument, has %d", len(c.Args))
		}
		var in In
		if err := json.Unmarshal(c.Args[0], &in); err != nil {
			return nil, fmt.Errorf("its argument is not a %T: %w", in, err)
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}}
}

// maxFunctionName is the longest name of a Function, in bytes.
const maxFunctionName = 128

// unite returns functions with those that override them by their names.
func unite(functions, overrides []Function) []Function {
	if len(overrides) == 0 {
		return functions
	}
	all := slices.Clone(overrides)
	for _, f := range functions {
		if !slices.ContainsFunc(overrides, func(o Function) bool { return o.Name == f.Name }) {
			all = append(all, f)
		}
	}
	return all
}

func validateFunctions(functions []Function, path string, check func(ok bool, field, rule string, values ...any)) {
	seen := make(map[string]bool)
	for i, f := range functions {
		field := fmt.Sprintf("%s.Functions[%d]", path, i)
		check(f.Name != "" && len(f.Name) <= maxFunctionName, field+".Name", "must have 1 to %d bytes", maxFunctionName)
		check(!seen[f.Name], field+".Name", "%q is there twice", f.Name)
		check(f.Call != nil, field+".Call", "must be set")
		seen[f.Name] = true
	}
}

// callable is a function that a plugin may call, with what its calls come to over all versions.
type callable struct {
	Function

	plugin        string
	calls, failed atomic.Uint64
	took          atomic.Int64
}

func offer(source string, functions []Function) []*callable {
	all := make([]*callable, len(functions))
	for i, f := range functions {
		all[i] = &callable{Function: f, plugin: source}
	}
	slices.SortFunc(all, func(a, b *callable) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// forGuests returns functions by their names, for guests whose arguments and results have so many bytes
// at most.
func forGuests(functions []*callable, maxArgs, maxResult int) map[string]func(context.Context, [][]byte) ([]byte, error) {
	if len(functions) == 0 {
		return nil
	}
	all := make(map[string]func(context.Context, [][]byte) ([]byte, error), len(functions))
	for _, f := range functions {
		all[f.Name] = func(ctx context.Context, args [][]byte) ([]byte, error) { return f.call(ctx, args, maxArgs, maxResult) }
	}
	return all
}

var errFunctionEnded = errors.New("the task has ended")

func (f *callable) call(ctx context.Context, args [][]byte, maxArgs, maxResult int) (result []byte, err error) {
	began, ok := time.Now(), false
	defer func() { // also of a panic
		f.took.Add(int64(time.Since(began)))
		f.calls.Add(1)
		if !ok {
			f.failed.Add(1)
		}
	}()
	if ctx.Err() != nil {
		return nil, errFunctionEnded
	}
	size := 0
	for _, a := range args {
		size += len(a)
	}
	if size > maxArgs {
		return nil, fmt.Errorf("has arguments of %d bytes, the limit is %d (MaxOutput, --max-output)", size, maxArgs)
	}
	c := &FunctionCall{Plugin: f.plugin, Args: make([][]byte, len(args))}
	for i, a := range args {
		c.Args[i] = bytes.Clone(a) // the guest's memory goes
	}
	if result, err = f.Call(ctx, c); err != nil {
		return nil, err
	}
	if len(result) > maxResult {
		return nil, fmt.Errorf("returned %d bytes, the limit is %d (MaxInput, --max-input)", len(result), maxResult)
	}
	ok = true
	return result, nil
}

// FunctionStats is a snapshot of what a plugin's calls of a [Function] have come to.
type FunctionStats struct {
	Name string
	// Calls is how many there were, and Failed how many of them had an error.
	Calls, Failed uint64
	// Time is how long they took together.
	Time time.Duration
}

func (f *callable) stats() FunctionStats {
	return FunctionStats{Name: f.Name, Calls: f.calls.Load(), Failed: f.failed.Load(), Time: time.Duration(f.took.Load())}
}
