//go:build !unix

package devloop

import (
	"os"
	"os/exec"
)

// There are no process groups: what a command ran is left to end.

func ownGroup(*exec.Cmd)     {}
func endGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
func killGroup(*exec.Cmd)    {}

func exitCode(s *os.ProcessState) int { return s.ExitCode() }
