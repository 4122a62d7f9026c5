// Package companion reads the file NAME.plugin.yaml beside a plugin's binary: what a binary that was
// written for another host does not say of itself, and limits of this plugin alone.
package companion

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/yamlfile"
)

// Suffix is what follows a plugin's name in the name of its companion file.
const Suffix = ".plugin.yaml"

// Error is what is wrong with a file.
type Error struct {
	// File is its name, "" if there is no file, and Line the line, from 1; 0 is the file as a whole.
	File string
	Line int
	Msg  string
	// Unknown is the name of a member that there is not; "" of other errors.
	Unknown string
}

func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.Msg
	case e.Line == 0:
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// MaxBytes is the largest companion file, in bytes. All texts that it gives have as much at most, each
// with a byte beside its own: an alias of YAML's repeats in few bytes a text of many.
const MaxBytes = 1 << 20

// MaxHosts is the largest number of allowed hosts, and MaxHostBytes the longest pattern of one.
const (
	MaxHosts     = 100
	MaxHostBytes = 255
)

// File is what a companion file says. Fields that it does not have are zero.
type File struct {
	// Kind is the name of the kind of guest; "" has it recognised.
	Kind string
	// Name and Version are the plugin's.
	Name, Version string
	// Transforms are what the plugin does; none has them derived from its exports.
	Transforms []Transform
	// Config is what the guest can ask for, by key.
	Config map[string]string
	// Environment and Arguments are what a command finds, besides arguments of a transform.
	Environment map[string]string
	Arguments   []string
	// AllowedHosts are patterns of host names that the guest may send requests to, in lower case:
	// at most MaxHosts, of MaxHostBytes each.
	AllowedHosts []string
	// SelfTests are tasks whose answers are known.
	SelfTests []manifest.SelfTest
	// Limits are those of this plugin.
	Limits Limits
	// Settings are settings of the host for this plugin, in the order of the file.
	Settings []Setting

	name  string         // "" if there is no file
	lines map[string]int // of its keys
	tests []int          // lines of SelfTests
	odd   string         // the name of a member that there is not
	left  int            // how many bytes texts may have yet, see spend
}

// Limits are what manifests of Extism's bound, beside what settings do.
type Limits struct {
	// TimeoutMS is how long a task may run, in milliseconds, and MaxPages how large the guest's memory
	// may become, in pages of 64 KiB; 0 is the plugin's setting.
	TimeoutMS, MaxPages int
	// MaxResponseBytes is the longest body of an HTTP response, and MaxVariableBytes what all
	// variables of a task take together. Nil is Extism's default.
	MaxResponseBytes, MaxVariableBytes *int
}

// Setting is one of the host's that the file sets. What it is called and may be is the host's to know.
type Setting struct {
	Key, Value string
	Line       int
}

// Transform is one that a companion file declares.
type Transform struct {
	Name string
	// Export is the function that does it, Operation what a guest of waPC is told, and Arguments
	// what follow File.Arguments. Each is for kinds that have such. "" of the first two is the
	// transform's name, see [Transform.Bare].
	Export, Operation string
	Arguments         []string
	// Input and Output are media types; "" are bytes.
	Input, Output string
	// InputSchema and OutputSchema are JSON Schemas; nil without.
	InputSchema, OutputSchema json.RawMessage
	// Timeout is how long a task may run; 0 is the plugin's setting.
	Timeout time.Duration
	// StateBytes is the longest state of a stream; 0 keeps none.
	StateBytes int
	// Line is where the file declares it, from 1.
	Line int
}

// Bare is the transform's name without the plugin's before it.
func (t *Transform) Bare(plugin string) string { return strings.TrimPrefix(t.Name, plugin+".") }

func (t *Transform) has(key string) bool {
	switch key {
	case "export":
		return t.Export != ""
	case "operation":
		return t.Operation != ""
	case "arguments":
		return len(t.Arguments) > 0
	case "state":
		return t.StateBytes != 0
	}
	return false
}

// Parse reads the file of a plugin's source of that name; nil is that there is none, and the File is
// empty then. Its errors are [*Error]s.
func Parse(source string, doc []byte) (*File, error) {
	if doc == nil {
		return new(File), nil
	}
	f := &File{name: foreign.Cut(source) + Suffix, lines: make(map[string]int), left: MaxBytes}
	if len(doc) > MaxBytes {
		return nil, f.at(0, "has %d bytes, the limit is %d", len(doc), MaxBytes)
	}
	err := f.parse(doc)
	if at := (*yamlfile.Error)(nil); errors.As(err, &at) {
		return nil, &Error{f.name, at.Line, at.Msg, f.odd}
	}
	if err != nil {
		return nil, f.at(0, "%v", err)
	}
	return f, nil
}

func (f *File) at(line int, format string, args ...any) error {
	return &Error{f.name, line, fmt.Sprintf(format, args...), ""}
}

// At returns the [*Error] of a key of the file's.
func (f *File) At(key, format string, args ...any) error { return f.at(f.lines[key], format, args...) }

// AtLine is [File.At] of a line, such as a transform's.
func (f *File) AtLine(line int, format string, args ...any) error { return f.at(line, format, args...) }

// Has reports whether the file has a key.
func (f *File) Has(key string) bool { return f.lines[key] > 0 }

// Refuse joins an [*Error] for each of the keys that the file has, for kinds that have no use for
// them. It is nil if there are none.
func (f *File) Refuse(why string, keys ...string) error {
	var errs []error
	for _, key := range keys {
		if f.Has(key) {
			errs = append(errs, f.At(key, "%s: %s", key, why))
		}
	}
	return errors.Join(errs...)
}

// RefuseTimeouts joins an [*Error] for each of the file's own times that a task may run.
func (f *File) RefuseTimeouts(why string) error {
	err := f.Refuse(why, "timeout_ms")
	for i := range f.Transforms {
		if t := &f.Transforms[i]; t.Timeout != 0 {
			err = errors.Join(err, f.at(t.Line, "transforms[%d].timeout: %s", i, why))
		}
	}
	return err
}

// RefuseIn joins an [*Error] for each transform of the file's that has a key, which is export,
// operation, arguments or state. It is nil if there are none.
func (f *File) RefuseIn(key, why string) error {
	var errs []error
	for i := range f.Transforms {
		if t := &f.Transforms[i]; t.has(key) {
			errs = append(errs, f.at(t.Line, "transforms[%d].%s: %s", i, key, why))
		}
	}
	return errors.Join(errs...)
}

// wasmPage is the unit of Limits.MaxPages, in bytes.
const wasmPage = 64 << 10

// MaxMemory is Limits.MaxPages in bytes; 0 is no bound.
func (f *File) MaxMemory() uint64 { return uint64(f.Limits.MaxPages) * wasmPage }

// theFile is what messages call the top of the file.
const theFile = "the file"

func (f *File) parse(doc []byte) error {
	top, err := yamlfile.Parse(doc)
	if err != nil || top == nil {
		return err
	}
	fields := f.fields()
	return yamlfile.Members(top, theFile, f.known(theFile, fields), func(key string, value *yamlfile.Node) error {
		f.lines[key] = value.Line
		return fields[key](value)
	})
}

// reader reads the value of a member.
type reader = func(*yamlfile.Node) error

// known checks that a name is among those that what has, or else says where it belongs.
func (f *File) known(what string, fields map[string]reader) func(name string) error {
	check := yamlfile.Known(what, slices.Collect(maps.Keys(fields)))
	return func(name string) error {
		err := check(name)
		if err == nil {
			return nil
		}
		f.odd = name
		if place := Place(name); place != "" {
			return fmt.Errorf("%s has no member %q%s", what, name, place)
		}
		return err
	}
}

// Place says of the name of a member where in a file it belongs; "" if it is no member anywhere.
func Place(name string) string {
	f := new(File)
	switch {
	case f.fields()[name] != nil:
		return "; put it at the top of the file"
	case f.fieldsOf(new(Transform), "")[name] != nil:
		return "; put it under transforms:, in the transform that it is of"
	}
	return ""
}

// fields are the members of the file.
func (f *File) fields() map[string]reader {
	return map[string]reader{
		"kind":    f.text(&f.Kind, "kind"),
		"name":    f.text(&f.Name, "name"),
		"version": f.text(&f.Version, "version"),
		"config": func(n *yamlfile.Node) (err error) {
			f.Config, err = f.texts(n, "config")
			return err
		},
		"environment": func(n *yamlfile.Node) (err error) {
			f.Environment, err = f.texts(n, "environment")
			return err
		},
		"arguments":     f.list(&f.Arguments, "arguments"),
		"allowed_hosts": f.hosts,
		"transforms":    f.transforms,
		"self_tests":    f.selfTests,
		"settings":      f.settings,

		"timeout_ms":         number(func(n int) { f.Limits.TimeoutMS = n }, "timeout_ms"),
		"max_pages":          number(func(n int) { f.Limits.MaxPages = n }, "max_pages"),
		"max_response_bytes": number(func(n int) { f.Limits.MaxResponseBytes = &n }, "max_response_bytes"),
		"max_variable_bytes": number(func(n int) { f.Limits.MaxVariableBytes = &n }, "max_variable_bytes"),
	}
}

// settings reads settings of the host's. Several of a list are written with commas, as a flag has them.
func (f *File) settings(n *yamlfile.Node) error {
	return yamlfile.Members(n, "settings", nil, func(key string, value *yamlfile.Node) error {
		if err := f.spend(value, "settings", key); err != nil {
			return err
		}
		v, err := f.scalar(value, "settings."+foreign.Cut(key))
		f.Settings = append(f.Settings, Setting{key, v, value.Line})
		return err
	})
}

// selfTests reads tests of the form that manifests have.
func (f *File) selfTests(n *yamlfile.Node) error {
	left := MaxBytes // of all together, as aliases repeat what they stand for
	return yamlfile.Items(n, "self_tests", func(i int, value *yamlfile.Node) error {
		if i >= manifest.MaxSelfTests {
			return yamlfile.At(value, "self_tests must have at most %d items", manifest.MaxSelfTests)
		}
		what := fmt.Sprintf("self_tests[%d]", i)
		doc, err := yamlfile.JSON(value, what, left)
		if err != nil {
			return err
		}
		left -= len(doc)
		test, err := manifest.ParseSelfTest(doc)
		if err != nil {
			return yamlfile.At(value, "%s: %v", what, err)
		}
		f.SelfTests, f.tests = append(f.SelfTests, test), append(f.tests, value.Line)
		return nil
	})
}

// scalar reads a single text, and counts it.
func (f *File) scalar(n *yamlfile.Node, what string) (string, error) {
	s, err := yamlfile.Scalar(n, what)
	if err != nil {
		return "", err
	}
	return s, f.spend(n, what, s)
}

// spend counts a text against what all may have together.
func (f *File) spend(n *yamlfile.Node, what, s string) error {
	if f.left -= len(s) + 1; f.left < 0 {
		return yamlfile.At(n, "%s: with it the texts of the file have more than %d bytes together: aliases count as what they stand for", what, MaxBytes)
	}
	return nil
}

func (f *File) text(to *string, what string) func(*yamlfile.Node) error {
	return func(n *yamlfile.Node) (err error) {
		*to, err = f.scalar(n, what)
		return err
	}
}

// number reads a number that is not negative.
func number(set func(int), what string) func(*yamlfile.Node) error {
	return func(n *yamlfile.Node) error {
		s, err := yamlfile.Scalar(n, what)
		if err != nil {
			return err
		}
		v, err := strconv.ParseUint(s, 10, 32)
		if err != nil || v > math.MaxInt {
			return yamlfile.At(n, "%s must be a number from 0 to 4294967295", what)
		}
		set(int(v))
		return nil
	}
}

func (f *File) list(to *[]string, what string) func(*yamlfile.Node) error {
	return func(n *yamlfile.Node) error {
		return yamlfile.Items(n, what, func(i int, value *yamlfile.Node) error {
			s, err := f.scalar(value, fmt.Sprintf("%s[%d]", what, i))
			*to = append(*to, s)
			return err
		})
	}
}

// hosts reads the patterns of allowed hosts.
func (f *File) hosts(n *yamlfile.Node) error {
	const what = "allowed_hosts"
	if err := f.list(&f.AllowedHosts, what)(n); err != nil {
		return err
	}
	if len(f.AllowedHosts) > MaxHosts {
		return yamlfile.At(n, "%s must have at most %d items, has %d", what, MaxHosts, len(f.AllowedHosts))
	}
	for i, pattern := range f.AllowedHosts {
		if len(pattern) > MaxHostBytes {
			return yamlfile.At(n, "%s[%d] must have at most %d bytes, has %d", what, i, MaxHostBytes, len(pattern))
		}
		f.AllowedHosts[i] = strings.ToLower(pattern)
	}
	return nil
}

func (f *File) texts(n *yamlfile.Node, what string) (map[string]string, error) {
	all := make(map[string]string)
	err := yamlfile.Members(n, what, nil, func(key string, value *yamlfile.Node) (err error) {
		if err := f.spend(value, what, key); err != nil {
			return err
		}
		all[key], err = f.scalar(value, what+"."+foreign.Cut(key))
		return err
	})
	return all, err
}
