package calls_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/internal/calls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	var g calls.Group
	fault := errors.New("a fault")
	if err := g.Run(t.Context(), func() error { return fault }); !errors.Is(err, fault) {
		t.Errorf("error %v", err)
	}
	if err := g.Run(t.Context(), func() error { return nil }); err != nil {
		t.Errorf("error %v", err)
	}
	g.Fail(fault)
	g.Fail(errors.New("another"))
	if err := g.Run(t.Context(), func() error { t.Error("it is called"); return nil }); !errors.Is(err, fault) {
		t.Errorf("a call of a group that has failed: error %v", err)
	}
	if first, failed := g.Close(); !first || !errors.Is(failed, fault) {
		t.Errorf("closed %v, %v", first, failed)
	}
	if first, _ := g.Close(); first {
		t.Error("closed twice")
	}
	if err := g.Run(t.Context(), func() error { t.Error("it is called"); return nil }); !errors.Is(err, state.ErrClosed) {
		t.Errorf("a call of a closed group: error %v", err)
	}
}

// TestContextEnds has a call that heeds no context: its caller goes, and Close waits for it.
func TestContextEnds(t *testing.T) {
	var g calls.Group
	ctx, cancel := context.WithCancel(t.Context())
	blocked, ended := make(chan struct{}), make(chan struct{})
	err := g.Run(ctx, func() error {
		cancel()
		<-blocked
		close(ended)
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if err := g.Run(ctx, func() error { t.Error("it is called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: error %v", err)
	}
	close(blocked)
	g.Close()
	select {
	case <-ended:
	default:
		t.Error("Close has not waited")
	}
}
