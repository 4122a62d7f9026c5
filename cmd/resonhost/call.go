package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/spell"
	"github.com/resonhost/resonhost/lines"
	"github.com/resonhost/resonhost/resonance"
)

func callCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "call",
		Usage:     "run tasks from JSON lines",
		UsageText: "resonhost call TRANSFORM --plugins DIR [options] < tasks.ndjson",
		Description: "Reads a task from each line and writes its result as a line, in the same order;\n" +
			"lines run side by side, those of one stream one after the other. A line has 8 MiB\n" +
			"at most, or --max-input if that is more. One that fails gives {\"error\": {\"kind\",\n" +
			"\"detail\", \"line\", …}} and harms no other. If its plugin broke, standard error has the\n" +
			"plugin's stack and what it wrote last. Other plugins of DIR that cannot be loaded are left\n" +
			"out with a warning. With --verify sample:N it ends when the tasks that were taken are\n" +
			"compared.\n\n" + exitCodes,
		Flags:        flags(o.callSettings(), []setting{o.drainSetting("once all lines are done, give the comparing of --verify sample:N `TIME` to finish")}, o.hostSettings("none"), o.loadSettings(), pluginSettings(&o.host.Defaults), o.logSettings(slog.LevelWarn), o.config()),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return usagef("say which transform to call: resonhost call TRANSFORM")
			case 1:
			default:
				return usagef("call takes one transform, got %q besides", c.Args().Get(1))
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.call(c.Context, c.Args().First(), std)
		},
	}
}

func (o *options) call(ctx context.Context, transform string, std stdio) (err error) {
	if o.host.QueueTimeout == 0 {
		// The queue is this command's own: who waits long is only far behind.
		o.host.QueueTimeout = -1
	}
	// Files first: they are soon tried, and plugins take a while to compile.
	in, closeInput, err := o.openInput(std)
	if err != nil {
		return err
	}
	defer closeInput()
	if o.toStdout() && std.out.closed != nil { // before any task is done in vain
		return std.out.closed
	}
	log := o.logger(std.err)
	o.host.StartPartly = true // one transform is wanted, whatever is wrong with others; the log warns of that
	h, err := o.startHost(ctx, log)
	if err != nil {
		return err
	}
	defer func() {
		if e := h.Close(context.WithoutCancel(ctx)); err == nil {
			err = e
		}
	}()
	if err := serves(h, transform); err != nil {
		return err
	}
	out, closeOutput, err := o.openOutput(std, in)
	if err != nil {
		return err
	}
	in, done, shown := o.showProgress(std, in, out)
	f := &failures{w: std.err, late: shown}
	sum, err := lines.Run(ctx, h, o.codecs(), transform, in, out, lines.Options{StreamField: o.streamField, Failed: f.show})
	done()
	f.flush()
	if e := closeOutput(); err == nil {
		err = e
	}
	switch {
	case ctx.Err() != nil:
		return &exit{api.ExitInterrupted, fmt.Errorf("%w after %s", errInterrupted, counted(sum.Lines, "line"))}
	case err != nil:
		return &exit{api.ExitFailed, fmt.Errorf("stopped: %w", err)}
	case sum.Failed > 0:
		err = &exit{api.ExitFailed, fmt.Errorf("%d of %s failed; their results say why", sum.Failed, counted(sum.Lines, "line"))}
	}
	return errors.Join(o.finishVerifying(ctx, h, log), err)
}

// finishVerifying has what was taken of the tasks be compared with the interpreter. Its error is
// that answers differ, or that ctx has ended before all were compared.
func (o *options) finishVerifying(ctx context.Context, h *host.Host, log *slog.Logger) error {
	timeout, cancel := context.WithTimeout(ctx, o.drainTimeout)
	defer cancel()
	err := h.FinishVerifying(timeout)
	interrupted := err != nil && ctx.Err() != nil
	if err != nil && !interrupted {
		log.Warn("not all tasks that were taken are compared with the interpreter; --drain-timeout gives that longer", "timeout", o.drainTimeout, "error", err)
	}
	var all host.VerifyStats
	plugins := h.Stats().Plugins
	for i := range plugins {
		v := &plugins[i].Verify
		all.Checks, all.Mismatches = all.Checks+v.Checks, all.Mismatches+v.Mismatches
	}
	switch {
	case all.Mismatches == 0 && interrupted:
		return &exit{api.ExitInterrupted, errInterrupted}
	case all.Mismatches == 0:
		return nil
	}
	return &exit{api.ExitMismatch, fmt.Errorf("the interpreter answers %d of %d tasks that were compared differently", all.Mismatches, all.Checks)}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// maxFailures is of how many failures call shows what the guest left: a plugin that fails
// can fail each time.
const maxFailures = 10

// failures shows what guests left when they failed and a result has no room for: their
// stacks, and the ends of what they wrote to their standard error. It is for one goroutine.
type failures struct {
	w io.Writer
	// late has w written to by flush alone, as something else is drawn there.
	late bool
	text strings.Builder // not yet written
	n    int
}

// show shows the failure of a line, if there is more to it than its error.
func (f *failures) show(line int, err error) {
	e := (*host.Error)(nil)
	if !errors.As(err, &e) || e.Stack == "" {
		return
	}
	switch f.n++; {
	case f.n <= maxFailures:
		fmt.Fprintf(&f.text, "resonhost: line %d: %s\n", line, printable(e.Error()))
		for s := range strings.Lines(e.Stack) {
			fmt.Fprintf(&f.text, "  | %s\n", printable(strings.TrimSuffix(s, "\n")))
		}
	case f.n == maxFailures+1:
		fmt.Fprintf(&f.text, "resonhost: what plugins left at failures after these %d is not shown\n", maxFailures)
	}
	if !f.late {
		f.flush()
	}
}

func (f *failures) flush() {
	_, _ = io.WriteString(f.w, f.text.String()) // as with all that goes to stderr
	f.text.Reset()
}

// serves checks that the host has the transform.
func serves(h *host.Host, transform string) error {
	t, err := h.Lookup(transform)
	if errors.Is(err, host.ErrUnknownTransform) {
		var known []string
		var failed []error
		for _, p := range h.Plugins() {
			for _, t := range p.Transforms {
				known = append(known, t.Name)
			}
			if p.Failure != nil {
				why, _, _ := strings.Cut(p.Failure.Err.Error(), "\n")
				failed = append(failed, fmt.Errorf("plugin %s could not be loaded, and may have it: %s", p.Source, why))
			}
		}
		none := fmt.Errorf("there is no transform %q%s%s", transform, spell.ThereAre(known), spell.DidYouMean(transform, known))
		if len(failed) > 0 {
			return &exit{api.ExitPlugins, errors.Join(append([]error{none}, failed...)...)}
		}
		return &exit{api.RuleOf(host.KindUnknownTransform).Exit, none}
	}
	if err != nil {
		return err
	}
	if _, err := resonance.Codecs().For(t); err != nil {
		return &exit{api.ExitUsage, err}
	}
	return nil
}

func (o *options) openInput(std stdio) (_ io.Reader, closeInput func(), err error) {
	if o.input == "" || o.input == "-" {
		if isTerminal(std.in) {
			fmt.Fprintln(std.err, "resonhost: reading JSON lines from the terminal; Ctrl-D ends")
		}
		return std.in, func() {}, nil
	}
	f, err := os.Open(o.input)
	if err != nil {
		return nil, nil, usagef("--input %s: %w", o.input, reason(err))
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_ = f.Close() // nothing was written to it
		return nil, nil, usagef("--input %s: is a directory", o.input)
	}
	return f, func() { _ = f.Close() }, nil
}

func (o *options) toStdout() bool { return o.output == "" || o.output == "-" }

func (o *options) openOutput(std stdio, in io.Reader) (_ io.Writer, closeOutput func() error, err error) {
	if o.toStdout() {
		return std.out, func() error { return nil }, nil
	}
	if input, ok := in.(*os.File); ok {
		a, errA := input.Stat()
		b, errB := os.Stat(o.output)
		if errA == nil && errB == nil && b.Mode().IsRegular() && os.SameFile(a, b) {
			return nil, nil, usagef("--output %s: is the input too", o.output)
		}
	}
	f, err := os.Create(o.output)
	if err != nil {
		return nil, nil, usagef("--output %s: %w", o.output, reason(err))
	}
	return f, f.Close, nil
}

// showProgress shows on a terminal how much of an input file has been read,
// unless the results go there too. shown says whether it does.
func (o *options) showProgress(std stdio, in io.Reader, out io.Writer) (_ io.Reader, done func(), shown bool) {
	f, ok := in.(*os.File)
	if !ok || o.input == "" || !isTerminal(std.err) || isTerminal(out) {
		return in, func() {}, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return in, func() {}, false
	}
	bar := progressbar.NewOptions64(info.Size(),
		progressbar.OptionSetWriter(std.err), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("call"), progressbar.OptionClearOnFinish())
	r := progressbar.NewReader(f, bar)
	// A progress bar that cannot be drawn is no failure of the tasks.
	return &r, func() { _ = bar.Finish() }, true
}

func isTerminal(v any) bool {
	f, ok := v.(filed)
	return ok && term.IsTerminal(int(f.Fd()))
}
