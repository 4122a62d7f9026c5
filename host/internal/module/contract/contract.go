// Package contract is the seam between package module, which runs guests, and the kinds of
// guests there are: what a kind answers ([Kind], [Guest]), and what an instance offers it
// ([Instance]). A kind is a package below module/kind. It imports this package, and package
// module knows it by these interfaces alone. The plugin contract, which authors of plugins keep, is
// in package abi and not here.
package contract

import (
	"context"
	"log/slog"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/module/meter"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
	"github.com/resonhost/resonhost/internal/spell"
)

// Kind is a kind of guest: one way in which tasks cross between the host and a binary. It has no
// state, and its methods may be called concurrently.
type Kind interface {
	// Name is what the kind is called.
	Name() string
	// Claims returns which import or export shows that a binary is of this kind, such as
	// "exports resonhost_abi"; "" if none does.
	Claims(links *meter.Links) string
	// Needs says what a binary must have to be of this kind, such as "a native plugin exports
	// resonhost_abi".
	Needs() string
	// Imports is what a binary may import, beside WASI.
	Imports(b Binary) Imports
	// Open checks a binary but for its imports, and says how its guests are run. The error joins
	// all that is wrong with its exports and its companion.
	Open(b Binary) (Plugin, error)
}

// Of returns the kind that the companion file names, or the first that claims the binary, and by
// what. If none does it is the first of all, which says what the binary lacks. The error is of a
// name that no kind has.
func Of(kinds []Kind, links *meter.Links, file *companion.File) (k Kind, claim string, err error) {
	if file.Kind != "" {
		var names []string
		for _, k := range kinds {
			if k.Name() == file.Kind {
				return k, "its companion file says so", nil
			}
			names = append(names, k.Name())
		}
		return nil, "", file.At("kind", "there is no kind %q, but %s%s", meter.Plain(file.Kind), Enumerate(names, len(names)), spell.DidYouMean(file.Kind, names))
	}
	for _, k := range kinds {
		if claim := k.Claims(links); claim != "" {
			return k, claim, nil
		}
	}
	return kinds[0], "", nil
}

// Imports is what the guests of a kind may import. An import is granted by its module and name.
type Imports struct {
	Functions []HostFunction
	// Libraries are linked to each instance, in this order: later ones may import earlier ones.
	Libraries []Library
	// Remedies say, by module, how functions of it that are not granted could be.
	Remedies map[string]string
}

// HostFunction is a function of the host's that guests may import.
type HostFunction struct {
	Module, Name    string
	Params, Results []api.ValueType
	// ParamNames are for stack traces.
	ParamNames []string
	// Mistyped, if not nil, says of a binary that imports the function with other parameters what that
	// shows and what to do. "" is nothing in particular.
	Mistyped func(params []api.ValueType) string
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
	// Name is the plugin's source's, by which one is called that says nothing else.
	Name string
	// Hash is the SHA-256 of the binary and of its companion file behind it, in hexadecimal.
	Hash string
	// Companion is the file beside the plugin that says what its binary does not; empty without one.
	Companion *companion.File
	// Embedder is what the program that embeds the host gives to the plugin.
	Embedder Embedder
	// Frames bounds what goes into guests and comes out. The former is checked already.
	Frames FrameLimits
}

// Embedder is what the program that embeds the host gives to a plugin. Its methods may be called
// concurrently. A nil field gives nothing.
type Embedder struct {
	// Functions are host functions by name, to be called by [Instance.Outside]. What they are given,
	// and what they return, are bytes: an argument is the guest's memory, valid until the function
	// returns. An error is told the guest where its kind has a way for that, and fails the task
	// elsewhere.
	Functions map[string]func(ctx context.Context, args [][]byte) ([]byte, error)
	// Fetch sends a request, if it may; nil if the guest may send none.
	Fetch func(ctx context.Context, r FetchRequest) (FetchResponse, error)
}

// FetchRequest is an HTTP request of a guest's.
type FetchRequest struct {
	Method, URL string
	Header      map[string]string
	Body        []byte
	// AllowedHosts are patterns of host names that this plugin may send requests to.
	AllowedHosts []string
	// MaxBytes is the longest body of a response; a longer one is an error.
	MaxBytes int64
}

// FetchResponse is the answer to a [FetchRequest].
type FetchResponse struct {
	Status int
	Header map[string]string
	Body   []byte
}

// Plugin is a binary that its kind has checked.
type Plugin struct {
	// Guest returns the kind's part of a new instance, which is not linked yet.
	Guest func(in Instance) Guest
	// WarmUp is what is done before the snapshot is taken.
	WarmUp WarmUp
	// Single is whether an instance runs one item between two resets: a frame has one item then,
	// and instances are never shared between tasks.
	Single bool
	// Shrinks is whether a memory that a task has grown is made as small again as it was, when the
	// instance is put back. Otherwise that instance is of no more use.
	Shrinks bool
	// Doubt is what may be wrong with the binary, and how to mend it; "" if nothing is. It is a
	// warning, and an error if a guest fails at an empty input.
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
	Run(ctx context.Context, c *Call) error
	// Save returns what the snapshot is to keep beside memories, globals and WASI's state. Restore
	// goes back to that, at every reset; it may be what another guest of the plugin has saved. All
	// instances of the plugin share the value and restore it concurrently, so it must not be changed.
	Save() any
	Restore(saved any)
}

// Instance is what an instance offers its kind. Its methods of [Module] are those of the guest's module.
// Its stdout, its stderr and the log of the plugin are the host's business, which also ends calls by their limits.
type Instance interface {
	Module
	// Library is the instance's own library of that name, one of its kind's.
	Library(name string) Module
	// Guest is what [Plugin.Guest] returned for it.
	Guest() Guest
	// Manifest is the plugin's; nil before it is described.
	Manifest() *manifest.Manifest
	// Embedder is what [Binary.Embedder] is.
	Embedder() *Embedder
	// System is the state of WASI.
	System() *wasi.System
	// Charge bills the guest for bytes that the host moves for it. It panics with a [*Fault] if the
	// guest has to stop.
	Charge(bytes int)
	// Outside calls f for a host function: what waits, or has effects outside of the instance, such as
	// a function of the embedder's. The context of f ends when the guest has to stop, and then Outside
	// panics with the [*Fault]. A panic of f is an error. Nothing of f is called where a task is done a
	// second time to compare answers.
	Outside(f func(ctx context.Context) error) error
	// Spend has the instance be of no further use once the call has ended, though that may end well.
	Spend()
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
