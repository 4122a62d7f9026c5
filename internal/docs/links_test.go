package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/resonhost/resonhost/internal/guesttest"
)

// anchors are those that a page of GitHub's gives a document's headings.
func (d document) anchors() map[string]bool {
	found := make(map[string]bool)
	for _, b := range d.blocks() {
		if b.kind != heading {
			continue
		}
		text := strings.ToLower(link.ReplaceAllString(b.text, "$1"))
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return r
			}
			return -1
		}, text)
		found[anchor] = true
	}
	return found
}

// url is an address, or what is none.
var url = regexp.MustCompile(`^[a-z]+:`)

// TestLinks follows the links within the repository of every Markdown file: the file is there, and
// so is the heading.
func TestLinks(t *testing.T) {
	root := guesttest.Root()
	for _, d := range allMarkdown(t) {
		for _, b := range d.blocks() {
			for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(b.text, "`"), -1) {
				target := m[2]
				if url.MatchString(target) || target == "" {
					continue
				}
				file, anchor, _ := strings.Cut(target, "#")
				to := d
				if file != "" {
					to.path = path.Join(path.Dir(d.path), file)
					at := filepath.Join(root, filepath.FromSlash(to.path))
					info, err := os.Stat(at)
					if err != nil {
						t.Errorf("%s:%d: the link to %s leads nowhere", d.path, b.line, target)
						continue
					}
					if info.IsDir() || anchor == "" {
						continue
					}
					to = read(t, to.path)
				}
				if !to.anchors()[anchor] {
					t.Errorf("%s:%d: %s has no heading #%s", d.path, b.line, to.path, anchor)
				}
			}
		}
	}
}

// allMarkdown is every Markdown file of the repository, but for what builds left and what others
// wrote.
func allMarkdown(t *testing.T) (docs []document) {
	t.Helper()
	root := guesttest.Root()
	err := filepath.WalkDir(root, func(at string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || e.Name() == "bin" || at != root && strings.HasPrefix(e.Name(), ".")):
			return filepath.SkipDir
		case strings.HasSuffix(at, ".md"):
			rel, err := filepath.Rel(root, at)
			if err != nil {
				return err
			}
			docs = append(docs, read(t, filepath.ToSlash(rel)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}
