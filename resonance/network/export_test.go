package network

// SetRunner has r do the tasks of ticks, so many at once. It is called before Start.
func (n *Network) SetRunner(tasks int, r runner) { n.client, n.dispatchers = r, tasks }
