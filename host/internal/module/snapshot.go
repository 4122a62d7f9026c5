package module

import (
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
	images  []*memory.Image // of each part; nil if it has no memory
	globals []uint64        // as in Instance.globals
	system  wasi.System
	saved   any // by [contract.Guest.Save]
}

// close gives the images up. Instances that have them keep them.
func (s *snapshot) close() {
	if s == nil {
		return
	}
	for _, im := range s.images {
		if im != nil {
			im.Close()
		}
	}
}
