package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/trust"
)

func inspectCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "inspect",
		Usage:     "check plugins and print what they are",
		UsageText: "resonhost inspect [options] FILE...",
		Description: "Loads each NAME.wasm as run would, with its companion file NAME.plugin.yaml, or a\n" +
			"manifest of Extism's, NAME.json; self-tests included. With --json it prints one object\n" +
			"a line.\n\n" + exitCodes,
		Flags: append(flags(o.cacheSettings(), o.networkSettings(), []setting{o.memoryBudget()}, o.config(), pluginSettings(&o.host.Defaults)),
			jsonFlag("print JSON, a line for each file", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			return eachFile(o, c, std, inspectFile, func(i int, name string, in host.Inspection) error {
				if !o.json && i > 0 {
					fmt.Fprintln(std.out)
				}
				return printInspection(std.out, name, in, o.json)
			})
		},
	}
}

// eachFile loads the plugins of the files that the command names, and shows what each is; i is
// which one it is. A file that cannot serve does not keep it from those after it.
func eachFile[T any](
	o *options, c *cli.Context, std stdio,
	load func(c *cli.Context, name string, cfg host.Config) (T, error),
	show func(i int, name string, in T) error,
) error {
	if !c.Args().Present() {
		return usagef("say which plugins to %s: resonhost %s FILE...", c.Command.Name, c.Command.Name)
	}
	if err := o.readConfig(c); err != nil {
		return err
	}
	cfg := o.host
	cfg.Logger = slog.New(slog.DiscardHandler)
	if err := o.setLoading(&cfg); err != nil {
		return err
	}
	var errs []error
	for i, name := range c.Args().Slice() {
		in, err := load(c, name, cfg)
		switch {
		case err == nil:
			err = show(i, name, in)
		case c.Context.Err() != nil:
			return &exit{api.ExitInterrupted, errInterrupted}
		default:
			fault := err
			errs = append(errs, &fileError{name, err})
			if err = nil; o.json {
				err = printFailure(std.out, name, fault)
			}
		}
		if err != nil { // of the output
			return &exit{api.ExitFailed, err}
		}
	}
	return exitWith(api.ExitPlugins, errs)
}

// printFailure prints what --json has of a plugin that could not serve.
func printFailure(w io.Writer, file string, err error) error {
	return terminal.Encode(w, struct {
		File  string `json:"file"`
		Error string `json:"error"`
	}{file, err.Error()})
}

// exitWith joins errors, and takes the code of the first that has one.
func exitWith(code int, errs []error) error {
	err := errors.Join(errs...)
	if e := (*exit)(nil); err == nil || errors.As(err, &e) {
		return err
	}
	return &exit{code, err}
}

func inspectFile(c *cli.Context, name string, cfg host.Config) (host.Inspection, error) {
	s, err := readBare(c.Context, name, cfg)
	if err != nil {
		return host.Inspection{}, err
	}
	cfg.Accept = nil // whoever has signed it
	in, err := host.Inspect(c.Context, s, cfg)
	return in, loadFault(err)
}

// loadFault is what a command says of a plugin that could not be loaded.
func loadFault(err error) error {
	if errors.Is(err, host.ErrCacheDir) {
		return &exit{api.ExitUsage, err}
	}
	if load := (*host.LoadError)(nil); errors.As(err, &load) {
		return load.Err
	}
	return inFlags(err)
}

// readBare reads a plugin's file without what lies beside it but its companion file, so that it is
// told what it is, whatever its tests say.
func readBare(ctx context.Context, name string, cfg host.Config) (host.Source, error) {
	if filepath.Ext(name) == ".json" { // a manifest of Extism's, which is nothing without its files
		s, err := readSource(ctx, name, cfg)
		s.Tests = nil
		return s, err
	}
	f, err := os.Open(name)
	if err != nil {
		return host.Source{}, &exit{api.ExitUsage, reason(err)}
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close() // nothing was written to it
		return host.Source{}, directory(name)
	}
	plugin := strings.TrimSuffix(filepath.Base(name), ".wasm")
	wasm, err := io.ReadAll(io.LimitReader(f, int64(maxModule(plugin, cfg))+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return host.Source{}, &exit{api.ExitUsage, reason(err)}
	}
	file, err := readCompanion(filepath.Join(filepath.Dir(name), plugin+trust.CompanionSuffix))
	if err != nil {
		return host.Source{}, &exit{api.ExitUsage, err}
	}
	return host.Source{Name: plugin, WASM: wasm, Companion: file}, nil
}

// directory is the error of a directory where a plugin's file is wanted.
func directory(name string) error {
	return usagef("is a directory; give files, such as %s", filepath.Join(name, "*.wasm"))
}

// maxCompanion is the largest companion file, in bytes.
const maxCompanion = 1 << 20

// readCompanion reads the companion file of a plugin, and of one that is too long a byte more, which
// the host refuses; nil if there is none.
func readCompanion(name string) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCompanion+1))
	return b, errors.Join(err, f.Close())
}

// reason leaves out of an error what the message says already: which file, and by
// which call.
func reason(err error) error {
	if e := (*os.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}

func printInspection(w io.Writer, file string, in host.Inspection, asJSON bool) error {
	noReset := ""
	if in.NoReset != nil {
		noReset = in.NoReset.Error()
	}
	if asJSON {
		return terminal.Encode(w, struct {
			File       string               `json:"file"`
			Name       string               `json:"name"`
			Version    string               `json:"version"`
			Kind       string               `json:"kind"`
			Claim      string               `json:"claim"`
			Hash       string               `json:"hash"`
			Size       int                  `json:"size"`
			Memory     int64                `json:"memory"`
			SelfTests  int                  `json:"self_tests"`
			Warnings   []string             `json:"warnings,omitempty"`
			NoReset    string               `json:"no_reset,omitempty"`
			Transforms []manifest.Transform `json:"transforms"`
			Imports    []string             `json:"imports"`
			Exports    []string             `json:"exports"`
		}{
			file, in.Manifest.Name, in.Manifest.Version, in.Kind, in.Claim, in.Hash, in.Size, in.Memory, in.SelfTests, in.Warnings, noReset,
			in.Manifest.Transforms, in.Imports, in.Exports,
		})
	}
	t := newSheet(w)
	t.rowf("file", "%s", printable(file))
	t.rowf("plugin", "%s %s", in.Manifest.Name, in.Manifest.Version)
	t.rowf("kind", "%s: %s", in.Kind, in.Claim)
	t.rowf("hash", "sha256:%s", in.Hash)
	t.rowf("size", "%s", humanize.IBytes(uint64(in.Size)))
	t.rowf("memory", "%s", humanize.IBytes(uint64(in.Memory)))
	t.rowf("self-tests", "%d passed", in.SelfTests)
	for _, warning := range in.Warnings {
		t.rowf("warning", "%s", printable(warning))
	}
	if noReset == "" {
		t.rowf("reset", "after each task")
	} else {
		t.rowf("reset", "impossible, each task has a new instance: %s", printable(noReset))
	}
	for i := range in.Manifest.Transforms {
		t.transform(&in.Manifest.Transforms[i])
	}
	l := &in.Config
	t.rowf("limits", "memory %s, input %s, output %s, log %s/s", humanize.IBytes(uint64(l.MemoryLimit)), humanize.IBytes(uint64(l.MaxInput)),
		humanize.IBytes(uint64(l.MaxOutput)), humanize.IBytes(uint64(l.LogBytesPerSecond)))
	t.rowf("", "fuel %s, %d nested calls, tables of %d", orNone(l.MaxFuel), l.MaxCallDepth, l.MaxTable)
	t.list("imports", in.Imports)
	t.list("exports", in.Exports)
	return t.Flush()
}

// sheet has what is known of a plugin in rows, of which each has a name. What goes wrong, Flush
// returns.
type sheet struct{ *tabwriter.Writer }

func newSheet(w io.Writer) sheet { return sheet{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

func (t sheet) rowf(name, format string, args ...any) {
	fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

func (t sheet) list(name string, items []string) {
	for _, item := range items {
		t.rowf(name, "%s", printable(item))
		name = ""
	}
}

func (t sheet) transform(tr *manifest.Transform) {
	t.rowf("transform", "%s", tr.Name)
	t.rowf("", "input %s%s", tr.Input, schemaNote(tr.InputSchema))
	t.rowf("", "output %s%s", tr.Output, schemaNote(tr.OutputSchema))
	if tr.StateBytes > 0 {
		reads := ""
		if len(tr.StateReads) > 0 {
			reads = fmt.Sprintf(", reads %v too", tr.StateReads)
		}
		t.rowf("", "state of up to %s, format %d%s", humanize.IBytes(uint64(tr.StateBytes)), tr.StateVersion, reads)
	}
	if tr.TimeoutMS > 0 {
		t.rowf("", "suggested timeout %v", tr.Timeout())
	}
}

// schemaNote says that there is a schema, which --json shows.
func schemaNote(doc json.RawMessage) string {
	if doc == nil {
		return ""
	}
	return fmt.Sprintf(", with a JSON Schema of %s", humanize.IBytes(uint64(len(doc))))
}

func orNone(n int64) string {
	if n == 0 {
		return "without limit"
	}
	return fmt.Sprint(n)
}
