package redis

// Guard is guard.
type Guard = guard

// NewGuard returns a guard of a new connection.
func NewGuard() *Guard { return &guard{} }

// Look is look.
func (g *Guard) Look(b []byte) error { return g.look(b) }

// Shown is what errors and logs show of a URL, and its addresses.
func Shown(url string) (shown string, addresses []string, err error) {
	t, err := parseURL(url)
	if err != nil {
		return "", nil, err
	}
	return t.shown, t.addresses, nil
}

// Held is how many bytes and items of a reply that is not complete have come.
func (g *Guard) Held() (size, items int) { return g.size, g.all }

// MaxHeld and MaxItems are the most that a guard lets pass of one reply.
const (
	MaxHeld  = maxReply
	MaxItems = maxItems
)
