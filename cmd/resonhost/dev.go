package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/devloop"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/resonance"
	"github.com/resonhost/resonhost/resonance/collect"
	"github.com/resonhost/resonhost/server"
)

// dev is what dev is told.
type dev struct {
	build, wasm, input, listen string
	ignore                     []string
	once                       bool
}

func devCommand(std stdio) *cli.Command {
	o, d := newOptions(), &dev{}
	settings := []setting{
		{"build", "build with the shell command `CMD`, in DIR", "make", value.Text(&d.build)},
		{"wasm", "the build makes `FILE`, which is NAME.wasm of a plugin NAME; relative to DIR", "by NAME.test.ndjson, or NAME.wasm, in DIR", value.Text(&d.wasm)},
		{"input", "replay the JSON lines of `FILE` too, inputs or {\"transform\": …, \"input\": …}", "none", value.Text(&d.input)},
		{"ignore", "take no files or folders of names as in `LIST`, such as docs,*.txt, for sources", "none", patterns{&d.ignore}},
		{"once", "build, deploy and replay once, and exit with 0 or 1", "", value.Toggle{P: &d.once}},
		{"listen", "serve HTTP at `ADDRESS` meanwhile; port 0 takes a free one", "do not", value.Text(&d.listen)},
		insecureSetting(&o.access.insecure),
	}
	hosts := slices.DeleteFunc(o.hostSettings(""), func(s setting) bool {
		return !slices.Contains([]string{"workers", "memory-budget"}, s.name)
	})
	// --json is for the reports.
	logs := slices.DeleteFunc(o.logSettings(slog.LevelInfo), func(s setting) bool { return s.name == "json" })
	return &cli.Command{
		Name:      "dev",
		Usage:     "build, deploy and try a plugin at each save of its sources",
		UsageText: "resonhost dev DIR [options]",
		Description: "Builds the plugin of DIR, such as resonhost new writes, at the start and whenever\n" +
			"a source file changes, swaps it into a host, and runs the inputs of\n" +
			"NAME.test.ndjson and --input on it: what has changed in their outputs, time and\n" +
			"fuel. A build that fails, or a plugin that is refused, leaves the version before\n" +
			"serving; a save ends the build under way. Links to folders are followed. A file that\n" +
			"each build writes begins no further one after the fourth; --ignore leaves it out.\n" +
			"With --once the exit code is 1 also if an input cannot be run, or the plugin breaks\n" +
			"down on it.\n\n" + exitCodes,
		Flags: append(flags(settings, hosts, o.cacheSettings(), o.networkSettings(), pluginSettings(&o.host.Defaults), logs, o.config()),
			jsonFlag("print JSON, a line for each build", &o.json)),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return usagef("say where the plugin's project is: resonhost dev DIR")
			case 1:
			default:
				return usagef("dev takes one project, got %q besides", c.Args().Get(1))
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.dev(c.Context, std, d, c.Args().First())
		},
	}
}

func (o *options) dev(ctx context.Context, std stdio, d *dev, dir string) (err error) {
	cfg, err := d.loop(dir)
	if err != nil {
		return err
	}
	var listener net.Listener
	if d.listen != "" {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", d.listen); err != nil {
			return listenError(d.listen, err)
		}
		defer func() { _ = listener.Close() }() // the server has closed it already, if it came to be
		if err := (&access{insecure: o.access.insecure, asksNobody: true}).guard(listener.Addr(), d.listen, o.logger(std.err)); err != nil {
			return err
		}
	}
	asJSON := o.json
	o.json = false // the logs are for people
	logs := new(devloop.GuestLog)
	log := slog.New(guestsOnly{o.logger(std.err).Handler(), logs})
	// An author tries what may not be done yet: that a plugin fails again and again is no
	// reason to suspend it, nor streams of an earlier one to refuse it.
	o.host.StartEmpty, o.host.Logger = true, log
	if err := o.setLoading(&o.host); err != nil {
		return err
	}
	o.host.Defaults.BreakAfter, o.host.Defaults.StateRule = -1, host.StateReset
	if o.host.Defaults.LogBytesPerSecond == 0 {
		o.host.Defaults.LogBytesPerSecond = devLogBytes
	}
	h, err := host.New(o.host)
	if err != nil {
		return inFlags(err)
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	if err := h.Start(ctx); err != nil {
		return err
	}
	cfg.Host, cfg.Codecs, cfg.Logs = h, resonance.Codecs(), logs
	cfg.MaxModule = max(o.host.Defaults.MaxModule, o.host.Overrides[cfg.Name].MaxModule)
	cfg.Status = func(s string) { fmt.Fprintln(std.err, printable(s)) }
	cfg.Report = (&devloop.Printer{W: std.out, Colour: colours(std.out)}).Print
	if asJSON {
		cfg.Report = func(r *devloop.Report) error { return terminal.Encode(std.out, r) }
	}
	err = runBeside(ctx, h, listener, log, func(ctx context.Context) error {
		if listener != nil {
			cfg.Status("serving at http://" + listener.Addr().String())
		}
		return devloop.Run(ctx, cfg)
	})
	if err != nil && ctx.Err() != nil {
		return &exit{api.ExitInterrupted, errInterrupted}
	}
	return err
}

// runBeside runs f while the host is served at a listener, unless that is nil. If serving
// ends, so does f's context.
func runBeside(ctx context.Context, h *host.Host, listener net.Listener, log *slog.Logger, f func(context.Context) error) error {
	if listener == nil {
		return f(ctx)
	}
	srv, err := server.New(h, resonance.Codecs(), server.Options{Logger: log, Collectors: []prometheus.Collector{collect.NewCascade(h)}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		d := &daemon{log: log, host: h, draining: srv.SetDraining, background: srv.Close}
		ended <- d.serve(ctx, srv.Listener(listener), srv.Handler(), devDrain)
	}()
	err = f(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

// devLogBytes is how much a plugin may log a second, unless that is set: its self-tests, whose
// lines are not shown, are not to use up what its inputs may log.
const devLogBytes = 16 << 20

// devDrain is how long requests have to end: nobody but the author waits for them.
const devDrain = time.Second

// loop is the loop of the project in dir.
func (d *dev) loop(dir string) (cfg devloop.Config, err error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return cfg, usagef("%s: %w", dir, reason(err))
	case !info.IsDir():
		return cfg, usagef("%s: must be a plugin's project, a directory", dir)
	}
	if d.wasm == "" {
		name, err := projectName(dir)
		if err != nil {
			return cfg, err
		}
		d.wasm = name + ".wasm"
	}
	name, ok := strings.CutSuffix(filepath.Base(d.wasm), ".wasm")
	if !ok || name == "" {
		return cfg, usagef("--wasm %s: must be a file that ends in .wasm", d.wasm)
	}
	cfg = devloop.Config{
		Dir: dir, Name: name, WASM: d.wasm, Inputs: d.input,
		Tests: filepath.Join(dir, name+".test.ndjson"), Companion: filepath.Join(dir, name+".plugin.yaml"),
		Ignore: d.ignore, Once: d.once, Command: []string{"make"},
	}
	if !filepath.IsAbs(d.wasm) {
		cfg.WASM = filepath.Join(dir, d.wasm)
	}
	if d.build != "" {
		cfg.Command = []string{"sh", "-c", d.build}
	}
	if d.input != "" {
		if _, err := os.Stat(d.input); err != nil {
			return cfg, usagef("--input %s: %w", d.input, reason(err))
		}
	}
	return cfg, nil
}

// projectName is the name of a project's plugin, by what lies there.
func projectName(dir string) (string, error) {
	for _, suffix := range []string{".test.ndjson", ".wasm"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return "", usagef("%s: %w", dir, reason(err))
		}
		var names []string
		for _, e := range entries {
			if name, ok := strings.CutSuffix(e.Name(), suffix); ok && manifest.CheckName(name) == nil {
				names = append(names, name)
			}
		}
		switch len(names) {
		case 0:
		case 1:
			return names[0], nil
		default:
			return "", usagef("%s: has several plugins, %s; say which with --wasm NAME.wasm", dir, strings.Join(names, ", "))
		}
	}
	return "", usagef("%s: has no NAME.test.ndjson and no NAME.wasm; say what the build makes with --wasm NAME.wasm", dir)
}

// colours reports whether to write in colours.
func colours(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// guestsOnly leaves out what the host itself logs, but for errors: reports say it. What
// guests log has their plugin's name, and goes through guests.
type guestsOnly struct {
	slog.Handler

	guests *devloop.GuestLog
}

// Enabled implements [slog.Handler].
func (h guestsOnly) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (h guestsOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	if slices.ContainsFunc(attrs, func(a slog.Attr) bool { return a.Key == "plugin" }) {
		return h.guests.Handler(h.Handler.WithAttrs(attrs))
	}
	return guestsOnly{h.Handler.WithAttrs(attrs), h.guests}
}

// patterns are those of names, separated by commas.
type patterns struct{ p *[]string }

// Set implements [flag.Value].
func (v patterns) Set(s string) error {
	var list []string
	for p := range strings.SplitSeq(s, ",") {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return errors.New("must be a list of patterns such as docs,*.txt")
		}
		list = append(list, p)
	}
	*v.p = list
	return nil
}

func (patterns) String() string { return "" }
