package docs

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// TestLayers holds files to the tables of ARCHITECTURE that say which stands above which: a file
// uses names of its own row and of the rows above, and stands in one row.
func TestLayers(t *testing.T) {
	text := read(t, "ARCHITECTURE.md").text
	for _, c := range []struct{ heading, dir string }{
		{"## Package host", "host"},
		{"## Package module", "host/internal/module"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			rows := rowsOf(t, text, c.heading)
			uses := usesAmongFiles(t, filepath.Join(guesttest.Root(), filepath.FromSlash(c.dir)))
			for _, file := range slices.Sorted(maps.Keys(uses)) {
				if _, ok := rows[file]; !ok {
					t.Errorf("%s.go stands in no row", file)
				}
				for _, other := range slices.Sorted(maps.Keys(uses[file])) {
					if rows[other] > rows[file] {
						t.Errorf("%s.go uses %v of %s.go, which stands below", file, slices.Sorted(maps.Keys(uses[file][other])), other)
					}
				}
			}
			for file := range rows {
				if uses[file] == nil {
					t.Errorf("there is no %s.go", file)
				}
			}
		})
	}
}

// rowsOf returns in which row of the first table of a section each file stands.
func rowsOf(t *testing.T, text, heading string) map[string]int {
	t.Helper()
	_, section, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := make(map[string]int)
	name := regexp.MustCompile("`(\\w+)`")
	row := 0
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			if row > 0 {
				break
			}
			continue
		}
		row++
		for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
			if _, twice := rows[m[1]]; twice {
				t.Errorf("%s stands in two rows", m[1])
			}
			rows[m[1]] = row
		}
	}
	return rows
}

// usesAmongFiles returns of each file of a package which names it uses of which other one, all
// files without their ending. Other packages are not looked at, so what a file uses of this one
// by way of their generic functions is missing.
func usesAmongFiles(t *testing.T, dir string) map[string]map[string]map[string]bool {
	t.Helper()
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	uses := make(map[string]map[string]map[string]bool)
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
		uses[strings.TrimSuffix(name, ".go")] = make(map[string]map[string]bool)
	}
	info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: noImports{}, Error: func(error) {}} // what other packages have is unknown
	of, _ := config.Check(pkg.Name, fset, files, &info)
	fileOf := func(p token.Pos) string {
		return strings.TrimSuffix(filepath.Base(fset.Position(p).Filename), ".go")
	}
	for ident, obj := range info.Uses {
		from, to := fileOf(ident.Pos()), fileOf(obj.Pos())
		if obj.Pkg() != of || from == to {
			continue
		}
		if uses[from][to] == nil {
			uses[from][to] = make(map[string]bool)
		}
		uses[from][to][obj.Name()] = true
	}
	return uses
}

type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not looked at") }
