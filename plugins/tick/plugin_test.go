package tick_test

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"flag"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/vectors"
	plugin "github.com/resonhost/resonhost/plugins/tick"
	"github.com/resonhost/resonhost/resonance/tick"
)

var update = flag.Bool("update", false, "write the outputs of the self-tests into plugin.go")

func TestSelfTests(t *testing.T) { vectors.CheckSelfTests(t, plugin.New(), "plugin.go", *update) }

// The indices of the transforms.
const (
	node = iota
	network
	connection
)

func TestGuestIsLean(t *testing.T) { guesttest.CheckLean(t) }

func TestManifest(t *testing.T) {
	m, err := manifest.Parse([]byte(plugin.New().Manifest()))
	if err != nil {
		t.Fatal(err)
	}
	want := []manifest.Transform{
		node:       {Name: "tick.node", Input: tick.MediaTypeNodes, Output: tick.MediaTypeNodesResult, TimeoutMS: 1000},
		network:    {Name: "tick.network", Input: tick.MediaTypeNetwork, Output: tick.MediaTypeNetwork, TimeoutMS: 1000},
		connection: {Name: "tick.connection", Input: tick.MediaTypeConnection, Output: tick.MediaTypeConnectionResult, TimeoutMS: 1000},
	}
	if len(m.Transforms) != len(want) || plugin.New().Len() != len(want) {
		t.Fatalf("%d transforms in the manifest, %d in the plugin, want %d", len(m.Transforms), plugin.New().Len(), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(m.Transforms[i], want[i]) {
			t.Errorf("%+v, want %+v", m.Transforms[i], want[i])
		}
	}
}

func record(tb testing.TB, m encoding.BinaryAppender) []byte {
	tb.Helper()
	b, err := m.AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRefuses(t *testing.T) {
	late := nodes(2)
	late.NowMS = math.Inf(1)
	far := nodes(2)
	far.Attached[0] = 3
	for name, c := range map[string]struct {
		transform int
		payload   []byte
		want      string
	}{
		"no nodes":      {node, nil, "record: must have 32 bytes, has 0"},
		"nodes late":    {node, record(t, late), "now_ms: must be between -8.64e15 and 8.64e15"},
		"far pattern":   {node, record(t, far), "attached[0]: must be the index of a pattern"},
		"no network":    {network, nil, "record: must have 120 bytes, has 0"},
		"nodes for it":  {network, record(t, nodes(40)), "record: must have 2504 bytes, has 1184"},
		"network late":  {network, record(t, &tick.NetworkState{NowMS: -1e300}), "now_ms: must be between -8.64e15 and 8.64e15"},
		"no connection": {connection, nil, "record: must have 64 bytes, has 0"},
		"no frequency":  {connection, record(t, &tick.ConnectionRequest{A: tick.End{Frequency: 1}}), "b.frequency: must be above 0 and at most 1e6"},
	} {
		t.Run(name, func(t *testing.T) {
			got := vectors.RunNative(t, plugin.New(), c.transform, abi.Item{Payload: c.payload})
			if got.Status != abi.StatusInvalidArgument || string(got.Payload) != c.want {
				t.Errorf("%v %q, want %q", got.Status, got.Payload, c.want)
			}
		})
	}
}

// TestTasksAreApart has one plugin do tasks of different size: what one leaves in
// the messages used again must not show in the next.
func TestTasksAreApart(t *testing.T) {
	used := plugin.New()
	networks := func(n int) []byte {
		return record(t, &tick.NetworkState{NowMS: now, Fields: make([]tick.Field, n), Patterns: make([]tick.Pattern, n)})
	}
	for _, n := range []int{3, 200, 1, 0, 64, 65} {
		for transform, payload := range [][]byte{node: record(t, nodes(n)), network: networks(n)} {
			got := vectors.RunNative(t, used, transform, abi.Item{Payload: payload})
			want := vectors.RunNative(t, plugin.New(), transform, abi.Item{Payload: payload})
			if got.Status != abi.StatusOK || !bytes.Equal(got.Payload, want.Payload) {
				t.Errorf("transform %d of %d: %v, not what a fresh plugin answers", transform, n, got.Status)
			}
		}
	}
}

// FuzzPlugin has any payload: the plugin refuses it in order, or what it answers is
// valid.
func FuzzPlugin(f *testing.F) {
	f.Add(uint8(node), record(f, nodes(3)))
	f.Add(uint8(node), record(f, nodes(0)))
	f.Add(uint8(network), record(f, &tick.NetworkState{Fields: make([]tick.Field, 1), Patterns: []tick.Pattern{{Phase: 359.9}}}))
	f.Add(uint8(connection), record(f, &tick.ConnectionRequest{A: tick.End{Frequency: 1}, B: tick.End{Frequency: 1e6}}))
	p := plugin.New()
	f.Fuzz(func(t *testing.T, transform uint8, payload []byte) {
		transform %= 3
		got := vectors.RunNative(t, p, int(transform), abi.Item{Payload: payload})
		if got.Status != abi.StatusOK {
			if strings.HasPrefix(string(got.Payload), "panic") {
				t.Fatalf("%s", got.Payload)
			}
			return
		}
		if transform == network { // its numbers may leave by a tick the bounds they were just within
			var s tick.NetworkState
			if err := s.UnmarshalBinary(got.Payload); err != nil {
				t.Fatal(err)
			}
			for i := 16; i < len(got.Payload); i += 8 {
				if v := math.Float64frombits(binary.LittleEndian.Uint64(got.Payload[i:])); math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("%v at byte %d", v, i)
				}
			}
			return
		}
		message := [...]interface {
			encoding.BinaryUnmarshaler
			Validate() error
		}{node: new(tick.NodesResult), connection: new(tick.ConnectionResult)}[transform]
		if err := message.UnmarshalBinary(got.Payload); err != nil {
			t.Fatal(err)
		}
		if err := message.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
