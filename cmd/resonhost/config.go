package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
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
			o.given[name] = place{by: byVariable, word: s.env()}
		} else {
			word := "--" + name
			if names := f.Names(); len(names) > 1 {
				word += " (--" + names[1] + ")"
			}
			o.given[name] = place{by: byFlag, word: word}
		}
	}
	if err := o.readFile(c.IsSet); err != nil {
		return err
	}
	for _, w := range o.withoutEffect(c.Command.Name) {
		fmt.Fprintln(c.App.ErrWriter, "resonhost: warning:", printable(w))
	}
	return o.remote.overTLS(o.given)
}

// readFile reads the file of configuration. Its error has each fault of the file on a line.
func (o *options) readFile(isSet func(flag string) bool) error {
	if o.configFile == "" {
		return nil
	}
	o.unread = true
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
	var faults []error
	for _, err := range each(o.decodeConfig(b, isSet)) {
		if at := (*yamlfile.Error)(nil); errors.As(err, &at) {
			err = fmt.Errorf("%s:%d: %s", o.configFile, at.Line, at.Msg)
		} else {
			err = fmt.Errorf("--config %s: %w", o.configFile, err)
		}
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return &exit{api.ExitUsage, err}
	}
	return nil
}

// each returns the errors that were joined to one, at any depth.
func each(err error) (all []error) {
	switch e := err.(type) { //nolint:errorlint // an error that wraps another is one fault
	case nil:
		return nil
	case *exit:
		return each(e.err)
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			all = append(all, each(err)...)
		}
		return all
	}
	return []error{err}
}

// What only the file has.
const (
	overridesKey = "plugin_overrides"
	weightsKey   = "tenant_weights"
)

// decodeConfig takes settings from YAML. A setting that isSet reports, by its
// flag's name, is checked and not taken. All faults are joined.
func (o *options) decodeConfig(b []byte, isSet func(flag string) bool) error {
	top, err := yamlfile.Parse(b)
	o.unread = err != nil
	if err != nil || top == nil {
		return err
	}
	// What the file has for settings that are set goes to options nobody uses.
	own, unused := o.all(), newOptions().all()
	names := append(keys(own), overridesKey, weightsKey)
	return yamlfile.Every(top, "the file", oneOf(names), func(key string, value *yamlfile.Node) error {
		switch key {
		case overridesKey:
			return o.decodeOverrides(value)
		case weightsKey:
			return o.decodeWeights(value)
		}
		s := find(own, key)
		if isSet(s.name) {
			return set(find(unused, key), key, value)
		}
		return o.given.take(s, key, value)
	})
}

func (o *options) decodeOverrides(n *yamlfile.Node) error {
	o.host.Overrides = make(map[string]host.PluginConfig)
	return yamlfile.Every(n, overridesKey, nil, func(plugin string, value *yamlfile.Node) error {
		var cfg host.PluginConfig
		settings := pluginSettings(&cfg)
		path := overridesKey + "." + plugin
		o.overrides[plugin] = given{"": inFile(path, value)}
		err := yamlfile.Every(value, path, ofPlugin(path, keys(settings)), func(key string, value *yamlfile.Node) error {
			s := find(settings, key)
			return o.overrides[plugin].take(s, path+"."+key, value)
		})
		o.host.Overrides[plugin] = cfg
		return err
	})
}

func (o *options) decodeWeights(n *yamlfile.Node) error {
	o.host.TenantWeights = make(map[string]int)
	return yamlfile.Every(n, weightsKey, nil, func(tenant string, value *yamlfile.Node) error {
		var weight int
		path := weightsKey + "." + tenant
		err := o.weights.take(weightSetting(tenant, &weight), path, value)
		o.host.TenantWeights[tenant] = weight
		return err
	})
}

// take takes a setting's value from the file.
func (g given) take(s setting, path string, value *yamlfile.Node) error {
	p := inFile(path, value)
	err := set(s, path, value)
	p.bad = err != nil
	g[s.name] = p
	return err
}

// inFile is the place of a value in the file of configuration.
func inFile(path string, value *yamlfile.Node) place {
	return place{by: byFile, word: path, text: value.Value, line: value.Line}
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

func set(s setting, path string, n *yamlfile.Node) error {
	text, err := yamlfile.Scalar(n, path)
	if err != nil {
		return err
	}
	if err := s.value.Set(text); err != nil {
		return yamlfile.At(n, "%s: %q: %v", path, text, err)
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
