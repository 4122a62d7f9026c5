package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/resonhost/resonhost/internal/natstest"
	"github.com/resonhost/resonhost/state"
)

// bench is a fleet whose states a test stores.
type bench struct {
	*Fleet

	t      *testing.T
	number uint64 // of the next answer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	f, err := Open(t.Context(), Config{URLs: natstest.Start(t).URL(), TaskBytes: 8 << 20, ResultBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &bench{Fleet: f, t: t}
}

func streamKey(name string) state.Key {
	return state.Key{Kind: state.KindStream, Tenant: "ann", Transform: "grow", Name: name}
}

// want reads states of streams, which are "" if they are none, and an error if they cannot be read.
func (f *bench) want(s *states, want map[string]string) {
	f.t.Helper()
	var keys []state.Key
	for name := range want {
		keys = append(keys, streamKey(name))
	}
	list, err := s.of(f.t.Context(), keys)
	if err != nil {
		f.t.Fatal(err)
	}
	for i, k := range list {
		got := string(k.record.Data)
		if k.err != nil {
			got = "unreadable"
		}
		if name := keys[i].Name; got != want[name] {
			f.t.Errorf("stream %s: %q, want %q", name, got, want[name])
		}
	}
}

// put stores states of streams with an answer of its own, or of the number.
func (f *bench) put(s *states, number uint64, left map[string]string) (bool, error) {
	f.t.Helper()
	var list []state.Record
	for name, data := range left {
		list = append(list, state.Record{Key: streamKey(name), Format: 3, Data: []byte(data), Changed: time.Now()})
	}
	answer := &nats.Msg{Subject: f.names.result(ID{"s", number}), Data: []byte("answer")}
	f.age(answer)
	return s.publish(f.t.Context(), answer, list)
}

func (f *bench) mustPut(s *states, left map[string]string) {
	f.t.Helper()
	f.number++
	if first, err := f.put(s, f.number, left); !first || err != nil {
		f.t.Errorf("first %v, error %v", first, err)
	}
}

// TestStatesAreFenced has two hosts that both take a partition for theirs: what one stores that has not read what the other stored is refused,
// with its answer.
func TestStatesAreFenced(t *testing.T) {
	f := newBench(t)
	a, b := f.newStates(3, state.Codec{}, time.Hour), f.newStates(3, state.Codec{}, time.Hour)
	f.want(a, map[string]string{"x": "", "y": ""})
	f.mustPut(a, map[string]string{"x": "1", "y": "1"})
	f.want(b, map[string]string{"x": "1", "z": ""})
	f.mustPut(b, map[string]string{"x": "2"})
	f.number++
	late := f.number
	if first, err := f.put(a, late, map[string]string{"y": "2"}); first || !errors.Is(err, errFenced) {
		t.Errorf("first %v, error %v; want that it is fenced off", first, err)
	}
	if done, err := f.answered(t.Context(), ID{"s", late}); done || err != nil {
		t.Errorf("the answer is bench: %v, %v", done, err)
	}
	f.want(a, map[string]string{"x": "2", "y": "1"})
	if first, err := f.put(a, 1, map[string]string{"y": "again"}); first || err != nil { // of a frame that is done
		t.Errorf("first %v, error %v", first, err)
	}
	f.want(a, map[string]string{"y": "1"})
	f.mustPut(a, nil)
	if _, err := f.put(b, 99, nil); !errors.Is(err, errFenced) {
		t.Errorf("error %v: a frame that changes nothing has read what no longer is", err)
	}
	f.want(b, map[string]string{"x": "2", "y": "1"})
	f.mustPut(b, map[string]string{"x": ""})
	f.want(a, map[string]string{"x": "", "y": "1"})
	other := f.newStates(4, state.Codec{}, time.Hour)
	f.want(other, map[string]string{"y": ""})
	f.mustPut(other, map[string]string{"y": "of another partition"})
	f.mustPut(b, map[string]string{"y": "3"})
}

// TestStatesThatCannotBeRead has others write to the stream, and keys that a host has not.
func TestStatesThatCannotBeRead(t *testing.T) {
	f := newBench(t)
	cipher := func(key string) state.Codec {
		c, err := state.ParseKeys([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return state.Codec{Cipher: c}
	}
	key := state.NewKey()
	a := f.newStates(0, cipher(key), 0)
	f.want(a, map[string]string{"x": ""})
	f.mustPut(a, map[string]string{"x": "secret", "moved": "secret"})
	msg, err := f.results.GetLastMsgForSubject(t.Context(), f.names.state(0, streamKey("x")))
	if err != nil || bytes.Contains(msg.Data, []byte("secret")) || msg.Header.Get("Nats-TTL") != "never" {
		t.Errorf("%v %v", msg, err)
	}
	f.want(f.newStates(0, cipher(state.NewKey()), 0), map[string]string{"x": "unreadable", "y": ""})
	for name, data := range map[string][]byte{
		"garbage": []byte("garbage"), "empty": nil, "short": []byte("RS\x01"), "moved": msg.Data,
		"newer": append([]byte("RS\x09"), msg.Data[3:]...),
	} {
		if _, err := f.js.Publish(t.Context(), f.names.state(0, streamKey(name)), data); err != nil {
			t.Fatal(err)
		}
	}
	f.want(f.newStates(0, cipher(key), 0), map[string]string{
		"garbage": "unreadable", "empty": "unreadable", "short": "unreadable", "moved": "unreadable", "newer": "unreadable", "x": "secret",
	})
}

// TestStatesExpire has states of which one is changed no more.
func TestStatesExpire(t *testing.T) {
	f := newBench(t)
	s := f.newStates(0, state.Codec{}, time.Second)
	f.want(s, map[string]string{"x": ""})
	f.mustPut(s, map[string]string{"x": "1"})
	deadline := time.Now().Add(time.Minute)
	for {
		list, err := f.newStates(0, state.Codec{}, 0).of(t.Context(), []state.Key{streamKey("x")})
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("states %v, error %v", list, err)
		}
		if len(list[0].record.Data) == 0 {
			return
		}
	}
}

// TestStatesForget has more streams than a host remembers.
func TestStatesForget(t *testing.T) {
	f := newBench(t)
	s := f.newStates(0, state.Codec{}, 0)
	const at = 64
	for from := 0; from < maxKnown+3*at; from += at {
		want, left := make(map[string]string), make(map[string]string)
		for i := from; i < from+at; i++ {
			want[strconv.Itoa(i)], left[strconv.Itoa(i)] = "", fmt.Sprint("state of ", i)
		}
		f.want(s, want)
		f.mustPut(s, left)
	}
	if len(s.known) > maxKnown {
		t.Errorf("%d streams are remembered", len(s.known))
	}
	f.want(s, map[string]string{"0": "state of 0", strconv.Itoa(maxKnown): "state of 4096"})
}

// TestStatesOfAStreamMadeAnew has the numbers of messages begin anew.
func TestStatesOfAStreamMadeAnew(t *testing.T) {
	f := newBench(t)
	s := f.newStates(0, state.Codec{}, 0)
	f.want(s, map[string]string{"x": ""})
	for range 3 {
		f.mustPut(s, map[string]string{"x": "1"})
	}
	if err := f.js.DeleteStream(t.Context(), f.names.results); err != nil {
		t.Fatal(err)
	}
	if err := f.openStreams(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.want(s, map[string]string{"x": ""})
	f.mustPut(s, map[string]string{"x": "2"})
}
