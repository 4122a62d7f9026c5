package module

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// ofTask reports whether an error is a [Fault] of the task alone.
func ofTask(err error) bool {
	f := (*Fault)(nil)
	return errors.As(err, &f) && f.Task
}

// trace parts an error of wazero's from the guest's stack. What the rewriter has guests call is
// left out: their authors know nothing of it.
func trace(err error) (msg, stack string) {
	msg, stack, _ = strings.Cut(err.Error(), "\nwasm stack trace:\n")
	var frames []string
	for frame := range strings.SplitSeq(stack, "\n") {
		if frame = strings.TrimPrefix(frame, "\t"); !strings.HasPrefix(frame, meter.ImportModule+".") {
			frames = append(frames, frame)
		}
	}
	return msg, strings.Join(frames, "\n")
}

// interrupted is the fault of a call whose context ended. As with those below, the
// name of the export goes before the message.
func interrupted(ctx context.Context) *Fault {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, errTimeout):
		return timedOut()
	case errors.Is(cause, errStopped):
		return stopped()
	}
	return &Fault{Kind: Cancelled, Message: "was cancelled", Cause: cause}
}

func timedOut() *Fault {
	return &Fault{Kind: Timeout, Message: "ran past its deadline", Cause: errTimeout}
}

func stopped() *Fault { return &Fault{Kind: Stopped, Message: "was stopped", Cause: errStopped} }

// Causes of contexts.
var (
	errTimeout = fmt.Errorf("timeout: %w", context.DeadlineExceeded)
	errStopped = errors.New("stopped")
)
