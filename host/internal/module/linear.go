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
	// denied is what memory was denied for in this call, and wanted how much it was, in bytes.
	denied denial
	wanted uint64
	// starved is whether memory was denied for others' sake since the instance began, or was reset.
	starved bool
}

// denial is what memory is denied for.
type denial int

const (
	granted  denial = iota // it was not denied
	byLimit                // the instance's own limit
	byBudget               // that of all instances
	bySystem               // the system has none left
)

var (
	_ experimental.MemoryAllocator = (*linear)(nil)
	_ experimental.LinearMemory    = (*linear)(nil)
)

// newLinear returns the memory of a new instance, of which as much as an instance
// begins with is taken from the budget already: wazero cannot be refused that.
func (m *Module) newLinear() (*linear, error) {
	if !m.opts.Budget.take(m.initial) {
		return nil, fmt.Errorf("%w: an instance has %d bytes, and %d of %d are taken (MemoryBudget, --memory-budget)",
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
	if size > l.Limit() { // refused without asking for room
		return l.deny(byLimit, size)
	}
	more := max(size, l.held) - l.held
	if !l.budget.take(more) {
		return l.deny(byBudget, size)
	}
	b := l.Memory.Reallocate(size)
	if b == nil {
		l.budget.give(more)
		return l.deny(bySystem, size)
	}
	l.held += more
	return b
}

func (l *linear) deny(why denial, size uint64) []byte {
	l.denied, l.wanted = why, size
	l.starved = l.starved || why != byLimit
	return nil
}

// forget forgets that memory was denied: to a call that has ended.
func (l *linear) forget() { l.denied = granted }

// Starved reports whether the guest was denied memory that others have, or that the system has
// not, since the instance began or was [Instance.Reset]: its answers may depend on that.
func (in *Instance) Starved() bool { return in.memory.starved }

// fault is that of a call of export which did not survive that memory was denied to it; nil
// if none was.
func (l *linear) fault(export string) *Fault {
	f := &Fault{Kind: OutOfMemory}
	switch l.denied {
	case granted:
		return nil
	case byLimit:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, the limit is %d (MemoryLimit, --memory-limit)", export, l.wanted, l.Limit())
	case byBudget:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, for which the memory budget of all plugins has no room: %d of %d bytes are taken (MemoryBudget, --memory-budget)",
			export, l.wanted, l.budget.Held(), l.budget.Limit())
		f.Cause = ErrBudget
	case bySystem:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, which the system does not have", export, l.wanted)
	}
	return f
}

// Free implements [experimental.LinearMemory].
func (l *linear) Free() {
	l.Memory.Free()
	l.budget.give(l.held)
	l.held = 0
}
