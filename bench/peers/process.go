package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a contender's process, which does one request at a time.
type process struct {
	kind    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *bufio.Reader
	stderr  bytes.Buffer
}

// start starts a process, which is ready when it answers.
func (c *config) start(ctx context.Context, kind string, o options) (*process, error) {
	args := []string{c.self, childCommand, "-kind", kind, "-plugins", o.plugins, "-simd", o.simd, "-guests", o.guests}
	if o.cold {
		args = append(args, "-cold")
	}
	if isNode(kind) {
		octaves := "8"
		if kind == kindPiscinaOnce {
			octaves = "1"
		}
		args = []string{c.node, filepath.Join(c.piscina, "main.mjs"), "--octaves", octaves}
	}
	workers := "-workers"
	if isNode(kind) {
		workers = "--workers"
	}
	args = append(args, workers, strconv.Itoa(o.workers))
	p := &process{kind: kind, cmd: exec.CommandContext(ctx, args[0], args[1:]...)} //nolint:gosec // itself, or the node that the user says
	p.cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	// A process that is killed leaves go-plugin's child behind.
	p.cmd.Cancel, p.cmd.WaitDelay = p.stdin.Close, 10*time.Second
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewReaderSize(stdout, 1<<20)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// ask has the process do a request.
func (p *process) ask(r *request) (*answer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return nil, p.gone(err)
	}
	// A child in Go gives up by itself, and ends what it has started.
	limit := time.AfterFunc(time.Duration(r.MS*float64(time.Millisecond))+3*patience, func() { _ = p.cmd.Process.Kill() })
	defer limit.Stop()
	reply, err := p.answers.ReadBytes('\n')
	if err != nil {
		return nil, p.gone(err)
	}
	var a answer
	if err := json.Unmarshal(reply, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", p.kind, err)
	}
	if a.Error != "" {
		return nil, fmt.Errorf("%s: %s: %s", p.kind, r.Op, a.Error)
	}
	return &a, nil
}

// gone is the error of a process that does not answer, which ends with it.
func (p *process) gone(err error) error {
	err = errors.Join(err, p.close())
	return fmt.Errorf("%s: %w: %s", p.kind, err, strings.TrimSpace(p.stderr.String()))
}

// close ends the process. Closing it again is fine.
func (p *process) close() error {
	_ = p.stdin.Close()
	if p.cmd.ProcessState != nil {
		return nil
	}
	return p.cmd.Wait()
}

// family is the process and those it has started.
func (p *process) family() []int { return descendants(p.cmd.Process.Pid) }

func descendants(pid int) []int {
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for child := range strings.FieldsSeq(string(b)) {
			if id, err := strconv.Atoi(child); err == nil {
				all = append(all, descendants(id)...)
			}
		}
	}
	return all
}

// cpu is how much processor time the process and its children have used; 0 where that
// cannot be had.
func (p *process) cpu() (used time.Duration) {
	for _, pid := range p.family() {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, thread := range threads {
			b, err := os.ReadFile(thread)
			if err != nil {
				continue
			}
			first, _, _ := strings.Cut(string(b), " ")
			ns, err := strconv.ParseInt(first, 10, 64)
			if err == nil {
				used += time.Duration(ns)
			}
		}
	}
	return used
}

// memory is how much memory the process and its children have resident, and how much of
// that is no file's, in bytes; 0 where that cannot be had.
func (p *process) memory() (resident, anonymous float64) {
	for _, pid := range p.family() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			switch {
			case err != nil:
			case name == "VmRSS":
				resident += kb * 1024
			case name == "RssAnon":
				anonymous += kb * 1024
			}
		}
	}
	return resident, anonymous
}
