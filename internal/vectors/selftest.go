package vectors

import (
	"bytes"
	"encoding/base64"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/abi/manifest"
)

// CheckSelfTests runs the self-tests of a plugin's manifest natively. With update
// it writes the outputs that differ into source, the file that has the manifest.
//
// Outputs are compared to the last bit on amd64 alone: elsewhere Go may fuse a
// multiplication with an addition, which a guest never does.
func CheckSelfTests(t *testing.T, p *guest.Plugin, source string, update bool) {
	t.Helper()
	m, err := manifest.Parse([]byte(p.Manifest()))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.SelfTests) == 0 {
		t.Error("no self-tests")
	}
	for _, c := range m.SelfTests {
		index := slices.IndexFunc(m.Transforms, func(spec manifest.Transform) bool { return spec.Name == c.Transform })
		got := RunNative(t, p, index, abi.Item{Payload: c.Input, State: c.State})
		switch {
		case got.Status != c.Status:
			t.Errorf("%s: %v %s, want %v", c.Name, got.Status, got.Payload, c.Status)
		case c.Status != abi.StatusOK, bytes.Equal(got.Payload, c.Output):
		case len(got.Payload) == len(c.Output) && runtime.GOARCH != "amd64":
		case update:
			replace(t, source, base64.StdEncoding.EncodeToString(c.Output), base64.StdEncoding.EncodeToString(got.Payload))
		default:
			t.Errorf("%s: another output than recorded; if that is meant, go test with -update", c.Name)
		}
	}
}

func replace(t *testing.T, file, old, now string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), `"`+old+`"`); n != 1 {
		t.Fatalf("%s has an output %d times", file, n)
	}
	updated := strings.Replace(string(b), `"`+old+`"`, `"`+now+`"`, 1)
	if err := os.WriteFile(file, []byte(updated), 0o600); err != nil { //nolint:gosec // the file is a test's constant
		t.Fatal(err)
	}
}

// RunNative runs one item through a transform of a native plugin. What it returns
// is valid until the plugin's next run.
func RunNative(t *testing.T, p *guest.Plugin, transform int, item abi.Item) abi.Result {
	t.Helper()
	frame, err := p.Run(uint32(transform), abi.AppendInput(nil, []abi.Item{item}))
	if err != nil {
		t.Fatal(err)
	}
	results, err := abi.ReadOutput(frame)
	if err != nil {
		t.Fatal(err)
	}
	result, err := results.Next()
	if err != nil {
		t.Fatal(err)
	}
	return result
}
