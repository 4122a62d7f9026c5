package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// guest implements [contract.Guest].
type guest struct {
	in      contract.Instance
	program *program
	start   contract.Function
	stdout  output
	stderr  tail
	log     io.Writer // for what a program that breaks says on its standard output
	// ran is whether the program has begun since the instance did, or was reset.
	ran bool
}

func newGuest(in contract.Instance, p *program) *guest {
	g := &guest{in: in, program: p, start: in.Function(exportStart)}
	g.stdout.limit = p.frames.MaxOutput
	system := in.System()
	g.log, g.stderr.log = system.Stdout, system.Stderr
	system.Stdout, system.Stderr = &g.stdout, &g.stderr
	system.Environment = p.environment
	system.Preopen()
	return g
}

// Initialize implements [contract.Guest]. All of a program is done by a task.
func (g *guest) Initialize(context.Context) error { return nil }

// Describe implements [contract.Guest].
func (g *guest) Describe(context.Context) (*manifest.Manifest, error) { return g.program.manifest, nil }

// Run implements [contract.Guest].
func (g *guest) Run(ctx context.Context, c *contract.Call) error {
	if g.ran || len(c.Items) > 1 {
		return contract.Broken("%s runs once, and the instance was not put back", exportStart)
	}
	g.ran = true
	system := g.in.System()
	system.Arguments, system.Input = g.program.arguments[c.Transform], c.Items[0].Payload
	g.stdout.b = g.stdout.b[:0]
	g.stderr.b, g.stderr.cut = g.stderr.b[:0], false
	err := g.start.Call(ctx, nil)
	system.Input = nil // which is the caller's
	exit := (*contract.Fault)(nil)
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Kind == contract.Exit:
	default:
		if at := bytes.LastIndex(g.stdout.b, []byte("panic: ")); at >= 0 { // as TinyGo's runtime has it
			_, _ = g.log.Write(g.stdout.b[at:][:min(maxTail, len(g.stdout.b)-at)]) // never fails
		}
		g.stdout.release()
		return err
	}
	got := abi.Result{Payload: g.stdout.b}
	if exit != nil && exit.ExitCode != 0 {
		got = abi.Result{Status: abi.StatusFailed, Payload: g.stderr.message(exit.ExitCode)}
	}
	c.Answer(0, &got)
	g.stdout.release()
	return nil
}

// Save implements [contract.Guest].
func (g *guest) Save() any { return nil }

// Restore implements [contract.Guest].
func (g *guest) Restore(any) { g.ran = false }

// output is what a program writes to its standard output.
type output struct {
	b     []byte
	limit int
}

// Write implements [io.Writer]. It ends the program if that writes too much.
func (o *output) Write(p []byte) (int, error) {
	if len(p) > o.limit-len(o.b) {
		f := contract.Broken("%s wrote more than %d bytes to its stdout, the limit (MaxOutput, --max-output)", exportStart, o.limit)
		f.Task = true
		panic(f)
	}
	o.b = append(o.b, p...)
	return len(p), nil
}

// keptOutput is how much room an instance keeps for the output of its next task, in bytes.
const keptOutput = 256 << 10

// release lets go of the output, and of its room if that is large.
func (o *output) release() {
	if o.b = o.b[:0]; cap(o.b) > keptOutput {
		o.b = nil
	}
}

// tail is the end of what a program writes to its standard error, all of which goes to the log.
type tail struct {
	log io.Writer
	b   []byte
	cut bool // whether something was before that
}

const (
	// maxTail is how much of it there is, in bytes, and maxLines how many lines of that are told.
	maxTail  = 2 << 10
	maxLines = 20
)

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	last := p[max(0, len(p)-maxTail):]
	if more := len(t.b) + len(last) - maxTail; more > 0 || len(last) < len(p) {
		t.b = t.b[:copy(t.b, t.b[max(0, more):])]
		t.cut = true
	}
	t.b = append(t.b, last...)
	return t.log.Write(p)
}

// message is what is told of a program that ended with an exit code other than 0.
func (t *tail) message(code uint32) []byte {
	msg := fmt.Appendf(nil, "exit code %d", code)
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	if t.cut && len(lines) > 1 {
		lines = lines[1:] // of which the beginning is not there
	}
	lines = lines[max(0, len(lines)-maxLines):]
	if last := bytes.Join(lines, []byte("\n")); len(last) > 0 {
		msg = append(append(msg, ": "...), last...)
	}
	return msg
}
