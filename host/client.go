package host

import (
	"context"
	"fmt"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// MaxTenant is the longest name of a tenant, in bytes.
const MaxTenant = 256

// Priority says whose tasks go first.
type Priority int

// Priorities. A lower one that has had no worker for 100 ms while its tasks wait goes
// first once, every other time. In mode Inline they mean nothing: all tasks run in
// the order in which they came.
const (
	// PriorityNormal is the default.
	PriorityNormal Priority = iota
	// PriorityUrgent is for what must be on time and takes little. It goes first, and
	// where all workers, or all instances of its plugin, are taken, one urgent task can
	// run beyond them, so that it need not wait for a task to end.
	PriorityUrgent
	// PriorityBulk is for what can wait for all others.
	PriorityBulk
)

func (p Priority) level() sched.Level {
	switch p {
	case PriorityUrgent:
		return sched.Urgent
	case PriorityBulk:
		return sched.Bulk
	}
	return sched.Normal
}

// Client submits tasks on behalf of a tenant. While tasks wait, workers' time is
// shared among transforms by PluginConfig.Weight, and of each transform's among
// tenants by Config.TenantWeights; and every tenant has a queue of its own for each
// transform and priority, so that one who floods the host harms the others little. Of
// more than 1024 that have tasks there, the further ones share one, but for those in
// TenantWeights and the tenant "". The methods of [Host] are those of the tenant "", at
// PriorityNormal.
type Client struct {
	h      *Host
	tenant string
	level  sched.Level
	weight int
	known  bool // has a queue of its own, however many tenants there are
	quiet  bool
	room   func(bytes int) bool // see Within; nil if there is always some
	fault  string               // what is wrong with it, or "": its tasks fail of that
}

// Client returns a client for a tenant, of at most [MaxTenant] bytes. It costs nothing
// and need not be kept. With a longer name, or a priority that there is none of, its tasks
// fail with [KindInvalidArgument].
func (h *Host) Client(tenant string, p Priority) *Client {
	weight, known := h.cfg.TenantWeights[tenant]
	c := &Client{h: h, tenant: tenant, level: p.level(), weight: orDefault(weight, 1), known: known || tenant == ""}
	if h.cfg.Mode == Inline {
		c.level = sched.Normal
	}
	switch {
	case len(tenant) > MaxTenant:
		c.fault = fmt.Sprintf("tenant: must have at most %d bytes, has %d", MaxTenant, len(tenant))
	case p < PriorityNormal || p > PriorityBulk:
		c.fault = fmt.Sprintf("priority: must be PriorityNormal, PriorityUrgent or PriorityBulk, is %d", p)
	}
	return c
}

// Quiet returns a client like c whose tasks make no events, for those who submit many
// that nobody follows one by one.
func (c *Client) Quiet() *Client {
	quiet := *c
	quiet.quiet = true
	return &quiet
}

// Within returns a client like c whose tasks' outputs must have room: room is told how many
// bytes one has, by the worker that did the task, and reports whether there is room for them.
// Without, the output is let go and the task fails with [ErrNoRoom]; the state of its stream stays
// as it was. A program that keeps outputs for clients who take them slowly bounds so what they
// take together.
func (c *Client) Within(room func(bytes int) bool) *Client {
	within := *c
	within.room = room
	return &within
}

// Run is [Host.Run] for the client.
func (c *Client) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	return c.run(ctx, transform, "", false, args{input: input})
}

// RunAppend is [Client.Run], but appends the output to dst, as append does: a caller who
// uses a buffer again has no garbage of large outputs. With an error it returns nil, and
// what lies between dst's length and capacity may have changed.
func (c *Client) RunAppend(ctx context.Context, transform string, dst, input []byte) ([]byte, error) {
	return c.run(ctx, transform, "", false, args{input, dst})
}

// Submit is [Host.Submit] for the client.
func (c *Client) Submit(ctx context.Context, transform string, input []byte) *Pending {
	return c.submit(ctx, transform, "", false, args{input: input})
}

// SubmitAppend is to [Client.Submit] what [Client.RunAppend] is to Run. The host uses
// dst until the task has ended.
func (c *Client) SubmitAppend(ctx context.Context, transform string, dst, input []byte) *Pending {
	return c.submit(ctx, transform, "", false, args{input, dst})
}

// Stream is [Host.Stream] for the client. A tenant's streams are its own: another's of
// the same key has another state. Of one tenant's clients all reach the same.
func (c *Client) Stream(key string) *Stream { return &Stream{client: *c, key: key} }

// NeedsDrain reports whether the client's queue for a transform is full, or was and
// has not half emptied since: a producer that can do something else had better.
func (c *Client) NeedsDrain(transform string) bool {
	_, full, _ := c.full(transform)
	return full
}

// Drain waits until the client need not wait with further tasks for a transform, see
// [Client.NeedsDrain], and returns nil then; else ctx's cause, or an [*Error] if there is
// no such transform.
func (c *Client) Drain(ctx context.Context, transform string) error {
	drained, full, err := c.full(transform)
	if err != nil {
		return err
	}
	if !full {
		return nil
	}
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) full(transform string) (drained <-chan struct{}, full bool, err error) {
	tr, fault := c.h.lookup(transform, 0)
	if fault != nil {
		return nil, false, fault
	}
	drained, full = c.h.sched.Full(c.request(tr, nil))
	return drained, full, nil
}

func (c *Client) request(tr *transform, serial *sched.Serial) sched.Request {
	return sched.Request{Group: tr.group, Serial: serial, Level: c.level, Tenant: c.tenant, Weight: c.weight, Known: c.known}
}

// check returns what is wrong with the client as the error of a task.
func (c *Client) check(tr *transform) *Error {
	if c.fault == "" {
		return nil
	}
	return (&Error{Kind: KindInvalidArgument, Transform: tr.name, Message: c.fault}).of(tr.current())
}
