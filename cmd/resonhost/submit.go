package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/urfave/cli/v2"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/textlines"
	"github.com/resonhost/resonhost/internal/value"
)

// maxEarly is how many bytes of results that came before their turn are held while more is sent. What is under way may come besides.
const maxEarly = 64 << 20

// submitOptions are how lines are submitted.
type submitOptions struct {
	key, tenant string
	frame       int
	deadline    time.Duration
}

// submitSettings are about what is submitted to a fleet.
func (o *options) submitSettings() []setting {
	s := &o.submit
	return []setting{
		{"key", "submit under `NAME`: the same lines under the same name are done once, and get the same results", "one of its own", value.Text(&s.key)},
		{"submit-tenant", "submit on behalf of the tenant `NAME`", "none", value.Text(&s.tenant)},
		{"frame", "send at most `N` lines in one message", fmt.Sprint(fleet.MaxTasks), value.Count(&s.frame)},
		{"deadline", "give a task up that is not done within `TIME` of its submission, or none for ever", "none", value.DurationOrNone(&s.deadline)},
	}
}

func submitCommand(std stdio) *cli.Command {
	o := newOptions()
	return &cli.Command{
		Name:      "submit",
		Usage:     "have a fleet run tasks from JSON lines",
		UsageText: "resonhost submit TRANSFORM --nats URL [options] < tasks.ndjson",
		Description: "Reads a task from each line, has hosts of the fleet do them, and writes results as lines\n" +
			"in the same order. Lines are submitted in frames of up to 64. What is submitted is done, whatever\n" +
			"becomes of this command: with --key, the same lines may be submitted again for their results.\n" +
			"A transform that no host serves is refused before. Without any host, lines wait for one.\n\n" + exitCodes,
		Flags:        flags(o.fleetSettings(), o.submitSettings(), o.callSettings()[:2], o.logSettings(slog.LevelWarn), o.config()),
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			switch c.NArg() {
			case 0:
				return usagef("say which transform is to do the tasks: resonhost submit TRANSFORM")
			case 1:
			default:
				return usagef("submit takes one transform, got %q besides", c.Args().Get(1))
			}
			if err := o.readConfig(c); err != nil {
				return err
			}
			return o.submitLines(c.Context, c.Args().First(), std)
		},
	}
}

func (o *options) submitLines(ctx context.Context, transform string, std stdio) (err error) {
	switch {
	case o.fleet.URLs == "" || o.fleet.URLs == ownServer:
		return usagef("say where the fleet is: --nats URL")
	case o.submit.frame > fleet.MaxTasks:
		return usagef("--frame: must be at most %d", fleet.MaxTasks)
	}
	in, closeInput, err := o.openInput(std)
	if err != nil {
		return err
	}
	defer closeInput()
	f, err := o.fleet.open(ctx, o.logger(std.err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := o.served(ctx, f, transform, std.err); err != nil {
		return err
	}
	sub, err := f.Client(o.submit.tenant, host.PriorityNormal).Submit(ctx, o.submit.key, 0)
	switch {
	case err != nil && ctx.Err() != nil:
		return &exit{api.ExitInterrupted, errInterrupted}
	case err != nil:
		return inFlags(err)
	}
	defer sub.Close()
	out, closeOutput, err := o.openOutput(std, in)
	if err != nil {
		return err
	}
	s := &submitter{
		client: f.Client(o.submit.tenant, host.PriorityNormal).Of(manifest.MediaTypeJSON), sub: sub, transform: transform, opts: o.submit,
		most: f.MaxMessage(), out: bufio.NewWriter(out), frames: make(chan sentFrame, fleet.DefaultWindow), early: newEarly(maxEarly),
	}
	err = errors.Join(s.run(ctx, in), closeOutput())
	switch {
	case ctx.Err() != nil:
		return &exit{api.ExitInterrupted, fmt.Errorf("%w after %s", errInterrupted, counted(s.lines, "line"))}
	case err != nil:
		return &exit{api.ExitFailed, fmt.Errorf("stopped: %w", err)}
	case s.failed > 0:
		return &exit{api.ExitFailed, fmt.Errorf("%d of %s failed; their results say why", s.failed, counted(s.lines, "line"))}
	}
	return nil
}

// served refuses a transform that no host of the fleet serves, before anything is submitted: hosts would leave its frames to one another for
// long. Lines that may have been submitted before may have results all the same; of those it is told alone. So is it that no host is there.
func (o *options) served(ctx context.Context, f *fleet.Fleet, transform string, stderr io.Writer) error {
	err := f.Serves(ctx, transform)
	unknown := (*host.Error)(nil)
	switch {
	case err == nil || ctx.Err() != nil:
		return nil //nolint:nilerr // what follows ends, too
	case errors.As(err, &unknown) && o.submit.key == "":
		return &exit{api.RuleOf(unknown.Kind).Exit, errors.New(unknown.Message)}
	case unknown != nil:
		fmt.Fprintf(stderr, "resonhost: %s\n", printable(unknown.Message))
	case errors.Is(err, fleet.ErrNoHosts):
		fmt.Fprintf(stderr, "resonhost: %v; lines are kept until one is, or until --deadline\n", err)
	default:
		o.logger(stderr).Debug("which transforms the fleet has cannot be read", "error", err)
	}
	return nil
}

// submitter submits lines by one goroutine, and writes their results in order by another.
type submitter struct {
	client    *fleet.Client
	sub       *fleet.Submission
	transform string
	opts      submitOptions
	most      int // bytes of a message
	out       *bufio.Writer
	frames    chan sentFrame // in their order; closed once all are sent

	early         *early
	lines, failed int // that were written
}

// early are answers that came before their turn. One goroutine puts and takes them, and others wait for room.
type early struct {
	most    int64 // bytes
	answers map[uint64]*fleet.Answer
	held    atomic.Int64  // bytes
	eased   chan struct{} // has something if there is less held
}

func newEarly(most int64) *early {
	return &early{most: most, answers: make(map[uint64]*fleet.Answer), eased: make(chan struct{}, 1)}
}

func (e *early) put(number uint64, a *fleet.Answer) {
	e.answers[number] = a
	e.held.Add(bytesOf(a))
}

// take returns an answer, and is false if it is not there.
func (e *early) take(number uint64) (a *fleet.Answer, ok bool) {
	if a, ok = e.answers[number]; ok {
		delete(e.answers, number)
		e.held.Add(-bytesOf(a))
		select {
		case e.eased <- struct{}{}:
		default:
		}
	}
	return a, ok
}

// room waits while as much is held as may be, or until ctx ends. The answer that others wait for is of a frame that was sent before them.
func (e *early) room(ctx context.Context) error {
	for e.held.Load() >= e.most {
		select {
		case <-e.eased:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// bytesOf is how many bytes an answer's results have.
func bytesOf(a *fleet.Answer) (n int64) {
	for i := range a.Outcomes {
		n += int64(len(a.Outcomes[i].Output))
		if f := a.Outcomes[i].Failure; f != nil {
			n += int64(len(f.Message))
		}
	}
	return n
}

// sentFrame is a frame on its way, and the numbers of its lines. One that is refused was not sent.
type sentFrame struct {
	number  uint64
	lines   []int
	refused error
}

func (s *submitter) run(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel(nil)
	sending.Go(func() {
		defer close(s.frames)
		if err := s.send(ctx, in); err != nil {
			cancel(err)
		}
	})
	for f := range s.frames {
		if f.refused != nil {
			if err := s.write(f, s.refusal(f.refused, len(f.lines))); err != nil {
				return err
			}
			continue
		}
		a, err := s.answerTo(ctx, f.number)
		if err == nil {
			err = s.write(f, a)
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// answerTo waits for the answer to a frame, and holds others that come before it.
func (s *submitter) answerTo(ctx context.Context, number uint64) (*fleet.Answer, error) {
	for {
		if a, ok := s.early.take(number); ok {
			return a, nil
		}
		r, err := s.sub.Next(ctx)
		if err == nil {
			err = r.Err
		}
		if err != nil {
			return nil, err
		}
		s.early.put(r.Number, r.Answer)
	}
}

// read sends the lines of the input until ctx ends. Nobody waits for it: a Read that blocks ends on its own.
func (s *submitter) read(ctx context.Context, in io.Reader, to chan<- textlines.Line) {
	defer close(to)
	lines := textlines.New(in, textlines.Options{
		Most: s.most, TooLong: fmt.Errorf("the line is longer than a message of NATS, which has %d bytes (max_payload)", s.most),
	})
	for l, ok := lines.Next(); ok; l, ok = lines.Next() {
		select {
		case to <- l:
		case <-ctx.Done():
			return
		}
	}
}

// send submits lines, always the same ones in a frame: who submits them again under the same key submits the same frames.
func (s *submitter) send(ctx context.Context, in io.Reader) error {
	most := s.opts.frame
	if most == 0 {
		most = fleet.MaxTasks
	}
	input := make(chan textlines.Line)
	go s.read(ctx, in, input)
	var tasks []fleet.Task
	var lines []int
	for {
		var l textlines.Line
		more := false
		select {
		case l, more = <-input:
		case <-ctx.Done():
		}
		switch {
		case ctx.Err() != nil: // and no frame of other lines than there would have been
			return context.Cause(ctx)
		case !more:
			return s.submit(ctx, tasks, lines)
		case l.Fatal != nil:
			return fmt.Errorf("read line %d: %w", l.Number, l.Fatal)
		}
		if l.Err == nil {
			tasks, lines = append(tasks, fleet.Task{Input: l.Text}), append(lines, l.Number)
		}
		if len(tasks) == most || l.Err != nil {
			if err := s.submit(ctx, tasks, lines); err != nil {
				return err
			}
			tasks, lines = nil, nil
		}
		if l.Err != nil {
			if err := s.sent(ctx, sentFrame{lines: []int{l.Number}, refused: l.Err}); err != nil {
				return err
			}
		}
	}
}

// submit submits tasks, in as few frames as there can be.
func (s *submitter) submit(ctx context.Context, tasks []fleet.Task, lines []int) error {
	for _, f := range s.client.Frames(s.transform, tasks) {
		if s.opts.deadline > 0 {
			f.Deadline = time.Now().Add(s.opts.deadline)
		}
		if err := s.early.room(ctx); err != nil {
			return err
		}
		number, err := s.sub.Send(ctx, f)
		frame := sentFrame{number: number, lines: lines[:len(f.Tasks)]}
		if field := (*abi.FieldError)(nil); errors.As(err, &field) { // such as a line that a message has room for without its headers alone
			frame.refused = err
		} else if err != nil {
			return fmt.Errorf("line %d: %w", lines[0], err)
		}
		if err := s.sent(ctx, frame); err != nil {
			return err
		}
		lines = lines[len(f.Tasks):]
	}
	return nil
}

// sent has a frame's results written in its turn.
func (s *submitter) sent(ctx context.Context, f sentFrame) error {
	select {
	case s.frames <- f:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refusal answers the tasks of a frame that was not sent.
func (s *submitter) refusal(err error, tasks int) *fleet.Answer {
	one := fleet.Outcome{Failure: &fleet.Failure{Kind: host.KindInvalidArgument, Message: err.Error(), Transform: s.transform}}
	return &fleet.Answer{Outcomes: slices.Repeat([]fleet.Outcome{one}, tasks)}
}

// write writes the results of a frame.
func (s *submitter) write(f sentFrame, a *fleet.Answer) error {
	for i, line := range f.lines {
		s.lines++
		r := a.Outcomes[i].Result()
		if r.Err != nil {
			s.failed++
			var err error
			if r.Output, err = json.Marshal(api.Failure{Error: api.Of(s.transform, r.Err).At(line)}, jsontext.AllowInvalidUTF8(true)); err != nil {
				return err
			}
		}
		_, _ = s.out.Write(r.Output) // an error stays until Flush
		_ = s.out.WriteByte('\n')
	}
	return s.out.Flush()
}
