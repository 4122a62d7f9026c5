package scaffold_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/modfile"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/scaffold"
)

// everyLanguage returns those of all kinds.
func everyLanguage() (all []scaffold.Language) {
	for _, kind := range scaffold.Kinds() {
		all = append(all, scaffold.Languages(kind)...)
	}
	return all
}

// TestKinds has what there is not refused.
func TestKinds(t *testing.T) {
	for want, o := range map[string]scaffold.Options{
		`kind: must be one of those there are, not "x"`:                        {Name: "a", Kind: "x", Language: "go"},
		`lang: a plugin of kind command is begun in go, rust, c, not "tinygo"`: {Name: "a", Kind: scaffold.Command, Language: "tinygo"},
		`lang: a plugin of kind wapc is begun in go, rust, c, not "tinygo"`:    {Name: "a", Kind: scaffold.WaPC, Language: "tinygo"},
	} {
		dir := filepath.Join(t.TempDir(), "project")
		if _, err := scaffold.Write(dir, o); err == nil || err.Error() != want || exists(dir) {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}

// TestEveryLanguage writes a project in each and looks at what all have.
func TestEveryLanguage(t *testing.T) {
	for _, l := range everyLanguage() {
		t.Run(l.Kind+"/"+l.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "within")
			files, err := scaffold.Write(dir, scaffold.Options{Name: "a_name-1", Kind: l.Kind, Language: l.Name, Version: "v1.2.3"})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(files) {
				t.Errorf("%q are not in order", files)
			}
			for _, want := range []string{".gitignore", "Makefile", "README.md", "a_name-1.test.ndjson", l.Source} {
				if !slices.Contains(files, want) {
					t.Errorf("%q lack %s", files, want)
				}
			}
			for _, name := range files {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(name, ".go") {
					if formatted, err := format.Source(b); err != nil || !bytes.Equal(formatted, b) {
						t.Errorf("%s is not as gofmt has it: %v", name, err)
					}
				}
				if bytes.Contains(b, []byte("{{")) || bytes.Contains(b, []byte("<no value>")) || !bytes.HasSuffix(b, []byte("\n")) {
					t.Errorf("%s is no finished text:\n%s", name, b)
				}
			}
			checkTests(t, filepath.Join(dir, "a_name-1.test.ndjson"), "a_name-1")
		})
	}
}

// TestWordsOfYAML has plugins whose names YAML takes for something else than text.
func TestWordsOfYAML(t *testing.T) {
	for _, name := range []string{"null", "true", "no", "a"} {
		for _, kind := range scaffold.Kinds()[1:] {
			dir := t.TempDir()
			if _, err := scaffold.Write(dir, scaffold.Options{Name: name, Kind: kind, Language: "c"}); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, name+".plugin.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var file struct {
				Kind       string
				Transforms []struct{ Name any }
				SelfTests  []struct{ Transform any } `yaml:"self_tests"`
			}
			if err := yaml.Unmarshal(b, &file); err != nil || file.Kind != kind || len(file.Transforms) != 1 || file.Transforms[0].Name != name ||
				len(file.SelfTests) != 2 || file.SelfTests[0].Transform != name {
				t.Errorf("%s: %+v, err %v", name, file, err)
			}
		}
	}
}

// checkTests checks that each line is a test of the transform.
func checkTests(t *testing.T, file, transform string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		var test map[string]any
		if err := json.Unmarshal(lines.Bytes(), &test); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		_, output := test["output"]
		_, fails := test["error"]
		if test["name"] == "" || test["transform"] != transform || output == fails {
			t.Errorf("no test: %s", lines.Bytes())
		}
	}
	if n == 0 {
		t.Error("no tests")
	}
}

func TestNames(t *testing.T) {
	const rule = "name: must match ^[a-z][a-z0-9_-]{0,63}$"
	for name, want := range map[string]string{
		"":                       rule,
		".":                      rule,
		"..":                     rule,
		"../x":                   rule,
		"a/b":                    rule,
		`a\b`:                    rule,
		"a.b":                    rule,
		"Shout":                  rule,
		"1st":                    rule,
		"-x":                     rule,
		"a\n":                    rule,
		"a\x00":                  rule,
		"ä":                      rule,
		strings.Repeat("a", 65):  rule,
		strings.Repeat("a", 200): rule,
		strings.Repeat("a", 64):  "",
		"go":                     "",
		"type":                   "",
		"fn":                     "",
		"con":                    "",
		"node_modules":           "",
		"a-":                     "",
	} {
		for _, l := range everyLanguage() {
			dir := filepath.Join(t.TempDir(), "project")
			_, err := scaffold.Write(dir, scaffold.Options{Name: name, Kind: l.Kind, Language: l.Name, Version: "v1.2.3"})
			var fault *abi.FieldError
			switch {
			case want == "" && err != nil:
				t.Errorf("%q in %s: %v", name, l.Name, err)
			case want != "" && (!errors.As(err, &fault) || err.Error() != want):
				t.Errorf("%q in %s: %v, want %s", name, l.Name, err, want)
			case want != "" && exists(dir):
				t.Errorf("%q in %s: something was written", name, l.Name)
			}
		}
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

func TestGoMod(t *testing.T) {
	root := guesttest.Root()
	spaced := filepath.Join(t.TempDir(), `with "quotes" and spaces`)
	other := t.TempDir()
	for _, err := range []error{
		os.Mkdir(spaced, 0o700),
		os.WriteFile(filepath.Join(spaced, "go.mod"), []byte("module "+scaffold.Module+"\n"), 0o600),
		os.WriteFile(filepath.Join(other, "go.mod"), []byte("module example.com/other\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		version, replace string
		require, with    string
		err              string
	}{
		"release":     {version: "v1.2.3", require: "v1.2.3"},
		"prerelease":  {version: "v0.1.0-rc.1", require: "v0.1.0-rc.1"},
		"pseudo":      {version: "v0.0.0-20261125190212-f1e2eb6abcde", require: "v0.0.0-20261125190212-f1e2eb6abcde"},
		"checkout":    {version: "v1.2.3", replace: root, require: "v0.0.0", with: root},
		"quoted":      {replace: spaced, require: "v0.0.0", with: spaced},
		"devel":       {version: "(devel)", err: `"(devel)" is no version of github.com/resonhost/resonhost that a go.mod can require`},
		"none":        {err: `"" is no version of github.com/resonhost/resonhost that a go.mod can require`},
		"commit":      {version: "f1e2eb6", err: `"f1e2eb6" is no version of github.com/resonhost/resonhost that a go.mod can require`},
		"dirty":       {version: "v1.2.3+dirty", err: `"v1.2.3+dirty" is no version of github.com/resonhost/resonhost that a go.mod can require`},
		"major":       {version: "v2.0.0", err: `"v2.0.0" is no version of github.com/resonhost/resonhost that a go.mod can require`},
		"no checkout": {replace: other, err: "replace: must be a checkout of github.com/resonhost/resonhost: " + filepath.Join(other, "go.mod") + ` is of the module "example.com/other"`},
		"nowhere":     {replace: filepath.Join(other, "nowhere"), err: "replace: must be a checkout of github.com/resonhost/resonhost: " + filepath.Join(other, "nowhere", "go.mod") + ": no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "project")
			_, err := scaffold.Write(dir, scaffold.Options{Name: "shout", Language: "go", Version: c.version, Replace: c.replace})
			if c.err != "" {
				if err == nil || err.Error() != c.err || exists(dir) {
					t.Errorf("err %v, want %s; written: %v", err, c.err, exists(dir))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			if err != nil {
				t.Fatal(err)
			}
			f, err := modfile.Parse("go.mod", b, nil)
			if err != nil {
				t.Fatal(err)
			}
			if f.Module.Mod.Path != "example.com/shout-plugin" || f.Require[0].Mod.Version != c.require {
				t.Errorf("go.mod:\n%s", b)
			}
			if (len(f.Replace) == 1) != (c.with != "") || c.with != "" && f.Replace[0].New.Path != c.with {
				t.Errorf("go.mod does not replace by %q:\n%s", c.with, b)
			}
			if want := ownGo(t); f.Go.Version != want {
				t.Errorf("go %s, the module has %s", f.Go.Version, want)
			}
		})
	}
}

// ownGo is the version of Go that this module's go.mod has.
func ownGo(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(guesttest.Root(), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := modfile.ParseLax("go.mod", b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f.Go.Version
}

// TestNothingIsOverwritten begins a plugin where there are files already.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	options := scaffold.Options{Name: "shout", Language: "rust"}
	mine := filepath.Join(dir, "notes.txt")
	link := filepath.Join(dir, "Cargo.toml")
	for _, err := range []error{
		os.WriteFile(mine, []byte("mine"), 0o600),
		os.Symlink("nowhere", link),
		os.Mkdir(filepath.Join(dir, "Makefile"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, dir)
	_, err := scaffold.Write(dir, options)
	var there *scaffold.ExistError
	if !errors.As(err, &there) || err.Error() != dir+": has Cargo.toml, Makefile already" {
		t.Errorf("err %v", err)
	}
	if after := tree(t, dir); !slices.Equal(after, before) {
		t.Errorf("%q, was %q", after, before)
	}

	// What is in nobody's way is let be.
	for _, name := range []string{"Cargo.toml", "Makefile"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := scaffold.Write(dir, options); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := scaffold.Write(mine, options); err == nil || err.Error() != "write to "+mine+": is no directory" {
		t.Errorf("err %v", err)
	}
}

func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}
