package cascade_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/manifest"
	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/vectors"
	plugin "github.com/resonhost/resonhost/plugins/cascade"
	"github.com/resonhost/resonhost/resonance/cascade"
)

var update = flag.Bool("update", false, "write the outputs of the self-tests into plugin.go")

func TestSelfTests(t *testing.T) { vectors.CheckSelfTests(t, plugin.New(), "plugin.go", *update) }

func TestGuestIsLean(t *testing.T) { guesttest.CheckLean(t) }

func TestManifest(t *testing.T) {
	m, err := manifest.Parse([]byte(plugin.New().Manifest()))
	if err != nil {
		t.Fatal(err)
	}
	want := manifest.Transform{
		Name: "cascade", Input: cascade.MediaTypeState, Output: cascade.MediaTypeResult,
		StateBytes: cascade.MaxHistoryBytes, TimeoutMS: 1000,
	}
	if len(m.Transforms) != plugin.New().Len() || !reflect.DeepEqual(m.Transforms[0], want) {
		t.Errorf("%+v, want %+v", m.Transforms, want)
	}
}

func record(t *testing.T, s cascade.State) []byte {
	t.Helper()
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefuses(t *testing.T) {
	ok := record(t, cascade.State{PhiValue: 0.5})
	for name, c := range map[string]struct {
		item   abi.Item
		status abi.Status
		want   string
	}{
		"nothing":       {abi.Item{}, abi.StatusInvalidArgument, "state: must be a record of 56 bytes, has 0"},
		"trailing":      {abi.Item{Payload: append(bytes.Clone(ok), 0)}, abi.StatusInvalidArgument, "state: must be a record of 56 bytes, has 57"},
		"NaN":           {abi.Item{Payload: record(t, cascade.State{PhiValue: math.NaN()})}, abi.StatusInvalidArgument, "phiValue: must be 0 or of a magnitude between 1e-12 and 1e12"},
		"another state": {abi.Item{Payload: ok, State: []byte("x")}, abi.StatusFailed, "cascade history: a record of 1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := vectors.RunNative(t, plugin.New(), 0, c.item)
			if got.Status != c.status || string(got.Payload) != c.want || len(got.State) != 0 {
				t.Errorf("%v %q, state of %d bytes, want %v %q", got.Status, got.Payload, len(got.State), c.status, c.want)
			}
		})
	}
}

// TestStream has a history that tells calls apart: novelty is ½ until there are ten
// earlier results, and 0 when the same comes again.
func TestStream(t *testing.T) {
	p := plugin.New()
	payload := record(t, cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.7})
	var state []byte
	for i := range 12 {
		got := vectors.RunNative(t, p, 0, abi.Item{Payload: payload, State: state})
		if got.Status != abi.StatusOK {
			t.Fatalf("%v %s", got.Status, got.Payload)
		}
		state = bytes.Clone(got.State)
		var r cascade.Result
		if err := r.UnmarshalBinary(got.Payload); err != nil {
			t.Fatal(err)
		}
		want := 0.5
		if i >= 10 {
			want = 0
		}
		if r.CreativePatterns.EmergentNovelty != want {
			t.Errorf("call %d: novelty %v, want %v", i, r.CreativePatterns.EmergentNovelty, want)
		}
	}
	if len(state) != cascade.MaxHistoryBytes {
		t.Errorf("state of %d bytes, want %d", len(state), cascade.MaxHistoryBytes)
	}
}

// FuzzPlugin has any payload and state: the plugin refuses them in order, or what
// it answers is valid.
func FuzzPlugin(f *testing.F) {
	s := cascade.State{AwarenessLevel: 0.8, CoherenceScore: 1e12, PhiValue: -1e-12, Detail: cascade.DetailSummary}
	payload, err := s.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, []byte(nil))
	h := new(cascade.History)
	for range 10 {
		h.Add(cascade.Pattern{0.5, -1, 1})
	}
	state, err := h.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, state)
	p := plugin.New()
	f.Fuzz(func(t *testing.T, payload, state []byte) {
		got := vectors.RunNative(t, p, 0, abi.Item{Payload: payload, State: state})
		if got.Status != abi.StatusOK {
			if strings.HasPrefix(string(got.Payload), "panic") {
				t.Fatalf("%s", got.Payload)
			}
			return
		}
		var r cascade.Result
		if err := r.UnmarshalBinary(got.Payload); err != nil {
			t.Fatal(err)
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := new(cascade.History).UnmarshalBinary(got.State); err != nil || len(got.State) == 0 {
			t.Fatalf("state %x, err %v", got.State, err)
		}
	})
}

func ExampleAnalyze() {
	state := cascade.State{AwarenessLevel: 0.8, CoherenceScore: 0.75}
	if err := state.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	var history cascade.History
	var result cascade.Result
	plugin.Analyze(&state, &history, &result)
	fmt.Printf("%.4f %s, %s %s, %d earlier results\n", result.HarmonicScore, result.ResonanceQuality,
		result.DominantEmotion.Emotion, result.DominantEmotion.Color, history.Length)
	// Output: 0.3870 emerging, joy #FFD700, 1 earlier results
}
