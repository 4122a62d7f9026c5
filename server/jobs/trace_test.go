package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/resonhost/resonhost/abi/guest"
	"github.com/resonhost/resonhost/codec"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/internal/hosted"
	"github.com/resonhost/resonhost/server/jobs"
)

type traceKey struct{}

// TestTrace has jobs of requests that are followed tell once how they ended, and their tasks have the
// context that was made for them.
func TestTrace(t *testing.T) {
	var mu sync.Mutex
	var ends []string
	tasks, failed := make(map[any]int), make(map[any]int)
	native := guest.New(`{"name": "t", "version": "1", "transforms": [{"name": "t.echo", "input": "application/json", "output": "application/json"}]}`,
		func(task *guest.Task) error {
			task.Output = append(task.Output, task.Input...)
			if string(task.Input) == "false" {
				return errors.New("no")
			}
			return nil
		})
	h := hosted.Start(t, host.Config{
		Mode: host.ModeInline, Native: []host.Native{native},
		Trace: func(ctx context.Context) (context.Context, func(host.TaskTrace)) {
			mu.Lock()
			defer mu.Unlock()
			tasks[ctx.Value(traceKey{})]++
			return ctx, nil
		},
	})
	m, err := jobs.New(t.Context(), h, codec.New(), jobs.Options{
		Failed: func(ctx context.Context, _ error) {
			mu.Lock()
			defer mu.Unlock()
			failed[ctx.Value(traceKey{})]++
		},
		Trace: func(request context.Context, transform string) (func(context.Context) context.Context, func(host.Kind)) {
			name, ok := request.Value(traceKey{}).(string)
			if !ok {
				return nil, nil
			}
			carry := func(ctx context.Context) context.Context { return context.WithValue(ctx, traceKey{}, name) }
			return carry, func(kind host.Kind) {
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, name+" "+transform+" "+string(kind))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	submit := func(name string, s jobs.Spec) {
		ctx, cancel := context.WithCancel(t.Context())
		if name != "" {
			ctx = context.WithValue(ctx, traceKey{}, name)
		}
		j, err := m.Submit(ctx, s)
		cancel() // the request ends before its job
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Wait(t.Context(), s.Owner, j.ID); err != nil {
			t.Fatal(err)
		}
	}
	submit("a", jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(3)})
	submit("", jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(2)})
	submit("c", jobs.Spec{Owner: ann, Transform: "t.echo", Input: []byte("false\n")})
	submit("b", jobs.Spec{Owner: ann, Transform: "t.echo", Input: input(1), Timeout: time.Nanosecond})
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(ends)
	if want := []string{"a t.echo ", "b t.echo timeout", "c t.echo "}; !slices.Equal(ends, want) {
		t.Errorf("ends %q, want %q", ends, want)
	}
	if failed["c"] != 1 || failed["a"] != 0 || failed[nil] != 0 {
		t.Errorf("failed tasks by their context's name: %v", failed)
	}
	if tasks["a"] != 3 || tasks[nil] != 2 {
		t.Errorf("tasks by their context's name: %v", tasks)
	}
}
