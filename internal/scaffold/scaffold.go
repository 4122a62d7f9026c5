// Package scaffold writes the beginnings of a plugin: a project in one of several
// languages that builds and passes its self-tests.
package scaffold

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
)

// Module is the path of the module that has package abi/guest.
const Module = "github.com/resonhost/resonhost"

// goVersion is what that module needs.
const goVersion = "1.25.0"

// noVersion is what go.mod requires of a module that it replaces.
const noVersion = "v0.0.0"

// Kinds of guests that a project can be of.
const (
	Native  = "native"  // keeps the plugin contract
	Command = "command" // a program of WASI
)

// Kinds returns the kinds, the first of which is the default of the command.
func Kinds() []string { return []string{Native, Command} }

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

	folders  []string // of templates, later ones complete earlier ones
	goMod    bool     // whether it has a go.mod
	requires bool     // whether that requires [Module]
}

const (
	cNeeds   = "clang with WASI: Debian's clang, lld, wasi-libc and libclang-rt-dev-wasm32, or `make CLANG=…/bin/clang` of a WASI SDK"
	rustTest = "cargo test      # runs the transform's own tests, without resonhost"
)

const inPackageGuest = "The contract with the host is in the package `abi/guest` that it imports."

const goTest = "go test         # runs the transform's own tests, without resonhost; after the first make"

var languages = []Language{
	{
		Kind: Native, Name: "go", Title: "Go", Source: "transform.go", Contract: inPackageGuest,
		Needs: "Go 1.25 or newer", Test: goTest, folders: []string{"common", "gosource", "go"}, goMod: true, requires: true,
	},
	{
		Kind: Native, Name: "tinygo", Title: "Go for TinyGo", Source: "transform.go", Contract: inPackageGuest,
		Needs: "TinyGo 0.39 or newer, with Go 1.25 or newer as it supports", Test: goTest,
		Untested: "Untested, for want of a TinyGo where resonhost is. A panic may end " +
			"the instance, where that of Go fails the task.",
		Ignore: []string{"build/"}, folders: []string{"common", "gosource", "tinygo"}, goMod: true, requires: true,
	},
	{
		Kind: Native, Name: "rust", Title: "Rust", Source: "src/lib.rs", Contract: "`src/resonhost.rs` is the contract with the host.",
		Needs: "cargo 1.63 or newer with the target wasm32-unknown-unknown: `rustup target add " +
			"wasm32-unknown-unknown`, or Debian's cargo and libstd-rust-dev-wasm32",
		Test:   rustTest,
		Ignore: []string{"target/"}, folders: []string{"common", "rust"},
	},
	{
		Kind: Native, Name: "assemblyscript", Title: "AssemblyScript", Source: "assembly/index.ts",
		Contract: "`assembly/resonhost.ts` is the contract with the host.",
		Needs:    "Node.js 20 or newer with npm, which gets the compiler of `package-lock.json`",
		Ignore:   []string{"build/", "node_modules/"}, folders: []string{"common", "assemblyscript"},
	},
	{
		Kind: Native, Name: "c", Title: "C", Source: "plugin.c", Contract: "`resonhost.h` and `resonhost.c` are the contract with the host.",
		Needs: cNeeds, folders: []string{"common", "c"},
	},
	{
		Kind: Command, Name: "go", Title: "Go", Source: "main.go",
		Needs: "Go 1.25 or newer", Test: "go test         # runs the program's own tests, without resonhost",
		folders: []string{"command", "commandgo"}, goMod: true,
	},
	{
		Kind: Command, Name: "rust", Title: "Rust", Source: "src/main.rs",
		Needs: "cargo 1.63 or newer with the target wasm32-wasip1: `rustup target add wasm32-wasip1`, or Debian's cargo, " +
			"lld and libstd-rust-dev-wasm32",
		Test:   rustTest,
		Ignore: []string{"target/"}, folders: []string{"command", "commandrust"},
	},
	{
		Kind: Command, Name: "c", Title: "C", Source: "main.c", Needs: cNeeds, folders: []string{"command", "commandc"},
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

// Options say what to write.
type Options struct {
	// Name is the plugin's, by the rule of [manifest.CheckName].
	Name string
	// Kind is one of [Kinds]; "" is [Native]. Language is the name of one of its [Languages].
	Kind, Language string
	// Version is the version of [Module] that a plugin in Go requires, a release
	// such as v1.2.3 or a pseudo-version. Another language needs none.
	Version string
	// Replace is a checkout of [Module] that is used instead of any version; "" for
	// none. A relative path is made absolute.
	Replace string
}

// ErrNoRelease is an [Options.Version] that no go.mod can require, and nothing that
// replaces it.
var ErrNoRelease = errors.New("is no version of " + Module + " that a go.mod can require")

// Write writes a project to dir, which it makes if need be, and returns the files,
// relative to dir with slashes, in order. It overwrites nothing: files that are
// there already are an [*ExistError]. Where it fails, it removes what it made and
// nothing else. Options that cannot be are an [*abi.FieldError], or [ErrNoRelease].
func Write(dir string, o Options) ([]string, error) {
	files, err := o.files()
	if err != nil {
		return nil, err
	}
	return write(disk{}, dir, files)
}

// file is one to be written: its path with slashes, and what it has.
type file struct {
	path string
	data []byte
}

//go:embed all:templates
var templates embed.FS

// files makes the project's files in memory, in the order of their paths.
func (o Options) files() ([]file, error) {
	if err := manifest.CheckName(o.Name); err != nil {
		return nil, err
	}
	language, err := Find(cmp.Or(o.Kind, Native), o.Language)
	if err != nil {
		return nil, err
	}
	var files []file
	data := struct {
		Name, Module string
		Language     Language
	}{o.Name, Module, language}
	for _, folder := range language.folders {
		root := path.Join("templates", folder)
		err := fs.WalkDir(templates, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			t, err := template.ParseFS(templates, name)
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := t.Execute(&b, data); err != nil {
				return err
			}
			to := strings.TrimSuffix(strings.TrimPrefix(name, root+"/"), ".tmpl")
			files = append(files, file{strings.Replace(to, "NAME", o.Name, 1), b.Bytes()})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if language.goMod {
		b, err := o.goMod(language.requires)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"go.mod", b})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}

// goMod is the go.mod of a plugin in Go. Its module is below example.com and ends in -plugin:
// a path of one word may be a package of the standard library, and some words may be none.
func (o Options) goMod(requires bool) ([]byte, error) {
	f := new(modfile.File)
	if err := f.AddModuleStmt("example.com/" + o.Name + "-plugin"); err != nil {
		return nil, err
	}
	if err := f.AddGoStmt(goVersion); err != nil {
		return nil, err
	}
	if !requires {
		return f.Format()
	}
	if o.Replace == "" {
		if err := module.Check(Module, o.Version); err != nil || strings.Contains(o.Version, "+") {
			return nil, fmt.Errorf("%q %w", o.Version, ErrNoRelease)
		}
		f.AddNewRequire(Module, o.Version, false)
		return f.Format()
	}
	checkout, err := filepath.Abs(o.Replace)
	if err != nil {
		return nil, err
	}
	if fault := checkoutFault(checkout); fault != "" {
		return nil, &abi.FieldError{Field: "replace", Rule: "must be a checkout of " + Module + ": " + fault}
	}
	f.AddNewRequire(Module, noVersion, false)
	if err := f.AddReplace(Module, "", filepath.ToSlash(checkout), ""); err != nil {
		return nil, err
	}
	return f.Format()
}

// checkoutFault says why a folder is no checkout of [Module], or "".
func checkoutFault(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if err != nil {
		return "its go.mod: " + err.Error()
	}
	if got := modfile.ModulePath(b); got != Module {
		return fmt.Sprintf("its module is %q", got)
	}
	return ""
}
