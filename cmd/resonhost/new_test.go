package main

import (
	"io"
	"testing"

	"github.com/resonhost/resonhost/internal/scaffold"
)

func TestReleased(t *testing.T) {
	for _, c := range []struct{ set, recorded, want string }{
		{"v1.2.3", "(devel)", "v1.2.3"},
		{"v1.2.3-rc.1", "", "v1.2.3-rc.1"},
		{"", "v1.2.3", "v1.2.3"},
		{"", "(devel)", "(devel)"},
		{"f1e2eb6", "(devel)", "(devel)"},
		{"devel", "(devel)", "(devel)"},
		{"v1.2.3-dirty", "(devel)", "(devel)"},
		{"v1.2.3-5-gf1e2eb6", "v1.2.4-0.20261125190212-f1e2eb6abcde", "v1.2.4-0.20261125190212-f1e2eb6abcde"},
		{"v1.2.3-5-gf1e2eb6-dirty", "(devel)", "(devel)"},
	} {
		if got := released(c.set, c.recorded); got != c.want {
			t.Errorf("released(%q, %q) = %q, want %q", c.set, c.recorded, got, c.want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"shout":     "shout",
		"../a-b/c":  "../a-b/c",
		"-rf":       "./-rf",
		"a b":       "'a b'",
		"it's":      `'it'\''s'`,
		"$(reboot)": "'$(reboot)'",
		"a\nb":      "'a\nb'",
		"~":         "'~'",
		"":          "''",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", word, got, want)
		}
	}
}

// TestNewWithoutRelease is what a command says that was built in a checkout.
func TestNewWithoutRelease(t *testing.T) {
	p := project{dir: t.TempDir(), Options: scaffold.Options{Name: "shout", Kind: scaffold.Native, Language: "go", Version: "(devel)"}}
	const want = "this resonhost was built from a checkout and is no release, which a go.mod would require; say where the checkout is: --replace DIR"
	if err := p.write(io.Discard); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
