package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
)

func TestStreamOrderAndState(t *testing.T) {
	h, g := inline(t, nil)
	s := h.Stream("s")
	var pending []*host.Pending
	for _, in := range []string{"a", "b", "bad", "c"} {
		pending = append(pending, s.Submit(t.Context(), "gate", []byte(in)))
	}
	other := h.Stream("other").Submit(t.Context(), "gate", []byte("x"))
	for range 5 {
		g.pass()
	}
	for i, want := range []string{"a", "ab", "", "abc"} {
		out, err := pending[i].Wait()
		if string(out) != want || (err != nil) != (want == "") {
			t.Errorf("task %d: %q, err %v, want %q", i, out, err, want)
		}
	}
	_, err := pending[2].Wait()
	if want := "gate: invalid_argument: input: must not be bad"; err == nil || err.Error() != want {
		t.Errorf("err %v, want %s", err, want)
	}
	if out, err := other.Wait(); err != nil || string(out) != "x" {
		t.Errorf("the other stream: %q, err %v", out, err)
	}
	if got := h.Stats().Streams; got != 2 {
		t.Errorf("%d streams, want 2", got)
	}
}

func TestStreamKey(t *testing.T) {
	h, _ := inline(t, nil)
	for _, key := range []string{"", strings.Repeat("k", host.MaxStreamKey+1)} {
		_, err := h.Stream(key).Run(t.Context(), "gate", nil)
		if want := fmt.Sprintf("stream key: must have 1 to 256 bytes, has %d", len(key)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err %v, want %s", err, want)
		}
	}
}

// TestFailedTaskKeepsState has a native transform that fails and states a state.
func TestFailedTaskKeepsState(t *testing.T) {
	h := hosted.Start(t, host.Config{Mode: host.ModeInline, Native: []host.Native{failing{guest.New(gateManifest)}}})
	s := h.Stream("s")
	for _, c := range [][2]string{{"one", ""}, {"fail", ""}, {"two", "one"}} {
		out, err := s.Run(t.Context(), "gate", []byte(c[0]))
		if (err != nil) != (c[0] == "fail") || err == nil && string(out) != c[1] {
			t.Errorf("%s: %q, err %v; want %q", c[0], out, err, c[1])
		}
	}
}

// failing answers with the state it finds and leaves its input, also if it fails.
type failing struct{ *guest.Plugin }

func (failing) Run(_ uint32, frame []byte) ([]byte, error) {
	r, err := abi.ReadInput(frame)
	if err != nil {
		return nil, err
	}
	it, err := r.Next()
	if err != nil {
		return nil, err
	}
	res := abi.Result{Payload: it.State, State: it.Payload}
	if string(it.Payload) == "fail" {
		res.Status = abi.StatusFailed
	}
	return abi.AppendOutput(nil, []abi.Result{res}), nil
}
