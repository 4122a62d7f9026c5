package watch_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/host/internal/watch"
)

// module has a custom section "n" of 200 bytes, and an empty type section.
var module = "\x00asm\x01\x00\x00\x00" + "\x00\xc8\x01\x01n" + strings.Repeat("x", 198) + "\x01\x01\x00"

func TestModule(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want bool
	}{
		"empty":               {"", false},
		"magic's beginning":   {"\x00as", false},
		"room":                {strings.Repeat("\x00", 100), false},
		"no version":          {"\x00asm\x01\x00", false},
		"no section":          {"\x00asm\x01\x00\x00\x00", true},
		"two sections":        {module, true},
		"a byte short":        {module[:len(module)-1], false},
		"no size":             {module + "\x01", false},
		"half a size":         {module + "\x01\x80", false},
		"room after sections": {module + "\x00\x00\x00\x00", false},
		"too long a size":     {module + "\x01" + strings.Repeat("\xff", 11), true},
		"a size beyond int":   {module + "\x01" + strings.Repeat("\xff", 9) + "\x01", false},
		"something else":      {"#!/bin/sh", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := watch.Module([]byte(c.file)); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A module that is cut off is whole where a section ends, and nowhere else.
func FuzzModule(f *testing.F) {
	f.Add([]byte{0, 1, 42, 43, 255})
	f.Add([]byte(module))
	f.Fuzz(func(t *testing.T, b []byte) {
		watch.Module(b)
		wasm := []byte(module[:8])
		ends := map[int]bool{8: true}
		for _, c := range b[:min(len(b), 20)] {
			size := 3 * int(c)
			wasm = binary.AppendUvarint(append(wasm, 1+c%12), uint64(size))
			wasm = append(wasm, make([]byte, size)...)
			ends[len(wasm)] = true
		}
		for n := range len(wasm) + 1 {
			if got := watch.Module(wasm[:n]); got != ends[n] {
				t.Fatalf("%d bytes of %q: %v", n, wasm, got)
			}
		}
	})
}
