package main

import (
	"bufio"
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"github.com/resonhost/resonhost/internal/guesttest"
	"github.com/resonhost/resonhost/internal/vectors"
)

// TestVectors runs the recorded calls over the built command: as one input where
// that can be, and where a task begins with the result of the one before, line by
// line.
func TestVectors(t *testing.T) {
	resonhost := binary(t)
	plugins := guesttest.Dir(t, guesttest.Cascade, guesttest.Tick)
	call := func(transform string) *exec.Cmd {
		return exec.Command(resonhost, "call", transform, "--plugins", plugins, "--stream-field", "stream")
	}
	for _, transform := range []string{"cascade", "tick.node", "tick.connection"} {
		t.Run(transform, func(t *testing.T) {
			tasks := vectors.Tasks(t, transform)
			var in, stderr bytes.Buffer
			for _, task := range tasks {
				in.Write(append(task.Input, '\n'))
			}
			cmd := call(transform)
			cmd.Stdin, cmd.Stderr = &in, &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%v: %s", err, stderr.Bytes())
			}
			lines := bytes.Split(bytes.TrimSuffix(out, []byte("\n")), []byte("\n"))
			if len(lines) != len(tasks) {
				t.Fatalf("%d answers to %d lines", len(lines), len(tasks))
			}
			for i, task := range tasks {
				if err := task.Compare(lines[i]); err != nil {
					t.Errorf("%s: %v", task.Name, err)
				}
			}
		})
	}
	t.Run("tick.network", func(t *testing.T) {
		cmd := call("tick.network")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(out)
		var answer []byte
		for _, task := range vectors.Tasks(t, "tick.network") {
			input, err := task.Input, error(nil)
			if task.Continue != nil {
				input, err = task.Continue(answer)
			}
			if err == nil {
				_, err = in.Write(append(input, '\n'))
			}
			if err == nil {
				answer, err = answers.ReadBytes('\n')
			}
			if err == nil {
				err = task.Compare(answer)
			}
			if err != nil {
				t.Fatalf("%s: %v", task.Name, err)
			}
		}
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
}
