package scaffold

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/resonhost/resonhost/abi"
)

// Kinds of guests that a project can be of.
const (
	Native  = "native"  // keeps the plugin contract
	Command = "command" // a program of WASI
	Extism  = "extism"  // a plugin of Extism's
	WaPC    = "wapc"    // a guest of waPC
)

// Kinds returns the kinds, the first of which is the default of the command.
func Kinds() []string { return []string{Native, Command, Extism, WaPC} }

// foreign is what the files of a project say of its kind, where that is not [Native].
type foreign struct {
	Name string
	// What is one of the kind, Task how it does a task, and Yours what the author's file has.
	What, Task, Yours string
	// Key is that of the companion file by which a transform names what does it; "" for none.
	Key string
}

// kinds are those but [Native], whose files are its own.
var kinds = []foreign{
	{
		Name: Command, What: "A command of WASI", Yours: "program",
		Task: "Each task is a run\nof the program: its input is the standard input, its output the standard output.",
	},
	{
		Name: Extism, What: "A plugin of Extism's", Yours: "transform", Key: "export",
		Task: "Each task is a call\nof an exported function. Hosts of Extism's can run it too.",
	},
	{
		Name: WaPC, What: "A guest of waPC", Yours: "transform", Key: "operation",
		Task: "Each task is a call\nof an operation.",
	},
}

// Language is one in which a plugin of a kind can be begun.
type Language struct {
	// Kind is one of [Kinds].
	Kind string
	// Name is what [Options.Language] takes, and Title the language's own name.
	Name, Title string
	// Source is the file that the author edits; Contract says where the rest of the
	// contract with the host is.
	Source, Contract string
	// Needs is what building takes.
	Needs string
	// Test is the command that runs the tests of the transform alone, outside of a host, with
	// what is to be said of it; "" where there are none.
	Test string
	// Untested is a warning where this project cannot build the language's
	// plugins in its tests.
	Untested string
	// Ignore has what a build leaves, as lines of .gitignore.
	Ignore []string

	// Library is what the files are called, without their endings, that have the contract in C.
	Library string

	folders  []string       // of templates, later ones complete earlier ones
	goMod    bool           // whether it has a go.mod
	requires module.Version // what that requires; [Module] is at the version of the options
}

const (
	cNeeds    = "clang with WASI: Debian's clang, lld, wasi-libc and libclang-rt-dev-wasm32, or `make CLANG=…/bin/clang` of a WASI SDK"
	rustNeeds = "cargo 1.63 or newer with the target wasm32-unknown-unknown: `rustup target add " +
		"wasm32-unknown-unknown`, or Debian's cargo and libstd-rust-dev-wasm32"
	rustTest = "cargo test      # runs the transform's own tests, without resonhost"
)

const inPackageGuest = "The contract with the host is in the package `abi/guest` that it imports."

const (
	goNeeds = "Go 1.26 or newer"
	goTest  = "go test         # runs the transform's own tests, without resonhost"

	afterMake = "; after the first make"
)

// atHome is of guests of waPC that need no call before their first operation.
const atHome = "\nHosts of waPC can run it too."

// thisModule is what a plugin of package abi/guest requires.
var thisModule = module.Version{Path: Module}

// extismKit is Extism's kit for Go.
var extismKit = module.Version{Path: "github.com/extism/go-pdk", Version: "v1.1.3"}

var languages = []Language{
	{
		Kind: Native, Name: "go", Title: "Go", Source: "transform.go", Contract: inPackageGuest,
		Needs: goNeeds, Test: goTest + afterMake, folders: []string{"common", "gosource", "buildgo"}, goMod: true, requires: thisModule,
	},
	{
		Kind: Native, Name: "tinygo", Title: "Go for TinyGo", Source: "transform.go", Contract: inPackageGuest,
		Needs: "a TinyGo that supports Go 1.26", Test: goTest + afterMake,
		Untested: "Untested, for want of a TinyGo where resonhost is. A panic may end " +
			"the instance, where that of Go fails the task.",
		Ignore: []string{"build/"}, folders: []string{"common", "gosource", "tinygo"}, goMod: true, requires: thisModule,
	},
	{
		Kind: Native, Name: "rust", Title: "Rust", Source: "src/lib.rs", Contract: "`src/resonhost.rs` is the contract with the host.",
		Needs: rustNeeds, Test: rustTest, Ignore: []string{"target/"}, folders: []string{"common", "buildrust", "rust"},
	},
	{
		Kind: Native, Name: "assemblyscript", Title: "AssemblyScript", Source: "assembly/index.ts",
		Contract: "`assembly/resonhost.ts` is the contract with the host.",
		Needs:    "Node.js 20 or newer with npm, which gets the compiler of `package-lock.json`",
		Ignore:   []string{"build/", "node_modules/"}, folders: []string{"common", "assemblyscript"},
	},
	{
		Kind: Native, Name: "c", Title: "C", Source: "plugin.c", Contract: "`resonhost.h` and `resonhost.c` are the contract with the host.",
		Needs: cNeeds, Library: "resonhost", folders: []string{"common", "buildc", "c"},
	},
	{
		Kind: Command, Name: "go", Title: "Go", Source: "main.go",
		Needs: goNeeds, Test: "go test         # runs the program's own tests, without resonhost",
		folders: []string{"foreign", "commandgo"}, goMod: true,
	},
	{
		Kind: Command, Name: "rust", Title: "Rust", Source: "src/main.rs",
		Needs: "cargo 1.63 or newer with the target wasm32-wasip1: `rustup target add wasm32-wasip1`, or Debian's cargo, " +
			"lld and libstd-rust-dev-wasm32",
		Test:   rustTest,
		Ignore: []string{"target/"}, folders: []string{"foreign", "commandrust"},
	},
	{
		Kind: Command, Name: "c", Title: "C", Source: "main.c", Needs: cNeeds, folders: []string{"foreign", "commandc"},
	},
	{
		Kind: Extism, Name: "go", Title: "Go", Source: "shout.go", Contract: "`export_wasip1.go` exports it.",
		Needs: goNeeds, Test: goTest + afterMake, folders: []string{"foreign", "shoutgo", "extismgo", "buildgo"}, goMod: true, requires: extismKit,
	},
	{
		Kind: Extism, Name: "rust", Title: "Rust", Source: "src/shout.rs",
		Contract: "`src/lib.rs` exports it, and `src/extism.rs` is what it takes of Extism.",
		Needs:    rustNeeds, Test: rustTest, Ignore: []string{"target/"}, folders: []string{"foreign", "buildrust", "shoutrust", "extismrust"},
	},
	{
		Kind: Extism, Name: "c", Title: "C", Source: "plugin.c", Contract: "`extism.h` and `extism.c` are what it takes of Extism.",
		Needs: cNeeds, Library: "extism", folders: []string{"foreign", "buildc", "extismc"},
	},
	{
		Kind: WaPC, Name: "go", Title: "Go", Source: "shout.go",
		Contract: "`export_wasip1.go` names it, and `wapc_wasip1.go` is what it takes of waPC." +
			"\nHosts of waPC can run it that call `_initialize`, which wapc-go 0.7.0 does not.",
		Needs: goNeeds, Test: goTest, folders: []string{"foreign", "shoutgo", "wapcgo", "buildgo"}, goMod: true,
	},
	{
		Kind: WaPC, Name: "rust", Title: "Rust", Source: "src/shout.rs",
		Contract: "`src/lib.rs` names it, and `src/wapc.rs` is what it takes of waPC." + atHome,
		Needs:    rustNeeds, Test: rustTest, Ignore: []string{"target/"}, folders: []string{"foreign", "buildrust", "shoutrust", "wapcrust"},
	},
	{
		Kind: WaPC, Name: "c", Title: "C", Source: "plugin.c", Contract: "`wapc.h` and `wapc.c` are what it takes of waPC." + atHome,
		Needs: cNeeds, Library: "wapc", folders: []string{"foreign", "buildc", "wapcc"},
	},
}

// Languages returns the languages of a kind, the first of which is the default of the command.
func Languages(kind string) (all []Language) {
	for _, l := range languages {
		if l.Kind == kind {
			all = append(all, l)
		}
	}
	return all
}

// Find returns a language of a kind. The error is an [*abi.FieldError].
func Find(kind, name string) (Language, error) {
	all := Languages(kind)
	i := slices.IndexFunc(all, func(l Language) bool { return l.Name == name })
	switch {
	case len(all) == 0:
		return Language{}, &abi.FieldError{Field: "kind", Rule: fmt.Sprintf("must be one of those there are, not %q", kind)}
	case i < 0:
		var names []string
		for _, l := range all {
			names = append(names, l.Name)
		}
		return Language{}, &abi.FieldError{Field: "lang", Rule: fmt.Sprintf("a plugin of kind %s is begun in %s, not %q", kind, strings.Join(names, ", "), name)}
	}
	return all[i], nil
}
