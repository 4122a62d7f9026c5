package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

var (
	makeVariable = regexp.MustCompile(`(?m)^([A-Z0-9_]+) *[:?]?= *(.*)$`)
	// testPattern is what a command of the Makefile has of the names of tests.
	testPattern  = regexp.MustCompile(`-(?:run|skip|bench) '([^']+)'`)
	makePackage  = regexp.MustCompile(`(?:^|\s)\./([\w/-]+?)(/\.{3})?(?:\s|;|\)|$)`)
	alternatives = regexp.MustCompile(`^(.*?)\(([^()]*)\)(.*)$`)
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`)
)

// TestMakefile holds the Makefile to packages and tests that there are: go test runs nothing for a
// pattern that matches none, and succeeds.
func TestMakefile(t *testing.T) {
	root := guesttest.Root()
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\\\n", " ")
	for _, m := range makeVariable.FindAllStringSubmatch(text, -1) {
		text = strings.ReplaceAll(text, "$("+m[1]+")", m[2])
	}
	text = strings.ReplaceAll(text, "$$", "$")
	checked := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "\t") {
			continue
		}
		var dirs []string
		for _, m := range makePackage.FindAllStringSubmatch(line, -1) {
			dir := filepath.Join(root, m[1])
			if _, err := os.Stat(dir); err != nil && strings.Contains(line, "cd bench") {
				dir = filepath.Join(root, "bench", m[1])
			}
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("there is no ./%s, which the Makefile has in %q", m[1], strings.TrimSpace(line))
			}
			dirs = append(dirs, dir)
		}
		for _, m := range testPattern.FindAllStringSubmatch(line, -1) {
			pattern, _, _ := strings.Cut(m[1], "/") // subtests
			if pattern == "^$" {
				continue
			}
			in, recursive := dirs, false
			if len(in) == 0 {
				in, recursive = []string{root}, true
			}
			functions := testFunctions(t, in, recursive)
			for _, one := range expand(pattern) {
				if checked++; !matchesAny(regexp.MustCompile(one), functions) {
					t.Errorf("no test is called %s, which the Makefile has in %q", one, strings.TrimSpace(line))
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("%d names of tests were found", checked)
	}
	for name := range strings.SplitSeq(regexp.MustCompile(`NO_RACE_PACKAGES := (.*)`).FindStringSubmatch(text)[1], "|") {
		if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(name, "$"))); err != nil {
			t.Errorf("NO_RACE_PACKAGES: %v", err)
		}
	}
}

// expand returns the alternatives of a pattern's first group, each as a pattern.
func expand(pattern string) (all []string) {
	m := alternatives.FindStringSubmatch(pattern)
	if m == nil {
		return []string{pattern}
	}
	for one := range strings.SplitSeq(m[2], "|") {
		all = append(all, m[1]+one+m[3])
	}
	return all
}

func matchesAny(re *regexp.Regexp, names []string) bool {
	return slices.ContainsFunc(names, re.MatchString)
}

// testFunctions are the names of the tests of packages.
func testFunctions(t *testing.T, dirs []string, recursive bool) (names []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && at != dir && !recursive:
				return filepath.SkipDir
			case !strings.HasSuffix(at, "_test.go"):
				return nil
			}
			b, err := os.ReadFile(at)
			for _, m := range testFunction.FindAllStringSubmatch(string(b), -1) {
				names = append(names, m[1])
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}
