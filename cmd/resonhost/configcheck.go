package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/internal/terminal"
	"github.com/resonhost/resonhost/internal/value"
	"github.com/resonhost/resonhost/outbound"
	"github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/server"
)

// configVerbs are what can be done with a configuration.
var configVerbs = []string{"check", "print"}

func configCommand(std stdio) *cli.Command {
	o := newOptions()
	f := &configFlags{typed: make(map[string]*typed)}
	return &cli.Command{
		Name:      "config",
		Usage:     "check the settings of run, or print them with where each was set",
		UsageText: "resonhost config check|print [options]",
		Description: "   check  say all that is wrong with the settings, by file and line; it loads no\n" +
			"          plugin, opens no store and does not try whether a port is free\n" +
			"   print  write the settings as a file for --config, each with the flag, the variable\n" +
			"          or the line that set it; defaults are comments\n\n" +
			"Takes the flags, the environment and the file of resonhost run. The exit code is 2 if\n" +
			"anything is wrong.\n\n" + exitCodes,
		Flags:        append(f.flags(o.ofRun()), o.config()[0].flag(), &cli.BoolFlag{Name: "json", Usage: "print JSON", Destination: &f.json, DisableDefaultText: true}),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			verb := c.Args().First()
			switch {
			case !slices.Contains(configVerbs, verb):
				return usagef("config: there is no command %q%s", verb, thereAre(verb, configVerbs))
			case c.NArg() > 1:
				return usagef("config %s takes no arguments, got %q", verb, c.Args().Get(1))
			}
			warnings, err := f.read(c, o)
			if verb == "check" {
				return o.checkConfig(c, std.out, f.json, warnings, err)
			}
			if err != nil {
				return err
			}
			return o.printConfig(std.out, f.json)
		},
	}
}

// configFlags are the flags of run as config has them: they only keep what was typed, so that all of it is
// looked at, and not the first fault alone. The flag --json is config's own.
type configFlags struct {
	typed map[string]*typed
	json  bool
}

// typed is the value of a flag as it was typed.
type typed struct {
	text string
	of   cli.Generic // what it is to set
}

func (t *typed) Set(s string) error {
	t.text = s
	return nil
}

func (*typed) String() string { return "" }

// flags returns a flag for each setting but json.
func (f *configFlags) flags(settings []setting) (all []cli.Flag) {
	for _, s := range settings {
		if s.name == "json" {
			continue
		}
		if _, ok := s.value.(value.Toggle); ok {
			all = append(all, &cli.BoolFlag{Name: s.name, Usage: s.usage, DisableDefaultText: true})
			continue
		}
		t := &typed{of: s.value}
		f.typed[s.name] = t
		all = append(all, &cli.GenericFlag{Name: s.name, Usage: s.usage, DefaultText: s.def, Value: t})
	}
	return all
}

// given returns where the command line or the environment has a setting.
func (f *configFlags) given(c *cli.Context, s setting) (place, bool) {
	if s.name != "json" && c.IsSet(s.name) {
		p := place{by: byFlag, word: "--" + s.name}
		if t := f.typed[s.name]; t != nil {
			p.text = t.text
		} else {
			p.text = fmt.Sprint(c.Bool(s.name))
		}
		return p, true
	}
	if v := os.Getenv(s.env()); v != "" {
		return place{by: byVariable, word: s.env(), text: v}, true
	}
	return place{}, false
}

// read takes the settings as run does. Its error has everything that is no value, and err is nil if each is
// one, whether or not they fit together.
func (f *configFlags) read(c *cli.Context, o *options) (warnings []string, err error) {
	var faults []error
	for _, s := range o.ofRun() {
		p, ok := f.given(c, s)
		if !ok {
			continue
		}
		if err := s.value.Set(p.text); err != nil {
			faults = append(faults, usagef("invalid value %q %s: %w", p.text, map[origin]string{byFlag: "for ", byVariable: "of "}[p.by]+p.word, err))
			p.bad = true
		}
		o.given[s.name] = p
	}
	faults = append(faults, o.readFile(func(name string) bool { return o.given[name].by != 0 }))
	o.host.Watch = !o.noWatch
	return o.withoutEffect("run"), errors.Join(faults...)
}

// faults is what of a configuration does not fit together, or does not fit what is on the machine. It leaves
// out what may follow from a value that is wrong in itself.
func (o *options) faults(ctx context.Context) (faults, warnings []string) {
	cfg := o.host
	errs := []error{o.lacking(), o.checkTimeSlice(), checkAddress(ctx, o.listen), o.access.check(ctx, o.listen), o.state.check(), o.checkPlaces(), o.fleet.check(), o.setTrust(&cfg)}
	if _, err := newSupervised(slog.New(slog.DiscardHandler)); err != nil {
		errs = append(errs, err)
	}
	if cfg.Mode == host.ModeInline {
		cfg.Native, cfg.Watch = []host.Native{cascade.New(), tick.New()}, false
	} else {
		errs = append(errs, checkPluginDir(cfg.PluginDir))
		cfg.PluginDir = cmp.Or(cfg.PluginDir, ".") // which has been told
		missing := o.missingPlugins()
		if o.noWatch {
			errs = append(errs, missing...)
		} else {
			for _, e := range missing {
				warnings = append(warnings, o.locate(e.Error()))
			}
		}
	}
	_, err := o.newTelemetry(slog.New(slog.DiscardHandler))
	errs = append(errs, err)
	cfg.Fetch = outbound.New(outbound.Config{}).Fetch // as run has one
	h, err := host.New(cfg)
	errs = append(errs, inFlags(err))
	if h == nil { // of a server's settings none is about its host
		if h, err = host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{cascade.New()}}); err != nil {
			errs = append(errs, err)
		}
	}
	if h != nil {
		_, _, err = o.newServer(h, server.Options{})
		errs = append(errs, err)
	}
	for _, e := range each(errors.Join(errs...)) {
		if !o.follows(e.Error()) {
			faults = append(faults, o.locate(e.Error()))
		}
	}
	return faults, warnings
}

// dependsOn are settings whose values are right or wrong by those of others.
var dependsOn = map[string][]string{
	"plugins": {"mode"}, "max-instances": {"workers"}, "min-instances": {"workers", "max-instances"},
	"max-fuel": {"interrupt"}, "max-held": {"max-input"},
}

var settingIn = regexp.MustCompile(`^(?:--([a-z-]+)|plugin_overrides\..*\.([a-z_]+)):? `)

// follows reports whether a fault may follow from a setting that has no right value.
func (o *options) follows(fault string) bool {
	m := settingIn.FindStringSubmatch(fault)
	if m == nil {
		return false
	}
	name := m[1] + strings.ReplaceAll(m[2], "_", "-")
	for _, name := range append(dependsOn[name], name) {
		for _, g := range append(slices.Collect(maps.Values(o.overrides)), o.given) {
			if g[name].bad {
				return true
			}
		}
	}
	return false
}

// checkAddress says why run could not listen at an address. Whether the port is free it does not try: the
// host that is checked may be running.
func checkAddress(ctx context.Context, addr string) error {
	if addr == fromSystemd {
		return nil
	}
	name, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "tcp", port)
	}
	if err == nil { // whether the address is this machine's, which UDP knows as well
		var at net.PacketConn
		if at, err = new(net.ListenConfig).ListenPacket(ctx, "udp", net.JoinHostPort(name, "0")); err == nil {
			err = at.Close()
		}
	}
	if err != nil {
		return listenError(addr, err)
	}
	return nil
}

// checkPlaces says where run could not write what it is to keep.
func (o *options) checkPlaces() error {
	var errs []error
	for _, p := range []struct {
		flag, path string
		check      func(string) error
	}{
		{"--audit", o.access.audit, checkAppendable}, {"--state-dir", o.state.dir, checkWritableDir}, {"--cache-dir", o.cacheDir, checkWritableDir},
	} {
		if p.path == "" || p.flag == "--cache-dir" && p.path == "none" {
			continue
		}
		if err := p.check(p.path); err != nil {
			errs = append(errs, usagef("%s %s: %w", p.flag, p.path, err))
		}
	}
	return errors.Join(errs...)
}

// missingPlugins has a fault for each plugin that has settings and no file.
func (o *options) missingPlugins() (faults []error) {
	files, err := filepath.Glob(filepath.Join(o.host.PluginDir, "*.wasm"))
	if err != nil || len(files) == 0 {
		return nil // plugins may come later
	}
	var known []string
	for _, f := range files {
		known = append(known, strings.TrimSuffix(filepath.Base(f), ".wasm"))
	}
	for _, name := range slices.Sorted(maps.Keys(o.overrides)) {
		if !slices.Contains(known, name) {
			faults = append(faults, fmt.Errorf("%s.%s: there is no such plugin%s", overridesKey, name, spell.DidYouMean(name, known)))
		}
	}
	return faults
}

// byLine has each fault once: those that no line of the file has, and then the others by their lines.
func (o *options) byLine(faults []string) (sorted []string) {
	for _, f := range faults {
		if !slices.Contains(sorted, f) {
			sorted = append(sorted, f)
		}
	}
	slices.SortStableFunc(sorted, func(a, b string) int { return cmp.Compare(o.lineOf(a), o.lineOf(b)) })
	return sorted
}

// lineOf is the line of the file that a fault begins with, 0 without one.
func (o *options) lineOf(fault string) int {
	at, ok := strings.CutPrefix(fault, o.configFile+":")
	if !ok {
		return 0
	}
	number, _, _ := strings.Cut(at, ":")
	line, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return line
}

// checkConfig says what is wrong. err is what is no value.
func (o *options) checkConfig(c *cli.Context, w io.Writer, asJSON bool, warnings []string, err error) error {
	var faults []string
	for _, e := range each(err) {
		faults = append(faults, e.Error())
	}
	if !o.unread { // else most of what is set is not known
		more, and := o.faults(c.Context)
		faults, warnings = append(faults, more...), append(warnings, and...)
	}
	faults = o.byLine(faults)
	if asJSON {
		doc := struct {
			Faults   []string `json:"faults"`
			Warnings []string `json:"warnings"`
		}{append([]string{}, faults...), append([]string{}, warnings...)}
		if err := terminal.Encode(w, doc); err != nil {
			return err
		}
	}
	for _, text := range warnings {
		fmt.Fprintln(c.App.ErrWriter, "resonhost: warning:", printable(text))
	}
	if len(faults) > 0 {
		return &exit{api.ExitUsage, errors.New(strings.Join(faults, "\n"))}
	}
	if asJSON {
		return nil
	}
	_, werr := fmt.Fprintln(w, "ok")
	return werr
}
