package embedded_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/fleet"
	"github.com/resonhost/resonhost/fleet/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestServer opens a fleet of a server, twice from one directory.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s, err := embedded.Start(t.Context(), embedded.Options{Listen: "127.0.0.1:0", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f, err := fleet.Open(t.Context(), fleet.Config{URLs: s.URL(), TaskBytes: 1 << 20, ResultBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.Start(t.Context(), embedded.Options{Listen: s.URL()[len("nats://"):], Dir: t.TempDir()}); err == nil {
			t.Error("two servers at one address")
		}
		if _, err := embedded.Start(t.Context(), embedded.Options{Listen: "127.0.0.1:0", Dir: dir}); !errors.Is(err, embedded.ErrInUse) {
			t.Errorf("two servers of one directory: error %v", err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	}
	for _, o := range []embedded.Options{{Listen: "127.0.0.1:0"}, {Listen: "0.0.0.0:0", Dir: dir}} {
		_, err := embedded.Start(t.Context(), o)
		if field := (*abi.FieldError)(nil); !errors.As(err, &field) {
			t.Errorf("%+v: error %v", o, err)
		}
	}
}
