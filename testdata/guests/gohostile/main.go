// Gohostile echoes, and misbehaves as only a Go program can at a payload that
// begins with '!'. See ../README.md.
package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/abi/guest"
)

// misdeeds are the transforms, each of which turns hostile at a provoking
// payload.
var misdeeds = []struct {
	name       string
	stateBytes int
	do         guest.Transform
}{
	{"error", 0, fail},
	{"invalid", 0, refuse},
	{"panic", 0, panics},
	{"nilpanic", 0, dereference},
	{"exit", 0, exit},
	{"fatal", 0, recurse},
	{"oom", 0, exhaust},
	{"spin", 0, spin},
	{"sleep", 0, sleep},
	{"deadlock", 0, deadlock},
	{"goroutine", 0, leaveSpinning},
	{"crash", 0, crash},
	{"stdout", 0, write},
	{"log", 0, log},
	{"file", 0, open},
	{"env", 0, environment},
	{"clock", 0, clock},
	{"state", 64, hoard},
	{"leak", 0, remember},
}

func init() {
	var manifest strings.Builder
	manifest.WriteString(`{"name": "gohostile", "version": "1.0.0", "transforms": [`)
	transforms := make([]guest.Transform, len(misdeeds))
	for i, m := range misdeeds {
		if i > 0 {
			manifest.WriteByte(',')
		}
		fmt.Fprintf(&manifest, `{"name": "gohostile.%s", "input": "application/octet-stream", "output": "application/octet-stream", "state_bytes": %d}`, m.name, m.stateBytes)
		transforms[i] = provoked(m.do)
	}
	manifest.WriteString("]}")
	guest.Export(guest.New(manifest.String(), transforms...))
}

// provoked echoes input and state, and leaves the task to do if the input
// provokes.
func provoked(do guest.Transform) guest.Transform {
	return func(t *guest.Task) error {
		if len(t.Input) > 0 && t.Input[0] == '!' {
			return do(t)
		}
		t.Output = append(t.Output, t.Input...)
		t.NextState = t.State
		return nil
	}
}

func fail(*guest.Task) error { return errors.New("cannot") }

func refuse(*guest.Task) error {
	return &abi.FieldError{Field: "payload[0]", Rule: "must not be '!'"}
}

func panics(*guest.Task) error { panic("on purpose") }

func dereference(*guest.Task) error {
	var t *guest.Task
	t.Output = nil
	return nil
}

func exit(*guest.Task) error {
	os.Exit(3)
	return nil
}

// recurse overflows the stack, which no recover catches.
func recurse(t *guest.Task) error {
	if err := recurse(t); err != nil {
		return fmt.Errorf("deeper: %w", err)
	}
	return nil
}

func exhaust(*guest.Task) error {
	for hoard := [][]byte{}; ; {
		hoard = append(hoard, make([]byte, 1<<20))
	}
}

func spin(*guest.Task) error {
	for {
	}
}

func sleep(*guest.Task) error {
	time.Sleep(time.Hour)
	return nil
}

func deadlock(*guest.Task) error {
	<-make(chan struct{})
	return nil
}

// leaveSpinning answers, and leaves a goroutine behind that never returns once a
// later task yields to it.
func leaveSpinning(t *guest.Task) error {
	go spin(nil)
	t.Output = append(t.Output, t.Input...)
	return nil
}

// crash panics where no recover reaches.
func crash(*guest.Task) error {
	go panic("on purpose")
	runtime.Gosched()
	return nil
}

func write(t *guest.Task) error {
	fmt.Println("to stdout")
	println("to stderr")
	os.Stdout.Write(make([]byte, 1<<20))
	t.Output = append(t.Output, t.Input...)
	return nil
}

func log(t *guest.Task) error {
	guest.Log(abi.LogInfo, string(t.Input))
	guest.Log(abi.LogWarn, strings.Repeat("x", 1<<20))
	guest.Log(abi.LogError, "")
	t.Output = append(t.Output, t.Input...)
	return nil
}

func open(t *guest.Task) error {
	b, err := os.ReadFile("/etc/hostname")
	if err != nil {
		return err
	}
	t.Output = append(t.Output, b...)
	return nil
}

func environment(t *guest.Task) error {
	t.Output = fmt.Appendf(t.Output, "args %q env %q", os.Args, os.Environ())
	return nil
}

// clock answers with the wall clock and the random number the host gives: the
// same ones for every task, where the host is deterministic.
func clock(t *guest.Task) error {
	t.Output = binary.LittleEndian.AppendUint64(t.Output, uint64(time.Now().UnixNano()))
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	t.Output = append(t.Output, random[:]...)
	return nil
}

// hoard appends the input to the state, whatever the state's bound, and answers
// with its length.
func hoard(t *guest.Task) error {
	t.NextState = append(t.State[:len(t.State):len(t.State)], t.Input...)
	t.Output = fmt.Append(t.Output, len(t.NextState))
	return nil
}

var remembered []byte

// remember answers with what the instance's earlier tasks left.
func remember(t *guest.Task) error {
	t.Output = append(t.Output, remembered...)
	remembered = append(remembered, t.Input...)
	return nil
}

func main() {}
