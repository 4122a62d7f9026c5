package state_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/resonhost/resonhost/internal/golden"
	"github.com/resonhost/resonhost/state"
)

func newCipher(tb testing.TB) *state.Cipher {
	tb.Helper()
	return parseKeys(tb, state.NewKey())
}

func parseKeys(tb testing.TB, file string) *state.Cipher {
	tb.Helper()
	c, err := state.ParseKeys([]byte(file))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// The key of the golden files, which guards nothing.
const testKey = "resonhost-state-key-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

// TestGoldenSealed holds sealed records to what its file has. Each is sealed anew with another
// nonce, so that the file is only read.
func TestGoldenSealed(t *testing.T) {
	c := state.Codec{Cipher: parseKeys(t, testKey)}
	r := records()["v1-stream"]
	file := filepath.Join("testdata", "v1-sealed.record")
	if *update {
		golden.Check(t, file, encode(t, c, r), true)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(r.Key, b)
	if r.Size = len(r.Data); err != nil || !same(got, r) {
		t.Errorf("decoded %+v, %v, want %+v", got, err, r)
	}
	if id := c.Cipher.ID(); id != "ec5dc5ad" {
		t.Errorf("the key has the ID %s", id)
	}
}

func TestSealed(t *testing.T) {
	old, young := state.NewKey(), state.NewKey()
	r := records()["v1-stream"]
	sealed := encode(t, state.Codec{Cipher: parseKeys(t, old)}, r)
	if bytes.Contains(sealed, r.Data[:8]) {
		t.Error("the data can be read")
	}
	if again := encode(t, state.Codec{Cipher: parseKeys(t, old)}, r); bytes.Equal(again, sealed) {
		t.Error("sealed twice, it is the same")
	}
	both := state.Codec{Cipher: parseKeys(t, "# of May\n"+young+"\n\n"+old+"\n")}
	if got, err := both.Decode(r.Key, sealed); err != nil || !bytes.Equal(got.Data, r.Data) {
		t.Errorf("with the old key second: %+v, %v", got, err)
	}
	if got, err := (state.Codec{Cipher: parseKeys(t, young)}).Decode(r.Key, encode(t, both, r)); err != nil || !bytes.Equal(got.Data, r.Data) {
		t.Errorf("sealed by the first of two: %+v, %v", got, err)
	}
	for _, c := range []struct {
		name   string
		codec  state.Codec
		stored []byte
		want   string
	}{
		{"no key", plain, sealed, "it is sealed, and there is no key for it"},
		{"another key", state.Codec{Cipher: parseKeys(t, young)}, sealed, "it is sealed with key " + parseKeys(t, old).ID() + ", and the first of those given is " + parseKeys(t, young).ID()},
		{"not sealed", both, encode(t, plain, r), "it is not sealed, and with a key only sealed records are read"},
	} {
		_, err := c.codec.Decode(r.Key, c.stored)
		re := (*state.RecordError)(nil)
		if !errors.Is(err, state.ErrKey) || !errors.As(err, &re) || re.Reason != c.want {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := (state.Codec{Cipher: newCipher(t)}).DecodeHead(r.Key, sealed[:state.PeekBytes], len(sealed)); !errors.Is(err, state.ErrKey) {
		t.Errorf("the head with another key: error %v, want %v", err, state.ErrKey)
	}
	if head, err := both.DecodeHead(r.Key, sealed[:state.HeadBytes], len(sealed)); err != nil || head.Size != len(r.Data) {
		t.Errorf("the head is %+v, %v", head, err)
	}
}

// TestSealedHolds changes what is beside the sealed data and puts all sums right, as somebody who
// writes to the store can.
func TestSealedHolds(t *testing.T) {
	c := state.Codec{Cipher: newCipher(t)}
	r := records()["v1-stream"]
	sealed := encode(t, c, r)
	other := r.Key
	other.Name = "another stream"
	for name, b := range map[string][]byte{
		"format":      patch(r.Key, sealed, 4, 9),
		"time":        patch(r.Key, sealed, 8, 9),
		"another key": patch(other, sealed, 4, sealed[4]),
	} {
		key := r.Key
		if name == "another key" {
			key = other
		}
		if _, err := c.Decode(key, b); !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), "changed after it was sealed") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestParseKeys(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "has no key"},
		{"comment alone", "# nothing\n", "has no key"},
		{"no prefix", testKey[10:], "line 1: must begin with resonhost-state-key-, as resonhost state key writes it"},
		{"short", "\n" + testKey[:len(testKey)-2], "line 2: must have 32 bytes in base64url after resonhost-state-key-"},
		{"not base64", testKey[:len(testKey)-1] + "!", "line 1: must have 32 bytes in base64url after resonhost-state-key-"},
		{"twice", testKey + "\n" + testKey, "line 2: has the key of another line"},
		{"too many", strings.Repeat("\n", 2) + manyKeys(17), "line 19: there must be at most 16 keys"},
	} {
		if _, err := state.ParseKeys([]byte(c.file)); err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v, want %s", c.name, err, c.want)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for range n {
		b.WriteString(state.NewKey() + "\n")
	}
	return b.String()
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("# one\r\n" + testKey + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := state.ParseKeys(b)
		if err == nil && len(c.ID()) != 8 {
			t.Fatalf("ID %q", c.ID())
		}
	})
}
