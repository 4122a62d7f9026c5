package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
)

var pathLike = regexp.MustCompile("`((?:\\.?[a-z]\\w*/)+[\\w.-]*)`")

// TestPaths looks for the files and folders of this repository that documents name.
func TestPaths(t *testing.T) {
	root := guesttest.Root()
	for _, d := range documents(t) {
		for i, line := range strings.Split(d.text, "\n") {
			for _, m := range pathLike.FindAllStringSubmatch(line, -1) {
				top, _, _ := strings.Cut(m[1], "/")
				if info, err := os.Stat(filepath.Join(root, top)); err != nil || !info.IsDir() || top == "bin" {
					continue // of another place
				}
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil {
					t.Errorf("%s:%d: there is no %s", d.path, i+1, m[1])
				}
			}
		}
	}
}
