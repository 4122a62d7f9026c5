//go:build scaffolds

package scaffold_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/scaffold"
)

// TestRustOutput has a Rust plugin do to its outputs all that can be done to them, in frames of
// tasks of which some fail in the middle, and beyond what there is room for at first.
func TestRustOutput(t *testing.T) {
	dir := t.TempDir()
	if _, err := scaffold.Write(dir, scaffold.Options{Name: "outputs", Language: "rust"}); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("testdata/outputs.rs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "src/lib.rs"), source, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(dir, nil, "make", "outputs.wasm").CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s\n%s", err, out, installs["rust"])
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "outputs.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for name, isolation := range map[string]host.Isolation{"pristine": host.IsolationPristine, "frame": host.IsolationFrame, "shared": host.IsolationShared} {
		t.Run(name, func(t *testing.T) {
			h, err := host.New(host.Config{
				Plugins:  []host.Source{{Name: "outputs", WASM: wasm}},
				Defaults: host.PluginConfig{Isolation: isolation},
			})
			if err == nil {
				err = h.Start(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Close(context.Background()) })
			random := rand.New(rand.NewPCG(1, 2))
			for range 200 {
				inputs := make([][]byte, 1+random.IntN(6))
				for i := range inputs {
					inputs[i] = steps(random)
				}
				for i, r := range h.RunBatch(t.Context(), "outputs", inputs) {
					want, refusal := outputOf(inputs[i])
					var e *host.Error
					if refusal != "" && (!errors.As(r.Err, &e) || e.Message != refusal) || refusal == "" && (r.Err != nil || !bytes.Equal(r.Output, want)) {
						t.Fatalf("steps %q: %d bytes, %v, want %d, %q", inputs[i], len(r.Output), r.Err, len(want), refusal)
					}
				}
			}
		})
	}
}

// steps are an input of testdata/outputs.rs.
func steps(random *rand.Rand) (input []byte) {
	most := []int{20, 2000, 65535}[random.IntN(3)]
	for range random.IntN(12) {
		kind := "ppeewwgguuttssx"[random.IntN(15)]
		if random.IntN(40) == 0 {
			kind = "fi"[random.IntN(2)]
		}
		input = binary.LittleEndian.AppendUint16(append(input, kind), uint16(random.IntN(most+1)))
	}
	return input
}

// outputOf is what testdata/outputs.rs answers to steps.
func outputOf(input []byte) (output []byte, refusal string) {
	for ; len(input) > 0; input = input[3:] {
		n := int(binary.LittleEndian.Uint16(input[1:]))
		switch input[0] {
		case 'p':
			output = append(output, byte(n))
		case 'e':
			output = append(output, bytes.Repeat([]byte{7}, n)...)
		case 'w':
			output = append(output, bytes.Repeat([]byte{8}, n)...)
		case 'g':
			output = append(append(output, make([]byte, n/2)...), bytes.Repeat([]byte{9}, n-n/2)...)
		case 'u':
			output = append(output, bytes.Repeat([]byte{10}, n)...)
		case 't':
			output = output[:min(len(output), n)]
		case 's':
			if n < len(output) {
				output[n] = 11
			}
		case 'f':
			return nil, fmt.Sprintf("had %d", len(output))
		case 'i':
			return nil, "step: must be another"
		}
	}
	return output, ""
}
