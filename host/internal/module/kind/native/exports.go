package native

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// required are the functions that a plugin must export.
var required = []struct {
	name            string
	params, results []api.ValueType
}{
	{name: abi.ExportVersion, results: []api.ValueType{i32}},
	{name: abi.ExportDescribe, results: []api.ValueType{i64}},
	{name: abi.ExportAlloc, params: []api.ValueType{i32}, results: []api.ValueType{i32}},
	{name: abi.ExportRun, params: []api.ValueType{i32, i32, i32}, results: []api.ValueType{i64}},
}

// isRequired reports whether an export is one of them, by its name.
func isRequired(l meter.Link) bool {
	if l.Kind != meter.KindFunction {
		return false
	}
	for i := range required {
		if required[i].name == l.Name {
			return true
		}
	}
	return false
}

// checkExports joins all faults of exports.
func checkExports(exports []meter.Link) error {
	functions := make(map[string]meter.Link)
	var memories []string
	memory := false
	for _, l := range exports {
		switch l.Kind {
		case meter.KindFunction:
			functions[l.Name] = l
		case meter.KindMemory:
			memory = memory || l.Name == abi.ExportMemory
			if len(memories) < contract.MaxNamed {
				memories = append(memories, meter.Quote(l.Name))
			}
		}
	}
	var missing []string
	var errs []error
	for _, want := range required {
		l, ok := functions[want.name]
		wanted := contract.Signature(meter.Link{Name: want.name, Params: want.params, Results: want.results, Typed: true})
		if !ok {
			missing = append(missing, wanted)
		} else if !contract.SameType(l, want.params, want.results) {
			errs = append(errs, fmt.Errorf("exports %s, want %s", contract.Signature(l), wanted))
		}
	}
	init, reactor := functions[abi.ExportInitialize]
	if reactor && !contract.SameType(init, nil, nil) {
		errs = append(errs, fmt.Errorf("exports %s, want %s() → ()", contract.Signature(init), abi.ExportInitialize))
	}
	switch {
	case len(missing) == len(required):
		errs = append(errs, fmt.Errorf("exports no function of the plugin contract: %s", contract.Enumerate(missing, len(missing))))
	case len(missing) == 1:
		errs = append(errs, fmt.Errorf("does not export the function %s", missing[0]))
	case len(missing) > 1:
		errs = append(errs, fmt.Errorf("does not export the functions %s", contract.Enumerate(missing, len(missing))))
	}
	if _, command := functions["_start"]; command && !reactor {
		errs = append(errs, errCommand)
	}
	if !memory {
		errs = append(errs, fmt.Errorf("does not export a memory called %q (has [%s])", abi.ExportMemory, strings.Join(memories, " ")))
	}
	return errors.Join(errs...)
}

var errCommand = errors.New("exports _start and no _initialize: it was built as a command and has to be a reactor, " +
	"for which Go has -buildmode=c-shared, clang -mexec-model=reactor and Rust the crate type cdylib")

// noStartUp is what is wrong with a module whose constructors run at each call, and its cure.
const noStartUp = "its constructors run at each call, since it was linked without a start-up object (-Wl,--no-entry or -nostartfiles): " +
	"link it with clang -mexec-model=reactor, which exports _initialize"

// constructsAlways reports whether the functions of the contract all begin with a call of one and
// the same function, which takes and returns nothing, and there is no _initialize. So does a linker
// that has no start-up object to run a program's constructors.
func constructsAlways(links *meter.Links) bool {
	first, found := uint32(0), 0
	for _, l := range links.Exports {
		switch {
		case l.Kind != meter.KindFunction:
		case l.Name == abi.ExportInitialize:
			return false
		case isRequired(l):
			if !l.Constructs || found > 0 && l.FirstCall != first {
				return false
			}
			first = l.FirstCall
			found++
		}
	}
	return found == len(required)
}

// initializes reports whether a binary exports _initialize.
func initializes(links *meter.Links) bool {
	_, ok := links.Function(abi.ExportInitialize)
	return ok
}
