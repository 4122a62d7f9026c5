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

// TestWhereToLook looks for the files and folders that ARCHITECTURE names for questions. A file
// without a folder is beside the one before it, or in the root. Any other name is of the language, and
// stands in one of the files.
func TestWhereToLook(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "ARCHITECTURE.md").text, "\n## Where to look\n")
	table, _, _ = strings.Cut(table, "\n## ")
	named, rows := regexp.MustCompile("`([a-z][\\w./]*)`"), 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || strings.Contains(cells[1], "---") || strings.Contains(cells[1], "question") {
			continue
		}
		rows++
		beside, words, texts := "", []string{}, strings.Builder{}
		for _, m := range named.FindAllStringSubmatch(cells[2], -1) {
			name := m[1]
			switch {
			case strings.Contains(name, "/"):
			case name != strings.ToLower(name) || !strings.Contains(name, "."):
				words = append(words, name)
				continue
			default:
				name = filepath.Join(beside, name)
			}
			beside = filepath.Dir(filepath.FromSlash(name))
			file := filepath.Join(guesttest.Root(), filepath.FromSlash(name))
			if info, err := os.Stat(file); err != nil {
				t.Errorf("%s: there is no %s", strings.TrimSpace(cells[1]), name)
			} else if !info.IsDir() {
				texts.WriteString(read(t, name).text)
			}
		}
		for _, word := range words {
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).MatchString(texts.String()) {
				t.Errorf("%s: none of its files has %s", strings.TrimSpace(cells[1]), word)
			}
		}
		if beside == "" {
			t.Errorf("%s: names no file", strings.TrimSpace(cells[1]))
		}
	}
	if rows < 10 {
		t.Errorf("the table has %d questions", rows)
	}
}
