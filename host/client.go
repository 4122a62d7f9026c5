package host

import (
	"cmp"
	"context"
	"fmt"

	"github.com/resonhost/resonhost/host/internal/sched"
)

// Client submits tasks on behalf of a tenant, at a priority. The methods of [Host] are those of
// the tenant "", at PriorityNormal.
//
// While tasks wait, the transforms share the time of the workers by PluginConfig.Weight. The tenants
// of a transform share its time by Config.TenantWeights. Each tenant has a queue of its own for each
// transform and priority, so one who floods the host harms the others little. At most 1024
// tenants have queues of their own there at a time. Further tenants share one queue. The tenants in
// TenantWeights, and the tenant "", always have their own.
type Client struct{ submitter }

// Run is [Host.Run] for the client.
func (c *Client) Run(ctx context.Context, transform string, input []byte) ([]byte, error) {
	return c.run(ctx, transform, "", false, args{input: input})
}

// RunAppend is [Client.Run], but appends the output to dst, as append does. A caller who
// passes the same buffer again makes no garbage. With an error it returns nil, and
// what lies between dst's length and capacity may have changed.
func (c *Client) RunAppend(ctx context.Context, transform string, dst, input []byte) ([]byte, error) {
	return c.run(ctx, transform, "", false, args{input, dst})
}

// Submit is [Host.Submit] for the client.
func (c *Client) Submit(ctx context.Context, transform string, input []byte) *Pending {
	return c.submit(ctx, transform, "", false, args{input: input})
}

// SubmitAppend is [Client.Submit], but appends the output to dst, as [Client.RunAppend] does. The
// host uses dst until the task has ended.
func (c *Client) SubmitAppend(ctx context.Context, transform string, dst, input []byte) *Pending {
	return c.submit(ctx, transform, "", false, args{input, dst})
}

// RunBatch is [Host.RunBatch] for the client.
func (c *Client) RunBatch(ctx context.Context, transform string, inputs [][]byte) []Result {
	return c.runBatch(ctx, transform, make([]Result, len(inputs)), inputs)
}

// RunBatchInto is [Client.RunBatch], but uses the memory of results again, and of each Output in
// it: both up to their capacities. It returns as many results as there are inputs. A caller who
// passes the results of one batch to the next makes no garbage. The Outputs must overlap neither
// one another nor the inputs, and nobody else may use any of them until RunBatchInto returns. The
// Output of a task that fails is nil, and its memory is let go.
func (c *Client) RunBatchInto(ctx context.Context, transform string, results []Result, inputs [][]byte) []Result {
	return c.runBatch(ctx, transform, results, inputs)
}

// Stream is [Host.Stream] for the client. Each tenant has streams of its own: the same key of
// another tenant has another state. All clients of one tenant reach the same streams.
func (c *Client) Stream(key string) *Stream { return &Stream{c.submitter, key} }

// Quiet returns a client like c whose tasks make no events, for those who submit many
// that nobody follows one by one.
func (c *Client) Quiet() *Client {
	quiet := *c
	quiet.quiet = true
	return &quiet
}

// WithRoom returns a client like c whose tasks' outputs must have room. The worker that did a task calls
// room with the number of bytes of its output. If room returns false, the output is let go and the
// task fails with [ErrNoRoom]. The state of its stream stays as it was. It is for programs that keep
// outputs for clients who take them slowly, and that bound what all outputs take together.
func (c *Client) WithRoom(room func(bytes int) bool) *Client {
	within := *c
	within.room = room
	return &within
}

// WithStates returns a client like c whose streams have their states in s, and not in the host. It is for
// programs that keep states with the results of tasks, as package fleet does.
func (c *Client) WithStates(s *States) *Client {
	with := *c
	with.states = s
	return &with
}

// NeedsDrain reports whether the client's queue for a transform is full, or was full and
// has not become half empty since. A producer that has something else to do should do that first.
// It is false for a transform that there is not.
func (c *Client) NeedsDrain(transform string) bool {
	_, full, _ := c.full(transform)
	return full
}

// Drain waits until [Client.NeedsDrain] is false for a transform, and returns nil then. If ctx ends
// first, it returns the cause of ctx. If there is no such transform, it returns an [*Error].
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
	tr, fault := c.r.lookup(transform, 0)
	if fault != nil {
		return nil, false, fault
	}
	drained, full = c.r.sched.Full(c.request(tr, nil))
	return drained, full, nil
}

// newClient returns a client as [Host.Client] does.
func newClient(r *runner, cfg *Config, tenant string, p Priority) *Client {
	weight, known := cfg.TenantWeights[tenant]
	c := &Client{submitter{r: r, tenant: tenant, level: p.level(), weight: cmp.Or(weight, 1), known: known || tenant == ""}}
	if cfg.Mode == ModeInline {
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

func (p Priority) level() sched.Level {
	switch p {
	case PriorityUrgent:
		return sched.Urgent
	case PriorityBulk:
		return sched.Bulk
	}
	return sched.Normal
}
