package module

import (
	"fmt"

	"github.com/resonhost/resonhost/host/internal/module/memory"
)

// capture returns the instance's state, or nil and why it cannot be had.
func (in *Instance) capture() (_ *snapshot, err error) {
	if opaque := in.template.program.opaque(); len(opaque) > 0 {
		return nil, fmt.Errorf("it has variable globals (%q) that the host cannot set", opaque)
	}
	if in.touched() {
		return nil, errTouched
	}
	s := &snapshot{images: make([]*memory.Image, len(in.parts)), saved: in.guest.Save()}
	for i := range in.parts {
		if mem := in.parts[i].mem; mem != nil {
			all, _ := mem.Read(0, mem.Size())
			if s.images[i], err = memory.NewImage(all, memory.Shared); err != nil {
				s.close()
				return nil, err
			}
		}
	}
	for _, g := range in.globals {
		s.globals = append(s.globals, g.Get())
	}
	in.system.Mark()
	s.system = in.system
	return s, nil
}

var errTouched = fmt.Errorf("its initialisation changes a table or drops a segment")

// touched reports whether the instance did what no snapshot undoes.
func (in *Instance) touched() bool {
	for _, dirty := range in.dirty {
		if dirty.Get() != 0 {
			return true
		}
	}
	return false
}

// adopt puts a linked instance into the state of a snapshot.
func (in *Instance) adopt(s *snapshot) error {
	if in.touched() { // by its start function, though the snapshot's instance was not
		return errTouched
	}
	for i := range in.parts {
		image := s.images[i]
		if image == nil {
			continue
		}
		p := &in.parts[i]
		mem := p.mem
		if size, want := uint64(mem.Size()), image.Size(); size < want {
			if _, ok := mem.Grow(uint32((want - size) >> 16)); !ok {
				return fmt.Errorf("cannot grow its memory from %d to %d bytes", size, want)
			}
		}
		if err := p.memory.Attach(image); err != nil {
			return err
		}
	}
	in.system.Adopt(&s.system)
	in.putBack(s)
	return nil
}

// putBack sets the variables of guest and libraries, and what the kind keeps, to what they were.
func (in *Instance) putBack(s *snapshot) {
	in.guest.Restore(s.saved)
	for i, g := range in.globals {
		g.Set(s.globals[i])
	}
}

// Grown reports whether a memory of the instance is larger than that of a new one.
func (in *Instance) Grown() bool {
	for i := range in.parts {
		if in.parts[i].memory.Grown() {
			return true
		}
	}
	return false
}

// Reset puts the instance back into the state in which [Module.Instantiate]
// returned it. If it returns false, the instance has grown, or otherwise become
// what cannot be put back, and is of no more use. One that has grown is put back,
// too, if its kind says so, see [contract.Plugin].
func (in *Instance) Reset() bool {
	s := in.template.snapshot
	if !in.usable || s == nil || in.touched() || !in.resetMemory() {
		in.usable = false
		return false
	}
	in.system.Reset()
	in.quota.starved = false
	in.putBack(s)
	return true
}

// resetMemory puts all memories back.
func (in *Instance) resetMemory() bool {
	for i := range in.parts {
		p := &in.parts[i]
		switch {
		case !p.memory.made:
		case in.template.plugin.Shrinks && p.memory.Grown():
			if !p.memory.shrink(p.mem) {
				return false
			}
		case !p.memory.Reset():
			return false
		}
	}
	return true
}
