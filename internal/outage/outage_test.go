package outage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/resonhost/resonhost/internal/outage"
)

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outage.Outage
		for range 2 {
			if lasted, ended := o.End(); ended || lasted != 0 {
				t.Errorf("what works ends an outage of %v", lasted)
			}
			began := time.Now()
			if !o.Begin() || o.Begin() || !o.Since().Equal(began) {
				t.Errorf("an outage does not begin once, but at %v", o.Since())
			}
			time.Sleep(time.Second)
			if lasted, ended := o.End(); !ended || lasted != time.Second || !o.Since().IsZero() {
				t.Errorf("ended %v after %v, want 1s", ended, lasted)
			}
		}
	})
}
