package module

import (
	"slices"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// template is what the instances of a module are made from, and have in common.
type template struct {
	opts Options
	// again is whether its instances do calls a second time, to compare answers.
	again bool
	// imports are what its kind lets the guest import, and plugin what it makes of the binary.
	imports   contract.Imports
	plugin    contract.Plugin
	maxMemory uint64 // of the guest itself, in bytes, by its companion file; 0 is no bound
	// libraries are the names of those of its kind, as parts of the program behind the guest.
	libraries []string
	program   *program
	// linked is how much memory an instance begins with before it is initialised, and initial how
	// much a new one gets, in bytes.
	linked, initial uint64
	manifest        *manifest.Manifest // nil before an instance has described itself
	snapshot        *snapshot          // nil before it is taken, and if it cannot be
	log             *guestLog
}

// rewrite rewrites the binary and the libraries of its kind.
func (t *template) rewrite(wasm []byte) ([]*rewritten, error) {
	return rewriteAll(wasm, t.imports.Libraries, t.opts.compiling(), t.opts.Cache)
}

// libraryAt returns which part a library is, -1 if there is none by that name.
func (t *template) libraryAt(name string) int {
	i := slices.Index(t.libraries, name)
	if i < 0 {
		return -1
	}
	return i + 1
}
