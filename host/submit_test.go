package host_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/host"
)

func TestQueuePolicies(t *testing.T) {
	t.Run("reject", func(t *testing.T) {
		h, g := inline(t, func(cfg *host.Config) { cfg.QueueCapacity, cfg.QueuePolicy = 1, host.QueueReject })
		a := h.Submit(t.Context(), "gate", []byte("a"))
		b := h.Submit(t.Context(), "gate", []byte("b"))
		_, err := h.Run(t.Context(), "gate", []byte("c"))
		if host.KindOf(err) != host.KindQueueFull || !errors.Is(err, host.ErrQueueFull) || !strings.HasSuffix(err.Error(), "queue is full (QueueCapacity, --queue-capacity)") {
			t.Errorf("err %v, want queue full", err)
		}
		g.pass()
		g.pass()
		for _, p := range []*host.Pending{a, b} {
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("drop oldest", func(t *testing.T) {
		h, g := inline(t, func(cfg *host.Config) { cfg.QueueCapacity, cfg.QueuePolicy = 1, host.QueueDropOldest })
		a := h.Submit(t.Context(), "gate", []byte("a"))
		b := h.Submit(t.Context(), "gate", []byte("b"))
		c := h.Submit(t.Context(), "gate", []byte("c"))
		if _, err := b.Wait(); !errors.Is(err, host.ErrQueueFull) || !strings.HasSuffix(err.Error(), "dropped from a full queue (QueueCapacity, --queue-capacity; QueuePolicy, --queue-policy)") {
			t.Errorf("err %v, want queue full", err)
		}
		g.pass()
		g.pass()
		for _, p := range []*host.Pending{a, c} {
			if _, err := p.Wait(); err != nil {
				t.Error(err)
			}
		}
		if got := h.Stats().Dropped; got != 1 {
			t.Errorf("%d dropped, want 1", got)
		}
	})
	t.Run("block", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, g := inline(t, func(cfg *host.Config) { cfg.QueueCapacity = 1 })
			h.Submit(t.Context(), "gate", []byte("a"))
			h.Submit(t.Context(), "gate", []byte("b"))
			submitted := make(chan *host.Pending)
			go func() { submitted <- h.Submit(t.Context(), "gate", []byte("c")) }()
			synctest.Wait()
			if s := h.Stats(); s.Blocked != 1 || s.QueueDepth != 1 {
				t.Errorf("stats %+v, want one blocked", s)
			}
			g.pass()
			p := <-submitted
			g.pass()
			g.pass()
			if out, err := p.Wait(); err != nil || string(out) != "c" {
				t.Errorf("%q, err %v", out, err)
			}
		})
	})
	t.Run("timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, g := inline(t, func(cfg *host.Config) { cfg.QueueTimeout = time.Second })
			a := h.Submit(t.Context(), "gate", []byte("a"))
			began := time.Now()
			_, err := h.Run(t.Context(), "gate", []byte("b"))
			if host.KindOf(err) != host.KindTimeout || !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), "waited longer than the queue timeout (QueueTimeout, --queue-timeout)") {
				t.Errorf("err %v, want a queue timeout", err)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("after %v, want 1s", took)
			}
			g.pass()
			if _, err := a.Wait(); err != nil {
				t.Error(err)
			}
		})
	})
}
