package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
)

// shown is a setting as config print has it.
type shown struct {
	Setting string `json:"setting"`         // as in the file
	Value   string `json:"value,omitempty"` // as it is written, "" if it is secret
	Origin  string `json:"origin"`          // flag, environment, file or default
	Word    string `json:"by,omitempty"`    // the flag, or the variable
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Secret  bool   `json:"secret,omitempty"` // the value has a password, and is not shown
}

// show describes a setting. p is where it was set, of no origin if nowhere.
func (o *options) show(key, def string, p place) shown {
	s := shown{Setting: key, Value: p.text, Secret: isSecret(p.text)}
	switch p.by {
	case byFlag:
		s.Origin, s.Word = "flag", p.word
	case byVariable:
		s.Origin, s.Word = "environment", p.word
	case byFile:
		s.Origin, s.File, s.Line = "file", o.configFile, p.line
	default:
		s.Origin, s.Value = "default", def
	}
	if s.Secret {
		s.Value = ""
	}
	return s
}

// isSecret reports whether a value is a URL with a password.
func isSecret(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return false
	}
	_, has := u.User.Password()
	return has
}

// from says in words where a setting was set.
func (s *shown) from() string {
	switch s.Origin {
	case "file":
		return fmt.Sprintf("%s:%d", s.File, s.Line)
	case "default":
		return s.Origin
	}
	return s.Word
}

// effective is all that config print prints.
type effective struct {
	Settings  []shown            `json:"settings"`
	Overrides map[string][]shown `json:"plugin_overrides"`
	Weights   []shown            `json:"tenant_weights"`
}

func (o *options) effective() effective {
	e := effective{Settings: []shown{}, Overrides: make(map[string][]shown), Weights: []shown{}}
	for _, s := range newOptions().ofRun() {
		def := s.def
		if _, ok := s.value.(value.Toggle); ok {
			def = "false"
		}
		e.Settings = append(e.Settings, o.show(s.key(), def, o.given[s.name]))
	}
	for plugin, g := range o.overrides {
		list := []shown{}
		for _, s := range pluginSettings(new(host.PluginConfig)) {
			if p, ok := g[s.name]; ok {
				list = append(list, o.show(s.key(), "", p))
			}
		}
		e.Overrides[plugin] = list
	}
	for _, tenant := range slices.Sorted(maps.Keys(o.weights)) {
		e.Weights = append(e.Weights, o.show(tenant, "", o.weights[tenant]))
	}
	return e
}

// printConfig prints the settings of run as JSON, or as YAML that --config takes.
func (o *options) printConfig(w io.Writer, asJSON bool) error {
	e := o.effective()
	if asJSON {
		return terminal.Encode(w, e)
	}
	var b strings.Builder
	for _, s := range e.Settings {
		b.WriteString(yamlLine("", &s))
	}
	if len(e.Overrides) > 0 {
		b.WriteString(overridesKey + ":\n")
		for _, plugin := range slices.Sorted(maps.Keys(e.Overrides)) {
			if len(e.Overrides[plugin]) == 0 {
				fmt.Fprintf(&b, "  %s: {}\n", yamlScalar(plugin))
				continue
			}
			fmt.Fprintf(&b, "  %s:\n", yamlScalar(plugin))
			for _, s := range e.Overrides[plugin] {
				b.WriteString(yamlLine("    ", &s))
			}
		}
	}
	if len(e.Weights) > 0 {
		b.WriteString(weightsKey + ":\n")
		for _, s := range e.Weights {
			b.WriteString(yamlLine("  ", &s))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// yamlLine is a setting as a line of a file. What is a default is a comment, so that the file sets what was
// set, and so is what cannot be shown.
func yamlLine(indent string, s *shown) string {
	from := printable(strings.Join(strings.Fields(s.from()), " "))
	switch {
	case s.Secret:
		return fmt.Sprintf("%s# %s: not shown, it has a password  # %s\n", indent, s.Setting, from)
	case s.Origin == "default":
		return fmt.Sprintf("%s# %s: %s  # %s\n", indent, s.Setting, cmp.Or(s.Value, "none"), from)
	case !utf8.ValidString(s.Value):
		return fmt.Sprintf("%s# %s: %q, which no YAML can have  # %s\n", indent, s.Setting, s.Value, from)
	}
	return fmt.Sprintf("%s%s: %s  # %s\n", indent, yamlScalar(s.Setting), yamlScalar(s.Value), from)
}

// plain is text that YAML takes as it stands.
var plain = regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9._/%+-]*(:\d+)?$`)

// yamlScalar is text as a value of YAML, in quotes if it needs them.
func yamlScalar(text string) string {
	if plain.MatchString(text) && !strings.EqualFold(text, "null") {
		return text
	}
	var b strings.Builder
	enc := json.NewEncoder(&b) // whose strings are YAML's, too
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text can be encoded
	return strings.TrimSuffix(b.String(), "\n")
}
