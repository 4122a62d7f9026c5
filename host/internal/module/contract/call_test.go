package contract_test

import (
	"errors"
	"testing"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// TestCallAgain has a call used again, whose outputs of the time before count for nothing.
func TestCallAgain(t *testing.T) {
	limits := contract.FrameLimits{MaxOutput: 4}
	c := contract.Call{Items: make([]abi.Item, 2), Results: make([]abi.Result, 2), Stateless: true}
	for range 3 {
		c.Begin()
		for item := range c.Items {
			c.Answer(item, &abi.Result{Payload: []byte("ab")})
		}
		if err := limits.CheckSum(&c); err != nil {
			t.Fatal(err)
		}
	}
	c.Answer(0, &abi.Result{Payload: []byte("c")})
	if err := limits.CheckSum(&c); !errors.Is(err, contract.ErrOutputSum) {
		t.Errorf("err %v, want ErrOutputSum", err)
	}
}
