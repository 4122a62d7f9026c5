package jobs

import (
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/state"
)

// StoreKind is of which kind an error of the store is: [host.KindStateUnavailable] if the store cannot be used
// now and may be later, and [host.KindHost] for any other.
func StoreKind(err error) host.Kind {
	switch state.FaultOf(err) {
	case state.FaultUnavailable, state.FaultTimeout, state.FaultFull, state.FaultReadOnly, state.FaultLost, state.FaultInUse, state.FaultClosed:
		return host.KindStateUnavailable
	}
	return host.KindHost
}

// storeError is the error of a job that could not be stored. Only the log says in detail why.
func storeError(transform string, err error) *host.Error {
	e := &host.Error{Kind: StoreKind(err), Transform: transform, Message: errStore.Error(), Err: err}
	if e.Kind == host.KindStateUnavailable {
		e.Message = "the job cannot be stored now (" + string(state.FaultOf(err)) + "); the server has logged why"
	}
	return e
}
