package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/host/internal/extismfile"
	"github.com/resonhost/resonhost/host/internal/module"
	"github.com/resonhost/resonhost/host/internal/testcase"
	"github.com/resonhost/resonhost/host/internal/watch"
)

// Source is a plugin's binary.
type Source struct {
	// Name is what Config.Overrides and messages call it. A file of PluginDir
	// is called by its name without ".wasm".
	Name string
	// WASM is the binary. The host does not change it.
	WASM []byte
	// Tests are further self-tests, JSON lines of the form
	//
	//	{"name": "a word", "transform": "shout", "input": "abc", "output": "ABC"}
	//
	// or with "error", a [Kind], in place of the output. Lines with the same "stream"
	// share a state. At most 8 MiB.
	Tests []byte
	// Companion is a YAML document that says what the binary does not: its kind and transforms if it
	// was written for another host, and further self-tests. See docs/reference/companion.md.
	// Default none; at most 1 MiB. The host does not change it.
	Companion []byte
	// Beside is what else lies beside the file, by name, for Config.Accept.
	Beside map[string][]byte
}

// Hash returns what Plugin.Hash is of the source; "" if it has no binary.
func (s *Source) Hash() string {
	if s.WASM == nil {
		return ""
	}
	return module.Hash(s.WASM, s.Companion)
}

// identity tells apart what would serve: by the binary, its tests and its companion file.
func (s *Source) identity() [32]byte { return hashed(s.parts()...) }

// stamp tells apart what lies in a directory: by all of it.
func (s *Source) stamp() [32]byte {
	parts := s.parts()
	for _, name := range slices.Sorted(maps.Keys(s.Beside)) {
		parts = append(parts, []byte(name), s.Beside[name])
	}
	return hashed(parts...)
}

// parts are what would serve. They are two or three, and all that follows in stamp comes in pairs, so
// that their number says whether there is a companion file. Without one the identity is what it was
// before there were any, by which versions are kept.
func (s *Source) parts() [][]byte {
	if s.Companion == nil {
		return [][]byte{s.WASM, s.Tests}
	}
	return [][]byte{s.WASM, s.Tests, s.Companion}
}

func hashed(parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	var n [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// maxSourceName is the longest name of a source, in bytes.
const maxSourceName = 128

// Files beside a plugin's.
const (
	wasmSuffix  = ".wasm"
	testsSuffix = ".test.ndjson"
	signature   = ".wasm.minisig"
	sums        = "SHA256SUMS"
	sumsSigned  = "SHA256SUMS.minisig"

	companionSignature = companion.Suffix + ".minisig"
	testsSignature     = testsSuffix + ".minisig"
)

// Files returns the files that the source is in a plugin directory, by name. The contents are shared.
func (s *Source) Files() map[string][]byte {
	files := maps.Clone(s.Beside)
	if files == nil {
		files = make(map[string][]byte)
	}
	for suffix, data := range map[string][]byte{wasmSuffix: s.WASM, testsSuffix: s.Tests, companion.Suffix: s.Companion} {
		if data != nil {
			files[s.Name+suffix] = data
		}
	}
	return files
}

// SourceOf returns the source that files of a plugin directory are. It is the reverse of [Source.Files].
func SourceOf(name string, files map[string][]byte) Source {
	s := Source{Name: name, WASM: files[name+wasmSuffix], Tests: files[name+testsSuffix], Companion: files[name+companion.Suffix], Beside: maps.Clone(files)}
	for _, suffix := range []string{wasmSuffix, testsSuffix, companion.Suffix} {
		delete(s.Beside, name+suffix)
	}
	return s
}

// sourceOf is the source that a file is.
func sourceOf(f *watch.File) Source {
	s := SourceOf(f.Name, f.Beside)
	s.WASM = f.WASM
	return s
}

// watchConfig says which files of a directory are a plugin's.
func watchConfig(dir string, limit func(name string) int) watch.Config {
	return watch.Config{
		Dir: dir, Suffix: wasmSuffix, Beside: []string{testsSuffix, companion.Suffix, signature, companionSignature, testsSignature}, Shared: []string{sums, sumsSigned},
		Alone: []string{testsSuffix, companion.Suffix},
		Misnamed: map[string]string{
			".plugin.yml": companion.Suffix, ".plugin.json": companion.Suffix, ".test.jsonl": testsSuffix, ".tests.ndjson": testsSuffix,
		},
		MaxBytes: limit, MaxBeside: testcase.MaxBytes, Whole: watch.Module,
		Manifest: &watch.Manifest{Suffix: extismfile.Suffix, Files: extismfile.Files, Doubt: extismfile.Doubt, Assemble: assemble},
	}
}

// assemble makes a plugin of a manifest of Extism's: a binary and a companion file.
func assemble(f *watch.File, doc []byte) (err error) {
	beside := f.Name + companion.Suffix
	if f.Beside[beside] != nil {
		return fmt.Errorf("%s lies beside it: write into that file what the manifest says, and remove the manifest", beside)
	}
	f.WASM, f.Beside[beside], err = extismfile.Read(doc, f.Beside)
	return err
}

// ReadSource reads a plugin's file NAME.wasm and what lies beside it, or a manifest of Extism's
// NAME.json and the file that it names, as a host does with those of its plugin directory. NAME is
// the Source's, and so what [Host.Deploy] takes it for a version of. limit bounds the file, in bytes;
// [DefaultMaxModule] is a host's own.
func ReadSource(ctx context.Context, file string, limit int) (Source, error) {
	base := filepath.Base(file)
	name, ok := strings.CutSuffix(base, wasmSuffix)
	manifest := false
	if !ok {
		name, manifest = strings.CutSuffix(base, extismfile.Suffix)
		ok = manifest
	}
	if !ok || name == "" {
		return Source{}, unfit(file, "must end in .wasm, or be a manifest of Extism's, NAME.json")
	}
	c := watchConfig(filepath.Dir(file), func(string) int { return limit })
	if !manifest {
		c.Manifest = nil // which may name the file
	}
	f, err := watch.ReadFile(ctx, c, name)
	switch {
	case err != nil:
		return Source{}, err
	case manifest && filepath.Base(f.Path) != base:
		return Source{}, unfit(file, `is no manifest of Extism's, which has a member "wasm"`)
	}
	return sourceOf(&f), nil
}

func unfit(file, rule string) error {
	return &fs.PathError{Op: "read", Path: file, Err: errors.New(rule)}
}
