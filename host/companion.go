package host

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/companion"
	"github.com/resonhost/resonhost/internal/foreign"
	"github.com/resonhost/resonhost/internal/spell"
)

// ofVersion is how a version of a plugin is run.
type ofVersion struct {
	PluginConfig

	// own are the names of the settings that are of the version's companion file.
	own []string
}

// named says of each flag that a text names and the companion file has set where it is set.
func (c *ofVersion) named(text string) string {
	for _, name := range c.own {
		flag, said := "--"+name, "settings."+strings.ReplaceAll(name, "-", "_")+" of its companion file"
		for at := strings.Index(text, flag); at >= 0; {
			end := at + len(flag)
			if end == len(text) || text[end] != '-' && (text[end] < 'a' || text[end] > 'z') {
				text, end = text[:at]+said+text[end:], at+len(said)
			}
			next := strings.Index(text[end:], flag)
			if at = -1; next >= 0 {
				at = end + next
			}
		}
	}
	return text
}

// name has an error say so.
func (c *ofVersion) name(err error) error {
	if err == nil || len(c.own) == 0 {
		return err
	}
	return &namedError{c.named(err.Error()), err}
}

// namedError is an error with a text of its own.
type namedError struct {
	text string
	err  error
}

func (e *namedError) Error() string { return e.text }
func (e *namedError) Unwrap() error { return e.err }

// timeoutOf returns how long tasks of a transform may run, and what says so, in words.
func (c *ofVersion) timeoutOf(t *manifest.Transform) (timeout time.Duration, by string) {
	switch own := t.Timeout(); {
	case c.RunTimeout > 0:
		return c.RunTimeout, "RunTimeout, --run-timeout"
	case own > 0:
		return own, "the timeout of its manifest or companion file, before which RunTimeout, --run-timeout, goes"
	}
	return DefaultRunTimeout, "RunTimeout, --run-timeout"
}

// ofSource returns how a source is run: by Defaults, in front of them what its companion file sets, and
// in front of that Overrides. The command makes Defaults of flags, variables and the configuration file, and
// Overrides of plugin_overrides in that file. The companion file's author is not the operator: what it sets must be stricter than
// Defaults. A file that cannot be read sets nothing; who loads the source tells what is wrong with it.
func (c *Config) ofSource(s Source) (ofVersion, error) {
	v := ofVersion{PluginConfig: c.pluginConfig(s.Name)}
	file, err := companion.Parse(s.Name, s.Companion)
	if err != nil {
		return v, misplaced(err)
	}
	if len(file.Settings) == 0 {
		return v, nil
	}
	own, names, err := c.ownSettings(s.Name, file)
	if err != nil {
		return v, err
	}
	override := c.Overrides[s.Name]
	merged := c.Defaults.overriddenBy(own).overriddenBy(override)
	if most := merged.MaxInstances; own.MaxInstances > 0 && most > 0 && merged.MinInstances > most {
		merged.MinInstances = most // else the file could not have fewer than the operator keeps ready
	}
	var errs []error
	merged.validate(*c, "settings", func(ok bool, field, rule string, values ...any) {
		if !ok {
			errs = append(errs, atSetting(file, field, fmt.Sprintf(rule, values...)))
		}
	})
	if slices.Contains(names, "run-timeout") {
		errs = append(errs, file.RefuseTimeouts("settings.run_timeout is for all transforms: leave one of the two out"))
	}
	return ofVersion{merged.withDefaults(*c), names}, errors.Join(errs...)
}

// misplaced returns the error of a companion file whose fault is a setting in a wrong place; nil of another.
func misplaced(err error) error {
	e := (*companion.Error)(nil)
	if !errors.As(err, &e) || !slices.ContainsFunc(PluginSettings(new(PluginConfig)), func(s Setting) bool { return s.Key() == e.Unknown }) {
		return nil
	}
	at := *e
	at.Msg = fmt.Sprintf("%s is a setting of the host: put it under settings:, at the top of the file", e.Unknown)
	return &at
}

// ownSettings returns what a companion file sets, and the names of what of it the operator has not set
// for this plugin. Its errors are of the file's lines.
func (c *Config) ownSettings(source string, file *companion.File) (own PluginConfig, set []string, err error) {
	override, written, operator := c.Overrides[source], c.Defaults, c.Defaults.withDefaults(*c)
	overrides, words, bounds, settings := PluginSettings(&override), PluginSettings(&written), PluginSettings(&operator), PluginSettings(&own)
	names := make([]string, len(settings))
	for i := range settings {
		names[i] = settings[i].Key()
	}
	var errs []error
	taken := make(map[int]companion.Setting)
	for _, s := range file.Settings {
		at := slices.Index(names, s.Key)
		if at < 0 {
			where := cmp.Or(companion.Place(s.Key), spell.DidYouMean(s.Key, names))
			errs = append(errs, file.AtLine(s.Line, "settings has no member %q%s", foreign.Cut(s.Key), where))
			continue
		}
		if err := settings[at].Value.Set(s.Value); err != nil {
			errs = append(errs, file.AtLine(s.Line, "settings.%s: %q: %v", s.Key, foreign.Cut(s.Value), err))
			continue
		}
		taken[at] = s
	}
	asked := own.withDefaults(*c)
	ranks := PluginSettings(&asked)
	for at, s := range taken {
		if overrides[at].Value.String() != "" {
			continue
		}
		set = append(set, settings[at].Name)
		if !looser(ranks[at].rank(), bounds[at].rank()) {
			continue
		}
		cure := "--" + settings[at].Name
		if settings[at].Default != "" { // Overrides cannot undo a toggle
			cure += fmt.Sprintf(", or plugin_overrides.%s.%s (Config.Overrides)", foreign.Cut(source), s.Key)
		}
		errs = append(errs, file.AtLine(s.Line, "settings.%s: %q is looser than the operator's %s, and a companion file may only be stricter: the operator can set %s",
			s.Key, foreign.Cut(s.Value), bound(&words[at]), cure))
	}
	slices.SortFunc(errs, func(a, b error) int { return lineOf(a) - lineOf(b) })
	return own, set, errors.Join(errs...)
}

// bound is the operator's value of a setting, in words.
func bound(s *Setting) string {
	switch {
	case s.Value.String() != "":
		return s.Value.String()
	case s.Name == "run-timeout": // without one the plugin's own holds
		return fmt.Sprintf("%v, the most that a plugin may have of its own", manifest.MaxTimeout)
	}
	return cmp.Or(s.Default, "false")
}

// looser reports whether a setting of those ranks is looser than another, or neither is stricter.
func looser(ranks, than []float64) bool {
	for i := range ranks {
		if ranks[i] > than[i] {
			return true
		}
	}
	return false
}

func lineOf(err error) int {
	if e := (*companion.Error)(nil); errors.As(err, &e) {
		return e.Line
	}
	return 0
}

// atSetting is the error of a companion file's setting by the path of its field.
func atSetting(file *companion.File, field, rule string) error {
	var key strings.Builder
	_, name, _ := strings.Cut(field, ".")
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			key.WriteByte('_')
		}
		key.WriteRune(unicode.ToLower(r))
	}
	for _, set := range file.Settings {
		if set.Key == key.String() {
			return file.AtLine(set.Line, "settings.%s: %s", set.Key, rule)
		}
	}
	return file.At("settings", "%v", &abi.FieldError{Field: field, Rule: rule})
}
