package companion

import (
	"errors"
	"fmt"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/internal/yamlfile"
)

// transforms reads what the file declares.
func (f *File) transforms(n *yamlfile.Node) error {
	lines := make(map[string]int)
	return yamlfile.Items(n, "transforms", func(i int, value *yamlfile.Node) error {
		if i >= manifest.MaxTransforms {
			return yamlfile.At(value, "transforms must have at most %d items", manifest.MaxTransforms)
		}
		t := Transform{Line: value.Line}
		if err := f.transform(&t, value, fmt.Sprintf("transforms[%d]", i)); err != nil {
			return err
		}
		if first := lines[t.Name]; first > 0 {
			return yamlfile.At(value, "transforms[%d]: there is a transform %q in line %d already", i, t.Name, first)
		}
		lines[t.Name] = value.Line
		f.Transforms = append(f.Transforms, t)
		return nil
	})
}

func (f *File) transform(t *Transform, n *yamlfile.Node, what string) error {
	fields := f.fieldsOf(t, what)
	err := yamlfile.Members(n, what, f.known(what, fields), func(key string, value *yamlfile.Node) error { return fields[key](value) })
	if err == nil && t.Name == "" {
		err = yamlfile.At(n, "%s has no name", what)
	}
	return err
}

// fieldsOf are the members of a transform.
func (f *File) fieldsOf(t *Transform, what string) map[string]reader {
	schema := func(to *[]byte, key string) func(*yamlfile.Node) error {
		return func(n *yamlfile.Node) (err error) {
			*to, err = yamlfile.JSON(n, what+"."+key, manifest.MaxSchemaBytes)
			return err
		}
	}
	return map[string]reader{
		"name":          f.text(&t.Name, what+".name"),
		"export":        f.text(&t.Export, what+".export"),
		"operation":     f.text(&t.Operation, what+".operation"),
		"arguments":     f.list(&t.Arguments, what+".arguments"),
		"input":         f.text(&t.Input, what+".input"),
		"output":        f.text(&t.Output, what+".output"),
		"input_schema":  schema((*[]byte)(&t.InputSchema), "input_schema"),
		"output_schema": schema((*[]byte)(&t.OutputSchema), "output_schema"),
		"timeout":       checked(t.setTimeout, what+".timeout"),
		"state":         checked(t.setState, what+".state"),
	}
}

// checked reads a single value by a function whose error is a rule.
func checked(set func(string) error, what string) func(*yamlfile.Node) error {
	return func(n *yamlfile.Node) error {
		s, err := yamlfile.Scalar(n, what)
		if err != nil {
			return err
		}
		if err := set(s); err != nil {
			return yamlfile.At(n, "%s: %q: %v", what, s, err)
		}
		return nil
	}
}

func (t *Transform) setTimeout(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond {
		return errors.New("must be a duration from 1ms, such as 250ms or 1m30s")
	}
	if d > manifest.MaxTimeout {
		return fmt.Errorf("must be at most %v", manifest.MaxTimeout)
	}
	t.Timeout = d
	return nil
}

func (t *Transform) setState(s string) error {
	n, err := value.ParseBytes(s)
	if err != nil {
		return err
	}
	if n > manifest.MaxStateBytes {
		return fmt.Errorf("must be at most %d bytes", manifest.MaxStateBytes)
	}
	t.StateBytes = int(n)
	return nil
}
