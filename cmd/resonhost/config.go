package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/yamlfile"
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
	if err := o.decodeConfig(b, c.IsSet); err != nil {
		var at *yamlfile.Error
		if errors.As(err, &at) {
			return usagef("%s:%d: %s", o.configFile, at.Line, at.Msg)
		}
		return usagef("--config %s: %w", o.configFile, err)
	}
	return nil
}

// What only the file has.
const (
	overridesKey = "plugin_overrides"
	weightsKey   = "tenant_weights"
)

// decodeConfig takes settings from YAML. A setting that isSet reports, by its
// flag's name, is checked and not taken.
func (o *options) decodeConfig(b []byte, isSet func(flag string) bool) error {
	top, err := yamlfile.Parse(b)
	if err != nil || top == nil {
		return err
	}
	var overrides, weights *yamlfile.Node
	// What the file has for settings that are set goes to options nobody uses.
	own, unused := o.all(), newOptions().all()
	names := append(keys(own), overridesKey, weightsKey)
	err = yamlfile.Members(top, "the file", oneOf(names), func(key string, value *yamlfile.Node) error {
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
	return yamlfile.Members(overrides, overridesKey, nil, func(plugin string, value *yamlfile.Node) error {
		var cfg host.PluginConfig
		settings := pluginSettings(&cfg)
		path := overridesKey + "." + plugin
		o.overrides[plugin] = make(given)
		err := yamlfile.Members(value, path, ofPlugin(path, keys(settings)), func(key string, value *yamlfile.Node) error {
			s := find(settings, key)
			o.overrides[plugin].add(s.name, byFile, path+"."+key)
			return set(s, path+"."+key, value)
		})
		o.host.Overrides[plugin] = cfg
		return err
	})
}

func (o *options) decodeWeights(n *yamlfile.Node) error {
	o.host.TenantWeights = make(map[string]int)
	return yamlfile.Members(n, weightsKey, nil, func(tenant string, value *yamlfile.Node) error {
		var weight int
		err := set(setting{value: count{p: &weight}}, weightsKey+"."+tenant, value)
		o.host.TenantWeights[tenant] = weight
		return err
	})
}

// oneOf checks that a name is a setting's.
func oneOf(names []string) func(string) error {
	return func(name string) error {
		if slices.Contains(names, name) {
			return nil
		}
		return fmt.Errorf("there is no setting %q%s", name, spell.DidYouMean(name, names))
	}
}

// ofPlugin checks that a name is that of a setting of a plugin's.
func ofPlugin(path string, names []string) func(string) error {
	return func(name string) error {
		err := oneOf(names)(name)
		if err != nil && slices.Contains(keys(newOptions().all()), name) {
			return fmt.Errorf("%s: %s is a setting of the host, not of a plugin; set it at the top of the file", path, name)
		}
		return err
	}
}

func set(s setting, path string, value *yamlfile.Node) error {
	text, err := yamlfile.Scalar(value, path)
	if err != nil {
		return err
	}
	if err := s.value.Set(text); err != nil {
		return yamlfile.At(value, "%s: %q: %v", path, text, err)
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
