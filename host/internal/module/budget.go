package module

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

// Budget bounds the linear memory of many instances together, and their native stacks while calls use them.
type Budget struct {
	limit uint64
	held  atomic.Uint64
	// loose is how many bytes of grown stacks were let go since [Budget.Tidy] last freed them, and looked
	// how many these were when it last looked.
	loose, looked atomic.Uint64
}

// looseStacks is from how many bytes on stacks that were let go are worth a collection of garbage.
const looseStacks = 32 << 20

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

// loosen notes that a stack of so many bytes was let go. It is garbage, and so are those that it was copied
// from as it grew, which are about as large together.
func (b *Budget) loosen(size uint64) { b.loose.Add(2 * size) }

// Tidy gives stacks that were let go back to the system, if they are many and none was since it was last
// called, and reports whether it did. Go itself collects garbage only when the heap has doubled, by a
// size that had these stacks in it, or after two minutes, and gives memory back after two more. It may be
// called concurrently. While calls go on to let go of stacks, it leaves the garbage to Go.
func (b *Budget) Tidy() bool {
	loose := b.loose.Load()
	if loose < looseStacks || b.looked.Swap(loose) != loose || !b.loose.CompareAndSwap(loose, 0) {
		return false
	}
	debug.FreeOSMemory()
	return true
}

// ErrBudget is wrapped by the error of an instance for which the [Budget] has no
// room.
var ErrBudget = errors.New("no room in the memory budget")

// quota is how much linear memory one instance has and may have, in all its modules, within the
// budget of all instances. Sizes are in bytes.
type quota struct {
	budget *Budget
	limit  uint64
	size   uint64 // of all memories
	held   uint64 // of budget: size, or more while the instance is made
	// denied is what memory was denied for in this call, and wanted how much it was.
	denied denial
	wanted uint64
	own    uint64 // the limit that denied it, for byOwn
	// starved is whether memory was denied for others' sake since the instance began, or was reset.
	starved bool
}

// linear is a linear memory of one instance.
type linear struct {
	*memory.Memory

	quota *quota
	own   uint64 // how large it may become by itself, in bytes; 0 is no bound
	size  uint64 // in bytes
	made  bool   // whether the module has a memory
	// shrinking is whether the memory is to become as large as its image, see [linear.shrink].
	shrinking bool
}

// denial is what memory is denied for.
type denial int

const (
	granted  denial = iota // it was not denied
	byLimit                // the instance's own limit
	byOwn                  // the memory's own
	byBudget               // that of all instances
	bySystem               // the system has none left
)

var (
	_ experimental.MemoryAllocator = (*linear)(nil)
	_ experimental.LinearMemory    = (*linear)(nil)
)

// newQuota returns that of a new instance, for which the initial bytes that it begins with are taken from the
// budget already: wazero cannot be refused those.
func newQuota(b *Budget, limit, initial uint64) (quota, error) {
	if !b.take(initial) {
		return quota{}, fmt.Errorf("%w: an instance has %d bytes, and %d of %d are taken (MemoryBudget, --memory-budget)",
			ErrBudget, initial, b.Held(), b.Limit())
	}
	return quota{budget: b, limit: limit, held: initial}, nil
}

// newLinear returns a memory within it, with a bound of its own unless that is 0.
func (r *quota) newLinear(own uint64) *linear {
	return &linear{Memory: memory.New(r.limit, memory.Shared), quota: r, own: own}
}

// Allocate implements [experimental.MemoryAllocator].
func (l *linear) Allocate(capacity, maximum uint64) experimental.LinearMemory {
	l.made = true
	l.Memory.Allocate(capacity, maximum)
	return l
}

// Reallocate implements [experimental.LinearMemory].
func (l *linear) Reallocate(size uint64) []byte {
	r := l.quota
	if l.shrinking {
		b := l.Memory.Shrink()
		r.give(l.size - uint64(len(b)))
		l.size = uint64(len(b))
		return b
	}
	total := r.size - l.size + max(size, l.size)
	if total > r.limit { // refused without asking for room
		return r.deny(byLimit, total)
	}
	if l.own > 0 && size > l.own {
		r.own = l.own
		return r.deny(byOwn, size)
	}
	more := max(total, r.held) - r.held
	if !r.budget.take(more) {
		return r.deny(byBudget, total)
	}
	b := l.Memory.Reallocate(size)
	if b == nil {
		r.budget.give(more)
		return r.deny(bySystem, total)
	}
	r.held += more
	r.size, l.size = total, max(size, l.size)
	return b
}

// shrink resets a memory that may have grown, as [memory.Memory.Shrink] does. Wazero has no way to
// make a memory smaller. But it takes whatever it gets when it grows one, and does not mind that
// the memory has fewer bytes then than before (TestShrinks). It does not ask if the memory has as many
// as it may have at all, which leaves it as it is.
func (l *linear) shrink(mem api.Memory) bool {
	l.shrinking = true
	defer func() { l.shrinking = false }()
	_, ok := mem.Grow(1)
	return ok
}

func (r *quota) deny(why denial, size uint64) []byte {
	r.denied, r.wanted = why, size
	r.starved = r.starved || why != byLimit && why != byOwn
	return nil
}

// forget forgets that memory was denied: to a call that has ended.
func (r *quota) forget() { r.denied = granted }

// fault is that of a call of export which did not survive that memory was denied to it; nil
// if none was.
func (r *quota) fault(export string) *Fault {
	f := &Fault{Kind: OutOfMemory}
	switch r.denied {
	case granted:
		return nil
	case byOwn:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, the plugin's limit is %d (max_pages of its companion file or manifest)", export, r.wanted, r.own)
	case byLimit:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, the limit is %d (MemoryLimit, --memory-limit)", export, r.wanted, r.limit)
	case byBudget:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, for which the memory budget of all plugins has no room: %d of %d bytes are taken (MemoryBudget, --memory-budget)",
			export, r.wanted, r.budget.Held(), r.budget.Limit())
		f.Cause = ErrBudget
	case bySystem:
		f.Message = fmt.Sprintf("%s wanted memory of %d bytes, which the system does not have", export, r.wanted)
	}
	return f
}

// Free implements [experimental.LinearMemory].
func (l *linear) Free() {
	l.Memory.Free()
	l.quota.give(l.size)
	l.size = 0
}

// give gives what a memory had back to the budget.
func (r *quota) give(size uint64) {
	r.size -= size
	r.held -= size
	r.budget.give(size)
}

// leave gives back what is left: what was taken for an instance that could not be made.
func (r *quota) leave() {
	r.budget.give(r.held)
	r.held = 0
}
