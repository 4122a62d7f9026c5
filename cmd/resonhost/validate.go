package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/trust"
)

func validateCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "validate",
		Usage:     "try whether plugins could serve",
		UsageText: "resonhost validate [options] FILE...",
		Description: "Does with each NAME.wasm all that run would, but for serving it: with --trust its\n" +
			"signature is checked; it is compiled, and passes the self-tests of its manifest and\n" +
			"of NAME.test.ndjson beside it. Its companion file NAME.plugin.yaml, and a manifest of\n" +
			"Extism's, NAME.json, are read as run does. With --json it prints one object a line.\n\n" + exitCodes,
		Flags: append(flags(o.loadSettings(), []setting{o.memoryBudget()}, o.config(), pluginSettings(&o.host.Defaults)),
			jsonFlag("print JSON, a line for each file", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			return eachFile(o, c, std, validateFile, func(_ int, name string, in host.Inspection) error {
				if o.json {
					return printInspection(std.out, name, in, true)
				}
				fmt.Fprintf(std.out, "%s: %s %s could serve; it passed %s and %s\n",
					printable(name), in.Manifest.Name, in.Manifest.Version, counted(in.SelfTests, "self-test"), counted(in.Tests, "test"))
				for _, warning := range in.Warnings {
					fmt.Fprintf(std.out, "%s: warning: %s\n", printable(name), printable(warning))
				}
				return nil
			})
		},
	}
}

func validateFile(c *cli.Context, name string, cfg host.Config) (host.Inspection, error) {
	s, err := readSource(c.Context, name, cfg)
	if err != nil {
		return host.Inspection{}, err
	}
	in, err := host.Inspect(c.Context, s, cfg)
	if warning := strayCompanion(name); warning != "" {
		in.Warnings = append(in.Warnings, warning)
	}
	if errors.Is(err, host.ErrCacheDir) {
		return in, &exit{api.ExitUsage, err}
	}
	if load := (*host.LoadError)(nil); errors.As(err, &load) {
		return in, &stepError{load}
	}
	return in, inFlags(err)
}

// readSource reads a plugin's file and what lies beside it.
func readSource(ctx context.Context, name string, cfg host.Config) (host.Source, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return host.Source{}, directory(name)
	}
	plugin := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	s, err := host.ReadSource(ctx, name, maxModule(plugin, cfg))
	if err == nil {
		return s, nil
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) && filepath.Clean(e.Path) == filepath.Clean(name) {
		err = e.Err // else it is of what lies beside
	}
	return host.Source{}, &exit{api.ExitUsage, err}
}

// maxModule is how large the file of a plugin may be, in bytes.
func maxModule(plugin string, cfg host.Config) int {
	return cmp.Or(cfg.Overrides[plugin].MaxModule, cfg.Defaults.MaxModule, host.DefaultMaxModule)
}

// stepError is a [host.LoadError] told with its step, by who has said of which source it is.
type stepError struct{ *host.LoadError }

func (e *stepError) Error() string { return e.Step.In(e.Err.Error()) }

// fileError is an error of a file, whose name each of its lines has.
type fileError struct {
	name string
	err  error
}

func (e *fileError) Error() string {
	prefix := e.name + ": "
	return prefix + strings.ReplaceAll(e.err.Error(), "\n", "\n"+prefix)
}

func (e *fileError) Unwrap() error { return e.err }

// strayCompanion says of a plugin's companion file that it is not read, if one by a wrong name or a link
// that leads nowhere is there.
func strayCompanion(plugin string) string {
	base := strings.TrimSuffix(plugin, filepath.Ext(plugin))
	for _, wrong := range []string{".plugin.yml", ".plugin.json"} {
		if _, err := os.Lstat(base + wrong); err == nil {
			return filepath.Base(base) + wrong + " is not read: call it " + filepath.Base(base) + trust.CompanionSuffix
		}
	}
	file := base + trust.CompanionSuffix
	if _, err := os.Lstat(file); err != nil {
		return ""
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return filepath.Base(file) + " is not read: it is a link that leads nowhere"
	}
	return ""
}
