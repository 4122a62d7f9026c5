package docs

import (
	"errors"
	"fmt"
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
// uses names of its own row and of the rows above, and stands in one row. Within a row it should use
// files to its left alone. Each use of one to its right is an arrow that runs up: what is half of a pair
// that know each other. ARCHITECTURE says how many there are.
func TestLayers(t *testing.T) {
	text := read(t, "ARCHITECTURE.md").text
	for _, c := range []struct{ heading, dir string }{
		{"## Package host", "host"},
		{"## Package module", "host/internal/module"},
	} {
		t.Run(c.dir, func(t *testing.T) {
			_, section, ok := strings.Cut(text, "\n"+c.heading+"\n")
			if !ok {
				t.Fatalf("no section %q", c.heading)
			}
			section, _, _ = strings.Cut(section, "\n## ")
			places := placesOf(t, section)
			uses := usesAmongFiles(t, filepath.Join(guesttest.Root(), filepath.FromSlash(c.dir)))
			var up []string
			for _, file := range slices.Sorted(maps.Keys(uses)) {
				at, ok := places[file]
				if !ok {
					t.Errorf("%s.go stands in no row", file)
				}
				for _, other := range slices.Sorted(maps.Keys(uses[file])) {
					names := slices.Sorted(maps.Keys(uses[file][other]))
					switch to := places[other]; {
					case to.row > at.row:
						t.Errorf("%s.go uses %v of %s.go, which stands below", file, names, other)
					case to.row == at.row && to.column > at.column:
						up = append(up, fmt.Sprintf("%s.go uses %v of %s.go", file, names, other))
					}
				}
			}
			for file := range places {
				if uses[file] == nil {
					t.Errorf("there is no %s.go", file)
				}
			}
			if says := arrowsUp.FindString(section); says != fmt.Sprintf("%d arrows run up", len(up)) {
				t.Errorf("%d arrows run up, and ARCHITECTURE says %q:\n%s", len(up), says, strings.Join(up, "\n"))
			}
		})
	}
}

// arrowsUp is where a section says how many arrows run up.
var arrowsUp = regexp.MustCompile(`\d+ arrows run up`)

// place is where a file stands in a table.
type place struct{ row, column int }

// placesOf returns where each file stands in the first table of a section.
func placesOf(t *testing.T, section string) map[string]place {
	t.Helper()
	places := make(map[string]place)
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
		for column, m := range name.FindAllStringSubmatch(cells[1], -1) {
			if _, twice := places[m[1]]; twice {
				t.Errorf("%s stands in two rows", m[1])
			}
			places[m[1]] = place{row, column}
		}
	}
	return places
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
