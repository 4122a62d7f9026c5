package host

import (
	"context"
	"errors"
	"time"

	"github.com/resonhost/resonhost/host/internal/registry"
	"github.com/resonhost/resonhost/host/internal/sched"
	"github.com/resonhost/resonhost/host/internal/stream"
)

// lease is the instance that a task has, and of which version: the one that served when it was
// borrowed.
type lease struct {
	r         *runner
	transform *transform
	key       string                      // of the stream
	stream    *stream.Entry[sched.Serial] // nil without a stream
	looked    time.Time                   // at the clock, see now; zero if it has done something since
	followed  *following                  // how it goes; nil if nobody wants to know

	instance instance // nil while the task has none
	// version is what the instance is of, or the last one was. trial is the trial of a canary in which
	// that version takes part, nil without one. canary is whether the version is the canary.
	version  *version
	trial    *trial
	canary   bool
	noCanary bool   // no canary runs it
	blamed   *trial // of a canary that has failed it, in a frame
}

// now returns the time, as of when the task last looked at the clock if it has done
// nothing since: each look costs some 40 ns.
func (l *lease) now() time.Time {
	now := l.looked
	if l.looked = (time.Time{}); now.IsZero() {
		now = l.r.sched.Clock()
	}
	return now
}

// choose takes the version that the task runs on now. Until the task has an instance of
// it, it may be replaced.
func (l *lease) choose() {
	l.trial, l.canary = nil, false
	if s := l.transform.service.serving.Load(); s != nil {
		if l.trial = s.trial; l.trial != nil && !l.noCanary && l.trial.takes(l.transform.slot, l.stream != nil, l.key) {
			l.version, l.canary = l.trial.version, true
			return
		}
		if s.current.spec(l.transform.slot) != nil {
			l.version = s.current
			return
		}
	}
	l.version, l.trial = l.transform.last.Load(), nil
}

// borrow takes an instance, if the task has none: of the version that serves by then.
func (l *lease) borrow(ctx context.Context) *Error {
	for tried := (*version)(nil); l.instance == nil; {
		l.choose()
		in, err := l.lend(ctx)
		switch {
		case err == nil:
			l.instance = in
		case l.r.ctx.Err() != nil: // what has not begun when patience ends does not begin
			return l.version.sign(fail(KindUnavailable, l.transform.name, ErrClosed))
		case l.canary && errors.Is(err, ErrMemoryBudget) && ctx.Err() == nil:
			l.noCanary = true // the version beside it has instances, or may have room for one
		case !errors.Is(err, errReplaced):
			return notBorrowed(ctx, l.transform, l.version, err)
		case l.version == tried: // and nothing has come after it
			return l.version.sign(fail(KindUnavailable, l.transform.name, errReplaced))
		default:
			tried = l.version
		}
	}
	return nil
}

// lend lends an instance of the task's version, or waits for one. Its error is errReplaced
// if the version's time is over.
func (l *lease) lend(ctx context.Context) (instance, error) {
	v := l.version
	in := v.engine.TryBorrow()
	if in == nil && v.ctx.Err() == nil {
		l.looked = time.Time{}
		wait, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		defer context.AfterFunc(v.ctx, func() { stop(errReplaced) })()
		var err error
		if in, err = v.engine.Borrow(wait); err != nil && v.ctx.Err() == nil && !errors.Is(err, registry.ErrClosed) {
			return nil, err
		}
	}
	if v.ctx.Err() != nil && in != nil {
		in.Return()
		in = nil
	}
	if in == nil {
		return nil, errReplaced
	}
	return in, nil
}

// giveBack gives the instance back, if the task has one.
func (l *lease) giveBack() {
	if in := l.instance; in != nil {
		l.instance, l.looked = nil, time.Time{}
		l.putBack(in)
	}
}

// putBack gives back an instance of the task's version, which may be reset for that.
func (l *lease) putBack(in instance) {
	_, native := in.(*inline) // which keeps what it likes
	if l.followed == nil || native || l.version.cfg.Isolation == IsolationShared {
		in.Return()
		return
	}
	began := time.Now()
	in.Return()
	l.phase(TaskPhase{Phase: PhaseReset, Began: began, Ended: time.Now()})
}

// phase adds a phase of the task's version.
func (l *lease) phase(p TaskPhase) {
	v := l.version.label()
	p.Plugin, p.Version, p.Hash, p.Canary = v.name, v.release, v.hash, l.canary
	l.followed.add(p)
}
