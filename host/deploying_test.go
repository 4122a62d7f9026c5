package host_test

import (
	"context"
	"errors"
	"testing"

	"github.com/resonhost/resonhost/host"
)

// TestDeployingIsListed has what is being loaded in the list, whether or not anything of it serves yet.
func TestDeployingIsListed(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := swapHost(t, func(c *host.Config) {
		c.Plugins = []host.Source{stateful(t, "v1", "")}
		c.Accept = func(_ context.Context, s host.Source) error {
			if s.Name != "other" {
				return nil
			}
			entered <- struct{}{}
			<-release
			return errors.New("no")
		}
	})
	other := stateful(t, "v2", "")
	other.Name = "other"
	done := make(chan error)
	go func() {
		_, err := h.Deploy(t.Context(), other)
		done <- err
	}()
	<-entered
	list := h.Plugins()
	if len(list) != 2 || list[0].Deploying || list[1].Source != "other" || !list[1].Deploying || list[1].Hash != "" {
		t.Errorf("%+v", list)
	}
	// What no plugin has may be of that one.
	const message = `no plugin has a transform "swop" yet; being loaded, and may have it: other`
	if _, err := h.Run(t.Context(), "swop", nil); host.KindOf(err) != host.KindUnavailable || !errors.Is(err, host.ErrLoading) || err.Error() != "swop: unavailable: "+message {
		t.Errorf("error %v", err)
	}
	if _, err := h.Lookup("swap"); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-done; err == nil {
		t.Error("accepted")
	}
	if _, err := h.Run(t.Context(), "swop", nil); !errors.Is(err, host.ErrUnknownTransform) || h.Stats().UnknownTransform != 1 {
		t.Errorf("error %v", err)
	}
	for _, p := range h.Plugins() {
		if p.Deploying {
			t.Errorf("%+v", p)
		}
	}
}

// TestRefusedRollback asks for a rollback while the second version is being loaded. There is no earlier one, and that version
// serves in the end.
func TestRefusedRollback(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	first := true
	h := swapHost(t, func(c *host.Config) {
		c.Plugins = []host.Source{stateful(t, "v1", "")}
		c.Accept = func(context.Context, host.Source) error {
			if !first {
				entered <- struct{}{}
				<-release
			}
			first = false
			return nil
		}
	})
	done := make(chan error)
	go func() {
		result, err := h.Deploy(t.Context(), stateful(t, "v2", ""))
		if err == nil && result != host.DeploySwapped {
			err = errors.New("it is " + string(result))
		}
		done <- err
	}()
	<-entered
	if err := h.Rollback(t.Context(), "swap", host.StateDefault); !errors.Is(err, host.ErrNoPrevious) {
		t.Errorf("error %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
