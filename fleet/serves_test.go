package fleet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/natstest"
)

// TestServes looks which transforms hosts serve. One that does not say so may serve any.
func TestServes(t *testing.T) {
	url := natstest.Start(t).URL()
	f := open(t, small(url, ""))
	if err := f.Serves(t.Context(), "swap"); !errors.Is(err, fleet.ErrNoHosts) {
		t.Errorf("without a bucket: error %v", err)
	}
	a := join(t, url, "a")
	join(t, url, "b", func(c *host.Config) {
		c.Plugins = []host.Source{{Name: "hostile", WASM: guesttest.HandWritten(t, "hostile")}}
	})
	for _, transform := range []string{"swap", "hostile.echo"} {
		if err := f.Serves(t.Context(), transform); err != nil {
			t.Errorf("%s: error %v", transform, err)
		}
	}
	unknown := (*host.Error)(nil)
	const want = `no host of the fleet serves a transform "swop"; did you mean "swap"?; there are `
	if err := f.Serves(t.Context(), "swop"); !errors.As(err, &unknown) || !errors.Is(err, host.ErrUnknownTransform) || !strings.HasPrefix(unknown.Message, want) {
		t.Errorf("error %v, want %s", err, want)
	}

	// What a host has just loaded is there with its next sign of life.
	other := swap(t, guesttest.Version{Tag: "v1"})
	if err := a.host.Unload(t.Context(), "swap"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a sign of life without the transform", func() bool { return errors.Is(f.Serves(t.Context(), "swap"), host.ErrUnknownTransform) })
	if _, err := a.host.Deploy(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := f.Serves(t.Context(), "swap"); err != nil {
		t.Errorf("error %v", err)
	}

	_, js := jet(t, url)
	h := fleet.HostInfo{Format: 1, Host: "old", Instance: "old", Since: time.Now()}
	data, err := h.Encode()
	if err == nil {
		_, err = bucketOf(t, js, "HOSTS").Put(t.Context(), "old", data)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serves(t.Context(), "swop"); err != nil {
		t.Errorf("with a host that does not say: error %v", err)
	}
}
