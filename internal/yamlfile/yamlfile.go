// Package yamlfile reads YAML that people write: with the line of what is wrong, no unknown and no
// repeated names, and nothing ignored.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// Node is a part of a file.
type Node = yaml.Node

// Error is what is wrong in a line of the file.
type Error struct {
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// At returns the [*Error] of a node.
func At(n *Node, format string, args ...any) error {
	return &Error{n.Line, fmt.Sprintf(format, args...)}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// Parse returns the one document of a file, or nil if the file has nothing but comments.
func Parse(b []byte) (*Node, error) {
	b, err := foreign.UTF8(b)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, syntax(err)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, At(&second, "a second document begins here, and there may be one")
	case !errors.Is(err, io.EOF):
		return nil, syntax(err)
	}
	return doc.Content[0], nil
}

func syntax(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		var line int
		_, _ = fmt.Sscan(m[1], &line) // digits, by the expression
		return &Error{line, "no valid YAML: " + m[2]}
	}
	return fmt.Errorf("no valid YAML: %w", err)
}

// Members calls f for each member of a mapping, and ends with the first fault. Names must differ, and
// pass check, whose error is a text about the name; nil takes all. what is the mapping's name in
// messages.
func Members(n *Node, what string, check func(name string) error, f func(name string, value *Node) error) error {
	return members(n, what, check, f, func(err error) error { return err })
}

// Every is [Members] that goes on after a fault, and returns the faults of all members joined.
func Every(n *Node, what string, check func(name string) error, f func(name string, value *Node) error) error {
	var faults []error
	err := members(n, what, check, f, func(err error) error {
		faults = append(faults, err)
		return nil
	})
	return errors.Join(append(faults, err)...)
}

// members hands faults of single members to fault, and ends with what that returns.
func members(n *Node, what string, check func(name string) error, f func(name string, value *Node) error, fault func(error) error) error {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		return At(n, "%s must have lines of the form name: value", what)
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], resolve(n.Content[i+1])
		err := named(k, what, seen, check)
		if err == nil {
			seen[k.Value] = true
			err = f(k.Value, v)
		}
		if err != nil {
			if err := fault(err); err != nil {
				return err
			}
		}
	}
	return nil
}

// named checks the name of a member, beside those that were seen.
func named(k *Node, what string, seen map[string]bool, check func(name string) error) error {
	switch {
	case k.Kind != yaml.ScalarNode:
		return At(k, "%s: a name must be a word", what)
	case seen[k.Value]:
		return At(k, "%s is there twice", k.Value)
	}
	if check != nil {
		if err := check(k.Value); err != nil {
			return At(k, "%v", err)
		}
	}
	return nil
}

// Known checks that a name is among those that what has.
func Known(what string, names []string) func(name string) error {
	return func(name string) error {
		if slices.Contains(names, name) {
			return nil
		}
		return fmt.Errorf("%s has no member %q%s", what, name, spell.DidYouMean(name, names))
	}
}

// Items calls f for each item of a sequence.
func Items(n *Node, what string, f func(i int, value *Node) error) error {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		return At(n, "%s must be a list", what)
	}
	for i, v := range n.Content {
		if err := f(i, resolve(v)); err != nil {
			return err
		}
	}
	return nil
}

// Scalar returns a single value as it is written.
func Scalar(n *Node, what string) (string, error) {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", At(n, "%s must have a single value", what)
	}
	return n.Value, nil
}

// resolve follows an alias.
func resolve(n *Node) *Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
