package extism

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// kernel is the library with the memory behind the guests' offsets. Its source describes the layout.
//
//go:embed kernel.wasm
var kernel []byte

// Addresses of the kernel's root, and of its blocks.
const (
	rootTop    = 0
	rootInput  = 4
	rootOutput = 16
	rootLength = 24
	rootError  = 32
	rootFree   = 64
	rootSize   = rootFree + 4*classes
	firstBlock = 0x400
	header     = 8
	behind     = 8 // what of the input's block is behind the input, for a word that begins in it

	classes  = 128
	tagUsed  = 0x4c495645
	tagFree  = 0x46524545
	wasmPage = 64 << 10
	// maxBlock is more than any memory has room for.
	maxBlock = 1 << 30
)

// heap is the host's view of a kernel's memory, whose contents are the guest's doing.
type heap struct{ mem api.Memory }

// class is that of a block of so many bytes, and the size that all of its blocks have.
func class(length uint32) (class, size uint32) {
	n := (length+header+15)&^15 - 1
	bit := uint32(31 - bits.LeadingZeros32(n))
	top := n >> (bit - 2)
	return bit<<2 | top&3, (top + 1) << (bit - 2)
}

// room returns how many pages the memory has to grow by for an input; 0 if it fits.
func (h heap) room(length int) uint32 {
	_, size := class(uint32(length) + behind)
	have := uint64(h.mem.Size())
	need := uint64(firstBlock-header) + uint64(size)
	if need <= have {
		return 0
	}
	return uint32((need - have + wasmPage - 1) / wasmPage)
}

// begin forgets all blocks and has an input, for which there is room.
func (h heap) begin(input []byte) {
	root, _ := h.mem.Read(0, rootSize)
	clear(root)
	n := uint32(len(input))
	top := uint32(firstBlock - header)
	if n > 0 {
		c, size := class(n + behind)
		top += size
		h.put(firstBlock, n, c)
		h.mem.Write(firstBlock, input)
		h.mem.WriteUint64Le(firstBlock+n, 0)
	}
	le := binary.LittleEndian
	le.PutUint32(root[rootTop:], top)
	le.PutUint32(root[rootInput:], n)
}

// put writes the header of a block that is used.
func (h heap) put(at, length, class uint32) {
	h.mem.WriteUint32Le(at-8, length)
	h.mem.WriteUint32Le(at-4, tagUsed^class)
}

// alloc returns a block with those contents as its offset, 0 if there are none. It panics if the
// memory cannot grow, or the guest has written where it must not.
func (h heap) alloc(data []byte) uint64 {
	if len(data) == 0 {
		return 0
	}
	if len(data) > maxBlock {
		panic(noRoom(len(data)))
	}
	n := uint32(len(data))
	c, size := class(n)
	head := rootFree + 4*c
	at, _ := h.mem.ReadUint32Le(head)
	if at == 0 {
		at = h.bump(size)
	} else {
		tag, ok := h.mem.ReadUint32Le(at - 4)
		next, there := h.mem.ReadUint32Le(at - 8)
		if at < firstBlock || !ok || !there || tag != tagFree^c {
			panic(contract.Broken("wrote into a block of memory that it had freed"))
		}
		h.mem.WriteUint32Le(head, next)
	}
	h.put(at, n, c)
	if !h.mem.Write(at, data) {
		panic(contract.Broken("wrote into a block of memory that it had freed"))
	}
	return uint64(at)
}

// bump returns a new block.
func (h heap) bump(size uint32) uint32 {
	top, _ := h.mem.ReadUint32Le(rootTop)
	end, have := uint64(top)+uint64(size), uint64(h.mem.Size())
	if end > have {
		pages := (end - have + wasmPage - 1) / wasmPage
		if pages > math.MaxUint16 {
			panic(noRoom(int(size)))
		}
		if _, ok := h.mem.Grow(uint32(pages)); !ok {
			panic(noRoom(int(size)))
		}
	}
	h.mem.WriteUint32Le(rootTop, uint32(end))
	return top + header
}

// noRoom is the fault of a guest whose memory has no room for so many bytes of the host's. Where a limit is the
// reason, the instance's fault says which.
func noRoom(bytes int) *contract.Fault {
	return &contract.Fault{
		Kind:    contract.OutOfMemory,
		Message: fmt.Sprintf("the memory behind the guest's offsets has no room for another %d bytes", bytes),
	}
}

// block returns the contents of a block that the guest gives to a function. They are a view. The
// offset 0 is nil: it is what a kit has for an empty text, since no block is empty.
func (h heap) block(function string, at uint64) []byte {
	if at == 0 {
		return nil
	}
	if at >= firstBlock && at <= math.MaxUint32 && at&15 == 0 {
		tag, ok := h.mem.ReadUint32Le(uint32(at) - 4)
		n, _ := h.mem.ReadUint32Le(uint32(at) - 8)
		if b, there := h.mem.Read(uint32(at), n); ok && there && tag^tagUsed < classes {
			return b
		}
	}
	panic(contract.Broken("%s was given the offset %d, which is no block of memory", function, at))
}

// free makes a block that the guest gave away free, unless its contents are yet to be read.
func (h heap) free(at uint64) {
	if at < firstBlock || at > math.MaxUint32 || at&15 != 0 {
		return
	}
	p := uint32(at)
	tag, ok := h.mem.ReadUint32Le(p - 4)
	output, _ := h.mem.ReadUint64Le(rootOutput)
	failure, _ := h.mem.ReadUint64Le(rootError)
	c := tag ^ tagUsed
	if !ok || c >= classes || at == output || at == failure {
		return
	}
	if p == firstBlock {
		h.mem.WriteUint32Le(rootInput, 0)
	}
	head := rootFree + 4*c
	next, _ := h.mem.ReadUint32Le(head)
	h.mem.WriteUint32Le(p-8, next)
	h.mem.WriteUint32Le(p-4, tagFree^c)
	h.mem.WriteUint32Le(head, p)
}

// output is what the guest says that its output is.
func (h heap) output() (at, length uint64) {
	at, _ = h.mem.ReadUint64Le(rootOutput)
	length, _ = h.mem.ReadUint64Le(rootLength)
	return at, length
}

// failure is the message of an error, nil if the guest has set none.
func (h heap) failure() []byte {
	at, _ := h.mem.ReadUint64Le(rootError)
	if at < firstBlock || at > math.MaxUint32 || at&15 != 0 {
		return nil
	}
	tag, _ := h.mem.ReadUint32Le(uint32(at) - 4)
	n, _ := h.mem.ReadUint32Le(uint32(at) - 8)
	msg, ok := h.mem.Read(uint32(at), n)
	if !ok || tag^tagUsed >= classes {
		return nil
	}
	return msg
}
