// Package companion reads the file NAME.plugin.yaml beside a plugin's binary: what a binary that was
// written for another host does not say of itself, and settings of this plugin alone.
package companion

import (
	"encoding/json"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/strictjson"
	"github.com/resonhost/resonhost/internal/yamlfile"
)

// Suffix is what follows a plugin's name in the name of its companion file.
const Suffix = ".plugin.yaml"

// MaxBytes is the largest companion file, in bytes.
const MaxBytes = 1 << 20

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
	// AllowedHosts are patterns of host names that the guest may send requests to.
	AllowedHosts []string
	// SelfTests are tasks whose answers are known.
	SelfTests []manifest.SelfTest
	// Settings are the plugin's own, in the file's order.
	Settings []Setting
}

// Transform is one that a companion file declares.
type Transform struct {
	Name string
	// Export is the function that does it, Operation what a guest of waPC is told, and Arguments
	// what follow File.Arguments. Each is for kinds that have such.
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

// Setting is one of a plugin's settings, by its name in a file of configuration.
type Setting struct {
	Key, Value string
	Line       int
}

// Parse reads a file. Its errors are [*yamlfile.Error]s, or of the file as a whole.
func Parse(doc []byte) (*File, error) {
	if len(doc) > MaxBytes {
		return nil, fmt.Errorf("has %d bytes, the limit is %d", len(doc), MaxBytes)
	}
	top, err := yamlfile.Parse(doc)
	f := new(File)
	if err != nil || top == nil {
		return f, err
	}
	fields := map[string]func(*yaml.Node) error{
		"kind":          text(&f.Kind, "kind"),
		"name":          text(&f.Name, "name"),
		"version":       text(&f.Version, "version"),
		"config":        texts(&f.Config, "config"),
		"environment":   texts(&f.Environment, "environment"),
		"arguments":     list(&f.Arguments, "arguments"),
		"allowed_hosts": list(&f.AllowedHosts, "allowed_hosts"),
		"self_tests":    f.selfTests,
	}
	return f, yamlfile.Members(top, "the file", keys(fields), func(key string, value *yaml.Node) error {
		return fields[key](value)
	})
}

// selfTests reads tests of the form that manifests have.
func (f *File) selfTests(n *yaml.Node) error {
	return yamlfile.Items(n, "self_tests", func(i int, value *yaml.Node) error {
		var fields map[string]any
		var test manifest.SelfTest
		err := value.Decode(&fields)
		if err == nil {
			var doc []byte
			if doc, err = json.Marshal(fields); err == nil {
				err = strictjson.Unmarshal(doc, &test)
			}
		}
		if err != nil {
			return yamlfile.At(value, "self_tests[%d]: %v", i, err)
		}
		f.SelfTests = append(f.SelfTests, test)
		return nil
	})
}

func keys(fields map[string]func(*yaml.Node) error) (all []string) {
	for key := range fields {
		all = append(all, key)
	}
	return all
}

func text(to *string, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) (err error) {
		*to, err = yamlfile.Scalar(n, what)
		return err
	}
}

func list(to *[]string, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return yamlfile.Items(n, what, func(i int, value *yaml.Node) error {
			s, err := yamlfile.Scalar(value, fmt.Sprintf("%s[%d]", what, i))
			*to = append(*to, s)
			return err
		})
	}
}

func texts(to *map[string]string, what string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		*to = make(map[string]string)
		return yamlfile.Members(n, what, nil, func(key string, value *yaml.Node) (err error) {
			(*to)[key], err = yamlfile.Scalar(value, what+"."+key)
			return err
		})
	}
}
