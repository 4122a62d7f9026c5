package host

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

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
	// Beside is what else lies beside the file, by name, for Config.Accept.
	Beside map[string][]byte
}

// hash is the SHA-256 of the binary in hexadecimal, "" if there is none.
func (s *Source) hash() string {
	if s.WASM == nil {
		return ""
	}
	sum := sha256.Sum256(s.WASM)
	return hex.EncodeToString(sum[:])
}

// identity tells apart what would serve: by the binary and its tests.
func (s *Source) identity() [32]byte { return hashed(s.WASM, s.Tests) }

// stamp tells apart what lies in a directory: by all of it.
func (s *Source) stamp() [32]byte {
	parts := [][]byte{s.WASM, s.Tests}
	for _, name := range slices.Sorted(maps.Keys(s.Beside)) {
		parts = append(parts, []byte(name), s.Beside[name])
	}
	return hashed(parts...)
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
	testsSuffix = ".test.ndjson"
	signature   = ".wasm.minisig"
	sums        = "SHA256SUMS"
	sumsSigned  = "SHA256SUMS.minisig"
)

// sourceOf is the source that a file is.
func sourceOf(f *watch.File) Source {
	s := Source{Name: f.Name, WASM: f.WASM, Tests: f.Beside[f.Name+testsSuffix], Beside: maps.Clone(f.Beside)}
	delete(s.Beside, f.Name+testsSuffix)
	return s
}

// watchConfig says which files of a directory are a plugin's.
func watchConfig(dir string, limit func(name string) int) watch.Config {
	return watch.Config{
		Dir: dir, Suffix: ".wasm", Beside: []string{testsSuffix, signature}, Shared: []string{sums, sumsSigned},
		MaxBytes: limit, MaxBeside: testcase.MaxBytes, Whole: watch.Module,
	}
}

// ReadSource reads a plugin's file NAME.wasm and what lies beside it, as a host does with
// those of its plugin directory. NAME is the Source's, and so what [Host.Deploy] takes it for a
// version of. limit bounds the file, in bytes; [DefaultMaxModule] is a host's own.
func ReadSource(ctx context.Context, file string, limit int) (Source, error) {
	name, ok := strings.CutSuffix(filepath.Base(file), ".wasm")
	if !ok || name == "" {
		return Source{}, fmt.Errorf("%s: must end in .wasm", file)
	}
	f, err := watch.ReadFile(ctx, watchConfig(filepath.Dir(file), func(string) int { return limit }), name)
	if err != nil {
		return Source{}, err
	}
	return sourceOf(&f), nil
}
