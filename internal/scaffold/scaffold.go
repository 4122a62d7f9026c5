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
const goVersion = "1.26.0"

// noVersion is what go.mod requires of a module that it replaces.
const noVersion = "v0.0.0"

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
		Kind         foreign
	}{Name: o.Name, Module: Module, Language: language}
	if i := slices.IndexFunc(kinds, func(k foreign) bool { return k.Name == language.Kind }); i >= 0 {
		data.Kind = kinds[i]
	}
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
func (o Options) goMod(requires module.Version) ([]byte, error) {
	f := new(modfile.File)
	if err := f.AddModuleStmt("example.com/" + o.Name + "-plugin"); err != nil {
		return nil, err
	}
	if err := f.AddGoStmt(goVersion); err != nil {
		return nil, err
	}
	if requires != thisModule {
		if requires.Path != "" {
			f.AddNewRequire(requires.Path, requires.Version, false)
		}
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

// checkoutFault says why a folder is no checkout of [Module], or "". It names the file in full, as a path that is
// wrong is mostly relative to another folder than was meant.
func checkoutFault(dir string) string {
	file := filepath.Join(dir, "go.mod")
	b, err := os.ReadFile(file)
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if err != nil {
		return file + ": " + err.Error()
	}
	if got := modfile.ModulePath(b); got != Module {
		return fmt.Sprintf("%s is of the module %q", file, got)
	}
	return ""
}
