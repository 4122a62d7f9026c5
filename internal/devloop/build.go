package devloop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// maxOutput is how much of a build's output is kept: its end.
const maxOutput = 32 << 10

// grace is how long a build that is cancelled has to end by itself.
const grace = time.Second

// Build is a run of the build command.
type Build struct {
	Command string `json:"command"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// ExitCode is its own, 128 and more of one that a signal ended, and -1 if it could not
	// be run, which Error says.
	ExitCode int    `json:"exit_code"`
	Error    string `json:"error,omitempty"`
	// Output is what it wrote to both outputs, or the end of that.
	Output string `json:"output,omitempty"`
}

// Failed reports whether there is nothing to deploy.
func (b *Build) Failed() bool { return b.ExitCode != 0 || b.Error != "" }

// build runs a command in dir. When ctx ends it ends the command's process group, and
// returns ctx's error; it never leaves a process of that group behind.
//
// The output goes through a file, as a process that holds a pipe open would have it wait.
func build(ctx context.Context, dir string, command []string) (*Build, error) {
	b := &Build{Command: strings.Join(command, " ")}
	out, err := os.CreateTemp("", "resonhost-build-")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = out.Close() // what it has was read
		_ = os.Remove(out.Name())
	}()
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx,gosec // a group is ended below, and the command is the author's
	cmd.Dir, cmd.Env = dir, environ()
	cmd.Stdout, cmd.Stderr = out, out
	ownGroup(cmd)
	began := time.Now()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		b.ExitCode, b.Error = -1, startError(dir, command[0], err)
		return b, nil
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		endGroup(cmd)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			killGroup(cmd)
			<-ended
		}
	}
	killGroup(cmd) // what it left running
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	b.Seconds, b.ExitCode = time.Since(began).Seconds(), exitCode(cmd.ProcessState)
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		b.Error = err.Error()
	}
	b.Output, err = tail(out)
	return b, err
}

// environ is the environment of a build. A make that this command was run by has no say in
// the make of the project.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "MAKEFLAGS" || name == "MFLAGS" || name == "MAKELEVEL" || name == "PWD"
	})
}

// startError says why a command could not be run.
func startError(dir, command string, err error) string {
	if _, e := os.Stat(dir); e != nil {
		err = e
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Sprintf("there is no command %s", command)
	}
	return err.Error()
}

// tail reads the end of a file.
func tail(f *os.File) (string, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	from := max(size-maxOutput, 0)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxOutput))
	if err != nil {
		return "", err
	}
	text := strings.ToValidUTF8(string(b), "\uFFFD")
	if from > 0 {
		_, text, _ = strings.Cut(text, "\n")
		text = fmt.Sprintf("… %d bytes before\n", from) + text
	}
	return text, nil
}
