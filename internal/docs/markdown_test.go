// Package docs holds the documents of this repository to their rules: short sentences, links
// that lead somewhere, and words that are spelt right. It has tests alone.
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

// document is a file of Markdown.
type document struct {
	path string // relative to the module's root, with slashes
	text string
}

// documents are those that users and contributors read.
func documents(t *testing.T) (docs []document) {
	t.Helper()
	root := guesttest.Root()
	paths := []string{"README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "RUNBOOK.md", "deploy/README.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			paths = append(paths, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		docs = append(docs, read(t, path))
	}
	return docs
}

func read(t *testing.T, path string) document {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(guesttest.Root(), filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return document{path, string(b)}
}

// block is a paragraph, an item of a list, a cell of a table or a heading.
type block struct {
	line int // of its first line, from 1
	kind blockKind
	text string // with lines joined by a space
}

type blockKind int

const (
	prose blockKind = iota
	cell
	heading
)

var (
	listItem = regexp.MustCompile(`^\s*([-*+]|\d+\.)\s+`)
	comment  = regexp.MustCompile(`(?s)<!--.*?-->`)
)

// blocks parts a document, and leaves out code.
func (d document) blocks() (all []block) {
	// Comments go, and their lines stay.
	text := comment.ReplaceAllStringFunc(d.text, func(s string) string { return strings.Repeat("\n", strings.Count(s, "\n")) })
	open, fence := false, false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fence, open = !fence, false
		case fence:
		case trimmed == "":
			open = false
		case strings.HasPrefix(trimmed, "#"):
			all = append(all, block{i + 1, heading, strings.TrimSpace(strings.TrimLeft(trimmed, "#"))})
			open = false
		case strings.HasPrefix(trimmed, "|"):
			for c := range strings.SplitSeq(strings.Trim(trimmed, "|"), " | ") {
				if c = strings.TrimSpace(c); strings.Trim(c, "-:| ") != "" {
					all = append(all, block{i + 1, cell, c})
				}
			}
			open = false
		case open && !listItem.MatchString(line):
			all[len(all)-1].text += " " + trimmed
		default:
			all = append(all, block{i + 1, prose, listItem.ReplaceAllString(line, "")})
			open = true
		}
	}
	return all
}

var (
	inlineCode = regexp.MustCompile("`[^`]+`")
	link       = regexp.MustCompile(`!?\[([^\]]*)\]\(([^)\s]*)\)`)
	sentence   = regexp.MustCompile(`[.?!][")*_]*\s+`)
)

// plain is text without marks: code is one word, and a link is what it shows.
func plain(text string) string {
	text = inlineCode.ReplaceAllString(text, "Code")
	text = link.ReplaceAllString(text, "$1")
	return strings.NewReplacer("**", "", "__", "").Replace(text)
}

// sentences parts a block's text at full stops, question marks and exclamation marks.
func sentences(text string) []string {
	return slices.DeleteFunc(sentence.Split(plain(text), -1), func(s string) bool { return len(words(s)) == 0 })
}

// words are what a reader counts: dashes and signs alone are none.
func words(s string) []string {
	return slices.DeleteFunc(strings.Fields(s), func(w string) bool { return strings.Trim(w, "–—-/×→…·≤≥<>=+&") == "" })
}
