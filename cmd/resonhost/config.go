package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// maxConfig is the largest file of configuration, in bytes.
const maxConfig = 1 << 20

// readConfig reads the file of configuration, if there is one, and takes from it
// what neither a flag nor the environment has set. It warns of settings without effect.
func (o *options) readConfig(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		s := setting{name: name}
		if c.Count(name) == 0 && os.Getenv(s.env()) != "" {
			o.given.add(name, byVariable, s.env())
		} else {
			o.given.add(name, byFlag, "--"+name)
		}
	}
	if err := o.readFile(c); err != nil {
		return err
	}
	for _, w := range o.withoutEffect(c.Command.Name) {
		fmt.Fprintln(c.App.ErrWriter, "resonhost: warning:", printable(w))
	}
	return nil
}

func (o *options) readFile(c *cli.Context) error {
	if o.configFile == "" {
		return nil
	}
	f, err := os.Open(o.configFile)
	if err != nil {
		return usagef("--config %s: %w", o.configFile, reason(err))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return usagef("--config %s: %w", o.configFile, reason(err))
	}
	if len(b) > maxConfig {
		return usagef("--config %s: larger than %d bytes", o.configFile, maxConfig)
	}
	if b, err = foreign.UTF8(b); err != nil {
		return usagef("--config %s: %w", o.configFile, err)
	}
	if err := o.decodeConfig(b, c.IsSet); err != nil {
		var at *lineError
		if errors.As(err, &at) {
			return usagef("%s:%d: %s", o.configFile, at.line, at.msg)
		}
		return usagef("--config %s: %w", o.configFile, err)
	}
	return nil
}

// lineError is what is wrong in a line of the file.
type lineError struct {
	line int
	msg  string
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

func at(n *yaml.Node, format string, args ...any) error {
	return &lineError{n.Line, fmt.Sprintf(format, args...)}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

// What only the file has.
const (
	overridesKey = "plugin_overrides"
	weightsKey   = "tenant_weights"
)

// decodeConfig takes settings from YAML. A setting that isSet reports, by its
// flag's name, is checked and not taken.
func (o *options) decodeConfig(b []byte, isSet func(flag string) bool) error {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // nothing but comments
		}
		return syntax(err)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return at(&second, "a second document begins here, and there may be one")
	case !errors.Is(err, io.EOF):
		return syntax(err)
	}
	top := doc.Content[0]
	var overrides, weights *yaml.Node
	// What the file has for settings that are set goes to options nobody uses.
	own, unused := o.all(), newOptions().all()
	names := append(keys(own), overridesKey, weightsKey)
	err := members(top, theFile, names, func(key string, value *yaml.Node) error {
		switch key {
		case overridesKey:
			overrides = value
			return nil
		case weightsKey:
			weights = value
			return nil
		}
		s := find(own, key)
		if isSet(s.name) {
			s = find(unused, key)
		} else {
			o.given.add(s.name, byFile, key)
		}
		return set(s, key, value)
	})
	if err == nil && weights != nil {
		err = o.decodeWeights(weights)
	}
	if err != nil || overrides == nil {
		return err
	}
	o.host.Overrides = make(map[string]host.PluginConfig)
	return members(overrides, overridesKey, nil, func(plugin string, value *yaml.Node) error {
		var cfg host.PluginConfig
		settings := pluginSettings(&cfg)
		path := overridesKey + "." + plugin
		o.overrides[plugin] = make(given)
		err := members(value, path, keys(settings), func(key string, value *yaml.Node) error {
			s := find(settings, key)
			o.overrides[plugin].add(s.name, byFile, path+"."+key)
			return set(s, path+"."+key, value)
		})
		o.host.Overrides[plugin] = cfg
		return err
	})
}

func (o *options) decodeWeights(n *yaml.Node) error {
	o.host.TenantWeights = make(map[string]int)
	return members(n, weightsKey, nil, func(tenant string, value *yaml.Node) error {
		var weight int
		err := set(setting{value: count{p: &weight}}, weightsKey+"."+tenant, value)
		o.host.TenantWeights[tenant] = weight
		return err
	})
}

// theFile is what messages call the top of the file.
const theFile = "the file"

func syntax(err error) error {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		var line int
		_, _ = fmt.Sscan(m[1], &line) // digits, by the expression
		return &lineError{line, "no valid YAML: " + m[2]}
	}
	return fmt.Errorf("no valid YAML: %w", err)
}

// members calls f for each member of a mapping, whose keys must be among known,
// unless that is nil, and differ.
func members(n *yaml.Node, what string, known []string, f func(key string, value *yaml.Node) error) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return at(n, "%s must have lines of the form name: value", what)
	}
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			return at(k, "%s: a name must be a word", what)
		case known != nil && !slices.Contains(known, k.Value) && what != theFile && slices.Contains(keys(newOptions().all()), k.Value):
			return at(k, "%s: %s is a setting of the host, not of a plugin; set it at the top of the file", what, k.Value)
		case known != nil && !slices.Contains(known, k.Value):
			return at(k, "there is no setting %q%s", k.Value, spell.DidYouMean(k.Value, known))
		case seen[k.Value]:
			return at(k, "%s is there twice", k.Value)
		}
		seen[k.Value] = true
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		if err := f(k.Value, v); err != nil {
			return err
		}
	}
	return nil
}

func set(s setting, path string, value *yaml.Node) error {
	if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
		return at(value, "%s must have a single value", path)
	}
	if err := s.value.Set(value.Value); err != nil {
		return at(value, "%s: %q: %v", path, value.Value, err)
	}
	return nil
}

func keys(settings []setting) (names []string) {
	for _, s := range settings {
		names = append(names, s.key())
	}
	return names
}

func find(settings []setting, key string) setting {
	return settings[slices.IndexFunc(settings, func(s setting) bool { return s.key() == key })]
}
