package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

var kindRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\d{3}) \\| .+ \\| .+ \\|$")

// TestErrors holds docs/reference/errors.md to the kinds of errors that a host has: each with its
// status and what to do.
func TestErrors(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(guesttest.Root(), "host", "error.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		if value, ok := spec.Values[0].(*ast.BasicLit); ok {
			if kind, err := strconv.Unquote(value.Value); err == nil {
				kinds[kind] = true
			}
		}
		return true
	})
	if len(kinds) == 0 {
		t.Fatal("host/error.go has no kinds")
	}
	documented := make(map[string]bool)
	for _, m := range kindRow.FindAllStringSubmatch(read(t, "docs/reference/errors.md").text, -1) {
		documented[m[1]] = true
		if !kinds[m[1]] {
			t.Errorf("docs/reference/errors.md: there is no kind %s", m[1])
		}
	}
	for kind := range kinds {
		if !documented[kind] {
			t.Errorf("docs/reference/errors.md lacks the kind %s, with its status and what to do", kind)
		}
	}
}
