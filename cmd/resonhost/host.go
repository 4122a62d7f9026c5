package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/trust"
)

var errInterrupted = errors.New("interrupted")

func (o *options) logger(w io.Writer) *slog.Logger {
	o.level.Set(o.logLevel)
	opts := &slog.HandlerOptions{Level: o.level}
	if o.json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// newHost returns the host that the options describe, which is not started.
func (o *options) newHost(log *slog.Logger) (*host.Host, error) {
	cfg := o.host
	cfg.Logger = log
	if cfg.Mode == host.ModeInline {
		cfg.Native = []host.Native{cascade.New(), tick.New()}
		cfg.Watch = false
	} else if err := checkPluginDir(cfg.PluginDir); err != nil {
		return nil, err
	}
	if err := o.setLoading(&cfg); err != nil {
		return nil, err
	}
	h, err := host.New(cfg)
	return h, o.located(inFlags(err))
}

// startHost starts the host that the options describe.
func (o *options) startHost(ctx context.Context, log *slog.Logger) (*host.Host, error) {
	h, err := o.newHost(log)
	if err != nil {
		return nil, err
	}
	if err := h.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, &exit{api.ExitInterrupted, errInterrupted}
		}
		code, text := api.ExitPlugins, asPaths(err.Error())
		if override.MatchString(err.Error()) { // settings of a plugin that is not there
			code = api.ExitUsage
		}
		if errors.Is(err, host.ErrCacheDir) {
			code, text = api.ExitUsage, text+"; --cache-dir names another, or none"
		}
		return nil, &exit{code, errors.New(o.locate(text))}
	}
	return h, nil
}

// setLoading sets what has to do with how plugins are loaded.
func (o *options) setLoading(cfg *host.Config) error {
	cfg.Translate = resonance.Codecs().Translate
	cfg.Fetch = o.outbound().Fetch // whose connections end with the process
	switch o.cacheDir {
	case "none":
	case "":
		cfg.CacheDir = defaultCacheDir()
	default:
		cfg.CacheDir = o.cacheDir
	}
	return o.setTrust(cfg)
}

func (o *options) setTrust(cfg *host.Config) error {
	if o.trust == "" {
		return nil
	}
	keys, err := trust.ReadKeys(o.trust)
	if err != nil {
		return usagef("--trust %s: %w", o.trust, reason(err))
	}
	cfg.Accept = func(_ context.Context, s host.Source) error {
		files := trust.Files{Name: s.Name + ".wasm", WASM: s.WASM, Beside: maps.Clone(s.Beside)}
		if files.Beside == nil {
			files.Beside = make(map[string][]byte)
		}
		if s.Tests != nil {
			files.Beside[s.Name+trust.TestsSuffix] = s.Tests
		}
		if _, manifest := s.Beside[s.Name+".json"]; manifest {
			return errors.New("a manifest of Extism's cannot be signed: write what it says into a companion file, and sign that file")
		}
		if s.Companion != nil {
			files.Beside[s.Name+trust.CompanionSuffix] = s.Companion
		}
		_, err := keys.Verify(files)
		return err
	}
	return nil
}

// defaultCacheDir is a directory of the user's, "" if there is none that can be written
// to.
func defaultCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	dir = filepath.Join(dir, "resonhost")
	if os.MkdirAll(dir, 0o700) != nil {
		return ""
	}
	if tryFile(dir) != nil {
		return ""
	}
	return dir
}

func checkPluginDir(dir string) error {
	if dir == "" {
		return usagef("say where the plugins are: --plugins DIR; or use --mode inline for the built-in transforms")
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return usagef("--plugins %s: %w", dir, reason(err))
	case !info.IsDir():
		return usagef("--plugins %s: must be a directory, of files that end in .wasm", dir)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return usagef("--plugins %s: %w", dir, reason(err))
	}
	return nil
}

// inFlags says what is wrong with a host's configuration, each fault on a line,
// in terms of settings.
func inFlags(err error) error {
	var list interface{ Unwrap() []error }
	if err == nil || !strings.Contains(err.Error(), " configuration: ") || !errors.As(err, &list) {
		return err // a plugin's manifest has fields, too
	}
	var errs []error
	for _, e := range list.Unwrap() {
		if f := (*abi.FieldError)(nil); errors.As(e, &f) {
			e = fmt.Errorf("%s: %s", settingOf(f.Field), goName.ReplaceAllStringFunc(f.Rule, settingOf))
		}
		errs = append(errs, e)
	}
	return &exit{api.ExitUsage, errors.Join(errs...)}
}

var (
	override = regexp.MustCompile(`(Overrides|TenantWeights)\["([^"]*)"\](\.[A-Za-z]+)?`)
	goName   = regexp.MustCompile(`\b(M(ax|in)Instances)\b`)
)

// settingOf is the setting by which a field of host.Config is set.
func settingOf(field string) string {
	if override.MatchString(field) {
		return asPaths(field)
	}
	field = strings.TrimPrefix(field, "Defaults.")
	if field == "PluginDir" {
		return "--plugins"
	}
	return "--" + separated(field, '-')
}

// asPaths writes Overrides["tick"].RunTimeout as in the file of configuration.
func asPaths(s string) string {
	return override.ReplaceAllStringFunc(s, func(match string) string {
		m := override.FindStringSubmatch(match)
		path := map[string]string{"Overrides": overridesKey, "TenantWeights": weightsKey}[m[1]] + "." + m[2]
		if m[3] != "" {
			path += "." + separated(m[3][1:], '_')
		}
		return path
	})
}

// separated writes RunTimeout as run-timeout.
func separated(name string, sep rune) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteRune(sep)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
