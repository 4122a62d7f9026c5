//go:build wasip1

// Shout is the plugin that most examples run.
package main

import (
	"bytes"
	"strconv"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
)

// The host runs the self-tests before the plugin serves.
const manifest = `{
  "name": "shout", "version": "1.0.0",
  "transforms": [
    {"name": "shout", "input": "text/plain", "output": "text/plain"},
    {"name": "shout.count", "input": "text/plain", "output": "text/plain", "state_bytes": 20},
    {"name": "shout.cheer", "input": "application/vnd.example.cheer", "output": "text/plain"},
    {"name": "shout.rehearse", "input": "text/plain", "output": "text/plain"}
  ],
  "self_tests": [
    {"name": "a word", "transform": "shout", "input": "hello", "output": "HELLO!"},
    {"name": "second task", "transform": "shout.count", "input": "two words", "state": "3", "output": "5"},
    {"name": "three marks", "transform": "shout.cheer", "input": {"base64": "A2hleQ=="}, "output": "HEY!!!"}
  ]
}`

// The transforms are in the manifest's order.
func init() { guest.Export(guest.New(manifest, shout, count, cheer, rehearse)) }

func main() {} // a plugin's is never called

// shout answers in upper case.
func shout(t *guest.Task) error {
	if len(t.Input) == 0 {
		return &abi.FieldError{Field: "text", Rule: "must not be empty"} // the caller's fault
	}
	t.Output = append(append(t.Output, bytes.ToUpper(t.Input)...), '!')
	return nil
}

// count answers how many words the stream has had. The state is that number, in decimal.
func count(t *guest.Task) error {
	words := len(bytes.Fields(t.Input))
	if len(t.State) > 0 {
		before, err := strconv.Atoi(string(t.State))
		if err != nil {
			return err
		}
		words += before
	}
	t.NextState = strconv.AppendInt(nil, int64(words), 10)
	t.Output = append(t.Output, t.NextState...)
	return nil
}

// cheer shouts a text as loudly as the first byte of its input says.
func cheer(t *guest.Task) error {
	if len(t.Input) < 2 {
		return &abi.FieldError{Field: "input", Rule: "must be a byte, the number of marks, and a text"}
	}
	t.Output = append(t.Output, bytes.ToUpper(t.Input[1:])...)
	t.Output = append(t.Output, bytes.Repeat([]byte("!"), int(t.Input[0]))...)
	return nil
}

// rehearse is work: it shouts so often, and answers the last time.
func rehearse(t *guest.Task) error {
	for range 200_000 {
		t.Output = t.Output[:0]
		if err := shout(t); err != nil {
			return err
		}
	}
	return nil
}
