package serve

import (
	"context"
	"net/http"
	"slices"

	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
)

// admit returns the error of a request that would have the transforms run more, while the server
// drains or for somebody who may not call them.
func admit(r *http.Request, transforms ...string) error {
	if server.Draining(r) {
		return &problem{api.New(host.KindUnavailable, "draining")}
	}
	for _, t := range transforms {
		if err := auth.Of(r.Context()).MayCall(t); err != nil {
			return err
		}
	}
	return nil
}

// maxUsers is how many users of a network are kept, so that others can come and go without end.
const maxUsers = 64

// use keeps who uses a network, if they may have it tick. So it stays when a token is replaced, once
// the new one was used.
func (n *served) use(who *auth.Principal) {
	if who.MayCall(network.TransformNode) != nil || who.MayCall(network.TransformNetwork) != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.users = slices.DeleteFunc(n.users, (*auth.Principal).Withdrawn)
	if len(n.users) < maxUsers && !slices.Contains(n.users, who) {
		n.users = append(n.users, who)
	}
}

// user returns somebody who has used the network and may have it tick, nil if there is nobody any more.
func (n *served) user() *auth.Principal {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i := slices.IndexFunc(n.users, func(p *auth.Principal) bool { return !p.Withdrawn() }); i >= 0 {
		return n.users[i]
	}
	return nil
}

// watch deletes a network once all of its users are withdrawn. It returns when the network ends.
func (s *Service) watch(k key, n *served) {
	for who := n.user(); who != nil; who = n.user() {
		select {
		case <-who.Done():
		case <-n.ended:
			return
		}
	}
	ctx := context.Background()
	s.opts.Logger.InfoContext(ctx, "a network of nodes ends, as all who used it have been withdrawn or changed", "network", k.id, "tenant", k.tenant)
	s.remove(ctx, k, n)
}
