// Package checkout finds this module's source, for tests that read its files or build its guests.
package checkout

import (
	"bytes"
	"os"
	"path/filepath"
)

const module = "module github.com/resonhost/resonhost\n"

// Root returns the directory of this module that the working directory lies in, or "". The paths in the binary
// would not do: a build with -trimpath has none.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; ; dir = filepath.Dir(dir) {
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && bytes.HasPrefix(b, []byte(module)) { // #nosec G304 -- a parent of the working directory
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
