package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
)

// Client has the fleet do tasks on behalf of a tenant. It costs nothing, and need not be kept. It may be used concurrently.
type Client struct {
	fleet    *Fleet
	tenant   string
	priority host.Priority
	media    string
}

var _ host.Runner = (*Client)(nil)

// Client returns a client for a tenant, "" for none.
func (f *Fleet) Client(tenant string, p host.Priority) *Client {
	return &Client{fleet: f, tenant: tenant, priority: p}
}

// MaxMessage is [Fleet.MaxMessage].
func (c *Client) MaxMessage() int { return c.fleet.MaxMessage() }

// Of returns a client like c whose inputs and outputs are of a media type that is not the transforms' own, which is application/json.
func (c *Client) Of(mediaType string) *Client {
	of := *c
	of.media = mediaType
	return &of
}

// Run has one host do a task, and waits for it. It is [host.Client.Run] across the fleet: nothing is stored, and a task whose host
// dies fails. Its errors are [*host.Error]s. Without a deadline of ctx's it waits for DefaultCallTimeout at most.
func (c *Client) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	r := c.RunBatch(ctx, transform, [][]byte{input})[0]
	return r.Output, r.Err
}

// RunBatch is [Client.Run] of independent tasks of one transform. It returns their results in order. Up to MaxTasks share a message, which one host has.
func (c *Client) RunBatch(ctx context.Context, transform string, inputs [][]byte) []host.Result {
	results := make([]host.Result, 0, len(inputs))
	tasks := make([]Task, len(inputs))
	for i := range inputs {
		tasks[i].Input = inputs[i]
	}
	for _, f := range c.Frames(transform, tasks) {
		a, err := c.call(ctx, f)
		for i := range f.Tasks {
			if err != nil {
				results = append(results, host.Result{Err: asTask(transform, err)})
				continue
			}
			results = append(results, a.Outcomes[i].Result())
		}
	}
	return results
}

// Frames returns tasks of one transform as frames that a message has room for: as few as can be, in the order of the tasks, but that those of each partition
// are together. Tasks of one stream keep their order. A task that is too large for any message has a frame of its own, which is refused once it is submitted.
func (c *Client) Frames(transform string, tasks []Task) (frames []*Frame) {
	room := c.fleet.limit - headerRoom
	empty := Frame{Transform: transform, Tenant: c.tenant, Priority: c.priority, MediaType: c.media}
	var parts [Partitions + 1][]int // the places of tasks
	for i := range tasks {
		p := empty.partitionOf(&tasks[i]) + 1
		parts[p] = append(parts[p], i)
	}
	for _, at := range parts {
		for len(at) > 0 {
			f := empty
			size, n := f.size(), 0
			for n < min(len(at), MaxTasks) {
				if size += tasks[at[n]].size(); size > room && n > 0 {
					break
				}
				f.Tasks = append(f.Tasks, tasks[at[n]])
				n++
			}
			f.At, at = at[:n:n], at[n:]
			frames = append(frames, &f)
		}
	}
	return frames
}

// encode returns a frame's stored form, if a message has room for it.
func (c *Client) encode(f *Frame) ([]byte, error) {
	data, err := f.Append(nil)
	if err != nil {
		return nil, err
	}
	if most := c.fleet.limit - headerRoom; len(data) > most {
		return nil, &abi.FieldError{Field: "Tasks", Rule: fmt.Sprintf("have %d bytes together, and a message of NATS has room for %d (max_payload)", len(data), most)}
	}
	return data, nil
}

// asTask returns an error as that of a task.
func asTask(transform string, err error) error {
	if e := (*host.Error)(nil); errors.As(err, &e) {
		return err
	}
	if field := (*abi.FieldError)(nil); errors.As(err, &field) {
		return api.Failed(transform, err)
	}
	return &host.Error{Kind: host.KindHost, Transform: transform, Message: err.Error(), Err: err} // of NATS, or of an answer
}

// Result returns the outcome as a host has results.
func (o *Outcome) Result() host.Result {
	if o.Failure == nil {
		return host.Result{Output: o.Output}
	}
	return host.Result{Err: o.Failure.Error()}
}

// sentinels are the errors by which callers know failures of a kind.
var sentinels = map[host.Kind]error{
	host.KindUnknownTransform: host.ErrUnknownTransform, host.KindQueueFull: host.ErrQueueFull, host.KindTimeout: context.DeadlineExceeded, host.KindMemoryFull: host.ErrMemoryBudget,
	host.KindStateUnavailable: host.ErrStateUnavailable, host.KindStateUnreadable: host.ErrStateUnreadable,
}

// Error returns the failure as a host has errors.
func (f *Failure) Error() *host.Error {
	e := &host.Error{
		Kind: f.Kind, Message: f.Message, Transform: f.Transform, Plugin: f.Plugin, Version: f.Version, Hash: f.Hash, Err: sentinels[f.Kind],
	}
	if f.Field != "" {
		e.Err = &abi.FieldError{Field: f.Field, Rule: strings.TrimPrefix(f.Message, f.Field+": ")}
	}
	return e
}
