package docs

import (
	"path"
	"strings"
	"testing"
)

// TestRationaleIndex holds the list of questions to the files that answer them.
func TestRationaleIndex(t *testing.T) {
	index := read(t, "docs/rationale/README.md")
	listed := make(map[string]bool)
	for _, b := range index.blocks() {
		for _, m := range link.FindAllStringSubmatch(b.text, -1) {
			listed[m[2]] = true
		}
	}
	for _, d := range documents(t) {
		dir, name := path.Split(d.path)
		if dir != "docs/rationale/" || name == "README.md" {
			continue
		}
		if !listed[name] {
			t.Errorf("%s does not list %s", index.path, name)
		}
		for question := range d.anchors() {
			if link := name + "#" + question; !listed[link] && !strings.HasPrefix(question, "rationale-") {
				t.Errorf("%s does not list %s", index.path, link)
			}
		}
	}
}
