package companion

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// Plugin is a binary that does not describe itself.
type Plugin struct {
	// Source is the name of its source, Hash the SHA-256 of its binary and of this file behind it, in
	// hexadecimal.
	Source, Hash string
	// Exports are the functions that could be transforms.
	Exports []string
	// Whole is whether the binary is one transform, called by its name alone. It has one export.
	Whole bool
	// StateBytes is the longest state of transforms that are derived; 0 keeps none.
	StateBytes int
}

// Manifest returns the manifest of a binary that does not describe itself, and for each of its
// transforms what the file or the export says of it. Without transforms in the file, each export is
// one: NAME.EXPORT, and NAME too if there is one export.
func (f *File) Manifest(p Plugin) (*manifest.Manifest, []Transform, error) {
	m := &manifest.Manifest{Name: f.Name, Version: f.Version, SelfTests: f.SelfTests}
	if m.Name == "" {
		m.Name = PluginName(p.Source)
	}
	if m.Version == "" {
		m.Version = "sha256-" + p.Hash[:min(12, len(p.Hash))]
	}
	all := f.Transforms
	if len(all) == 0 {
		all = derive(m.Name, p)
	}
	for i := range all {
		t := &all[i]
		m.Transforms = append(m.Transforms, manifest.Transform{
			Name: t.Name, Input: orBytes(t.Input), Output: orBytes(t.Output), InputSchema: t.InputSchema, OutputSchema: t.OutputSchema,
			TimeoutMS: cmp.Or(int(t.Timeout.Milliseconds()), f.Limits.TimeoutMS), StateBytes: t.StateBytes,
		})
	}
	if len(all) == 0 {
		return nil, nil, fmt.Errorf("exports no function that could be a transform: declare transforms in %s%s", foreign.Cut(p.Source), Suffix)
	}
	if err := f.Check(m); err != nil {
		if f.name == "" {
			err = fmt.Errorf("say in %s%s how it is to be called: %w", foreign.Cut(p.Source), Suffix, err)
		}
		return nil, nil, err
	}
	return m, all, nil
}

// Check checks the manifest that comes of a binary and the file.
func (f *File) Check(m *manifest.Manifest) error {
	names := make([]string, len(m.Transforms))
	for i := range m.Transforms {
		names[i] = m.Transforms[i].Name
	}
	var errs []error
	for i, line := range f.tests {
		if name := f.SelfTests[i].Transform; !slices.Contains(names, name) {
			errs = append(errs, f.at(line, "self_tests[%d]: there is no transform %q%s", i, foreign.Cut(name), spell.DidYouMean(name, names)))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	err := m.Validate()
	if err == nil || f.name == "" {
		return err
	}
	faults := []error{err}
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		faults = list.Unwrap()
	}
	for _, fault := range faults {
		line := 0
		if e := (*abi.FieldError)(nil); errors.As(fault, &e) {
			line = f.lineOf(e.Field, len(m.SelfTests)-len(f.tests))
		}
		errs = append(errs, f.at(line, "%v", fault))
	}
	return errors.Join(errs...)
}

// lineOf is the line that has a field of the manifest, 0 if the file does not have it. testsBefore is
// how many self-tests are in front of the file's.
func (f *File) lineOf(field string, testsBefore int) int {
	key, rest, _ := strings.Cut(field, "[")
	number, _, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(number)
	switch {
	case err != nil:
	case key == "transforms" && i < len(f.Transforms):
		return f.Transforms[i].Line
	case key == "self_tests" && i >= testsBefore && i-testsBefore < len(f.tests):
		return f.tests[i-testsBefore]
	}
	return f.lines[key]
}

func derive(name string, p Plugin) (all []Transform) {
	add := func(as, export string) {
		all = append(all, Transform{Name: as, Export: export, StateBytes: p.StateBytes})
	}
	if len(p.Exports) == 1 {
		add(name, p.Exports[0])
	}
	if p.Whole {
		return all
	}
	for _, e := range p.Exports {
		if as := name + "." + plain(e, false); as != name {
			add(as, e)
		}
	}
	return all
}

func orBytes(mediaType string) string {
	if mediaType == "" {
		return manifest.MediaTypeBytes
	}
	return mediaType
}

// PluginName is what a plugin is called that does not say it, by the name of its source.
func PluginName(source string) string { return plain(source, true) }

// plain makes a name of a foreign one: lower case, with _ for what names do not have. The name of a
// plugin has no dot, and begins with a letter.
func plain(s string, plugin bool) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_', r == '.' && !plugin:
			return r
		}
		return '_'
	}, strings.ToLower(s))
	if plugin && (s == "" || s[0] < 'a' || s[0] > 'z') {
		s = "p" + s
	}
	return s
}
