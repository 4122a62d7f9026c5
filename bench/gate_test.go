package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadGate(t *testing.T) {
	for content, want := range map[string]string{
		"# a remark\n\na: b | c | d | 1.5\n": "",
		"a | b | c":                          "gate:1: 3 fields, want section | contender | other | most",
		"\na | b | c | much":                 `gate:2: most "much": must be a number above 0`,
		"a | b | c | NaN":                    `gate:1: most "NaN": must be a number above 0`,
		"# nothing":                          "gate: no bounds",
	} {
		path := filepath.Join(t.TempDir(), "gate")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		bounds, err := readGate(path)
		switch {
		case want == "" && (err != nil || len(bounds) != 1 || bounds[0] != bound{3, "a: b", "c", "d", 1.5}):
			t.Errorf("%v, err %v", bounds, err)
		case want != "" && (err == nil || !strings.HasSuffix(err.Error(), want)):
			t.Errorf("err %v, want %s", err, want)
		}
	}
	if _, err := readGate("gate.txt"); err != nil {
		t.Error(err)
	}
}

func TestRatio(t *testing.T) {
	measured := []measurement{{name: "a", samples: []float64{10, 20, 90}}, {name: "b", samples: []float64{5, 10, 30}}}
	g := bound{line: 7, section: "s", contender: "a", other: "b"}
	if got, err := g.ratio(measured); got != 2 || err != nil {
		t.Errorf("%v, err %v", got, err)
	}
	g.other = "c"
	if _, err := g.ratio(measured); err == nil || err.Error() != `line 7: s has no contender "c"` {
		t.Errorf("err %v", err)
	}
}
