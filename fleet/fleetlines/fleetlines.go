// Package fleetlines has a fleet run tasks that come as JSON lines, and answers with JSON lines, as package lines does with one host.
package fleetlines

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/internal/textlines"
	"github.com/resonhost/resonhost/invoke"
	"github.com/resonhost/resonhost/lines"
)

const (
	// maxEarly is how many bytes of results that came before their turn are held while more is sent. What is under way may come besides.
	maxEarly = 64 << 20
	// maxChunk is how many bytes of lines are submitted together, and one more.
	maxChunk = 8 << 20
)

// Options are how lines are submitted. The zero value of a field is its default.
type Options struct {
	// Frame is how many lines share a message at most; default, and at most, [fleet.MaxTasks].
	Frame int
	// Deadline is for how long from when a line is submitted its result is wanted; default as long as the context lasts. A task that has not begun by then is not.
	Deadline time.Duration
	// Stream, if not "", is the key of the stream of all tasks. StreamField, if not "", names the member of a line that is the key of
	// its task's.
	Stream, StreamField string
	// Line is the number of the first line; default 1.
	Line int
	// Failed, if set, is told of each task that failed, in the lines' order.
	Failed func(line int, err error)
	// Memory, if set, is where the bytes of results come from until they are written. A frame whose results have no room there fails.
	Memory lines.Memory
}

// Run has the fleet do a task for each line of r, blank ones left out, and writes to w a line for each, in their order: the result, or an
// [api.Failure]. The lines are submitted by sub, which is new. The same lines in a submission of
// the same key with the same options are the same frames, so that they are done once. It returns once all are answered, or with
// an error: that of r is a [*lines.ReadError]. A Read that blocks when ctx ends is left to end on its own.
func Run(ctx context.Context, sub *fleet.Submission, transform string, r io.Reader, w io.Writer, o Options) (lines.Summary, error) {
	client := sub.Client().Of(manifest.MediaTypeJSON)
	s := &submitter{
		client: client, sub: sub, transform: transform, opts: o,
		most: client.MaxMessage(), out: bufio.NewWriter(w), chunks: make(chan chunk, fleet.DefaultWindow), early: newEarly(maxEarly),
	}
	err := s.run(ctx, r)
	s.hold(-s.held)
	return s.done, err
}

// submitter submits lines by one goroutine, and writes their results in order by another.
type submitter struct {
	client    *fleet.Client
	sub       *fleet.Submission
	transform string
	opts      Options
	most      int // bytes of a message
	out       *bufio.Writer
	chunks    chan chunk // in their order; closed once all are sent

	early *early
	held  int           // bytes of results that are in opts.Memory
	done  lines.Summary // of what was written
}

// hold takes bytes that are held already, or gives them back.
func (s *submitter) hold(n int) {
	if s.opts.Memory != nil {
		s.held += n
		s.opts.Memory.Add(n)
	}
}

// chunk is lines that are submitted together, and are on their way.
type chunk struct {
	lines []int       // their numbers
	parts <-chan part // of which each line is in one; one more comes once it was sent
}

// part is a frame of a chunk. One that is refused was not sent.
type part struct {
	number  uint64
	at      []int // of its tasks, in the chunk
	refused error
}

func (s *submitter) run(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer cancel(nil)
	sending.Go(func() {
		defer close(s.chunks)
		if err := s.send(ctx, in); err != nil {
			cancel(err)
		}
	})
	for c := range s.chunks {
		if err := s.write(ctx, c); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// answerTo waits for the answer to a frame, and holds others that come before it.
func (s *submitter) answerTo(ctx context.Context, p *part) (*fleet.Answer, error) {
	if p.refused != nil {
		a := s.refusal(p.refused, len(p.at))
		s.hold(int(bytesOf(a)))
		return a, nil //nolint:nilerr // each line has it
	}
	for {
		if a, ok := s.early.take(p.number); ok {
			return a, nil
		}
		r, err := s.sub.Next(ctx)
		if err == nil {
			err = r.Err
		}
		if err != nil {
			return nil, err
		}
		switch n := int(bytesOf(r.Answer)); {
		case s.opts.Memory == nil:
		case s.opts.Memory.Take(n, true):
			s.held += n
		default:
			r.Answer = s.refusal(invoke.NoMemory(s.transform), len(r.Answer.Outcomes))
			s.hold(int(bytesOf(r.Answer)))
		}
		s.early.put(r.Number, r.Answer)
	}
}

// read sends the lines of the input until ctx ends. Nobody waits for it: a Read that blocks ends on its own.
func (s *submitter) read(ctx context.Context, in io.Reader, to chan<- textlines.Line) {
	defer close(to)
	all := textlines.New(in, textlines.Options{
		Most: s.most, Number: s.opts.Line, TooLong: fmt.Errorf("the line is longer than a message of NATS, which has %d bytes (max_payload)", s.most),
	})
	for l, ok := all.Next(); ok; l, ok = all.Next() {
		select {
		case to <- l:
		case <-ctx.Done():
			return
		}
	}
}

// send submits lines, always the same ones together: who submits them again under the same key submits the same frames.
func (s *submitter) send(ctx context.Context, in io.Reader) error {
	most := min(s.opts.Frame, fleet.MaxTasks)
	if most == 0 {
		if most = fleet.MaxTasks; s.opts.StreamField != "" {
			most *= fleet.Partitions // as those of each partition need frames of their own
		}
	}
	input := make(chan textlines.Line)
	go s.read(ctx, in, input)
	var c gathered
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
			return s.submit(ctx, &c)
		case l.Fatal != nil:
			return &lines.ReadError{Line: l.Number, Within: l.Within, Err: l.Fatal}
		}
		task, err := s.task(&l)
		c.add(task, l.Number, err)
		if len(c.lines) == most || c.bytes > maxChunk || err != nil {
			if err := s.submit(ctx, &c); err != nil {
				return err
			}
			c = gathered{}
		}
	}
}

// gathered are lines that are to be submitted together.
type gathered struct {
	lines []int
	tasks []fleet.Task
	at    []int // of the tasks, in lines
	parts []part
	bytes int
}

func (g *gathered) add(t fleet.Task, line int, err error) {
	at := len(g.lines)
	g.lines = append(g.lines, line)
	if err != nil {
		g.parts = append(g.parts, part{at: []int{at}, refused: err})
		return
	}
	g.tasks, g.at = append(g.tasks, t), append(g.at, at)
	g.bytes += len(t.Input)
}

// task returns the task of a line, or why it is none.
func (s *submitter) task(l *textlines.Line) (t fleet.Task, err error) {
	t = fleet.Task{Input: l.Text, Stream: s.opts.Stream}
	if s.opts.StreamField == "" || l.Err != nil {
		return t, l.Err
	}
	if t.Input, t.Stream, err = codec.TakeStream(l.Text, s.opts.StreamField); err != nil {
		return t, err
	}
	if t.Stream != "" && s.opts.Stream != "" {
		return t, &abi.FieldError{Field: s.opts.StreamField, Rule: "is there besides the stream of all lines"}
	}
	t.Stream = cmp.Or(t.Stream, s.opts.Stream)
	return t, nil
}

// submit submits what was gathered, in as few frames as there can be. The writer has the chunk before they are sent, since answers to
// the first are to go on while there is no room for others.
func (s *submitter) submit(ctx context.Context, g *gathered) error {
	frames := s.client.Frames(s.transform, g.tasks)
	parts := make(chan part, len(g.parts)+len(frames))
	for _, p := range g.parts {
		parts <- p
	}
	select {
	case s.chunks <- chunk{g.lines, parts}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, f := range frames {
		p := part{at: f.At}
		for i := range p.at {
			p.at[i] = g.at[p.at[i]]
		}
		if f.Deadline, _ = ctx.Deadline(); s.opts.Deadline > 0 {
			f.Deadline = time.Now().Add(s.opts.Deadline)
		}
		if err := s.early.room(ctx); err != nil {
			return err
		}
		var err error
		p.number, err = s.sub.Send(ctx, f)
		if field := (*abi.FieldError)(nil); errors.As(err, &field) { // such as a line that a message has room for without its headers alone
			p.refused = err
		} else if err != nil {
			return fmt.Errorf("line %d: %w", g.lines[p.at[0]], err)
		}
		parts <- p
	}
	return nil
}

// refusal answers tasks that have no result.
func (s *submitter) refusal(err error, tasks int) *fleet.Answer {
	return &fleet.Answer{Outcomes: slices.Repeat([]fleet.Outcome{{Failure: fleet.FailureOf(s.transform, err)}}, tasks)}
}

// write writes the results of a chunk, each line once it and those before have theirs.
func (s *submitter) write(ctx context.Context, c chunk) error {
	outcomes := make([]*fleet.Outcome, len(c.lines))
	for at := 0; at < len(outcomes); {
		var p part
		select {
		case p = <-c.parts:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		a, err := s.answerTo(ctx, &p)
		if err != nil {
			return err
		}
		for n, at := range p.at {
			outcomes[at] = &a.Outcomes[n]
		}
		for ; at < len(outcomes) && outcomes[at] != nil; at++ {
			if err := s.writeLine(c.lines[at], outcomes[at]); err != nil {
				return err
			}
			outcomes[at] = &fleet.Outcome{} // which keeps nothing
		}
		if err := s.out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *submitter) writeLine(line int, o *fleet.Outcome) error {
	s.done.Lines++
	r := o.Result()
	if r.Err != nil {
		s.done.Failed++
		if s.opts.Failed != nil {
			s.opts.Failed(line, r.Err)
		}
		var err error
		if r.Output, err = json.Marshal(api.Failure{Error: api.Of(s.transform, r.Err).At(line)}, jsontext.AllowInvalidUTF8(true)); err != nil {
			return err
		}
	}
	s.hold(-int(outcomeBytes(o)))
	_, _ = s.out.Write(r.Output) // an error stays until Flush
	_ = s.out.WriteByte('\n')
	return nil
}
