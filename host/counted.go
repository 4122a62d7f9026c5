package host

import "github.com/resonhost/resonhost/host/internal/pool"

// counted is what a plugin's versions have counted.
type counted struct {
	made, failed, logDropped, suspensions uint64
	left                                  [pool.Reasons]uint64
	verify                                VerifyStats
	size, lent                            int // of the version that was added last
}

// add adds what a version has counted so far.
func (c *counted) add(v *version) {
	_, n := v.breaker.Stats()
	c.suspensions += n
	c.verify.add(VerifyStats(v.sampler.Stats()))
	r, ok := v.engine.(sandbox)
	if !ok {
		return
	}
	in := r.Pool()
	c.made, c.failed = c.made+in.Created, c.failed+in.Failed
	for i := range c.left {
		c.left[i] += in.Left[i]
	}
	c.logDropped += r.LogDropped()
	c.size, c.lent = in.Size, in.Lent
}
