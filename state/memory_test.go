package state_test

import (
	"testing"

	"github.com/resonhost/resonhost/state"
	"github.com/resonhost/resonhost/state/statetest"
)

func TestMemory(t *testing.T) {
	statetest.Run(t, statetest.Subject{New: func(testing.TB) state.Store { return state.NewMemory() }})
}
