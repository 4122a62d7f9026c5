package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// told are folders whose own line in the tree tells of all that is below them.
var told = []string{"examples/", "internal/scaffold/templates/", "plugins/cascade/", "plugins/tick/", "bench/peers/", "tools/apitest/client/"}

// TestTree holds the tree of ARCHITECTURE to the folders that there are: each that it has is there, and
// each package with more than tests is in it.
func TestTree(t *testing.T) {
	root := guesttest.Root()
	listed := foldersOf(t, read(t, "ARCHITECTURE.md").text)
	for folder := range listed {
		if info, err := os.Stat(filepath.Join(root, filepath.FromSlash(folder))); err != nil || !info.IsDir() {
			t.Errorf("there is no folder %s", folder)
		}
	}
	packages := make(map[string]bool)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "testdata" || name == "node_modules" || name == "bin" || len(name) > 1 && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(d.Name(), ".go") && !strings.HasSuffix(d.Name(), "_test.go") {
			rel, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				return err
			}
			packages[filepath.ToSlash(rel)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 100 || len(listed) < 100 {
		t.Fatalf("found %d packages, and %d folders in the tree", len(packages), len(listed))
	}
	for folder := range packages {
		if !listed[folder] && !below(folder, told) {
			t.Errorf("the tree lacks %s", folder)
		}
	}
}

func below(folder string, parents []string) bool {
	for _, p := range parents {
		if strings.HasPrefix(folder, p) {
			return true
		}
	}
	return false
}

// foldersOf returns the folders that the tree of ARCHITECTURE names. Two spaces more than the line above
// are one folder deeper. Names stand before what is said of them, and end with a slash.
func foldersOf(t *testing.T, text string) map[string]bool {
	t.Helper()
	_, tree, ok := strings.Cut(text, "\n## Tree\n\n```\n")
	tree, _, closed := strings.Cut(tree, "\n```\n")
	if !ok || !closed {
		t.Fatal("ARCHITECTURE has no tree")
	}
	names := regexp.MustCompile(`^( *)((?:[\w./-]+/ +)+)\S`)
	listed := make(map[string]bool)
	var above []string // the folders that the next line may be in, by their depth
	for line := range strings.Lines(tree) {
		m := names.FindStringSubmatch(line)
		depth := 0
		if m != nil {
			depth = len(m[1]) / 2
		}
		if m == nil || depth > len(above) {
			t.Errorf("a line of the tree names no folder: %s", line)
			continue
		}
		above = above[:depth]
		fields := strings.Fields(m[2])
		for _, name := range fields {
			listed[path.Join(path.Join(above...), name)] = true
		}
		above = append(above, strings.TrimSuffix(fields[0], "/"))
	}
	return listed
}
