package state_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/resonhost/resonhost/internal/golden"
	"github.com/resonhost/resonhost/state"
)

var update = flag.Bool("update", false, "write the golden files of the newest version")

var plain state.Codec

// records are those of the golden files, by the files' names.
func records() map[string]state.Record {
	return map[string]state.Record{
		"v1-stream": {
			Key:     state.Key{Kind: state.KindStream, Tenant: "blue", Transform: "tick.node", Name: "a/ü\x00"},
			Format:  3,
			Changed: time.UnixMilli(1_700_000_000_123),
			Data:    []byte("what the transform remembers"),
		},
		"v1-empty": {
			Key:     state.Key{Kind: state.KindPlugin},
			Changed: time.UnixMilli(-1),
			Data:    []byte{},
		},
		"v1-large": {
			Key:     state.Key{Kind: state.KindOutput, Tenant: strings.Repeat("t", state.MaxTenant), Name: strings.Repeat("n", state.MaxName)},
			Format:  1<<31 - 1,
			Changed: time.UnixMilli(1),
			Data:    bytes.Repeat([]byte{0, 1, 2, 0xff}, 300),
		},
	}
}

func encode(tb testing.TB, c state.Codec, r state.Record) []byte {
	tb.Helper()
	b, err := c.Append(nil, &r)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func same(a, b state.Record) bool {
	return a.Key == b.Key && a.Format == b.Format && a.Changed.Equal(b.Changed) && a.Size == b.Size &&
		bytes.Equal(a.Data, b.Data) && (a.Data == nil) == (b.Data == nil) && a.Err == nil && b.Err == nil
}

// TestGolden holds each version of stored records to what its files have: they are read for ever,
// and the newest is written so.
func TestGolden(t *testing.T) {
	for name, r := range records() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", name+".record")
			golden.Check(t, file, encode(t, plain, r), *update)
			stored, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := plain.Decode(r.Key, stored)
			r.Size = len(r.Data)
			if err != nil || !same(got, r) {
				t.Errorf("decoded %+v, %v, want %+v", got, err, r)
			}
			head, err := plain.DecodeHead(r.Key, stored[:state.HeadBytes], len(stored))
			if r.Data = nil; err != nil || !same(head, r) {
				t.Errorf("the head is %+v, %v, want %+v", head, err, r)
			}
		})
	}
}

// TestGoldenKeys likewise for the keys under which records are stored.
func TestGoldenKeys(t *testing.T) {
	for name, r := range records() {
		t.Run(name, func(t *testing.T) {
			b := state.AppendKey(nil, r.Key)
			golden.Check(t, filepath.Join("testdata", name+".key"), b, *update)
			if k, err := state.ParseKey(b); err != nil || k != r.Key {
				t.Errorf("parsed %v, %v, want %v", k, err, r.Key)
			}
			if len(b) > state.MaxStoredKey {
				t.Errorf("%d bytes, more than %d", len(b), state.MaxStoredKey)
			}
		})
	}
}

// TestSmall holds what is stored beside the data to 64 bytes and the key, sealed or not.
func TestSmall(t *testing.T) {
	r := records()["v1-stream"]
	for name, c := range map[string]state.Codec{"plain": plain, "sealed": {Cipher: newCipher(t)}} {
		b := encode(t, c, r)
		if more := len(b) - len(r.Data); more > 64 || len(b) != c.Stored(len(r.Data)) {
			t.Errorf("%s: %d bytes more than the data, Stored says %d of %d", name, more, c.Stored(len(r.Data)), len(b))
		}
	}
	if more := len(state.AppendKey(nil, r.Key)) - len(r.Key.Kind) - len(r.Key.Tenant) - len(r.Key.Transform) - len(r.Key.Name); more > 5 {
		t.Errorf("a stored key has %d bytes more than its parts", more)
	}
}

// TestDamage flips each bit, and cuts at each byte: all of it is found, and told as what it is.
func TestDamage(t *testing.T) {
	for name, c := range map[string]state.Codec{"plain": plain, "sealed": {Cipher: newCipher(t)}} {
		t.Run(name, func(t *testing.T) {
			r := records()["v1-stream"]
			whole := encode(t, c, r)
			check := func(what string, at int, b []byte) {
				t.Helper()
				_, err := c.Decode(r.Key, b)
				re := (*state.RecordError)(nil)
				if !errors.Is(err, state.ErrCorrupt) || !errors.As(err, &re) || re.Key != r.Key || re.Reason == "" {
					t.Errorf("%s at %d: error %v", what, at, err)
				}
				if _, err := c.DecodeHead(r.Key, b, len(b)); at < state.HeadBytes && !errors.Is(err, state.ErrCorrupt) {
					t.Errorf("%s at %d: the head has error %v", what, at, err)
				}
			}
			for i := range whole {
				check("cut off", i, whole[:i])
				for bit := range 8 {
					b := bytes.Clone(whole)
					b[i] ^= 1 << bit
					check("bit flipped", i, b)
				}
			}
			check("byte added", len(whole), append(bytes.Clone(whole), 0))
		})
	}
}

func TestUnderAnotherKey(t *testing.T) {
	r := records()["v1-stream"]
	for name, c := range map[string]state.Codec{"plain": plain, "sealed": {Cipher: newCipher(t)}} {
		b := encode(t, c, r)
		for _, other := range []state.Key{
			{Kind: "streams", Tenant: r.Key.Tenant, Transform: r.Key.Transform, Name: r.Key.Name},
			{Kind: r.Key.Kind, Tenant: "red", Transform: r.Key.Transform, Name: r.Key.Name},
			{Kind: r.Key.Kind, Tenant: r.Key.Tenant, Transform: r.Key.Transform + r.Key.Name},
			{Kind: r.Key.Kind, Transform: r.Key.Tenant, Name: r.Key.Name},
		} {
			if _, err := c.Decode(other, b); !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("%s: under %v: error %v", name, other, err)
			}
		}
	}
}

// patch changes the head of a stored record and puts its sum right, as a later version would have
// written it.
func patch(k state.Key, b []byte, at int, v byte) []byte {
	b = bytes.Clone(b)
	b[at] = v
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Checksum(state.AppendKey(nil, k), table), table, b[:24])
	binary.LittleEndian.PutUint32(b[24:], sum)
	return b
}

func TestNewer(t *testing.T) {
	r := records()["v1-stream"]
	b := encode(t, plain, r)
	for _, c := range []struct {
		name   string
		stored []byte
		err    error
		reason string
	}{
		{"version", patch(r.Key, b, 2, 2), state.ErrNewer, "it has version 2, and this program reads 1 to 1"},
		{"version 0", patch(r.Key, b, 2, 0), state.ErrCorrupt, "there is no version 0"},
		{"flags", patch(r.Key, b, 3, 0x82), state.ErrNewer, "it has flags 0x82, which this program does not know"},
		{"format", patch(r.Key, b, 7, 0x80), state.ErrCorrupt, "there is no format 2147483651"},
		{"size", patch(r.Key, b, 19, 0xff), state.ErrCorrupt, "it is to have 4278190108 bytes of data, and 16777216 are the most"},
	} {
		_, err := plain.Decode(r.Key, c.stored)
		re := (*state.RecordError)(nil)
		if !errors.Is(err, c.err) || !errors.As(err, &re) || re.Reason != c.reason {
			t.Errorf("%s: error %v, want %v: %s", c.name, err, c.err, c.reason)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for name, r := range records() {
		b := encode(f, plain, r)
		f.Add(string(r.Key.Kind), r.Key.Tenant, r.Key.Name, b)
		f.Add(name, "", "", b)
	}
	f.Add("stream", "", "", []byte("RS\x01\x00"))
	sealed := state.Codec{Cipher: newCipher(f)}
	f.Fuzz(func(t *testing.T, kind, tenant, name string, b []byte) {
		key := state.Key{Kind: state.Kind(kind), Tenant: tenant, Name: name}
		if key.Check() != nil {
			return
		}
		r, err := plain.Decode(key, b)
		if _, sealedErr := sealed.Decode(key, b); sealedErr == nil {
			t.Fatal("foreign bytes were opened with a key")
		}
		if err != nil {
			if re := (*state.RecordError)(nil); !errors.As(err, &re) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again := encode(t, plain, r); !bytes.Equal(again, b) {
			t.Fatalf("%x was read, and is written %x", b, again)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, r := range records() {
		f.Add(state.AppendKey(nil, r.Key))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := state.ParseKey(b)
		if err != nil {
			if !errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if err := k.Check(); err != nil {
			t.Fatalf("%q was parsed as %v: %v", b, k, err)
		}
		if again := state.AppendKey(nil, k); !bytes.Equal(again, b) {
			t.Fatalf("%q was parsed, and is written %q", b, again)
		}
	})
}
