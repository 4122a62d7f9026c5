// Package lines runs tasks that come as JSON lines, and answers with JSON lines.
package lines

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/textlines"
	"github.com/resonhost/resonhost/invoke"
)

// Defaults of Options. Together they bound the memory that lines take.
const (
	DefaultWindow  = 64
	DefaultMaxHeld = 64 << 20
)

// Options are how lines are read. The zero value of a field is its default.
type Options struct {
	// StreamField names the member of a line that is the key of the task's
	// stream; "" takes only what the transform's own JSON has for it.
	StreamField string
	// Stream, if not "", is the key of the stream of all tasks. A line that names a stream is an
	// error then.
	Stream string
	// Priority is that of all tasks; default host.PriorityNormal.
	Priority host.Priority
	// Tenant is on whose behalf the tasks are submitted, see [host.Client].
	Tenant string
	// Window is how many lines wait between the submitter and the writer; default DefaultWindow.
	// Each of the two has one more in hand, so that Window+2 tasks are under way at most.
	Window int
	// MaxLine is the longest line in bytes; default, and at most, what the codecs decode.
	MaxLine int
	// MaxHeld is how many bytes lines under way and their answers may have before Run waits
	// until some are written; default DefaultMaxHeld. How long answers will be is guessed by
	// those before. One line is under way whatever it takes.
	MaxHeld int
	// Failed, if set, is told of each task that failed, in the lines' order: its
	// line is for the caller, and does not have all that the error does.
	Failed func(line int, err error)
	// Memory, if set, is where the bytes of lines and answers come from that Run holds. A Read
	// that outlives Run gives back what its line has once it ends.
	Memory Memory
	// Probe, once closed, has Run write a space before its next answer if it waits for one,
	// which JSON allows: whether its reader is still there is seen by writing alone.
	Probe <-chan struct{}
	// Pace, if set, is asked before the task of each line begins, by one goroutine. It returns how
	// long that is to wait, and, if it is, what gives back the place of one that will not begin
	// after all. Its error ends Run, once the lines before are answered.
	Pace func() (wait time.Duration, undo func(), err error)
	// Wake, once closed, ends a wait: Pace is asked again.
	Wake <-chan struct{}
	// Yield has Run end rather than wait for Pace while nothing is under way: Summary.Rest says
	// where another Run may go on.
	Yield bool
	// From, if set, is where an earlier Run of the same input ended. The reader begins at its
	// Offset.
	From *Rest
	// Stop, once closed, has no further line read: Run answers those that were,
	// and ends. A Read that blocks then is left to end on its own.
	Stop <-chan struct{}
}

// Memory is what several Runs may hold together. It may be used concurrently.
type Memory interface {
	// Take takes n bytes, of an answer or else of a line, and reports whether there was room. If
	// not, the line fails with host.KindQueueFull.
	Take(n int, answer bool) bool
	// Add takes n bytes that are held already, or gives back what is not any more if n is
	// negative.
	Add(n int)
	// Tight reports whether there is so little left that a Run had better wait until answers
	// of its own are written.
	Tight() bool
}

// Summary counts what Run did.
type Summary struct {
	// Lines is how many tasks there were, Failed how many of them failed.
	Lines, Failed int
	// Stopped is whether Options.Stop ended the reading before the input did.
	Stopped bool
	// Rest is where Options.Yield ended Run, nil if it did not.
	Rest *Rest
}

// ReadError is the error of [Run] if its input failed. The lines before it were answered.
type ReadError struct {
	// Line is the number of the line that was to come next, or of which a part had come if Within.
	Line   int
	Within bool
	// Err is the reader's.
	Err error
}

func (e *ReadError) Error() string { return fmt.Sprintf("read line %d: %v", e.Line, e.Err) }

// Unwrap returns the reader's error.
func (e *ReadError) Unwrap() error { return e.Err }

// Run runs a task for each line of r, blank ones left out, and writes to w a line
// for each, in their order: the result, or an [api.Failure]. A line that fails harms no
// other. Tasks run side by side, those of one stream in their order. What is ready
// is written at once, so that a caller can wait for the answer to a line before it
// writes the next.
//
// Run ends with the input, when ctx ends, or when w fails; in the latter cases it
// cancels what is under way, waits for it, and returns the error. A Read that
// blocks then ends on its own. If r fails, the lines that came whole are answered, and the
// error is a [*ReadError].
func Run(ctx context.Context, h *host.Host, codecs *codec.Set, transform string, r io.Reader, w io.Writer, o Options) (Summary, error) {
	t, err := invoke.Find(h, codecs, transform)
	if err != nil {
		newPacer(o).end()
		return Summary{}, err
	}
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.MaxLine <= 0 {
		o.MaxLine = codecs.MaxBytes()
	}
	if o.MaxHeld <= 0 {
		o.MaxHeld = DefaultMaxHeld
	}
	o.MaxLine = min(o.MaxLine, codecs.MaxBytes())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &pipeline{
		transform: t, opts: o, held: newLedger(o.MaxHeld, h.Workers(), o.Memory),
		input: make(chan textlines.Line), answers: make(chan *answer, o.Window), pacer: newPacer(o),
	}
	p.client = h.Client(o.Tenant, o.Priority).WithRoom(func(n int) bool { return p.held.take(invoke.Expansion*n, true) })
	go p.read(ctx, r)
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := p.write(ctx, w); err != nil {
			if e := (*os.PathError)(nil); errors.As(err, &e) {
				err = e.Err // w is the caller's, who knows where it leads
			}
			cancel(fmt.Errorf("write: %w", err))
			for a := range p.answers {
				<-a.done
				p.held.end(a.held)
			}
		}
	})
	err = p.submit(ctx)
	writing.Wait()
	p.encoding.Wait()
	p.pacer.end()
	p.summary.Stopped, p.summary.Rest = p.pacer.stopped, p.pacer.rest
	if cause := context.Cause(ctx); cause != nil {
		return p.summary, cause
	}
	return p.summary, err
}

// pipeline is one Run: a goroutine that reads, Run's own that submits, one for
// each task that encodes its result, and one that writes.
type pipeline struct {
	client    *host.Client
	transform *invoke.Transform
	opts      Options
	held      *ledger
	input     chan textlines.Line
	answers   chan *answer
	encoding  sync.WaitGroup
	summary   Summary // the writer's until it has ended
	pacer     *pacer  // the submitter's, but for what it says
}

// answer is a task on its way, or a line that never became one.
type answer struct {
	number int
	held   int           // likewise, and of out
	done   chan struct{} // closed once out or err is there
	out    []byte
	err    error
}

// read sends the lines of r until ctx ends.
func (p *pipeline) read(ctx context.Context, r io.Reader) {
	defer close(p.input)
	first, offset := p.opts.From.position()
	in := textlines.New(r, textlines.Options{
		Most: p.opts.MaxLine, TooLong: fmt.Errorf("the line is longer than %d bytes, the limit (MaxLine, --max-input)", p.opts.MaxLine),
		Take: p.keep, Number: first, Offset: offset,
	})
	for l, ok := in.Next(); ok; l, ok = in.Next() {
		select {
		case p.input <- l:
		case <-ctx.Done():
			p.held.add(-len(l.Text))
			return
		}
	}
}

// keep takes n bytes of a line, or gives them back if n is negative.
func (p *pipeline) keep(n int) error {
	if n < 0 {
		p.held.add(n)
	} else if !p.held.take(n, false) {
		return invoke.NoMemory(p.transform.Name)
	}
	return nil
}

// submit takes a place for the task of each line, until the input or ctx ends.
func (p *pipeline) submit(ctx context.Context) error {
	defer close(p.answers) // with which the writer ends
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.opts.Stop:
			p.pacer.stopped = true
			return nil
		case l, ok := <-p.input:
			if !ok {
				return nil
			}
			if l.Fatal != nil {
				return &ReadError{Line: l.Number, Within: l.Within, Err: l.Fatal}
			}
			if begins, err := p.pacer.pace(ctx, l); !begins {
				p.held.add(-len(l.Text))
				return err
			}
			for !p.held.begin() {
				select {
				case <-p.held.freed:
				case <-ctx.Done():
					p.held.add(-len(l.Text))
					return context.Cause(ctx)
				}
			}
			a := p.task(ctx, l)
			p.pacer.begun()
			select {
			case p.answers <- a:
			case <-ctx.Done(): // the writer may have ended
				<-a.done
				p.held.end(a.held)
				return context.Cause(ctx)
			}
		}
	}
}

func (p *pipeline) task(ctx context.Context, l textlines.Line) *answer {
	a := &answer{number: l.Number, held: len(l.Text), done: make(chan struct{})}
	task, err := p.decode(l)
	a.held += task.Added()
	if err != nil {
		a.err = err
		p.held.done(a.held)
		close(a.done)
		return a
	}
	pending := task.Submit(ctx, p.client)
	// Results can be large: encoding them one after the other would keep the
	// workers waiting.
	p.encoding.Go(func() {
		defer close(a.done)
		out, err := pending.Wait()
		if err != nil {
			a.err = err
			p.held.done(a.held)
			return
		}
		taken := invoke.Expansion * len(out)
		a.out, a.err = task.Encode(out)
		p.held.done(a.held + max(taken, len(a.out)))
		p.held.add(len(a.out) - taken)
		a.held += len(a.out)
	})
	return a
}

// decode returns the task of a line, whose payload the ledger has then. With an error it is empty.
func (p *pipeline) decode(l textlines.Line) (invoke.Task, error) {
	if l.Err != nil {
		return invoke.Task{}, p.transform.Refused(l.Err)
	}
	task, err := p.transform.Decode(l.Text, p.opts.StreamField)
	switch {
	case err != nil:
		return invoke.Task{}, wholeInALine(err)
	case p.opts.Stream != "" && task.Stream() != "":
		return invoke.Task{}, p.transform.Refused(&abi.FieldError{Field: "stream", Rule: "must not be there besides the stream of all tasks"})
	case !p.held.take(task.Added(), false):
		return invoke.Task{}, p.transform.Refused(invoke.NoMemory(p.transform.Name))
	case p.opts.Stream != "":
		return task.InStream(p.opts.Stream), nil
	}
	return task, nil
}

// wholeInALine adds to the error of a document that is cut off why a line is not enough for it.
func wholeInALine(err error) error {
	f := (*abi.FieldError)(nil)
	if !errors.As(err, &f) || !strings.HasPrefix(f.Rule, "is cut off") {
		return err
	}
	return &abi.FieldError{Field: f.Field, Rule: f.Rule + "; a task is one line"}
}

// write writes the answers in order, until there are no more, w fails, or ctx ends
// a task.
func (p *pipeline) write(ctx context.Context, w io.Writer) error {
	bw := bufio.NewWriterSize(w, 64<<10)
	probe := p.opts.Probe
	for a := range p.answers {
		select {
		case <-a.done:
		default: // what is ready goes out before a wait
			if err := flush(bw, w); err != nil {
				return err
			}
			select {
			case <-a.done:
			case <-probe:
				probe = nil
				_ = bw.WriteByte(' ') // as below
				if err := flush(bw, w); err != nil {
					return err
				}
				<-a.done
			}
		}
		err := p.writeAnswer(ctx, bw, w, a)
		p.held.end(a.held)
		if err != nil {
			return err
		}
		if len(p.answers) == 0 {
			if err := flush(bw, w); err != nil {
				return err
			}
		}
		p.pacer.answered()
	}
	return flush(bw, w)
}

func (p *pipeline) writeAnswer(ctx context.Context, bw *bufio.Writer, w io.Writer, a *answer) error {
	out, err := a.out, a.err
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), flush(bw, w)) // no failure of the line's
	}
	p.summary.Lines++
	if err != nil {
		p.summary.Failed++
		if p.opts.Failed != nil {
			p.opts.Failed(a.number, err)
		}
		if out, err = json.Marshal(api.Failure{Error: api.Of(p.transform.Name, err).At(a.number)}, jsontext.AllowInvalidUTF8(true)); err != nil {
			return err
		}
	}
	// A write error stays with bw until Flush, and ends with it.
	_, _ = bw.Write(out)
	_ = bw.WriteByte('\n')
	return nil
}

// flush writes out what is buffered, and has w send it if w buffers too.
func flush(bw *bufio.Writer, w io.Writer) error {
	if bw.Buffered() == 0 {
		return bw.Flush() // an error of an earlier write
	}
	if err := bw.Flush(); err != nil {
		return err
	}
	if f, ok := w.(interface{ FlushError() error }); ok {
		return f.FlushError()
	}
	return nil
}
