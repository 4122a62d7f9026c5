package module

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

// Budget bounds the linear memory of many instances together.
type Budget struct {
	limit uint64
	held  atomic.Uint64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit uint64) *Budget { return &Budget{limit: limit} }

// Limit and Held return the budget and what is taken of it, in bytes.
func (b *Budget) Limit() uint64 { return b.limit }

// Held returns how many bytes are taken.
func (b *Budget) Held() uint64 { return b.held.Load() }

func (b *Budget) take(n uint64) bool {
	for {
		held := b.held.Load()
		if n > b.limit-held {
			return false
		}
		if b.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

func (b *Budget) give(n uint64) { b.held.Add(-n) }

// ErrBudget is wrapped by the error of an instance for which the [Budget] has no
// room.
var ErrBudget = errors.New("no room in the memory budget")

// linear is the linear memory of one instance, within the budget of all.
type linear struct {
	*memory.Memory

	budget *Budget
	held   uint64 // of budget
	denied bool   // by budget
}

var (
	_ experimental.MemoryAllocator = (*linear)(nil)
	_ experimental.LinearMemory    = (*linear)(nil)
)

// newLinear returns the memory of a new instance, of which as much as an instance
// begins with is taken from the budget already: wazero cannot be refused that.
func (m *Module) newLinear() (*linear, error) {
	if !m.opts.Budget.take(m.initial) {
		return nil, fmt.Errorf("%w: an instance has %d bytes, and %d of %d are taken",
			ErrBudget, m.initial, m.opts.Budget.Held(), m.opts.Budget.Limit())
	}
	return &linear{Memory: memory.New(m.opts.MemoryLimit, memory.Shared), budget: m.opts.Budget, held: m.initial}, nil
}

// Allocate implements [experimental.MemoryAllocator].
func (l *linear) Allocate(capacity, maximum uint64) experimental.LinearMemory {
	l.Memory.Allocate(capacity, maximum)
	return l
}

// Reallocate implements [experimental.LinearMemory].
func (l *linear) Reallocate(size uint64) []byte {
	more := max(size, l.held) - l.held
	if size > l.Limit() { // refused without asking for room
		more = 0
	}
	if !l.budget.take(more) {
		l.denied = true
		return nil
	}
	b := l.Memory.Reallocate(size)
	if b == nil {
		l.budget.give(more)
		return nil
	}
	l.held += more
	return b
}

// Refused reports whether the guest was denied memory, for whatever limit.
func (l *linear) Refused() bool { return l.denied || l.Memory.Refused() }

// forget forgets that memory was denied: to a call that has ended.
func (l *linear) forget() {
	l.denied = false
	l.ForgetRefused()
}

// Free implements [experimental.LinearMemory].
func (l *linear) Free() {
	l.Memory.Free()
	l.budget.give(l.held)
	l.held = 0
}
