package lines

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/resonhost/resonhost/internal/textlines"
)

// minRest is the shortest wait for which a Run ends that may. Beginning another one takes longer
// than less.
const minRest = time.Millisecond

// Rest is where a [Run] ended that would have had to wait, see Options.Yield. All lines before are
// answered.
type Rest struct {
	// Line is the number of the line that is next, and Offset where in the input it begins, in bytes.
	Line   int
	Offset int64
	// Until is when its task may begin.
	Until time.Time

	undo func()
}

// NewRest returns where others than [Run] go on, whose place undo gives back.
func NewRest(line int, offset int64, until time.Time, undo func()) *Rest {
	return &Rest{Line: line, Offset: offset, Until: until, undo: undo}
}

// Cancel gives back the place of the task that is next, which no Run will begin.
func (r *Rest) Cancel() {
	if r.undo != nil {
		r.undo()
	}
}

// position is where the reading begins.
func (r *Rest) position() (number int, offset int64) {
	if r == nil {
		return 1, 0
	}
	return r.Line, r.Offset
}

// pacer has tasks begin as Options.Pace says. It is the submitter's; the writer says what it has
// answered.
type pacer struct {
	opts       Options
	from       *Rest // nil once its line has begun
	unanswered atomic.Int64
	idle       chan struct{} // has a token when unanswered may have become 0
	stopped    bool
	rest       *Rest
}

func newPacer(o Options) *pacer {
	return &pacer{opts: o, from: o.From, idle: make(chan struct{}, 1)}
}

// begun says that a line is under way, and answered that its answer is written.
func (p *pacer) begun() { p.unanswered.Add(1) }

func (p *pacer) answered() {
	if p.unanswered.Add(-1) > 0 {
		return
	}
	select {
	case p.idle <- struct{}{}:
	default:
	}
}

// end gives back the place of a line that never came to its turn.
func (p *pacer) end() {
	if p.from != nil {
		p.from.Cancel()
	}
}

// next says when the next task may begin, and what gives its place back.
func (p *pacer) next() (until time.Time, undo func(), err error) {
	if f := p.from; f != nil {
		p.from = nil
		return f.Until, f.Cancel, nil
	}
	if p.opts.Pace == nil {
		return time.Time{}, nil, nil
	}
	wait, undo, err := p.opts.Pace()
	if err != nil || wait <= 0 {
		return time.Time{}, nil, err
	}
	return time.Now().Add(wait), undo, nil
}

// pace waits until the task of a line may begin, and reports whether it does. It does not if reading
// is to stop, if Run is to rest, or with an error.
func (p *pacer) pace(ctx context.Context, l textlines.Line) (begins bool, err error) {
	for {
		until, undo, err := p.next()
		if err != nil {
			return false, err
		}
		if until.IsZero() || time.Until(until) <= 0 {
			return true, nil
		}
		switch p.wait(ctx, until) {
		case waited:
			return true, nil
		case rests:
			p.rest = &Rest{Line: l.Number, Offset: l.Offset, Until: until, undo: undo}
			return false, nil
		case woken:
			p.opts.Wake = nil
		case stops:
			p.stopped = true
		}
		if undo != nil {
			undo()
		}
		if ctx.Err() != nil || p.stopped {
			return false, context.Cause(ctx)
		}
	}
}

// outcome is how a wait ended.
type outcome int

const (
	waited outcome = iota
	rests
	woken
	stops
	cancelled
)

func (p *pacer) wait(ctx context.Context, until time.Time) outcome {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		if p.opts.Yield && p.unanswered.Load() == 0 && time.Until(until) >= minRest {
			return rests
		}
		select {
		case <-timer.C:
			return waited
		case <-p.idle:
		case <-p.opts.Wake:
			return woken
		case <-p.opts.Stop:
			return stops
		case <-ctx.Done():
			return cancelled
		}
	}
}
