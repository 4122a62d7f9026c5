package docs

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// How long a function and a file may be, in lines. Tests are not counted: theirs are tables of cases.
const (
	longestFunction = 70
	longestFile     = 600
)

// longFunctions are those that may be longer, each with the reason.
var longFunctions = map[string]string{
	"host/internal/module/meter/code.go: body.instruction":          "a decoder: a case for each group of opcodes",
	"host/internal/module/meter/validate.go: validator.instruction": "a decoder: a case for each group of opcodes",
	"host/internal/module/differ/encode.go: encoder.node":           "an encoder: a case for each code of a node",
}

// longFiles are those that may be longer, each with the reason.
var longFiles = map[string]string{}

// TestLength holds code to a length at which a function is seen at once, and a file has one noun. An
// exception that is needed no more is to go.
func TestLength(t *testing.T) {
	functions, files := make(map[string]int), make(map[string]int)
	err := filepath.WalkDir(guesttest.Root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "node_modules" || name == "bin" || len(name) > 1 && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		return measureFile(path, functions, files)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 300 || len(functions) < 3000 {
		t.Fatalf("found %d files and %d functions", len(files), len(functions))
	}
	within(t, functions, longestFunction, longFunctions)
	within(t, files, longestFile, longFiles)
}

// measureFile adds how many lines a file has, and each of its functions, if people wrote it.
func measureFile(path string, functions, files map[string]int) error {
	code, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, code, parser.SkipObjectResolution|parser.ParseComments)
	if err != nil || ast.IsGenerated(f) {
		return err
	}
	rel, err := filepath.Rel(guesttest.Root(), path)
	if err != nil {
		return err
	}
	name := filepath.ToSlash(rel)
	files[name] = bytes.Count(code, []byte("\n"))
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			functions[name+": "+nameOf(fn)] = fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
		}
	}
	return nil
}

// nameOf is a function's name, a method's behind its type's.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.IndexListExpr:
			of = t.X
		case *ast.Ident:
			return t.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// within fails for each length above a bound that is no exception, and each exception that is none.
func within(t *testing.T, lengths map[string]int, most int, but map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(lengths)) {
		if n := lengths[name]; n > most && but[name] == "" {
			t.Errorf("%s: has %d lines, the most is %d: split it where a part has a name of its own", name, n, most)
		}
	}
	for name := range but {
		if lengths[name] <= most {
			t.Errorf("%s: has %d lines and needs no exception", name, lengths[name])
		}
	}
}
