// Package kind lists the kinds of guests.
package kind

import (
	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/kind/command"
	"github.com/resonhost/resonhost/host/internal/module/kind/dprint"
	"github.com/resonhost/resonhost/host/internal/module/kind/extism"
	"github.com/resonhost/resonhost/host/internal/module/kind/native"
	"github.com/resonhost/resonhost/host/internal/module/kind/wapc"
)

// All returns the kinds of guests in the order in which they are asked whether a binary is
// theirs.
func All() []contract.Kind {
	return []contract.Kind{
		native.Kind{},
		extism.Kind{},
		dprint.Kind{},
		wapc.Kind{},
		command.Kind{}, // last: guests of other kinds may export a _start, too
	}
}
