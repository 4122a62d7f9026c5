package serve_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/serve"
	"github.com/resonhost/resonhost/state"
)

// FuzzMeta brings back a network with which anything is stored. Either the network is served, or it stays in the store.
func FuzzMeta(f *testing.F) {
	for _, seed := range []string{
		`{"created":"2026-11-30T12:00:00Z","node_period_ns":10000000,"network_period_ns":100000000,"users":["line 1"]}`,
		`{"created":"0001-01-01T00:00:00Z","node_period_ns":0,"network_period_ns":0}`,
		`{"created":"9999-12-31T23:59:59.999999999Z","node_period_ns":-1,"network_period_ns":9223372036854775807}`,
		`{"users":[` + strings.Repeat(`"u",`, 2000) + `"u"]}`,
		`null`,
	} {
		f.Add([]byte(seed))
	}
	store := state.NewMemory()
	h, err := host.New(host.Config{Mode: host.ModeInline, Native: []host.Native{tick.New()}, State: store, StateInterval: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	if err := h.Start(context.Background()); err != nil {
		f.Fatal(err)
	}
	n, err := network.New(network.Config{Host: h})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			f.Error(err)
		}
		if err := h.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, meta []byte) {
		k, err := network.NewKeeper(network.KeeperConfig{Store: store, Name: "n"})
		if err != nil {
			t.Fatal(err)
		}
		if k.Save(t.Context(), n, meta) != nil {
			return // it is too long
		}
		var log strings.Builder
		s, err := serve.New(h, serve.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err == nil {
			err = s.Resume(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("%q: %v", meta, err)
		}
		kept, err := k.Load(t.Context())
		if err != nil || strings.Contains(log.String(), "is not served") && !bytes.Equal(kept.Meta, meta) {
			t.Errorf("%q: the network has not stayed: %v", meta, err)
		}
	})
}
