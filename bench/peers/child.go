package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/resonhost/resonhost/bench/peers/guests/transform"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/resonance/cascade"
	"github.com/resonhost/resonhost/resonance/tick"
)

// child is a contender in a process of its own.
type child struct {
	kind   string
	o      options
	opened *opened
	in     *inputs
}

// runChild answers requests until there are no more.
func runChild(ctx context.Context, kind string, o options, stdin io.Reader, stdout io.Writer) (err error) {
	c := &child{kind: kind, o: o}
	if c.opened, err = open(ctx, kind, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.opened.close(context.WithoutCancel(ctx))) }()
	requests, answers := json.NewDecoder(stdin), json.NewEncoder(stdout)
	for {
		var r request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		a, err := c.do(ctx, &r)
		if err != nil {
			a = &answer{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

func (c *child) do(ctx context.Context, r *request) (*answer, error) {
	switch r.Op {
	case opInputs:
		c.in = r.Inputs
		return &answer{}, nil
	case opCheck:
		return c.check(ctx, r)
	case opAgain:
		return c.again(ctx, r)
	}
	l, err := c.load(r)
	if err != nil {
		return nil, err
	}
	lasts := time.Duration(r.MS * float64(time.Millisecond))
	// What hangs is to say so.
	ctx, cancel := context.WithTimeout(ctx, lasts+patience)
	defer cancel()
	switch r.Op {
	case opClosed:
		return l.closed(ctx, r.Callers, lasts)
	case opOpen:
		return l.open(ctx, r.Rate, lasts)
	}
	return nil, fmt.Errorf("there is no operation %q", r.Op)
}

// load returns the load of a workload.
func (c *child) load(r *request) (*load, error) {
	list, err := c.in.tasks(r.Workload)
	if err != nil {
		return nil, err
	}
	l := &load{tasks: list, run: c.opened.run, each: 1}
	switch r.Mode {
	case modeAppend:
		l.run = c.opened.runAppend
	case modeLines:
		body, err := c.in.lines(r.Workload)
		if err != nil {
			return nil, err
		}
		l.each = batch
		l.run = func(ctx context.Context, _ task, _ []byte) ([]byte, error) {
			out, err := c.opened.lines(ctx, body)
			if err == nil && (bytes.Count(out, []byte{'\n'}) != batch || bytes.Contains(out, []byte(`"error"`))) {
				err = fmt.Errorf("not %d results: %.200s", batch, out)
			}
			return nil, err
		}
	case modeBatch, modeInto:
		batches, err := batched(list)
		if err != nil {
			return nil, err
		}
		l.each = batch
		used := sync.Pool{New: func() any { return new([]host.Result) }}
		l.run = func(ctx context.Context, t task, _ []byte) (_ []byte, err error) {
			if r.Mode == modeBatch {
				_, err = c.opened.batch(ctx, t.function, nil, batches[t.function])
				return nil, err
			}
			results := used.Get().(*[]host.Result)
			defer used.Put(results)
			*results, err = c.opened.batch(ctx, t.function, *results, batches[t.function])
			return nil, err
		}
	}
	return l, nil
}

// batched returns the inputs of a batch by function.
func batched(list []task) (map[string][][]byte, error) {
	all := make(map[string][][]byte)
	for _, t := range list {
		if all[t.function] != nil && len(list) > 1 {
			return nil, errors.New("a mixed workload has no batches")
		}
		for range batch {
			all[t.function] = append(all[t.function], t.input)
		}
	}
	return all, nil
}

// one runs a task in a mode.
func (c *child) one(ctx context.Context, mode string, t task) ([]byte, error) {
	switch mode {
	case modeAppend:
		return c.opened.runAppend(ctx, t, nil)
	case modeBatch, modeInto:
		var results []host.Result
		for range 2 {
			var err error
			if results, err = c.opened.batch(ctx, t.function, results, [][]byte{t.input, t.input}); err != nil {
				return nil, err
			}
			if !bytes.Equal(results[0].Output, results[1].Output) {
				return nil, errors.New("two tasks of a batch with one input have two results")
			}
		}
		return results[1].Output, nil
	}
	return c.opened.run(ctx, t, nil)
}

// checkLines is check of cascades as JSON lines.
func (c *child) checkLines(ctx context.Context, r *request) (*answer, error) {
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	for i := range r.States {
		if err := lines.Encode(&r.States[i]); err != nil {
			return nil, err
		}
	}
	out, err := c.opened.lines(ctx, body.Bytes())
	if err != nil {
		return nil, err
	}
	a := &answer{}
	for line := range bytes.Lines(out) {
		a.Results = append(a.Results, json.RawMessage(line))
	}
	return a, nil
}

func (c *child) check(ctx context.Context, r *request) (*answer, error) {
	if r.Mode == modeLines {
		return c.checkLines(ctx, r)
	}
	a := &answer{}
	for i := range r.States {
		input, err := r.States[i].AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		out, err := c.one(ctx, r.Mode, task{transform.Cascade, input})
		if err != nil {
			return nil, err
		}
		var result cascade.Result
		if err := result.UnmarshalBinary(out); err != nil {
			return nil, err
		}
		a.Results = append(a.Results, result)
	}
	if r.Ticks {
		t, err := c.in.task(ticks)
		if err != nil {
			return nil, err
		}
		out, err := c.one(ctx, r.Mode, t)
		if err != nil {
			return nil, err
		}
		if a.Nodes, err = readNodes(out); err != nil {
			return nil, err
		}
	}
	if r.Echo != "" {
		t, err := c.in.task(r.Echo)
		if err != nil {
			return nil, err
		}
		out, err := c.one(ctx, r.Mode, t)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(out, t.input) {
			return nil, fmt.Errorf("%s: came back as something else", r.Echo)
		}
	}
	return a, nil
}

func readNodes(record []byte) (*nodesResult, error) {
	var r tick.NodesResult
	if err := r.UnmarshalBinary(record); err != nil {
		return nil, err
	}
	n := &nodesResult{Strength: r.Strength, Pattern: r.Pattern, Progress: []int{}}
	for i := range r.Strength {
		if r.Progress[i/64]>>(i%64)&1 == 1 {
			n.Progress = append(n.Progress, i)
		}
	}
	return n, nil
}

func (c *child) again(ctx context.Context, r *request) (a *answer, err error) {
	input, err := r.States[0].AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	o := c.o
	o.cold = true
	other, err := open(ctx, c.kind, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, other.close(ctx)) }()
	if _, err := other.run(ctx, task{transform.Cascade, input}, nil); err != nil {
		return nil, err
	}
	return &answer{Seconds: time.Since(began).Seconds()}, nil
}
