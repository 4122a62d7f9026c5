// Package contract is the seam between package module, which runs guests, and the kinds of
// guests there are: what a kind answers ([Kind], [Guest]), and what an instance offers it
// ([Instance]). A kind is a package below module/kind. It imports this package, and package
// module knows it by these interfaces alone.
package contract

import (
	"context"
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// Kind is a kind of guest: one way in which tasks cross between the host and a binary. It has no
// state, and its methods may be called concurrently.
type Kind interface {
	// Name is what the kind is called.
	Name() string
	// Claims returns which import or export shows that a binary is of this kind, such as
	// "exports resonhost_abi"; "" if none does.
	Claims(links *meter.Links) string
	// Imports is what its guests may import, beside WASI.
	Imports() Imports
	// Open checks a binary but for its imports, and says how its guests are run. The error joins
	// all that is wrong with its exports and its companion.
	Open(b Binary) (Plugin, error)
}

// Of returns the kind that claims a binary, and by what. If none does it is the first of them,
// which is to say what the binary lacks.
func Of(kinds []Kind, links *meter.Links) (k Kind, claim string) {
	for _, k := range kinds {
		if claim := k.Claims(links); claim != "" {
			return k, claim
		}
	}
	return kinds[0], ""
}

// Imports is what the guests of a kind may import. An import is granted by its module and name.
type Imports struct {
	Functions []HostFunction
	// Libraries are linked to each instance, in this order: later ones may import earlier ones.
	Libraries []Library
}

// HostFunction is a function of the host's that guests may import.
type HostFunction struct {
	Module, Name    string
	Params, Results []api.ValueType
	// ParamNames are for stack traces.
	ParamNames []string
	// Do is called with the instance whose guest calls, the module that calls, which is the
	// guest or a library, and the parameters, in whose place it puts the results. It ends the
	// guest's call by a panic with a [*Fault]. What it does for the guest it bills by
	// [Instance.Charge]. It must not call the instance, which [Function.Call] refuses. It is also
	// called while the instance is made, by a start function.
	Do func(ctx context.Context, in Instance, mod api.Module, stack []uint64)
}

// Library is a module of the host's own of which each instance has one, with a memory and globals
// of its own or without. Guests may import its functions. It is trusted: it is not metered, so its
// functions must be short, or bill what they do by calling the host.
type Library struct {
	// Name is the module that guests import it by.
	Name string
	WASM []byte
}

// Binary is what a kind knows of a plugin.
type Binary struct {
	Links *meter.Links
	// Companion is the file beside the plugin that says what its binary does not; nil without one.
	Companion []byte
	// Frames bounds what goes into guests and comes out. The former is checked already.
	Frames FrameLimits
}

// Plugin is a binary that its kind has checked.
type Plugin struct {
	// Guest returns the kind's part of a new instance, which is not linked yet.
	Guest func(in Instance) Guest
	// WarmUp is what is done before the snapshot is taken.
	WarmUp WarmUp
	// Doubt is what may be wrong with the binary, and how to mend it; "" if nothing is. It is a
	// warning, and an error if a guest fails at its trial.
	Doubt string
}

// WarmUp is what is done with an instance before the snapshot is taken, so that others begin
// with caches that are filled and buffers that have grown.
type WarmUp struct {
	// Turns is how often the self-tests are run at most. With 0 the snapshot is of an instance that
	// has run nothing, and each self-test then begins with that, such as where a guest ends with
	// its first task.
	Turns int
	// Frames is whether frames of many items are run, where there are such.
	Frames bool
}

// Guest is the kind's part of one instance. Like that, it is not used concurrently.
//
// Errors of its methods are [*Fault]s where the guest is at fault. The methods with a context call the
// guest with it, by [Function].
type Guest interface {
	// Initialize has the guest do what comes before all else. It is not called of an instance that
	// begins with a snapshot.
	Initialize(ctx context.Context) error
	// Describe returns the plugin's manifest, which is the guest's or derived.
	Describe(ctx context.Context) (*manifest.Manifest, error)
	// Run runs items through a transform. It copies outcomes by [Call.Answer].
	Run(ctx context.Context, c Call) error
	// Save returns what the snapshot is to keep beside memories, globals and WASI's state. Restore
	// goes back to that, at every reset; it may be what another guest of the plugin has saved. All
	// instances of the plugin share the value and restore it concurrently, so it must not be changed.
	Save() any
	Restore(saved any)
}

// Instance is what an instance offers its kind. It is a module, its guest's own. It has stdout,
// stderr and the log of the plugin, which the host takes care of, and ends calls by their limits.
type Instance interface {
	Module
	// Library is the instance's own library of that name, one of its kind's.
	Library(name string) Module
	// Guest is what [Plugin.Guest] returned for it.
	Guest() Guest
	// Manifest is the plugin's; nil before it is described.
	Manifest() *manifest.Manifest
	// System is the state of WASI.
	System() *wasi.System
	// Charge bills the guest for bytes that the host moves for it. It panics with a [*Fault] if the
	// guest has to stop.
	Charge(bytes int)
	// Log passes a message of the guest's on to the plugin's log, and bills it.
	Log(level slog.Level, msg []byte)
}

// Module is a guest or a library, of an instance.
type Module interface {
	// Function is the function that the module exports by that name, which it must. It can be
	// called once the instance is linked. It is for callers that keep it.
	Function(name string) Function
	// Memory is the module's memory; nil before the instance is linked, or if there is none.
	Memory() api.Memory
}

// Function is an exported function.
type Function interface {
	// Call calls it under the instance's limits. Parameters lie in the stack, as results do then, whose
	// length is that of whichever are more. Its errors are [*Fault]s. Calls do not nest: one from
	// within a host function is a fault.
	Call(ctx context.Context, stack []uint64) error
}
