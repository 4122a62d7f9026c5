package module

import (
	"fmt"

	"github.com/resonhost/resonhost/host/internal/module/memory"
	"github.com/resonhost/resonhost/host/internal/module/wasi"
)

// snapshot is the state of an instance after its initialisation and its self-tests:
// all others of its module begin with it, and go back to it.
//
// Tables and the segments that a module can drop are no part of it. It is taken of
// an instance that has not touched them, and one that touches them later does not
// go back.
type snapshot struct {
	image   *memory.Image
	globals []uint64 // as in Module.globals
	system  wasi.System
	room    room // for the largest frame of the self-tests
}

// capture returns the instance's state, or nil and why it cannot be had.
func (in *Instance) capture() (*snapshot, error) {
	switch {
	case len(in.module.opaque) > 0:
		return nil, fmt.Errorf("it has variable globals (%q) that the host cannot set", in.module.opaque)
	case in.touched():
		return nil, errTouched
	}
	all, _ := in.mod.Memory().Read(0, in.mod.Memory().Size())
	image, err := memory.NewImage(all, memory.Shared)
	if err != nil {
		return nil, err
	}
	s := &snapshot{image: image, room: in.room}
	for _, g := range in.globals {
		s.globals = append(s.globals, g.Get())
	}
	in.system.Mark()
	s.system = in.system
	return s, nil
}

var errTouched = fmt.Errorf("its initialisation changes a table or drops a segment")

// touched reports whether the instance did what no snapshot undoes.
func (in *Instance) touched() bool { return in.dirty.Get() != 0 }

// adopt puts a linked instance into the state of a snapshot.
func (in *Instance) adopt(s *snapshot) error {
	if in.touched() { // by its start function; that of the snapshot's did not
		return errTouched
	}
	mem := in.mod.Memory()
	if size, want := uint64(mem.Size()), s.image.Size(); size < want {
		if _, ok := mem.Grow(uint32((want - size) >> 16)); !ok {
			return fmt.Errorf("cannot grow its memory from %d to %d bytes", size, want)
		}
	}
	if err := in.memory.Attach(s.image); err != nil {
		return err
	}
	in.system.Adopt(&s.system)
	in.putBack(s)
	return nil
}

// putBack sets the guest's variables, and where its room is, to what they were.
func (in *Instance) putBack(s *snapshot) {
	in.room = s.room
	for i, g := range in.globals {
		g.Set(s.globals[i])
	}
}

// Grown reports whether the instance's memory is larger than that of a new one.
func (in *Instance) Grown() bool { return in.memory.Grown() }

// Reset puts the instance back into the state in which [Module.Instantiate]
// returned it. If it returns false, the instance has grown, or otherwise become
// what cannot be put back, and is of no more use.
func (in *Instance) Reset() bool {
	s := in.module.snapshot
	if !in.usable || s == nil || in.touched() || !in.memory.Reset() {
		in.usable = false
		return false
	}
	in.system.Reset()
	in.memory.starved = false
	in.putBack(s)
	return true
}
